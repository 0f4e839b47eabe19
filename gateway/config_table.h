/* config_table: what a configuration key is: one row from which the parser, the JSON Schema, the
 * printed configuration and the reference are made.
 *
 * A section is a YAML mapping that fills one C struct; each key names a field by its offset, and
 * the key's kind fixes the field's C type. A connector exports one section.
 *
 * To write a connector's section: a struct of settings with a field for each key, of the C type
 * that stands beside the kind below; an array of struct config_key with designated initialisers
 * (name, kind, offset, bounds, fallback, prose; what is left out is none); a const struct
 * config_section with sizeof the struct; both named in the connector's row. Then the parser,
 * headgate config print, the schema and the reference know it. The settings are zeroed, filled,
 * passed to the connector's check() only if every key was good, and freed by the table. A key that
 * is not given has its fallback, else 0, false, NULL or an empty list. What the table cannot say
 * belongs in a key's check (one value) or the connector's check() (values together). CONFIG_CUSTOM
 * is the gateway's own (config_listen.c, config_streams.c): a connector has no use for it. Thread
 * init.
 */
#ifndef HEADGATE_CONFIG_TABLE_H
#define HEADGATE_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

enum config_kind {
    CONFIG_STRING,   /* char *, owned; NULL when absent and without a default */
    CONFIG_SECRET,   /* char *; masked by config print */
    CONFIG_BOOL,     /* bool */
    CONFIG_COUNT,    /* uint64_t; a whole number from least to most */
    CONFIG_BYTES,    /* uint64_t; 64MiB, 1KiB, or a number of bytes */
    CONFIG_DURATION, /* uint64_t milliseconds; 250ms, 15s, 5m, 2h */
    CONFIG_ENUM,     /* int: the index in choices */
    CONFIG_ENUM_SET, /* uint32_t: bit 1 << index; a list of choices */
    CONFIG_STRINGS,  /* struct config_strings; a list of scalars, or one scalar */
    CONFIG_SECRETS,  /* the same; each item masked by config print */
    CONFIG_PAIRS,    /* struct config_pairs; a mapping of scalars, any names */
    CONFIG_SECTION,  /* a struct in place; child is its section. With offset 0 and a child of the
                        same struct it is a group of keys alone */
    CONFIG_SECTIONS, /* struct config_sections; a list of mappings, each of them child's */
    CONFIG_CUSTOM    /* parsed by code of the section above: listen, streams, routes, source */
};

/* items is an array of n of the child's structs. */
struct config_sections {
    void *items;
    size_t n;
};

struct config_section;

struct config_key {
    const char *name;
    enum config_kind kind;
    size_t offset;        /* offsetof the field in the section's struct */
    uint64_t least, most; /* bounds of COUNT, BYTES and DURATION; of a list or PAIRS, its
                             length. most 0: no upper bound */
    const char *fallback; /* the default, as YAML text ("64MiB", "[a, b]"); NULL: none */
    bool required;
    const char *const *choices; /* of ENUM and ENUM_SET, NULL-terminated */
    const struct config_section *child;
    /* check: a further check of a scalar (already interpolated), of each item of STRINGS. May be
     * NULL. Errors -1 and err->text, a whole sentence. */
    int (*check)(const char *text, struct err *err);
    const char *prose;     /* one or two sentences, with the unit */
    const char *zero_word; /* of a number: a word that stands for 0 and need not be within
                              the bounds: "auto", "off". NULL: none */
};

struct config_section {
    const char *name; /* for the reference: "streams.NAME.source.kafka" */
    size_t size;      /* sizeof the struct */
    const struct config_key *keys;
    size_t n_keys;
};

#endif
