/* config_yaml: libyaml events to a tree of nodes. Thread init. Gives values no types. */
#include "config_yaml.h"

#include "buf.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct builder {
    yaml_parser_t parser;
    struct config_report *report;
    struct config_node *root; /* a one-item list that holds the document */
    struct config_node *open[CONFIG_YAML_DEPTH_MAX + 1]; /* open[0] is root */
    size_t depth;                                        /* of the innermost open node */
    char *key;                                           /* read, waits for its value; owned */
    int key_line;
    int key_column;
    unsigned documents;
    bool failed;
};

static int
mark_line(const yaml_mark_t *mark)
{
    return (int)mark->line + 1;
}

static int
mark_column(const yaml_mark_t *mark)
{
    return (int)mark->column + 1;
}

/* The path of the node that is open, for messages. */
static void
open_path(const struct builder *builder, struct buf *path)
{
    for (size_t i = 1; i <= builder->depth; i++) {
        const struct config_node *parent = builder->open[i - 1];
        const struct config_node *node = builder->open[i];
        if (node->key != NULL) {
            buf_addf(path, "%s%s", path->len == 0 ? "" : ".", node->key);
        } else if (i > 1) {
            buf_addf(path, "[%zu]", (size_t)(node - parent->items));
        }
    }
    if (builder->key != NULL) {
        buf_addf(path, "%s%s", path->len == 0 ? "" : ".", builder->key);
    }
    buf_addc(path, '\0');
}

static void
complain(struct builder *builder, int line, int column, const char *message)
{
    struct buf path;
    buf_init(&path);
    open_path(builder, &path);
    config_report_add(builder->report, line, column, path.bytes, "%s", message);
    buf_fini(&path);
}

/* As complain, for what leaves no sense in what follows. */
static void
fail(struct builder *builder, int line, int column, const char *message)
{
    complain(builder, line, column, message);
    builder->failed = true;
}

static void
fail_event(struct builder *builder, const yaml_event_t *event, const char *message)
{
    fail(builder, mark_line(&event->start_mark), mark_column(&event->start_mark), message);
}

/* Append an empty item to the innermost open node; the pointer holds until the next append there,
 * which cannot come before the item is closed. */
static struct config_node *
add_item(struct builder *builder)
{
    struct config_node *parent = builder->open[builder->depth];
    if (parent->n == parent->cap) {
        parent->cap = parent->cap == 0 ? 4 : parent->cap * 2;
        parent->items = mem_realloc(parent->items, parent->cap * sizeof *parent->items);
    }
    struct config_node *node = &parent->items[parent->n++];
    *node = (struct config_node){
        .key = builder->key, .key_line = builder->key_line, .key_column = builder->key_column};
    builder->key = NULL;
    return node;
}

static bool
expects_key(const struct builder *builder)
{
    return builder->open[builder->depth]->kind == CONFIG_NODE_MAP && builder->key == NULL;
}

static void
on_scalar(struct builder *builder, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (memchr(text, '\0', len) != NULL) {
        fail_event(builder, event, "a NUL character is not allowed");
        return;
    }
    int line = mark_line(&event->start_mark);
    int column = mark_column(&event->start_mark);
    if (expects_key(builder)) {
        if (len > CONFIG_YAML_KEY_MAX) {
            fail_event(builder, event, "a key of more than 200 bytes");
            return;
        }
        builder->key = mem_strndup(text, len);
        builder->key_line = line;
        builder->key_column = column;
        return;
    }
    struct config_node *node = add_item(builder);
    node->kind = CONFIG_NODE_SCALAR;
    node->line = line;
    node->column = column;
    node->text = mem_strndup(text, len);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static void
on_open(struct builder *builder, const yaml_event_t *event, enum config_node_kind kind)
{
    if (expects_key(builder)) {
        fail_event(builder, event, "a key must be a plain word, not a mapping or a list");
        return;
    }
    if (builder->depth == CONFIG_YAML_DEPTH_MAX) {
        fail_event(builder, event, "nested too deeply: at most 64 levels");
        return;
    }
    struct config_node *node = add_item(builder);
    node->kind = kind;
    node->line = mark_line(&event->start_mark);
    node->column = mark_column(&event->start_mark);
    builder->open[++builder->depth] = node;
}

static int
compare_keys(const void *left, const void *right)
{
    const struct config_node *a = *(const struct config_node *const *)left;
    const struct config_node *b = *(const struct config_node *const *)right;
    int by_name = strcmp(a->key, b->key);
    return by_name != 0 ? by_name : a < b ? -1 : a > b;
}

/* Sorted, so that a mapping of a hundred thousand keys is no quadratic trap. */
static void
report_repeated_keys(struct builder *builder, const struct config_node *map)
{
    if (map->n < 2) {
        return;
    }
    const struct config_node **sorted = mem_alloc(map->n * sizeof *sorted);
    for (size_t i = 0; i < map->n; i++) {
        sorted[i] = &map->items[i];
    }
    qsort(sorted, map->n, sizeof *sorted, compare_keys);
    for (size_t i = 1; i < map->n; i++) {
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0) {
            char message[64];
            snprintf(
                message, sizeof message, "is given already in line %d", sorted[i - 1]->key_line);
            builder->key = sorted[i]->key; /* lent, for the path */
            complain(builder, sorted[i]->key_line, sorted[i]->key_column, message);
            builder->key = NULL;
        }
    }
    free(sorted);
}

