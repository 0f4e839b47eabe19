/* test_demo_sample: made-up records are JSON that keeps its promises. */
#include "demo_sample.h"
#include "unit.h"

#include <jansson.h>
#include <string.h>

static json_t *
parse(const struct buf *json)
{
    json_error_t error;
    json_t *object = json_loadb(json->bytes, json->len, 0, &error);
    ck_assert_msg(object != NULL, "%s: %.*s", error.text, (int)json->len, json->bytes);
    return object;
}

START_TEST(order_is_json_with_its_customer_as_key)
{
    struct demo_sample sample;
    struct buf key, json;
    demo_sample_init(&sample, 7);
    buf_init(&key);
    buf_init(&json);
    for (json_int_t i = 1; i <= 1000; i++) {
        demo_sample_order(&sample, &key, &json);
        json_t *order = parse(&json);
        ck_assert_int_eq(json_integer_value(json_object_get(order, "order")), i);
        const char *customer = json_string_value(json_object_get(order, "customer"));
        ck_assert_uint_eq(strlen(customer), key.len);
        ck_assert_int_eq(memcmp(customer, key.bytes, key.len), 0);
        double amount = json_number_value(json_object_get(order, "amount"));
        ck_assert(amount > 0 && amount < 1000);
        json_decref(order);
    }
    buf_fini(&key);
    buf_fini(&json);
}
END_TEST

START_TEST(customer_stays_in_one_region)
{
    struct demo_sample sample;
    struct buf key, json;
    char seen[2000][8] = {{0}};
    demo_sample_init(&sample, 9);
    buf_init(&key);
    buf_init(&json);
    for (int i = 0; i < 3000; i++) {
        demo_sample_order(&sample, &key, &json);
        json_t *order = parse(&json);
        const char *region = json_string_value(json_object_get(order, "region"));
        buf_addc(&key, '\0');
        char *of_customer = seen[atoi(key.bytes + 2)];
        if (of_customer[0] == '\0') {
            strcpy(of_customer, region);
        }
        ck_assert_str_eq(of_customer, region);
        json_decref(order);
    }
    buf_fini(&key);
    buf_fini(&json);
}
END_TEST

START_TEST(price_is_json_with_its_symbol_as_key_and_stays_above_zero)
{
    struct demo_sample sample;
    struct buf key, json;
    demo_sample_init(&sample, 0);
    buf_init(&key);
    buf_init(&json);
    for (int i = 0; i < 20000; i++) {
        demo_sample_price(&sample, &key, &json);
        json_t *price = parse(&json);
        ck_assert(json_number_value(json_object_get(price, "price")) >= 1);
        const char *symbol = json_string_value(json_object_get(price, "symbol"));
        ck_assert_int_eq(memcmp(symbol, key.bytes, key.len), 0);
        json_decref(price);
    }
    buf_fini(&key);
    buf_fini(&json);
}
END_TEST

START_TEST(orders_come_steadily_with_a_burst_in_each_cycle)
{
    uint64_t before = 0;
    for (int64_t ms = 0; ms <= 60000; ms++) {
        uint64_t due = demo_sample_orders_due(ms);
        ck_assert_uint_ge(due, before);
        ck_assert_uint_le(due - before, 2);
        before = due;
    }
    ck_assert_uint_eq(demo_sample_orders_due(10000), 200);
    ck_assert_uint_eq(demo_sample_orders_due(12000) - demo_sample_orders_due(10000), 400);
    ck_assert_uint_eq(demo_sample_orders_due(15000), 660);
    ck_assert_uint_eq(demo_sample_orders_due(60000), 2640);
    ck_assert_uint_eq(demo_sample_prices_due(2000), 100);
}
END_TEST

UNIT_MAIN("demo_sample", order_is_json_with_its_customer_as_key, customer_stays_in_one_region,
    price_is_json_with_its_symbol_as_key_and_stays_above_zero,
    orders_come_steadily_with_a_burst_in_each_cycle)
