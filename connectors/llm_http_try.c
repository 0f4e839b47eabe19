/* llm_http_try: one attempt of a call: its libcurl handle, what comes in, what its end means. The
 * client's thread. */
#include "llm_http_internal.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/version.h"
#include "llm_dialect.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define PIECE_BYTES 4096            /* handed out at once: what may pile up behind it is small */
#define REFUSAL_MAX 16384           /* of an error's body */
#define DRAIN_NS INT64_C(500000000) /* after ENOUGH, for the connection to be used again */
#define NS_PER_MS INT64_C(1000000)

void
llm_try_say(struct llm_http_call *call, enum llm_code code, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    call->code = code;
    call->message.len = 0;
    buf_add(&call->message, text, strlen(text) + 1);
}

/* ---- what comes in ---- */

/* The next piece of a read, unpacked; 0: there is none; -1: it cannot be unpacked. */
static long
next_piece(struct llm_http_call *call, const char **at, const char *end, char *out)
{
    if (call->packed) {
        return llm_inflate_step(&call->inflate, at, end, out, PIECE_BYTES);
    }
    size_t len = (size_t)(end - *at) < PIECE_BYTES ? (size_t)(end - *at) : PIECE_BYTES;
    if (len > 0) {
        memcpy(out, *at, len);
        *at += len;
    }
    return (long)len;
}

/* Hand out a read until there is no room; what is left of it is held. */
static void
hand_out(struct llm_http_call *call, const char *at, const char *end)
{
    char piece[PIECE_BYTES];
    long len = 0;
    while (!call->full && !call->enough && (len = next_piece(call, &at, end, piece)) > 0) {
        enum llm_http_more more =
            call->options.handler->body(call->options.user, piece, (size_t)len);
        call->full = more == LLM_HTTP_FULL;
        call->enough = more == LLM_HTTP_ENOUGH;
    }
    call->bad_packing |= len < 0;
    buf_add(&call->held, at, (size_t)(end - at));
}

static void
keep_refusal(struct llm_http_call *call, const char *at, const char *end)
{
    char piece[PIECE_BYTES];
    long len;
    while (call->refusal.len < REFUSAL_MAX && (len = next_piece(call, &at, end, piece)) > 0) {
        buf_add(&call->refusal, piece, (size_t)len);
    }
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *call_)
{
    struct llm_http_call *call = call_;
    size_t len = size * count;
    if (call->refused && !call->bad_encoding) {
        keep_refusal(call, bytes, bytes + len);
    }
    if (call->refused || call->enough) {
        return len;
    }
    if (call->bad_packing || call->bad_encoding) {
        return 0; /* libcurl ends the transfer */
    }
    if (call->full) {
        call->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    call->read_ns = clock_mono_ns();
    if (!call->committed) {
        call->committed = true;
        call->options.handler->begin(call->options.user, call->target);
    }
    hand_out(call, bytes, bytes + len);
    return call->bad_packing ? 0 : len;
}

void
llm_try_resume(struct llm_http_call *call)
{
    if (!call->full) {
        return;
    }
    enum llm_http_more more = call->options.handler->room(call->options.user);
    call->full = more == LLM_HTTP_FULL;
    call->enough |= more == LLM_HTTP_ENOUGH;
    if (call->full) {
        return;
    }
    call->read_ns = clock_mono_ns();
    struct buf held = call->held;
    buf_init(&call->held);
    hand_out(call, held.bytes, held.bytes + held.len);
    buf_fini(&held);
    if (!call->full && call->paused) {
        call->paused = false;
        curl_easy_pause(call->easy, CURLPAUSE_CONT);
    }
}

/* ---- the head of an answer ---- */

static void
copy_word(char *out, size_t size, const char *value, size_t len)
{
    size_t n = 0;
    while (n < len && n + 1 < size && strchr("; \t", value[n]) == NULL) {
        out[n] = value[n];
        n++;
    }
    out[n] = '\0';
}

/* What a proxy's page, or an answer that is not streamed, says it is. */
static bool
is_answer(const struct llm_http_call *call)
{
    const char *wanted = call->options.targets[call->target].media_type;
    bool html = strncasecmp(call->media_type, "text/html", 9) == 0;
    bool json = strcasecmp(call->media_type, "application/json") == 0;
    bool stream = wanted == NULL || strcasecmp(wanted, "text/event-stream") == 0;
    return call->status >= 200 && call->status < 300 && !html && !(json && stream);
}

static void
head_ended(struct llm_http_call *call)
{
    call->refused = !is_answer(call);
    llm_inflate_fini(&call->inflate);
    call->packed = call->encoding[0] != '\0' && strcasecmp(call->encoding, "identity") != 0;
    call->bad_encoding = call->packed && !llm_inflate_init(&call->inflate, call->encoding);
}

/* "name: value CR LF". */
static void
take_header(struct llm_http_call *call, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL) {
        return;
    }
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1;
    const char *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    size_t value_len = (size_t)(end - value);
    if (name_len == 12 && strncasecmp(line, "content-type", 12) == 0) {
        copy_word(call->media_type, sizeof call->media_type, value, value_len);
    } else if (name_len == 16 && strncasecmp(line, "content-encoding", 16) == 0) {
        copy_word(call->encoding, sizeof call->encoding, value, value_len);
    } else {
        llm_retry_header(&call->hints, line, name_len, value, value_len, time(NULL));
    }
}

