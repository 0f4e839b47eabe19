/* test_bound: the arithmetic of headgate check. */
#include "bound.h"
#include "coding.h"
#include "fake_connector.h"
#include "unit.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * 1024)

static void
load(struct config *config, const char *text)
{
    ck_assert_int_eq(config_load_text(config, "f.yaml", text, strlen(text), stderr), 0);
}

static const char two_streams[] =
    "listen: [':1', ':2']\nthreads: 3\n"
    "limits: {connections: 1000, send_buffer: 64KiB, message: 64KiB, filters: 500}\n"
    "streams:\n"
    "  small:\n"
    "    ring: {records: 1024, bytes: 128KiB}\n"
    "    slow: {queue: {records: 10, bytes: 64KiB}}\n"
    "    max_record: 1KiB\n"
    "    source: {fake: {brokers: b, topics: t, fetch: 1MiB}}\n"
    "  large:\n"
    "    ring: {records: 65536, bytes: 64MiB}\n"
    "    max_record: 16MiB\n"
    "    source: {fake: {brokers: b, topics: t, fetch: 2MiB}}\n";

START_TEST(every_part_is_counted)
{
    struct config config;
    struct bound bound;
    load(&config, two_streams);
    bound_compute(&bound, &config);
    uint64_t small = 128 * KIB + 1024 * BOUND_SLOT_BYTES + 2 * KIB + 10 * MIB;
    uint64_t large = 64 * MIB + 65536 * BOUND_SLOT_BYTES + 32 * MIB + 20 * MIB;
    ck_assert_uint_eq(bound_stream_bytes(&config.streams[0]), small);
    ck_assert_uint_eq(bound.streams_bytes, small + large);
    uint64_t pinned = 32 * KIB + 4 * 16 * MIB; /* a quarter of the ring, or four records */
    uint64_t coding = CODING_STATE_BYTES + 2 * 16 * MIB;
    ck_assert_uint_eq(bound.threads_bytes,
        3 * (80 * (256 * KIB + 16 * MIB) + pinned + coding + 500 * BOUND_FILTER_BYTES));
    ck_assert_uint_eq(bound.connections_bytes, 1000 * (12 + 64) * KIB);
    ck_assert_uint_eq(bound.kernel_bytes, 1000 * 128 * KIB);
    ck_assert_uint_eq(bound.total_bytes,
        bound.base_bytes + bound.streams_bytes + bound.threads_bytes + bound.connections_bytes);
    ck_assert_uint_eq(bound.descriptors, 1000 + 3 * 2 + 3 * 8 + 128 + 2 * 7);
    config_fini(&config);
}
END_TEST

START_TEST(automatic_connections_take_what_the_limit_leaves)
{
    struct config config;
    load(&config, two_streams);
    uint64_t fixed = 3 * 2 + 3 * 8 + 128 + 2 * 7;
    ck_assert_uint_eq(bound_auto_connections(&config, 1024), 1024 - fixed);
    ck_assert_uint_eq(bound_auto_connections(&config, 10), 3);
    ck_assert_uint_eq(bound_auto_connections(&config, UINT64_MAX), BOUND_AUTO_CONNECTIONS);
    config_fini(&config);
    load(&config, "threads: 1");
    ck_assert_uint_eq(
        config.max_connections, bound_auto_connections(&config, bound_descriptor_limit()));
    config_fini(&config);
}
END_TEST

START_TEST(sums_stop_at_the_top)
{
    struct config config;
    struct bound bound;
    load(&config, two_streams);
    config.streams[0].ring_bytes = UINT64_MAX - 5;
    config.max_connections = UINT64_MAX;
    bound_compute(&bound, &config);
    ck_assert_uint_eq(bound.streams_bytes, UINT64_MAX);
    ck_assert_uint_eq(bound.connections_bytes, UINT64_MAX);
    ck_assert_uint_eq(bound.total_bytes, UINT64_MAX);
    ck_assert_uint_eq(bound.descriptors, UINT64_MAX);
    config_fini(&config);
}
END_TEST

static char *
print(const struct config *config, uint64_t descriptor_limit)
{
    struct bound bound;
    char *text = NULL;
    size_t len = 0;
    bound_compute(&bound, config);
    FILE *out = open_memstream(&text, &len);
    bound_print(&bound, config, descriptor_limit, out);
    fclose(out);
    return text;
}

START_TEST(table_has_a_line_for_each_part_and_warns_of_descriptors)
{
    struct config config;
    load(&config, two_streams);
    char *text = print(&config, 4096);
    ck_assert_ptr_nonnull(strstr(text, "stream small"));
    ck_assert_ptr_nonnull(strstr(text, "total"));
    ck_assert_ptr_nonnull(strstr(text, "kernel socket buffers"));
    ck_assert_ptr_null(strstr(text, "warning"));
    free(text);
    text = print(&config, 1024);
    ck_assert_ptr_nonnull(strstr(text, "warning: that is more than RLIMIT_NOFILE allows (1024)"));
    free(text);
    config_fini(&config);
}
END_TEST

START_TEST(a_table_and_its_history_are_counted)
{
    struct config config;
    load(&config, two_streams);
    uint64_t plain = bound_stream_bytes(&config.streams[0]);
    config.streams[0].view = VIEW_TABLE;
    uint64_t table = config.streams[0].table_bytes + config.streams[0].table_history_bytes;
    ck_assert_uint_eq(table, 160 * MIB);
    ck_assert_uint_eq(bound_stream_bytes(&config.streams[0]), plain + table + 2 * KIB);
    config_fini(&config);
}
END_TEST

UNIT_MAIN("bound", a_table_and_its_history_are_counted, every_part_is_counted,
    automatic_connections_take_what_the_limit_leaves, sums_stop_at_the_top,
    table_has_a_line_for_each_part_and_warns_of_descriptors)
