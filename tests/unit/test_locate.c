/* test_locate: where subscribers begin in a stream. */
#include "lanes.h"
#include "played_stream.h"
#include "stream_internal.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static struct stream_start
locate(struct stream *stream, const struct place *from)
{
    struct stream_start start;
    stream_locate(stream, from, &start);
    ck_assert(start.before == NULL || start.before->seq == start.seq - 1);
    return start;
}

static uint64_t
located_seq(struct stream *stream, enum place_kind kind, int64_t time_ms)
{
    struct place from = {.kind = kind, .time_ms = time_ms};
    struct stream_start start = locate(stream, &from);
    ck_assert_uint_eq(start.missed, 0);
    ck_assert_uint_eq(start.skip_until, 0);
    ck_assert(!start.resumed && start.reason == NULL);
    record_unref(start.before);
    return start.seq;
}

START_TEST(latest_earliest_and_a_time_choose_where_to_start)
{
    struct stream *stream = played_stream(10);
    stream_lane_add(stream, "t", 0, 0);
    ck_assert_uint_eq(located_seq(stream, PLACE_LATEST, 0), 1);
    ck_assert_uint_eq(located_seq(stream, PLACE_EARLIEST, 0), 1);
    ck_assert_uint_eq(located_seq(stream, PLACE_TIME, 5), 1);
    for (uint64_t offset = 1; offset <= 15; offset++) {
        played_publish(stream, 0, offset); /* seq == offset == time */
    }
    ck_assert_uint_eq(located_seq(stream, PLACE_LATEST, 0), 16);
    ck_assert_uint_eq(located_seq(stream, PLACE_EARLIEST, 0), 6);
    ck_assert_uint_eq(located_seq(stream, PLACE_TIME, 0), 6);
    ck_assert_uint_eq(located_seq(stream, PLACE_TIME, 12), 12);
    ck_assert_uint_eq(located_seq(stream, PLACE_TIME, 99), 16);
    stream_free(stream);
}
END_TEST

START_TEST(the_token_before_a_record_is_there_as_long_as_the_record_is)
{
    struct stream *stream = played_stream(3);
    struct buf token;
    buf_init(&token);
    ck_assert(stream_token_before(stream, 1, &token)); /* no lane yet */
    stream_lane_add(stream, "t", 0, 7);
    token.len = 0;
    ck_assert(stream_token_before(stream, 1, &token));
    struct place place = played_place_of(token.bytes, token.len);
    ck_assert_uint_eq(played_next_in(&place, 0), 7);
    free(place.lanes);
    for (uint64_t offset = 7; offset < 17; offset++) {
        played_publish(stream, 0, offset);
    }
    for (uint64_t seq = 8; seq <= 11; seq++) {
        place = played_place_after(stream, seq - 1);
        ck_assert_uint_eq(played_next_in(&place, 0), seq + 6);
        free(place.lanes);
    }
    ck_assert(!stream_token_before(stream, 7, &token));
    buf_fini(&token);
    stream_free(stream);
}
END_TEST

#define LANES 4
#define EACH 60

/* What every replica reads: EACH records a lane, in an order of its own. lost: some are losses. */
static void
fill(struct stream *stream, unsigned seed, uint64_t records, bool lost)
{
    uint64_t next[LANES] = {0};
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t index = stream_lane_add(stream, "t", lane, 0);
        stream_lane_end(stream, index, EACH);
    }
    for (uint64_t i = 0; i < records;) {
        uint32_t lane = (uint32_t)rand_r(&seed) % LANES;
        if (next[lane] == EACH) {
            continue;
        }
        stream_room(stream);
        if (lost && rand_r(&seed) % 10 == 0) {
            stream_lost(stream, lane, next[lane]++, 1, "too_large");
        } else {
            played_stage(stream, lane, next[lane]++);
        }
        stream_commit(stream);
        i++;
    }
}