static size_t
on_header(char *line, size_t size, size_t count, void *call_)
{
    struct llm_http_call *call = call_;
    size_t len = size * count;
    size_t n = len;
    if (call->committed) {
        return len; /* trailers */
    }
    while (n > 0 && strchr("\r\n \t", line[n - 1]) != NULL) {
        n--;
    }
    if (n >= 12 && strncmp(line, "HTTP/", 5) == 0) {
        const char *space = memchr(line, ' ', n);
        call->status = space == NULL ? 0 : (int)strtol(space, NULL, 10);
        call->hints = LLM_RETRY_NO_HINTS;
        call->media_type[0] = call->encoding[0] = '\0';
    } else if (n == 0) {
        head_ended(call);
    } else {
        take_header(call, line, n);
    }
    return len;
}

/* ---- the handle ---- */

static struct curl_slist *
make_headers(const struct llm_target *target)
{
    static const char *const own[] = {"Content-Type: application/json",
        "Accept: text/event-stream, application/x-ndjson, application/json",
        "Accept-Encoding: identity", "Expect:", NULL};
    struct curl_slist *list = NULL;
    for (size_t i = 0; own[i] != NULL; i++) {
        list = curl_slist_append(list, own[i]);
    }
    for (size_t i = 0; target->headers[i] != NULL; i++) {
        list = curl_slist_append(list, target->headers[i]);
    }
    return list;
}

#define SET(option, value) good = good && curl_easy_setopt(easy, option, value) == CURLE_OK

/* What does not depend on the target. */
static bool
set_always(CURL *easy, struct llm_http_call *call)
{
    bool good = true;
    SET(CURLOPT_PRIVATE, call);
    SET(CURLOPT_NOSIGNAL, 1L);
    /* Without this the end of a handle whose name is being looked up waits for the resolver's
     * thread, and all other calls with it. */
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* the key is for this host alone */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)call->options.times.connect_ms);
    SET(CURLOPT_ERRORBUFFER, call->why);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, call);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, call);
    return good;
}

static bool
set_target(CURL *easy, struct llm_http_call *call, const struct llm_target *target)
{
    char agent[64];
    bool good = true;
    snprintf(agent, sizeof agent, "headgate/%.40s", version_text);
    call->headers = make_headers(target);
    SET(CURLOPT_USERAGENT, agent);
    SET(CURLOPT_URL, target->url);
    SET(CURLOPT_HTTPHEADER, call->headers);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)target->body_len);
    SET(CURLOPT_POSTFIELDS, target->body); /* lent, not copied */
    if (target->ca_file != NULL) {
        SET(CURLOPT_CAINFO, target->ca_file);
    }
    return good;
}

static void
forget_answer(struct llm_http_call *call)
{
    call->status = 0;
    call->refused = call->committed = call->enough = call->full = call->is_done = false;
    call->paused = call->packed = call->bad_encoding = call->bad_packing = false;
    call->hints = LLM_RETRY_NO_HINTS;
    call->held.len = call->refusal.len = 0;
    call->why[0] = '\0';
}

int
llm_try_start(struct llm_http_call *call, CURLM *multi)
{
    forget_answer(call);
    call->attempts++;
    call->tried_ns = call->read_ns = clock_mono_ns();
    call->easy = curl_easy_init();
    bool good = call->easy != NULL && set_always(call->easy, call) &&
                set_target(call->easy, call, &call->options.targets[call->target]) &&
                curl_multi_add_handle(multi, call->easy) == CURLM_OK;
    if (good) {
        call->state = LLM_CALL_TRYING;
        return 0;
    }
    llm_try_say(call, LLM_UNREACHABLE, "the request could not be made");
    llm_try_stop(call, NULL);
    return -1;
}

void
llm_try_stop(struct llm_http_call *call, CURLM *multi)
{
    if (call->easy != NULL && multi != NULL) {
        curl_multi_remove_handle(multi, call->easy);
    }
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    call->easy = NULL;
    call->headers = NULL;
    llm_inflate_fini(&call->inflate);
    buf_fini(&call->held);
}

/* ---- its end ---- */

