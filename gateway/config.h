/* config: the configuration file, read once at the start into plain structs.
 *
 * One table of keys (config_keys.c and each connector's section) is the source of the parser, of
 * schemas/config.schema.json and of the reference documentation. Thread: init; read-only
 * afterwards, so any thread may read. */
#ifndef HEADGATE_CONFIG_H
#define HEADGATE_CONFIG_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct connector;

enum slow_policy { SLOW_DROP_OLDEST, SLOW_DROP_NEWEST, SLOW_CONFLATE, SLOW_PAUSE, SLOW_DISCONNECT };
#define SLOW_POLICY_COUNT 5
extern const char *const slow_policy_names[SLOW_POLICY_COUNT];

enum stream_view { VIEW_STREAM, VIEW_TABLE };
enum catchup_full { CATCHUP_FULL_WAIT, CATCHUP_FULL_REFUSE };
enum table_full { TABLE_FULL_REFUSE, TABLE_FULL_EVICT };

enum stream_format { FORMAT_AUTO, FORMAT_WS, FORMAT_SSE, FORMAT_NDJSON, FORMAT_JSON };

struct config_listen {
    char *host;     /* a numeric address, or NULL for the wildcard */
    uint16_t port;  /* 0: any free port, printed in the log */
    char *tls_cert; /* NULL: clear text; a PEM file */
    char *tls_key;
};

struct config_strings {
    char **items;
    size_t n;
};

struct config_pair {
    char *name;
    char *value;
    int line, column;
};
struct config_pairs {
    struct config_pair *items;
    size_t n;
};

/* Who may make resume tokens. */
struct config_tokens {
    struct config_strings keys; /* the first signs, all verify; none: tokens are not signed */
    bool accept_unsigned;       /* with keys: a token without a signature is taken too */
};

enum generations_left { GENERATIONS_CANCEL, GENERATIONS_FINISH };

/* Answers of models, each a stream that many may see. */
struct config_generations {
    uint64_t most;              /* at once */
    uint64_t most_caller;       /* of one address; 0: as many as there may be */
    uint64_t kept;              /* that have ended */
    uint64_t bytes;             /* of records of one */
    uint64_t retain_ms;         /* after the end */
    enum generations_left left; /* once nobody sees it any more */
    uint64_t grace_ms;          /* with GENERATIONS_CANCEL: after so long */
    uint64_t max_time_ms;
    uint64_t max_tokens; /* of one, counted as they come */
};

struct config_stream {
    char *name; /* [A-Za-z0-9._-]{1,128} */
    const struct connector *connector;
    void *settings; /* of the connector's own type */
    bool required;  /* /readyz fails while its source is down */
    uint64_t ring_records;
    uint64_t ring_bytes;
    uint64_t max_record_bytes; /* payload; up to 16 MiB */
    enum slow_policy slow_policy;
    uint64_t queue_records;
    uint64_t queue_bytes;
    uint32_t slow_allow;     /* bit 1 << policy; the default policy is always in it */
    uint64_t conflate_keys;  /* conflate: the most records that wait for one subscriber */
    bool consumers_allowed;  /* durable consumers */
    char *consumer_group;    /* with {consumer}, and perhaps {stream}, to be filled in */
    uint64_t consumers_most; /* connections at once */
    uint64_t consumer_in_flight;
    uint64_t consumer_ack_timeout_ms; /* 0: none */
    uint64_t pause_limit_ms; /* a pause subscriber that holds the source longer is disconnected */
    enum stream_view view;
    uint64_t table_keys, table_bytes;      /* VIEW_TABLE: the newest record of each key */
    uint64_t table_history_bytes;          /* and what was replaced while it is sent */
    enum table_full table_full;            /* what happens beyond table_keys or table_bytes */
    bool compressed;                       /* its subscribers may have compression */
    struct config_generations generations; /* of a source that CONNECTOR_ANSWERS */
    bool keeps_all; /* never in the file: of a generation's own stream; see stream_is_full */
    const struct config_tokens *tokens; /* the configuration's; NULL: no keys */
};

enum route_kind { ROUTE_STREAM, ROUTE_DOWNLOAD, ROUTE_OPENAI, ROUTE_ANTHROPIC };

struct config_route {
    char *path;   /* starts with '/'; a part {NAME} stands for any one part, else an exact match */
    char *stream; /* NULL: a download */
    enum stream_format format; /* FORMAT_AUTO: negotiated */
    int envelope;              /* enum envelope: where the request names none */
    int kind;                  /* enum route_kind */
    char *directory;           /* of a download */
};

struct config {
    struct config_listen *listen;
    size_t n_listen;
    struct config_listen admin;
    uint64_t threads;           /* service threads; resolved: never 0 after config_load */
    uint64_t max_connections;   /* over all threads; 0 in the file: derived from RLIMIT_NOFILE */
    uint64_t send_buffer_bytes; /* SO_SNDBUF */
    uint64_t header_timeout_ms;
    uint64_t idle_timeout_ms; /* keep-alive connection without a request */
    uint64_t heartbeat_ms;    /* default for SSE and WebSocket */
    uint64_t pong_timeout_ms;
    uint64_t body_timeout_ms;   /* of a post: without a byte that comes */
    uint64_t write_timeout_ms;  /* of a download: without a byte that the client takes */
    uint64_t max_filters;       /* filtered feeds of one thread */
    uint64_t max_message_bytes; /* of a WebSocket message that a client sends */
    uint64_t live_limit_ms;     /* /livez fails when a thread made no progress for this long */
    uint64_t catchup_readers;   /* private streams for what has left the rings, over all threads */
    enum catchup_full catchup_full; /* who comes while all of them are taken */
    uint64_t request_streams;       /* private streams that requests made, over all threads */
    uint64_t request_stall_ms;      /* of one: without a byte that the subscriber takes */
    uint64_t download_watchers;     /* who watches a download, over all threads */
    uint64_t drain_grace_ms;        /* SIGTERM: /readyz fails, still serving and accepting */
    uint64_t drain_timeout_ms;  /* then goodbyes; everything is closed at the latest after this */
    uint32_t codings;           /* bit 0: gzip, and so on: CODING_BIT of the coding behind it */
    uint64_t compression_level; /* 1 to 9 */
    uint64_t compression_least_bytes; /* a smaller message or piece is not compressed */
    struct config_tokens tokens;
    struct config_strings cors_origins; /* exact origins, or "*" */
    int log_level;                      /* enum log_level */
    int log_format;                     /* enum log_format */
    struct config_stream *streams;
    size_t n_streams;
    struct config_route *routes;
    size_t n_routes;
};

/* config_load: read, fill in, check. Every error goes to errors as FILE:LINE:COLUMN: PATH: MESSAGE,
 * one a line, all in one pass; then -1. path "-" is standard input.
 * Owns    *config is the caller's, config_fini frees it; its streams point into it, so it stays
 * where it is.  Thread init. */
int config_load(struct config *config, const char *path, FILE *errors);

/* config_load_text: the same for text in memory; name stands for the file in messages. */
int config_load_text(
    struct config *config, const char *name, const char *text, size_t len, FILE *errors);

void config_fini(struct config *config);

/* config_print: the effective configuration as YAML that config_load takes again, but for what is
 * masked: secrets. */
void config_print(const struct config *config, FILE *out);

/* config_schema_print: its JSON Schema (draft-07), made from the table. */
void config_schema_print(FILE *out);

/* config_reference_print: the reference as Markdown, made from the table. */
void config_reference_print(FILE *out);

#endif
