/* test_generations: the table of answers, with a source that the test plays. */
#include "generations.h"

#include "clock.h"
#include "connector.h"
#include "mem.h"
#include "stream.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PATIENCE_MS 60000

struct source {
    struct stream *stream;
    uint32_t lane;
};

static atomic_int started, cancelled, stopped;
static atomic_bool refuses;

static struct source *
start(const void *settings, struct stream *stream, const struct replay *replay, struct err *err)
{
    (void)settings;
    if (atomic_load(&refuses)) {
        err_set(err, ERR_INVALID, "no");
        return NULL;
    }
    ck_assert_mem_eq(replay->body, "body", 4);
    ck_assert_uint_eq(strlen(replay->name), GENERATION_ID_LEN);
    struct source *source = mem_calloc(1, sizeof *source);
    source->stream = stream;
    source->lane = stream_lane_add(stream, replay->name, 0, 0);
    stream_source_up(stream);
    atomic_fetch_add(&started, 1);
    return source;
}

static void
wake(struct source *source)
{
    (void)source;
}

/* As a source does whose thread is quick. */
static void
cancel(struct source *source)
{
    atomic_fetch_add(&cancelled, 1);
    stream_source_end(source->stream, STREAM_CANCELLED, "by its source");
}

static void
stop(struct source *source)
{
    atomic_fetch_add(&stopped, 1);
    free(source);
}

static bool
on_request(const void *settings)
{
    (void)settings;
    return true;
}

static const struct connector connector = {.name = "played",
    .capabilities = CONNECTOR_ANSWERS,
    .on_request = on_request,
    .start = start,
    .wake = wake,
    .cancel = cancel,
    .stop = stop};

struct fixture {
    struct config_stream config;
    struct stream *home;
    struct shard *shard; /* nobody listens: it is never woken */
    struct generations *all;
};

static struct fixture *
begin(const struct config_generations *bounds)
{
    static char name[] = "chat";
    struct err err = {.code = ERR_NONE};
    struct fixture *fixture = mem_calloc(1, sizeof *fixture);
    atomic_store(&started, 0);
    atomic_store(&cancelled, 0);
    atomic_store(&stopped, 0);
    atomic_store(&refuses, false);
    fixture->config = (struct config_stream){.name = name,
        .connector = &connector,
        .ring_records = 16,
        .ring_bytes = 1 << 20,
        .max_record_bytes = 65536,
        .generations = *bounds};
    fixture->home = stream_new(&fixture->config, 1);
    ck_assert_int_eq(stream_start(fixture->home, &err), 0);
    const struct generations_options options = {
        .streams = &fixture->home, .n_streams = 1, .shards = &fixture->shard, .n_shards = 1};
    fixture->all = generations_new(&options, &err);
    ck_assert_ptr_nonnull(fixture->all);
    return fixture;
}

static void
end(struct fixture *fixture)
{
    generations_free(fixture->all);
    stream_free(fixture->home);
    free(fixture);
}

static const struct config_generations ample = {.most = 10,
    .kept = 10,
    .bytes = 1 << 20,
    .retain_ms = 3600000,
    .left = GENERATIONS_CANCEL,
    .grace_ms = 3600000,
    .max_time_ms = 3600000};

static const struct generation_ask asked = {.body = "body", .len = 4};

static struct generation *
ask(struct fixture *fixture, const char *caller)
{
    struct err err = {.code = ERR_NONE};
    struct generation *generation = generations_reserve(fixture->all, 0, caller, &err);
    ck_assert_msg(generation != NULL, "%s", err.text);
    ck_assert_int_eq(generation_start(generation, &asked, &err), 0);
    return generation;
}

static struct generations_state
state_of(struct fixture *fixture)
{
    struct generations_state state;
    generations_state(fixture->all, 0, &state);
    return state;
}

static struct stream_outcome
outcome_of(struct generation *generation)
{
    struct stream_outcome outcome;
    stream_outcome(generation_stream(generation), &outcome);
    return outcome;
}

