/* config_yaml: YAML text as a tree of nodes that know their line and column.
 *
 * Takes the part of YAML that a configuration needs: one document of mappings, lists and scalars.
 * Anchors, aliases, tags, a second document, keys that are not scalars, keys given twice, NUL and
 * more than CONFIG_YAML_DEPTH_MAX levels are errors; the limits keep libyaml 0.2.5 (quadratic in
 * the nesting) and a person's mistakes cheap. Thread  init. */
#ifndef HEADGATE_CONFIG_YAML_H
#define HEADGATE_CONFIG_YAML_H

#include "config_report.h"

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_YAML_BYTES_MAX (1024 * 1024)
#define CONFIG_YAML_DEPTH_MAX 64
/* Of a key; YAML reads a quoted key of at most 1024 characters, and config print escapes some. */
#define CONFIG_YAML_KEY_MAX 200

enum config_node_kind { CONFIG_NODE_SCALAR, CONFIG_NODE_LIST, CONFIG_NODE_MAP };

struct config_node {
    enum config_node_kind kind;
    int line; /* of the value, from 1 */
    int column;
    char *key; /* owned; NULL but in a mapping */
    int key_line;
    int key_column;
    char *text;    /* owned; of a scalar: its value, after config_expand_tree the filled-in one */
    char *written; /* owned; what the file says, when text was filled in; else NULL */
    bool plain;    /* a scalar without quotes */
    bool broken;   /* it could not be filled in; that is reported already */
    struct config_node *items;
    size_t n;
    size_t cap;
};

/* config_yaml_parse: errors go to report.
 * Owns    *root is the caller's, config_yaml_free frees it.
 * Errors  NULL when the text is no YAML that we take; an empty text is an empty mapping. */
struct config_node *config_yaml_parse(const char *text, size_t len, struct config_report *report);
void config_yaml_free(struct config_node *root); /* NULL-safe */

/* config_yaml_find: the value of key; NULL when node is NULL, no mapping, or without it. O(n). */
const struct config_node *config_yaml_find(const struct config_node *node, const char *key);

/* config_yaml_is_null: nothing, ~ or null, without quotes. */
bool config_yaml_is_null(const struct config_node *node);

#endif
