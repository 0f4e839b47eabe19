/* table: versions of keys in the order of seq, and readers that walk over them. Any thread; what is
 * freed is freed outside of the lock. */
#include "table.h"

#include "keytable.h"
#include "mem.h"
#include "track.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>

#define APPLY_STEP 64   /* records applied under one lock */
#define READ_STEP 1024u /* versions looked at under one lock */

enum version_kind { VERSION_NEWEST, VERSION_REPLACED, VERSION_REMOVAL, VERSION_HOLLOW };
#define VERSION_LISTS                                                                              \
    3 /* a hollow one is in the list of all alone, while a reader stands on it                     \
       */

struct version {
    struct keyed keyed; /* first: what the table of keys gives back; record NULL once hollow */
    TAILQ_ENTRY(version) link;
    TAILQ_ENTRY(version) kind_link; /* newest, removals: by seq; replaced: by until */
    uint64_t seq;
    uint64_t until; /* the seq that replaced or removed it */
    uint32_t readers;
    enum version_kind kind;
};

TAILQ_HEAD(version_list, version);
TAILQ_HEAD(snapshot_list, table_snapshot);

struct table_snapshot {
    TAILQ_ENTRY(table_snapshot) link; /* in the order of place.seq */
    struct table *table;
    struct table_place place;
    uint64_t since;      /* 0: all keys */
    struct version *at;  /* the last one passed; NULL: before the first */
    struct record *last; /* place.last, with a reference */
    bool cut;
};

struct table {
    pthread_mutex_t lock;
    struct table_limits limits;
    struct keytable keys; /* the newest versions */
    struct version_list all;
    struct version_list kinds[VERSION_LISTS];
    struct snapshot_list readers;
    uint64_t n_readers;
    uint64_t bytes, history_bytes;
    struct record *last;
    uint64_t floor; /* of changes up to this seq some are no longer known */
    uint64_t reset_seq;
    uint64_t resets; /* applied */
    uint64_t evicted, keyless, cut;
    bool given_up;
    atomic_uint_fast64_t announced;
};

struct table *
table_new(const struct table_limits *limits)
{
    struct table *table = mem_calloc(1, sizeof *table);
    pthread_mutex_init(&table->lock, NULL);
    table->limits = *limits;
    keytable_init(&table->keys);
    TAILQ_INIT(&table->all);
    for (int i = 0; i < VERSION_LISTS; i++) {
        TAILQ_INIT(&table->kinds[i]);
    }
    TAILQ_INIT(&table->readers);
    return table;
}

static void
free_all(struct version_list *trash)
{
    struct version *version;
    struct version *next;
    for (version = TAILQ_FIRST(trash); version != NULL; version = next) {
        next = TAILQ_NEXT(version, kind_link);
        record_unref(version->keyed.record);
        free(version);
    }
}

