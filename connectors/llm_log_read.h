/* llm_log_read: an answer that another gateway makes or made, read from the log into a stream here,
 * record for record with the same tokens. All of a log's readers are served by its hub
 * (llm_log_hub.h).
 *
 * Its partition follows from its id, and so does where to begin: the id holds the time of the
 * request. What other answers have written there since is read too, and passed over. stream_told is
 * said once its begin is found; one that ends before (CONNECTOR_LOG_NOT_FOUND, _UNREADABLE) is not
 * there to be read.
 *
 * It ends as CONNECTOR_LOG_LOST where nothing is written for log.silence though the log can be
 * read, and as CONNECTOR_LOG_INCOMPLETE where a record is missing in it. */
#ifndef HEADGATE_LLM_LOG_READ_H
#define HEADGATE_LLM_LOG_READ_H

#include "connector.h"
#include "llm_log.h"

struct llm_log_reader;

/* llm_log_read_start: answer id into stream, which begun_ms, Unix milliseconds, says when it was
 * asked for. llm_log_read_cancel: end soon. llm_log_read_stop: waits until it is read no more, and
 * frees it. llm_log_read_tell: have its gateway cancel it; false: that does not listen. Thread: as
 * of connector.h's. */
struct llm_log_reader *llm_log_read_start(
    struct llm_log *log, struct stream *stream, const char *id, int64_t begun_ms);
void llm_log_read_cancel(struct llm_log_reader *reader);
void llm_log_read_stop(struct llm_log_reader *reader);
bool llm_log_read_tell(struct llm_log_reader *reader);

#endif
