/* kafka_settings: keys, checks and the librdkafka configuration of a Kafka source. Thread init; the
 * matching of topics is also used by the topics thread. */
#include "kafka_settings.h"

#include "../gateway/clock.h"
#include "../gateway/mem.h"
#include "../gateway/version.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

#define RECORDS_QUEUED UINT64_C(100000) /* librdkafka's default of queued.min.messages */
#define RECORD_OVERHEAD 512 /* a queued record's structures: about 320 bytes were measured */
#define FETCH_BYTES (UINT64_C(16) * MIB)
#define FETCH_BYTES_TEXT "16777216"
/* Of a small one: */
#define SMALL_PREFETCH (UINT64_C(2) * MIB)
#define SMALL_RECORDS UINT64_C(4000)
#define SMALL_RECORDS_TEXT "4000"
#define SMALL_FETCH_BYTES (UINT64_C(2) * MIB)
#define SMALL_FETCH_TEXT "2097152"
#define MEMBER_BYTES (UINT64_C(4) * MIB) /* the client that is a group's member */
#define BROKERS 3                        /* that the memory bound reckons with */

/* The assignors by which one member moves at a time are sound from librdkafka 2.6.1 on. */
#define COOPERATIVE_SOUND 0x020601ff

static int check_start(const char *text, struct err *err);
static int check_group(const char *text, struct err *err);

static const struct config_key keys[] = {
    {.name = "brokers",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct kafka_settings, brokers),
        .required = true,
        .prose = "Bootstrap brokers, host:port separated by commas."},
    {.name = "topics",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct kafka_settings, topics),
        .least = 1,
        .most = 1000,
        .required = true,
        .prose = "Topics to read, all partitions of each. A name that starts with ^ is a POSIX "
                 "extended regular expression over all topics; topics that start with __ need an "
                 "expression that says so (^__)."},
    {.name = "start",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct kafka_settings, start),
        .fallback = "latest",
        .check = check_start,
        .prose =
            "Where reading begins: latest, earliest, a time ago such as -15m (ms, s, m, h, d), or "
            "an RFC 3339 time. Partitions and topics that appear later are read from their "
            "beginning."},
    {.name = "discover",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct kafka_settings, discover_ms),
        .least = 100,
        .most = 3600000,
        .fallback = "10s",
        .prose = "How often new topics and partitions are looked for."},
    {.name = "prefetch",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct kafka_settings, prefetch_bytes),
        .least = MIB,
        .most = UINT64_C(2047) * MIB,
        .fallback = "16MiB",
        .prose = "Payload that the Kafka client may hold ahead of the ring, for all partitions "
                 "together."},
    {.name = "group",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct kafka_settings, group),
        .check = check_group,
        .prose =
            "Read as a member of this consumer group: the gateways that name it share the "
            "partitions, and what subscribers were sent is committed. Without it every gateway "
            "reads every partition and commits nothing."},
    {.name = "group_instance_id",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct kafka_settings, group_instance_id),
        .check = check_group,
        .prose = "Static membership (group.instance.id), different on each gateway, such as "
                 "${HOSTNAME}: a restart within session_timeout moves no partition."},
    {.name = "session_timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct kafka_settings, session_timeout_ms),
        .least = 1000,
        .most = 1800000,
        .fallback = "45s",
        .prose = "After how long without a sign of life a member's partitions go to others: of "
                 "group and of durable consumers. Brokers have bounds of their own "
                 "(group.min.session.timeout.ms, 6 s by default)."},
    {.name = "commit_interval",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct kafka_settings, commit_interval_ms),
        .least = 50,
        .most = 3600000,
        .fallback = "1s",
        .prose = "How often progress is committed, of group and of durable consumers: a crash "
                 "repeats about as much."},
    {.name = "stall_timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct kafka_settings, stall_timeout_ms),
        .least = 1000,
        .most = 3600000,
        .fallback = "30s",
        .prose = "A partition that has records to give and gives none for so long is fetched anew. "
                 "It is looked at every 5 s."},
    {.name = "librdkafka_options",
        .kind = CONFIG_PAIRS,
        .offset = offsetof(struct kafka_settings, librdkafka_options),
        .most = 500,
        .prose = "Any librdkafka property, passed through: security.protocol, sasl.mechanism, ..."},
};