void
table_free(struct table *table)
{
    if (table == NULL) {
        return;
    }
    assert(TAILQ_EMPTY(&table->readers));
    struct version *version;
    struct version *next;
    for (version = TAILQ_FIRST(&table->all); version != NULL; version = next) {
        next = TAILQ_NEXT(version, link);
        record_unref(version->keyed.record);
        free(version);
    }
    record_unref(table->last);
    keytable_fini(&table->keys);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* ---- versions; all of this with the lock ---- */

/* A version may be the last one to hold its track. */
static uint64_t
charge_of(const struct version *version)
{
    const struct record *record = version->keyed.record;
    uint64_t track = record->track == NULL ? 0 : track_bytes(record->track);
    return record_own_bytes(record) + track + TABLE_VERSION_BYTES;
}

static uint64_t *
account_of(struct table *table, enum version_kind kind)
{
    return kind == VERSION_NEWEST ? &table->bytes : &table->history_bytes;
}

static void
enter_kind(struct table *table, struct version *version, enum version_kind kind)
{
    version->kind = kind;
    TAILQ_INSERT_TAIL(&table->kinds[kind], version, kind_link);
    *account_of(table, kind) += charge_of(version);
}

static void
leave_kind(struct table *table, struct version *version)
{
    TAILQ_REMOVE(&table->kinds[version->kind], version, kind_link);
    *account_of(table, version->kind) -= charge_of(version);
    version->kind = VERSION_HOLLOW;
}

/* Nobody needs it: away with it, but a reader that stands on it keeps its place. */
static void
drop(struct table *table, struct version *version, struct version_list *trash)
{
    leave_kind(table, version);
    if (version->readers == 0) {
        TAILQ_REMOVE(&table->all, version, link);
        TAILQ_INSERT_TAIL(trash, version, kind_link);
        return;
    }
    struct version *shell = mem_calloc(1, sizeof *shell); /* takes the record out of the lock */
    shell->keyed.record = version->keyed.record;
    version->keyed.record = NULL;
    TAILQ_INSERT_TAIL(trash, shell, kind_link);
}

/* It is no longer its key's. A snapshot that was taken since it came still has it. */
static void
retire(struct table *table, struct version *version, uint64_t until, struct version_list *trash)
{
    const struct table_snapshot *newest = TAILQ_LAST(&table->readers, snapshot_list);
    version->until = until;
    if (newest != NULL && newest->place.seq > version->seq) {
        leave_kind(table, version);
        enter_kind(table, version, VERSION_REPLACED);
    } else {
        drop(table, version, trash);
    }
}

static void
stand_on(struct table_snapshot *reader, struct version *version, struct version_list *trash)
{
    struct version *before = reader->at;
    if (version != NULL) {
        version->readers++;
    }
    reader->at = version;
    if (before != NULL && --before->readers == 0 && before->kind == VERSION_HOLLOW) {
        TAILQ_REMOVE(&reader->table->all, before, link);
        TAILQ_INSERT_TAIL(trash, before, kind_link);
    }
}

/* What only readers that are gone had. */
static void
purge(struct table *table, struct version_list *trash)
{
    const struct table_snapshot *oldest = TAILQ_FIRST(&table->readers);
    struct version *version;
    while ((version = TAILQ_FIRST(&table->kinds[VERSION_REPLACED])) != NULL &&
           (oldest == NULL || version->until < oldest->place.seq)) {
        drop(table, version, trash);
    }
}

static void
unlink_reader(struct table_snapshot *reader, struct version_list *trash)
{
    struct table *table = reader->table;
    if (!reader->cut) {
        TAILQ_REMOVE(&table->readers, reader, link);
        table->n_readers--;
        stand_on(reader, NULL, trash);
        purge(table, trash);
    }
}

static void
cut(struct table_snapshot *reader, struct version_list *trash)
{
    reader->table->cut++;
    unlink_reader(reader, trash);
    reader->cut = true;
}

static void
raise_floor(struct table *table, uint64_t seq)
{
    table->floor = seq > table->floor ? seq : table->floor;
}

static void
bound_history(struct table *table, struct version_list *trash)
{
    while (table->history_bytes > table->limits.history_bytes) {
        struct version *removal = TAILQ_FIRST(&table->kinds[VERSION_REMOVAL]);
        if (removal != NULL) {
            raise_floor(table, removal->seq);
            drop(table, removal, trash);
        } else {
            cut(TAILQ_FIRST(&table->readers), trash);
        }
    }
}

static void
give_up(struct table *table, struct version_list *trash)
{
    struct table_snapshot *reader;
    struct version *version;
    table->given_up = true;
    while ((reader = TAILQ_FIRST(&table->readers)) != NULL) {
        cut(reader, trash);
    }
    while ((version = TAILQ_FIRST(&table->all)) != NULL) {
        drop(table, version, trash);
    }
    keytable_fini(&table->keys);
    keytable_init(&table->keys);
}

static void
bound_keys(struct table *table, uint64_t seq, struct version_list *trash)
{
    while (table->keys.n > 1 &&
           (table->keys.n > table->limits.keys || table->bytes > table->limits.bytes)) {
        if (!table->limits.evict) {
            give_up(table, trash);
            return;
        }
        struct version *oldest = TAILQ_FIRST(&table->kinds[VERSION_NEWEST]);
        keytable_remove(&table->keys, &oldest->keyed);
        table->evicted++;
        raise_floor(table, oldest->seq);
        retire(table, oldest, seq, trash);
    }
}

static struct version *
append(struct table *table, struct record *record, uint64_t hash, enum version_kind kind)
{
    struct version *version = mem_calloc(1, sizeof *version);
    version->keyed = (struct keyed){record_ref(record), hash};
    version->seq = record->seq;
    version->until = UINT64_MAX;
    TAILQ_INSERT_TAIL(&table->all, version, link);
    enter_kind(table, version, kind);
    return version;
}

static void
apply_reset(struct table *table, const struct record *reset, struct version_list *trash)
{
    struct version *version;
    struct version *next;
    for (version = TAILQ_FIRST(&table->kinds[VERSION_NEWEST]); version != NULL; version = next) {
        next = TAILQ_NEXT(version, kind_link);
        if (version->keyed.record->lane == reset->lane) {
            keytable_remove(&table->keys, &version->keyed);
            retire(table, version, reset->seq, trash);
        }
    }
    raise_floor(table, reset->seq);
    table->reset_seq = reset->seq;
    table->resets++;
}

static void
apply_tombstone(
    struct table *table, struct record *record, uint64_t hash, struct version_list *trash)
{
    struct version *before = (struct version *)keytable_find(&table->keys, record, hash);
    if (before != NULL) {
        keytable_remove(&table->keys, &before->keyed);
        retire(table, before, record->seq, trash);
    }
    if (before != NULL || table->evicted > 0) { /* else nobody can have had the key */
        append(table, record, hash, VERSION_REMOVAL);
    }
}

static void
apply(struct table *table, struct record *record, struct version_list *trash)
{
    if (record->is_gap && record->weight == 0) {
        apply_reset(table, record, trash);
    } else if (!keytable_has_key(record)) {
        table->keyless += !record->is_gap;
    } else if (!table->given_up) {
        uint64_t hash = keytable_hash(&table->keys, record);
        if (record->is_tombstone) {
            apply_tombstone(table, record, hash, trash);
        } else {
            struct version *version = append(table, record, hash, VERSION_NEWEST);
            struct keyed *before = keytable_put(&table->keys, &version->keyed);
            if (before != NULL) {
                retire(table, (struct version *)before, record->seq, trash);
            }
            bound_keys(table, record->seq, trash);
        }
        bound_history(table, trash);
    }
}

void
table_apply_take(struct table *table, struct record *const *records, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t end = n - i < APPLY_STEP ? n : i + APPLY_STEP;
        size_t begin = i;
        struct version_list trash = TAILQ_HEAD_INITIALIZER(trash);
        pthread_mutex_lock(&table->lock);
        for (; i < end; i++) {
            apply(table, records[i], &trash);
        }
        struct record *last = table->last;
        table->last = record_ref(records[end - 1]);
        pthread_mutex_unlock(&table->lock);
        free_all(&trash);
        record_unref(last);
        for (size_t k = begin; k < end; k++) {
            record_unref(records[k]);
        }
    }
}

