/* table: the newest record of each key of a stream, and snapshots of it.
 *
 * Every record is a version of its key. Versions stand in one list in the order of seq; the newest
 * of each key is found by it. A snapshot is the table as it was at one seq (`seq` - 1, the last
 * record that the table had): a reader walks the list up to there, and what is replaced or removed
 * meanwhile stays for as long as a snapshot has it. So a snapshot costs a place in the list and no
 * copy, ends after as many records as the table had keys, however fast they change, and is exact:
 * who reads the stream on from its seq lacks nothing and repeats nothing. Its records come in the
 * order of seq, so the id of each is a place to come back to.
 *
 * A snapshot of changes has only what is newer than a seq that its reader has seen, and the
 * tombstones of keys that were removed since: for readers that the ring has left behind.
 *
 * Bounds. keys and bytes of the newest versions: beyond, the oldest is evicted, or, without evict,
 * the table is given up: it is emptied, and there are no snapshots of it any more.
 * history_bytes of replaced versions and of tombstones: beyond, tombstones go first, then the
 * oldest snapshot is cut. A version's bytes are its record's charge and TABLE_VERSION_BYTES.
 *
 * Thread  any, but that one thread (the source) applies. One mutex: a call holds it for some
 * hundred versions at the most, except table growth, and the reset of a lane, which visit every
 * key. */
#ifndef HEADGATE_TABLE_H
#define HEADGATE_TABLE_H

#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table;
struct table_snapshot;

/* A version's own memory: its entry and malloc (80), its slots while the table of keys grows (48).
 */
#define TABLE_VERSION_BYTES 128

struct table_limits {
    uint64_t keys;
    uint64_t bytes;
    uint64_t history_bytes;
    bool evict;
};

struct table *table_new(const struct table_limits *limits);
void table_free(struct table *table); /* NULL-safe; no snapshot may be left. Thread init. */

/* table_apply_take: n records that follow those before, with the seq that the ring gave them. A
 * record without a key is counted; a reset (a gap of weight 0) removes what its lane had.
 * Owns  one reference of each.  Thread source.  Cost O(1) a record, amortised: about 0.3 us. */
void table_apply_take(struct table *table, struct record *const *records, size_t n);

/* table_announce_reset: before the ring has the reset's record. table_resets: how many were
 * announced: a reader whose snapshot had fewer must begin again. */
void table_announce_reset(struct table *table); /* Thread source. */
uint64_t table_resets(const struct table *table);

/* Where the table stood when a snapshot was taken. */
struct table_place {
    uint64_t seq; /* the first record that is not in it */
    uint64_t ordinal;
    uint64_t bytes;            /* as in a stand */
    const struct record *last; /* the one before seq, lent by the snapshot; NULL: there was none */
    uint64_t resets;           /* applied */
    uint64_t evicted;          /* keys that were lost at the bounds: it is incomplete */
};

/* table_snapshot_new: of all keys, or, when since is above 1, of the changes from seq since on.
 * Returns NULL when the table was given up, or no longer has all changes. table_snapshot_free:
 * NULL-safe. */
struct table_snapshot *table_snapshot_new(struct table *table, uint64_t since);
void table_snapshot_free(struct table_snapshot *snapshot);
const struct table_place *table_snapshot_place(const struct table_snapshot *snapshot);

/* table_snapshot_read: its records from seq from on, in order: up to max, at least one if there is
 * one and else no more than max_bytes of charge. from never goes back.
 * Owns    the caller unrefs each record.
 * Returns TABLE_DONE with n == 0 at the end; TABLE_CUT when the bound of history has cut it; else
 *         TABLE_MORE, also with n == 0, so that no call is long. */
enum table_read { TABLE_MORE, TABLE_DONE, TABLE_CUT };
enum table_read table_snapshot_read(struct table_snapshot *snapshot, uint64_t from,
    struct record **records, size_t max, uint64_t max_bytes, size_t *n);

/* table_applied_resets: how many resets were applied, and in *seq the last one's; 0: none. */
uint64_t table_applied_resets(struct table *table, uint64_t *seq);

struct table_state {
    uint64_t keys, bytes, history_bytes;
    uint64_t snapshots; /* being read */
    uint64_t evicted;   /* keys, at the bounds */
    uint64_t keyless;   /* records without a key */
    uint64_t cut;       /* snapshots that the bound of history ended */
    bool given_up;
};
void table_state(struct table *table, struct table_state *state);

#endif
