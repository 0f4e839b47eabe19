/* keytable: what is known of each key, found by the key of a record: open addressing with linear
 * probing, seeded so that keys cannot be made to collide.
 *
 * It points to entries of its user, which begin with a struct keyed and have the key in their
 * record; it owns neither. Slots: a power of two, at most half full, so 16 to 32 bytes a key, and
 * half as much again while it grows. Thread  any one: no lock. */
#ifndef HEADGATE_KEYTABLE_H
#define HEADGATE_KEYTABLE_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyed {
    struct record *record; /* has a key */
    uint64_t hash;         /* of it: keytable_hash */
};

struct keytable {
    struct keyed **slots;
    size_t mask;
    size_t n;
    uint64_t seed;
};

void keytable_init(struct keytable *table);
void keytable_fini(struct keytable *table);

/* keytable_has_key: a record without one, and a gap record, is in no table. */
bool keytable_has_key(const struct record *record);

uint64_t keytable_hash(const struct keytable *table, const struct record *record);

/* keytable_find: the entry with record's key, whose hash is given; NULL: none. Cost O(1). */
struct keyed *keytable_find(
    const struct keytable *table, const struct record *record, uint64_t hash);

/* keytable_put: entry stands for its key from now on. Returns the one that did, or NULL. Cost O(1),
 * amortised. */
struct keyed *keytable_put(struct keytable *table, struct keyed *entry);

/* keytable_remove: entry is in the table. Cost O(1). */
void keytable_remove(struct keytable *table, const struct keyed *entry);

#endif