/* What a subscriber that resumes at from is sent, and what it missed, is what it has not seen. */
static void
expect_exact(struct stream *stream, const struct place *from, const struct stream_start *start)
{
    struct ring_state state = played_state(stream);
    uint64_t next[LANES], sent = 0, owed = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        next[lane] = played_next_in(from, lane);
        uint64_t there = stream_lane_next(stream, lane);
        owed += there > next[lane] ? there - next[lane] : 0;
    }
    for (uint64_t seq = start->seq; seq <= state.head_seq; seq++) {
        struct record *record = ring_peek_ref(stream_ring(stream), seq);
        ck_assert_ptr_nonnull(record);
        if (seq >= start->skip_until || stream_wants(stream, from, record)) {
            ck_assert_uint_ge(record->offset, next[record->lane]);
            next[record->lane] = record->offset + 1;
            sent++;
        }
        record_unref(record);
    }
    ck_assert_uint_eq(sent + start->missed, owed);
}

static void
expect_resume_everywhere(struct stream *tokens, struct stream *stream)
{
    struct ring_state state = played_state(tokens);
    for (uint64_t seq = state.tail_seq - 1; seq <= state.head_seq; seq++) {
        struct place from = played_place_after(tokens, seq);
        struct stream_start start = locate(stream, &from);
        ck_assert_msg(start.resumed, "%s", start.reason);
        expect_exact(stream, &from, &start);
        if (tokens == stream) {
            ck_assert_uint_eq(start.seq, seq + 1);
            ck_assert_uint_eq(start.missed, 0);
        }
        record_unref(start.before);
        free(from.lanes);
    }
}

/* A file's lane: offsets are where its lines end. */
static uint32_t
add_file(struct stream *stream, const char *id)
{
    uint32_t lane = stream_lane_add(stream, id, 0, 0);
    stream_lane_file(stream, lane, "/log", 0);
    return lane;
}

START_TEST(offsets_with_holes_miss_nothing_at_every_record)
{
    struct stream *stream = played_stream(1000);
    uint32_t a = add_file(stream, "a"), b = add_file(stream, "b");
    for (uint64_t i = 1; i <= 100; i++) {
        played_publish(stream, i % 3 == 0 ? b : a, i * 7);
        if (i % 10 == 0) {
            stream_room(stream);
            stream_lost(stream, a, i * 7 + 3, 1, "malformed");
            stream_commit(stream);
        }
    }
    struct ring_state state = played_state(stream);
    for (uint64_t seq = 1; seq <= state.head_seq; seq++) {
        struct place from = played_place_after(stream, seq);
        struct stream_start start = locate(stream, &from);
        ck_assert(start.resumed && !start.elsewhere && !start.unaccounted);
        ck_assert_uint_eq(start.seq, seq + 1);
        ck_assert_uint_eq(start.missed, 0);
        record_unref(start.before);
        free(from.lanes);
    }
    stream_free(stream);
}
END_TEST

START_TEST(a_file_that_is_gone_is_forgotten_with_its_last_record)
{
    struct stream *stream = played_stream(10);
    uint32_t a = add_file(stream, "a"), b = add_file(stream, "b");
    played_publish(stream, a, 10);
    struct place half = played_place_after(stream, 1);
    played_publish(stream, a, 20);
    struct place whole = played_place_after(stream, 2);
    stream_lane_remove(stream, a);
    for (uint64_t i = 1; i <= 20; i++) {
        played_publish(stream, b, i * 10);
        struct place place = played_place_after(stream, i + 2);
        /* The record just before the tail is kept too; the one that pushed it out has the row. */
        ck_assert_uint_eq(place.n_lanes, i <= 11 ? 2 : 1);
        free(place.lanes);
    }
    struct stream_start start = locate(stream, &whole);
    ck_assert(start.resumed && !start.unaccounted && start.elsewhere);
    record_unref(start.before);
    start = locate(stream, &half);
    ck_assert(start.resumed && start.unaccounted);
    record_unref(start.before);
    ck_assert_uint_eq(add_file(stream, "c"), a);
    free(half.lanes);
    free(whole.lanes);
    stream_free(stream);
}
END_TEST

START_TEST(a_token_of_this_replica_resumes_exactly_at_every_record)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct stream *stream = played_stream(1000);
        fill(stream, seed, LANES * EACH, seed % 2 == 0);
        expect_resume_everywhere(stream, stream);
        stream_free(stream);
    }
}
END_TEST

START_TEST(a_token_of_another_replica_resumes_exactly_at_every_record)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct stream *other = played_stream(1000), *stream = played_stream(1000);
        fill(other, seed, LANES * EACH, seed % 2 == 0);
        fill(stream, seed + 77, LANES * EACH, seed % 2 == 0);
        expect_resume_everywhere(other, stream);
        stream_free(other);
        stream_free(stream);
    }
}
END_TEST

