/* test_table: snapshots against a plain list of all records, while they are read and the table goes
 * on; bounds; resets. */
#include "table.h"

#include "buf.h"
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define KEYS 40
#define RECORDS 3000
#define READERS 6

static struct record *
make(uint64_t seq, int key, bool tombstone, uint32_t lane, size_t len)
{
    char text[16];
    static const char data[512] = {'x'};
    struct buf scratch;
    buf_init(&scratch);
    int key_len = snprintf(text, sizeof text, "key-%d", key);
    struct record_input in = {.key = key < 0 ? NULL : text,
        .key_len = (size_t)key_len,
        .data = tombstone ? NULL : data,
        .data_len = len,
        .lane = lane,
        .time_ms = 1};
    struct record *record = record_new(&in, "AQA", 3, "{\"offset\":", 1, &scratch);
    record->seq = record->ordinal = seq;
    buf_fini(&scratch);
    return record;
}

static struct record *
make_reset(uint64_t seq, uint32_t lane)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record *record = record_new_gap("reset", 0, "AQA", "AQE", lane, 0, 1, &scratch);
    record->seq = record->ordinal = seq;
    buf_fini(&scratch);
    return record;
}

static void
put(struct table *table, uint64_t seq, int key, bool tombstone)
{
    struct record *record = make(seq, key, tombstone, 0, 100);
    table_apply_take(table, &record, 1);
}

static struct table *
roomy(void)
{
    return table_new(
        &(struct table_limits){.keys = 1000000, .bytes = UINT64_MAX, .history_bytes = UINT64_MAX});
}

static int
key_of(const struct record *record)
{
    int key = -1;
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)record->key_len, record->text + record->key_off);
    ck_assert_int_eq(sscanf(text, "\"key-%d\"", &key), 1);
    return key;
}

/* ---- the model: for each key the seq of its newest record, after each record ---- */

static uint64_t states[RECORDS + 1][KEYS]; /* 0: it is not there */

/* A client: what it was sent, applied in order. */
struct client {
    struct table_snapshot *snapshot;
    uint64_t since; /* 0: a snapshot of all keys */
    uint64_t from;
    uint64_t map[KEYS];
    size_t got;
};

static void
begin(struct client *client, struct table *table, uint64_t since)
{
    memset(client, 0, sizeof *client);
    client->snapshot = table_snapshot_new(table, since);
    ck_assert_ptr_nonnull(client->snapshot);
    client->since = client->from = since;
    if (since > 0) {
        memcpy(client->map, states[since - 1], sizeof client->map);
    }
}

static enum table_read
read_some(struct client *client, size_t most)
{
    struct record *records[64];
    size_t n;
    enum table_read result =
        table_snapshot_read(client->snapshot, client->from, records, most, UINT64_MAX, &n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_ge(records[i]->seq, client->from);
        ck_assert_uint_lt(records[i]->seq, table_snapshot_place(client->snapshot)->seq);
        client->from = records[i]->seq + 1;
        ck_assert(client->since > 0 || !records[i]->is_tombstone);
        client->map[key_of(records[i])] = records[i]->is_tombstone ? 0 : records[i]->seq;
        record_unref(records[i]);
    }
    client->got += n;
    return result;
}

static void
check_and_end(struct client *client)
{
    uint64_t at = table_snapshot_place(client->snapshot)->seq - 1;
    ck_assert_mem_eq(client->map, states[at], sizeof client->map);
    if (client->since == 0) {
        size_t n = 0;
        for (int key = 0; key < KEYS; key++) {
            n += states[at][key] != 0;
        }
        ck_assert_uint_eq(client->got, n);
    }
    table_snapshot_free(client->snapshot);
    client->snapshot = NULL;
}