static void
rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        int64_t until_ns_ = clock_mono_ns() + PATIENCE_MS * INT64_C(1000000);                      \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_mono_ns() < until_ns_, "waited in vain for " #condition);          \
            rest();                                                                                \
        }                                                                                          \
    } while (0)

START_TEST(an_id_is_long_and_never_the_same)
{
    struct fixture *fixture = begin(&ample);
    struct generation *one = ask(fixture, "a");
    struct generation *two = ask(fixture, "a");
    ck_assert_uint_eq(strlen(generation_id(one)), GENERATION_ID_LEN);
    ck_assert_uint_eq(strspn(generation_id(one), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
                                                 "wxyz0123456789-_"),
        GENERATION_ID_LEN);
    ck_assert_str_ne(generation_id(one), generation_id(two));
    struct generation *found = generations_find(fixture->all, 0, generation_id(two));
    ck_assert_ptr_eq(found, two);
    ck_assert_ptr_null(generations_find(fixture->all, 0, "AAAAAAAAAAAAAAAAAAAAAA"));
    ck_assert_ptr_null(generations_find(fixture->all, 0, ""));
    generation_unref(found);
    generation_unref(one);
    generation_unref(two);
    end(fixture);
}
END_TEST

START_TEST(a_place_is_taken_from_the_reservation_to_the_end)
{
    struct config_generations bounds = ample;
    bounds.most = 2;
    struct fixture *fixture = begin(&bounds);
    struct err err = {.code = ERR_NONE};
    struct generation *first = ask(fixture, "a");
    struct generation *second = generations_reserve(fixture->all, 0, "b", &err);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(generations_find(fixture->all, 0, generation_id(second)));
    ck_assert_ptr_null(generations_reserve(fixture->all, 0, "c", &err));
    ck_assert_int_eq(err.code, ERR_LIMIT);
    generation_unref(second); /* never started */
    second = ask(fixture, "c");
    ck_assert_ptr_null(generations_reserve(fixture->all, 0, "d", &err));
    stream_source_end(generation_stream(first), NULL, NULL);
    struct generation *third = ask(fixture, "d"); /* whether the keeper has looked or not */
    ck_assert_uint_eq(state_of(fixture).refused, 2);
    ck_assert_uint_eq(state_of(fixture).running, 2);
    ck_assert_uint_eq(state_of(fixture).ended[GENERATION_DONE], 1);
    generation_unref(first);
    generation_unref(second);
    generation_unref(third);
    end(fixture);
}
END_TEST

START_TEST(a_caller_has_a_bound_of_its_own)
{
    struct config_generations bounds = ample;
    bounds.most_caller = 1;
    struct fixture *fixture = begin(&bounds);
    struct err err = {.code = ERR_NONE};
    struct generation *one = ask(fixture, "10.0.0.1");
    ck_assert_ptr_null(generations_reserve(fixture->all, 0, "10.0.0.1", &err));
    ck_assert_int_eq(err.code, ERR_LIMIT);
    struct generation *other = ask(fixture, "10.0.0.2");
    generation_unref(one);
    generation_unref(other);
    end(fixture);
}
END_TEST

START_TEST(what_could_not_be_asked_leaves_nothing)
{
    struct fixture *fixture = begin(&ample);
    struct err err = {.code = ERR_NONE};
    atomic_store(&refuses, true);
    struct generation *generation = generations_reserve(fixture->all, 0, "a", &err);
    ck_assert_int_eq(generation_start(generation, &asked, &err), -1);
    ck_assert_int_eq(err.code, ERR_INVALID);
    ck_assert(!generation_is_started(generation));
    generation_unref(generation);
    ck_assert_uint_eq(state_of(fixture).running, 0);
    ck_assert_uint_eq(state_of(fixture).started, 0);
    end(fixture);
}
END_TEST

