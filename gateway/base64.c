/* base64: RFC 4648 encoding. Any thread. */
#include "base64.h"

#include <stdint.h>

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Encodes without padding and returns the end. */
static char *
encode(char *to, const uint8_t *bytes, size_t len, const char *alphabet)
{
    for (; len >= 3; bytes += 3, len -= 3) {
        uint32_t group = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = alphabet[group >> 6 & 63];
        *to++ = alphabet[group & 63];
    }
    if (len != 0) {
        uint32_t group = (uint32_t)bytes[0] << 16 | (len == 2 ? (uint32_t)bytes[1] << 8 : 0);
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        if (len == 2) {
            *to++ = alphabet[group >> 6 & 63];
        }
    }
    return to;
}

size_t
base64_encode(char *to, const void *bytes, size_t len)
{
    char *end = encode(to, bytes, len, standard);
    while ((size_t)(end - to) < BASE64_LEN(len)) {
        *end++ = '=';
    }
    return BASE64_LEN(len);
}

size_t
base64_url_encode(char *to, const void *bytes, size_t len)
{
    return (size_t)(encode(to, bytes, len, url_safe) - to);
}
