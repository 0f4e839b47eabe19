/* token_writer: see token_writer.h. */
#include "token_writer.h"

#include "base64.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

void
token_writer_fini(struct token_writer *writer)
{
    free(writer->lanes);
    free(writer->at);
    free(writer->raw);
    free(writer->text);
    *writer = (struct token_writer){.n = 0};
}

static void
begin_anew(struct token_writer *writer, const struct token_lane *lanes, size_t n,
    const struct token_keys *keys)
{
    size_t bound = token_raw_bound(lanes, n);
    writer->lanes = mem_realloc(writer->lanes, (n + 1) * sizeof *writer->lanes);
    writer->at = mem_realloc(writer->at, (n + 1) * sizeof *writer->at);
    writer->raw = mem_realloc(writer->raw, bound);
    writer->text = mem_realloc(writer->text, BASE64_LEN(bound));
    if (n > 0) {
        memcpy(writer->lanes, lanes, n * sizeof *lanes);
    }
    writer->n = n;
    writer->raw_len = token_raw(writer->raw, lanes, n, keys, writer->at);
    (void)base64_url_encode(writer->text, writer->raw, writer->raw_len / 3 * 3);
}

/* How many bytes the place of lane i takes: up to the first without a high bit. */
static size_t
room_of(const struct token_writer *writer, size_t i)
{
    const uint8_t *at = writer->raw + writer->at[i];
    size_t len = 1;
    while (at[len - 1] >= 0x80) {
        len++;
    }
    return len;
}

/* False: the lane's place takes more bytes now. */
static bool
move(struct token_writer *writer, size_t i, uint64_t next)
{
    size_t begin = writer->at[i];
    size_t len = token_raw_move(writer->raw + begin, room_of(writer, i), next);
    if (len == 0) {
        return false;
    }
    writer->lanes[i].next = next;
    size_t first = begin / 3, whole = writer->raw_len / 3, end = (begin + len + 2) / 3;
    end = end < whole ? end : whole;
    if (first < end) {
        (void)base64_url_encode(
            writer->text + 4 * first, writer->raw + 3 * first, 3 * (end - first));
    }
    return true;
}

static bool
goes_on(struct token_writer *writer, const struct token_lane *lanes, size_t n, size_t moved)
{
    return n > 0 && n == writer->n && moved < n && move(writer, moved, lanes[moved].next) &&
           memcmp(writer->lanes, lanes, n * sizeof *lanes) == 0;
}

void
token_writer_add(struct token_writer *writer, struct buf *out, const struct token_lane *lanes,
    size_t n, size_t moved, const struct token_keys *keys)
{
    if (!goes_on(writer, lanes, n, moved)) {
        begin_anew(writer, lanes, n, keys);
    }
    uint8_t rest[2 + TOKEN_MAC_BYTES];
    size_t whole = writer->raw_len / 3, left = writer->raw_len % 3;
    memcpy(rest, writer->raw + 3 * whole, left);
    if (keys != NULL) {
        token_keys_sign(keys, writer->raw, writer->raw_len, rest + left);
        left += TOKEN_MAC_BYTES;
    }
    char *to = buf_reserve(out, 4 * whole + BASE64_LEN(sizeof rest));
    memcpy(to, writer->text, 4 * whole);
    out->len += 4 * whole + base64_url_encode(to + 4 * whole, rest, left);
}