const struct config_section kafka_section = {
    .name = "streams.NAME.source.kafka",
    .size = sizeof(struct kafka_settings),
    .keys = keys,
    .n_keys = sizeof keys / sizeof *keys,
};

/* Properties that the source depends on, each with the reason that a person is told. */
static const struct {
    const char *name, *why;
} reserved[] = {
    {"bootstrap.servers", "set brokers instead"},
    {"metadata.broker.list", "set brokers instead"},
    {"queued.max.messages.kbytes", "set prefetch instead"},
    {"auto.offset.reset", "set start instead; offsets out of range are reported as a gap"},
    {"topic.auto.offset.reset", "set start instead"},
    {"enable.auto.commit", "the gateway decides what is committed"},
    {"auto.commit.enable", "the gateway decides what is committed"},
    {"enable.auto.offset.store", "the gateway decides what is committed"},
    {"group.id", "set group instead"},
    {"group.instance.id", "set group_instance_id instead"},
    {"session.timeout.ms", "set session_timeout instead"},
    {"group.protocol", "the gateway's commits need the classic protocol"},
    {"heartbeat.interval.ms", "it follows session_timeout"},
    {"statistics.interval.ms", "the lag metrics need the fixed interval"},
    {"enable.partition.eof", "the end of a partition is no event for a stream"},
    {"allow.auto.create.topics", "a mistyped topic must not be created"},
    {"log.queue", "the client's log goes to the gateway's log"},
    {"test.mock.num.brokers", "headgate demo has an embedded cluster"},
};

static int
parse_ago(const char *text, int64_t now_unix_ms, int64_t *unix_ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (text[0] != '-' || !isdigit((unsigned char)text[1])) {
        return -1;
    }
    char *unit;
    errno = 0;
    long long count = strtoll(text + 1, &unit, 10);
    if (errno != 0 || count > INT64_MAX / 86400000) {
        return -1;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].unit) == 0) {
            int64_t ago = count * units[i].ms;
            *unix_ms = ago < now_unix_ms ? now_unix_ms - ago : 0;
            return 0;
        }
    }
    return -1;
}

int
kafka_start_parse(const char *text, int64_t now_unix_ms, struct kafka_start *start, struct err *err)
{
    struct kafka_start parsed = {KAFKA_START_TIME, 0};
    if (strcmp(text, "latest") == 0) {
        parsed.kind = KAFKA_START_LATEST;
    } else if (strcmp(text, "earliest") == 0) {
        parsed.kind = KAFKA_START_EARLIEST;
    } else if (parse_ago(text, now_unix_ms, &parsed.unix_ms) != 0 &&
               (clock_parse_rfc3339(text, &parsed.unix_ms) != 0 || parsed.unix_ms < 0)) {
        err_set(err, ERR_INVALID,
            "\"%s\" is none of: latest, earliest, a time ago such as -15m (ms, s, m, h, d), an RFC "
            "3339 time since 1970",
            text);
        return -1;
    }
    *start = parsed;
    return 0;
}

static int
check_start(const char *text, struct err *err)
{
    struct kafka_start ignored;
    return kafka_start_parse(text, clock_wall_ms(), &ignored, err);
}

static int
check_group(const char *text, struct err *err)
{
    size_t len = strlen(text);
    if (len == 0 || len > 249 || text[strcspn(text, "\r\n\t")] != '\0') {
        err_set(err, ERR_INVALID, "must have 1 to 249 characters on one line");
        return -1;
    }
    return 0;
}

/* The names that Kafka itself takes: 1 to 249 of [a-zA-Z0-9._-], not "." or "..". */
static bool
topic_name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 249 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
}

