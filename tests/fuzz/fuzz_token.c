/* fuzz_token: any text from a client. What is taken as a token encodes to the same text; of what is
 * signed, only what our key made does, and only that is taken with the key. */
#include "../../gateway/config.h"
#include "../../gateway/token.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static const struct token_keys *
the_keys(void)
{
    static struct token_keys *keys;
    if (keys == NULL) {
        char *items[] = {strdup("0123456789abcdef0123456789abcdef")};
        keys = token_keys_new(&(struct config_tokens){.keys = {items, 1}}, "s");
        free(items[0]);
    }
    return keys;
}

static void
encode(struct buf *out, const struct token *token, const struct token_keys *keys)
{
    out->len = 0;
    if (token->cursor != NULL) {
        must(token->n_lanes == 0 && token->cursor_len <= TOKEN_CURSOR_MAX);
        token_encode_cursor(out, token->cursor, token->cursor_len, keys);
    } else {
        token_encode(out, token->lanes, token->n_lanes, keys);
    }
}

/* text was taken by its form: encode it, unsigned and signed, and compare. */
static void
check(const char *text, size_t size, const struct token *token, bool is_ours)
{
    struct buf again;
    struct token back;
    struct err err;
    bool is_signed = text[0] == 'B' || text[0] == 'D';
    buf_init(&again);
    encode(&again, token, is_signed ? the_keys() : NULL);
    must(again.len == size);
    must(is_signed || memcmp(again.bytes, text, size) == 0);
    must(is_ours == (is_signed && memcmp(again.bytes, text, size) == 0));
    encode(&again, token, the_keys());
    must(token_decode(again.bytes, again.len, the_keys(), &back, &err) == 0);
    must(back.n_lanes == token->n_lanes && back.cursor_len == token->cursor_len);
    free(back.lanes);
    buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token token, ours;
    struct err err;
    char *text = malloc(size == 0 ? 1 : size);
    if (size != 0) {
        memcpy(text, data, size);
    }
    bool is_ours = token_decode(text, size, the_keys(), &ours, &err) == 0;
    if (token_decode(text, size, NULL, &token, &err) == 0) {
        check(text, size, &token, is_ours);
        free(token.lanes);
    } else {
        must(!is_ours);
    }
    if (is_ours) {
        free(ours.lanes);
    }
    free(text);
    return 0;
}
