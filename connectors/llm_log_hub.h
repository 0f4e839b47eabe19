/* llm_log_hub: reads the log for all answers of other gateways that are seen here, however many
 * they are: two threads, and two clients while there are any.
 *
 * The *live* client reads each partition that one of them lies in at its end. Who comes later than
 * its answer began has a past to read first: the *past* client goes through the partition from
 * where that begins, once for all who need it, and hands each over where the live one stands
 * (llm_log_track.c). The hub's thread takes what both give and publishes it; questions that block
 * are asked by another (llm_log_ask.c). */
#ifndef HEADGATE_LLM_LOG_HUB_H
#define HEADGATE_LLM_LOG_HUB_H

#include "llm_log_settings.h"

struct llm_log_hub;
struct llm_log_reader;
struct stream;

#define LLM_LOG_HUB_CLIENTS 2
#define LLM_LOG_HUB_DESCRIPTORS 2 /* beside theirs */

/* llm_log_hub_start: settings and home, the configured stream, outlive it. Errors NULL and err.
 * llm_log_hub_stop: NULL-safe; no reader is left; may take some seconds where a broker hangs.
 * Thread init. */
struct llm_log_hub *llm_log_hub_start(
    const struct llm_log_settings *settings, struct stream *home, struct err *err);
void llm_log_hub_stop(struct llm_log_hub *hub);

/* llm_log_hub_join: reader is its from now on, until llm_log_hub_leave returns: before, the reader
 * has been told to stop; waits until the hub's thread has seen that. llm_log_hub_look: one has been
 * told. Thread any. */
void llm_log_hub_join(struct llm_log_hub *hub, struct llm_log_reader *reader);
void llm_log_hub_leave(struct llm_log_hub *hub, struct llm_log_reader *reader);
void llm_log_hub_look(struct llm_log_hub *hub);

#endif
