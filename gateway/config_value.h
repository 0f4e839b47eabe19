/* config_value: the words of the configuration: whole numbers, sizes, durations, booleans, choices.
 *
 * Each parser takes the whole text and leaves its output alone on failure; each formatter writes
 * what the parser takes. Thread  any: no state. */
#ifndef HEADGATE_CONFIG_VALUE_H
#define HEADGATE_CONFIG_VALUE_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Regular expressions (ECMA 262, as JSON Schema wants) of what the parsers take. */
#define CONFIG_VALUE_BYTES_PATTERN "^(0|[1-9][0-9]*)(B|KiB|MiB|GiB)?$"
#define CONFIG_VALUE_DURATION_PATTERN "^(0|[1-9][0-9]*)(ms|s|m|h)$"

/* config_value_count: digits, without sign and leading zeros, as YAML 1.2 and JSON both read them.
 * Errors -1 and err, whose text does not repeat the value. The same for the next two. */
int config_value_count(const char *text, uint64_t *count, struct err *err);
int config_value_bytes(const char *text, uint64_t *bytes, struct err *err);
int config_value_duration(const char *text, uint64_t *ms, struct err *err);

/* config_value_bool: true or false (YAML 1.2; also True, TRUE), and none of yes, no, on, off. */
int config_value_bool(const char *text, bool *value, struct err *err);

/* config_value_choice: the index of text in the NULL-terminated choices, or -1. */
int config_value_choice(const char *text, const char *const *choices);

#define CONFIG_VALUE_TEXT_MAX 32

/* In the largest unit that divides the value: 64MiB, 15s. */
void config_value_format_bytes(char out[CONFIG_VALUE_TEXT_MAX], uint64_t bytes);
void config_value_format_duration(char out[CONFIG_VALUE_TEXT_MAX], uint64_t ms);

/* config_value_nearest: the index of the one of n names that word was most likely meant to be, or
 * -1 when none is near. get lends the i-th name. Cost O(n) times the length of word, which is cut.
 */
int config_value_nearest(
    const char *word, const char *(*get)(const void *names, size_t i), const void *names, size_t n);

#endif
