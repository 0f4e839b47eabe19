/* procstat: proc(5), /proc/PID/stat. */
#include "procstat.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
procstat_read(pid_t pid, struct procstat *stat)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)(pid == 0 ? getpid() : pid));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return -1;
    }
    size_t len = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[len] = '\0';
    /* The name in parentheses may hold anything: fields are counted from the last ')'. */
    const char *rest = strrchr(line, ')');
    unsigned long user, system;
    long pages;
    if (rest == NULL || sscanf(rest + 1,
                            " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d "
                            "%*d %*d %*u %*u %ld",
                            &user, &system, &pages) != 3) {
        return -1;
    }
    double tick = (double)sysconf(_SC_CLK_TCK);
    *stat = (struct procstat){
        .user_s = (double)user / tick,
        .system_s = (double)system / tick,
        .resident_bytes = (long long)pages * sysconf(_SC_PAGESIZE),
    };
    return 0;
}

double
procstat_machine_s(void)
{
    unsigned long long at[8] = {0}; /* user nice system idle iowait irq softirq steal */
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return 0;
    }
    int n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &at[0], &at[1], &at[2],
        &at[3], &at[4], &at[5], &at[6], &at[7]);
    fclose(file);
    unsigned long long busy = at[0] + at[1] + at[2] + at[5] + at[6] + at[7];
    return n == 8 ? (double)busy / (double)sysconf(_SC_CLK_TCK) : 0;
}
