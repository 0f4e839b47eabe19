/* config_value: parses and formats scalar values. Any thread. */
#include "config_value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    {"GiB", UINT64_C(1) << 30}, {"MiB", UINT64_C(1) << 20}, {"KiB", 1024}, {"B", 1}, {"", 1}};
static const struct unit duration_units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

enum digits { DIGITS_GOOD, DIGITS_NONE, DIGITS_LEADING_ZERO, DIGITS_TOO_LARGE };

static enum digits
take_digits(const char **text, uint64_t *value)
{
    const char *at = *text;
    if (!isdigit((unsigned char)*at)) {
        return DIGITS_NONE;
    }
    if (at[0] == '0' && isdigit((unsigned char)at[1])) {
        return DIGITS_LEADING_ZERO;
    }
    uint64_t sum = 0;
    for (; isdigit((unsigned char)*at); at++) {
        unsigned digit = (unsigned)(*at - '0');
        if (sum > (UINT64_MAX - digit) / 10) {
            return DIGITS_TOO_LARGE;
        }
        sum = sum * 10 + digit;
    }
    *text = at;
    *value = sum;
    return DIGITS_GOOD;
}

/* 0, or -1 and err; what names the kind of value. */
static int
take_number(const char **text, uint64_t *value, const char *what, struct err *err)
{
    switch (take_digits(text, value)) {
    case DIGITS_GOOD:
        return 0;
    case DIGITS_NONE:
        err_set(err, ERR_INVALID, "is not %s", what);
        return -1;
    case DIGITS_LEADING_ZERO:
        err_set(err, ERR_INVALID, "has a leading zero, which some read as octal");
        return -1;
    case DIGITS_TOO_LARGE:
        err_set(err, ERR_INVALID, "is too large a number");
        return -1;
    }
    return -1;
}

int
config_value_count(const char *text, uint64_t *count, struct err *err)
{
    uint64_t value;
    if (take_number(&text, &value, "a whole number", err) != 0) {
        return -1;
    }
    if (*text != '\0') {
        err_set(err, ERR_INVALID, "is not a whole number");
        return -1;
    }
    *count = value;
    return 0;
}

static int
parse_with_unit(const char *text, const struct unit *units, size_t n_units, const char *what,
    uint64_t *out, struct err *err)
{
    uint64_t value;
    if (take_number(&text, &value, what, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < n_units; i++) {
        if (strcmp(text, units[i].name) == 0) {
            if (value > UINT64_MAX / units[i].factor) {
                err_set(err, ERR_INVALID, "is too large a number");
                return -1;
            }
            *out = value * units[i].factor;
            return 0;
        }
    }
    err_set(err, ERR_INVALID, "is not %s", what);
    return -1;
}

int
config_value_bytes(const char *text, uint64_t *bytes, struct err *err)
{
    return parse_with_unit(text, byte_units, COUNT_OF(byte_units),
        "a size: a whole number of bytes, or one with KiB, MiB or GiB, as in 64MiB", bytes, err);
}

int
config_value_duration(const char *text, uint64_t *ms, struct err *err)
{
    return parse_with_unit(text, duration_units, COUNT_OF(duration_units),
        "a duration: a whole number with ms, s, m or h, as in 15s", ms, err);
}

int
config_value_bool(const char *text, bool *value, struct err *err)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "TRUE") == 0) {
        *value = true;
        return 0;
    }
    if (strcmp(text, "false") == 0 || strcmp(text, "False") == 0 || strcmp(text, "FALSE") == 0) {
        *value = false;
        return 0;
    }
    err_set(err, ERR_INVALID, "is neither true nor false");
    return -1;
}

int
config_value_choice(const char *text, const char *const *choices)
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(text, choices[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static void
format_with_unit(char *out, uint64_t value, const struct unit *units, size_t n_units)
{
    size_t i = 0;
    while (i + 1 < n_units && (value == 0 || value % units[i].factor != 0)) {
        i++;
    }
    snprintf(out, CONFIG_VALUE_TEXT_MAX, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
}

void
config_value_format_bytes(char out[CONFIG_VALUE_TEXT_MAX], uint64_t bytes)
{
    /* Plain bytes are written without a unit: "B" is left out. */
    if (bytes == 0 || bytes % 1024 != 0) {
        snprintf(out, CONFIG_VALUE_TEXT_MAX, "%" PRIu64, bytes);
        return;
    }
    format_with_unit(out, bytes, byte_units, COUNT_OF(byte_units));
}

void
config_value_format_duration(char out[CONFIG_VALUE_TEXT_MAX], uint64_t ms)
{
    if (ms == 0) {
        memcpy(out, "0s", sizeof "0s");
        return;
    }
    format_with_unit(out, ms, duration_units, COUNT_OF(duration_units));
}

#define WORD_MAX 48

static size_t
least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, replacements and swaps of neighbours. */
static size_t
edit_distance(const char *left, size_t left_len, const char *right, size_t right_len)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *row = rows[2];
    for (size_t j = 0; j <= right_len; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= left_len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= right_len; j++) {
            size_t cost = left[i - 1] != right[j - 1];
            row[j] = least_of(least_of(last[j], row[j - 1]) + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
                row[j] = least_of(row[j], before[j - 2] + 1);
            }
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[right_len];
}

int
config_value_nearest(
    const char *word, const char *(*get)(const void *names, size_t i), const void *names, size_t n)
{
    size_t len = strnlen(word, WORD_MAX);
    size_t best = len / 3 < 2 ? 2 : len / 3; /* one more typing error for three letters more */
    int found = -1;
    for (size_t i = 0; i < n; i++) {
        const char *name = get(names, i);
        size_t name_len = strnlen(name, WORD_MAX);
        size_t distance = edit_distance(word, len, name, name_len);
        if (distance < (len > name_len ? len : name_len) &&
            (distance < best || (distance == best && found < 0))) {
            best = distance;
            found = (int)i;
        }
    }
    return found;
}
