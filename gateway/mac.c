/* mac: HMAC-SHA256 on libcrypto's SHA-256. Any thread.
 *
 * The functions on a SHA256_CTX are deprecated in favour of EVP contexts, which are on the heap and
 * cost twice as much a code, see mac.h; they are still what libcrypto's own tools are made of. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "mac.h"

#include "mem.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

struct mac_key {
    SHA256_CTX inner, outer;
};

static void
absorb_pad(SHA256_CTX *state, const uint8_t block[SHA256_CBLOCK], uint8_t pad)
{
    uint8_t padded[SHA256_CBLOCK];
    for (size_t i = 0; i < sizeof padded; i++) {
        padded[i] = block[i] ^ pad;
    }
    SHA256_Init(state);
    SHA256_Update(state, padded, sizeof padded);
    OPENSSL_cleanse(padded, sizeof padded);
}

struct mac_key *
mac_key_new(const void *key, size_t len)
{
    uint8_t block[SHA256_CBLOCK] = {0};
    struct mac_key *ready = mem_alloc(sizeof *ready);
    if (len > sizeof block) {
        SHA256(key, len, block);
    } else if (len > 0) {
        memcpy(block, key, len);
    }
    absorb_pad(&ready->inner, block, 0x36);
    absorb_pad(&ready->outer, block, 0x5c);
    OPENSSL_cleanse(block, sizeof block);
    return ready;
}

void
mac_key_free(struct mac_key *key)
{
    if (key != NULL) {
        OPENSSL_cleanse(key, sizeof *key);
        free(key);
    }
}

void
mac_compute(const struct mac_key *key, const void *text, size_t len, uint8_t mac[MAC_BYTES])
{
    SHA256_CTX state = key->inner;
    SHA256_Update(&state, text, len);
    SHA256_Final(mac, &state);
    state = key->outer;
    SHA256_Update(&state, mac, MAC_BYTES);
    SHA256_Final(mac, &state);
}
