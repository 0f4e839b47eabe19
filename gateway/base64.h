/* base64: RFC 4648 encoding into memory that the caller has reserved. Thread any: no state. */
#ifndef HEADGATE_BASE64_H
#define HEADGATE_BASE64_H

#include <stddef.h>

/* The most characters that len bytes become. */
#define BASE64_LEN(len) (((len) + 2) / 3 * 4)

/* base64_encode: section 4, padded; returns the length, BASE64_LEN(len). No NUL is written. */
size_t base64_encode(char *to, const void *bytes, size_t len);

/* base64_url_encode: section 5, not padded; returns the length. No NUL is written. */
size_t base64_url_encode(char *to, const void *bytes, size_t len);

#endif