void
table_announce_reset(struct table *table)
{
    atomic_fetch_add(&table->announced, 1);
}

uint64_t
table_resets(const struct table *table)
{
    return atomic_load(&table->announced);
}

uint64_t
table_applied_resets(struct table *table, uint64_t *seq)
{
    pthread_mutex_lock(&table->lock);
    uint64_t resets = table->resets;
    *seq = table->reset_seq;
    pthread_mutex_unlock(&table->lock);
    return resets;
}

/* ---- snapshots ---- */

static void
take_place(struct table_snapshot *snapshot)
{
    const struct table *table = snapshot->table;
    struct table_place *place = &snapshot->place;
    *place = (struct table_place){.seq = 1, .resets = table->resets, .evicted = table->evicted};
    if (table->last != NULL) {
        struct record *last = snapshot->last = record_ref(table->last);
        place->seq = last->seq + 1;
        place->ordinal = last->ordinal;
        place->bytes = last->bytes_before + record_charge_bytes(last);
        place->last = last;
    }
}

struct table_snapshot *
table_snapshot_new(struct table *table, uint64_t since)
{
    struct table_snapshot *snapshot = mem_calloc(1, sizeof *snapshot);
    snapshot->table = table;
    snapshot->since = since > 1 ? since : 0;
    pthread_mutex_lock(&table->lock);
    bool can = !table->given_up && (snapshot->since == 0 || snapshot->since > table->floor);
    if (can) {
        take_place(snapshot);
        TAILQ_INSERT_TAIL(&table->readers, snapshot, link);
        table->n_readers++;
    }
    pthread_mutex_unlock(&table->lock);
    if (!can) {
        free(snapshot);
        return NULL;
    }
    return snapshot;
}

