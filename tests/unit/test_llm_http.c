/* The client of models against an upstream whose every byte is scripted. */
#include "unit.h"

#include "../../connectors/llm_http.h"
#include "../../gateway/buf.h"
#include "../../gateway/clock.h"
#include "../../gateway/mem.h"
#include "llm_server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define SECONDS 60 /* what a loaded machine may take; nothing waits for it in vain */

/* One call, and all that it told. */
struct llm_http_user {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct buf got;
    size_t room;        /* bytes taken before it is FULL */
    const char *enough; /* ENOUGH once this has come */
    size_t begins, begun_target, n_failed;
    int failed_status[16];
    enum llm_code failed_code[16];
    bool ended;
    size_t refuses_end; /* so many times */
    struct llm_http_result result;
    char message[512];
};

static struct llm_http *client;

static void
on_begin(struct llm_http_user *user, size_t target)
{
    pthread_mutex_lock(&user->lock);
    user->begins++;
    user->begun_target = target;
    pthread_mutex_unlock(&user->lock);
}

static enum llm_http_more
more_of(const struct llm_http_user *user)
{
    if (user->enough != NULL && user->got.len > 0 &&
        memmem(user->got.bytes, user->got.len, user->enough, strlen(user->enough)) != NULL) {
        return LLM_HTTP_ENOUGH;
    }
    return user->got.len >= user->room ? LLM_HTTP_FULL : LLM_HTTP_MORE;
}

static enum llm_http_more
on_body(struct llm_http_user *user, const char *bytes, size_t len)
{
    pthread_mutex_lock(&user->lock);
    ck_assert_int_ne(more_of(user), LLM_HTTP_FULL);
    buf_add(&user->got, bytes, len);
    enum llm_http_more more = more_of(user);
    pthread_cond_broadcast(&user->changed);
    pthread_mutex_unlock(&user->lock);
    return more;
}

static enum llm_http_more
on_room(struct llm_http_user *user)
{
    pthread_mutex_lock(&user->lock);
    enum llm_http_more more = more_of(user);
    pthread_mutex_unlock(&user->lock);
    return more;
}

static void
on_tick(struct llm_http_user *user)
{
    (void)user;
}

static void
on_failed(
    struct llm_http_user *user, size_t target, int status, enum llm_code code, const char *why)
{
    (void)target;
    ck_assert_str_ne(why, "");
    pthread_mutex_lock(&user->lock);
    ck_assert_uint_lt(user->n_failed, 16);
    user->failed_status[user->n_failed] = status;
    user->failed_code[user->n_failed++] = code;
    pthread_mutex_unlock(&user->lock);
}

static bool
on_end(struct llm_http_user *user, const struct llm_http_result *result)
{
    pthread_mutex_lock(&user->lock);
    ck_assert(!user->ended);
    if (user->refuses_end > 0 && result->code != LLM_CANCELLED) {
        user->refuses_end--;
        pthread_mutex_unlock(&user->lock);
        return false;
    }
    user->ended = true;
    user->result = *result;
    snprintf(user->message, sizeof user->message, "%s", result->message);
    pthread_cond_broadcast(&user->changed);
    pthread_mutex_unlock(&user->lock);
    return true;
}

static const struct llm_http_handler handler = {
    on_begin, on_body, on_room, on_tick, on_failed, on_end};

