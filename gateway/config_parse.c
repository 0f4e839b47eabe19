/* config_parse: the walk along the table of keys. Thread init. Values are config_field.c's. */
#include "config_parse.h"

#include "config_expand.h"
#include "config_field.h"
#include "config_value.h"
#include "mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void
config_parse_init(struct config_parse *parse, struct config_report *report)
{
    *parse = (struct config_parse){.report = report, .line = 1, .column = 1};
    buf_init(&parse->path);
    buf_addc(&parse->path, '\0');
}

void
config_parse_fini(struct config_parse *parse)
{
    buf_fini(&parse->path);
}

size_t
config_parse_enter(struct config_parse *parse, const char *name)
{
    size_t mark = parse->path.len;
    parse->path.len--; /* the NUL */
    if (parse->path.len != 0) {
        buf_addc(&parse->path, '.');
    }
    buf_add(&parse->path, name, strlen(name) + 1);
    return mark;
}

size_t
config_parse_enter_item(struct config_parse *parse, size_t index)
{
    size_t mark = parse->path.len;
    parse->path.len--;
    buf_addf(&parse->path, "[%zu]", index);
    buf_addc(&parse->path, '\0');
    return mark;
}

void
config_parse_leave(struct config_parse *parse, size_t mark)
{
    parse->path.len = mark;
    parse->path.bytes[mark - 1] = '\0';
}

void
config_parse_error(
    const struct config_parse *parse, const struct config_node *node, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    config_report_add(parse->report, node == NULL ? parse->line : node->line,
        node == NULL ? parse->column : node->column, parse->path.bytes, "%s", message);
}

static void
expand_scalar(struct config_parse *parse, struct config_node *node)
{
    struct err err;
    char *filled;
    if (config_expand_text(node->text, &filled, &err) != 0) {
        config_parse_error(parse, node, "%s", err.text);
        node->broken = true;
    } else if (filled != NULL) {
        node->written = node->text;
        node->text = filled;
    }
}

void
config_parse_expand(struct config_parse *parse, struct config_node *node)
{
    if (node->kind == CONFIG_NODE_SCALAR) {
        expand_scalar(parse, node);
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        struct config_node *item = &node->items[i];
        size_t mark = item->key != NULL ? config_parse_enter(parse, item->key)
                                        : config_parse_enter_item(parse, i);
        config_parse_expand(parse, item);
        config_parse_leave(parse, mark);
    }
}

bool
config_parse_is(const struct config_parse *parse, const struct config_node *node,
    enum config_node_kind kind, const char *what)
{
    if (node->kind == kind || config_yaml_is_null(node)) {
        return true;
    }
    if (!node->broken) {
        config_parse_error(parse, node, "must be %s, not %s", what,
            node->kind == CONFIG_NODE_SCALAR ? "a single value"
            : node->kind == CONFIG_NODE_LIST ? "a list"
                                             : "a mapping");
    }
    return false;
}

static const struct config_key *
find_key(const struct config_section *section, const char *name)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        if (strcmp(section->keys[i].name, name) == 0) {
            return &section->keys[i];
        }
    }
    return NULL;
}

static const char *
get_key_name(const void *names, size_t i)
{
    const struct config_section *section = names;
    return section->keys[i].name;
}

static void
report_unknown_key(struct config_parse *parse, const struct config_section *section,
    const struct config_node *item)
{
    if (config_report_full(parse->report)) {
        return;
    }
    struct buf message;
    buf_init(&message);
    buf_addf(&message, "unknown key '%.64s'", item->key);
    int nearest = config_value_nearest(item->key, get_key_name, section, section->n_keys);
    if (nearest >= 0) {
        buf_addf(&message, ": did you mean '%s'?", section->keys[nearest].name);
    } else {
        for (size_t i = 0; i < section->n_keys; i++) {
            buf_addf(&message, "%s%s", i == 0 ? ": known here are " : ", ", section->keys[i].name);
        }
    }
    buf_addc(&message, '\0');
    size_t mark = config_parse_enter(parse, item->key);
    config_report_add(
        parse->report, item->key_line, item->key_column, parse->path.bytes, "%s", message.bytes);
    config_parse_leave(parse, mark);
    buf_fini(&message);
}

/* A list of mappings; one with an error in it has what is good of it. */
static void
parse_sections(struct config_parse *parse, const struct config_key *key,
    const struct config_node *node, struct config_sections *sections)
{
    if (node == NULL && key->required) {
        config_parse_error(parse, NULL, "is required");
    }
    if (node == NULL || !config_parse_is(parse, node, CONFIG_NODE_LIST, "a list") ||
        config_field_check_length(parse, key, node, node->n) != 0) {
        return;
    }
    sections->items = mem_calloc(node->n, key->child->size);
    for (; sections->n < node->n; sections->n++) {
        size_t mark = config_parse_enter_item(parse, sections->n);
        config_parse_section(parse, key->child, &node->items[sections->n],
            (char *)sections->items + sections->n * key->child->size);
        config_parse_leave(parse, mark);
    }
}

static void
parse_key(struct config_parse *parse, const struct config_key *key, const struct config_node *node,
    void *out)
{
    void *field = (char *)out + key->offset;
    size_t mark = config_parse_enter(parse, key->name);
    if (key->kind == CONFIG_SECTION) {
        config_parse_section(parse, key->child, node, field);
    } else if (key->kind == CONFIG_SECTIONS) {
        parse_sections(parse, key, node, field);
    } else if (node == NULL) {
        if (key->required) {
            config_parse_error(parse, NULL, "is required");
        }
        if (key->kind != CONFIG_CUSTOM) {
            config_field_default(key, field);
        }
    } else if (key->kind != CONFIG_CUSTOM && config_field_set(parse, key, node, field) != 0) {
        config_field_default(key, field);
    }
    config_parse_leave(parse, mark);
}

void
config_parse_section(struct config_parse *parse, const struct config_section *section,
    const struct config_node *node, void *out)
{
    int line = parse->line;
    int column = parse->column;
    if (node != NULL && !config_parse_is(parse, node, CONFIG_NODE_MAP, "a mapping")) {
        node = NULL;
    } else if (node != NULL) {
        parse->line = node->key != NULL ? node->key_line : node->line;
        parse->column = node->key != NULL ? node->key_column : node->column;
        for (size_t i = 0; i < node->n; i++) {
            if (find_key(section, node->items[i].key) == NULL) {
                report_unknown_key(parse, section, &node->items[i]);
            }
        }
    }
    for (size_t i = 0; i < section->n_keys; i++) {
        const struct config_key *key = &section->keys[i];
        parse_key(parse, key, config_yaml_find(node, key->name), out);
    }
    parse->line = line;
    parse->column = column;
}

static void
free_sections(const struct config_section *section, struct config_sections *sections)
{
    for (size_t i = 0; i < sections->n; i++) {
        config_parse_free(section, (char *)sections->items + i * section->size);
    }
    free(sections->items);
    *sections = (struct config_sections){0};
}

void
config_parse_free(const struct config_section *section, void *out)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        const struct config_key *key = &section->keys[i];
        void *field = (char *)out + key->offset;
        if (key->kind == CONFIG_SECTION) {
            config_parse_free(key->child, field);
        } else if (key->kind == CONFIG_SECTIONS) {
            free_sections(key->child, field);
        } else if (key->kind != CONFIG_CUSTOM) {
            config_field_free(key, field);
        }
    }
}
