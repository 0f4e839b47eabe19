/* config_parse: walks a tree of nodes along a table of keys into a C struct.
 *
 * Never stops at the first error: each goes to the report with its path, and the field takes its
 * default, so that later code always sees a whole struct. Thread  init. */
#ifndef HEADGATE_CONFIG_PARSE_H
#define HEADGATE_CONFIG_PARSE_H

#include "buf.h"
#include "config_report.h"
#include "config_table.h"
#include "config_yaml.h"

struct config_parse {
    struct config_report *report;
    struct buf path; /* of where the walk is, ended with NUL; such as streams.orders.ring */
    int line;        /* of the innermost mapping that is there: for what is missing in it */
    int column;
};

void config_parse_init(struct config_parse *parse, struct config_report *report);
void config_parse_fini(struct config_parse *parse);

/* config_parse_enter: name (or [index]) is appended to the path. config_parse_leave undoes it; mark
 * is what enter gave. */
size_t config_parse_enter(struct config_parse *parse, const char *name);
size_t config_parse_enter_item(struct config_parse *parse, size_t index);
void config_parse_leave(struct config_parse *parse, size_t mark);

/* config_parse_error: an error at node's value; where node is NULL, at the mapping around. */
void config_parse_error(const struct config_parse *parse, const struct config_node *node,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* config_parse_expand: fill variables and files into every scalar below node. */
void config_parse_expand(struct config_parse *parse, struct config_node *node);

/* config_parse_is: is node of this kind? Else an error that says what it must be ("a mapping"). A
 * null counts as an empty mapping or list. */
bool config_parse_is(const struct config_parse *parse, const struct config_node *node,
    enum config_node_kind kind, const char *what);

/* config_parse_section: fill out, zeroed memory of section->size bytes. node may be NULL: then
 * every key has its default. CONFIG_CUSTOM keys are known but left to the caller. Owns
 * config_parse_free frees what the fields hold, not out itself; on errors too. */
void config_parse_section(struct config_parse *parse, const struct config_section *section,
    const struct config_node *node, void *out);
void config_parse_free(const struct config_section *section, void *out);

#endif