START_TEST(a_cancel_is_told_as_what_it_is_for_and_once)
{
    struct fixture *fixture = begin(&ample);
    struct generation *one = ask(fixture, "a");
    struct generation *two = ask(fixture, "a");
    generation_cancel(one, GENERATION_CANCELLED);
    generation_cancel(one, GENERATION_SHUTDOWN); /* it has ended: nothing */
    ck_assert_str_eq(outcome_of(one).code, STREAM_CANCELLED);
    ck_assert_ptr_nonnull(strstr(outcome_of(one).message, "was cancelled"));
    generations_cancel_all(fixture->all, GENERATION_SHUTDOWN);
    ck_assert_str_eq(outcome_of(two).code, "shutdown");
    WAIT_UNTIL(atomic_load(&stopped) == 2); /* by the keeper */
    ck_assert_int_eq(atomic_load(&cancelled), 2);
    ck_assert_uint_eq(state_of(fixture).ended[GENERATION_CANCELLED], 1);
    ck_assert_uint_eq(state_of(fixture).ended[GENERATION_SHUTDOWN], 1);
    ck_assert_uint_eq(state_of(fixture).kept, 2);
    generation_unref(one);
    generation_unref(two);
    end(fixture);
}
END_TEST

START_TEST(the_last_who_leaves_ends_it_at_once_without_grace)
{
    struct config_generations bounds = ample;
    bounds.grace_ms = 0;
    struct fixture *fixture = begin(&bounds);
    struct generation *generation = ask(fixture, "a");
    generation_enter(generation, false);
    generation_enter(generation, true);
    generation_leave(generation);
    ck_assert(!outcome_of(generation).ended);
    ck_assert_uint_eq(state_of(fixture).viewers, 1);
    generation_leave(generation);
    ck_assert_str_eq(outcome_of(generation).code, STREAM_CANCELLED);
    ck_assert_uint_eq(state_of(fixture).ended[GENERATION_LEFT], 1);
    ck_assert_uint_eq(state_of(fixture).joined, 1);
    ck_assert_uint_eq(state_of(fixture).resumed, 1);
    generation_unref(generation);
    end(fixture);
}
END_TEST

START_TEST(grace_and_time_end_it)
{
    struct config_generations bounds = ample;
    bounds.grace_ms = 1;
    struct fixture *fixture = begin(&bounds);
    struct generation *left = ask(fixture, "a");
    generation_enter(left, false);
    generation_leave(left);
    WAIT_UNTIL(outcome_of(left).ended);
    ck_assert_str_eq(outcome_of(left).code, STREAM_CANCELLED);
    generation_unref(left);
    end(fixture);
    bounds = ample;
    bounds.max_time_ms = 1;
    fixture = begin(&bounds);
    struct generation *late = ask(fixture, "a");
    generation_enter(late, false);
    WAIT_UNTIL(outcome_of(late).ended);
    ck_assert_str_eq(outcome_of(late).code, "timeout");
    ck_assert_uint_eq(state_of(fixture).ended[GENERATION_MAX_TIME], 1);
    generation_leave(late);
    generation_unref(late);
    end(fixture);
}
END_TEST

START_TEST(with_finish_nobody_need_be_there)
{
    struct config_generations bounds = ample;
    bounds.grace_ms = 0;
    bounds.left = GENERATIONS_FINISH;
    struct fixture *fixture = begin(&bounds);
    struct generation *generation = ask(fixture, "a");
    generation_enter(generation, false);
    generation_leave(generation);
    ck_assert(!outcome_of(generation).ended);
    ck_assert_int_eq(atomic_load(&cancelled), 0);
    generation_unref(generation);
    end(fixture);
}
END_TEST