int
kafka_wanted_init(struct kafka_wanted *wanted, const struct config_strings *topics, struct err *err)
{
    *wanted = (struct kafka_wanted){.items = mem_calloc(topics->n + 1, sizeof *wanted->items)};
    for (size_t i = 0; i < topics->n; i++) {
        struct kafka_wanted_topic *item = &wanted->items[i];
        item->text = topics->items[i];
        item->is_regex = item->text[0] == '^';
        if (item->is_regex) {
            int rc = regcomp(&item->regex, item->text, REG_EXTENDED | REG_NOSUB);
            if (rc != 0) {
                char why[128];
                regerror(rc, &item->regex, why, sizeof why);
                err_set(err, ERR_INVALID, "topics: \"%s\": %s", item->text, why);
                goto fail;
            }
            wanted->any_regex = true;
        } else if (!topic_name_valid(item->text)) {
            err_set(err, ERR_INVALID,
                "topics: \"%s\" is no topic name (1 to 249 of a-z A-Z 0-9 . _ -); an expression "
                "starts with ^",
                item->text);
            goto fail;
        }
        wanted->n++;
    }
    return 0;
fail:
    kafka_wanted_fini(wanted);
    return -1;
}

void
kafka_wanted_fini(struct kafka_wanted *wanted)
{
    for (size_t i = 0; i < wanted->n; i++) {
        if (wanted->items[i].is_regex) {
            regfree(&wanted->items[i].regex);
        }
    }
    free(wanted->items);
    *wanted = (struct kafka_wanted){0};
}

bool
kafka_wanted_match(const struct kafka_wanted *wanted, const char *topic)
{
    bool internal = strncmp(topic, "__", 2) == 0;
    for (size_t i = 0; i < wanted->n; i++) {
        const struct kafka_wanted_topic *item = &wanted->items[i];
        if (!item->is_regex) {
            if (strcmp(item->text, topic) == 0) {
                return true;
            }
        } else if (!internal || strncmp(item->text, "^__", 3) == 0) {
            if (regexec(&item->regex, topic, 0, NULL, 0) == 0) {
                return true;
            }
        }
    }
    return false;
}

static uint64_t
option_number(const struct kafka_settings *settings, const char *name, uint64_t fallback)
{
    for (size_t i = settings->librdkafka_options.n; i > 0; i--) {
        const struct config_pair *option = &settings->librdkafka_options.items[i - 1];
        if (strcmp(option->name, name) == 0) {
            return strtoull(option->value, NULL, 10);
        }
    }
    return fallback;
}

/* A fetch that is smaller than what the user lets a message have would be refused by librdkafka. */
static bool
reads_little(const struct kafka_settings *settings)
{
    return settings->small && option_number(settings, "message.max.bytes", 0) <= SMALL_FETCH_BYTES;
}

/* What the gateway sets before the user's options, so that those win. A property that this version
 * of librdkafka does not know is passed over: they only tune. */
static void
set_defaults(rd_kafka_conf_t *conf, const char *stream, const struct kafka_settings *settings)
{
    bool small = reads_little(settings);
    char client_id[160];
    snprintf(client_id, sizeof client_id, "headgate/%s %s", version_text, stream);
    const char *const defaults[][2] = {
        {"client.id", client_id},
        {"socket.nagle.disable", "true"},
        {"socket.keepalive.enable", "true"},
        /* A hung broker is given up after this; the library's minute is long for a live stream. */
        {"socket.timeout.ms", "30000"},
        {"reconnect.backoff.max.ms", "2000"},
        {"fetch.max.bytes", small ? SMALL_FETCH_TEXT : FETCH_BYTES_TEXT},
        {"queued.min.messages", small ? SMALL_RECORDS_TEXT : "100000"},
        /* From 2.2.0; before, the fetcher sleeps up to 1 s once a threshold was reached. */
        {"fetch.queue.backoff.ms", "10"},
    };
    char ignored[256];
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        (void)rd_kafka_conf_set(conf, defaults[i][0], defaults[i][1], ignored, sizeof ignored);
    }
}

static int
set_options(rd_kafka_conf_t *conf, const struct config_pairs *options, struct err *err)
{
    for (size_t i = 0; i < options->n; i++) {
        const struct config_pair *option = &options->items[i];
        char why[400];
        err->line = option->line;
        err->column = option->column;
        for (size_t j = 0; j < sizeof reserved / sizeof *reserved; j++) {
            if (strcasecmp(option->name, reserved[j].name) == 0) {
                err_set(err, ERR_INVALID, "librdkafka_options: %s cannot be set: %s",
                    reserved[j].name, reserved[j].why);
                return -1;
            }
        }
        if (rd_kafka_conf_set(conf, option->name, option->value, why, sizeof why) !=
            RD_KAFKA_CONF_OK) {
            err_set(err, ERR_INVALID, "librdkafka_options: %s: %s", option->name, why);
            return -1;
        }
    }
    err->line = err->column = 0;
    return 0;
}

