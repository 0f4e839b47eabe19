/* generations: answers of models as streams: each begun by one request, seen by any number of
 * viewers on any shard, kept whole, and readable for a while after its end.
 *
 * Life: RESERVED (a place is taken, its body is still arriving) -> RUNNING (its source is at work,
 * it is found by its id) -> ENDED (done, failed or cancelled; still found) -> forgotten. It always
 * ends: the source says how, or was cancelled and says that. A thread of the table's own, the
 * keeper, sees to ends, grace, times and to what is to be forgotten, and stops sources, which
 * blocks.
 *
 * A generation owns its stream, whose ring loses nothing (config.h, keeps_all). Each shard with
 * viewers of it has one private_stream that borrows that (private_share): so sessions need not know
 * whose it is. Who has a pointer has a reference.
 *
 * How a request begins one (see generate.c), all on a shard's thread and never blocking:
 *     generation = generations_reserve(table, stream, caller, &err);    429 where there is no place
 *     ... the body arrives ...
 *     generation_start(generation, &ask, &err);                         400, 404, 429, 503 by err
 *     session_new_take(conn, outlet_feed(&private_share(..., generation, ...)->outlet, ...), ...);
 *     generation_unref(generation);
 * and another one joins it: generations_find() in the place of the first three. subscribe() does
 * the last two steps for a subscription with .generation set.
 *
 * Locks  one mutex, held for short walks.  Thread  any, except where it says otherwise. */
#ifndef HEADGATE_GENERATIONS_H
#define HEADGATE_GENERATIONS_H

#include "config.h"
#include "connector.h"
#include "err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct generation;
struct generations;
struct private_stream;
struct request_param;
struct shard;
struct stream;

/* Of an id: 128 bits of chance, RFC 4648 section 5; with a log, the first 48 are the Unix time in
 * milliseconds, which says where in the log it begins. */
#define GENERATION_ID_LEN 22
/* Of a caller's name: an address. */
#define GENERATION_CALLER_MAX 47

/* Why one ended: one row, one label value of headgate_generations_ended_total. */
#define GENERATION_ENDS(X)                                                                         \
    X(DONE, "done")                                                                                \
    X(FAILED, "failed")       /* its source says why */                                            \
    X(CANCELLED, "cancelled") /* somebody asked for that */                                        \
    X(LEFT, "left")           /* nobody saw it for longer than generations.grace */                \
    X(MAX_TIME, "max_time")                                                                        \
    X(SHUTDOWN, "shutdown")
#define GENERATION_ENUM(name, text) GENERATION_##name,
enum generation_end { GENERATION_ENDS(GENERATION_ENUM) GENERATION_END_COUNT };
#undef GENERATION_ENUM
extern const char *const generation_end_names[GENERATION_END_COUNT];

/* How reading one from the log ended: a label value of headgate_generation_log_reads_total. */
#define GENERATION_READS(X)                                                                        \
    X(WHOLE, "whole") /* to the end that the log has */                                            \
    X(ABSENT, "not_found")                                                                         \
    X(UNREAD, "log_unreadable")                                                                    \
    X(LOST, "gateway_lost")                                                                        \
    X(INCOMPLETE, "log_incomplete")                                                                \
    X(LEFT, "left") /* nobody sees it here any more */
#define GENERATION_READ_ENUM(name, text) GENERATION_READ_##name,
enum generation_read { GENERATION_READS(GENERATION_READ_ENUM) GENERATION_READ_COUNT };
#undef GENERATION_READ_ENUM
extern const char *const generation_read_names[GENERATION_READ_COUNT];

struct generations_options {
    struct stream *const *streams; /* the configured ones, whose counters are used */
    size_t n_streams;
    struct shard *const *shards; /* filled in before the first is started */
    size_t n_shards;
};

/* generations_new: its keeper starts. Errors NULL and err. generations_halt: every source is
 * stopped, nothing is published any more; blocks. generations_free: NULL-safe; no shard has viewers
 * any more. Thread init. */
struct generations *generations_new(const struct generations_options *options, struct err *err);
void generations_halt(struct generations *generations);
void generations_free(struct generations *generations);

/* generation_config: the configuration of the stream of a generation of the stream of. */
void generation_config(struct config_stream *config, const struct config_stream *of);

