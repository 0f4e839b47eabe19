/* config_keys: names, kinds, bounds, defaults and prose of the gateway's own keys, of listeners and
 * of routes. Any thread. */
#include "config_keys.h"

#include "config.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

static const char *const format_choices[] = {"auto", "ws", "sse", "ndjson", "json", NULL};
static const char *const catchup_full_choices[] = {"wait", "refuse", NULL};
static const char *const log_level_choices[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_format_choices[] = {"auto", "text", "json", NULL};

/* CONFIG_ENUM writes an int. */
static_assert(sizeof(enum stream_format) == sizeof(int), "format is read as an int");
static_assert(sizeof(enum catchup_full) == sizeof(int), "catchup.full is read as an int");

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define SECOND UINT64_C(1000)
#define MINUTE (SECOND * 60)
#define HOUR (MINUTE * 60)
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* An origin as a browser sends it (RFC 6454 section 6.2): scheme://host, a port where it is not the
 * scheme's own, and nothing behind. */
static int
check_origin(const char *text, struct err *err)
{
    if (strcmp(text, "*") == 0) {
        return 0;
    }
    const char *host = strstr(text, "://");
    bool good = host != NULL && host != text && host[3] != '\0' && host[3] != ':';
    for (const char *at = text; good && *at != '\0'; at++) {
        good = isgraph((unsigned char)*at) && strchr("\"<>\\,?#@*", *at) == NULL &&
               (*at != '/' || (at > host && at < host + 3)) && !isupper((unsigned char)*at);
    }
    if (!good) {
        err_set(err, ERR_INVALID,
            "'%.80s' is not an origin: * or one like https://app.example.com, in lower case, no "
            "path",
            text);
        return -1;
    }
    return 0;
}

static const struct config_key limits_keys[] = {
    {.name = "connections",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config, max_connections),
        .least = 0,
        .most = 1000000,
        .fallback = "0",
        .prose = "The most subscriber connections at once, over all threads; further ones are "
                 "refused. 0: what RLIMIT_NOFILE leaves after the other needs, at most 10000."},
    {.name = "send_buffer",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config, send_buffer_bytes),
        .least = 4 * KIB,
        .most = 16 * MIB,
        .fallback = "64KiB",
        .prose = "The kernel's send buffer of a connection (SO_SNDBUF; the kernel doubles it). "
                 "Larger ones help over long distances; a stuck subscriber fills it."},
    {.name = "filters",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config, max_filters),
        .least = 0,
        .most = 1000000,
        .fallback = "1000",
        .prose = "The most different filters (key, where) that each service thread serves at once, "
                 "counted by stream, format and envelope; subscribers with the same one share it. "
                 "A subscriber with one more gets 503."},
    {.name = "message",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config, max_message_bytes),
        .least = 128,
        .most = 16 * MIB,
        .fallback = "64KiB",
        .prose = "The largest WebSocket message that a client may send; a larger one closes the "
                 "connection with 1009."},
};
static const struct config_section limits_section = {
    "limits", sizeof(struct config), limits_keys, COUNT_OF(limits_keys)};

static const struct config_key timeouts_keys[] = {
    {.name = "header",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, header_timeout_ms),
        .least = 100,
        .most = 10 * MINUTE,
        .fallback = "10s",
        .prose = "How long a client may take to send a whole request; of a post, its head."},
    {.name = "body",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, body_timeout_ms),
        .least = 100,
        .most = HOUR,
        .fallback = "30s",
        .prose = "How long the body of a post may bring nothing before it is answered with 408."},
    {.name = "idle",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, idle_timeout_ms),
        .least = 100,
        .most = HOUR,
        .fallback = "60s",
        .prose = "How long a kept-alive connection may wait without a request."},
    {.name = "pong",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, pong_timeout_ms),
        .least = 100,
        .most = 10 * MINUTE,
        .fallback = "20s",
        .prose = "How long a WebSocket client may take to answer a ping before it is closed."},
    {.name = "write",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, write_timeout_ms),
        .least = 100,
        .most = HOUR,
        .fallback = "60s",
        .prose = "How long a download may wait for its client to take a byte before it is cut."},
};
static const struct config_section timeouts_section = {
    "timeouts", sizeof(struct config), timeouts_keys, COUNT_OF(timeouts_keys)};

static const struct config_key catchup_keys[] = {
    {.name = "readers",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config, catchup_readers),
        .least = 0,
        .most = 1024,
        .fallback = "4",
        .prose = "How many of them read from the source itself at a time, each place on its own. "
                 "0: none does, they get a gap."},
    {.name = "full",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config, catchup_full),
        .fallback = "wait",
        .choices = catchup_full_choices,
        .prose =
            "What happens to a subscriber for whom no reader is left. wait: it is greeted, and "
            "waits for its turn. refuse: it gets 503 with Retry-After, to come back itself or "
            "go to another replica; who falls out of the ring later waits all the same."},
};

