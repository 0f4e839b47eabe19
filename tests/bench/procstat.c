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
