/* test_llm_http: the client of models against an upstream whose every byte is scripted: answers as
 * they are framed, failures, and which of them are tried again. */
#include "llm_caller.h"
#include "unit.h"

#include <string.h>

START_TEST(an_answer_arrives_however_it_is_framed)
{
    caller_expect_good(
        &(struct llm_script)SCRIPT(CHUNKED "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 1, LLM_THEN_CLOSE),
        "abcde");
    caller_expect_good(
        &(struct llm_script)SCRIPT(OK_HEAD "Content-Length: 5\r\n\r\nabcde", 0, LLM_THEN_CLOSE),
        "abcde");
    caller_expect_good(&(struct llm_script)SCRIPT(OK_HEAD "\r\nabcde", 3, LLM_THEN_CLOSE), "abcde");
    caller_expect_good(
        &(struct llm_script)SCRIPT("HTTP/1.1 100 Continue\r\n\r\n" CHUNKED
                                   "5\r\nabcde\r\n0\r\nContent-Encoding: gzip\r\n\r\n",
            0, LLM_THEN_CLOSE),
        "abcde");
}
END_TEST

START_TEST(a_request_has_its_key_and_asks_for_no_packing)
{
    static const struct llm_script script =
        SCRIPT(CHUNKED "1\r\nx\r\n0\r\n\r\n", 0, LLM_THEN_CLOSE);
    struct llm_http_user user;
    caller_setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = caller_target(llm_server_url(server));
    caller_init(&user);
    struct llm_http_call *call = caller_start(&user, &target, 1, &caller_no_times, &caller_retry);
    caller_wait(&user, SIZE_MAX);
    const char *request = llm_server_request(server, 0);
    ck_assert_ptr_nonnull(strstr(request, "POST / HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nAuthorization: Bearer key-1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nAccept-Encoding: identity\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nContent-Type: application/json\r\n"));
    ck_assert_ptr_null(strstr(request, "Expect:"));
    ck_assert_ptr_nonnull(strstr(request, "\r\n\r\n{\"q\":1}"));
    llm_http_call_free(call);
    llm_server_free(server);
    caller_stop();
    caller_fini(&user);
}
END_TEST

/* ---- failures ---- */

static void
check_failed(const struct llm_script *scripts, size_t n, const struct llm_http_times *times,
    enum llm_code code, size_t wanted, const char *in_message)
{
    struct llm_http_user user;
    size_t requests;
    caller_run(&user, scripts, n, &requests, times);
    ck_assert(!user.result.good);
    ck_assert_msg(
        user.result.code == code, "%s: %s", llm_code_name(user.result.code), user.message);
    ck_assert_msg(strstr(user.message, in_message) != NULL, "%s", user.message);
    ck_assert_ptr_null(strstr(user.message, "key-1"));
    ck_assert_uint_eq(user.result.attempts, wanted);
    ck_assert_uint_eq(user.n_failed, wanted);
    caller_fini(&user);
}

START_TEST(an_answer_that_breaks_off_has_failed_and_is_not_asked_for_again)
{
    static const struct llm_script scripts[] = {
        SCRIPT(CHUNKED "3\r\nabc\r\n", 0, LLM_THEN_CLOSE),
        SCRIPT(CHUNKED "3\r\nab", 0, LLM_THEN_CLOSE),
        SCRIPT(OK_HEAD "Content-Length: 50\r\n\r\nabcde", 0, LLM_THEN_CLOSE),
    };
    for (size_t i = 0; i < 3; i++) {
        check_failed(&scripts[i], 1, &caller_no_times, LLM_TRUNCATED, 1, "broke off");
    }
}
END_TEST

START_TEST(before_the_first_byte_another_attempt_is_made)
{
    static const struct llm_script scripts[] = {
        SCRIPT("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 0, LLM_THEN_CLOSE),
        SCRIPT("", 0, LLM_THEN_RESET),
        SCRIPT(CHUNKED "1\r\nx\r\n0\r\n\r\n", 0, LLM_THEN_CLOSE),
    };
    static const struct llm_script empty[] = {
        SCRIPT(CHUNKED "0\r\n\r\n", 0, LLM_THEN_CLOSE),
        SCRIPT(CHUNKED "1\r\nx\r\n0\r\n\r\n", 0, LLM_THEN_CLOSE),
    };
    struct llm_http_user user;
    size_t requests;
    caller_run(&user, scripts, 3, &requests, &caller_no_times);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(requests, 3);
    ck_assert_uint_eq(user.result.attempts, 3);
    ck_assert_int_eq(user.failed_status[0], 503);
    ck_assert_int_eq(user.failed_code[0], LLM_OVERLOADED);
    ck_assert_int_eq(user.failed_status[1], 0);
    ck_assert_int_eq(user.failed_code[1], LLM_UNREACHABLE);
    caller_fini(&user);
    caller_run(&user, empty, 2, &requests, &caller_no_times);
    ck_assert(user.result.good);
    ck_assert_uint_eq(requests, 2);
    caller_fini(&user);
}
END_TEST

START_TEST(attempts_are_bounded_and_what_does_not_help_is_not_repeated)
{
    static const struct llm_script scripts[] = {
        SCRIPT("HTTP/1.1 529 x\r\nContent-Type: application/json\r\nretry-after-ms: "
               "3\r\nContent-Length: 72\r\n\r\n"
               "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Over.\"}"
               "}  ",
            0, LLM_THEN_CLOSE),
        SCRIPT("HTTP/1.1 503 x\r\nX-Should-Retry: false\r\nContent-Length: 0\r\n\r\n", 0,
            LLM_THEN_CLOSE),
        SCRIPT("HTTP/1.1 400 x\r\nx-should-retry: true\r\nContent-Length: 0\r\n\r\n", 0,
            LLM_THEN_CLOSE),
        SCRIPT("HTTP/1.1 401 x\r\nContent-Length: 28\r\n\r\n{\"error\":\"no such key here\"}", 0,
            LLM_THEN_CLOSE),
        SCRIPT(
            "HTTP/1.1 429 x\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n", 0, LLM_THEN_CLOSE),
        SCRIPT("HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 0,
            LLM_THEN_CLOSE),
    };
    check_failed(&scripts[0], 1, &caller_no_times, LLM_OVERLOADED, 3, "answered 529: Over.");
    check_failed(&scripts[1], 1, &caller_no_times, LLM_OVERLOADED, 1, "answered 503");
    check_failed(&scripts[2], 1, &caller_no_times, LLM_INVALID_REQUEST, 3, "answered 400");
    check_failed(&scripts[3], 1, &caller_no_times, LLM_AUTHENTICATION, 1, "no such key here");
    check_failed(&scripts[4], 1, &caller_no_times, LLM_RATE_LIMITED, 1, "answered 429");
    check_failed(&scripts[5], 1, &caller_no_times, LLM_UPSTREAM_ERROR, 1, "answered 302");
}
END_TEST

START_TEST(what_is_no_stream_is_an_error)
{
    static const struct llm_script scripts[] = {
        SCRIPT("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", 0,
            LLM_THEN_CLOSE),
        SCRIPT("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n"
               "{\"error\":{\"message\":\"odd\"}}",
            0, LLM_THEN_CLOSE),
        SCRIPT(OK_HEAD "Content-Encoding: br\r\nContent-Length: 2\r\n\r\nxx", 0, LLM_THEN_CLOSE),
        SCRIPT(OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\nthis is not packed .",
            0, LLM_THEN_CLOSE),
    };
    check_failed(&scripts[0], 1, &caller_no_times, LLM_PROTOCOL, 1, "answered with text/html");
    check_failed(&scripts[1], 1, &caller_no_times, LLM_PROTOCOL, 1, "odd");
    check_failed(&scripts[2], 1, &caller_no_times, LLM_PROTOCOL, 1, "packed");
    check_failed(&scripts[3], 1, &caller_no_times, LLM_PROTOCOL, 1, "unpacked");
}
END_TEST

START_TEST(each_time_that_is_set_is_kept)
{
    static const struct llm_script silent = SCRIPT(CHUNKED, 0, LLM_THEN_STALL);
    static const struct llm_script stalls = SCRIPT(CHUNKED "1\r\nx\r\n", 0, LLM_THEN_STALL);
    check_failed(&silent, 1, &(struct llm_http_times){.first_byte_ms = 100}, LLM_TIMEOUT, 3,
        "nothing within 0.1 s");
    check_failed(&stalls, 1, &(struct llm_http_times){.idle_ms = 150}, LLM_TIMEOUT, 1,
        "nothing more for 0.15 s");
    check_failed(&stalls, 1, &(struct llm_http_times){.total_ms = 200, .idle_ms = 60000},
        LLM_TIMEOUT, 1, "longer than 0.2 s");
}
END_TEST

START_TEST(an_upstream_that_is_not_there_is_left_for_the_next)
{
    static const struct llm_script good = SCRIPT(CHUNKED "1\r\nx\r\n0\r\n\r\n", 0, LLM_THEN_CLOSE);
    static const struct llm_script denies =
        SCRIPT("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", 0, LLM_THEN_CLOSE);
    struct llm_http_user user;
    caller_setup();
    struct llm_server *one = llm_server_new(&denies, 1, false);
    struct llm_server *two = llm_server_new(&good, 1, false);
    struct llm_target targets[] = {caller_target("http://127.0.0.1:1"),
        caller_target(llm_server_url(one)), caller_target(llm_server_url(two)),
        caller_target("http://127.0.0.1:1")};
    caller_init(&user);
    struct llm_http_call *call = caller_start(&user, targets, 4, &caller_no_times, &caller_retry);
    caller_wait(&user, SIZE_MAX);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(user.begun_target, 2);
    ck_assert_uint_eq(user.result.target, 2);
    ck_assert_uint_eq(user.result.attempts, 5); /* three at the first */
    ck_assert_int_eq(user.failed_code[0], LLM_UNREACHABLE);
    ck_assert_int_eq(user.failed_code[3], LLM_AUTHENTICATION);
    llm_http_call_free(call);
    llm_server_free(one);
    llm_server_free(two);
    caller_stop();
    caller_fini(&user);
}
END_TEST

UNIT_MAIN("llm_http", an_answer_arrives_however_it_is_framed,
    a_request_has_its_key_and_asks_for_no_packing,
    an_answer_that_breaks_off_has_failed_and_is_not_asked_for_again,
    before_the_first_byte_another_attempt_is_made,
    attempts_are_bounded_and_what_does_not_help_is_not_repeated, what_is_no_stream_is_an_error,
    each_time_that_is_set_is_kept, an_upstream_that_is_not_there_is_left_for_the_next)
