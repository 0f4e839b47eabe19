/* config_field: one key's value from a node into its C field, and back to nothing.
 * Thread  init. */
#ifndef HEADGATE_CONFIG_FIELD_H
#define HEADGATE_CONFIG_FIELD_H

#include "config_parse.h"

/* config_field_set: parse node as key says into field; -1 after reporting why not, with field as it
 * was. Not for CONFIG_SECTION and CONFIG_CUSTOM. */
int config_field_set(struct config_parse *parse, const struct config_key *key,
    const struct config_node *node, void *field);

/* config_field_check_length: of a list. Errors -1, reported. */
int config_field_check_length(const struct config_parse *parse, const struct config_key *key,
    const struct config_node *node, size_t n);

/* config_field_default: the table's own default, or the empty value. */
void config_field_default(const struct config_key *key, void *field);

/* config_field_free: what the field holds. */
void config_field_free(const struct config_key *key, void *field);

/* config_field_format_number: value of a COUNT, BYTES or DURATION key as the file would say it. */
void config_field_format_number(const struct config_key *key, char *out, uint64_t value);

/* config_field_most: the upper bound of the key; a table's 0 stands for none. */
uint64_t config_field_most(const struct config_key *key);

#endif
