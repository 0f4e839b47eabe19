/* test_llm_http_limits: what a call of the client of models holds back, gives up and refuses: room,
 * cancels, many at once, certificates, proxies. */
#include "llm_caller.h"
#include "unit.h"

#include "../../gateway/clock.h"
#include "../../gateway/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* ---- packed ---- */

static void
pack(struct buf *out, const char *text, size_t len, const char *encoding)
{
    z_stream zlib = {0};
    ck_assert_int_eq(
        deflateInit2(&zlib, 9, Z_DEFLATED,
            strcmp(encoding, "gzip") == 0 ? MAX_WBITS + 16 : MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
        Z_OK);
    char *copy = mem_alloc(len);
    memcpy(copy, text, len);
    zlib.next_in = (Bytef *)copy;
    zlib.avail_in = (uInt)len;
    buf_addf(out, OK_HEAD "Content-Encoding: %s\r\n\r\n", encoding);
    zlib.next_out = (Bytef *)buf_reserve(out, len + 1024);
    zlib.avail_out = (uInt)(len + 1024);
    ck_assert_int_eq(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    out->len += zlib.total_out;
    deflateEnd(&zlib);
    free(copy);
}

START_TEST(a_body_that_was_packed_unasked_is_unpacked)
{
    static const char *const encodings[] = {"gzip", "deflate"};
    for (size_t i = 0; i < 2; i++) {
        struct buf answer;
        buf_init(&answer);
        pack(&answer, "data: unasked for\n\n", 19, encodings[i]);
        caller_expect_good(
            &(struct llm_script){.bytes = answer.bytes, .len = answer.len, .step = 1},
            "data: unasked for\n\n");
        buf_fini(&answer);
    }
}
END_TEST

/* 32 MiB in 32 KiB: what there is no room for stays packed. */
START_TEST(a_packed_body_does_not_pass_the_room)
{
    const size_t size = (size_t)32 << 20;
    struct buf answer;
    struct llm_http_user user;
    char *zeros = mem_calloc(size, 1);
    buf_init(&answer);
    pack(&answer, zeros, size, "gzip");
    caller_setup();
    struct llm_script script = {.bytes = answer.bytes, .len = answer.len};
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = caller_target(llm_server_url(server));
    caller_init(&user);
    user.room = 10000;
    struct llm_http_call *call = caller_start(&user, &target, 1, &caller_no_times, &caller_retry);
    for (size_t room = 10000; room < 2000000; room += 300000) {
        caller_wait(&user, room);
        pthread_mutex_lock(&user.lock);
        ck_assert(!user.ended);
        ck_assert_uint_le(user.got.len, user.room + 4096);
        user.room = room + 300000;
        pthread_mutex_unlock(&user.lock);
        llm_http_resume(call);
    }
    caller_make_room(&user, call);
    caller_wait(&user, SIZE_MAX);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(user.got.len, size);
    llm_http_call_free(call);
    llm_server_free(server);
    caller_stop();
    caller_fini(&user);
    buf_fini(&answer);
    free(zeros);
}
END_TEST

/* ---- back-pressure, cancelling ---- */

START_TEST(without_room_the_bytes_stay_with_the_upstream)
{
    const size_t size = (size_t)32 << 20; /* more than all buffers between hold */
    struct llm_http_user user;
    struct buf answer;
    buf_init(&answer);
    buf_addf(&answer, OK_HEAD "Content-Length: %zu\r\n\r\n", size);
    memset(buf_reserve(&answer, size), 'x', size);
    answer.len += size;
    caller_setup();
    struct llm_script script = {.bytes = answer.bytes, .len = answer.len};
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = caller_target(llm_server_url(server));
    caller_init(&user);
    user.room = 5000;
    struct llm_http_call *call =
        caller_start(&user, &target, 1, &(struct llm_http_times){.idle_ms = 1000}, &caller_retry);
    caller_wait(&user, 5000);
    for (size_t sent = 0; sent != llm_server_sent(server);) { /* until nothing moves */
        sent = llm_server_sent(server);
        usleep(1200000); /* longer than idle: that does not count while there is no room */
    }
    ck_assert_uint_lt(llm_server_sent(server), size);
    pthread_mutex_lock(&user.lock);
    ck_assert(!user.ended);
    ck_assert_uint_le(user.got.len, 5000 + 4096);
    pthread_mutex_unlock(&user.lock);
    caller_make_room(&user, call);
    caller_wait(&user, SIZE_MAX);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(user.got.len, size);
    llm_http_call_free(call);
    llm_server_free(server);
    caller_stop();
    caller_fini(&user);
    buf_fini(&answer);
}
END_TEST

/* A small answer, all of it read before there is room. */
START_TEST(an_end_waits_until_there_is_room)
{
    static const struct llm_script script =
        SCRIPT(OK_HEAD "Content-Length: 10\r\n\r\n0123456789", 5, LLM_THEN_CLOSE);
    struct llm_http_user user;
    caller_setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = caller_target(llm_server_url(server));
    caller_init(&user);
    user.room = 1;
    struct llm_http_call *call = caller_start(&user, &target, 1, &caller_no_times, &caller_retry);
    caller_wait(&user, 1);
    usleep(100000);
    pthread_mutex_lock(&user.lock);
    ck_assert(!user.ended);
    pthread_mutex_unlock(&user.lock);
    caller_make_room(&user, call);
    caller_wait(&user, SIZE_MAX);
    ck_assert(user.result.good);
    ck_assert_uint_eq(user.got.len, 10);
    llm_http_call_free(call);
    llm_server_free(server);
    caller_stop();
    caller_fini(&user);
}
END_TEST

START_TEST(an_end_that_finds_no_room_is_told_again)
{
    static const struct llm_script script =
        SCRIPT(OK_HEAD "Content-Length: 10\r\n\r\n01234", 0, LLM_THEN_CLOSE);
    caller_setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = caller_target(llm_server_url(server));
    for (int cancelled = 0; cancelled <= 1; cancelled++) {
        struct llm_http_user user;
        caller_init(&user);
        user.refuses_end = cancelled ? SIZE_MAX : 3;
        struct llm_http_call *call = caller_start(
            &user, &target, 1, &(struct llm_http_times){.total_ms = 60000}, &caller_retry);
        if (cancelled) {
            caller_wait(&user, 5);
            llm_http_cancel(call);
        }
        caller_wait(&user, SIZE_MAX);
        ck_assert_int_eq(user.result.code, cancelled ? LLM_CANCELLED : LLM_TRUNCATED);
        llm_http_call_free(call);
        caller_fini(&user);
    }
    llm_server_free(server);
    caller_stop();
}
END_TEST

START_TEST(what_follows_enough_is_no_failure)
{
    static const struct llm_script script = SCRIPT(CHUNKED "6\r\n[DONE]\r\n", 0, LLM_THEN_STALL);
    struct llm_http_user user;
    caller_setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = caller_target(llm_server_url(server));
    caller_init(&user);
    user.enough = "[DONE]";
    struct llm_http_call *call = caller_start(&user, &target, 1, &caller_no_times, &caller_retry);
    caller_wait(&user, SIZE_MAX);
    ck_assert(user.result.good);
    ck_assert(llm_server_wait_closed(server, 1, CALLER_SECONDS));
    llm_http_call_free(call);
    llm_server_free(server);
    caller_stop();
    caller_fini(&user);
}
END_TEST

START_TEST(a_cancel_closes_the_connection_in_any_state)
{
    static const struct llm_script scripts[] = {
        SCRIPT(CHUNKED "1\r\nx\r\n", 0, LLM_THEN_STALL),
        SCRIPT("", 0, LLM_THEN_STALL),
        SCRIPT("HTTP/1.1 503 x\r\nRetry-After: 50\r\nContent-Length: 0\r\n\r\n", 0, LLM_THEN_STALL),
    };
    for (size_t i = 0; i < 3; i++) {
        struct llm_http_user user;
        caller_setup();
        struct llm_server *server = llm_server_new(&scripts[i], 1, false);
        struct llm_target target = caller_target(llm_server_url(server));
        caller_init(&user);
        struct llm_http_call *call =
            caller_start(&user, &target, 1, &caller_no_times, &caller_retry);
        while (llm_server_requests(server) < 1) {
            usleep(1000);
        }
        if (i == 0) {
            caller_wait(&user, 1);
        }
        llm_http_cancel(call);
        llm_http_cancel(call);
        caller_wait(&user, SIZE_MAX);
        ck_assert_int_eq(user.result.code, LLM_CANCELLED);
        llm_http_cancel(call); /* too late: nothing happens */
        llm_http_resume(call);
        llm_http_call_free(call);
        caller_stop(); /* an answer that was whole leaves its connection open until here */
        ck_assert(llm_server_wait_closed(server, 1, CALLER_SECONDS));
        llm_server_free(server);
        caller_fini(&user);
    }
}
END_TEST

START_TEST(a_call_that_is_freed_at_once_ends)
{
    struct llm_http_user user;
    struct llm_target target = caller_target("http://127.0.0.1:1");
    caller_setup();
    for (int i = 0; i < 100; i++) {
        caller_init(&user);
        struct llm_http_call *call =
            caller_start(&user, &target, 1, &caller_no_times, &caller_retry);
        llm_http_call_free(call);
        ck_assert(user.ended);
        caller_fini(&user);
    }
    caller_stop();
}
END_TEST

/* ---- many, TLS, proxy ---- */

/* Two descriptors a call, of this process. */
static size_t
calls_at_most(size_t wanted)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    size_t most = limit.rlim_cur > 100 ? (size_t)(limit.rlim_cur - 100) / 2 : 1;
    return most < wanted ? most : wanted;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MANY 300
#else
#define MANY 2000
#endif

/* All of them have begun, and are held up, before the first goes on. */
START_TEST(many_answers_come_at_once)
{
    static const struct llm_script script =
        SCRIPT(CHUNKED "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n", 40, LLM_THEN_CLOSE);
    static struct llm_http_user users[MANY];
    static struct llm_http_call *calls[MANY];
    const size_t n = calls_at_most(MANY);
    caller_setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = caller_target(llm_server_url(server));
    for (size_t i = 0; i < n; i++) {
        caller_init(&users[i]);
        users[i].room = 1;
        calls[i] = caller_start(&users[i], &target, 1, &caller_no_times, &caller_retry);
    }
    for (size_t i = 0; i < n; i++) {
        caller_wait(&users[i], 1);
        ck_assert_msg(!users[i].ended, "%s", users[i].message);
    }
    for (size_t i = 0; i < n; i++) {
        caller_make_room(&users[i], calls[i]);
    }
    for (size_t i = 0; i < n; i++) {
        caller_wait(&users[i], SIZE_MAX);
        ck_assert_msg(users[i].result.good, "%s", users[i].message);
        ck_assert_uint_eq(users[i].got.len, 3);
        llm_http_call_free(calls[i]);
        caller_fini(&users[i]);
    }
    llm_server_free(server);
    caller_stop();
}
END_TEST

/* More of them than get their tick at a time. */
START_TEST(each_of_many_silent_answers_is_found)
{
    static const struct llm_script script = SCRIPT(CHUNKED "1\r\na\r\n", 0, LLM_THEN_STALL);
    static struct llm_http_user users[300];
    static struct llm_http_call *calls[300];
    const struct llm_http_times times = {.idle_ms = 1000};
    const size_t n = calls_at_most(300);
    caller_setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = caller_target(llm_server_url(server));
    for (size_t i = 0; i < n; i++) {
        caller_init(&users[i]);
        calls[i] = caller_start(&users[i], &target, 1, &times, &caller_retry);
    }
    for (size_t i = 0; i < n; i++) {
        caller_wait(&users[i], SIZE_MAX);
        ck_assert(!users[i].result.good);
        ck_assert_int_eq(users[i].result.code, LLM_TIMEOUT);
        ck_assert_uint_eq(users[i].got.len, 1);
        llm_http_call_free(calls[i]);
        caller_fini(&users[i]);
    }
    llm_server_free(server);
    caller_stop();
}
END_TEST

START_TEST(a_certificate_is_verified)
{
    static const struct llm_script script =
        SCRIPT(CHUNKED "1\r\nx\r\n0\r\n\r\n", 0, LLM_THEN_CLOSE);
    caller_setup();
    struct llm_server *server = llm_server_new(&script, 1, true);
    for (int known = 0; known <= 1; known++) {
        struct llm_http_user user;
        struct llm_target target = caller_target(llm_server_url(server));
        target.ca_file = known ? llm_server_ca(server) : NULL;
        caller_init(&user);
        struct llm_http_call *call =
            caller_start(&user, &target, 1, &caller_no_times, &caller_retry);
        caller_wait(&user, SIZE_MAX);
        ck_assert_msg(user.result.good == (known == 1), "%s", user.message);
        ck_assert_uint_eq(user.result.attempts, 1);
        ck_assert_uint_eq(llm_server_requests(server), (size_t)known);
        llm_http_call_free(call);
        caller_fini(&user);
    }
    llm_server_free(server);
    caller_stop();
}
END_TEST

START_TEST(the_proxy_of_the_environment_is_used)
{
    static const struct llm_script script =
        SCRIPT(CHUNKED "1\r\nx\r\n0\r\n\r\n", 0, LLM_THEN_CLOSE);
    struct llm_http_user user;
    struct llm_server *proxy = llm_server_new(&script, 1, false);
    caller_setup();
    setenv("http_proxy", llm_server_url(proxy), 1);
    setenv("no_proxy", "localhost", 1);
    struct llm_target target = caller_target("http://upstream.invalid/v1/messages");
    caller_init(&user);
    struct llm_http_call *call = caller_start(&user, &target, 1, &caller_no_times, &caller_retry);
    caller_wait(&user, SIZE_MAX);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_ptr_nonnull(strstr(
        llm_server_request(proxy, 0), "POST http://upstream.invalid/v1/messages HTTP/1.1\r\n"));
    llm_http_call_free(call);
    caller_stop();
    llm_server_free(proxy);
    caller_fini(&user);
}
END_TEST

UNIT_MAIN("llm_http_limits", a_body_that_was_packed_unasked_is_unpacked,
    a_packed_body_does_not_pass_the_room, without_room_the_bytes_stay_with_the_upstream,
    an_end_waits_until_there_is_room, an_end_that_finds_no_room_is_told_again,
    what_follows_enough_is_no_failure, a_cancel_closes_the_connection_in_any_state,
    a_call_that_is_freed_at_once_ends, many_answers_come_at_once,
    each_of_many_silent_answers_is_found, a_certificate_is_verified,
    the_proxy_of_the_environment_is_used)