static enum llm_try_outcome
ended_refused(struct llm_http_call *call)
{
    struct buf text;
    bool success = call->status >= 200 && call->status < 300;
    enum llm_code code = success ? LLM_PROTOCOL : llm_code_of_status(call->status);
    buf_init(&text);
    llm_error_text(
        &text, call->refusal.bytes == NULL ? "" : call->refusal.bytes, call->refusal.len, &code);
    buf_addc(&text, '\0');
    if (success && text.len == 1) {
        llm_try_say(call, code, "the upstream answered with %s, not with a stream",
            call->media_type[0] == '\0' ? "something" : call->media_type);
    } else {
        llm_try_say(call, code, "the upstream answered %d%s%s", call->status,
            text.len > 1 ? ": " : "", text.bytes);
    }
    buf_fini(&text);
    if (llm_retry_status(call->status, &call->hints)) {
        return LLM_TRY_AGAIN;
    }
    return code == LLM_INVALID_REQUEST ? LLM_TRY_FINAL : LLM_TRY_NEXT;
}

/* libcurl's words do not name hosts; those in call->why may. */
static enum llm_try_outcome
ended_badly(struct llm_http_call *call, CURLcode result)
{
    if (call->bad_encoding) {
        llm_try_say(
            call, LLM_PROTOCOL, "the upstream packed its answer in a way that is not known");
        return LLM_TRY_NEXT;
    }
    if (call->bad_packing) {
        llm_try_say(call, LLM_PROTOCOL, "the upstream's answer cannot be unpacked");
        return LLM_TRY_FINAL;
    }
    if (call->committed) {
        llm_try_say(
            call, LLM_TRUNCATED, "the upstream's answer broke off: %s", curl_easy_strerror(result));
        return LLM_TRY_FINAL;
    }
    bool late = result == CURLE_OPERATION_TIMEDOUT;
    llm_try_say(call, late ? LLM_TIMEOUT : LLM_UNREACHABLE, "the upstream cannot be reached: %s",
        curl_easy_strerror(result));
    bool hopeless = result == CURLE_PEER_FAILED_VERIFICATION ||
                    result == CURLE_SSL_CACERT_BADFILE || result == CURLE_UNSUPPORTED_PROTOCOL ||
                    result == CURLE_URL_MALFORMAT;
    return hopeless ? LLM_TRY_NEXT : LLM_TRY_AGAIN;
}

enum llm_try_outcome
llm_try_ended(struct llm_http_call *call, CURLcode result)
{
    if (call->enough) {
        return LLM_TRY_GOOD;
    }
    if (call->refused) {
        return ended_refused(call); /* even if its words are not all there */
    }
    if (result != CURLE_OK || call->bad_packing) {
        return ended_badly(call, result);
    }
    if (!call->committed) {
        llm_try_say(call, LLM_TRUNCATED, "the upstream's answer is empty");
        return LLM_TRY_AGAIN;
    }
    return LLM_TRY_GOOD;
}

/* ---- time ---- */

static int64_t
after_ms(int64_t from_ns, uint64_t ms)
{
    return ms == 0 || ms > (uint64_t)(LLM_HTTP_NEVER - from_ns) / 1000000
               ? LLM_HTTP_NEVER
               : from_ns + (int64_t)ms * NS_PER_MS;
}

static int64_t
least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When what the attempt is in takes too long. */
static int64_t
phase_due_ns(const struct llm_http_call *call)
{
    if (call->state != LLM_CALL_TRYING) {
        return LLM_HTTP_NEVER;
    }
    if (call->enough) {
        return call->read_ns + DRAIN_NS;
    }
    if (!call->committed) {
        return after_ms(call->tried_ns, call->options.times.first_byte_ms);
    }
    return call->full ? LLM_HTTP_NEVER : after_ms(call->read_ns, call->options.times.idle_ms);
}

int64_t
llm_try_due_ns(const struct llm_http_call *call)
{
    int64_t total = after_ms(call->started_ns, call->options.times.total_ms);
    int64_t next = call->state == LLM_CALL_WAITING ? call->due_ns : LLM_HTTP_NEVER;
    if (call->state == LLM_CALL_ENDING) {
        return LLM_HTTP_NEVER;
    }
    return least(least(total, next), phase_due_ns(call));
}

bool
llm_try_late(struct llm_http_call *call, int64_t now_ns, enum llm_try_outcome *outcome)
{
    const struct llm_http_times *times = &call->options.times;
    if (call->state == LLM_CALL_ENDING) {
        return false;
    }
    if (call->enough && now_ns >= phase_due_ns(call)) {
        *outcome = LLM_TRY_GOOD;
        return true;
    }
    if (now_ns >= after_ms(call->started_ns, times->total_ms)) {
        llm_try_say(call, LLM_TIMEOUT, "the answer took longer than %.3g s",
            (double)times->total_ms / 1000);
        *outcome = LLM_TRY_FINAL;
        return true;
    }
    if (now_ns < phase_due_ns(call)) {
        return false;
    }
    if (call->committed) {
        llm_try_say(call, LLM_TIMEOUT, "the upstream sent nothing more for %.3g s",
            (double)times->idle_ms / 1000);
        *outcome = LLM_TRY_FINAL;
    } else {
        llm_try_say(call, LLM_TIMEOUT, "the upstream sent nothing within %.3g s",
            (double)times->first_byte_ms / 1000);
        *outcome = LLM_TRY_AGAIN;
    }
    return true;
}
