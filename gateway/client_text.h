/* client_text: the small things of what clients write. Any thread: no state. */
#ifndef HEADGATE_CLIENT_TEXT_H
#define HEADGATE_CLIENT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* Client text made safe to repeat, so that no byte of it can break what carries it: printable
 * ASCII, cut. */
struct shown {
    char text[48];
};
struct shown client_text_show(const char *text);

/* client_text_number: plain decimal digits of a number from least to most. False: it is none;
 * *value is untouched. */
bool client_text_number(const char *text, uint64_t least, uint64_t most, uint64_t *value);

/* client_text_duration_ms: "250ms", "15s", "10m", "2h"; 0 or -1. */
int client_text_duration_ms(const char *text, uint64_t *ms);

#endif
