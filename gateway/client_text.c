/* client_text: numbers and durations that clients write, and their text made safe to repeat. */
#include "client_text.h"

#include <string.h>

struct shown
client_text_show(const char *text)
{
    struct shown shown;
    size_t len = 0;
    while (text[len] != '\0' && len + 4 < sizeof shown.text) {
        char c = text[len];
        shown.text[len++] = (char)(c >= 0x20 && c < 0x7f && c != '"' ? c : '?');
    }
    const char *end = text[len] == '\0' ? "" : "...";
    memcpy(shown.text + len, end, strlen(end) + 1);
    return shown;
}

/* Plain decimal digits at *at, moved on; false when there are none or they overflow. */
static bool
take_number(const char **at, uint64_t *value)
{
    const char *start = *at;
    uint64_t sum = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        unsigned digit = (unsigned)(**at - '0');
        if (sum > (UINT64_MAX - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return *at != start;
}

bool
client_text_number(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    uint64_t got;
    if (!take_number(&text, &got) || *text != '\0' || got < least || got > most) {
        return false;
    }
    *value = got;
    return true;
}

int
client_text_duration_ms(const char *text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t value;
    if (!take_number(&text, &value)) {
        return -1;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(text, units[i].unit) == 0) {
            if (value > (uint64_t)INT64_MAX / units[i].ms) {
                return -1;
            }
            *ms = value * units[i].ms;
            return 0;
        }
    }
    return -1;
}
