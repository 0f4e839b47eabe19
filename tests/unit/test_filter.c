/* test_filter: what compiles, what passes, and the same answers as a tree gives. */
#include "filter.h"

#include "buf.h"
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static struct record *
make(const char *key, const char *data, size_t len)
{
    struct buf scratch;
    buf_init(&scratch);
    struct record_input in = {.key = key,
        .key_len = key == NULL ? 0 : strlen(key),
        .data = data,
        .data_len = len,
        .time_ms = 1};
    struct record *record = record_new(&in, "AQA", 3, "{\"offset\":", 1, &scratch);
    buf_fini(&scratch);
    return record;
}

static struct filter *
where_of(const char *text)
{
    struct err err;
    struct filter *filter = filter_new();
    ck_assert_msg(
        filter_add_where(filter, text, strlen(text), &err) == 0, "%s: %s", text, err.text);
    filter_seal(filter);
    return filter;
}

static bool
passes(const char *where, const char *data)
{
    struct filter *filter = where_of(where);
    struct record *record = make(NULL, data, strlen(data));
    bool passed = filter_passes(filter, record);
    record_unref(record);
    filter_unref(filter);
    return passed;
}

struct row {
    const char *where;
    const char *data;
    bool passes;
};

static const struct row rows[] = {
    /* numbers, by value */
    {"/a==1", "{\"a\":1}", true},
    {"/a==1", "{\"a\":1.0}", true},
    {"/a==1", "{\"a\":10e-1}", true},
    {"/a==1", "{\"a\":0.1E1}", true},
    {"/a==1", "{\"a\":2}", false},
    {"/a==0", "{\"a\":-0.0}", true},
    {"/a==-1", "{\"a\":1}", false},
    {"/a>=1", "{\"a\":1}", true},
    {"/a>1", "{\"a\":1}", false},
    {"/a<1", "{\"a\":0.99999999999999999999}", true},
    {"/a<-1", "{\"a\":-1.5}", true},
    {"/a>-2", "{\"a\":-1.5}", true},
    {"/a<=9007199254740992", "{\"a\":9007199254740993}", false},
    {"/a==100", "{\"a\":1e2}", true},
    {"/a>1e300", "{\"a\":1e999999999999999999999}", true},
    {"/a<1", "{\"a\":1e-999999999999999999999}", true},
    {"/a==0.05", "{\"a\":5e-2}", true},
    {"/a<0.05", "{\"a\":0.005}", true},
    {"/a==12.30", "{\"a\":12.3}", true},
    {"/a!=12.3", "{\"a\":12.31}", true},
    {"/a>10", "{\"a\":9}", false},
    {"/a>10", "{\"a\":11}", true},
    /* strings, without their escapes */
    {"/a==x", "{\"a\":\"x\"}", true},
    {"/a==\"x\"", "{\"a\":\"x\"}", true},
    {"/a==\"1\"", "{\"a\":1}", false},
    {"/a==\"1\"", "{\"a\":\"1\"}", true},
    {"/a==a/b", "{\"a\":\"a\\/b\"}", true},
    {"/a==\xC3\xA4", "{\"a\":\"\\u00e4\"}", true},
    {"/a==\xF0\x9F\x98\x80", "{\"a\":\"\\ud83d\\uDE00\"}", true},
    {"/a==\"\\u00e4\"", "{\"a\":\"\xC3\xA4\"}", true},
    {"/a==\"\\n\"", "{\"a\":\"\\u000a\"}", true},
    {"/a==x\\", "{\"a\":\"x\\\\\"}", true},
    {"/a==", "{\"a\":\"\"}", true},
    {"/a==", "{\"a\":\"\\u0000\"}", false},
    {"/a!=\xEF\xBF\xBD", "{\"a\":\"\\ud800\"}", true},
    {"/a<b", "{\"a\":\"abc\"}", true},
    {"/a<ab", "{\"a\":\"abc\"}", false},
    {"/a>=ab", "{\"a\":\"abc\"}", true},
    {"/a>ab", "{\"a\":\"\\u0061\"}", false},
    {"/a<5", "{\"a\":\"4\"}", false},
    {"/a<x", "{\"a\":4}", false},
    {"/a==x==y", "{\"a\":\"x==y\"}", true},
    /* true, false, null, and no order among them */
    {"/a==true", "{\"a\":true}", true},
    {"/a==true", "{\"a\":false}", false},
    {"/a==\"true\"", "{\"a\":true}", false},
    {"/a==null", "{\"a\":null}", true},
    {"/a==null", "{}", false},
    {"/a!=null", "{\"a\":false}", true},
    {"/a!=null", "{\"a\":null}", false},
    {"/a!=true", "{\"a\":true}", false},
    /* missing, other types */
    {"/a==1", "{\"b\":1}", false},
    {"/a!=1", "{\"b\":1}", true},
    {"/a>=0", "{}", false},
    {"/a==1", "[]", false},
    {"/a!=1", "7", true},
    {"/a==1", "{\"a\":{}}", false},
    {"/a!=1", "{\"a\":[1]}", true},
    {"/a/b==1", "{\"a\":1}", false},
    {"/a/b!=1", "{\"a\":1}", true},
    /* pointers */
    {"==7", "7", true},
    {"==x", "\"x\"", true},
    {"/==1", "{\"\":1}", true},
    {"/a/b/c==1", "{\"x\":{\"b\":2},\"a\":{\"x\":[{}],\"b\":{\"c\":1}}}", true},
    {"/a~1b==1", "{\"a/b\":1}", true},
    {"/a~0b==1", "{\"a~b\":1}", true},
    {"/~01==1", "{\"~1\":1}", true},
    {"/1==b", "[\"a\",\"b\"]", true},
    {"/0==b", "[\"a\",\"b\"]", false},
    {"/1==b", "{\"1\":\"b\"}", true},
    {"/01==b", "[\"a\",\"b\"]", false},
    {"/01==b", "{\"01\":\"b\"}", true},
    {"/-==b", "[\"a\",\"b\"]", false},
    {"/2!=b", "[\"a\",\"b\"]", true},
    {"/0/a/1==2", "[ { \"z\" : [ 1 , 2 ] , \"a\" : [ 1 , 2 ] } ]", true},
    {"/a=b==1", "{\"a=b\":1}", true},
    {"/\xC3\xA4==1", "{\"\\u00E4\":1}", true},
    {"/a==1", "{\"s\":\"}]{[\\\"\\\\\",\"t\":[\"]\",{\"u\":\"\\\\\\\"}\"}],\"a\":1}", true},
    /* the last of two members of one name counts */
    {"/a==1", "{\"a\":2,\"a\":1}", true},
    {"/a==1", "{\"a\":1,\"a\":2}", false},
    {"/a/b==1", "{\"a\":{\"b\":1},\"a\":{}}", false},
    {"/a/b!=1", "{\"a\":{\"b\":1},\"a\":{}}", true},
    /* not JSON: no comparison at all */
    {"/a!=1", "{\"a\":2", false},
    {"==x", "x", false},
    {"/a!=1", "", false},
    {"/a!=1", "\xFF\xFE", false},
};

