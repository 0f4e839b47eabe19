/* lws_log: libwebsockets' log in ours. Lines come on the thread of the context. */
#include "lws_log.h"

#include "log.h"
#include "mem.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEVELS (LLL_ERR | LLL_WARN)

struct lws_log {
#if LWS_LIBRARY_VERSION_NUMBER >= 4003000
    lws_log_cx_t cx;
#else
    char none; /* the library has one log for all, and counts nothing on it */
#endif
};

static void
emit(int level, const char *line)
{
    char text[256];
    snprintf(text, sizeof text, "%s", line);
    text[strcspn(text, "\n")] = '\0';
    log_event(level == LLL_ERR ? LOG_ERROR : LOG_WARN, "libwebsockets", NULL, "%s", text);
}

struct lws_log *
lws_log_new(void)
{
    struct lws_log *log = mem_calloc(1, sizeof *log);
    lws_set_log_level(LEVELS, emit); /* for what the library says before it has a context */
#if LWS_LIBRARY_VERSION_NUMBER >= 4003000
    log->cx.u.emit = emit;
    log->cx.lll_flags = LEVELS;
#endif
    return log;
}

void
lws_log_free(struct lws_log *log)
{
    free(log);
}

void
lws_log_use(struct lws_log *log, struct lws_context_creation_info *info)
{
#if LWS_LIBRARY_VERSION_NUMBER >= 4003000
    info->log_cx = &log->cx;
#else
    (void)log;
    (void)info;
#endif
}
