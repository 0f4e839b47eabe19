/* config_keys_stream: names, kinds, bounds, defaults and prose of a stream's keys. Any thread. */
#include "config_keys.h"

#include "config.h"

#include <assert.h>
#include <string.h>

const char *const slow_policy_names[SLOW_POLICY_COUNT] = {
    "drop_oldest", "drop_newest", "conflate", "pause", "disconnect"};

static const char *const policy_choices[] = {
    "drop_oldest", "drop_newest", "conflate", "pause", "disconnect", NULL};
static const char *const view_choices[] = {"stream", "table", NULL};
static const char *const table_full_choices[] = {"refuse", "evict", NULL};

/* CONFIG_ENUM writes an int. */
static_assert(sizeof(enum slow_policy) == sizeof(int), "slow_policy is read as an int");
static_assert(sizeof(enum stream_view) == sizeof(int), "view is read as an int");
static_assert(sizeof(enum table_full) == sizeof(int), "table.full is read as an int");

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define GIB (MIB * 1024)
#define HOUR UINT64_C(3600000)
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static const struct config_key ring_keys[] = {
    {.name = "records",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, ring_records),
        .least = 16,
        .most = 16 * MIB,
        .fallback = "65536",
        .prose = "The most records that the ring holds."},
    {.name = "bytes",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config_stream, ring_bytes),
        .least = 64 * KIB,
        .most = 256 * GIB,
        .fallback = "64MiB",
        .prose = "The most memory that its records take. At least slow.queue.bytes and one "
                 "max_record together."},
};
static const struct config_section ring_section = {
    "streams.NAME.ring", sizeof(struct config_stream), ring_keys, COUNT_OF(ring_keys)};

static const struct config_key queue_keys[] = {
    {.name = "records",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, queue_records),
        .least = 1,
        .most = 16 * MIB,
        .fallback = "1024",
        .prose = "How many records a subscriber may be behind; at most ring.records."},
    {.name = "bytes",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config_stream, queue_bytes),
        .least = KIB,
        .most = 256 * GIB,
        .fallback = "1MiB",
        .prose = "How many bytes of records a subscriber may be behind."},
};
static const struct config_section queue_section = {
    "streams.NAME.slow.queue", sizeof(struct config_stream), queue_keys, COUNT_OF(queue_keys)};

static const struct config_key slow_keys[] = {
    {.name = "policy",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config_stream, slow_policy),
        .fallback = "drop_oldest",
        .choices = policy_choices,
        .prose = "What happens to a subscriber that is behind by more than its queue, where it "
                 "asks for nothing else."},
    {.name = "queue",
        .kind = CONFIG_SECTION,
        .child = &queue_section,
        .prose = "How far behind a subscriber may be. It is a distance in the ring, not a copy."},
    {.name = "allow",
        .kind = CONFIG_ENUM_SET,
        .offset = offsetof(struct config_stream, slow_allow),
        .fallback = "[drop_oldest, drop_newest, disconnect]",
        .choices = policy_choices,
        .prose = "What a subscriber may ask for with ?slow=; the stream's own policy always "
                 "belongs to it."},
    {.name = "conflate_keys",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, conflate_keys),
        .least = 1,
        .most = 16 * MIB,
        .fallback = "10000",
        .prose = "The most records that wait for a conflate subscriber, one of each key; they take "
                 "queue.bytes at most. Beyond, the oldest is dropped."},
    {.name = "pause_limit",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config_stream, pause_limit_ms),
        .least = 100,
        .most = 24 * HOUR,
        .fallback = "60s",
        .prose = "A pause subscriber that holds the source for longer is disconnected."},
};
static const struct config_section slow_section = {
    "streams.NAME.slow", sizeof(struct config_stream), slow_keys, COUNT_OF(slow_keys)};

/* A subscriber chooses the consumer's name alone: with nothing beside it, it could join any group.
 */
static int
check_consumer_group(const char *text, struct err *err)
{
    const char *name = strstr(text, "{consumer}");
    if (name == NULL || strlen(text) == strlen("{consumer}") || strlen(text) > 120) {
        err_set(err, ERR_INVALID,
            "must have {consumer} and something beside it, at most 120 characters: a subscriber "
            "must not be able to join any group");
        return -1;
    }
    return 0;
}