START_TEST(each_comparison_answers_as_the_table_says)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_msg(passes(rows[i].where, rows[i].data) == rows[i].passes, "%s on %s is not %d",
            rows[i].where, rows[i].data, rows[i].passes);
    }
}
END_TEST

START_TEST(a_tombstone_passes_no_comparison_and_a_gap_passes_all)
{
    struct filter *filter = where_of("/a!=1");
    struct record *record = make("k", NULL, 0);
    ck_assert(!filter_passes(filter, record));
    record_unref(record);
    struct buf scratch;
    buf_init(&scratch);
    record = record_new_gap("too_large", 2, "AQA", "AQE", 0, 1, 1, &scratch);
    ck_assert(filter_passes(filter, record));
    record_unref(record);
    buf_fini(&scratch);
    filter_unref(filter);
}
END_TEST

START_TEST(any_of_the_keys_and_all_of_the_comparisons)
{
    static const struct {
        const char *key;
        const char *data;
        bool passes;
    } cases[] = {{"a", "{\"x\":1,\"y\":2}", true}, {"\xFF", "{\"x\":1,\"y\":2}", true},
        {"", "{\"x\":1,\"y\":2}", true}, {"b", "{\"x\":1,\"y\":2}", false},
        {NULL, "{\"x\":1,\"y\":2}", false}, {"a", "{\"x\":1,\"y\":3}", false},
        {"a", "{\"x\":2,\"y\":2}", false}, {"null", "{\"x\":1,\"y\":2}", false},
        {"\"q\"\n", "{\"x\":1,\"y\":2}", true}};
    static const char *const keys[] = {"a", "\xFF", "", "\"q\"\n"};
    struct err err;
    struct filter *filter = filter_new();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        ck_assert_int_eq(filter_add_key(filter, keys[i], strlen(keys[i]), &err), 0);
    }
    ck_assert_int_eq(filter_add_where(filter, "/x==1", 5, &err), 0);
    ck_assert_int_eq(filter_add_where(filter, "/y!=3", 5, &err), 0);
    filter_seal(filter);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct record *record = make(cases[i].key, cases[i].data, strlen(cases[i].data));
        ck_assert_msg(filter_passes(filter, record) == cases[i].passes, "case %zu", i);
        record_unref(record);
    }
    filter_unref(filter);
}
END_TEST

