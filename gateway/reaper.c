/* reaper: the thread that waits for sources to stop, so that no shard has to. */
#include "reaper.h"

#include "mem.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

/* A source's threads allocate in arenas of their own, and what they free there stays with the
 * process: after dozens of Kafka clients that was gigabytes. Once no more are buried, it is given
 * back. */
#define QUIET_S 1

struct corpse {
    STAILQ_ENTRY(corpse) link;
    void (*bury)(void *dead);
    void *dead;
};

struct reaper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    STAILQ_HEAD(, corpse) corpses;
    bool ending;
};

/* True after QUIET_S without a corpse. Under the lock. */
static bool
wait_quiet(struct reaper *reaper)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += QUIET_S;
    return pthread_cond_timedwait(&reaper->changed, &reaper->lock, &until) == ETIMEDOUT;
}

static void *
run(void *arg)
{
    struct reaper *reaper = arg;
    size_t buried = 0; /* since memory was given back last */
    pthread_mutex_lock(&reaper->lock);
    for (;;) {
        struct corpse *corpse = STAILQ_FIRST(&reaper->corpses);
        if (corpse != NULL) {
            STAILQ_REMOVE_HEAD(&reaper->corpses, link);
            pthread_mutex_unlock(&reaper->lock);
            corpse->bury(corpse->dead);
            free(corpse);
            buried++;
            pthread_mutex_lock(&reaper->lock);
        } else if (reaper->ending) {
            break;
        } else if (buried == 0) {
            pthread_cond_wait(&reaper->changed, &reaper->lock);
        } else if (wait_quiet(reaper)) {
            pthread_mutex_unlock(&reaper->lock);
            malloc_trim(0);
            buried = 0;
            pthread_mutex_lock(&reaper->lock);
        }
    }
    pthread_mutex_unlock(&reaper->lock);
    return NULL;
}

struct reaper *
reaper_new(struct err *err)
{
    struct reaper *reaper = mem_calloc(1, sizeof *reaper);
    pthread_mutex_init(&reaper->lock, NULL);
    pthread_cond_init(&reaper->changed, NULL);
    STAILQ_INIT(&reaper->corpses);
    int failed = pthread_create(&reaper->thread, NULL, run, reaper);
    if (failed != 0) {
        err_set_errno(err, failed, "cannot start the reaper's thread");
        pthread_cond_destroy(&reaper->changed);
        pthread_mutex_destroy(&reaper->lock);
        free(reaper);
        return NULL;
    }
    pthread_setname_np(reaper->thread, "reaper");
    return reaper;
}

void
reaper_free(struct reaper *reaper)
{
    if (reaper == NULL) {
        return;
    }
    pthread_mutex_lock(&reaper->lock);
    reaper->ending = true;
    pthread_cond_signal(&reaper->changed);
    pthread_mutex_unlock(&reaper->lock);
    pthread_join(reaper->thread, NULL);
    pthread_cond_destroy(&reaper->changed);
    pthread_mutex_destroy(&reaper->lock);
    free(reaper);
}

void
reaper_take(struct reaper *reaper, void (*bury)(void *dead), void *dead)
{
    struct corpse *corpse = mem_alloc(sizeof *corpse);
    *corpse = (struct corpse){.bury = bury, .dead = dead};
    pthread_mutex_lock(&reaper->lock);
    STAILQ_INSERT_TAIL(&reaper->corpses, corpse, link);
    pthread_cond_signal(&reaper->changed);
    pthread_mutex_unlock(&reaper->lock);
}
