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

/* Of a valid line up to its line feed. Remember nothing where it has too much. */
static void
learn(struct json_shape *shape, const uint8_t *line, const uint8_t *feed)
{
    size_t len = 0;
    unsigned n = 0;
    const uint8_t *from = line; /* of what is before the next value */
    shape->n = 0;
    for (const uint8_t *at = line;;) {
        const uint8_t *behind = at + 1;
        bool value = at == feed;
        if (*at == '"') {
            const uint8_t *next = behind = behind_string(at);
            while (*next == ' ' || *next == '\t') {
                next++;
            }
            value = *next != ':'; /* else it is a name */
        } else if (!value && strchr("{}[],: \t", *at) == NULL) {
            behind = behind_scalar(at);
            value = true;
        }
        if (value) {
            size_t part = (size_t)(at - from) + (at == feed);
            if (n > JSON_SHAPE_VALUES || len + part > JSON_SHAPE_BYTES) {
                return;
            }
            shape->before[n].at = (uint16_t)len;
            shape->before[n].len = (uint16_t)part;
            memcpy(shape->text + len, from, part);
            len += part;
            if (at == feed) {
                shape->n = n;
                return;
            }
            n++;
            from = behind;
        }
        at = behind;
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
