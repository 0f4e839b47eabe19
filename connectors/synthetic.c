/* synthetic: a source that makes its own records: for load tests and for examples without Kafka.
 * One thread. A record's payload is {"n":N,"sent_ns":T,"pad":"..."}: N counts from 0 over all
 * partitions, T is CLOCK_MONOTONIC. */
#include "synthetic.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/stream_source.h"
#include "../gateway/token.h"
#include "wake_fd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define GROUP "synthetic" /* of the lanes, in tokens */
#define TICK_NS INT64_C(100000000)
#define HEAD_MOST 64 /* of {"n":18446744073709551615,"sent_ns":9223372036854775807,"pad":" */

static const struct config_key keys[] = {
    {.name = "rate",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct synthetic_settings, rate),
        .most = 100000000,
        .fallback = "1",
        .prose = "Records a second; 0: as fast as the stream has room."},
    {.name = "size",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct synthetic_settings, size),
        .most = 16777216,
        .fallback = "200",
        .prose = "Payload bytes of a record, at least about 60."},
    {.name = "batch",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct synthetic_settings, batch),
        .least = 1,
        .most = 10000,
        .fallback = "1",
        .prose = "Records that are shown to subscribers at once."},
    {.name = "partitions",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct synthetic_settings, partitions),
        .least = 1,
        .most = 800, /* what a resume token holds */
        .fallback = "1",
        .prose = "Partitions, used in turn."},
    {.name = "count",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct synthetic_settings, count),
        .most = UINT64_MAX,
        .fallback = "0",
        .prose = "Records in all; 0: no end."},
    {.name = "keys",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct synthetic_settings, keys),
        .most = 1000000000,
        .fallback = "0",
        .prose = "Distinct keys, key-0 and so on in turn; 0: records without a key."},
    {.name = "on_request",
        .kind = CONFIG_BOOL,
        .offset = offsetof(struct synthetic_settings, on_request),
        .fallback = "false",
        .prose =
            "Every request has the stream to itself, from its beginning to its end; it may ask "
            "for fewer records with its parameter count."},
    {.name = "fail_after",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct synthetic_settings, fail_after),
        .most = UINT64_MAX,
        .fallback = "0",
        .prose =
            "With on_request: the stream fails after so many records, to see how a client takes "
            "that; 0: never."},
};

const struct config_section synthetic_section = {
    .name = "streams.NAME.source.synthetic",
    .size = sizeof(struct synthetic_settings),
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};

struct source {
    const struct synthetic_settings *settings;
    struct stream *stream;
    pthread_t thread;
    atomic_bool stopping;
    int wake_fd;
    uint64_t count; /* records in all; 0: no end */
    /* Of the thread. */
    uint32_t *lanes;
    char *payload;
    size_t payload_cap;
    uint64_t made;
    int64_t begun_ns;
};

static int
synthetic_check(const void *settings, struct err *err)
{
    const struct synthetic_settings *synthetic = settings;
    if (synthetic->on_request && synthetic->count == 0) {
        err_set(err, ERR_INVALID, "on_request needs a count: such a stream ends");
        return -1;
    }
    if (synthetic->fail_after > 0 && !synthetic->on_request) {
        err_set(err, ERR_INVALID, "fail_after is for streams with on_request");
        return -1;
    }
    return 0;
}

static uint64_t
synthetic_memory_bytes(const void *settings)
{
    return ((const struct synthetic_settings *)settings)->size + HEAD_MOST + 4096;
}

static uint64_t
synthetic_descriptors(const void *settings)
{
    (void)settings;
    return 1;
}

/* Write the payload of record n; the pad is there from the start and only its end is cut. */
static size_t
make_payload(struct source *source, int64_t now_ns)
{
    char head[HEAD_MOST + 1];
    int head_len = snprintf(head, sizeof head,
        "{\"n\":%" PRIu64 ",\"sent_ns\":%" PRId64 ",\"pad\":\"", source->made, now_ns);
    size_t len = (size_t)head_len + 2;
    len = len < source->settings->size ? (size_t)source->settings->size : len;
    memcpy(source->payload, head, (size_t)head_len);
    memcpy(source->payload + len - 2, "\"}", 2);
    return len;
}

static void
restore_pad(struct source *source, size_t len)
{
    memset(source->payload + len - 2, 'x', 2);
    memset(source->payload, 'x', HEAD_MOST < len ? HEAD_MOST : len);
}