static void
on_close(struct builder *builder)
{
    const struct config_node *node = builder->open[builder->depth];
    if (node->kind == CONFIG_NODE_MAP) {
        report_repeated_keys(builder, node);
    }
    builder->depth--;
}

/* An anchor or a tag makes a file that a reader must resolve in the head; we have no use for it. */
static void
refuse_decorations(struct builder *builder, const yaml_event_t *event, const yaml_char_t *anchor,
    const yaml_char_t *tag)
{
    if (anchor != NULL || tag != NULL) {
        complain(builder, mark_line(&event->start_mark), mark_column(&event->start_mark),
            anchor != NULL ? "anchors and aliases are not taken; write the value out"
                           : "tags are not taken; write the value without it");
    }
}

static void
on_event(struct builder *builder, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++builder->documents > 1) {
            fail_event(builder, event, "a second document; a configuration is one");
        }
        break;
    case YAML_ALIAS_EVENT:
        fail_event(builder, event, "anchors and aliases are not taken; write the value out");
        break;
    case YAML_SCALAR_EVENT:
        refuse_decorations(builder, event, event->data.scalar.anchor, event->data.scalar.tag);
        on_scalar(builder, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        refuse_decorations(
            builder, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        on_open(builder, event, CONFIG_NODE_LIST);
        break;
    case YAML_MAPPING_START_EVENT:
        refuse_decorations(
            builder, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        on_open(builder, event, CONFIG_NODE_MAP);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(builder);
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
}

/* libyaml gives no line for bytes that are not UTF-8, only their offset. */
static void
place_of_offset(const char *text, size_t offset, int *line, int *column)
{
    *line = 1;
    *column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            (*line)++;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            (*column)++;
        }
    }
}

static void
on_syntax_error(struct builder *builder, const char *text, size_t len)
{
    const yaml_parser_t *parser = &builder->parser;
    int line = mark_line(&parser->problem_mark);
    int column = mark_column(&parser->problem_mark);
    if (parser->error == YAML_READER_ERROR) {
        size_t offset = parser->problem_offset < len ? parser->problem_offset : len;
        place_of_offset(text, offset, &line, &column);
    }
    char message[256];
    snprintf(message, sizeof message, "not YAML: %s%s%s",
        parser->problem == NULL ? "cannot be read" : parser->problem,
        parser->context == NULL ? "" : ", ", parser->context == NULL ? "" : parser->context);
    fail(builder, line, column, message);
}

static void
build(struct builder *builder, const char *text, size_t len)
{
    bool done = false;
    while (!done && !builder->failed) {
        yaml_event_t event;
        if (!yaml_parser_parse(&builder->parser, &event)) {
            on_syntax_error(builder, text, len);
            return;
        }
        on_event(builder, &event);
        done = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
}

static void
free_content(struct config_node *node)
{
    for (size_t i = 0; i < node->n; i++) {
        free_content(&node->items[i]);
    }
    free(node->items);
    free(node->key);
    free(node->text);
    free(node->written);
}

void
config_yaml_free(struct config_node *root)
{
    if (root != NULL) {
        free_content(root);
        free(root);
    }
}

/* Move the document out of the list that held it; an empty file becomes an empty mapping. */
static struct config_node *
take_document(struct config_node *holder)
{
    struct config_node *document = mem_calloc(1, sizeof *document);
    if (holder->n == 0 || config_yaml_is_null(&holder->items[0])) {
        *document = (struct config_node){.kind = CONFIG_NODE_MAP, .line = 1, .column = 1};
        config_yaml_free(holder);
        return document;
    }
    *document = holder->items[0];
    holder->n = 0;
    config_yaml_free(holder);
    return document;
}

struct config_node *
config_yaml_parse(const char *text, size_t len, struct config_report *report)
{
    if (len > CONFIG_YAML_BYTES_MAX) {
        config_report_add(report, 0, 0, "", "larger than 1 MiB, the most that is read");
        return NULL;
    }
    struct builder builder = {.report = report};
    builder.root = mem_calloc(1, sizeof *builder.root);
    builder.root->kind = CONFIG_NODE_LIST;
    builder.open[0] = builder.root;
    if (!yaml_parser_initialize(&builder.parser)) {
        abort(); /* out of memory only, as in mem.c */
    }
    /* Without this libyaml takes a byte order mark for UTF-16. */
    yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text, len);
    build(&builder, text, len);
    yaml_parser_delete(&builder.parser);
    free(builder.key);
    if (builder.failed) {
        config_yaml_free(builder.root);
        return NULL;
    }
    return take_document(builder.root);
}

const struct config_node *
config_yaml_find(const struct config_node *node, const char *key)
{
    if (node == NULL || node->kind != CONFIG_NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < node->n; i++) {
        if (strcmp(node->items[i].key, key) == 0) {
            return &node->items[i];
        }
    }
    return NULL;
}

bool
config_yaml_is_null(const struct config_node *node)
{
    return node->kind == CONFIG_NODE_SCALAR && node->plain && node->written == NULL &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
               strcmp(node->text, "null") == 0);
}
