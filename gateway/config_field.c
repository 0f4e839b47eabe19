/* config_field: parses one value into its field by the key's kind. Thread init. */
#include "config_field.h"

#include "config.h"
#include "config_value.h"
#include "mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

uint64_t
config_field_most(const struct config_key *key)
{
    return key->most == 0 ? UINT64_MAX : key->most;
}

void
config_field_format_number(const struct config_key *key, char *out, uint64_t value)
{
    if (key->kind == CONFIG_BYTES) {
        config_value_format_bytes(out, value);
    } else if (key->kind == CONFIG_DURATION) {
        config_value_format_duration(out, value);
    } else {
        snprintf(out, CONFIG_VALUE_TEXT_MAX, "%" PRIu64, value);
    }
}

static int
check_bounds(const struct config_key *key, uint64_t value, struct err *err)
{
    uint64_t most = config_field_most(key);
    if (value >= key->least && value <= most) {
        return 0;
    }
    char least_text[CONFIG_VALUE_TEXT_MAX];
    char most_text[CONFIG_VALUE_TEXT_MAX];
    config_field_format_number(key, least_text, key->least);
    config_field_format_number(key, most_text, most);
    if (most == UINT64_MAX) {
        err_set(err, ERR_LIMIT, "must be at least %s", least_text);
    } else {
        err_set(err, ERR_LIMIT, "must be from %s to %s", least_text, most_text);
    }
    return -1;
}

static int
parse_number(const struct config_key *key, const char *text, uint64_t *field, struct err *err)
{
    uint64_t value = 0;
    int result;
    if (key->zero_word != NULL && strcmp(text, key->zero_word) == 0) {
        *field = 0;
        return 0;
    }
    if (key->kind == CONFIG_BYTES) {
        result = config_value_bytes(text, &value, err);
    } else if (key->kind == CONFIG_DURATION) {
        result = config_value_duration(text, &value, err);
    } else {
        result = config_value_count(text, &value, err);
    }
    if (result != 0 || check_bounds(key, value, err) != 0) {
        return -1;
    }
    *field = value;
    return 0;
}

static const char *
get_choice(const void *names, size_t i)
{
    const char *const *choices = names;
    return choices[i];
}

static int
parse_choice(const struct config_key *key, const char *text, int *field, struct err *err)
{
    int choice = config_value_choice(text, key->choices);
    if (choice >= 0) {
        *field = choice;
        return 0;
    }
    struct buf message;
    buf_init(&message);
    size_t n = 0;
    for (; key->choices[n] != NULL; n++) {
        buf_addf(&message, "%s%s", n == 0 ? "is none of " : ", ", key->choices[n]);
    }
    int nearest = config_value_nearest(text, get_choice, key->choices, n);
    if (nearest >= 0) {
        buf_addf(&message, "; did you mean '%s'?", key->choices[nearest]);
    }
    buf_addc(&message, '\0');
    err_set(err, ERR_INVALID, "%s", message.bytes);
    buf_fini(&message);
    return -1;
}

/* A scalar of any kind; a list's kind stands here for one of its items, which a check sees too. */
static int
parse_scalar(const struct config_key *key, const char *text, void *field, struct err *err)
{
    switch (key->kind) {
    case CONFIG_STRING:
    case CONFIG_SECRET:
        *(char **)field = mem_strdup(text);
        return 0;
    case CONFIG_BOOL:
        return config_value_bool(text, field, err);
    case CONFIG_COUNT:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        return parse_number(key, text, field, err);
    case CONFIG_ENUM:
        return parse_choice(key, text, field, err);
    case CONFIG_ENUM_SET:
    case CONFIG_STRINGS:
    case CONFIG_SECRETS:
    case CONFIG_PAIRS:
    case CONFIG_SECTION:
    case CONFIG_SECTIONS:
    case CONFIG_CUSTOM:
        break;
    }
    abort(); /* these have no scalars; set_scalar is not called for them */
}

/* Is node a scalar with a value? Else reported. */
static bool
has_text(const struct config_parse *parse, const struct config_node *node)
{
    if (node->broken) {
        return false;
    }
    if (config_yaml_is_null(node)) {
        config_parse_error(parse, node, "has no value");
        return false;
    }
    return config_parse_is(parse, node, CONFIG_NODE_SCALAR, "a single value");
}

/* A value that was filled in may be a secret: the file's own words are shown in its place. */
static void
report_value(const struct config_parse *parse, const struct config_key *key,
    const struct config_node *node, const struct err *err)
{
    if (key->kind == CONFIG_SECRET) {
        config_parse_error(parse, node, "%s", err->text);
        return;
    }
    const char *shown = node->written != NULL ? node->written : node->text;
    config_parse_error(
        parse, node, "'%.80s%s' %s", shown, strlen(shown) > 80 ? "..." : "", err->text);
}

static int
set_scalar(const struct config_parse *parse, const struct config_key *key,
    const struct config_node *node, void *field)
{
    struct err err = {.code = ERR_NONE};
    if (!has_text(parse, node)) {
        return -1;
    }
    bool typed = key->kind == CONFIG_COUNT || key->kind == CONFIG_BOOL;
    if (typed && !node->plain && node->written == NULL) {
        config_parse_error(parse, node, "must be written without quotes");
        return -1;
    }
    if (key->check != NULL && key->check(node->text, &err) != 0) {
        config_parse_error(parse, node, "%s", err.text);
        return -1;
    }
    if (parse_scalar(key, node->text, field, &err) != 0) {
        report_value(parse, key, node, &err);
        return -1;
    }
    return 0;
}

