/* http_accept: what the Accept headers think of a media type (RFC 9110 section 12.5.1). Any thread:
 * no state. */
#include "http_scan.h"

#include <string.h>

/* The quality among the parameters of a member; 1000 without one, -1 when they are malformed. Other
 * parameters are not compared: "text/event-stream;charset=utf-8" means the type to all who send it.
 */
static int
take_parameters(struct slice *text)
{
    int quality = 1000;
    for (;;) {
        http_scan_blanks(text);
        if (text->len == 0) {
            return quality;
        }
        if (!http_scan_char(text, ';')) {
            return -1;
        }
        http_scan_blanks(text);
        struct slice name = http_scan_token(text);
        if (name.len == 0) {
            continue;
        }
        struct slice value = {NULL, 0};
        if (http_scan_char(text, '=')) {
            if (text->len != 0 && text->at[0] == '"') {
                if (!http_scan_quoted(text)) {
                    return -1;
                }
            } else if ((value = http_scan_token(text)).len == 0) {
                return -1;
            }
        }
        if (slice_eq_nocase(name, "q") && (quality = http_quality(value)) < 0) {
            return -1;
        }
    }
}

/* How well main/sub matches type: 3 exactly, 2 by subtype wildcard, 1 by full wildcard, 0 not. */
static int
match(struct slice main_type, struct slice sub_type, const char *type)
{
    const char *slash = strchr(type, '/');
    bool any_main = slice_eq(main_type, "*");
    bool any_sub = slice_eq(sub_type, "*");
    if (any_main) {
        return any_sub ? 1 : 0;
    }
    size_t len = (size_t)(slash - type);
    char main_name[32];
    if (main_type.len != len || len >= sizeof main_name) {
        return 0;
    }
    memcpy(main_name, type, len);
    main_name[len] = '\0';
    if (!slice_eq_nocase(main_type, main_name)) {
        return 0;
    }
    return any_sub ? 2 : slice_eq_nocase(sub_type, slash + 1) ? 3 : 0;
}

/* Weigh one member; false when it is malformed or does not match. */
static bool
weigh(struct slice member, const char *type, int *quality, int *specificity)
{
    struct slice main_type = http_scan_token(&member);
    if (main_type.len == 0 || !http_scan_char(&member, '/')) {
        return false;
    }
    struct slice sub_type = http_scan_token(&member);
    if (sub_type.len == 0) {
        return false;
    }
    *specificity = match(main_type, sub_type, type);
    *quality = take_parameters(&member);
    return *specificity > 0 && *quality >= 0;
}

int
http_accept_quality(const struct http_request *request, const char *type, int *specificity)
{
    int best = 0;
    int best_specificity = 0;
    bool any_member = false;
    for (size_t i = 0; i < request->n_headers; i++) {
        struct slice list = request->headers[i].value;
        if (!slice_eq_nocase(request->headers[i].name, "Accept")) {
            continue;
        }
        while (list.len != 0) {
            int got, how;
            struct slice member = http_scan_member(&list);
            any_member = any_member || member.len != 0;
            if (weigh(member, type, &got, &how) &&
                (how > best_specificity || (how == best_specificity && got > best))) {
                best = got;
                best_specificity = how;
            }
        }
    }
    *specificity = any_member ? best_specificity : 1;
    return any_member ? best : 1000;
}
