/* tail_client: the loop of `headgate tail`: connect, print, remember the token, come back.
 * One thread; libcurl's multi interface so that a signal and the clock end a wait. */
#include "tail_client.h"

#include "buf.h"
#include "clock.h"
#include "mem.h"
#include "tail_ack.h"
#include "tail_backoff.h"
#include "tail_message.h"
#include "tail_sink.h"
#include "tail_stats.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBLEM_MAX_BYTES 65536
#define TICK_NS INT64_C(1000000000)
#define HEARTBEAT "15s"
#define SILENCE_MAX_NS (45 * TICK_NS) /* three heartbeats */

struct tail_client {
    const struct tail_options *options;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    struct tail_backoff backoff;
    struct tail_sink sink;
    bool durable;         /* the server knows where to go on */
    struct tail_ack *ack; /* NULL: what was sent counts */
    bool bounded;         /* the request names an end, so a clean end is one */
    bool has_limit;
    bool has_heartbeat; /* the user chose one; else ours is asked for, and silence is a failure */
    uint64_t limit;
    bool told_outage; /* a line of this outage is on stderr already */
    int64_t connected_ns;
    int64_t heard_ns; /* when the last bytes came and were written */
    /* of this connection */
    enum tail_outcome outcome;
    bool head_seen;
    bool is_stream;
    long status;
    int64_t retry_after_ms;
    struct buf problem;
};

static void
say_buf(struct buf *text)
{
    buf_addc(text, '\0');
    tail_sink_say(text->bytes);
    buf_fini(text);
}

/* Set once: what is found first is why the connection ended. */
static void
decide(struct tail_client *client, enum tail_outcome outcome)
{
    if (client->outcome == TAIL_GO_ON) {
        client->outcome = outcome;
    }
}

/* ---- the answer ---- */

static void
look_at_head(struct tail_client *client)
{
    const char *type = NULL;
    client->head_seen = true;
    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &client->status);
    curl_easy_getinfo(client->easy, CURLINFO_CONTENT_TYPE, &type);
    type = type == NULL ? "no type" : type;
    client->is_stream =
        client->status == 200 && (strstr(type, "ndjson") != NULL || strstr(type, "jsonl") != NULL);
    if (client->is_stream) {
        client->sink.stats.connects++;
        client->told_outage = false;
        client->connected_ns = clock_mono_ns();
    } else if (client->status == 200) {
        fprintf(stderr, "headgate tail: the answer is %.100s, not NDJSON\n", type);
        decide(client, TAIL_FATAL);
    }
}

/* Called by libcurl with each piece of the body; another count than what came ends the transfer. */
static size_t
on_body(char *bytes, size_t size, size_t n, void *self)
{
    struct tail_client *client = self;
    size_t len = size * n;
    if (!client->head_seen) {
        look_at_head(client);
    }
    if (client->is_stream) {
        enum tail_outcome outcome = tail_sink_take(&client->sink, bytes, len);
        client->heard_ns = clock_mono_ns();
        client->told_outage = client->told_outage || outcome == TAIL_RETRY;
        decide(client, outcome);
        return outcome == TAIL_GO_ON ? len : 0;
    }
    if (client->outcome != TAIL_GO_ON) {
        return 0;
    }
    size_t room = PROBLEM_MAX_BYTES - client->problem.len;
    buf_add(&client->problem, bytes, len < room ? len : room);
    return len;
}

/* ---- a connection ---- */

/* These are set anew for each connection. */
static bool
is_ours(const struct tail_client *client, const char *name)
{
    return (strcmp(name, "limit") == 0 && client->has_limit) ||
           (strcmp(name, "envelope") == 0 && client->sink.payload_only) ||
           (strcmp(name, "from") == 0 && client->sink.token.len != 0 && !client->durable);
}

