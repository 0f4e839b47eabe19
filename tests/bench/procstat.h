/* procstat: what a process has used, from /proc. */
#ifndef HEADGATE_BENCH_PROCSTAT_H
#define HEADGATE_BENCH_PROCSTAT_H

#include <sys/types.h>

struct procstat {
    double user_s;
    double system_s;
    long long resident_bytes;
};

/* procstat_read: pid 0 is the caller. Errors -1: there is no such process. */
int procstat_read(pid_t pid, struct procstat *stat);

/* procstat_machine_s: the time that all processors have been busy, one after the other; with what
 * the kernel does for no process, and what another machine on the same hardware has taken. 0 where
 * it cannot be read. */
double procstat_machine_s(void);

#endif