static void
step_of(struct client *client, struct table *table, uint64_t seq, unsigned *seed)
{
    if (client->snapshot == NULL) {
        uint64_t back = (uint64_t)rand_r(seed) % 200;
        bool changes = rand_r(seed) % 2 == 0 && back + 2 < seq;
        begin(client, table, changes ? seq - back : 0);
    } else if (read_some(client, 1 + (size_t)rand_r(seed) % 8) == TABLE_DONE) {
        check_and_end(client);
    }
}

static void
run_model(unsigned seed)
{
    struct table *table = roomy();
    struct client clients[READERS];
    memset(clients, 0, sizeof clients);
    for (uint64_t seq = 1; seq <= RECORDS; seq++) {
        int key = rand_r(&seed) % 4 == 0 ? rand_r(&seed) % KEYS : rand_r(&seed) % 5;
        bool tombstone = rand_r(&seed) % 5 == 0;
        memcpy(states[seq], states[seq - 1], sizeof *states);
        states[seq][key] = tombstone ? 0 : seq;
        put(table, seq, key, tombstone);
        for (int i = 0; i < READERS; i++) {
            if (rand_r(&seed) % (3 + i * 4) == 0) {
                step_of(&clients[i], table, seq, &seed);
            }
        }
    }
    for (int i = 0; i < READERS; i++) {
        while (clients[i].snapshot != NULL) {
            step_of(&clients[i], table, RECORDS, &seed);
        }
    }
    struct table_state state;
    table_state(table, &state);
    ck_assert_uint_eq(state.snapshots, 0);
    table_free(table);
}

START_TEST(a_snapshot_is_the_table_as_it_was_when_it_began)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        run_model(seed);
    }
}
END_TEST

START_TEST(what_no_snapshot_needs_is_let_go)
{
    struct table *table = roomy();
    struct table_state state;
    for (uint64_t seq = 1; seq <= 100; seq++) {
        put(table, seq, (int)(seq % 10), false);
    }
    table_state(table, &state);
    ck_assert_uint_eq(state.history_bytes, 0);
    struct table_snapshot *first = table_snapshot_new(table, 0);
    for (uint64_t seq = 101; seq <= 200; seq++) {
        put(table, seq, (int)(seq % 10), false);
    }
    table_state(table, &state);
    ck_assert_uint_eq(state.history_bytes, state.bytes); /* one more of each key, not ten */
    struct table_snapshot *second = table_snapshot_new(table, 0);
    table_snapshot_free(first);
    table_state(table, &state);
    ck_assert_uint_eq(state.history_bytes, 0);
    table_snapshot_free(second);
    table_free(table);
}
END_TEST

START_TEST(beyond_its_bound_of_history_the_oldest_snapshot_is_cut)
{
    struct table *table =
        table_new(&(struct table_limits){.keys = 100, .bytes = UINT64_MAX, .history_bytes = 20000});
    struct table_state state;
    struct record *records[64];
    size_t n;
    for (uint64_t seq = 1; seq <= 100; seq++) {
        put(table, seq, (int)seq, false);
    }
    struct table_snapshot *old = table_snapshot_new(table, 0);
    ck_assert_int_eq(table_snapshot_read(old, 0, records, 3, UINT64_MAX, &n), TABLE_MORE);
    ck_assert_uint_eq(n, 3);
    uint64_t from = records[2]->seq + 1;
    ck_assert_int_eq(table_snapshot_read(old, from, records + 3, 1, UINT64_MAX, &n), TABLE_MORE);
    for (int i = 0; i < 4; i++) {
        record_unref(records[i]);
    }
    for (uint64_t seq = 101; seq <= 200; seq++) {
        put(table, seq, (int)seq - 100, false);
        table_state(table, &state);
        ck_assert_uint_le(state.history_bytes, 20000);
    }
    ck_assert_uint_eq(state.cut, 1);
    ck_assert_uint_eq(state.history_bytes, 0);
    ck_assert_int_eq(table_snapshot_read(old, from, records, 3, UINT64_MAX, &n), TABLE_CUT);
    table_snapshot_free(old);
    table_free(table);
}
END_TEST