static char *
request_url(const struct tail_client *client, struct err *err)
{
    const struct tail_options *options = client->options;
    struct tail_param params[64];
    size_t n = 0;
    char limit[24];
    for (size_t i = 0; i < options->n_params; i++) {
        if (!is_ours(client, options->params[i].name)) {
            params[n++] = options->params[i];
        }
    }
    if (client->has_limit) {
        snprintf(limit, sizeof limit, "%" PRIu64, client->limit - client->sink.stats.records);
        params[n++] = (struct tail_param){"limit", limit, false};
    }
    if (client->sink.token.len != 0 && !client->durable) {
        params[n++] = (struct tail_param){"from", client->sink.token.bytes, false};
    }
    if (client->sink.payload_only) {
        /* Payloads alone carry no token: ask for records and take the payloads out here. */
        params[n++] = (struct tail_param){"envelope", "record", false};
    }
    if (!client->has_heartbeat) {
        params[n++] = (struct tail_param){"heartbeat", HEARTBEAT, false};
    }
    return tail_url_build(options->url, params, n, err);
}

static int
setup(struct tail_client *client, struct err *err)
{
    char *url = request_url(client, err);
    if (url == NULL) {
        return -1;
    }
    CURL *easy = client->easy;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "headgate-tail");
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, client);
    free(url);
    client->outcome = TAIL_GO_ON;
    client->head_seen = client->is_stream = client->sink.record_seen = false;
    client->status = 0;
    client->retry_after_ms = 0;
    client->problem.len = 0;
    client->heard_ns = clock_mono_ns();
    tail_sink_begin(&client->sink);
    return 0;
}

/* Why this outage is, told once until a connection stands again. */
static void
tell_outage(struct tail_client *client, const char *why)
{
    if (!client->told_outage) {
        fprintf(stderr, "headgate tail: %s%s\n", why,
            client->options->reconnect ? "; trying again" : "");
        client->told_outage = true;
    }
}

static void
judge_refusal(struct tail_client *client)
{
    struct buf text;
    buf_init(&text);
    tail_message_problem(&text, client->status, client->problem.bytes, client->problem.len);
    buf_addc(&text, '\0');
    curl_off_t after_seconds = 0;
    curl_easy_getinfo(client->easy, CURLINFO_RETRY_AFTER, &after_seconds);
    client->retry_after_ms = after_seconds * 1000;
    /* 408, 425 and 429 say "later", the other 4xx say "never"; a 3xx leads elsewhere. */
    bool later = client->status >= 500 || client->status == 408 || client->status == 425 ||
                 client->status == 429;
    if (later && client->options->reconnect) {
        tell_outage(client, text.bytes);
        decide(client, TAIL_RETRY);
    } else {
        tail_sink_say(text.bytes);
        client->told_outage = true;
        decide(client, TAIL_FATAL);
    }
    buf_fini(&text);
}

static bool
limit_reached(const struct tail_client *client)
{
    return client->has_limit && client->sink.stats.records >= client->limit;
}

/* The transfer is over with libcurl's result code. */
static void
judge(struct tail_client *client, CURLcode code)
{
    if (!client->head_seen && code == CURLE_OK) {
        look_at_head(client);
    }
    if (client->outcome != TAIL_GO_ON) {
        return;
    }
    if (client->head_seen && !client->is_stream) {
        judge_refusal(client);
    } else if (limit_reached(client) || (code == CURLE_OK && client->bounded)) {
        decide(client, TAIL_DONE);
    } else {
        bool ended = code == CURLE_OK || code == CURLE_PARTIAL_FILE;
        tell_outage(client, ended ? "the connection ended" : curl_easy_strerror(code));
        decide(client, TAIL_RETRY);
    }
}

static void
tick_stats(struct tail_client *client)
{
    int64_t now_ns = clock_mono_ns();
    if (client->options->stats && now_ns - client->sink.stats.last_ns >= TICK_NS) {
        struct buf line;
        buf_init(&line);
        tail_stats_line(&client->sink.stats, now_ns, &line);
        say_buf(&line);
    }
}

