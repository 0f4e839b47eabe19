/* Which partition of the log of answers is read from where, and for whom: llm_log_track.c with
 * clients and readers of the test's own. */
#include "unit.h"

#include "../../connectors/llm_log_hub_internal.h"

#include <string.h>

#define PARTITIONS 4
#define NOT_READ (-1)

static struct llm_log_hub hub;
static char clients[LLM_LOG_HUB_CLIENTS];
static int64_t places[LLM_LOG_HUB_CLIENTS][PARTITIONS]; /* where each is read from */
static bool broken;
static size_t n_failed, n_dropped;

/* ---- what stands in for clients and readers ---- */

static size_t
index_of(const struct llm_log_tail *tail)
{
    return (const char *)tail == &clients[0] ? 0 : 1;
}

int
llm_log_tail_start(struct llm_log_tail *tail, int32_t partition, int64_t offset)
{
    ck_assert_int_eq(places[index_of(tail)][partition], NOT_READ);
    places[index_of(tail)][partition] = broken ? NOT_READ : offset;
    return broken ? -1 : 0;
}

void
llm_log_tail_stop(struct llm_log_tail *tail, int32_t partition)
{
    places[index_of(tail)][partition] = NOT_READ;
}

void
llm_log_read_moved(struct llm_log_reader *reader)
{
    reader->started_ms = 1;
}

void
llm_log_read_fail(struct llm_log_reader *reader, const char *why)
{
    ck_assert(why != NULL);
    reader->ended = true;
    n_failed++;
}

void
llm_log_hub_drop(struct llm_log_hub *of, struct llm_log_reader *reader)
{
    ck_assert_ptr_eq(of, &hub);
    llm_log_track_leave(reader);
    n_dropped++;
}

static void
set_up(void)
{
    memset(&hub, 0, sizeof hub);
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        LIST_INIT(&hub.reels[i].tracks);
        hub.reels[i].tail = (struct llm_log_tail *)&clients[i];
        for (size_t j = 0; j < PARTITIONS; j++) {
            places[i][j] = NOT_READ;
        }
    }
    broken = false;
    n_failed = n_dropped = 0;
}

static void
tear_down(void)
{
    llm_log_track_end_all(&hub);
    for (size_t i = 0; i < LLM_LOG_HUB_CLIENTS; i++) {
        for (size_t j = 0; j < PARTITIONS; j++) {
            ck_assert_int_eq(places[i][j], NOT_READ);
        }
        free(hub.reels[i].by_partition);
    }
}

/* An answer of partition 1, whose past begins at from; the log ends at end. */
static struct llm_log_reader
at(int64_t from, int64_t end)
{
    return (struct llm_log_reader){.partition = 1, .from = from, .end = end};
}

static void
place(struct llm_log_reader *reader)
{
    llm_log_track_place(&hub, reader);
}

static struct llm_log_track *
past(void)
{
    return llm_log_track_find(llm_log_hub_past(&hub), 1);
}

static struct llm_log_track *
live(void)
{
    return llm_log_track_find(llm_log_hub_live(&hub), 1);
}

/* It has read up to there. */
static void
read_to(struct llm_log_track *track, int64_t next)
{
    track->next = next;
    llm_log_track_turn(&hub);
}

static bool
is_read(const struct llm_log_reader *reader, const struct llm_log_track *by)
{
    return by != NULL && reader->track == by && !reader->waits;
}

START_TEST(a_past_is_read_beside_the_end_until_they_meet)
{
    set_up();
    struct llm_log_reader reader = at(10, 100);
    place(&reader);
    ck_assert_int_eq(places[0][1], 100);
    ck_assert_int_eq(places[1][1], 10);
    ck_assert(is_read(&reader, past()));
    read_to(live(), 130);
    read_to(past(), 129);
    ck_assert(is_read(&reader, past()));
    read_to(past(), 130);
    ck_assert(is_read(&reader, live()));
    ck_assert_ptr_null(past());
    ck_assert_int_eq(places[1][1], NOT_READ);
    llm_log_track_leave(&reader);
    tear_down();
}
END_TEST

START_TEST(what_has_no_past_is_read_at_the_end_alone)
{
    set_up();
    struct llm_log_reader first = at(100, 100), second = at(100, 120), old = at(99, 120);
    place(&first);
    place(&second);
    ck_assert(is_read(&first, live()) && is_read(&second, live()));
    ck_assert_int_eq(places[0][1], 100);
    ck_assert_ptr_null(past());
    place(&old);
    ck_assert(is_read(&old, past()));
    ck_assert_int_eq(places[1][1], 99);
    llm_log_track_leave(&first);
    llm_log_track_leave(&second);
    llm_log_track_leave(&old);
    llm_log_track_turn(&hub);
    ck_assert_ptr_null(past());
    ck_assert_ptr_nonnull(live()); /* for a while */
    tear_down();
}
END_TEST

