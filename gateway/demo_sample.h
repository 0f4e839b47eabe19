/* demo_sample: made-up orders and prices for `headgate demo`, and how many of them when. Pure: the
 * same seed gives the same records. Thread  whoever owns it. */
#ifndef HEADGATE_DEMO_SAMPLE_H
#define HEADGATE_DEMO_SAMPLE_H

#include "buf.h"

#include <stdint.h>

#define DEMO_SYMBOLS 8

struct demo_sample {
    uint64_t random;
    uint64_t order; /* the last order's number */
    int64_t prices_cents[DEMO_SYMBOLS];
};

void demo_sample_init(struct demo_sample *sample, uint64_t seed);

/* demo_sample_order: set key to a customer's id and json to an order of that customer. */
void demo_sample_order(struct demo_sample *sample, struct buf *key, struct buf *json);

/* demo_sample_price: set key to a symbol and json to its next price. */
void demo_sample_price(struct demo_sample *sample, struct buf *key, struct buf *json);

/* demo_sample_orders_due: how many orders there are from the start to elapsed_ms: 20 a second, and
 * 200 a second for two seconds out of fifteen. */
uint64_t demo_sample_orders_due(int64_t elapsed_ms);

/* demo_sample_prices_due: the same for prices: 50 a second. */
uint64_t demo_sample_prices_due(int64_t elapsed_ms);

#endif
