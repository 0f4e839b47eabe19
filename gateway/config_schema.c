/* config_schema: the JSON Schema (draft-07) of the configuration, made from the tables. Thread
 * init.
 *
 * A scalar may also be a string with a ${...} in it, so each value is "what the key takes, or an
 * expansion". What a schema cannot say (sizes against each other, names that must exist) is left to
 * headgate check. */
#include "../connectors/connector.h"
#include "buf.h"
#include "config.h"
#include "config_keys.h"
#include "config_value.h"
#include "config_words.h"
#include "config_yaml.h"
#include "mem.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define EXPANSION "#/definitions/expansion"
#define ADDRESS_PATTERN                                                                            \
    "^(([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9A-Fa-f:.]+\\])?:)?(0|[1-9][0-9]{0,4})$"

static json_t *section_schema(const struct config_section *section);

/* jansson fails only when there is no memory. */
static json_t *
must(json_t *value)
{
    if (value == NULL) {
        abort();
    }
    return value;
}

static void
put(json_t *object, const char *name, json_t *value_taken)
{
    if (json_object_set_new(object, name, must(value_taken)) != 0) {
        abort();
    }
}

static void
append(json_t *array, json_t *value_taken)
{
    if (json_array_append_new(array, must(value_taken)) != 0) {
        abort();
    }
}

static json_t *
text(const char *value)
{
    return must(json_string(value));
}

static json_t *
typed(const char *type)
{
    json_t *schema = must(json_object());
    put(schema, "type", text(type));
    return schema;
}

static json_t *
pattern(const char *regex)
{
    json_t *schema = typed("string");
    put(schema, "pattern", text(regex));
    return schema;
}

static json_t *
expansion(void)
{
    json_t *schema = must(json_object());
    put(schema, "$ref", text(EXPANSION));
    return schema;
}

/* A schema that takes what any of the given ones takes; NULL ends them. */
static json_t *
any_of(json_t *first_taken, json_t *second_taken, json_t *third_taken)
{
    json_t *schema = must(json_object());
    json_t *array = must(json_array());
    append(array, first_taken);
    append(array, second_taken);
    if (third_taken != NULL) {
        append(array, third_taken);
    }
    put(schema, "anyOf", array);
    return schema;
}

static json_t *
integer(const struct config_key *key)
{
    json_t *schema = typed("integer");
    put(schema, "minimum", json_integer((json_int_t)key->least));
    if (key->most != 0 && key->most <= INT64_MAX) {
        put(schema, "maximum", json_integer((json_int_t)key->most));
    }
    return schema;
}

static json_t *
choice(const struct config_key *key)
{
    json_t *schema = must(json_object());
    json_t *choices = must(json_array());
    for (size_t i = 0; key->choices[i] != NULL; i++) {
        append(choices, text(key->choices[i]));
    }
    put(schema, "enum", choices);
    return schema;
}

static json_t *
any_scalar(void)
{
    json_t *schema = must(json_object());
    json_t *types = must(json_array());
    append(types, text("string"));
    append(types, text("number"));
    append(types, text("boolean"));
    put(schema, "type", types);
    return schema;
}

static json_t *
word(const char *value)
{
    json_t *schema = must(json_object());
    put(schema, "const", text(value));
    return schema;
}

static void
put_length(json_t *array, const struct config_key *key)
{
    if (key->least != 0) {
        put(array, "minItems", json_integer((json_int_t)key->least));
    }
    if (key->most != 0) {
        put(array, "maxItems", json_integer((json_int_t)key->most));
    }
}

/* One item, or a list of them. */
static json_t *
list_of(const struct config_key *key, json_t *item_taken)
{
    json_t *array = typed("array");
    put(array, "items", json_incref(item_taken));
    put_length(array, key);
    return any_of(item_taken, array, NULL);
}

static json_t *
pairs(void)
{
    json_t *schema = typed("object");
    put(schema, "additionalProperties", any_scalar());
    return schema;
}

static json_t *
number_schema(const struct config_key *key)
{
    if (key->kind == CONFIG_DURATION) {
        return any_of(pattern(CONFIG_VALUE_DURATION_PATTERN), expansion(),
            key->zero_word == NULL ? NULL : word(key->zero_word));
    }
    json_t *number = integer(key);
    if (key->kind == CONFIG_BYTES) {
        number = any_of(number, pattern(CONFIG_VALUE_BYTES_PATTERN), NULL);
    }
    return any_of(number, expansion(), key->zero_word == NULL ? NULL : word(key->zero_word));
}

static json_t *
address(void)
{
    json_t *port = typed("integer");
    put(port, "minimum", json_integer(0));
    put(port, "maximum", json_integer(65535));
    return any_of(pattern(ADDRESS_PATTERN), port, expansion());
}

static json_t *
listen_schema(void)
{
    json_t *one = any_of(address(), section_schema(&config_keys_listen), NULL);
    json_t *array = typed("array");
    put(array, "items", json_incref(one));
    put(array, "minItems", json_integer(1));
    put(array, "maxItems", json_integer(CONFIG_KEYS_LISTEN_MAX));
    return any_of(one, array, NULL);
}

static json_t *
source_schema(void)
{
    json_t *schema = typed("object");
    json_t *properties = must(json_object());
    for (size_t i = 0; connectors_all[i] != NULL; i++) {
        put(properties, connectors_all[i]->name, section_schema(connectors_all[i]->section));
    }
    put(schema, "properties", properties);
    put(schema, "additionalProperties", json_false());
    put(schema, "minProperties", json_integer(1));
    put(schema, "maxProperties", json_integer(1));
    return schema;
}

