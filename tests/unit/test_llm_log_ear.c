/* What gateways say to each other, as one hears it: llm_log_ear.c, with a log of the test's own. */
#include "unit.h"

#include "../../connectors/llm_log.h"
#include "../../connectors/llm_log_ear.h"
#include "../../connectors/llm_log_tail.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define MOST 64
#define WAIT_TIMES 3000 /* of 10 ms */

/* ---- the log ---- */

struct said {
    enum llm_log_kind kind;
    const char *id, *text;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct said said[MOST];
static int64_t n_said, far; /* lock; far: its records begin there, and those before are not told */
static atomic_bool broken, unknown, stuck;
static atomic_int n_open, n_opened, n_heard;
static _Atomic int64_t began_at; /* where something was read from last */

struct llm_log_tail {
    bool started;
    int64_t at;
    rd_kafka_message_t message;
};

static void
nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

static void
say(enum llm_log_kind kind, const char *id, const char *text)
{
    pthread_mutex_lock(&lock);
    said[n_said++] = (struct said){kind, id, text};
    pthread_mutex_unlock(&lock);
}

struct llm_log_tail *
llm_log_tail_open(
    const struct llm_log_settings *settings, const char *stream, int wake_fd, struct err *err)
{
    (void)settings;
    (void)stream;
    (void)wake_fd;
    (void)err;
    atomic_fetch_add(&n_open, 1);
    atomic_fetch_add(&n_opened, 1);
    return calloc(1, sizeof(struct llm_log_tail));
}

void
llm_log_tail_close(struct llm_log_tail *tail)
{
    atomic_fetch_sub(&n_open, tail != NULL);
    free(tail);
}

int64_t
llm_log_tail_end(struct llm_log_tail *tail, int32_t partition)
{
    (void)tail;
    ck_assert_int_eq(partition, LLM_LOG_EAR_PARTITION);
    pthread_mutex_lock(&lock);
    int64_t end = far + n_said;
    pthread_mutex_unlock(&lock);
    return atomic_load(&broken) ? -1 : end;
}

int
llm_log_tail_find(
    struct llm_log_tail *tail, int32_t partition, int64_t unix_ms, struct llm_log_place *place)
{
    (void)unix_ms;
    *place = (struct llm_log_place){.from = 0, .end = llm_log_tail_end(tail, partition)};
    return atomic_load(&unknown) || place->end < 0 ? -1 : 0;
}

int
llm_log_tail_start(struct llm_log_tail *tail, int32_t partition, int64_t offset)
{
    ck_assert_int_eq(partition, LLM_LOG_EAR_PARTITION);
    tail->started = true;
    tail->at = offset;
    atomic_store(&began_at, offset);
    return 0;
}

enum llm_log_got
llm_log_tail_next(struct llm_log_tail *tail, int wait_ms, struct llm_log_item *item)
{
    (void)wait_ms;
    ck_assert(tail->started);
    if (atomic_load(&broken)) {
        item->why = "broken";
        return LLM_LOG_GOT_FAULT;
    }
    pthread_mutex_lock(&lock);
    tail->at = tail->at < far ? far : tail->at;
    bool more = tail->at < far + n_said && !atomic_load(&stuck);
    struct said *one = more ? &said[tail->at - far] : NULL;
    pthread_mutex_unlock(&lock);
    if (!more) {
        nap();
        *item = (struct llm_log_item){.next = tail->at};
        return LLM_LOG_GOT_END;
    }
    tail->message = (rd_kafka_message_t){.offset = tail->at,
        .key = (void *)(uintptr_t)one->id,
        .key_len = strlen(one->id),
        .payload = (void *)(uintptr_t)one->text,
        .len = strlen(one->text),
        ._private = one};
    tail->at++;
    *item = (struct llm_log_item){.next = tail->at, .message = &tail->message};
    return LLM_LOG_GOT_RECORD;
}

bool
llm_log_tail_read(const rd_kafka_message_t *message, struct llm_log_record *record)
{
    *record = (struct llm_log_record){.kind = ((const struct said *)message->_private)->kind};
    return true;
}

bool
llm_log_tail_is_low(struct llm_log_tail *tail)
{
    (void)tail;
    return false;
}

/* ---- who listens ---- */

static struct llm_log_aliases *aliases;
static struct llm_log_ear *ear;

static void
hear(void *self, const void *id, size_t len, enum llm_log_kind kind)
{
    ck_assert_ptr_eq(self, &aliases);
    ck_assert(kind == LLM_LOG_CANCEL || kind == LLM_LOG_SEEN);
    ck_assert(len == 4 && memcmp(id, "mine", 4) == 0);
    atomic_fetch_add(&n_heard, 1);
}

static void
start(bool wants_aliases)
{
    struct err err;
    aliases = llm_log_aliases_new(10);
    ear = llm_log_ear_start(
        &(struct llm_log_ear_user){
            .aliases = wants_aliases ? aliases : NULL, .hear = hear, .self = &aliases},
        &err);
    ck_assert_ptr_nonnull(ear);
}

static void
stop(void)
{
    llm_log_ear_stop(ear);
    llm_log_aliases_free(aliases);
    ck_assert_int_eq(atomic_load(&n_open), 0);
    n_said = far = 0; /* the next test may run in the same process */
    atomic_store(&n_opened, 0);
    atomic_store(&n_heard, 0);
    atomic_store(&stuck, false);
}

static bool
is_known(const char *alias, const char *as)
{
    char id[LLM_LOG_ID_MAX + 1];
    return llm_log_aliases_find(aliases, alias, id, sizeof id) && strcmp(id, as) == 0;
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        for (int times = 0; times < WAIT_TIMES && !(condition); times++) {                         \
            nap();                                                                                 \
        }                                                                                          \
        ck_assert(condition);                                                                      \
    } while (0)

START_TEST(what_was_said_before_is_learnt_and_what_is_said_now)
{
    say(LLM_LOG_ALIAS, "one", "resp_1");
    say(LLM_LOG_CANCEL, "mine", ""); /* to one who was here before */
    say(LLM_LOG_EVENT, "one", "resp_no");
    start(true);
    WAIT_FOR(llm_log_ear_is_complete(ear));
    ck_assert(is_known("resp_1", "one"));
    ck_assert(!is_known("resp_no", "one"));
    ck_assert_int_eq(llm_log_ear_partition(ear), LLM_LOG_EAR_PARTITION);
    ck_assert_int_eq(atomic_load(&n_heard), 0);
    say(LLM_LOG_SEEN, "mine", "");
    say(LLM_LOG_EVENT, "mine", "x");
    say(LLM_LOG_CANCEL, "mine", "");
    say(LLM_LOG_ALIAS, "two", "resp_2");
    WAIT_FOR(is_known("resp_2", "two"));
    ck_assert_int_eq(atomic_load(&n_heard), 2);
    WAIT_FOR(atomic_load(&n_open) == 1); /* who read the past is no more */
    stop();
}
END_TEST

START_TEST(who_wants_no_names_reads_no_past)
{
    say(LLM_LOG_ALIAS, "one", "resp_1");
    start(false);
    WAIT_FOR(llm_log_ear_partition(ear) >= 0);
    say(LLM_LOG_ALIAS, "two", "resp_2");
    say(LLM_LOG_CANCEL, "mine", "");
    WAIT_FOR(atomic_load(&n_heard) == 1);
    ck_assert_int_eq(atomic_load(&n_opened), 1);
    ck_assert(!llm_log_ear_is_complete(ear));
    stop();
}
END_TEST

START_TEST(an_empty_past_costs_no_client)
{
    start(true);
    WAIT_FOR(llm_log_ear_is_complete(ear));
    ck_assert_int_eq(atomic_load(&n_opened), 1);
    stop();
}
END_TEST

START_TEST(it_is_not_complete_before_the_past_is_read)
{
    say(LLM_LOG_ALIAS, "one", "resp_1");
    atomic_store(&unknown, true); /* no broker says where that begins */
    start(true);
    WAIT_FOR(llm_log_ear_partition(ear) >= 0);
    ck_assert(!llm_log_ear_is_complete(ear));
    atomic_store(&stuck, true);
    atomic_store(&unknown, false);
    WAIT_FOR(atomic_load(&n_open) == 2);
    ck_assert(!llm_log_ear_is_complete(ear));
    atomic_store(&stuck, false);
    WAIT_FOR(llm_log_ear_is_complete(ear));
    ck_assert(is_known("resp_1", "one"));
    stop();
}
END_TEST

START_TEST(who_stops_while_the_past_is_read_waits_for_nothing)
{
    say(LLM_LOG_ALIAS, "one", "resp_1");
    atomic_store(&stuck, true);
    start(true);
    WAIT_FOR(atomic_load(&n_open) == 2);
    stop();
}
END_TEST

START_TEST(what_was_said_while_it_was_deaf_is_learnt)
{
    start(true);
    WAIT_FOR(llm_log_ear_is_complete(ear));
    say(LLM_LOG_ALIAS, "one", "resp_1");
    WAIT_FOR(is_known("resp_1", "one"));
    atomic_store(&broken, true);
    WAIT_FOR(!llm_log_ear_is_complete(ear));
    ck_assert_int_eq(llm_log_ear_partition(ear), -1);
    say(LLM_LOG_ALIAS, "two", "resp_2");
    atomic_store(&broken, false);
    WAIT_FOR(llm_log_ear_is_complete(ear));
    ck_assert(is_known("resp_1", "one") && is_known("resp_2", "two"));
    stop();
}
END_TEST

START_TEST(of_a_topic_that_was_made_again_nothing_old_is_known)
{
    start(true);
    WAIT_FOR(llm_log_ear_is_complete(ear));
    say(LLM_LOG_ALIAS, "one", "resp_1");
    say(LLM_LOG_ALIAS, "one", "resp_2");
    WAIT_FOR(is_known("resp_2", "one"));
    atomic_store(&broken, true);
    WAIT_FOR(!llm_log_ear_is_complete(ear));
    pthread_mutex_lock(&lock);
    n_said = 0;
    pthread_mutex_unlock(&lock);
    say(LLM_LOG_ALIAS, "two", "resp_2");
    atomic_store(&broken, false);
    WAIT_FOR(llm_log_ear_is_complete(ear));
    ck_assert(is_known("resp_2", "two"));
    ck_assert(!is_known("resp_1", "one"));
    stop();
}
END_TEST

START_TEST(of_a_long_past_only_the_last_part_is_read)
{
    far = 3 * LLM_LOG_EAR_PAST;
    say(LLM_LOG_ALIAS, "one", "resp_1");
    start(true);
    WAIT_FOR(llm_log_ear_is_complete(ear));
    ck_assert(is_known("resp_1", "one"));
    ck_assert_int_eq(atomic_load(&began_at), far + 1 - LLM_LOG_EAR_PAST);
    stop();
}
END_TEST

UNIT_MAIN("llm_log_ear", what_was_said_before_is_learnt_and_what_is_said_now,
    who_wants_no_names_reads_no_past, an_empty_past_costs_no_client,
    it_is_not_complete_before_the_past_is_read, who_stops_while_the_past_is_read_waits_for_nothing,
    what_was_said_while_it_was_deaf_is_learnt, of_a_topic_that_was_made_again_nothing_old_is_known,
    of_a_long_past_only_the_last_part_is_read)