void
table_snapshot_free(struct table_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    struct version_list trash = TAILQ_HEAD_INITIALIZER(trash);
    pthread_mutex_lock(&snapshot->table->lock);
    unlink_reader(snapshot, &trash);
    pthread_mutex_unlock(&snapshot->table->lock);
    free_all(&trash);
    record_unref(snapshot->last);
    free(snapshot);
}

const struct table_place *
table_snapshot_place(const struct table_snapshot *snapshot)
{
    return &snapshot->place;
}

static bool
shows(const struct table_snapshot *snapshot, const struct version *version)
{
    return version->kind != VERSION_HOLLOW && version->seq >= snapshot->since &&
           version->until >= snapshot->place.seq &&
           (version->kind != VERSION_REMOVAL || snapshot->since > 0);
}

static struct version *
after(const struct table_snapshot *snapshot, const struct version *at)
{
    struct version *next = at == NULL ? TAILQ_FIRST(&snapshot->table->all) : TAILQ_NEXT(at, link);
    return next == NULL || next->seq >= snapshot->place.seq ? NULL : next;
}

/* Stand on the last one that is sent, or shown to nobody. */
static void
pass(struct table_snapshot *snapshot, uint64_t from, struct version_list *trash)
{
    struct version *at = snapshot->at;
    struct version *next;
    for (unsigned i = 0; i < READ_STEP && (next = after(snapshot, at)) != NULL &&
                         (next->seq < from || !shows(snapshot, next));
         i++) {
        at = next;
    }
    if (at != snapshot->at) {
        stand_on(snapshot, at, trash);
    }
}

static size_t
collect(const struct table_snapshot *snapshot, uint64_t from, struct record **records, size_t max,
    uint64_t max_bytes)
{
    size_t n = 0;
    uint64_t bytes = 0;
    const struct version *version = snapshot->at;
    for (unsigned i = 0; i < READ_STEP && n < max && (version = after(snapshot, version)) != NULL;
         i++) {
        if (version->seq < from || !shows(snapshot, version)) {
            continue;
        }
        bytes += record_charge_bytes(version->keyed.record);
        if (n > 0 && bytes > max_bytes) {
            break;
        }
        records[n++] = record_ref(version->keyed.record);
    }
    return n;
}

enum table_read
table_snapshot_read(struct table_snapshot *snapshot, uint64_t from, struct record **records,
    size_t max, uint64_t max_bytes, size_t *n)
{
    enum table_read result = TABLE_MORE;
    struct table *table = snapshot->table;
    struct version_list trash = TAILQ_HEAD_INITIALIZER(trash);
    *n = 0;
    pthread_mutex_lock(&table->lock);
    if (!snapshot->cut && snapshot->since > 0 && snapshot->since <= table->floor) {
        cut(snapshot, &trash);
    }
    if (snapshot->cut) {
        result = TABLE_CUT;
    } else {
        pass(snapshot, from, &trash);
        *n = collect(snapshot, from, records, max, max_bytes);
        if (*n == 0 && after(snapshot, snapshot->at) == NULL) {
            result = TABLE_DONE;
        }
    }
    pthread_mutex_unlock(&table->lock);
    free_all(&trash);
    return result;
}

void
table_state(struct table *table, struct table_state *state)
{
    pthread_mutex_lock(&table->lock);
    *state = (struct table_state){
        .keys = table->keys.n,
        .bytes = table->bytes,
        .history_bytes = table->history_bytes,
        .snapshots = table->n_readers,
        .evicted = table->evicted,
        .keyless = table->keyless,
        .cut = table->cut,
        .given_up = table->given_up,
    };
    pthread_mutex_unlock(&table->lock);
}
