/* connector: the interface between a source of records and the gateway.
 *
 * A connector is one const struct: a name under `source:` in the configuration, a table of its
 * configuration keys, and functions. connectors/ knows streams and records (stream_source.h), never
 * sessions or sockets; gateway/ knows connectors only through this header.
 *
 * A source owns its threads. On them it calls the stream_source.h functions; one thread only may
 * publish into a stream. It polls stream_room() before it takes more from its upstream: when there
 * is none, it leaves records where they are (in the broker, in the file) and keeps whatever
 * membership it has; wake() tells it that there is room again. */
#ifndef HEADGATE_CONNECTOR_H
#define HEADGATE_CONNECTOR_H

#include "../gateway/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_section;
struct push_options;
struct stream;

/* Each connector defines its own struct source; others see only the pointer. */
struct source;

/* Where a source begins when its settings do not say: for a subscriber that asks for what has left
 * the ring, or for a stream that a request makes. All of it is lent for the length of start(). */
enum replay_kind {
    REPLAY_EARLIEST,
    REPLAY_LATEST,
    REPLAY_TIME,
    REPLAY_LANES,
    REPLAY_CURSOR,
    REPLAY_LOG /* of CONNECTOR_LOGS: an answer that another gateway made */
};
struct replay_lane {
    const char *group;   /* topic or file; NULL on a request: the token knows its hash alone */
    uint32_t group_hash; /* token_group_hash(group) */
    uint32_t partition;
    uint64_t next; /* the first offset wanted */
    uint64_t end;  /* the live stream has seen that there is as much of it */
};
struct request_param {
    const char *name, *value; /* value is the client's: any text without a NUL */
};
struct replay {
    enum replay_kind kind;
    int64_t time_ms; /* REPLAY_TIME, REPLAY_LOG (when it was begun): Unix milliseconds */
    const struct replay_lane *lanes; /* REPLAY_LANES; a lane that is not among them begins at 0 */
    size_t n_lanes;
    const struct request_param *params; /* on a request: what it gave of request_param's names */
    size_t n_params;
    const void *body; /* on a request: what it sent; NULL: nothing, or it could not */
    size_t body_len;
    const char *name; /* of an answer: unique; its lane's group. NULL: it has none */
    /* Of an answer that was asked for as an SDK does: the body is in that dialect (llm_out.h), and
     * the answer is told in it too: as events, or as one object; else NULL. */
    const char *dialect;
    bool whole;
    bool keeps_raw;                      /* of an answer: what the upstream sent is told too */
    const struct request_param *headers; /* of the request's head, for the upstream; lent */
    size_t n_headers;
    const void *cursor; /* REPLAY_CURSOR: the first record wanted is the one behind it */
    size_t cursor_len;  /* 0: from the beginning */
    /* Only say whether a stream that a request makes could be started so: nothing is begun. */
    bool probes;
    /* Not NULL: be a member of this consumer group, and begin at kind's place only in lanes that
     * the group has no progress in. */
    const char *group;
};

/* What a connector can do beyond publishing; a bit each. */
#define CONNECTOR_REPLAYS 1u /* start() honours a replay: the upstream keeps what it has sent */
#define CONNECTOR_GROUPS 2u  /* and a replay's group: the upstream keeps readers' progress too */
/* Lanes are files: offsets are places in bytes, and a lane ends with its file, so that it is
 * forgotten when its records have left the ring (see stream_lane_file). */
#define CONNECTOR_FILES 4u
/* A replay heeds what its stream says that nobody needs: stream_takes_lines, stream_sifts. */
#define CONNECTOR_SIFTS 16u
/* A request's stream is an answer that many may see: it is made of a body that is sent
 * (request_body_bytes), is kept whole, and told apart by the replay's name. */
#define CONNECTOR_ANSWERS 8u
/* Answers are written to a log as they come, where other gateways read them: start() without a
 * replay makes the log, which is the configured stream's source, before any answer, and outlives
 * them all (stream_home_source); with REPLAY_LOG it makes a reader of the answer name. */
#define CONNECTOR_LOGS 32u

/* How the stream of an answer that is read from the log ends, beside the ends that the log tells:
 * before stream_answer_told: it has no such answer, or cannot be read; after it: the gateway that
 * made it is gone, or could not write all of it. */
#define CONNECTOR_LOG_NOT_FOUND "not_found"
#define CONNECTOR_LOG_UNREADABLE "log_unreadable"
#define CONNECTOR_LOG_LOST "gateway_lost"
#define CONNECTOR_LOG_INCOMPLETE "log_incomplete"

/* What a log takes, beside its answers, and the answers of others that are read at once: each takes
 * its stream's memory alone. */
struct connector_log {
    uint64_t bytes, descriptors;
    uint64_t readers;
};

