/* log_limit: keeps one recurring event from flooding the log. No thread of its own, no clock. */
#include "log_limit.h"

#include <stddef.h>
#include <stdio.h>

/* FNV-1a, the NUL included so that two strings do not run into each other. */
static uint64_t
hash_text(uint64_t hash, const char *text)
{
    do {
        hash = (hash ^ (uint8_t)*text) * UINT64_C(1099511628211);
    } while (*text++ != '\0');
    return hash;
}

static bool
is_over(const struct log_limit_slot *slot, int64_t now_ns)
{
    return slot->kind.hash != 0 && now_ns - slot->since_ns >= LOG_LIMIT_NS;
}

/* The slot of the kind, else a free one, else NULL. */
static struct log_limit_slot *
find_slot(struct log_limit *limit, uint64_t hash)
{
    struct log_limit_slot *unused = NULL;
    for (size_t i = 0; i < LOG_LIMIT_SLOTS; i++) {
        struct log_limit_slot *slot = &limit->slots[i];
        if (slot->kind.hash == hash) {
            return slot;
        }
        if (slot->kind.hash == 0 && unused == NULL) {
            unused = slot;
        }
    }
    return unused;
}

bool
log_limit_pass(struct log_limit *limit, int64_t now_ns, enum log_level level, const char *component,
    const char *stream, const char *format, const char *message)
{
    const char *stream_text = stream == NULL ? "" : stream;
    uint64_t hash = hash_text(UINT64_C(14695981039346656037), component);
    hash = hash_text(hash_text(hash, stream_text), format) | 1;
    struct log_limit_slot *slot = find_slot(limit, hash);
    if (slot == NULL) {
        return true;
    }
    if (slot->kind.hash == 0) {
        slot->kind.hash = hash;
        slot->since_ns = now_ns;
        slot->lines = 0;
    }
    if (++slot->lines <= LOG_LIMIT_LINES) {
        return true;
    }
    struct log_limit_kind *kind = &slot->kind;
    kind->level = level;
    snprintf(kind->component, sizeof kind->component, "%s", component);
    snprintf(kind->stream, sizeof kind->stream, "%s", stream_text);
    snprintf(kind->message, sizeof kind->message, "%s", message);
    return false;
}

bool
log_limit_report(
    struct log_limit *limit, int64_t now_ns, struct log_limit_kind *kind, uint64_t *left_out)
{
    for (size_t i = 0; i < LOG_LIMIT_SLOTS; i++) {
        struct log_limit_slot *slot = &limit->slots[i];
        if (!is_over(slot, now_ns)) {
            continue;
        }
        bool tell = slot->lines > LOG_LIMIT_LINES;
        if (tell) {
            *kind = slot->kind;
            *left_out = slot->lines - LOG_LIMIT_LINES;
        }
        slot->kind.hash = 0;
        if (tell) {
            return true;
        }
    }
    return false;
}