/* false: there was no room after all. */
static bool
stage_one(struct source *source, int64_t now_ns)
{
    const struct synthetic_settings *settings = source->settings;
    char key[32];
    struct record_input in = {.time_ms = -1};
    in.lane = source->lanes[source->made % settings->partitions];
    in.offset = source->made / settings->partitions;
    if (settings->keys > 0) {
        in.key = key;
        in.key_len =
            (size_t)snprintf(key, sizeof key, "key-%" PRIu64, source->made % settings->keys);
    }
    size_t len = make_payload(source, now_ns);
    in.data = source->payload;
    in.data_len = len;
    bool taken = true;
    if (len > stream_max_record_bytes(source->stream)) {
        stream_lost(source->stream, in.lane, in.offset, 1, "too_large");
    } else {
        taken = stream_stage(source->stream, &in, now_ns) >= 0;
    }
    restore_pad(source, len);
    source->made += taken;
    return taken;
}

/* How many records are due: by the rate since the start, at most a batch, the room, what is left.
 */
static size_t
due(const struct source *source, int64_t now_ns)
{
    const struct synthetic_settings *settings = source->settings;
    uint64_t n = settings->batch;
    if (settings->rate > 0) {
        double elapsed = (double)(now_ns - source->begun_ns) / 1e9;
        uint64_t owed = (uint64_t)(elapsed * (double)settings->rate) + 1;
        uint64_t behind = owed > source->made ? owed - source->made : 0;
        n = behind < n ? 0 : n; /* only whole batches */
    }
    if (source->count > 0) {
        uint64_t left = source->count - source->made;
        n = n < left ? n : left;
    }
    size_t room = n == 0 ? 0 : stream_room(source->stream);
    return n < room ? (size_t)n : room;
}

/* The rest until the next batch is due, at most a tick. */
static int64_t
rest_ns(const struct source *source, int64_t now_ns)
{
    const struct synthetic_settings *settings = source->settings;
    if (settings->rate == 0 || (source->count > 0 && source->made >= source->count)) {
        return TICK_NS; /* no room, or done: the wake comes */
    }
    double at = (double)(source->made + settings->batch - 1) / (double)settings->rate * 1e9;
    int64_t wait = source->begun_ns + (int64_t)at - now_ns;
    /* Due already, and yet nothing was made: there is no room. */
    return wait <= 0 || wait > TICK_NS ? TICK_NS : wait;
}

static void
rest(struct source *source, int64_t ns)
{
    struct pollfd fd = {.fd = source->wake_fd, .events = POLLIN};
    struct timespec timeout = {ns / 1000000000, ns % 1000000000};
    if (ppoll(&fd, 1, &timeout, NULL) > 0) {
        (void)wake_fd_drain(source->wake_fd);
    }
}

/* A held source does not make up for the time that it was held. */
static void
forgive(struct source *source, int64_t now_ns)
{
    const struct synthetic_settings *settings = source->settings;
    if (settings->rate > 0) {
        int64_t made_ns = (int64_t)((double)source->made / (double)settings->rate * 1e9);
        if (now_ns - source->begun_ns - made_ns > INT64_C(1000000000)) {
            source->begun_ns = now_ns - made_ns;
        }
    }
}

/* The next offset of a lane when so many records were made, in turn over n lanes. */
static uint64_t
next_of(uint64_t made, uint64_t lane, uint64_t n)
{
    return made / n + (made % n > lane);
}

static void
open_lanes(struct source *source)
{
    uint64_t n = source->settings->partitions;
    for (uint64_t i = 0; i < n; i++) {
        source->lanes[i] =
            stream_lane_add(source->stream, GROUP, (uint32_t)i, next_of(source->made, i, n));
    }
    stream_source_up(source->stream);
}

/* On a request: how far it is. True when that is the end. */
static bool
tell_end(const struct source *source)
{
    uint64_t fail_after = source->settings->fail_after;
    stream_source_progress(source->stream, source->made, source->count);
    if (fail_after > 0 && source->made >= fail_after) {
        stream_source_end(source->stream, "source_failed", "it was configured to fail here");
        return true;
    }
    if (source->made >= source->count) {
        stream_source_end(source->stream, NULL, NULL);
        return true;
    }
    return false;
}