START_TEST(what_ended_is_forgotten_beyond_kept_the_oldest_first_and_after_retain)
{
    struct config_generations bounds = ample;
    bounds.kept = 1;
    struct fixture *fixture = begin(&bounds);
    char ids[2][GENERATION_ID_LEN + 1];
    for (size_t i = 0; i < 2; i++) {
        struct generation *generation = ask(fixture, "a");
        memcpy(ids[i], generation_id(generation), sizeof ids[i]);
        stream_source_end(generation_stream(generation), NULL, NULL);
        generation_unref(generation);
    }
    WAIT_UNTIL(state_of(fixture).kept == 1);
    ck_assert_ptr_null(generations_find(fixture->all, 0, ids[0]));
    struct generation *kept = generations_find(fixture->all, 0, ids[1]);
    ck_assert_ptr_nonnull(kept);
    generation_unref(kept);
    end(fixture);
    bounds = ample;
    bounds.retain_ms = 0;
    fixture = begin(&bounds);
    struct generation *seen = ask(fixture, "a");
    stream_source_end(generation_stream(seen), NULL, NULL);
    WAIT_UNTIL(state_of(fixture).kept == 0);
    ck_assert_ptr_null(generations_find(fixture->all, 0, generation_id(seen)));
    ck_assert(outcome_of(seen).ended); /* who has it has it */
    generation_unref(seen);
    end(fixture);
}
END_TEST

START_TEST(its_ring_loses_nothing_and_says_when_it_is_full)
{
    struct config_generations bounds = ample;
    bounds.bytes = 64 * 1024;
    struct fixture *fixture = begin(&bounds);
    struct generation *generation = ask(fixture, "a");
    struct stream *stream = generation_stream(generation);
    char data[1002];
    memset(data, 'x', sizeof data);
    data[0] = data[sizeof data - 1] = '"';
    uint64_t offset = 0;
    while (!stream_is_full(stream)) {
        ck_assert_uint_gt(stream_room(stream), 0);
        struct record_input in = {
            .offset = offset, .time_ms = -1, .data = data, .data_len = sizeof data};
        ck_assert_int_eq(stream_stage(stream, &in, clock_mono_ns()), 1);
        offset++;
        stream_commit(stream);
        ck_assert_uint_lt(offset, 100);
    }
    ck_assert_uint_eq(stream_room(stream), 0);
    struct ring_state state;
    ring_state(stream_ring(stream), &state);
    ck_assert_uint_eq(state.tail_seq, 1);
    ck_assert_uint_eq(state.records, offset);
    ck_assert_uint_gt(offset, 40);
    generation_unref(generation);
    end(fixture);
}
END_TEST

static void *
come_and_go(void *fixture_)
{
    struct fixture *fixture = fixture_;
    for (int i = 0; i < 200; i++) {
        struct generation *mine = ask(fixture, "a");
        struct generation *found = generations_find(fixture->all, 0, generation_id(mine));
        generation_enter(mine, false);
        if (i % 2 == 0) {
            stream_source_end(generation_stream(mine), NULL, NULL);
        } else {
            generation_cancel(found, GENERATION_CANCELLED);
        }
        generation_leave(mine);
        generation_unref(found);
        generation_unref(mine);
    }
    return NULL;
}

START_TEST(threads_ask_and_cancel_while_the_keeper_forgets)
{
    struct config_generations bounds = ample;
    bounds.most = 1000;
    bounds.kept = 3;
    struct fixture *fixture = begin(&bounds);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, fixture), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    WAIT_UNTIL(state_of(fixture).kept <= 3 && state_of(fixture).running == 0);
    ck_assert_uint_eq(state_of(fixture).ended[GENERATION_DONE], 300);
    ck_assert_uint_eq(state_of(fixture).ended[GENERATION_CANCELLED], 300);
    end(fixture);
}
END_TEST

UNIT_MAIN("generations", an_id_is_long_and_never_the_same,
    a_place_is_taken_from_the_reservation_to_the_end, a_caller_has_a_bound_of_its_own,
    what_could_not_be_asked_leaves_nothing, a_cancel_is_told_as_what_it_is_for_and_once,
    the_last_who_leaves_ends_it_at_once_without_grace, grace_and_time_end_it,
    with_finish_nobody_need_be_there,
    what_ended_is_forgotten_beyond_kept_the_oldest_first_and_after_retain,
    its_ring_loses_nothing_and_says_when_it_is_full,
    threads_ask_and_cancel_while_the_keeper_forgets)