START_TEST(what_cannot_be_compiled_is_refused_by_name)
{
    static const char *const bad[] = {"", "/a", "/a=1", "a==1", "/a~2==1", "/a~==1", "/a<true",
        "/a>=null", "/a=={}", "/a==[1]", "/\xFF==1", "/a==\xFF",
        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17==1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {.code = ERR_NONE};
        struct filter *filter = filter_new();
        ck_assert_msg(filter_add_where(filter, bad[i], strlen(bad[i]), &err) == -1, "%s", bad[i]);
        ck_assert_int_eq(err.code, ERR_INVALID);
        ck_assert_mem_eq(err.text, "where: ", 7);
        filter_unref(filter);
    }
    ck_assert(passes("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16!=1", "{}"));
}
END_TEST

START_TEST(of_many_keys_each_is_found_and_no_other)
{
    char text[16];
    struct err err;
    struct filter *filter = filter_new();
    for (int i = FILTER_KEYS_MAX; i-- > 0;) {
        snprintf(text, sizeof text, "k%d", 2 * i);
        ck_assert_int_eq(filter_add_key(filter, text, strlen(text), &err), 0);
    }
    filter_seal(filter);
    for (int i = -1; i <= 2 * FILTER_KEYS_MAX; i++) {
        snprintf(text, sizeof text, "k%d", i);
        struct record *record = make(text, "1", 1);
        ck_assert_msg(
            filter_passes(filter, record) == (i >= 0 && i % 2 == 0 && i < 2 * FILTER_KEYS_MAX),
            "%s", text);
        record_unref(record);
    }
    struct record *keyless = make(NULL, "1", 1);
    ck_assert(!filter_passes(filter, keyless));
    record_unref(keyless);
    filter_unref(filter);
}
END_TEST

START_TEST(the_bounds_hold_and_repeats_count_once)
{
    char text[64];
    static char large[FILTER_TEXT_MAX + 10];
    struct err err;
    struct filter *filter = filter_new();
    for (int i = 0; i < 2 * FILTER_KEYS_MAX; i++) {
        snprintf(text, sizeof text, "k%d", i / 2);
        ck_assert_int_eq(filter_add_key(filter, text, strlen(text), &err), 0);
    }
    ck_assert_int_eq(filter_add_key(filter, "more", 4, &err), -1);
    ck_assert_str_eq(err.text, "key: at most 16 different keys");
    for (int i = 0; i < 2 * FILTER_WHERES_MAX; i++) {
        snprintf(text, sizeof text, "/a==%d", i / 2);
        ck_assert_int_eq(filter_add_where(filter, text, strlen(text), &err), 0);
    }
    ck_assert_int_eq(filter_add_where(filter, "/b==1", 5, &err), -1);
    ck_assert_str_eq(err.text, "where: at most 8 different comparisons");
    filter_seal(filter);
    filter_unref(filter);
    memset(large, 'x', sizeof large);
    memcpy(large, "/a==", 4);
    filter = filter_new();
    ck_assert_int_eq(filter_add_key(filter, large, sizeof large, &err), -1);
    ck_assert_int_eq(filter_add_where(filter, large, sizeof large, &err), -1);
    ck_assert_str_eq(err.text, "where: the filter is too long");
    filter_unref(filter);
}
END_TEST

