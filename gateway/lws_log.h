/* lws_log: where libwebsockets' log lines go, and the one place that tells its versions apart.
 *
 * From 4.3 on, every socket's creation and close counts on its context's log, without a lock in
 * builds for one service thread a context. Contexts that share the process-wide one race on that
 * count, and an assertion in the library ends the process when it comes out too low. So each shard
 * has a log of its own, counted on by its thread alone. Thread  init. */
#ifndef HEADGATE_LWS_LOG_H
#define HEADGATE_LWS_LOG_H

struct lws_context_creation_info;
struct lws_log;

/* lws_log_new: errors and warnings of the library become lines of ours. Never NULL. */
struct lws_log *lws_log_new(void);
void lws_log_free(struct lws_log *log); /* NULL-safe; once the context that used it is destroyed */

/* lws_log_use: info, for a context or a vhost of it, logs to log. */
void lws_log_use(struct lws_log *log, struct lws_context_creation_info *info);

#endif