/* A mapping from free names to values of one section. */
static json_t *
named(const char *name_pattern, const struct config_section *section, json_int_t most)
{
    json_t *schema = typed("object");
    json_t *names = must(json_object());
    put(names, "pattern", text(name_pattern));
    put(schema, "propertyNames", names);
    put(schema, "additionalProperties", section_schema(section));
    put(schema, "maxProperties", json_integer(most));
    return schema;
}

static json_t *
custom_schema(const struct config_key *key)
{
    if (strcmp(key->name, "listen") == 0) {
        return listen_schema();
    }
    if (strcmp(key->name, "admin") == 0) {
        return address();
    }
    if (strcmp(key->name, "source") == 0) {
        return source_schema();
    }
    if (strcmp(key->name, "streams") == 0) {
        return named(CONFIG_KEYS_NAME_PATTERN, &config_keys_stream, CONFIG_KEYS_STREAMS_MAX);
    }
    assert(strcmp(key->name, "routes") == 0);
    return named(CONFIG_KEYS_PATH_PATTERN, &config_keys_route, CONFIG_KEYS_ROUTES_MAX);
}

static json_t *
sections_schema(const struct config_key *key)
{
    json_t *array = typed("array");
    put(array, "items", section_schema(key->child));
    put_length(array, key);
    return array;
}

static json_t *
value_schema(const struct config_key *key)
{
    switch (key->kind) {
    case CONFIG_STRING:
    case CONFIG_SECRET:
        return any_scalar();
    case CONFIG_BOOL:
        return any_of(typed("boolean"), expansion(), NULL);
    case CONFIG_COUNT:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        return number_schema(key);
    case CONFIG_ENUM:
        return any_of(choice(key), expansion(), NULL);
    case CONFIG_ENUM_SET:
        return list_of(key, any_of(choice(key), expansion(), NULL));
    case CONFIG_STRINGS:
    case CONFIG_SECRETS:
        return list_of(key, any_scalar());
    case CONFIG_PAIRS:
        return pairs();
    case CONFIG_SECTION:
        return section_schema(key->child);
    case CONFIG_SECTIONS:
        return sections_schema(key);
    case CONFIG_CUSTOM:
        return custom_schema(key);
    }
    abort();
}

static json_t *
scalar_json(const struct config_key *key, const struct config_node *node)
{
    if (key->kind == CONFIG_COUNT && node->text[0] >= '0' && node->text[0] <= '9') {
        return must(json_integer((json_int_t)strtoull(node->text, NULL, 10)));
    }
    if (key->kind == CONFIG_BOOL) {
        return must(json_boolean(strcmp(node->text, "true") == 0));
    }
    return text(node->text);
}

/* The table's default, which is YAML, as JSON. */
static json_t *
default_json(const struct config_key *key)
{
    struct config_report report;
    config_report_init(&report, "a default in the table");
    struct config_node *node = config_yaml_parse(key->fallback, strlen(key->fallback), &report);
    assert(node != NULL);
    json_t *value;
    if (node->kind == CONFIG_NODE_LIST) {
        value = must(json_array());
        for (size_t i = 0; i < node->n; i++) {
            append(value, scalar_json(key, &node->items[i]));
        }
    } else if (node->kind == CONFIG_NODE_MAP) {
        value = must(json_object());
    } else {
        value = scalar_json(key, node);
    }
    config_yaml_free(node);
    config_report_fini(&report);
    return value;
}

static void
put_description(json_t *schema, const struct config_key *key)
{
    struct buf prose;
    buf_init(&prose);
    buf_adds(&prose, key->prose == NULL ? "" : key->prose);
    if ((key->kind == CONFIG_BYTES || key->kind == CONFIG_DURATION) &&
        (key->least != 0 || key->most != 0)) {
        buf_adds(&prose, prose.len == 0 ? "" : " ");
        buf_adds(&prose, "Bounds: ");
        config_words_bounds(&prose, key);
        buf_addc(&prose, '.');
    }
    buf_addc(&prose, '\0');
    put(schema, "description", text(prose.bytes));
    buf_fini(&prose);
}

static json_t *
section_schema(const struct config_section *section)
{
    json_t *schema = typed("object");
    json_t *properties = must(json_object());
    json_t *required = must(json_array());
    for (size_t i = 0; i < section->n_keys; i++) {
        const struct config_key *key = &section->keys[i];
        json_t *value = value_schema(key);
        put_description(value, key);
        if (key->fallback != NULL) {
            put(value, "default", default_json(key));
        }
        if (key->required) {
            append(required, text(key->name));
        }
        put(properties, key->name, value);
    }
    put(schema, "properties", properties);
    put(schema, "additionalProperties", json_false());
    if (json_array_size(required) != 0) {
        put(schema, "required", required);
    } else {
        json_decref(required);
    }
    return schema;
}

void
config_schema_print(FILE *out)
{
    json_t *schema = must(json_object());
    put(schema, "$schema", text("http://json-schema.org/draft-07/schema#"));
    put(schema, "title", text("Headgate configuration"));
    json_t *root = section_schema(&config_keys_root);
    if (json_object_update(schema, root) != 0) {
        abort();
    }
    json_decref(root);
    json_t *definitions = must(json_object());
    json_t *filled = pattern("\\$\\{[^}]*\\}");
    put(filled, "description",
        text("Filled in when the file is read: ${VAR}, ${VAR:-default} or ${file:/path}."));
    put(definitions, "expansion", filled);
    put(schema, "definitions", definitions);
    if (json_dumpf(schema, out, JSON_INDENT(2)) != 0) {
        abort();
    }
    fputc('\n', out);
    json_decref(schema);
}
