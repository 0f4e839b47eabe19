/* json: what the data path needs of JSON without building a tree: validate, compact, escape.
 *
 * json_scan is the one hot function: it visits each payload byte once. RFC 8259 grammar, strictly:
 * no NaN, no leading zeros, no trailing comma, UTF-8 checked (no surrogates, no overlongs), lone
 * \ud800 escapes allowed, depth at most JSON_DEPTH_MAX. Thread  any: no state. */
#ifndef HEADGATE_JSON_H
#define HEADGATE_JSON_H

#include "buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 512

enum json_kind {
    JSON_NOT,      /* not one whole JSON text */
    JSON_ONE_LINE, /* valid, and without a CR or LF: its trimmed slice can be passed as it is */
    JSON_MULTILINE /* valid, but json_compact must take the white space out first */
};

/* json_scan: classify text[0..len). On success *start and *end give the slice without the white
 * space around the value. O(len), about 1 ns a byte. */
enum json_kind json_scan(const char *text, size_t len, size_t *start, size_t *end);

/* json_lines: how many bytes, from text on, are lines that pass on as they are: each is an object
 * or an array without white space around it, at most `most` bytes long, its line feed not counted,
 * and ends with a line feed alone. text is empty or ends with a line feed. *count: how many lines.
 * What comes behind them is not one of these, whatever it is. Cost  as json_scan, of what it takes
 * and the one behind. */
size_t json_lines(const char *text, size_t len, size_t most, uint64_t *count);

/* json_compact: append text (which json_scan found valid) without insignificant white space. */
void json_compact(struct buf *out, const char *text, size_t len);

/* json_utf8_valid: true when the bytes are well-formed UTF-8 (NUL allowed). */
bool json_utf8_valid(const void *bytes, size_t len);

/* json_utf8_length: the length, 1 to 4, of the well-formed UTF-8 sequence at at; 0 when what is
 * there is none. len, the bytes from at on, is not 0. */
size_t json_utf8_length(const char *at, size_t len);

/* json_add_string: append a JSON string, quotes included. The bytes must be valid UTF-8. Escapes
 * '"', '\\', all below 0x20 and U+007F; so no CR, LF or NUL ever reaches a frame. */
void json_add_string(struct buf *out, const char *bytes, size_t len);

/* json_add_lossy: as json_add_string for any bytes: each byte that is not UTF-8 becomes U+FFFD. */
#define JSON_REPLACEMENT "\xEF\xBF\xBD"
void json_add_lossy(struct buf *out, const char *bytes, size_t len);

/* json_add_base64: append a quoted standard base64 string (RFC 4648 section 4, padded). */
void json_add_base64(struct buf *out, const void *bytes, size_t len);

/* json_add_bytes: a JSON string where the bytes are UTF-8, else {"base64":"..."}: for keys and
 * header values, which Kafka lets be anything. */
void json_add_bytes(struct buf *out, const void *bytes, size_t len);

#endif
