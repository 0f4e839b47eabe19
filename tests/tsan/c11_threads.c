/* c11_threads: the C11 thread functions that librdkafka calls, made of POSIX ones.
 *
 * ThreadSanitizer (GCC 12) knows pthread_create and pthread_mutex_lock but not thrd_create and
 * mtx_lock: a thread of librdkafka that calls back into the program crashes in it, and its locks
 * order nothing. Linked into programs of the tsan variant, these stand in for the C library's. In
 * glibc mtx_t and cnd_t have the size and alignment of their POSIX counterparts. */

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "mtx_t holds a pthread_mutex_t");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "cnd_t holds a pthread_cond_t");

struct start {
    thrd_start_t f;
    void *argument;
};

static void *
run(void *start_)
{
    struct start start = *(struct start *)start_;
    free(start_);
    return (void *)(intptr_t)start.f(start.argument);
}

static int
result(int rc)
{
    switch (rc) {
    case 0:
        return thrd_success;
    case EBUSY:
        return thrd_busy;
    case ETIMEDOUT:
        return thrd_timedout;
    case ENOMEM:
        return thrd_nomem;
    default:
        return thrd_error;
    }
}

int
thrd_create(thrd_t *thread, thrd_start_t f, void *argument)
{
    struct start *start = malloc(sizeof *start);
    if (start == NULL) {
        return thrd_nomem;
    }
    *start = (struct start){f, argument};
    int rc = pthread_create(thread, NULL, run, start);
    if (rc != 0) {
        free(start);
    }
    return result(rc);
}

int
thrd_join(thrd_t thread, int *value)
{
    void *returned;
    int rc = pthread_join(thread, &returned);
    if (rc == 0 && value != NULL) {
        *value = (int)(intptr_t)returned;
    }
    return result(rc);
}

int
thrd_detach(thrd_t thread)
{
    return result(pthread_detach(thread));
}

int
mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    if ((type & mtx_recursive) != 0) {
        pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    }
    int rc = pthread_mutex_init((pthread_mutex_t *)mutex, &kind);
    pthread_mutexattr_destroy(&kind);
    return result(rc);
}

int
mtx_lock(mtx_t *mutex)
{
    return result(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int
mtx_trylock(mtx_t *mutex)
{
    return result(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int
mtx_unlock(mtx_t *mutex)
{
    return result(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

void
mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int
cnd_init(cnd_t *condition)
{
    return result(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

int
cnd_signal(cnd_t *condition)
{
    return result(pthread_cond_signal((pthread_cond_t *)condition));
}

int
cnd_broadcast(cnd_t *condition)
{
    return result(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int
cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int
cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return result(
        pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

void
cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}
