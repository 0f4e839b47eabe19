/* llm_log_ear: what gateways say to each other: they write it to one partition of the log, and a
 * thread of each reads that from its end on. To one of them, cancel and seen; to all, alias.
 *
 * Of the names of answers (alias) those are wanted too that were said before this gateway came:
 * beside the ear, a second thread and client read that past once, from where an answer can have
 * begun that is still to be had, LLM_LOG_EAR_PAST records at the most. Until then the names are not
 * complete. Where the partition cannot be read on, both begin anew.
 *
 * Thread  any, where it says nothing else. */
#ifndef HEADGATE_LLM_LOG_EAR_H
#define HEADGATE_LLM_LOG_EAR_H

#include "llm_log_alias.h"
#include "llm_log_record.h"
#include "llm_log_settings.h"

/* Every log has it. A name must be found by who knows nothing else of its answer, so all gateways
 * have to read the same one; what is said to one of them may as well lie there too. */
#define LLM_LOG_EAR_PARTITION 0
#define LLM_LOG_EAR_PAST 1000000

struct llm_log_ear;
struct stream;

/* Who listens. All of it outlives the ear. */
struct llm_log_ear_user {
    const struct llm_log_settings *settings;
    struct stream *home;             /* the configured stream */
    struct llm_log_aliases *aliases; /* names are put there; NULL: they are not wanted */
    /* hear: cancel or seen, of an id of any length. Thread the ear's. */
    void (*hear)(void *self, const void *id, size_t len, enum llm_log_kind kind);
    void *self;
};

/* llm_log_ear_start: Errors NULL and err. llm_log_ear_stop: NULL-safe; may take some seconds where
 * a broker hangs. Thread init. */
struct llm_log_ear *llm_log_ear_start(const struct llm_log_ear_user *user, struct err *err);
void llm_log_ear_stop(struct llm_log_ear *ear);

/* llm_log_ear_partition: what is written there from now on is heard; negative: nothing is.
 * llm_log_ear_is_complete: all names that there were when it began are known. */
int32_t llm_log_ear_partition(const struct llm_log_ear *ear);
bool llm_log_ear_is_complete(const struct llm_log_ear *ear);

#endif
