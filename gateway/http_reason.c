/* http_reason: status phrases (RFC 9110 section 15) and percent-decoding (RFC 3986 section 2.1). No
 * state. */
#include "http.h"

struct phrase {
    int status;
    const char *text;
};

static const struct phrase phrases[] = {{101, "Switching Protocols"}, {200, "OK"}, {201, "Created"},
    {202, "Accepted"}, {204, "No Content"}, {206, "Partial Content"}, {301, "Moved Permanently"},
    {302, "Found"}, {303, "See Other"}, {304, "Not Modified"}, {307, "Temporary Redirect"},
    {308, "Permanent Redirect"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"},
    {404, "Not Found"}, {405, "Method Not Allowed"}, {406, "Not Acceptable"},
    {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"},
    {412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
    {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"}, {417, "Expectation Failed"},
    {422, "Unprocessable Content"}, {426, "Upgrade Required"}, {428, "Precondition Required"},
    {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
    {503, "Service Unavailable"}, {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"}};

const char *
http_reason_phrase(int status)
{
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        if (phrases[i].status == status) {
            return phrases[i].text;
        }
    }
    return "";
}

static int
hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

ptrdiff_t
http_percent_decode(struct slice in, char *out, bool plus_is_space)
{
    ptrdiff_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.at[i];
        if (c == '%') {
            int high = i + 2 < in.len ? hex_value(in.at[i + 1]) : -1;
            int low = high >= 0 ? hex_value(in.at[i + 2]) : -1;
            if (low < 0) {
                return -1;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0') {
            return -1;
        }
        out[len++] = c;
    }
    return len;
}
