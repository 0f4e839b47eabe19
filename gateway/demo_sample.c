/* demo_sample: made-up records. No thread of its own. */
#include "demo_sample.h"

#include <inttypes.h>

static const struct {
    const char *name, *currency;
    unsigned share; /* of 100 customers */
} regions[] = {{"eu", "EUR", 38}, {"us", "USD", 34}, {"apac", "AUD", 18}, {"latam", "BRL", 10}};

static const char *const symbols[DEMO_SYMBOLS] = {
    "ALDR", "BRCH", "CEDR", "ELMS", "HAZL", "MAPL", "ROWN", "WLLW"};

#define CUSTOMERS 400

void
demo_sample_init(struct demo_sample *sample, uint64_t seed)
{
    *sample = (struct demo_sample){.random = seed == 0 ? 1 : seed};
    for (int i = 0; i < DEMO_SYMBOLS; i++) {
        sample->prices_cents[i] = 2500 + 1700 * i;
    }
}

/* xorshift64*; below bound, which is small: the bias does not matter for made-up data. */
static uint64_t
below(struct demo_sample *sample, uint64_t bound)
{
    sample->random ^= sample->random >> 12;
    sample->random ^= sample->random << 25;
    sample->random ^= sample->random >> 27;
    return ((sample->random * UINT64_C(2685821657736338717)) >> 16) % bound;
}

/* A customer stays in one region. */
static size_t
region_of(uint64_t customer)
{
    unsigned place = (unsigned)(customer * 37 % 100);
    size_t region = 0;
    while (place >= regions[region].share) {
        place -= regions[region].share;
        region++;
    }
    return region;
}

static const char *
pick_status(struct demo_sample *sample)
{
    uint64_t place = below(sample, 100);
    return place < 70 ? "paid" : place < 90 ? "placed" : place < 97 ? "shipped" : "refunded";
}

void
demo_sample_order(struct demo_sample *sample, struct buf *key, struct buf *json)
{
    uint64_t customer = 1000 + below(sample, CUSTOMERS);
    uint64_t items = 1 + below(sample, 3) * below(sample, 3);
    uint64_t cents = items * (299 + below(sample, 8000));
    size_t region = region_of(customer);
    sample->order++;
    key->len = json->len = 0;
    buf_addf(key, "c-%" PRIu64, customer);
    buf_addf(json,
        "{\"order\":%" PRIu64 ",\"customer\":\"c-%" PRIu64 "\",\"region\":\"%s\",\"items\":%" PRIu64
        ",\"amount\":%" PRIu64 ".%02" PRIu64 ",\"currency\":\"%s\",\"status\":\"%s\"}",
        sample->order, customer, regions[region].name, items, cents / 100, cents % 100,
        regions[region].currency, pick_status(sample));
}

void
demo_sample_price(struct demo_sample *sample, struct buf *key, struct buf *json)
{
    size_t symbol = (size_t)below(sample, DEMO_SYMBOLS);
    int64_t change = (int64_t)below(sample, 41) - 20;
    int64_t *price = &sample->prices_cents[symbol];
    *price = *price + change < 100 ? 100 : *price + change;
    key->len = json->len = 0;
    buf_adds(key, symbols[symbol]);
    buf_addf(json, "{\"symbol\":\"%s\",\"price\":%" PRId64 ".%02" PRId64 ",\"size\":%" PRIu64 "}",
        symbols[symbol], *price / 100, *price % 100, 1 + below(sample, 500));
}

#define CYCLE_MS 15000
#define BURST_FROM_MS 10000
#define BURST_TO_MS 12000

uint64_t
demo_sample_orders_due(int64_t elapsed_ms)
{
    int64_t in_cycle = elapsed_ms % CYCLE_MS;
    int64_t burst = in_cycle < BURST_FROM_MS ? 0
                    : in_cycle > BURST_TO_MS ? BURST_TO_MS - BURST_FROM_MS
                                             : in_cycle - BURST_FROM_MS;
    int64_t burst_ms = elapsed_ms / CYCLE_MS * (BURST_TO_MS - BURST_FROM_MS) + burst;
    return (uint64_t)(elapsed_ms * 20 / 1000 + burst_ms * 180 / 1000);
}

uint64_t
demo_sample_prices_due(int64_t elapsed_ms)
{
    return (uint64_t)(elapsed_ms * 50 / 1000);
}
