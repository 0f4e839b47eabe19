/* config_keys_compression: the keys of compression. Any thread. */
#include "coding.h"
#include "config.h"
#include "config_keys.h"

/* In the order of enum coding, from CODING_GZIP on. */
static const char *const coding_choices[] = {"gzip", "zstd", "permessage-deflate", NULL};

static const struct config_key compression_keys[] = {
    {.name = "codings",
        .kind = CONFIG_ENUM_SET,
        .offset = offsetof(struct config, codings),
        .fallback = "[gzip, zstd, permessage-deflate]",
        .choices = coding_choices,
        .prose = "What is offered: gzip and zstd to SSE, NDJSON and JSON where Accept-Encoding "
                 "takes it, permessage-deflate to a WebSocket that offers it. []: nothing is "
                 "compressed."},
    {.name = "level",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct config, compression_level),
        .least = 1,
        .most = 9,
        .fallback = "1",
        .prose = "1 is the fastest, 9 the smallest, for all of them."},
    {.name = "min",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct config, compression_least_bytes),
        .least = 1,
        .most = CODING_MOST_BYTES,
        .fallback = "512",
        .prose = "What is smaller is sent as it is: a message of a WebSocket, or what arrived "
                 "together for the others. So is what is larger than 1MiB."},
};
const struct config_section config_keys_compression = {"compression", sizeof(struct config),
    compression_keys, sizeof compression_keys / sizeof *compression_keys};