START_TEST(what_the_ring_no_longer_holds_is_counted_as_missed)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct stream *other = played_stream(1000), *stream = played_stream(30 + seed * 10);
        fill(other, seed, LANES * EACH, seed % 2 == 0);
        fill(stream, seed + 77, LANES * EACH, seed % 2 == 0);
        expect_resume_everywhere(other, stream);
        stream_free(other);
        stream_free(stream);
    }
}
END_TEST

static uint64_t
count_naively(struct stream *stream, const struct place *from, const struct place *to,
    uint64_t after, uint64_t upto)
{
    uint64_t sum = 0;
    for (uint64_t seq = after + 1; seq <= upto; seq++) {
        struct record *record = ring_peek_ref(stream_ring(stream), seq);
        sum += (from->kind != PLACE_TOKEN || stream_wants(stream, from, record)) &&
               (to->kind != PLACE_TOKEN || !stream_wants(stream, to, record));
        record_unref(record);
    }
    return sum;
}

START_TEST(what_a_client_was_to_get_between_two_records_is_counted)
{
    unsigned seed = 21;
    struct stream *other = played_stream(1000), *stream = played_stream(1000);
    fill(other, 1, LANES * EACH, false);
    fill(stream, 2, LANES * EACH, true);
    for (int round = 0; round < 300; round++) {
        const uint64_t all = LANES * EACH;
        uint64_t after = (uint64_t)rand_r(&seed) % all, from_seq = (uint64_t)rand_r(&seed) % all;
        uint64_t upto = after + (uint64_t)rand_r(&seed) % (all - after);
        struct place from = played_place_after(other, from_seq), none = {.kind = PLACE_NONE};
        struct place to =
            played_place_after(other, from_seq + (uint64_t)rand_r(&seed) % (all - from_seq));
        const struct place *begin = round % 3 == 0 ? &none : &from;
        const struct place *end = round % 2 == 0 ? &none : &to;
        struct buf ids[2];
        for (int i = 0; i < 2; i++) {
            buf_init(&ids[i]);
            stream_token_before(stream, (i == 0 ? after : upto) + 1, &ids[i]);
            buf_addc(&ids[i], '\0');
        }
        ck_assert_uint_eq(stream_count_wanted(stream, begin, end, ids[0].bytes, ids[1].bytes),
            count_naively(stream, begin, end, after, upto));
        buf_fini(&ids[0]);
        buf_fini(&ids[1]);
        free(from.lanes);
        free(to.lanes);
    }
    stream_free(other);
    stream_free(stream);
}
END_TEST

START_TEST(a_token_that_is_ahead_of_this_replica_is_honoured)
{
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct stream *other = played_stream(1000), *stream = played_stream(1000);
        fill(other, seed, LANES * EACH, false);
        fill(stream, seed + 77, LANES * EACH / 3, false);
        expect_resume_everywhere(other, stream);
        struct place from = played_place_after(other, LANES * EACH);
        struct stream_start start = locate(stream, &from);
        ck_assert_uint_eq(start.seq, played_state(stream).head_seq + 1);
        ck_assert_uint_eq(start.skip_until, UINT64_MAX);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            for (uint64_t o = stream_lane_next(stream, lane); o < EACH + 3; o++) {
                played_publish(stream, lane, o);
                struct record *record =
                    ring_peek_ref(stream_ring(stream), played_state(stream).head_seq);
                ck_assert_int_eq(stream_wants(stream, &from, record), o >= EACH);
                record_unref(record);
            }
        }
        record_unref(start.before);
        free(from.lanes);
        stream_free(other);
        stream_free(stream);
    }
}
END_TEST

