/* json_shape: see json_shape.h. Any thread. */
#include "json_shape.h"

#include <string.h>

#define SHYEST 31

/* What follows the string whose opening quote at is on, in valid JSON. */
static const uint8_t *
behind_string(const uint8_t *at)
{
    for (at++; *at != '"'; at++) {
        at += *at == '\\';
    }
    return at + 1;
}

/* The first byte from at that no number and no word has. */
static const uint8_t *
behind_scalar(const uint8_t *at)
{
    while (*at != ',' && *at != ']' && *at != '}' && *at > ' ') {
        at++;
    }
    return at;
}

/* Is at, in a valid line, on a scalar that is no name? *behind: what comes next. */
static bool
is_value(const uint8_t *at, const uint8_t **behind)
{
    if (*at == '"') {
        const uint8_t *next = *behind = behind_string(at);
        while (*next == ' ' || *next == '\t') {
            next++;
        }
        return *next != ':';
    }
    bool scalar = strchr("{}[],: \t", *at) == NULL;
    *behind = scalar ? behind_scalar(at) : at + 1;
    return scalar;
}

/* What stands before value n. False: there is no room. */
static bool
add_part(struct json_shape *shape, unsigned n, const uint8_t *from, const uint8_t *to)
{
    size_t at = n == 0 ? 0 : (size_t)shape->before[n - 1].at + shape->before[n - 1].len;
    size_t len = (size_t)(to - from);
    if (n > JSON_SHAPE_VALUES || len > JSON_SHAPE_BYTES - at) {
        return false;
    }
    shape->before[n].at = (uint16_t)at;
    shape->before[n].len = (uint16_t)len;
    memcpy(shape->text + at, from, len);
    return true;
}

static void
learn(struct json_shape *shape, const uint8_t *line, const uint8_t *feed)
{
    unsigned n = 0;
    const uint8_t *from = line; /* of what is before the next value */
    shape->n = 0;
    for (const uint8_t *at = line, *behind; at < feed; at = behind) {
        if (!is_value(at, &behind)) {
            continue;
        }
        if (!add_part(shape, n, from, at)) {
            return;
        }
        n++;
        from = behind;
    }
    if (add_part(shape, n, from, feed + 1)) {
        shape->n = n;
    }
}

/* So many lines are taken without the shape now, and ever more where that comes again and again. */
static void
back_off(struct json_shape *shape)
{
    shape->shyness = shape->shyness < SHYEST ? 2 * shape->shyness + 1 : SHYEST;
    shape->shy = shape->shyness;
}

void
json_shape_learn_from(
    struct json_shape *shape, bool tried, const uint8_t *line, const uint8_t *feed)
{
    if (!tried && shape->shy > 0) {
        shape->shy--;
        return;
    }
    if (tried && ++shape->misses < 2) {
        return;
    }
    shape->misses = 0;
    learn(shape, line, feed);
    if (tried || shape->n == 0) {
        back_off(shape);
    }
}