/* generations_reserve: a place for one of the stream with that index, asked for by caller (at most
 * GENERATION_CALLER_MAX). It has its id. Owns: the caller's reference; dropped before the start,
 * the place is free again. Errors NULL and err, ERR_LIMIT. */
struct generation *generations_reserve(
    struct generations *generations, size_t stream, const char *caller, struct err *err);

/* What is asked, and how it is told: as of connector.h's replay. Lent for the call. */
struct generation_ask {
    const void *body;
    size_t len;
    const char *dialect; /* a literal */
    bool whole, keeps_raw;
    const struct request_param *headers;
    size_t n_headers;
};

/* generation_start: ask. Errors -1 and err, as connector.h's start; it stays reserved. Thread
 * shard. */
int generation_start(
    struct generation *generation, const struct generation_ask *ask, struct err *err);

/* How it was asked for, once it is started; generation_dialect: "" where it was not in one. */
const char *generation_dialect(const struct generation *generation);
bool generation_is_whole(const struct generation *generation);
bool generation_keeps_raw(const struct generation *generation);

/* generations_find: a running one, or one that has ended and is not forgotten. Owns: a reference.
 * NULL: there is none. */
struct generation *generations_find(struct generations *generations, size_t stream, const char *id);

/* generations_seek: the same of one that another gateway has made, as the log has it: it is sought,
 * or found here already. A mirror is read here as any other, once generation_look says that it is
 * ready. Owns: a reference. Blocks for some milliseconds. Errors NULL and err: ERR_MISSING, there
 * is no log, or it cannot be an id; ERR_LIMIT, log.readers are at work; else the connector's. */
struct generation *generations_seek(
    struct generations *generations, size_t stream, const char *id, struct err *err);

/* generation_look: what is known of one that is sought; of any other, that it is ready. */
enum generation_sight { GENERATION_SOUGHT, GENERATION_READY, GENERATION_ABSENT, GENERATION_UNREAD };
enum generation_sight generation_look(struct generation *generation);
bool generation_is_mirror(const struct generation *generation);

/* generations_find_alias: the same by what its upstream calls it (stream_source_alias).
 * Cost O(those that are known). generations_ask_alias: which one it is, of any gateway, as the log
 * has it (connector.h, find_alias); without a log there is none. */
struct generation *generations_find_alias(
    struct generations *generations, size_t stream, const char *alias);
enum connector_alias generations_ask_alias(struct generations *generations, size_t stream,
    const char *alias, char id[GENERATION_ID_LEN + 1]);

struct generation *generation_ref(struct generation *generation);
void generation_unref(struct generation *generation); /* NULL-safe */

/* Lent for the generation's life. */
const char *generation_id(const struct generation *generation);
size_t generation_stream_index(const struct generation *generation);
struct stream *generation_stream(struct generation *generation); /* once it is started */
bool generation_is_started(const struct generation *generation);

/* generation_cancel: its viewers will be told so, upstream is left at once. No effect on one that
 * has ended. Blocks no. generations_cancel_all: of all that are running. */
void generation_cancel(struct generation *generation, enum generation_end why);
void generations_cancel_all(struct generations *generations, enum generation_end why);

/* generation_stop: somebody asks for its end: it is cancelled here, or its gateway is told to.
 * False: that cannot be told. */
bool generation_stop(struct generation *generation);

/* What one shard has of a generation. */
struct generation_here {
    struct generation *generation;
    struct shard *shard;
    struct private_stream *stream; /* the shard's alone, read and written; NULL: no viewers */
    struct generation_here *next;  /* among those with news, see private_news */
    atomic_bool has_news;
};
struct generation_here *generation_here(struct generation *generation, size_t shard);

/* generation_enter, generation_leave: a viewer. resumed: it has been here before. */
void generation_enter(struct generation *generation, bool resumed);
void generation_leave(struct generation *generation);

/* For /metrics: of one stream. */
struct generations_state {
    uint64_t running; /* those that are reserved too */
    uint64_t kept, viewers;
    uint64_t started, joined, resumed, refused;
    uint64_t ended[GENERATION_END_COUNT];
    uint64_t reading; /* mirrors whose log is read; mirrors count in kept and viewers too */
    uint64_t reads[GENERATION_READ_COUNT];
};
void generations_state(
    struct generations *generations, size_t stream, struct generations_state *state);

#endif
