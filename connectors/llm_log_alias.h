/* llm_log_alias: what upstreams call answers, as the log says it: their id by the name that a
 * response passed on as it came shows to its client. The latest are kept, so many as the settings
 * say: the oldest go, by their place in the log. Of two answers that are called the same, the later
 * one is found.
 *
 * Records of the log are outside bytes: what cannot be a name or an id is passed over.
 * Thread any: one mutex, short. */
#ifndef HEADGATE_LLM_LOG_ALIAS_H
#define HEADGATE_LLM_LOG_ALIAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct llm_log_aliases;

struct llm_log_aliases *llm_log_aliases_new(size_t most);   /* at least 1 */
void llm_log_aliases_free(struct llm_log_aliases *aliases); /* NULL-safe */

/* llm_log_aliases_take: what a record at offset says, whose key is an answer's id and whose value
 * its name. Records may come in any order, and again. Cost O(1) for one that is later than all. */
void llm_log_aliases_take(struct llm_log_aliases *aliases, int64_t offset, const void *id,
    size_t id_len, const void *alias, size_t alias_len);

/* llm_log_aliases_clear: what was known lay in another log. */
void llm_log_aliases_clear(struct llm_log_aliases *aliases);

/* llm_log_aliases_find: id, with its NUL, into size bytes. False: it is not known. */
bool llm_log_aliases_find(
    struct llm_log_aliases *aliases, const char *alias, char *id, size_t size);

/* llm_log_aliases_bytes: the most that it takes. */
uint64_t llm_log_aliases_bytes(uint64_t most);

#endif