START_TEST(changes_from_before_a_forgotten_tombstone_are_refused)
{
    struct table *table = table_new(
        &(struct table_limits){.keys = 1000, .bytes = UINT64_MAX, .history_bytes = 10000});
    struct record *records[4];
    size_t n;
    put(table, 1, 1, false);
    put(table, 2, 2, false);
    struct table_snapshot *changes = table_snapshot_new(table, 2);
    ck_assert_ptr_nonnull(changes);
    for (uint64_t seq = 3; seq < 203; seq += 2) {
        put(table, seq, (int)seq, false);
        put(table, seq + 1, (int)seq, true);
    }
    ck_assert_int_eq(table_snapshot_read(changes, 2, records, 4, UINT64_MAX, &n), TABLE_CUT);
    table_snapshot_free(changes);
    ck_assert_ptr_null(table_snapshot_new(table, 4));
    changes = table_snapshot_new(table, 190);
    ck_assert_ptr_nonnull(changes);
    table_snapshot_free(changes);
    table_free(table);
}
END_TEST

START_TEST(at_its_bounds_the_oldest_key_goes_but_not_out_of_a_snapshot)
{
    struct table *table = table_new(&(struct table_limits){
        .keys = 10, .bytes = UINT64_MAX, .history_bytes = UINT64_MAX, .evict = true});
    struct table_state state;
    memset(states, 0, sizeof states);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        put(table, seq, (int)seq, false);
        memcpy(states[seq], states[seq - 1], sizeof *states);
        states[seq][seq] = seq;
    }
    struct client client;
    begin(&client, table, 0);
    for (uint64_t seq = 11; seq <= 30; seq++) {
        put(table, seq, (int)seq, false);
    }
    table_state(table, &state);
    ck_assert_uint_eq(state.keys, 10);
    ck_assert_uint_eq(state.evicted, 20);
    while (read_some(&client, 64) != TABLE_DONE) {
    }
    ck_assert_uint_eq(table_snapshot_place(client.snapshot)->evicted, 0);
    check_and_end(&client);
    struct table_snapshot *later = table_snapshot_new(table, 0);
    ck_assert_uint_eq(table_snapshot_place(later)->evicted, 20);
    table_snapshot_free(later);
    ck_assert_ptr_null(table_snapshot_new(table, 20)); /* a key that changed since is gone */
    table_free(table);
}
END_TEST

START_TEST(or_it_is_given_up_with_all_it_held)
{
    struct table *table =
        table_new(&(struct table_limits){.keys = 10, .bytes = UINT64_MAX, .history_bytes = 10000});
    struct table_state state;
    struct record *records[1];
    size_t n;
    put(table, 1, 1, false);
    struct table_snapshot *snapshot = table_snapshot_new(table, 0);
    for (uint64_t seq = 2; seq <= 30; seq++) {
        put(table, seq, (int)seq, seq % 3 == 0);
    }
    table_state(table, &state);
    ck_assert(state.given_up);
    ck_assert_uint_eq(state.keys + state.bytes + state.history_bytes, 0);
    ck_assert_int_eq(table_snapshot_read(snapshot, 0, records, 1, UINT64_MAX, &n), TABLE_CUT);
    table_snapshot_free(snapshot);
    ck_assert_ptr_null(table_snapshot_new(table, 0));
    table_free(table);
}
END_TEST