static void
user_init(struct llm_http_user *user)
{
    *user = (struct llm_http_user){.room = SIZE_MAX};
    pthread_mutex_init(&user->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&user->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void
user_fini(struct llm_http_user *user)
{
    buf_fini(&user->got);
    pthread_cond_destroy(&user->changed);
    pthread_mutex_destroy(&user->lock);
}

/* Until it has ended, or len bytes came. */
static void
wait_for(struct llm_http_user *user, size_t len)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SECONDS;
    pthread_mutex_lock(&user->lock);
    int rc = 0;
    while (!user->ended && user->got.len < len && rc == 0) {
        rc = pthread_cond_timedwait(&user->changed, &user->lock, &until);
    }
    pthread_mutex_unlock(&user->lock);
    ck_assert_int_eq(rc, 0);
}

static const char *const one_header[] = {"Authorization: Bearer key-1", NULL};
static const struct llm_http_times no_times;
static const struct llm_retry_policy quick = {
    .most = 2, .backoff_ms = 1, .backoff_most_ms = 5, .wait_most_ms = 60000};

static struct llm_target
target_of(const char *url)
{
    return (struct llm_target){.url = url,
        .headers = one_header,
        .body = "{\"q\":1}",
        .body_len = 7,
        .media_type = "text/event-stream"};
}

static struct llm_http_call *
start(struct llm_http_user *user, const struct llm_target *targets, size_t n,
    const struct llm_http_times *times, const struct llm_retry_policy *retry)
{
    return llm_http_start(client, &(struct llm_http_options){.targets = targets,
                                      .n_targets = n,
                                      .times = *times,
                                      .retry = *retry,
                                      .handler = &handler,
                                      .user = user});
}

static void
setup(void)
{
    struct err err = {0};
    unsetenv("http_proxy"); /* of whoever runs the tests */
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    client = llm_http_new(&err);
    ck_assert_msg(client != NULL, "%s", err.text);
}

/* One call against scripts, to its end. */
static void
run(struct llm_http_user *user, const struct llm_script *scripts, size_t n, size_t *requests,
    const struct llm_http_times *times)
{
    setup();
    struct llm_server *server = llm_server_new(scripts, n, false);
    struct llm_target target = target_of(llm_server_url(server));
    user_init(user);
    struct llm_http_call *call = start(user, &target, 1, times, &quick);
    wait_for(user, SIZE_MAX);
    llm_http_call_free(call);
    *requests = llm_server_requests(server);
    llm_server_free(server);
    llm_http_free(client);
}

#define SCRIPT(text, step_, then_)                                                                 \
    {                                                                                              \
        .bytes = (text), .len = sizeof(text) - 1, .step = (step_), .then = (then_)                 \
    }
#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"

static void
check_good(const struct llm_script *script, const char *wanted)
{
    struct llm_http_user user;
    size_t requests;
    run(&user, script, 1, &requests, &no_times);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(user.begins, 1);
    ck_assert_uint_eq(user.got.len, strlen(wanted));
    ck_assert_mem_eq(user.got.bytes, wanted, user.got.len);
    ck_assert_uint_eq(requests, 1);
    user_fini(&user);
}

START_TEST(an_answer_arrives_however_it_is_framed)
{
    check_good(
        &(struct llm_script)SCRIPT(CHUNKED "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 1, LLM_THEN_CLOSE),
        "abcde");
    check_good(
        &(struct llm_script)SCRIPT(OK_HEAD "Content-Length: 5\r\n\r\nabcde", 0, LLM_THEN_CLOSE),
        "abcde");
    check_good(&(struct llm_script)SCRIPT(OK_HEAD "\r\nabcde", 3, LLM_THEN_CLOSE), "abcde");
    check_good(&(struct llm_script)SCRIPT("HTTP/1.1 100 Continue\r\n\r\n" CHUNKED
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
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = target_of(llm_server_url(server));
    user_init(&user);
    struct llm_http_call *call = start(&user, &target, 1, &no_times, &quick);
    wait_for(&user, SIZE_MAX);
    const char *request = llm_server_request(server, 0);
    ck_assert_ptr_nonnull(strstr(request, "POST / HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nAuthorization: Bearer key-1\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nAccept-Encoding: identity\r\n"));
    ck_assert_ptr_nonnull(strstr(request, "\r\nContent-Type: application/json\r\n"));
    ck_assert_ptr_null(strstr(request, "Expect:"));
    ck_assert_ptr_nonnull(strstr(request, "\r\n\r\n{\"q\":1}"));
    llm_http_call_free(call);
    llm_server_free(server);
    llm_http_free(client);
    user_fini(&user);
}
END_TEST

/* ---- failures ---- */

static void
check_failed(const struct llm_script *scripts, size_t n, const struct llm_http_times *times,
    enum llm_code code, size_t wanted, const char *in_message)
{
    struct llm_http_user user;
    size_t requests;
    run(&user, scripts, n, &requests, times);
    ck_assert(!user.result.good);
    ck_assert_msg(
        user.result.code == code, "%s: %s", llm_code_name(user.result.code), user.message);
    ck_assert_msg(strstr(user.message, in_message) != NULL, "%s", user.message);
    ck_assert_ptr_null(strstr(user.message, "key-1"));
    ck_assert_uint_eq(user.result.attempts, wanted);
    ck_assert_uint_eq(user.n_failed, wanted);
    user_fini(&user);
}

START_TEST(an_answer_that_breaks_off_has_failed_and_is_not_asked_for_again)
{
    static const struct llm_script scripts[] = {
        SCRIPT(CHUNKED "3\r\nabc\r\n", 0, LLM_THEN_CLOSE),
        SCRIPT(CHUNKED "3\r\nab", 0, LLM_THEN_CLOSE),
        SCRIPT(OK_HEAD "Content-Length: 50\r\n\r\nabcde", 0, LLM_THEN_CLOSE),
    };
    for (size_t i = 0; i < 3; i++) {
        check_failed(&scripts[i], 1, &no_times, LLM_TRUNCATED, 1, "broke off");
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
    run(&user, scripts, 3, &requests, &no_times);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(requests, 3);
    ck_assert_uint_eq(user.result.attempts, 3);
    ck_assert_int_eq(user.failed_status[0], 503);
    ck_assert_int_eq(user.failed_code[0], LLM_OVERLOADED);
    ck_assert_int_eq(user.failed_status[1], 0);
    ck_assert_int_eq(user.failed_code[1], LLM_UNREACHABLE);
    user_fini(&user);
    run(&user, empty, 2, &requests, &no_times);
    ck_assert(user.result.good);
    ck_assert_uint_eq(requests, 2);
    user_fini(&user);
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
    check_failed(&scripts[0], 1, &no_times, LLM_OVERLOADED, 3, "answered 529: Over.");
    check_failed(&scripts[1], 1, &no_times, LLM_OVERLOADED, 1, "answered 503");
    check_failed(&scripts[2], 1, &no_times, LLM_INVALID_REQUEST, 3, "answered 400");
    check_failed(&scripts[3], 1, &no_times, LLM_AUTHENTICATION, 1, "no such key here");
    check_failed(&scripts[4], 1, &no_times, LLM_RATE_LIMITED, 1, "answered 429");
    check_failed(&scripts[5], 1, &no_times, LLM_UPSTREAM_ERROR, 1, "answered 302");
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
    check_failed(&scripts[0], 1, &no_times, LLM_PROTOCOL, 1, "answered with text/html");
    check_failed(&scripts[1], 1, &no_times, LLM_PROTOCOL, 1, "odd");
    check_failed(&scripts[2], 1, &no_times, LLM_PROTOCOL, 1, "packed");
    check_failed(&scripts[3], 1, &no_times, LLM_PROTOCOL, 1, "unpacked");
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
    setup();
    struct llm_server *one = llm_server_new(&denies, 1, false);
    struct llm_server *two = llm_server_new(&good, 1, false);
    struct llm_target targets[] = {target_of("http://127.0.0.1:1"), target_of(llm_server_url(one)),
        target_of(llm_server_url(two)), target_of("http://127.0.0.1:1")};
    user_init(&user);
    struct llm_http_call *call = start(&user, targets, 4, &no_times, &quick);
    wait_for(&user, SIZE_MAX);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(user.begun_target, 2);
    ck_assert_uint_eq(user.result.target, 2);
    ck_assert_uint_eq(user.result.attempts, 5); /* three at the first */
    ck_assert_int_eq(user.failed_code[0], LLM_UNREACHABLE);
    ck_assert_int_eq(user.failed_code[3], LLM_AUTHENTICATION);
    llm_http_call_free(call);
    llm_server_free(one);
    llm_server_free(two);
    llm_http_free(client);
    user_fini(&user);
}
END_TEST

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
        check_good(&(struct llm_script){.bytes = answer.bytes, .len = answer.len, .step = 1},
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
    setup();
    struct llm_script script = {.bytes = answer.bytes, .len = answer.len};
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = target_of(llm_server_url(server));
    user_init(&user);
    user.room = 10000;
    struct llm_http_call *call = start(&user, &target, 1, &no_times, &quick);
    for (size_t room = 10000; room < 2000000; room += 300000) {
        wait_for(&user, room);
        pthread_mutex_lock(&user.lock);
        ck_assert(!user.ended);
        ck_assert_uint_le(user.got.len, user.room + 4096);
        user.room = room + 300000;
        pthread_mutex_unlock(&user.lock);
        llm_http_resume(call);
    }
    pthread_mutex_lock(&user.lock);
    user.room = SIZE_MAX;
    pthread_mutex_unlock(&user.lock);
    llm_http_resume(call);
    wait_for(&user, SIZE_MAX);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(user.got.len, size);
    llm_http_call_free(call);
    llm_server_free(server);
    llm_http_free(client);
    user_fini(&user);
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
    setup();
    struct llm_script script = {.bytes = answer.bytes, .len = answer.len};
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = target_of(llm_server_url(server));
    user_init(&user);
    user.room = 5000;
    struct llm_http_call *call =
        start(&user, &target, 1, &(struct llm_http_times){.idle_ms = 1000}, &quick);
    wait_for(&user, 5000);
    for (size_t sent = 0; sent != llm_server_sent(server);) { /* until nothing moves */
        sent = llm_server_sent(server);
        usleep(1200000); /* longer than idle: that does not count while there is no room */
    }
    ck_assert_uint_lt(llm_server_sent(server), size);
    pthread_mutex_lock(&user.lock);
    ck_assert(!user.ended);
    ck_assert_uint_le(user.got.len, 5000 + 4096);
    user.room = SIZE_MAX;
    pthread_mutex_unlock(&user.lock);
    llm_http_resume(call);
    wait_for(&user, SIZE_MAX);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_uint_eq(user.got.len, size);
    llm_http_call_free(call);
    llm_server_free(server);
    llm_http_free(client);
    user_fini(&user);
    buf_fini(&answer);
}
END_TEST

/* A small answer, all of it read before there is room. */
START_TEST(an_end_waits_until_there_is_room)
{
    static const struct llm_script script =
        SCRIPT(OK_HEAD "Content-Length: 10\r\n\r\n0123456789", 5, LLM_THEN_CLOSE);
    struct llm_http_user user;
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = target_of(llm_server_url(server));
    user_init(&user);
    user.room = 1;
    struct llm_http_call *call = start(&user, &target, 1, &no_times, &quick);
    wait_for(&user, 1);
    usleep(100000);
    pthread_mutex_lock(&user.lock);
    ck_assert(!user.ended);
    user.room = SIZE_MAX;
    pthread_mutex_unlock(&user.lock);
    llm_http_resume(call);
    wait_for(&user, SIZE_MAX);
    ck_assert(user.result.good);
    ck_assert_uint_eq(user.got.len, 10);
    llm_http_call_free(call);
    llm_server_free(server);
    llm_http_free(client);
    user_fini(&user);
}
END_TEST

START_TEST(an_end_that_finds_no_room_is_told_again)
{
    static const struct llm_script script =
        SCRIPT(OK_HEAD "Content-Length: 10\r\n\r\n01234", 0, LLM_THEN_CLOSE);
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = target_of(llm_server_url(server));
    for (int cancelled = 0; cancelled <= 1; cancelled++) {
        struct llm_http_user user;
        user_init(&user);
        user.refuses_end = cancelled ? SIZE_MAX : 3;
        struct llm_http_call *call =
            start(&user, &target, 1, &(struct llm_http_times){.total_ms = 60000}, &quick);
        if (cancelled) {
            wait_for(&user, 5);
            llm_http_cancel(call);
        }
        wait_for(&user, SIZE_MAX);
        ck_assert_int_eq(user.result.code, cancelled ? LLM_CANCELLED : LLM_TRUNCATED);
        llm_http_call_free(call);
        user_fini(&user);
    }
    llm_server_free(server);
    llm_http_free(client);
}
END_TEST

START_TEST(what_follows_enough_is_no_failure)
{
    static const struct llm_script script = SCRIPT(CHUNKED "6\r\n[DONE]\r\n", 0, LLM_THEN_STALL);
    struct llm_http_user user;
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = target_of(llm_server_url(server));
    user_init(&user);
    user.enough = "[DONE]";
    struct llm_http_call *call = start(&user, &target, 1, &no_times, &quick);
    wait_for(&user, SIZE_MAX);
    ck_assert(user.result.good);
    ck_assert(llm_server_wait_closed(server, 1, SECONDS));
    llm_http_call_free(call);
    llm_server_free(server);
    llm_http_free(client);
    user_fini(&user);
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
        setup();
        struct llm_server *server = llm_server_new(&scripts[i], 1, false);
        struct llm_target target = target_of(llm_server_url(server));
        user_init(&user);
        struct llm_http_call *call = start(&user, &target, 1, &no_times, &quick);
        while (llm_server_requests(server) < 1) {
            usleep(1000);
        }
        if (i == 0) {
            wait_for(&user, 1);
        }
        llm_http_cancel(call);
        llm_http_cancel(call);
        wait_for(&user, SIZE_MAX);
        ck_assert_int_eq(user.result.code, LLM_CANCELLED);
        llm_http_cancel(call); /* too late: nothing happens */
        llm_http_resume(call);
        llm_http_call_free(call);
        llm_http_free(client); /* an answer that was whole leaves its connection open until here */
        ck_assert(llm_server_wait_closed(server, 1, SECONDS));
        llm_server_free(server);
        user_fini(&user);
    }
}
END_TEST

START_TEST(a_call_that_is_freed_at_once_ends)
{
    struct llm_http_user user;
    struct llm_target target = target_of("http://127.0.0.1:1");
    setup();
    for (int i = 0; i < 100; i++) {
        user_init(&user);
        struct llm_http_call *call = start(&user, &target, 1, &no_times, &quick);
        llm_http_call_free(call);
        ck_assert(user.ended);
        user_fini(&user);
    }
    llm_http_free(client);
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
    setup();
    struct llm_server *server = llm_server_new(&script, 1, false);
    struct llm_target target = target_of(llm_server_url(server));
    for (size_t i = 0; i < n; i++) {
        user_init(&users[i]);
        users[i].room = 1;
        calls[i] = start(&users[i], &target, 1, &no_times, &quick);
    }
    for (size_t i = 0; i < n; i++) {
        wait_for(&users[i], 1);
        ck_assert_msg(!users[i].ended, "%s", users[i].message);
    }
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&users[i].lock);
        users[i].room = SIZE_MAX;
        pthread_mutex_unlock(&users[i].lock);
        llm_http_resume(calls[i]);
    }
    for (size_t i = 0; i < n; i++) {
        wait_for(&users[i], SIZE_MAX);
        ck_assert_msg(users[i].result.good, "%s", users[i].message);
        ck_assert_uint_eq(users[i].got.len, 3);
        llm_http_call_free(calls[i]);
        user_fini(&users[i]);
    }
    llm_server_free(server);
    llm_http_free(client);
}
END_TEST

START_TEST(a_certificate_is_verified)
{
    static const struct llm_script script =
        SCRIPT(CHUNKED "1\r\nx\r\n0\r\n\r\n", 0, LLM_THEN_CLOSE);
    setup();
    struct llm_server *server = llm_server_new(&script, 1, true);
    for (int known = 0; known <= 1; known++) {
        struct llm_http_user user;
        struct llm_target target = target_of(llm_server_url(server));
        target.ca_file = known ? llm_server_ca(server) : NULL;
        user_init(&user);
        struct llm_http_call *call = start(&user, &target, 1, &no_times, &quick);
        wait_for(&user, SIZE_MAX);
        ck_assert_msg(user.result.good == (known == 1), "%s", user.message);
        ck_assert_uint_eq(user.result.attempts, 1);
        ck_assert_uint_eq(llm_server_requests(server), (size_t)known);
        llm_http_call_free(call);
        user_fini(&user);
    }
    llm_server_free(server);
    llm_http_free(client);
}
END_TEST

START_TEST(the_proxy_of_the_environment_is_used)
{
    static const struct llm_script script =
        SCRIPT(CHUNKED "1\r\nx\r\n0\r\n\r\n", 0, LLM_THEN_CLOSE);
    struct llm_http_user user;
    struct llm_server *proxy = llm_server_new(&script, 1, false);
    setup();
    setenv("http_proxy", llm_server_url(proxy), 1);
    setenv("no_proxy", "localhost", 1);
    struct llm_target target = target_of("http://upstream.invalid/v1/messages");
    user_init(&user);
    struct llm_http_call *call = start(&user, &target, 1, &no_times, &quick);
    wait_for(&user, SIZE_MAX);
    ck_assert_msg(user.result.good, "%s", user.message);
    ck_assert_ptr_nonnull(strstr(
        llm_server_request(proxy, 0), "POST http://upstream.invalid/v1/messages HTTP/1.1\r\n"));
    llm_http_call_free(call);
    llm_http_free(client);
    llm_server_free(proxy);
    user_fini(&user);
}
END_TEST

UNIT_MAIN("llm_http", an_answer_arrives_however_it_is_framed,
    a_request_has_its_key_and_asks_for_no_packing,
    an_answer_that_breaks_off_has_failed_and_is_not_asked_for_again,
    before_the_first_byte_another_attempt_is_made,
    attempts_are_bounded_and_what_does_not_help_is_not_repeated, what_is_no_stream_is_an_error,
    each_time_that_is_set_is_kept, an_upstream_that_is_not_there_is_left_for_the_next,
    a_body_that_was_packed_unasked_is_unpacked, a_packed_body_does_not_pass_the_room,
    without_room_the_bytes_stay_with_the_upstream, an_end_waits_until_there_is_room,
    an_end_that_finds_no_room_is_told_again, what_follows_enough_is_no_failure,
    a_cancel_closes_the_connection_in_any_state, a_call_that_is_freed_at_once_ends,
    many_answers_come_at_once, a_certificate_is_verified, the_proxy_of_the_environment_is_used)