static const struct config_key consumers_keys[] = {
    {.name = "allow",
        .kind = CONFIG_BOOL,
        .offset = offsetof(struct config_stream, consumers_allowed),
        .fallback = "false",
        .prose = "Whether subscribers may be durable (?consumer=NAME): their progress is kept in a "
                 "consumer group of the source."},
    {.name = "group",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct config_stream, consumer_group),
        .fallback = "headgate.{stream}.{consumer}",
        .check = check_consumer_group,
        .prose = "The group of a consumer: {consumer} stands for its name, {stream} for the "
                 "stream's. The broker's ACL must allow it."},
    {.name = "max",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, consumers_most),
        .least = 1,
        .most = 10000,
        .fallback = "8",
        .prose = "How many connections of durable consumers this gateway serves at once, of all "
                 "names; a further one gets 503. Each is a Kafka client."},
    {.name = "max_in_flight",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, consumer_in_flight),
        .least = 1,
        .most = 100000,
        .fallback = "1000",
        .prose = "With ack=client, how many records a connection may have been sent and not acked; "
                 "then it is sent no more until it acks half of them. Also at most 4 MiB of them."},
    {.name = "ack_timeout",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config_stream, consumer_ack_timeout_ms),
        .least = 100,
        .most = 24 * HOUR,
        .fallback = "60s",
        .zero_word = "off",
        .prose =
            "With ack=client, a connection that owes acks and gives none for longer is closed, "
            "so that its records go to another."},
};
static const struct config_section consumers_section = {"streams.NAME.consumers",
    sizeof(struct config_stream), consumers_keys, COUNT_OF(consumers_keys)};
static const struct config_key table_keys[] = {
    {.name = "keys",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, table_keys),
        .least = 1,
        .most = 256 * MIB,
        .fallback = "1000000",
        .prose = "The most keys."},
    {.name = "bytes",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config_stream, table_bytes),
        .least = 64 * KIB,
        .most = 256 * GIB,
        .fallback = "128MiB",
        .prose = "The most memory that their newest records take, with about 128 bytes for each."},
    {.name = "history",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config_stream, table_history_bytes),
        .least = 64 * KIB,
        .most = 256 * GIB,
        .fallback = "32MiB",
        .prose =
            "The most memory for what was replaced or removed while snapshots that have it are "
            "being sent. Beyond, the subscriber that has been at its snapshot for longest is "
            "disconnected as too slow."},
    {.name = "full",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config_stream, table_full),
        .fallback = "refuse",
        .choices = table_full_choices,
        .prose = "What happens beyond keys or bytes. refuse: the table is given up, subscriptions "
                 "get 503 but with snapshot=false. evict: the key that was silent for longest is "
                 "left out of further snapshots, and each of them says that it is not complete."},
};
static const struct config_section table_section = {
    "streams.NAME.table", sizeof(struct config_stream), table_keys, COUNT_OF(table_keys)};

static const struct config_key stream_keys[] = {
    {.name = "source",
        .kind = CONFIG_CUSTOM,
        .required = true,
        .prose = "Where the records come from: exactly one connector and its settings."},
    {.name = "required",
        .kind = CONFIG_BOOL,
        .offset = offsetof(struct config_stream, required),
        .fallback = "false",
        .prose = "Whether /readyz fails while the source is down."},
    {.name = "ring",
        .kind = CONFIG_SECTION,
        .child = &ring_section,
        .prose = "The latest records, kept in memory for all subscribers together."},
    {.name = "max_record",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config_stream, max_record_bytes),
        .least = KIB,
        .most = 16 * MIB,
        .fallback = "1MiB",
        .prose = "The largest payload; a larger record is dropped and counted."},
    {.name = "slow",
        .kind = CONFIG_SECTION,
        .child = &slow_section,
        .prose = "Subscribers that read more slowly than records arrive."},
    {.name = "compression",
        .kind = CONFIG_BOOL,
        .offset = offsetof(struct config_stream, compressed),
        .fallback = "true",
        .prose = "Whether it may be compressed. Say false where records hold a secret beside what "
                 "an attacker can choose, whose size on the wire would tell of it."},
    {.name = "consumers",
        .kind = CONFIG_SECTION,
        .child = &consumers_section,
        .prose = "Durable subscribers."},
    {.name = "view",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config_stream, view),
        .fallback = "stream",
        .choices = view_choices,
        .prose = "table: a subscriber first gets the newest record of each key, then changes. The "
                 "source is read from its earliest record, whatever its start says."},
    {.name = "table",
        .kind = CONFIG_SECTION,
        .child = &table_section,
        .prose = "Bounds of a stream with view: table."},
    {.name = "generations",
        .kind = CONFIG_SECTION,
        .child = &config_keys_generations,
        .prose = "Answers of models that requests make by POST, each a stream that many may see. "
                 "Of a source of models alone."},
};
const struct config_section config_keys_stream = {
    "streams.NAME", sizeof(struct config_stream), stream_keys, COUNT_OF(stream_keys)};
