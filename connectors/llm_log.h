/* llm_log: the log of a stream of models: a Kafka topic that every record of every answer is
 * written to as it comes, so that other gateways can read the answer too (llm_log_read.h), and go
 * on telling of it when this one is gone.
 *
 * Writing never holds an answer up. A record waits in memory, bounded by log.memory, until a broker
 * has acknowledged it. Of an answer of which one record found no room or failed, none follows but
 * its end, so that a reader finds out (n, see llm_log_record.h); that is counted, and logged once
 * until it goes well again.
 *
 * While an answer is silent a beat is written three times in log.silence. What others say to this
 * gateway, cancel and seen, it hears (llm_log_ear.h); each answer's begin names the partition. All
 * are told what an upstream calls an answer, once that is known. */
#ifndef HEADGATE_LLM_LOG_H
#define HEADGATE_LLM_LOG_H

#include "connector.h"
#include "llm_log_record.h"
#include "llm_log_settings.h"

#define LLM_LOG_ID_MAX 64

struct llm_log;
struct llm_log_answer;
struct llm_log_hub;
struct stream;

/* llm_log_start: settings and home, the configured stream, outlive it; has_aliases: upstreams call
 * answers by names that clients see. Errors NULL and err. llm_log_stop: no answer is left; blocks
 * for two seconds and a little more at the most. Thread init. */
struct llm_log *llm_log_start(const struct llm_log_settings *settings, struct stream *home,
    bool has_aliases, struct err *err);
void llm_log_stop(struct llm_log *log);
const struct llm_log_settings *llm_log_settings(const struct llm_log *log); /* lent */
struct llm_log_hub *llm_log_hub(const struct llm_log *log); /* which reads it; lent */

/* llm_log_begin: an answer that stream is, and how it was asked for. llm_log_event: a record that
 * stream has taken. llm_log_alias: what its upstream calls it; one that is longer than
 * STREAM_ALIAS_MAX is not told. llm_log_end: code NULL: done. llm_log_leave: NULL-safe; one that
 * has not ended does now, as shutdown; nothing of its stream is used any more. Thread: one at a
 * time. Blocks no.
 */
struct llm_log_answer *llm_log_begin(struct llm_log *log, struct stream *stream, const char *id,
    const char *dialect, bool whole, bool raw);
void llm_log_event(struct llm_log_answer *answer, const struct record_input *in);
void llm_log_alias(struct llm_log_answer *answer, const char *alias);
void llm_log_end(struct llm_log_answer *answer, const char *code, const char *message);
void llm_log_leave(struct llm_log_answer *answer);

/* llm_log_tell: say it to the gateway that reads partition. Thread any. Blocks no. */
void llm_log_tell(struct llm_log *log, const char *id, enum llm_log_kind kind, int32_t partition);

/* llm_log_find_alias: as of connector.h's find_alias. */
enum connector_alias llm_log_find_alias(
    struct llm_log *log, const char *alias, char *id, size_t size);

#endif
