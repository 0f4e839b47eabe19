/* json_shape: most lines of JSON have the shape of one before: all is the same but the scalars. A
 * line that has the text of a valid one around values that are scalars too is valid: then nothing
 * is looked at but these, and the rest is compared, 16 bytes at once (take_alike in json_scan.c).
 * Thread  one at a time. */
#ifndef HEADGATE_JSON_SHAPE_H
#define HEADGATE_JSON_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#define JSON_SHAPE_VALUES 64
#define JSON_SHAPE_BYTES 1024

struct json_shape {
    unsigned n; /* values; 0: nothing is known */
    struct {
        uint16_t at, len;
    } before[JSON_SHAPE_VALUES + 1];     /* each, in text; the last one is behind all, with the line
                                            feed */
    uint8_t text[JSON_SHAPE_BYTES + 16]; /* what json_same reads beyond */
    unsigned misses;                     /* in a row */
    unsigned shy, shyness;               /* lines until it is tried again; after its failure */
};

static inline void
json_shape_init(struct json_shape *shape)
{
    shape->n = shape->misses = shape->shy = shape->shyness = 0;
}

/* json_shape_is_due: it is to be tried on the next line. json_shape_hit: that had it. */
static inline bool
json_shape_is_due(const struct json_shape *shape)
{
    return shape->n > 0 && shape->shy == 0;
}

static inline void
json_shape_hit(struct json_shape *shape)
{
    shape->misses = 0;
    shape->shyness -= shape->shyness > 0;
}

/* json_shape_learn_from: a valid container, ended by the line feed at feed, has not the shape, or
 * it was not tried. Learn from it: not if it is an odd one among others, and where lines differ all
 * the time, ever less often. A line of more values or text than there is room for is not learnt. */
void json_shape_learn_from(
    struct json_shape *shape, bool tried, const uint8_t *line, const uint8_t *feed);

#endif