static const struct config_section catchup_section = {
    "catchup", sizeof(struct config), catchup_keys, COUNT_OF(catchup_keys)};

static const struct config_key requests_keys[] = {
    {.name = "streams",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config, request_streams),
        .least = 1,
        .most = 100000,
        .fallback = "64",
        .prose = "How many of them there may be at once; a further request gets 503."},
    {.name = "stall",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, request_stall_ms),
        .least = 100,
        .most = 24 * HOUR,
        .fallback = "5m",
        .prose = "How long the subscriber of one may take nothing of what waits for it before it "
                 "is disconnected; its token resumes. In place of slow.pause_limit: it holds back "
                 "no one but itself."},
};

static const struct config_section requests_section = {
    "requests", sizeof(struct config), requests_keys, COUNT_OF(requests_keys)};

static const struct config_key downloads_keys[] = {
    {.name = "watchers",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config, download_watchers),
        .least = 0,
        .most = 100000,
        .fallback = "256",
        .prose = "How many may watch the progress of downloads at once; a further one gets 503."},
};

static const struct config_section downloads_section = {
    "downloads", sizeof(struct config), downloads_keys, COUNT_OF(downloads_keys)};

static const struct config_key drain_keys[] = {
    {.name = "grace",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, drain_grace_ms),
        .least = 0,
        .most = HOUR,
        .fallback = "5s",
        .prose = "After SIGTERM /readyz fails, but new subscribers are served for this long, so "
                 "that load balancers notice first. 0s: none."},
    {.name = "timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, drain_timeout_ms),
        .least = 100,
        .most = HOUR,
        .fallback = "10s",
        .prose = "After the grace each subscriber gets a goodbye; what is not closed after this "
                 "long is cut."},
};
static const struct config_section drain_section = {
    "drain", sizeof(struct config), drain_keys, COUNT_OF(drain_keys)};

static const struct config_key cors_keys[] = {
    {.name = "origins",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct config, cors_origins),
        .most = 1000,
        .fallback = "[]",
        .check = check_origin,
        .prose = "Origins whose pages may read streams from a browser: exact ones, or * for all. "
                 "Pages of the gateway's own origin always may."},
};
static const struct config_section cors_section = {
    "cors", sizeof(struct config), cors_keys, COUNT_OF(cors_keys)};

/* RFC 2104 section 3: a key shorter than the digest is weaker than the code. */
#define TOKEN_KEY_LEAST 32

static int
check_token_key(const char *text, struct err *err)
{
    if (strlen(text) < TOKEN_KEY_LEAST) {
        err_set(err, ERR_INVALID,
            "must have at least %d characters, as random as those of: openssl rand -hex 32",
            TOKEN_KEY_LEAST);
        return -1;
    }
    return 0;
}

static const struct config_key tokens_keys[] = {
    {.name = "keys",
        .kind = CONFIG_SECRETS,
        .offset = offsetof(struct config, tokens.keys),
        .most = 16,
        .fallback = "[]",
        .check = check_token_key,
        .prose = "Secrets of 32 characters or more, the same on all replicas. The first signs, all "
                 "verify: add a new one at the end everywhere, then move it to the front, then "
                 "take the old one away. None: tokens are not signed, and checked for form only."},
    {.name = "accept_unsigned",
        .kind = CONFIG_BOOL,
        .offset = offsetof(struct config, tokens.accept_unsigned),
        .fallback = "false",
        .prose = "Take tokens without a signature too: for the time in which clients still hold "
                 "those from before there were keys."},
};
static const struct config_section tokens_section = {
    "tokens", sizeof(struct config), tokens_keys, COUNT_OF(tokens_keys)};

static const struct config_key log_keys[] = {
    {.name = "level",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config, log_level),
        .fallback = "info",
        .choices = log_level_choices,
        .prose = "The least severe events that are logged."},
    {.name = "format",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config, log_format),
        .fallback = "auto",
        .choices = log_format_choices,
        .prose = "How log lines look on standard error. auto: text on a terminal, else JSON."},
};
static const struct config_section log_section = {
    "log", sizeof(struct config), log_keys, COUNT_OF(log_keys)};

