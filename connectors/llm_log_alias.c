/* llm_log_alias: see llm_log_alias.h. */
#include "llm_log_alias.h"

#include "../gateway/hash.h"
#include "../gateway/mem.h"
#include "../gateway/stream.h"
#include "llm_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define MALLOC_BYTES 32

struct entry {
    LIST_ENTRY(entry) bucket;
    TAILQ_ENTRY(entry) place; /* in the order of offsets */
    int64_t offset;
    size_t alias_len;
    char id[LLM_LOG_ID_MAX + 1];
    char alias[]; /* no NUL behind it */
};
LIST_HEAD(bucket, entry);
TAILQ_HEAD(entry_list, entry);

struct llm_log_aliases {
    pthread_mutex_t lock;
    struct entry_list entries;
    size_t n, most;
    struct bucket *buckets; /* most of them */
};

struct llm_log_aliases *
llm_log_aliases_new(size_t most)
{
    struct llm_log_aliases *aliases = mem_calloc(1, sizeof *aliases);
    aliases->most = most;
    aliases->buckets = mem_calloc(most, sizeof *aliases->buckets);
    TAILQ_INIT(&aliases->entries);
    pthread_mutex_init(&aliases->lock, NULL);
    return aliases;
}

void
llm_log_aliases_free(struct llm_log_aliases *aliases)
{
    if (aliases != NULL) {
        llm_log_aliases_clear(aliases);
        pthread_mutex_destroy(&aliases->lock);
        free(aliases->buckets);
        free(aliases);
    }
}

/* ---- under the lock ---- */

static struct bucket *
bucket_of(const struct llm_log_aliases *aliases, const void *alias, size_t len)
{
    return &aliases->buckets[hash_fnv1a(alias, len) % aliases->most];
}

static struct entry *
find(const struct llm_log_aliases *aliases, const void *alias, size_t len)
{
    struct entry *entry;
    LIST_FOREACH(entry, bucket_of(aliases, alias, len), bucket)
    {
        if (entry->alias_len == len && memcmp(entry->alias, alias, len) == 0) {
            break;
        }
    }
    return entry;
}

static void
drop(struct llm_log_aliases *aliases, struct entry *entry)
{
    LIST_REMOVE(entry, bucket);
    TAILQ_REMOVE(&aliases->entries, entry, place);
    aliases->n--;
    free(entry);
}

/* Its place is the last one, but for the few that came while a past was read. */
static void
put_take(struct llm_log_aliases *aliases, struct entry *entry)
{
    struct entry *before;
    TAILQ_FOREACH_REVERSE(before, &aliases->entries, entry_list, place)
    {
        if (before->offset < entry->offset) {
            break;
        }
    }
    if (before == NULL) {
        TAILQ_INSERT_HEAD(&aliases->entries, entry, place);
    } else {
        TAILQ_INSERT_AFTER(&aliases->entries, before, entry, place);
    }
    LIST_INSERT_HEAD(bucket_of(aliases, entry->alias, entry->alias_len), entry, bucket);
    aliases->n++;
}

static void
take(struct llm_log_aliases *aliases, struct entry *entry)
{
    struct entry *there = find(aliases, entry->alias, entry->alias_len);
    if (there != NULL && there->offset >= entry->offset) {
        free(entry);
        return;
    }
    if (there != NULL) {
        drop(aliases, there);
    }
    put_take(aliases, entry);
    if (aliases->n > aliases->most) {
        drop(aliases, TAILQ_FIRST(&aliases->entries));
    }
}

/* ---- any thread ---- */

static bool
is_text(const void *text, size_t len, size_t most)
{
    return text != NULL && len > 0 && len <= most && memchr(text, '\0', len) == NULL;
}

void
llm_log_aliases_take(struct llm_log_aliases *aliases, int64_t offset, const void *id, size_t id_len,
    const void *alias, size_t alias_len)
{
    if (!is_text(id, id_len, LLM_LOG_ID_MAX) || !is_text(alias, alias_len, STREAM_ALIAS_MAX)) {
        return;
    }
    struct entry *entry = mem_calloc(1, sizeof *entry + alias_len);
    entry->offset = offset;
    entry->alias_len = alias_len;
    memcpy(entry->id, id, id_len);
    memcpy(entry->alias, alias, alias_len);
    pthread_mutex_lock(&aliases->lock);
    take(aliases, entry);
    pthread_mutex_unlock(&aliases->lock);
}

void
llm_log_aliases_clear(struct llm_log_aliases *aliases)
{
    struct entry *entry;
    pthread_mutex_lock(&aliases->lock);
    while ((entry = TAILQ_FIRST(&aliases->entries)) != NULL) {
        drop(aliases, entry);
    }
    pthread_mutex_unlock(&aliases->lock);
}

bool
llm_log_aliases_find(struct llm_log_aliases *aliases, const char *alias, char *id, size_t size)
{
    pthread_mutex_lock(&aliases->lock);
    const struct entry *entry = find(aliases, alias, strlen(alias));
    bool fits = entry != NULL && strlen(entry->id) < size;
    if (fits) {
        memcpy(id, entry->id, strlen(entry->id) + 1);
    }
    pthread_mutex_unlock(&aliases->lock);
    return fits;
}

uint64_t
llm_log_aliases_bytes(uint64_t most)
{
    return most * (sizeof(struct entry) + STREAM_ALIAS_MAX + MALLOC_BYTES + sizeof(struct bucket));
}
