/* token_keys: who may make resume tokens of a stream: the keys of the configuration, each bound to
 * the stream's name, so that a token of one stream is worth nothing at another.
 *
 * The key of a stream is HMAC-SHA256(configured key, "headgate resume token" NUL stream's name); a
 * token's code is HMAC-SHA256(that, the token's bytes before it), cut to TOKEN_MAC_BYTES (RFC 2104
 * section 5: half of the digest at least). The first key signs, each of them verifies: a new key is
 * added behind the old one on every replica, then put first, then left alone. Thread  any: read
 * only. */
#ifndef HEADGATE_TOKEN_KEYS_H
#define HEADGATE_TOKEN_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_MAC_BYTES 16

struct config_tokens;
struct token_keys;

/* token_keys_new: NULL when config, which may be NULL, has no keys: tokens are then neither signed
 * nor verified. Owns: token_keys_free, which is NULL-safe. */
struct token_keys *token_keys_new(const struct config_tokens *config, const char *stream);
void token_keys_free(struct token_keys *keys);

void token_keys_sign(
    const struct token_keys *keys, const void *bytes, size_t len, uint8_t mac[TOKEN_MAC_BYTES]);

/* token_keys_verify: in a time that does not depend on how much of mac is right. */
bool token_keys_verify(const struct token_keys *keys, const void *bytes, size_t len,
    const uint8_t mac[TOKEN_MAC_BYTES]);

/* token_keys_take_unsigned: a token without a code is taken too. */
bool token_keys_take_unsigned(const struct token_keys *keys);

#endif