START_TEST(a_reset_takes_what_its_lane_had)
{
    struct table *table = roomy();
    uint64_t at;
    for (uint64_t seq = 1; seq <= 10; seq++) {
        struct record *record = make(seq, (int)seq, false, (uint32_t)(seq % 2), 10);
        table_apply_take(table, &record, 1);
    }
    struct table_snapshot *before = table_snapshot_new(table, 0);
    table_announce_reset(table);
    ck_assert_uint_eq(table_resets(table), 1);
    ck_assert_uint_eq(table_applied_resets(table, &at), 0);
    struct record *reset = make_reset(11, 1);
    table_apply_take(table, &reset, 1);
    ck_assert_uint_eq(table_applied_resets(table, &at), 1);
    ck_assert_uint_eq(at, 11);
    struct table_snapshot *after = table_snapshot_new(table, 0);
    struct record *records[64];
    size_t n;
    ck_assert_int_eq(table_snapshot_read(after, 0, records, 64, UINT64_MAX, &n), TABLE_MORE);
    ck_assert_uint_eq(n, 5);
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_eq(records[i]->lane, 0);
        record_unref(records[i]);
    }
    ck_assert_int_eq(table_snapshot_read(before, 0, records, 64, UINT64_MAX, &n), TABLE_MORE);
    ck_assert_uint_eq(n, 10);
    for (size_t i = 0; i < n; i++) {
        record_unref(records[i]);
    }
    ck_assert_ptr_null(table_snapshot_new(table, 5));
    table_snapshot_free(before);
    table_snapshot_free(after);
    table_free(table);
}
END_TEST

START_TEST(bytes_of_a_batch_are_bounded_and_records_without_a_key_are_counted)
{
    struct table *table = roomy();
    struct table_state state;
    struct record *records[64];
    size_t n;
    put(table, 1, -1, false);
    for (uint64_t seq = 2; seq <= 20; seq++) {
        put(table, seq, (int)seq, false);
    }
    table_state(table, &state);
    ck_assert_uint_eq(state.keyless, 1);
    ck_assert_uint_eq(state.keys, 19);
    struct table_snapshot *snapshot = table_snapshot_new(table, 0);
    ck_assert_int_eq(table_snapshot_read(snapshot, 0, records, 64, 1, &n), TABLE_MORE);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(records[0]->seq, 2);
    record_unref(records[0]);
    table_snapshot_free(snapshot);
    table_free(table);
}
END_TEST

/* ---- threads: for ThreadSanitizer ---- */

#define CHURN 20000

static void *
read_for_ever(void *arg)
{
    struct table *table = arg;
    unsigned seed = 7;
    uint64_t seq = 0;
    while (seq < CHURN) {
        struct table_snapshot *snapshot = table_snapshot_new(table, 0);
        const struct table_place *place = table_snapshot_place(snapshot);
        struct record *records[16];
        uint64_t from = 0, sum = 0;
        size_t n;
        seq = place->seq;
        while (table_snapshot_read(snapshot, from, records, 1 + (size_t)rand_r(&seed) % 16, 4000,
                   &n) != TABLE_DONE) {
            for (size_t i = 0; i < n; i++) {
                ck_assert(records[i]->seq >= from && records[i]->seq < place->seq);
                from = records[i]->seq + 1;
                record_unref(records[i]);
            }
            sum += n;
        }
        ck_assert_uint_eq(sum, place->seq - 1 < KEYS ? place->seq - 1 : KEYS);
        table_snapshot_free(snapshot);
    }
    return NULL;
}

START_TEST(readers_of_other_threads_see_whole_tables)
{
    struct table *table = roomy();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_for_ever, table), 0);
    }
    for (uint64_t seq = 1; seq <= CHURN;) {
        struct record *records[8];
        for (size_t i = 0; i < 8; i++, seq++) {
            records[i] = make(seq, (int)(seq % KEYS), false, 0, seq % 200);
        }
        table_apply_take(table, records, 8);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    table_free(table);
}
END_TEST

UNIT_MAIN("table", a_snapshot_is_the_table_as_it_was_when_it_began,
    what_no_snapshot_needs_is_let_go, beyond_its_bound_of_history_the_oldest_snapshot_is_cut,
    changes_from_before_a_forgotten_tombstone_are_refused,
    at_its_bounds_the_oldest_key_goes_but_not_out_of_a_snapshot, or_it_is_given_up_with_all_it_held,
    a_reset_takes_what_its_lane_had,
    bytes_of_a_batch_are_bounded_and_records_without_a_key_are_counted,
    readers_of_other_threads_see_whole_tables)
