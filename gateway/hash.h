/* hash: FNV-1a of 32 bits: for tables of names that are chance or few, and where a value must be
 * the same at every gateway. Not against who chooses names to collide. Any thread: no state. Source
 * draft-eastlake-fnv. */
#ifndef HEADGATE_HASH_H
#define HEADGATE_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t
hash_fnv1a(const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * UINT32_C(16777619);
    }
    return hash;
}

#endif
