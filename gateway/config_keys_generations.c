/* config_keys_generations: the keys of answers that many see. Any thread. */
#include "config.h"
#include "config_keys.h"

#include <assert.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)
#define SECOND UINT64_C(1000)
#define MINUTE (SECOND * 60)
#define HOUR (MINUTE * 60)

static const char *const left_choices[] = {"cancel", "finish", NULL};
static_assert(sizeof(enum generations_left) == sizeof(int), "when_left is read as an int");

static const struct config_key generations_keys[] = {
    {.name = "max",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, generations.most),
        .least = 1,
        .most = 100000,
        .fallback = "64",
        .prose = "How many may be under way at once; a further request gets 429 with Retry-After."},
    {.name = "per_caller",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, generations.most_caller),
        .least = 0,
        .most = 100000,
        .fallback = "16",
        .prose = "How many of them one address may have; a further request from there gets 429. "
                 "0: as many as max."},
    {.name = "kept",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, generations.kept),
        .least = 0,
        .most = 1000000,
        .fallback = "64",
        .prose = "How many that have ended are kept at the most; then the oldest is forgotten."},
    {.name = "bytes",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config_stream, generations.bytes),
        .least = 64 * KIB,
        .most = 1024 * MIB,
        .fallback = "8MiB",
        .prose = "The most memory that the records of one answer take, which is kept whole: about "
                 "350 bytes for each word or two. Beyond it the answer fails as too_large."},
    {.name = "retain",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config_stream, generations.retain_ms),
        .least = 0,
        .most = 24 * HOUR,
        .fallback = "5m",
        .prose = "How long after its end an answer can still be read."},
    {.name = "when_left",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct config_stream, generations.left),
        .choices = left_choices,
        .fallback = "cancel",
        .prose = "What happens to an answer that nobody sees any more. cancel: it is cancelled, "
                 "after grace. finish: it goes on to its end."},
    {.name = "grace",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config_stream, generations.grace_ms),
        .least = 0,
        .most = 24 * HOUR,
        .fallback = "30s",
        .prose = "With when_left: cancel, how long it goes on for one who comes back. 0s: it is "
                 "cancelled at once."},
    {.name = "max_time",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct config_stream, generations.max_time_ms),
        .least = SECOND,
        .most = 24 * HOUR,
        .fallback = "15m",
        .prose = "How long an answer may take in all, seen or not; then it fails as timeout."},
    {.name = "max_tokens",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config_stream, generations.max_tokens),
        .least = 1,
        .most = 1000000000,
        .fallback = "131072",
        .prose =
            "How many tokens a model may write in one answer, seen or not; then it is left, "
            "and the answer fails as too_large. Upstreams tell their exact count only at the "
            "end, so what is counted as it comes is the pieces of text, thinking and arguments, "
            "a token or a few each; where an upstream tells its count on the way and that is "
            "larger, that."},
};

const struct config_section config_keys_generations = {"streams.NAME.generations",
    sizeof(struct config_stream), generations_keys,
    sizeof generations_keys / sizeof *generations_keys};