static const struct config_key root_keys[] = {
    {.name = "listen",
        .kind = CONFIG_CUSTOM,
        .fallback = CONFIG_KEYS_LISTEN_DEFAULT,
        .prose = "Where subscribers connect: ADDRESS:PORT, [IPV6]:PORT, :PORT or a port, a mapping "
                 "with address and tls, or a list of these. Port 0 takes a free one."},
    {.name = "admin",
        .kind = CONFIG_CUSTOM,
        .fallback = CONFIG_KEYS_ADMIN_DEFAULT,
        .prose = "Where /metrics, /livez, /readyz and /healthz are served, in clear text. Never "
                 "show it to the public."},
    {.name = "threads",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config, threads),
        .least = 1,
        .most = 64,
        .fallback = "auto",
        .zero_word = "auto",
        .prose = "Service threads. auto: one for each processor that the process may use."},
    {.name = "limits",
        .kind = CONFIG_SECTION,
        .child = &limits_section,
        .prose = "Bounds on connections."},
    {.name = "timeouts",
        .kind = CONFIG_SECTION,
        .child = &timeouts_section,
        .prose = "How long clients may keep the gateway waiting."},
    {.name = "heartbeat",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, heartbeat_ms),
        .least = SECOND,
        .most = HOUR,
        .fallback = "15s",
        .prose = "How often a silent SSE (comment) or WebSocket (ping) connection is told that it "
                 "lives, where the subscriber asks for nothing else."},
    {.name = "live_limit",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config, live_limit_ms),
        .least = SECOND,
        .most = HOUR,
        .fallback = "10s",
        .prose = "/livez fails once a thread made no progress for this long."},
    {.name = "catchup",
        .kind = CONFIG_SECTION,
        .child = &catchup_section,
        .prose = "Subscribers that ask for what has left the ring."},
    {.name = "requests",
        .kind = CONFIG_SECTION,
        .child = &requests_section,
        .prose = "Streams that a request makes for itself: replays of files, queries."},
    {.name = "downloads",
        .kind = CONFIG_SECTION,
        .child = &downloads_section,
        .prose = "Routes of kind download."},
    {.name = "compression",
        .kind = CONFIG_SECTION,
        .child = &config_keys_compression,
        .prose = "Compression, for the clients that ask for it; once for all that share a stream."},
    {.name = "drain",
        .kind = CONFIG_SECTION,
        .child = &drain_section,
        .prose = "What happens after SIGTERM or SIGINT."},
    {.name = "cors",
        .kind = CONFIG_SECTION,
        .child = &cors_section,
        .prose = "Which pages of other origins may read streams."},
    {.name = "tokens",
        .kind = CONFIG_SECTION,
        .child = &tokens_section,
        .prose = "Resume tokens, so that no client can make one up or use it at another stream."},
    {.name = "log", .kind = CONFIG_SECTION, .child = &log_section, .prose = "The log."},
    {.name = "streams",
        .kind = CONFIG_CUSTOM,
        .prose = "The streams by name: letters, digits, '.', '_' and '-', at most 128. Each is "
                 "served at /streams/NAME."},
    {.name = "routes",
        .kind = CONFIG_CUSTOM,
        .prose =
            "Further paths, each mapped to a stream and a format. Matched exactly, but for a part "
            "{NAME}: any one part, which becomes the parameter NAME of the stream's source."},
};
const struct config_section config_keys_root = {
    "", sizeof(struct config), root_keys, COUNT_OF(root_keys)};

static const char *const envelope_choices[] = {"record", "data", "full", "cloudevents", NULL};
static const char *const route_kinds[] = {"stream", "download", "openai", "anthropic", NULL};

static const struct config_key route_keys[] = {
    {.name = "kind",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config_route, kind),
        .fallback = "stream",
        .choices = route_kinds,
        .prose =
            "stream: a stream under another path. download: the files of a directory as they "
            "are; the last part of the path is {NAME}, which stands for a file's name. openai, "
            "anthropic: what the official SDKs of these providers ask, for a stream of "
            "models; the path is that of their base_url: /v1 for openai, / for anthropic."},
    {.name = "stream",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct config_route, stream),
        .prose = "The name of a stream; without one there is only kind download."},
    {.name = "directory",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct config_route, directory),
        .prose = "With kind download: the directory. Its files that begin with a dot, and what "
                 "symbolic links lead out of it to, are not served."},
    {.name = "format",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config_route, format),
        .fallback = "auto",
        .choices = format_choices,
        .prose = "The transport. auto: chosen by the request, as at /streams/NAME."},
    {.name = "envelope",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config_route, envelope),
        .fallback = "record",
        .choices = envelope_choices,
        .prose = "What a message holds where the request does not say: data is the payload alone."},
};
const struct config_section config_keys_route = {
    "routes.PATH", sizeof(struct config_route), route_keys, COUNT_OF(route_keys)};

static const struct config_key tls_keys[] = {
    {.name = "cert",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct config_keys_listener, tls_cert),
        .prose = "A PEM file: the certificate and its chain."},
    {.name = "key",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct config_keys_listener, tls_key),
        .prose = "A PEM file: the private key."},
};
static const struct config_section tls_section = {
    "listen.tls", sizeof(struct config_keys_listener), tls_keys, COUNT_OF(tls_keys)};

static const struct config_key listen_keys[] = {
    {.name = "address",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct config_keys_listener, address),
        .required = true,
        .prose = "ADDRESS:PORT, [IPV6]:PORT, :PORT or a port."},
    {.name = "tls",
        .kind = CONFIG_SECTION,
        .child = &tls_section,
        .prose = "Encrypt with this certificate; without it the listener is clear text."},
};
const struct config_section config_keys_listen = {
    "listen", sizeof(struct config_keys_listener), listen_keys, COUNT_OF(listen_keys)};