static bool
output_closed(const struct tail_client *client)
{
    struct pollfd out = {client->options->out, 0, 0};
    return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLNVAL)) != 0;
}

/* Wait for the network, a signal, a closed output or the next second. */
static void
wait_for_more(struct tail_client *client, int timeout_ms)
{
    struct curl_waitfd extra = {client->options->wake, CURL_WAIT_POLLIN, 0};
    curl_multi_poll(client->multi, &extra, 1, timeout_ms, NULL);
    tick_stats(client);
    if (*client->options->stop || output_closed(client)) {
        decide(client, TAIL_DONE);
    }
}

/* A peer that vanished without a word is found by the heartbeats that do not come. */
static void
check_silence(struct tail_client *client)
{
    if (!client->has_heartbeat && clock_mono_ns() - client->heard_ns > SILENCE_MAX_NS &&
        client->outcome == TAIL_GO_ON) {
        tell_outage(client, "nothing was heard for 45 s");
        decide(client, TAIL_RETRY);
    }
}

/* What libcurl says is over. True: the stream's transfer is among it. */
static bool
read_messages(struct tail_client *client, int running)
{
    int left;
    const CURLMsg *message;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (!tail_ack_done(client->ack, message)) {
            judge(client, message->data.result);
            return true;
        }
    }
    if (running == 0) {
        judge(client, CURLE_RECV_ERROR);
        return true;
    }
    return false;
}

/* The token of the last record that is on the output, of this connection; NULL: none yet. */
static const char *
token_out(const struct tail_client *client)
{
    return client->sink.record_seen ? client->sink.token.bytes : NULL;
}

static void
ack_output(struct tail_client *client)
{
    if (client->ack != NULL) {
        tail_ack_send(client->ack, token_out(client));
    }
}

static void
transfer(struct tail_client *client)
{
    int running = 1;
    curl_multi_add_handle(client->multi, client->easy);
    while (client->outcome == TAIL_GO_ON) {
        if (curl_multi_perform(client->multi, &running) != CURLM_OK) {
            tail_sink_say("libcurl failed");
            decide(client, TAIL_FATAL);
        } else if (!read_messages(client, running)) {
            ack_output(client);
            wait_for_more(client, 500);
            check_silence(client);
        }
    }
    if (client->ack != NULL && client->is_stream) {
        tail_ack_finish(client->ack, token_out(client)); /* while the connection stands */
    }
    curl_multi_remove_handle(client->multi, client->easy);
}

static void
back_off(struct tail_client *client)
{
    /* What only answers and hangs up again gets no quick retries. */
    if (client->sink.record_seen ||
        (client->is_stream && clock_mono_ns() - client->connected_ns > 5 * TICK_NS)) {
        tail_backoff_reset(&client->backoff);
    }
    int64_t wait_ms = tail_backoff_next_ms(&client->backoff, client->retry_after_ms);
    int64_t until_ns = clock_mono_ns() + wait_ms * 1000000;
    client->outcome = TAIL_GO_ON;
    for (int64_t left_ns = wait_ms * 1000000; left_ns > 0 && client->outcome == TAIL_GO_ON;
         left_ns = until_ns - clock_mono_ns()) {
        int64_t left_ms = left_ns / 1000000 + 1;
        wait_for_more(client, (int)(left_ms < 500 ? left_ms : 500));
    }
}

int
tail_client_run(struct tail_client *client)
{
    struct err err = {.code = ERR_NONE};
    if (tail_sink_end_torn_line(&client->sink) != TAIL_GO_ON) {
        return 1;
    }
    for (;;) {
        if (setup(client, &err) != 0) {
            tail_sink_say(err.text);
            return 1;
        }
        transfer(client);
        if (client->outcome == TAIL_RETRY && limit_reached(client)) {
            client->outcome = TAIL_DONE;
        }
        if (client->outcome == TAIL_RETRY && client->options->reconnect) {
            back_off(client);
        } else if (client->outcome == TAIL_RETRY) {
            client->outcome = TAIL_FATAL;
        }
        if (client->outcome == TAIL_DONE || client->outcome == TAIL_FATAL) {
            break;
        }
    }
    if (client->options->stats) {
        struct buf line;
        buf_init(&line);
        tail_stats_summary(&client->sink.stats, clock_mono_ns(), &line);
        say_buf(&line);
    }
    return client->outcome == TAIL_DONE ? 0 : 1;
}