START_TEST(a_record_that_is_only_staged_is_not_yet_there)
{
    struct stream *stream = played_stream(100);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        stream_lane_add(stream, "t", lane, 0);
    }
    played_publish(stream, 0, 0);
    struct place at_head = played_place_after(stream, 1);
    stream_room(stream);
    ck_assert_int_eq(played_stage(stream, 0, 1), 1);
    struct token_lane rows[] = {{token_group_hash("t"), 0, 2}};
    struct place staged = {.kind = PLACE_TOKEN, .lanes = rows, .n_lanes = 1};
    struct stream_start start = locate(stream, &staged);
    ck_assert_uint_eq(start.seq, 2);
    ck_assert_uint_eq(start.skip_until, UINT64_MAX); /* else it would come twice */
    record_unref(start.before);
    ck_assert(!stream_reaches(stream, &staged));
    start = locate(stream, &at_head);
    ck_assert_uint_eq(start.seq, 2);
    ck_assert_uint_eq(start.missed, 0);
    record_unref(start.before);
    ck_assert(stream_reaches(stream, &at_head));
    stream_commit(stream);
    ck_assert(stream_reaches(stream, &staged));
    start = locate(stream, &at_head);
    expect_exact(stream, &at_head, &start);
    record_unref(start.before);
    free(at_head.lanes);
    stream_free(stream);
}
END_TEST

START_TEST(a_token_from_before_there_were_lanes_wants_all_of_them)
{
    struct stream *stream = played_stream(5);
    struct place from = played_place_after(stream, 0);
    ck_assert_uint_eq(from.n_lanes, 0);
    stream_lane_add(stream, "t", 0, 0);
    for (uint64_t offset = 0; offset < 8; offset++) {
        played_publish(stream, 0, offset);
    }
    struct stream_start start = locate(stream, &from);
    ck_assert(start.resumed);
    ck_assert_uint_eq(start.seq, 4);
    ck_assert_uint_eq(start.missed, 3);
    record_unref(start.before);
    free(from.lanes);
    stream_free(stream);
}
END_TEST

static void
expect_refused(struct stream *stream, const struct place *from, const char *why)
{
    struct stream_start start = locate(stream, from);
    ck_assert(!start.resumed);
    ck_assert_ptr_nonnull(start.reason);
    ck_assert_ptr_nonnull(strstr(start.reason, why));
    ck_assert_uint_eq(start.seq, played_state(stream).head_seq + 1);
    ck_assert_uint_eq(start.missed, 0);
    record_unref(start.before);
}

START_TEST(a_token_that_cannot_be_honoured_says_why)
{
    struct stream *stream = played_stream(100);
    stream_lane_add(stream, "t", 0, 0);
    for (uint64_t offset = 0; offset < 8; offset++) {
        played_publish(stream, 0, offset);
    }
    struct token_lane rows[] = {{token_group_hash("t"), 0, 9}};
    struct place from = {.kind = PLACE_TOKEN, .lanes = rows, .n_lanes = 1};
    expect_refused(stream, &from, "past the end");
    stream_lane_end(stream, 0, 9);
    struct stream_start start = locate(stream, &from);
    ck_assert(start.resumed);
    record_unref(start.before);
    rows[0].group = token_group_hash("u");
    expect_refused(stream, &from, "another stream");
    rows[0] = (struct token_lane){token_group_hash("t"), 0, 8};
    stream_lane_reset(stream, 0, 0);
    expect_refused(stream, &from, "past the end");
    played_publish(stream, 0, 0);
    struct place anew = played_place_after(stream, 9);
    start = locate(stream, &anew);
    ck_assert(start.resumed);
    ck_assert_uint_eq(start.seq, 10);
    record_unref(start.before);
    free(anew.lanes);
    stream_free(stream);
}
END_TEST

START_TEST(what_is_missed_of_a_lane_that_is_no_more_is_nowhere_else)
{
    struct stream *stream = played_stream(4);
    stream_lane_add(stream, "t", 0, 0);
    stream_lane_add(stream, "t", 1, 0);
    struct place from = played_place_after(stream, 0);
    played_publish(stream, 0, 0);
    played_publish(stream, 0, 1);
    stream_lane_remove(stream, 0);
    for (uint64_t offset = 0; offset < 3; offset++) {
        played_publish(stream, 1, offset);
    }
    struct stream_start start = locate(stream, &from); /* one of the two is still in the ring */
    ck_assert(start.resumed && !start.elsewhere);
    ck_assert_uint_eq(start.missed, 1);
    ck_assert_uint_eq(start.gone, 1);
    ck_assert_uint_eq(start.seq, 2);
    record_unref(start.before);
    struct place closed = {.kind = PLACE_TOKEN, .lanes = malloc(sizeof *closed.lanes)};
    closed.lanes[closed.n_lanes++] = from.lanes[1];
    lanes_close_removed(stream_lanes(stream), &closed); /* a reader never knew lane 0 */
    ck_assert_uint_eq(closed.n_lanes, 2);
    start = locate(stream, &closed);
    ck_assert_uint_eq(start.missed, 0);
    ck_assert_uint_eq(start.seq, 3);
    record_unref(start.before);
    free(closed.lanes);
    free(from.lanes);
    stream_free(stream);
}
END_TEST

