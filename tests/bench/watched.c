/* watched: see watched.h. */
#include "watched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
watched_add(struct watched *watched, const char *program, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || watched->n == WATCHED_MAX) {
        fprintf(stderr, "%s: --pid NAME=PID, at most %d\n", program, WATCHED_MAX);
        exit(2);
    }
    snprintf(watched->of[watched->n].name, sizeof watched->of[0].name, "%.*s", (int)(equals - text),
        text);
    watched->of[watched->n].pid = (pid_t)strtol(equals + 1, NULL, 10);
    watched->n++;
}

void
watched_take(const struct watched *watched, struct watched_shot *shot)
{
    *shot = (struct watched_shot){0};
    for (unsigned i = 0; i < watched->n; i++) {
        procstat_read(watched->of[i].pid, &shot->stats[i]);
    }
    procstat_read(0, &shot->stats[WATCHED_MAX]);
}

static void
print_cpu(const char *name, const struct procstat *from, const struct procstat *to)
{
    printf("\"%s\":{\"user_s\":%.2f,\"system_s\":%.2f}", name, to->user_s - from->user_s,
        to->system_s - from->system_s);
}

void
watched_print(const struct watched *watched, const char *program, const struct watched_shot *idle,
    const struct watched_shot *from, const struct watched_shot *to)
{
    printf("\"cpu\":{");
    print_cpu(program, &from->stats[WATCHED_MAX], &to->stats[WATCHED_MAX]);
    for (unsigned i = 0; i < watched->n; i++) {
        printf(",");
        print_cpu(watched->of[i].name, &from->stats[i], &to->stats[i]);
    }
    printf("},\"resident\":{");
    for (unsigned i = 0; i < watched->n; i++) {
        printf("%s\"%s\":{\"before\":%lld,\"open\":%lld,\"end\":%lld}", i == 0 ? "" : ",",
            watched->of[i].name, idle->stats[i].resident_bytes, from->stats[i].resident_bytes,
            to->stats[i].resident_bytes);
    }
    printf("}");
}