/* What a log knows of the name that an upstream gave an answer. */
enum connector_alias {
    CONNECTOR_ALIAS_FOUND,
    CONNECTOR_ALIAS_NONE,    /* there is no such answer */
    CONNECTOR_ALIAS_UNKNOWN, /* unless it has just begun */
    CONNECTOR_ALIAS_UNREAD   /* not all names are read yet */
};

struct connector {
    const char *name;                     /* the key under source: */
    const struct config_section *section; /* its keys; settings point to section->size bytes */

    /* check: what the key table cannot say (an unknown librdkafka property, a file that is not
     * there). Makes no connection. Errors -1 and err. Thread init. */
    int (*check)(const void *settings, struct err *err);

    /* memory_bound_bytes: the most that the source holds outside of the ring, for headgate check.
     */
    uint64_t (*memory_bound_bytes)(const void *settings);

    /* member_bound_bytes: the same of a source that is started with a replay's group. NULL where
     * there is no CONNECTOR_GROUPS. */
    uint64_t (*member_bound_bytes)(const void *settings);

    /* descriptor_bound: the most file descriptors it needs. */
    uint64_t (*descriptor_bound)(const void *settings);

    unsigned capabilities;

    /* shares: with these settings the source is one of several readers that share the records, and
     * keeps its progress upstream. NULL: never. */
    bool (*shares)(const void *settings);
    /* on_request: with these settings the stream is made anew by every request, for its one
     * subscriber, and ends (stream_source_end). Then start() is never called without a replay.
     * NULL: never. */
    bool (*on_request)(const void *settings);

    /* request_param: the name of the i-th parameter that a request may give, NULL behind the last.
     * NULL: none. */
    const char *(*request_param)(const void *settings, size_t i);

    /* request_body_bytes: the largest body that a request may send. NULL: it takes none. */
    uint64_t (*request_body_bytes)(const void *settings);

    /* model: the name of the i-th model that can be asked, as far as the configuration names them;
     * NULL behind the last. NULL: it asks none. */
    const char *(*model)(const void *settings, size_t i);

    /* log: of CONNECTOR_LOGS; else NULL. */
    void (*log)(const void *settings, struct connector_log *log);

    /* tell_cancel: of a source that reads an answer from the log: have the gateway that makes it
     * cancel it. False: that cannot be told. Of CONNECTOR_LOGS; else NULL. Thread any. Blocks no.
     */
    bool (*tell_cancel)(struct source *source);

    /* find_alias: of the source that is the log: which answer an upstream calls so; its name, with
     * its NUL, goes into size bytes. Of CONNECTOR_LOGS; else NULL. Thread any. Blocks no. */
    enum connector_alias (*find_alias)(
        struct source *source, const char *alias, char *name, size_t size);

    /* variant: with these settings it is this connector, of the same name and section. NULL: it is
     * always itself. */
    const struct connector *(*variant)(const void *settings);

    /* takes_posts: the source takes what clients post from its stream's push queue, which is made
     * with these options; wake() is also called when something was put there. NULL: it takes none.
     */
    void (*takes_posts)(const void *settings, struct push_options *options);

    /* start: make the source and its threads; settings outlive it. replay is NULL for a configured
     * stream (of a table: REPLAY_EARLIEST), else where to begin (only with CONNECTOR_REPLAYS or
     * on_request). An upstream that cannot be reached is no error: it is retried for ever, or on a
     * request ends the stream.
     * Errors  NULL and err, which says nothing where a replay that probes would do. A request is
     *         answered with its text and a status of its code:
     *         ERR_INVALID 400, ERR_MISSING 404, ERR_LIMIT and ERR_REMOTE 503, ERR_SYSTEM 500.
     * Thread  init or shard.  Blocks  no. */
    struct source *(*start)(
        const void *settings, struct stream *stream, const struct replay *replay, struct err *err);

    /* wake: the stream has room again. Calls nothing of the stream. Thread any. Blocks no. */
    void (*wake)(struct source *source);

    /* cancel: stop() will follow: whatever the threads wait for upstream is to be given up now.
     * An answer's end is told all the same (stream_source_end). NULL: nothing to do. Thread any.
     * Blocks no. */
    void (*cancel)(struct source *source);

    /* stop: end the threads, leave groups, free. After it returns nothing is published.
     * Thread init or reaper. Blocks until the threads are joined; at most a few seconds. */
    void (*stop)(struct source *source);
};

/* connector_on_request: whether, with these settings, every request makes the stream anew. */
static inline bool
connector_on_request(const struct connector *connector, const void *settings)
{
    return connector->on_request != NULL && connector->on_request(settings);
}

/* connectors_all: NULL-terminated; to add a connector is to add a row in connectors.c. */
extern const struct connector *const connectors_all[];

/* connector_find: by name; NULL when there is none. */
const struct connector *connector_find(const char *name);

#endif
