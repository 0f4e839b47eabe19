/* What is told to those who watch a download, and what is kept of one. */
#include "unit.h"

#include "../../gateway/downloads.h"
#include "fake_stream.h"

#include <stdio.h>

#define ID "0123456789abcdef"

static struct downloads *downloads;
static struct stream *stream; /* the fake has one at a time */
static struct watch watch;

static void
set_up(void)
{
    downloads = downloads_new();
    stream = fake_stream_new(1, 1);
}

static void
tear_down(void)
{
    downloads_free(downloads);
    fake_stream_free(stream);
}

static struct fake_outcome
told(void)
{
    return fake_stream_wait_outcome(stream, 0);
}

static uint64_t
watched(void)
{
    struct downloads_state state;
    downloads_state(downloads, &state);
    return state.watched;
}

START_TEST(an_id_has_letters_digits_and_a_length_that_cannot_be_guessed)
{
    ck_assert(downloads_id_valid(ID));
    ck_assert(downloads_id_valid("8c5f0b1e-3c7a-4a52-9d0c-1f2e3d4c5b6a"));
    ck_assert(!downloads_id_valid(""));
    ck_assert(!downloads_id_valid("0123456789abcde"));
    ck_assert(!downloads_id_valid("0123456789abcde/"));
    ck_assert(
        !downloads_id_valid("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"));
}
END_TEST

START_TEST(a_watcher_waits_for_its_download_and_sees_it_to_its_end)
{
    set_up();
    downloads_watch(downloads, &watch, "/f", ID, stream);
    struct transfer *other = transfer_new(downloads, "/g", ID, 0, 7);
    ck_assert_uint_eq(told().total, 0);
    struct transfer *transfer = transfer_new(downloads, "/f", ID, 10, 100);
    ck_assert_uint_eq(told().done, 10);
    ck_assert_uint_eq(told().total, 100);
    transfer_move(transfer, 40, 50, 1000);
    ck_assert_uint_eq(told().done, 50);
    transfer_move(transfer, 1, 51, 1001); /* too soon to be worth telling */
    ck_assert_uint_eq(told().done, 50);
    transfer_end(transfer, true);
    ck_assert_uint_eq(told().done, 100);
    ck_assert(told().ended && told().failure == NULL);
    downloads_unwatch(&watch);
    transfer_end(other, false);
    tear_down();
}
END_TEST

START_TEST(one_that_is_cut_has_failed_and_its_resume_is_another_beginning)
{
    set_up();
    transfer_end(transfer_new(downloads, "/f", ID, 0, 100), false);
    downloads_watch(downloads, &watch, "/f", ID, stream);
    ck_assert(told().ended);
    ck_assert_str_eq(told().failure, "client_gone");
    downloads_unwatch(&watch);
    fake_stream_free(stream);
    stream = fake_stream_new(1, 1);
    struct transfer *transfer = transfer_new(downloads, "/f", ID, 60, 100);
    downloads_watch(downloads, &watch, "/f", ID, stream);
    ck_assert(!told().ended);
    ck_assert_uint_eq(told().done, 60);
    transfer_end(transfer, true);
    ck_assert(told().ended && told().failure == NULL);
    downloads_unwatch(&watch);
    tear_down();
}
END_TEST

START_TEST(the_newest_of_an_id_is_the_one_that_is_watched)
{
    set_up();
    struct transfer *old = transfer_new(downloads, "/f", ID, 0, 100);
    struct transfer *new = transfer_new(downloads, "/f", ID, 30, 100);
    downloads_watch(downloads, &watch, "/f", ID, stream);
    transfer_move(old, 90, 90, 1000);
    transfer_end(old, false);
    ck_assert_uint_eq(told().done, 30);
    ck_assert(!told().ended);
    transfer_end(new, true);
    ck_assert(told().ended && told().failure == NULL);
    downloads_unwatch(&watch);
    tear_down();
}
END_TEST

START_TEST(a_refusal_is_told_to_those_who_wait_and_to_nobody_else)
{
    set_up();
    downloads_refuse(downloads, "/f", ID, 404);
    ck_assert_uint_eq(watched(), 0);
    downloads_watch(downloads, &watch, "/f", ID, stream);
    downloads_refuse(downloads, "/f", ID, 404);
    ck_assert(told().ended);
    ck_assert_str_eq(told().failure, "refused");
    downloads_unwatch(&watch);
    tear_down();
}
END_TEST

START_TEST(of_those_that_have_ended_only_so_many_are_kept)
{
    set_up();
    char id[32];
    for (int i = 0; i < DOWNLOADS_KEPT + 500; i++) {
        snprintf(id, sizeof id, "id-0123456789-%06d", i);
        transfer_end(transfer_new(downloads, "/f", id, 0, 1), true);
    }
    ck_assert_uint_eq(watched(), DOWNLOADS_KEPT);
    downloads_watch(downloads, &watch, "/f", "id-0123456789-000499", stream); /* the oldest went */
    ck_assert(!told().ended);
    downloads_unwatch(&watch);
    downloads_watch(downloads, &watch, "/f", "id-0123456789-000500", stream);
    ck_assert(told().ended);
    downloads_unwatch(&watch);
    transfer_end(transfer_new(downloads, "/f", NULL, 0, 1), false); /* has none */
    struct downloads_state state;
    downloads_state(downloads, &state);
    ck_assert_uint_eq(state.open, 0);
    ck_assert_uint_eq(state.complete, DOWNLOADS_KEPT + 500);
    ck_assert_uint_eq(state.cut, 1);
    tear_down();
}
END_TEST

UNIT_MAIN("downloads", an_id_has_letters_digits_and_a_length_that_cannot_be_guessed,
    a_watcher_waits_for_its_download_and_sees_it_to_its_end,
    one_that_is_cut_has_failed_and_its_resume_is_another_beginning,
    the_newest_of_an_id_is_the_one_that_is_watched,
    a_refusal_is_told_to_those_who_wait_and_to_nobody_else,
    of_those_that_have_ended_only_so_many_are_kept)
