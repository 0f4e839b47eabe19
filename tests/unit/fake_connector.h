/* fake_connector: a registry of one connector whose section has a key of every kind. A program that
 * includes it has its own connectors_all and connector_find, so the real ones are not linked. */
#ifndef HEADGATE_FAKE_CONNECTOR_H
#define HEADGATE_FAKE_CONNECTOR_H

#include "../../connectors/connector.h"
#include "../../gateway/config.h"
#include "../../gateway/config_table.h"

#include <string.h>

struct fake_inner {
    uint64_t depth;
};

struct fake_settings {
    char *brokers;
    struct config_strings topics;
    char *password;
    bool exact;
    int start;
    uint32_t modes;
    uint64_t fetch_bytes;
    uint64_t wait_ms;
    struct config_pairs options;
    struct fake_inner inner;
    struct config_sections peers; /* of struct fake_peer */
};

struct fake_peer {
    char *host;
    char *password;
    uint64_t weight;
    struct config_strings tags;
};

static const char *const fake_starts[] = {"latest", "earliest", NULL};
static const char *const fake_modes[] = {"a", "b", "c", NULL};

static const struct config_key fake_inner_keys[] = {
    {.name = "depth",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct fake_inner, depth),
        .least = 1,
        .fallback = "3",
        .prose = "How deep."},
};
static const struct config_section fake_inner_section = {
    "inner", sizeof(struct fake_inner), fake_inner_keys, 1};

static const struct config_key fake_peer_keys[] = {
    {.name = "host",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct fake_peer, host),
        .required = true,
        .prose = "Where it is."},
    {.name = "password",
        .kind = CONFIG_SECRET,
        .offset = offsetof(struct fake_peer, password),
        .prose = "Secret."},
    {.name = "weight",
        .kind = CONFIG_COUNT,
        .offset = offsetof(struct fake_peer, weight),
        .least = 1,
        .fallback = "7",
        .prose = "How much."},
    {.name = "tags",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct fake_peer, tags),
        .prose = "Words."},
};
static const struct config_section fake_peer_section = {"peers", sizeof(struct fake_peer),
    fake_peer_keys, sizeof fake_peer_keys / sizeof *fake_peer_keys};

static int
fake_check_brokers(const char *text, struct err *err)
{
    if (strchr(text, ' ') != NULL) {
        err_set(err, ERR_INVALID, "has a space");
        return -1;
    }
    return 0;
}

static const struct config_key fake_keys[] = {
    {.name = "brokers",
        .kind = CONFIG_STRING,
        .offset = offsetof(struct fake_settings, brokers),
        .required = true,
        .check = fake_check_brokers,
        .prose = "host:port | more."},
    {.name = "topics",
        .kind = CONFIG_STRINGS,
        .offset = offsetof(struct fake_settings, topics),
        .least = 1,
        .most = 4,
        .required = true,
        .prose = "Topics."},
    {.name = "password",
        .kind = CONFIG_SECRET,
        .offset = offsetof(struct fake_settings, password),
        .prose = "Secret."},
    {.name = "exact",
        .kind = CONFIG_BOOL,
        .offset = offsetof(struct fake_settings, exact),
        .fallback = "true",
        .prose = "Exact."},
    {.name = "start",
        .kind = CONFIG_ENUM,
        .offset = offsetof(struct fake_settings, start),
        .fallback = "latest",
        .choices = fake_starts,
        .prose = "Start."},
    {.name = "modes",
        .kind = CONFIG_ENUM_SET,
        .offset = offsetof(struct fake_settings, modes),
        .fallback = "[a, c]",
        .choices = fake_modes,
        .prose = "Modes."},
    {.name = "fetch",
        .kind = CONFIG_BYTES,
        .offset = offsetof(struct fake_settings, fetch_bytes),
        .least = 1024,
        .most = 1 << 30,
        .fallback = "1MiB",
        .prose = "Fetch."},
    {.name = "wait",
        .kind = CONFIG_DURATION,
        .offset = offsetof(struct fake_settings, wait_ms),
        .least = 10,
        .most = 3600000,
        .fallback = "off",
        .zero_word = "off",
        .prose = "Wait."},
    {.name = "librdkafka_options",
        .kind = CONFIG_PAIRS,
        .offset = offsetof(struct fake_settings, options),
        .prose = "Options."},
    {.name = "inner",
        .kind = CONFIG_SECTION,
        .offset = offsetof(struct fake_settings, inner),
        .child = &fake_inner_section,
        .prose = "Inner."},
    {.name = "peers",
        .kind = CONFIG_SECTIONS,
        .offset = offsetof(struct fake_settings, peers),
        .most = 2,
        .child = &fake_peer_section,
        .prose = "Peers."},
};
static const struct config_section fake_section = {"streams.NAME.source.fake",
    sizeof(struct fake_settings), fake_keys, sizeof fake_keys / sizeof *fake_keys};

static int
fake_check(const void *settings, struct err *err)
{
    const struct fake_settings *fake = settings;
    for (size_t i = 0; i < fake->options.n; i++) {
        const struct config_pair *pair = &fake->options.items[i];
        if (strcmp(pair->name, "no.such.property") == 0) {
            err->line = pair->line;
            err->column = pair->column;
            err_set(err, ERR_INVALID, "unknown property '%s'", pair->name);
            return -1;
        }
    }
    return 0;
}

static uint64_t
fake_memory_bound(const void *settings)
{
    return 10 * ((const struct fake_settings *)settings)->fetch_bytes;
}

static uint64_t
fake_descriptor_bound(const void *settings)
{
    (void)settings;
    return 7;
}

static const struct connector fake_connector = {
    .name = "fake",
    .section = &fake_section,
    .check = fake_check,
    .memory_bound_bytes = fake_memory_bound,
    .descriptor_bound = fake_descriptor_bound,
};

const struct connector *const connectors_all[] = {&fake_connector, NULL};

const struct connector *
connector_find(const char *name)
{
    return strcmp(name, fake_connector.name) == 0 ? &fake_connector : NULL;
}

#endif
