/* token_keys: the configured keys, made ready for one stream. Any thread. */
#include "token_keys.h"

#include "buf.h"
#include "config.h"
#include "mac.h"
#include "mem.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static const char purpose[] = "headgate resume token"; /* with its NUL */

struct token_keys {
    size_t n;
    bool take_unsigned;
    struct mac_key *keys[];
};

static struct mac_key *
key_of_stream(const char *secret, const char *stream)
{
    uint8_t derived[MAC_BYTES];
    struct buf text;
    struct mac_key *key = mac_key_new(secret, strlen(secret));
    buf_init(&text);
    buf_add(&text, purpose, sizeof purpose);
    buf_adds(&text, stream);
    mac_compute(key, text.bytes, text.len, derived);
    buf_fini(&text);
    mac_key_free(key);
    key = mac_key_new(derived, sizeof derived);
    OPENSSL_cleanse(derived, sizeof derived);
    return key;
}

struct token_keys *
token_keys_new(const struct config_tokens *config, const char *stream)
{
    if (config == NULL || config->keys.n == 0) {
        return NULL;
    }
    struct token_keys *keys = mem_alloc(sizeof *keys + config->keys.n * sizeof(struct mac_key *));
    keys->n = config->keys.n;
    keys->take_unsigned = config->accept_unsigned;
    for (size_t i = 0; i < keys->n; i++) {
        keys->keys[i] = key_of_stream(config->keys.items[i], stream);
    }
    return keys;
}

void
token_keys_free(struct token_keys *keys)
{
    for (size_t i = 0; keys != NULL && i < keys->n; i++) {
        mac_key_free(keys->keys[i]);
    }
    free(keys);
}

void
token_keys_sign(
    const struct token_keys *keys, const void *bytes, size_t len, uint8_t mac[TOKEN_MAC_BYTES])
{
    uint8_t whole[MAC_BYTES];
    mac_compute(keys->keys[0], bytes, len, whole);
    memcpy(mac, whole, TOKEN_MAC_BYTES);
}

bool
token_keys_verify(const struct token_keys *keys, const void *bytes, size_t len,
    const uint8_t mac[TOKEN_MAC_BYTES])
{
    for (size_t i = 0; i < keys->n; i++) {
        uint8_t whole[MAC_BYTES];
        mac_compute(keys->keys[i], bytes, len, whole);
        if (CRYPTO_memcmp(whole, mac, TOKEN_MAC_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

bool
token_keys_take_unsigned(const struct token_keys *keys)
{
    return keys->take_unsigned;
}
