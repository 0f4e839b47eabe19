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

#endif
