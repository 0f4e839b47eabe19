/* watched: the processes that a load program looks at, beside itself: what they used of the CPU in
 * a window, and held of memory. One thread. */
#ifndef HEADGATE_BENCH_WATCHED_H
#define HEADGATE_BENCH_WATCHED_H

#include "procstat.h"

#define WATCHED_MAX 8

struct watched {
    unsigned n;
    struct {
        char name[32];
        pid_t pid;
    } of[WATCHED_MAX];
};

struct watched_shot {
    struct procstat stats[WATCHED_MAX + 1]; /* the last one is this program */
};

/* watched_add: text is NAME=PID; ends program, by its name, where it is not, or is one too many. */
void watched_add(struct watched *watched, const char *program, const char *text);
void watched_take(const struct watched *watched, struct watched_shot *shot);

/* watched_print: the JSON members cpu, of the time between from and to, and resident. */
void watched_print(const struct watched *watched, const char *program,
    const struct watched_shot *idle, const struct watched_shot *from,
    const struct watched_shot *to);

#endif