START_TEST(the_same_parts_in_any_order_are_the_same_filter)
{
    struct err err;
    struct filter *a = filter_new();
    struct filter *b = filter_new();
    filter_add_key(a, "x", 1, &err);
    filter_add_key(a, "y", 1, &err);
    filter_add_where(a, "/a==b", 5, &err);
    filter_add_where(a, "/b<5", 4, &err);
    filter_add_where(b, "/b< 5 ", 6, &err);
    filter_add_where(b, "/a==\"b\"", 7, &err);
    filter_add_where(b, "/a==\"\\u0062\"", 12, &err);
    filter_add_key(b, "y", 1, &err);
    filter_add_key(b, "x", 1, &err);
    filter_seal(a);
    filter_seal(b);
    ck_assert(filter_same(a, b));
    ck_assert_str_eq(filter_text(a), "key=\"x\"\nkey=\"y\"\nwhere=\"/a\"==\"b\"\nwhere=\"/b\"<5\n");
    struct filter *c = where_of("/a==1");
    ck_assert(!filter_same(a, c) && !filter_same(NULL, c) && filter_same(NULL, NULL));
    filter_unref(a);
    filter_unref(b);
    filter_unref(c);
}
END_TEST

/* ---- against a tree ---- */

static const char *const names[] = {"a", "b", "c/d", "e~f", "", "0", "1", "\xC3\xA4"};
static const char *const strings[] = {
    "", "a", "b", "ab", "x\"y\\z", "\xC3\xA4", "\xF0\x9F\x98\x80"};
#define PICK(seed, array) ((array)[(size_t)rand_r(seed) % (sizeof(array) / sizeof *(array))])

static json_t *
random_scalar(unsigned *seed)
{
    switch (rand_r(seed) % 6) {
    case 0:
        return json_true();
    case 1:
        return json_false();
    case 2:
        return json_null();
    case 3:
        return json_real((rand_r(seed) % 9 - 4) / 2.0);
    case 4:
        return json_integer(rand_r(seed) % 5 - 2);
    default:
        return json_string(PICK(seed, strings));
    }
}

static json_t *
random_value(unsigned *seed, int depth)
{
    int kind = rand_r(seed) % 4;
    if (depth == 0 || kind == 0) {
        return random_scalar(seed);
    }
    json_t *value = kind == 1 ? json_array() : json_object();
    for (int n = rand_r(seed) % 4; n > 0; n--) {
        json_t *inner = random_value(seed, depth - 1);
        if (kind == 1) {
            json_array_append_new(value, inner);
        } else {
            json_object_set_new(value, PICK(seed, names), inner);
        }
    }
    return value;
}

/* Appends a random pointer to text, and follows it in the tree. */
static const json_t *
random_pointer(struct buf *text, const json_t *tree, unsigned *seed)
{
    for (int n = rand_r(seed) % 4; n > 0; n--) {
        const char *name = PICK(seed, names);
        buf_addc(text, '/');
        for (const char *c = name; *c != '\0'; c++) {
            if (*c == '~' || *c == '/') {
                buf_adds(text, *c == '~' ? "~0" : "~1");
            } else {
                buf_addc(text, *c);
            }
        }
        bool index = json_is_array(tree) && (*name == '0' || *name == '1');
        tree = index ? json_array_get(tree, (size_t)(*name - '0')) : json_object_get(tree, name);
    }
    return tree;
}

static int
order_of(const json_t *a, const json_t *b)
{
    if (json_is_string(a)) {
        return strcmp(json_string_value(a), json_string_value(b));
    }
    double x = json_number_value(a);
    double y = json_number_value(b);
    return (x > y) - (x < y);
}

