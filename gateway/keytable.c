/* keytable: a hash table over the keys of records, as the JSON that they are in the text. */
#include "keytable.h"

#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_SLOTS 64

void
keytable_init(struct keytable *table)
{
    *table = (struct keytable){.mask = LEAST_SLOTS - 1};
    table->slots = mem_calloc(LEAST_SLOTS, sizeof *table->slots);
    arc4random_buf(&table->seed, sizeof table->seed);
}

void
keytable_fini(struct keytable *table)
{
    free(table->slots);
    table->slots = NULL;
}

bool
keytable_has_key(const struct record *record)
{
    return !record->is_gap && record->key_len > 0;
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * UINT64_C(0x9E3779B97F4A7C15);
    a ^= a >> 32;
    a *= UINT64_C(0xD6E8FEB86659FD93);
    return a ^ a >> 32;
}

uint64_t
keytable_hash(const struct keytable *table, const struct record *record)
{
    const char *at = record->text + record->key_off;
    size_t len = record->key_len;
    uint64_t hash = mix(table->seed, len);
    for (; len > 0;) {
        uint64_t word = 0;
        size_t step = len < sizeof word ? len : sizeof word;
        memcpy(&word, at, step);
        hash = mix(hash, word);
        at += step;
        len -= step;
    }
    return hash;
}

static bool
same_key(const struct record *a, const struct record *b)
{
    return a->key_len == b->key_len &&
           memcmp(a->text + a->key_off, b->text + b->key_off, a->key_len) == 0;
}

/* The slot of record's key: its entry's, or the free one where that belongs. */
static size_t
slot_of(const struct keytable *table, const struct record *record, uint64_t hash)
{
    size_t i = hash & table->mask;
    while (table->slots[i] != NULL &&
           (table->slots[i]->hash != hash || !same_key(table->slots[i]->record, record))) {
        i = (i + 1) & table->mask;
    }
    return i;
}

static void
grow(struct keytable *table)
{
    struct keyed **old = table->slots;
    size_t n = table->mask + 1;
    table->mask = n * 2 - 1;
    table->slots = mem_calloc(n * 2, sizeof *table->slots);
    for (size_t k = 0; k < n; k++) {
        if (old[k] != NULL) {
            size_t i = old[k]->hash & table->mask;
            while (table->slots[i] != NULL) {
                i = (i + 1) & table->mask;
            }
            table->slots[i] = old[k];
        }
    }
    free(old);
}

struct keyed *
keytable_find(const struct keytable *table, const struct record *record, uint64_t hash)
{
    return table->slots[slot_of(table, record, hash)];
}

struct keyed *
keytable_put(struct keytable *table, struct keyed *entry)
{
    if ((table->n + 1) * 2 > table->mask + 1) {
        grow(table);
    }
    size_t i = slot_of(table, entry->record, entry->hash);
    struct keyed *before = table->slots[i];
    table->slots[i] = entry;
    table->n += before == NULL;
    return before;
}

/* The gap is closed in the runs that go over it. */
void
keytable_remove(struct keytable *table, const struct keyed *entry)
{
    size_t mask = table->mask;
    size_t i = slot_of(table, entry->record, entry->hash);
    assert(table->slots[i] == entry);
    for (size_t next = (i + 1) & mask; table->slots[next] != NULL; next = (next + 1) & mask) {
        size_t home = table->slots[next]->hash & mask;
        if (((next - home) & mask) >= ((next - i) & mask)) {
            table->slots[i] = table->slots[next];
            i = next;
        }
    }
    table->slots[i] = NULL;
    table->n--;
}