static void
free_strings(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->n; i++) {
        free(strings->items[i]);
    }
    free(strings->items);
    *strings = (struct config_strings){0};
}

static void
free_pairs(struct config_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++) {
        free(pairs->items[i].name);
        free(pairs->items[i].value);
    }
    free(pairs->items);
    *pairs = (struct config_pairs){0};
}

/* One item of a list into strings or, for an ENUM_SET, into a set of bits. */
static int
set_item(const struct config_parse *parse, const struct config_key *key,
    const struct config_node *node, struct config_strings *strings, uint32_t *set)
{
    struct config_key item_key = *key;
    if (key->kind != CONFIG_ENUM_SET) {
        item_key.kind = key->kind == CONFIG_SECRETS ? CONFIG_SECRET : CONFIG_STRING;
        int result = set_scalar(parse, &item_key, node, &strings->items[strings->n]);
        strings->n += result == 0;
        return result;
    }
    int choice;
    item_key.kind = CONFIG_ENUM;
    if (set_scalar(parse, &item_key, node, &choice) != 0) {
        return -1;
    }
    *set |= UINT32_C(1) << choice;
    return 0;
}

int
config_field_check_length(const struct config_parse *parse, const struct config_key *key,
    const struct config_node *node, size_t n)
{
    if (n >= key->least && n <= config_field_most(key)) {
        return 0;
    }
    if (n < key->least) {
        config_parse_error(parse, node, "must have at least %" PRIu64 " items", key->least);
    } else {
        config_parse_error(parse, node, "must have at most %" PRIu64 " items", key->most);
    }
    return -1;
}

static int
set_list(struct config_parse *parse, const struct config_key *key, const struct config_node *node,
    void *field)
{
    bool alone = node->kind == CONFIG_NODE_SCALAR && !config_yaml_is_null(node);
    if (!alone && !config_parse_is(parse, node, CONFIG_NODE_LIST, "a list")) {
        return -1;
    }
    size_t n = alone ? 1 : node->n;
    int result = config_field_check_length(parse, key, node, n);
    struct config_strings strings = {.items = mem_calloc(n, sizeof *strings.items)};
    uint32_t set = 0;
    for (size_t i = 0; i < n; i++) {
        size_t mark = alone ? parse->path.len : config_parse_enter_item(parse, i);
        if (set_item(parse, key, alone ? node : &node->items[i], &strings, &set) != 0) {
            result = -1;
        }
        config_parse_leave(parse, mark);
    }
    if (result != 0 || key->kind == CONFIG_ENUM_SET) {
        free_strings(&strings);
    }
    if (result == 0 && key->kind == CONFIG_ENUM_SET) {
        *(uint32_t *)field = set;
    } else if (result == 0) {
        *(struct config_strings *)field = strings;
    }
    return result;
}

static int
set_pairs(struct config_parse *parse, const struct config_key *key, const struct config_node *node,
    struct config_pairs *field)
{
    if (!config_parse_is(parse, node, CONFIG_NODE_MAP, "a mapping")) {
        return -1;
    }
    int result = config_field_check_length(parse, key, node, node->n);
    struct config_pairs pairs = {.items = mem_calloc(node->n, sizeof *pairs.items)};
    for (size_t i = 0; i < node->n; i++) {
        const struct config_node *item = &node->items[i];
        size_t mark = config_parse_enter(parse, item->key);
        if (has_text(parse, item)) {
            pairs.items[pairs.n++] = (struct config_pair){.name = mem_strdup(item->key),
                .value = mem_strdup(item->text),
                .line = item->key_line,
                .column = item->key_column};
        } else {
            result = -1;
        }
        config_parse_leave(parse, mark);
    }
    if (result != 0) {
        free_pairs(&pairs);
        return -1;
    }
    *field = pairs;
    return 0;
}

int
config_field_set(struct config_parse *parse, const struct config_key *key,
    const struct config_node *node, void *field)
{
    if (key->kind == CONFIG_STRINGS || key->kind == CONFIG_SECRETS ||
        key->kind == CONFIG_ENUM_SET) {
        return set_list(parse, key, node, field);
    }
    if (key->kind == CONFIG_PAIRS) {
        return set_pairs(parse, key, node, field);
    }
    return set_scalar(parse, key, node, field);
}

void
config_field_default(const struct config_key *key, void *field)
{
    if (key->fallback == NULL) {
        return; /* the struct is zeroed memory */
    }
    struct config_report report;
    struct config_parse parse;
    config_report_init(&report, "a default in the table");
    config_parse_init(&parse, &report);
    struct config_node *node = config_yaml_parse(key->fallback, strlen(key->fallback), &report);
    int result = node == NULL ? -1 : config_field_set(&parse, key, node, field);
    config_report_print(&report, stderr);
    assert(result == 0);
    (void)result;
    config_yaml_free(node);
    config_parse_fini(&parse);
    config_report_fini(&report);
}

void
config_field_free(const struct config_key *key, void *field)
{
    if (key->kind == CONFIG_STRING || key->kind == CONFIG_SECRET) {
        free(*(char **)field);
        *(char **)field = NULL;
    } else if (key->kind == CONFIG_STRINGS || key->kind == CONFIG_SECRETS) {
        free_strings(field);
    } else if (key->kind == CONFIG_PAIRS) {
        free_pairs(field);
    }
}
