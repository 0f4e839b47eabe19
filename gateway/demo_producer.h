/* demo_producer: a thread that fills the topics "orders" and "prices" of a broker with
 * made-up records until it is stopped. */
#ifndef HEADGATE_DEMO_PRODUCER_H
#define HEADGATE_DEMO_PRODUCER_H

#include "err.h"

#define DEMO_ORDERS_TOPIC "orders"
#define DEMO_PRICES_TOPIC "prices"

struct demo_producer;

/* demo_producer_start: brokers is a bootstrap list; the topics exist or are made by the broker.
 * Errors  NULL and err.  Thread  init: the new thread inherits the signal mask. */
struct demo_producer *demo_producer_start(const char *brokers, struct err *err);

/* demo_producer_stop: NULL-safe. Records that are still on their way are given half a second. */
void demo_producer_stop(struct demo_producer *producer);

#endif