static bool
expected(const json_t *got, const char *op, const json_t *literal)
{
    bool ordered = (json_is_number(got) && json_is_number(literal)) ||
                   (json_is_string(got) && json_is_string(literal));
    bool equal = ordered ? order_of(got, literal) == 0
                         : got != NULL && json_typeof(got) == json_typeof(literal) &&
                               !json_is_object(got) && !json_is_array(got);
    if (op[1] == '=' && (op[0] == '=' || op[0] == '!')) {
        return equal == (op[0] == '=');
    }
    if (!ordered) {
        return false;
    }
    int order = order_of(got, literal);
    return (order == 0 && op[1] == '=') || (op[0] == '<' ? order < 0 : order > 0);
}

START_TEST(random_filters_agree_with_a_tree)
{
    static const char *const ops[] = {"==", "!=", "<", "<=", ">", ">="};
    static const size_t flags[] = {0, JSON_COMPACT, JSON_ENSURE_ASCII, JSON_INDENT(2)};
    unsigned seed = 7;
    unsigned passed = 0;
    for (int round = 0; round < 60000; round++) {
        json_t *tree = random_value(&seed, 4);
        char *data = json_dumps(tree, JSON_ENCODE_ANY | PICK(&seed, flags));
        struct filter *filter = filter_new();
        bool all = true;
        for (int n = 1 + rand_r(&seed) % 3; n > 0; n--) {
            struct buf text;
            struct err err;
            buf_init(&text);
            const json_t *got = random_pointer(&text, tree, &seed);
            json_t *literal = random_scalar(&seed);
            const char *op = PICK(&seed, ops);
            char *dump = json_dumps(literal, JSON_ENCODE_ANY);
            buf_adds(&text, op);
            buf_adds(&text, dump);
            if (filter_add_where(filter, text.bytes, text.len, &err) == 0) {
                all = all && expected(got, op, literal);
            } else {
                ck_assert(!json_is_string(literal) && !json_is_number(literal));
            }
            free(dump);
            json_decref(literal);
            buf_fini(&text);
        }
        filter_seal(filter);
        struct record *record = make(NULL, data, strlen(data));
        ck_assert_msg(filter_passes(filter, record) == all, "%s on %s is not %d",
            filter_text(filter), data, all);
        passed += all;
        record_unref(record);
        filter_unref(filter);
        free(data);
        json_decref(tree);
    }
    ck_assert_uint_gt(passed, 3000);
}
END_TEST

START_TEST(a_view_shows_its_own_records_and_those_of_all)
{
    static const char data[] = "{\"n\":5}";
    struct filter *plain = where_of("/n>4");
    struct filter *both = where_of("/n>4");
    struct filter *view = filter_new();
    struct buf scratch;
    buf_init(&scratch);
    filter_seal(view);
    ck_assert(!filter_is_view(view));
    filter_set_view(view, RECORD_VIEW_CLIENT);
    filter_set_view(both, RECORD_VIEW_CLIENT);
    ck_assert(filter_is_view(view) && !filter_is_view(both));
    ck_assert(!filter_same(plain, both) && !filter_same(view, both));
    for (unsigned views = 0; views < 8; views++) {
        struct record_input in = {.data = data, .data_len = sizeof data - 1, .views = views};
        struct record *record = record_new(&in, "AQA", 3, "{\"offset\":", 1, &scratch);
        bool shown = views == 0 || (views & RECORD_VIEW_CLIENT) != 0;
        ck_assert_int_eq(filter_passes(view, record), shown);
        ck_assert_int_eq(filter_passes(both, record), shown);
        ck_assert(filter_passes(plain, record));
        record_unref(record);
    }
    buf_fini(&scratch);
    filter_unref(plain);
    filter_unref(both);
    filter_unref(view);
}
END_TEST

UNIT_MAIN("filter", each_comparison_answers_as_the_table_says,
    a_tombstone_passes_no_comparison_and_a_gap_passes_all,
    any_of_the_keys_and_all_of_the_comparisons, what_cannot_be_compiled_is_refused_by_name,
    of_many_keys_each_is_found_and_no_other, the_bounds_hold_and_repeats_count_once,
    the_same_parts_in_any_order_are_the_same_filter, random_filters_agree_with_a_tree,
    a_view_shows_its_own_records_and_those_of_all)