static void *
synthetic_main(void *source_)
{
    struct source *source = source_;
    open_lanes(source);
    source->begun_ns = clock_mono_ns();
    if (source->settings->on_request && tell_end(source)) {
        return NULL;
    }
    while (!atomic_load(&source->stopping)) {
        int64_t now = clock_mono_ns();
        stream_source_alive(source->stream);
        size_t n = due(source, now);
        if (n == 0) {
            rest(source, rest_ns(source, now));
            forgive(source, clock_mono_ns());
            continue;
        }
        for (size_t i = 0; i < n && stage_one(source, now); i++) {
        }
        stream_commit(source->stream);
        if (source->settings->on_request && tell_end(source)) {
            break;
        }
    }
    return NULL;
}

static void
source_free(struct source *source)
{
    if (source->wake_fd >= 0) {
        close(source->wake_fd);
    }
    free(source->lanes);
    free(source->payload);
    free(source);
}

static bool
synthetic_on_request(const void *settings)
{
    return ((const struct synthetic_settings *)settings)->on_request;
}

static const char *
synthetic_param(const void *settings, size_t i)
{
    return synthetic_on_request(settings) && i == 0 ? "count" : NULL;
}

static int
take_count(const char *text, uint64_t *count, struct err *err)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < 1 ||
        value > *count) {
        err_set(err, ERR_INVALID, "count: must be a number from 1 to %" PRIu64, *count);
        return -1;
    }
    *count = value;
    return 0;
}

/* Where a token stands: how many records were made before it. */
static int
take_place(const struct synthetic_settings *settings, const struct replay *replay, uint64_t *made,
    struct err *err)
{
    uint64_t sum = 0;
    bool good = replay->n_lanes == settings->partitions;
    for (size_t i = 0; i < replay->n_lanes && good; i++) {
        good = replay->lanes[i].next <= settings->count - sum;
        sum += good ? replay->lanes[i].next : 0;
    }
    for (size_t i = 0; i < replay->n_lanes && good; i++) {
        const struct replay_lane *lane = &replay->lanes[i];
        good = lane->group_hash == token_group_hash(GROUP) && lane->partition == i &&
               lane->next == next_of(sum, i, settings->partitions);
    }
    if (!good) {
        err_set(err, ERR_INVALID, "from: the token is of another stream");
        return -1;
    }
    *made = sum;
    return 0;
}

static int
take_request(const struct synthetic_settings *settings, const struct replay *replay,
    uint64_t *count, uint64_t *made, struct err *err)
{
    for (size_t i = 0; i < replay->n_params; i++) {
        if (take_count(replay->params[i].value, count, err) != 0) {
            return -1;
        }
    }
    return replay->kind == REPLAY_LANES ? take_place(settings, replay, made, err) : 0;
}

static struct source *
synthetic_start(
    const void *settings_, struct stream *stream, const struct replay *replay, struct err *err)
{
    const struct synthetic_settings *settings = settings_;
    uint64_t count = settings->count;
    uint64_t made = 0;
    if (replay != NULL &&
        (take_request(settings, replay, &count, &made, err) != 0 || replay->probes)) {
        return NULL;
    }
    struct source *source = mem_calloc(1, sizeof *source);
    source->settings = settings;
    source->count = count;
    source->made = made;
    source->stream = stream;
    source->lanes = mem_calloc((size_t)settings->partitions, sizeof *source->lanes);
    source->payload_cap = (size_t)settings->size + HEAD_MOST + 2;
    source->payload = mem_alloc(source->payload_cap);
    memset(source->payload, 'x', source->payload_cap);
    source->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (source->wake_fd < 0) {
        err_set_errno(err, errno, "stream %s: eventfd", stream_name(stream));
        source_free(source);
        return NULL;
    }
    int rc = pthread_create(&source->thread, NULL, synthetic_main, source);
    if (rc != 0) {
        err_set_errno(err, rc, "source thread of stream %s", stream_name(stream));
        source_free(source);
        return NULL;
    }
    pthread_setname_np(source->thread, "synthetic");
    return source;
}

static void
synthetic_wake(struct source *source)
{
    wake_fd_raise(source->wake_fd);
}

static void
synthetic_stop(struct source *source)
{
    atomic_store(&source->stopping, true);
    synthetic_wake(source);
    pthread_join(source->thread, NULL);
    source_free(source);
}

const struct connector synthetic_connector = {
    .name = "synthetic",
    .section = &synthetic_section,
    .check = synthetic_check,
    .memory_bound_bytes = synthetic_memory_bytes,
    .descriptor_bound = synthetic_descriptors,
    .on_request = synthetic_on_request,
    .request_param = synthetic_param,
    .start = synthetic_start,
    .wake = synthetic_wake,
    .stop = synthetic_stop,
};