/* ---- a ring that moves on while it is searched ---- */

struct race {
    struct stream *stream;
    atomic_bool done;
};

static void *
publisher(void *arg)
{
    struct race *race = arg;
    uint64_t next[LANES] = {0};
    unsigned seed = 9;
    while (!atomic_load(&race->done)) {
        size_t room = stream_room(race->stream);
        for (size_t i = 0; i < 5 && i < room; i++) {
            uint32_t lane = (uint32_t)rand_r(&seed) % LANES;
            played_stage(race->stream, lane, next[lane]++);
        }
        stream_commit(race->stream);
    }
    return NULL;
}

/* All that lies before the start and was not seen is missed, no more and no less. */
static void
expect_exact_start(const struct place *from, const struct stream_start *start)
{
    struct place at;
    uint64_t unseen = 0;
    stream_place_of(start->before, &at);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint64_t next = played_next_in(&at, lane), asked = played_next_in(from, lane);
        unseen += next > asked ? next - asked : 0;
    }
    ck_assert_uint_eq(start->missed, unseen);
    ck_assert(start->before == NULL || start->ordinal == start->before->ordinal);
    free(at.lanes);
}

START_TEST(a_resume_is_exact_while_the_ring_moves_on)
{
    struct race race = {.stream = played_stream(64)};
    pthread_t thread;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        stream_lane_add(race.stream, "t", lane, 0);
    }
    struct place from = played_place_after(race.stream, 0);
    pthread_create(&thread, NULL, publisher, &race);
    for (int round = 0; round < 1500; round++) {
        struct stream_start start = locate(race.stream, &from);
        ck_assert_msg(start.resumed, "%s", start.reason);
        expect_exact_start(&from, &start);
        if (round % 3 != 0 && start.before != NULL) { /* else the same token, ever older */
            free(from.lanes);
            stream_place_of(start.before, &from);
        }
        record_unref(start.before);
    }
    atomic_store(&race.done, true);
    pthread_join(thread, NULL);
    free(from.lanes);
    stream_free(race.stream);
}
END_TEST

/* The ring has 90 to 99 once, the lane is taken up again at 95, and nothing has come since. */
START_TEST(a_resume_finds_what_was_read_before_a_lane_was_taken_up_again)
{
    struct stream *stream = played_stream(20);
    struct stream_start start;
    stream_lane_add(stream, "t", 0, 90);
    for (uint64_t offset = 90; offset < 100; offset++) {
        played_publish(stream, 0, offset);
    }
    struct place from = played_place_after(stream, 3);
    stream_lane_remove(stream, 0);
    stream_lane_add(stream, "t", 0, 95);
    stream_locate(stream, &from, &start);
    record_unref(start.before);
    ck_assert(start.resumed);
    ck_assert_uint_eq(start.seq, 4);
    ck_assert_uint_eq(start.missed, 0);
    free(from.lanes);
    stream_free(stream);
}
END_TEST

UNIT_MAIN("locate", latest_earliest_and_a_time_choose_where_to_start,
    the_token_before_a_record_is_there_as_long_as_the_record_is,
    offsets_with_holes_miss_nothing_at_every_record,
    a_file_that_is_gone_is_forgotten_with_its_last_record,
    a_token_of_this_replica_resumes_exactly_at_every_record,
    a_token_of_another_replica_resumes_exactly_at_every_record,
    what_the_ring_no_longer_holds_is_counted_as_missed,
    what_a_client_was_to_get_between_two_records_is_counted,
    a_token_that_is_ahead_of_this_replica_is_honoured,
    a_record_that_is_only_staged_is_not_yet_there,
    a_token_from_before_there_were_lanes_wants_all_of_them,
    a_token_that_cannot_be_honoured_says_why,
    what_is_missed_of_a_lane_that_is_no_more_is_nowhere_else,
    a_resume_is_exact_while_the_ring_moves_on,
    a_resume_finds_what_was_read_before_a_lane_was_taken_up_again)