START_TEST(who_needs_what_was_read_already_waits_and_so_do_those_behind)
{
    set_up();
    struct llm_log_reader first = at(10, 100), joins = at(50, 100), waits = at(5, 100),
                          behind = at(60, 100);
    place(&first);
    read_to(past(), 20);
    place(&joins);
    place(&waits);
    place(&behind);
    ck_assert(is_read(&first, past()) && is_read(&joins, past()));
    ck_assert(waits.waits && behind.waits);
    ck_assert_int_eq(places[1][1], 10);
    llm_log_track_leave(&first); /* it has come to its end */
    llm_log_track_turn(&hub);
    ck_assert(waits.waits && is_read(&joins, past()));
    read_to(past(), 100);
    ck_assert(is_read(&joins, live()));
    ck_assert(is_read(&waits, past()) && is_read(&behind, past()));
    ck_assert_int_eq(places[1][1], 5);
    ck_assert_int_eq(past()->next, 5);
    llm_log_track_leave(&joins);
    llm_log_track_leave(&waits);
    llm_log_track_leave(&behind);
    llm_log_track_turn(&hub);
    ck_assert_ptr_null(past());
    tear_down();
}
END_TEST

START_TEST(one_that_waited_and_left_is_not_read_for)
{
    set_up();
    struct llm_log_reader first = at(10, 100), waits = at(5, 100);
    place(&first);
    read_to(past(), 20);
    place(&waits);
    llm_log_track_leave(&waits);
    llm_log_track_turn(&hub);
    ck_assert(is_read(&first, past()));
    ck_assert_int_eq(past()->next, 20);
    llm_log_track_leave(&first);
    llm_log_track_turn(&hub);
    ck_assert_ptr_null(past());
    tear_down();
}
END_TEST

START_TEST(what_nobody_needs_is_left_out)
{
    set_up();
    struct llm_log_reader old = at(10, 1000000), young = at(900000, 1000000);
    place(&old);
    place(&young);
    ck_assert(is_read(&old, past()) && is_read(&young, past()));
    read_to(past(), 500);
    ck_assert_int_eq(places[1][1], 10);
    llm_log_track_leave(&old);
    llm_log_track_turn(&hub);
    ck_assert_int_eq(places[1][1], 900000);
    ck_assert_int_eq(past()->next, 900000);
    llm_log_track_leave(&young);
    tear_down();
}
END_TEST

START_TEST(one_without_room_goes_on_where_it_stopped)
{
    set_up();
    struct llm_log_reader held = at(100, 100), other = at(100, 100);
    place(&held);
    place(&other);
    llm_log_track_hold(&held, 103);
    ck_assert(held.held && held.track == NULL && is_read(&other, live()));
    read_to(live(), 200);
    place(&held);
    ck_assert(!held.held && is_read(&held, past()));
    ck_assert_int_eq(places[1][1], 103);
    read_to(past(), 200);
    ck_assert(is_read(&held, live()));
    llm_log_track_leave(&held);
    llm_log_track_leave(&other);
    tear_down();
}
END_TEST

START_TEST(partitions_are_read_apart)
{
    set_up();
    struct llm_log_reader one = at(10, 100), two = at(20, 50);
    two.partition = 3;
    place(&one);
    place(&two);
    ck_assert_int_eq(places[0][3], 50);
    ck_assert_int_eq(places[1][3], 20);
    read_to(past(), 100);
    ck_assert(is_read(&one, live()) && two.track->next == 20);
    llm_log_track_leave(&one);
    llm_log_track_leave(&two);
    tear_down();
}
END_TEST

START_TEST(what_cannot_be_read_fails_for_all_who_need_it)
{
    set_up();
    struct llm_log_reader first = at(10, 100), waits = at(5, 100), late = at(1, 100);
    place(&first);
    read_to(past(), 20);
    place(&waits);
    llm_log_track_fail(&hub, past(), "out of range");
    ck_assert(first.ended && waits.ended && past() == NULL);
    ck_assert_uint_eq(n_dropped, 2);
    broken = true;
    place(&late);
    ck_assert(late.ended);
    ck_assert_uint_eq(n_failed, 3);
    ck_assert_uint_eq(n_dropped, 3);
    ck_assert_ptr_null(past());
    tear_down();
}
END_TEST

START_TEST(one_that_waits_fails_where_its_past_cannot_be_turned_to)
{
    set_up();
    struct llm_log_reader first = at(10, 100), waits = at(5, 100);
    place(&first);
    read_to(past(), 20);
    place(&waits);
    broken = true;
    read_to(past(), 100);
    ck_assert(is_read(&first, live()) && waits.ended);
    ck_assert_uint_eq(n_dropped, 1);
    ck_assert_ptr_null(past());
    llm_log_track_leave(&first);
    tear_down();
}
END_TEST

UNIT_MAIN("llm_log_track", a_past_is_read_beside_the_end_until_they_meet,
    what_has_no_past_is_read_at_the_end_alone,
    who_needs_what_was_read_already_waits_and_so_do_those_behind,
    one_that_waited_and_left_is_not_read_for, what_nobody_needs_is_left_out,
    one_without_room_goes_on_where_it_stopped, partitions_are_read_apart,
    what_cannot_be_read_fails_for_all_who_need_it,
    one_that_waits_fails_where_its_past_cannot_be_turned_to)