static int
set_fixed(rd_kafka_conf_t *conf, const struct kafka_settings *settings, struct err *err)
{
    char kbytes[32], session[32];
    snprintf(kbytes, sizeof kbytes, "%" PRIu64, settings->prefetch_bytes / KIB);
    snprintf(session, sizeof session, "%" PRIu64, settings->session_timeout_ms);
    const char *const fixed[][2] = {
        {"bootstrap.servers", settings->brokers},
        {"queued.max.messages.kbytes", kbytes},
        {"session.timeout.ms", session}, /* librdkafka compares it also where there is no group */
        {"auto.offset.reset", "error"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"statistics.interval.ms", "5000"},
        {"enable.partition.eof", "false"},
        {"allow.auto.create.topics", "false"},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        char why[400];
        if (rd_kafka_conf_set(conf, fixed[i][0], fixed[i][1], why, sizeof why) !=
            RD_KAFKA_CONF_OK) {
            err_set(err, ERR_INVALID, "%s: %s", fixed[i][0], why);
            return -1;
        }
    }
    return 0;
}

rd_kafka_conf_t *
kafka_settings_conf(const struct kafka_settings *settings, const char *stream, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set_defaults(conf, stream, settings);
    if (set_options(conf, &settings->librdkafka_options, err) != 0 ||
        set_fixed(conf, settings, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

/* An expression that spells the underscores of Kafka's own topics. */
static bool
names_internal(const struct kafka_settings *settings)
{
    for (size_t i = 0; i < settings->topics.n; i++) {
        if (strncmp(settings->topics.items[i], "^__", 3) == 0 ||
            strncmp(settings->topics.items[i], "__", 2) == 0) {
            return true;
        }
    }
    return false;
}

static int
set_member(rd_kafka_conf_t *conf, const struct kafka_settings *settings,
    const struct kafka_member *member, struct err *err)
{
    char timeout[32], heartbeat[32];
    uint64_t third = member->session_timeout_ms / 3;
    snprintf(timeout, sizeof timeout, "%" PRIu64, member->session_timeout_ms);
    snprintf(heartbeat, sizeof heartbeat, "%" PRIu64, third < 3000 ? third : 3000);
    bool chosen = false;
    for (size_t i = 0; i < settings->librdkafka_options.n; i++) {
        chosen |= strcasecmp(settings->librdkafka_options.items[i].name,
                      "partition.assignment.strategy") == 0;
    }
    const char *const rows[][2] = {
        {"group.id", member->group},
        {"session.timeout.ms", timeout},
        {"heartbeat.interval.ms", heartbeat},
        {"group.instance.id", member->instance_id},
        {"partition.assignment.strategy", chosen ? NULL
                                          : rd_kafka_version() >= COOPERATIVE_SOUND
                                              ? "cooperative-sticky"
                                              : "range,roundrobin"},
        {"topic.blacklist", names_internal(settings) ? NULL : "^__"},
        {"statistics.interval.ms", "0"},
        {"log.connection.close", "false"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char why[400];
        if (rows[i][1] != NULL &&
            rd_kafka_conf_set(conf, rows[i][0], rows[i][1], why, sizeof why) != RD_KAFKA_CONF_OK) {
            err_set(err, ERR_INVALID, "%s: %s", rows[i][0], why);
            return -1;
        }
    }
    return 0;
}

rd_kafka_conf_t *
kafka_settings_member_conf(const struct kafka_settings *settings, const char *stream,
    const struct kafka_member *member, struct err *err)
{
    rd_kafka_conf_t *conf = kafka_settings_conf(settings, stream, err);
    if (conf != NULL && set_member(conf, settings, member, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    return conf;
}

/* librdkafka checks combinations and files only when it makes a client; one without brokers
 * connects to nothing. */
static int
check_strategy(const struct kafka_settings *settings, struct err *err)
{
    for (size_t i = 0; i < settings->librdkafka_options.n; i++) {
        const struct config_pair *option = &settings->librdkafka_options.items[i];
        if (rd_kafka_version() < COOPERATIVE_SOUND &&
            strcasecmp(option->name, "partition.assignment.strategy") == 0 &&
            strstr(option->value, "cooperative") != NULL) {
            err->line = option->line;
            err->column = option->column;
            err_set(err, ERR_INVALID,
                "librdkafka_options: cooperative rebalancing is sound from librdkafka 2.6.1 on; "
                "this is %s",
                rd_kafka_version_str());
            return -1;
        }
    }
    return 0;
}

static int
check_whole(const struct kafka_settings *settings, struct err *err)
{
    struct kafka_settings offline = *settings;
    char no_brokers[] = "";
    offline.brokers = no_brokers;
    const struct kafka_member member = {
        .group = settings->group != NULL ? settings->group : "check",
        .instance_id = settings->group_instance_id,
        .session_timeout_ms = settings->session_timeout_ms,
    };
    rd_kafka_conf_t *conf = kafka_settings_member_conf(&offline, "check", &member, err);
    if (conf == NULL) {
        return -1;
    }
    rd_kafka_conf_set_log_cb(conf, NULL);
    char why[400];
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "librdkafka_options: %s", why);
        return -1;
    }
    rd_kafka_destroy(client);
    return 0;
}

int
kafka_settings_check(const void *settings_, struct err *err)
{
    const struct kafka_settings *settings = settings_;
    struct kafka_start start;
    struct kafka_wanted wanted;
    if (settings->brokers == NULL || settings->brokers[0] == '\0') {
        err_set(err, ERR_INVALID, "brokers: at least one host:port is needed");
        return -1;
    }
    if (settings->topics.n == 0) {
        err_set(err, ERR_INVALID, "topics: at least one is needed");
        return -1;
    }
    if (kafka_start_parse(settings->start, clock_wall_ms(), &start, err) != 0 ||
        kafka_wanted_init(&wanted, &settings->topics, err) != 0) {
        return -1;
    }
    kafka_wanted_fini(&wanted);
    if (settings->group == NULL && settings->group_instance_id != NULL) {
        err_set(err, ERR_INVALID, "group_instance_id: needs a group");
        return -1;
    }
    return check_strategy(settings, err) != 0 ? -1 : check_whole(settings, err);
}

bool
kafka_settings_shares(const void *settings_)
{
    const struct kafka_settings *settings = settings_;
    return settings->group != NULL;
}

/* All partitions share one queue, so librdkafka's thresholds hold for the sum. When they are met,
 * one response of each broker may still be on its way. Compressed batches that are larger inside
 * come on top: Kafka has no bound for them but the producers' batch size. */
uint64_t
kafka_settings_memory_bytes(const void *settings_)
{
    const struct kafka_settings *settings = settings_;
    bool small = reads_little(settings);
    uint64_t queued =
        option_number(settings, "queued.min.messages", small ? SMALL_RECORDS : RECORDS_QUEUED);
    uint64_t fetch =
        option_number(settings, "fetch.max.bytes", small ? SMALL_FETCH_BYTES : FETCH_BYTES);
    uint64_t member = settings->group != NULL ? MEMBER_BYTES : 0;
    return settings->prefetch_bytes + queued * RECORD_OVERHEAD + BROKERS * fetch + member;
}

void
kafka_settings_small(const struct kafka_settings *settings, struct kafka_settings *small)
{
    *small = *settings;
    small->small = true;
    if (small->prefetch_bytes > SMALL_PREFETCH) {
        small->prefetch_bytes = SMALL_PREFETCH;
    }
}

uint64_t
kafka_settings_member_bytes(const void *settings)
{
    struct kafka_settings small;
    kafka_settings_small(settings, &small);
    uint64_t member = small.group != NULL ? 0 : MEMBER_BYTES;
    return kafka_settings_memory_bytes(&small) + member;
}

uint64_t
kafka_settings_descriptors(const void *settings_)
{
    const struct kafka_settings *settings = settings_;
    uint64_t bootstraps = 1;
    for (const char *at = settings->brokers; at != NULL && *at != '\0'; at++) {
        bootstraps += *at == ',';
    }
    /* Each broker: a socket and a wake-up pipe. The cluster may have more than are listed. */
    uint64_t client = 8 + 3 * (bootstraps + 32);
    return settings->group != NULL ? 2 * client : client;
}