/* ---- life ---- */

/* The value that the server will see for name: the command line's, else the URL's; owned. */
static char *
effective(const struct tail_options *options, const char *name)
{
    for (size_t i = 0; i < options->n_params; i++) {
        if (strcmp(options->params[i].name, name) == 0) {
            return mem_strdup(options->params[i].value);
        }
    }
    return tail_url_get(options->url, name);
}

static void
read_intent(struct tail_client *client)
{
    char *limit = effective(client->options, "limit");
    char *to = effective(client->options, "to");
    char *follow = effective(client->options, "follow");
    char *envelope = effective(client->options, "envelope");
    char *heartbeat = effective(client->options, "heartbeat");
    client->has_limit =
        limit != NULL && *limit != '\0' && strspn(limit, "0123456789") == strlen(limit);
    client->limit = client->has_limit ? strtoull(limit, NULL, 10) : 0;
    client->bounded =
        client->has_limit || to != NULL || (follow != NULL && strcmp(follow, "false") == 0);
    client->sink.payload_only = envelope != NULL && strcmp(envelope, "data") == 0;
    free(limit);
    free(to);
    free(follow);
    client->has_heartbeat = heartbeat != NULL;
    free(envelope);
    free(heartbeat);
}

/* With ack=client each record is acked once it is on the output. */
static int
open_ack(struct tail_client *client, struct err *err)
{
    char *consumer = effective(client->options, "consumer");
    char *mode = effective(client->options, "ack");
    int result = 0;
    client->durable = consumer != NULL;
    if (consumer != NULL && mode != NULL && strcmp(mode, "client") == 0) {
        char *url = tail_ack_url(client->options->url, consumer, err);
        client->ack = url == NULL ? NULL : tail_ack_new(client->multi, url, client->headers->next);
        result = client->ack == NULL ? -1 : 0;
        free(url);
    }
    free(consumer);
    free(mode);
    return result;
}

struct tail_client *
tail_client_new(const struct tail_options *options, struct err *err)
{
    char *url = tail_url_build(options->url, options->params, options->n_params, err);
    if (url == NULL) {
        return NULL;
    }
    free(url);
    struct tail_client *client = mem_calloc(1, sizeof *client);
    client->options = options;
    client->multi = curl_multi_init();
    client->easy = curl_easy_init();
    if (client->multi == NULL || client->easy == NULL) {
        err_set(err, ERR_SYSTEM, "libcurl cannot start");
        tail_client_free(client);
        return NULL;
    }
    client->headers = curl_slist_append(NULL, "Accept: application/x-ndjson");
    for (size_t i = 0; i < options->n_headers; i++) {
        client->headers = curl_slist_append(client->headers, options->headers[i]);
    }
    if (open_ack(client, err) != 0) {
        tail_client_free(client);
        return NULL;
    }
    tail_backoff_init(&client->backoff, (uint64_t)clock_mono_ns() ^ (uint64_t)getpid() << 32);
    tail_sink_init(&client->sink, options->out, options->stop);
    read_intent(client);
    return client;
}

void
tail_client_free(struct tail_client *client)
{
    if (client == NULL) {
        return;
    }
    tail_ack_free(client->ack);
    curl_easy_cleanup(client->easy);
    curl_multi_cleanup(client->multi);
    curl_slist_free_all(client->headers);
    tail_sink_fini(&client->sink);
    buf_fini(&client->problem);
    free(client);
}
