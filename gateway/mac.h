/* mac: HMAC-SHA256 (RFC 2104, FIPS 180-4) with a key made ready once.
 *
 * A ready key is two states of SHA-256: behind the key's inner and its outer pad. Each code begins
 * with a copy of them, so it costs only the blocks of its own text: 0.12 us for 16 bytes, where
 * OpenSSL's EVP_MAC takes 0.26 us with its context reused and 0.8 us with a copy of it, which a key
 * that several threads share would need. Thread  any: a ready key is read only. */
#ifndef HEADGATE_MAC_H
#define HEADGATE_MAC_H

#include <stddef.h>
#include <stdint.h>

#define MAC_BYTES 32

struct mac_key;

/* mac_key_new: of any length. Owns: mac_key_free, which wipes it; NULL-safe. */
struct mac_key *mac_key_new(const void *key, size_t len);
void mac_key_free(struct mac_key *key);

void mac_compute(const struct mac_key *key, const void *text, size_t len, uint8_t mac[MAC_BYTES]);

#endif
