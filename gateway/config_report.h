/* config_report: the errors of one configuration file, gathered so that a person sees all of them
 * in one pass, in the order of the file.
 *
 * Invariant: what is printed is one line an error, whatever bytes names and values hold: control
 * characters are escaped. Thread  init. */
#ifndef HEADGATE_CONFIG_REPORT_H
#define HEADGATE_CONFIG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CONFIG_REPORT_MAX 1000 /* errors kept; further ones are only counted */

struct config_report_entry;

struct config_report {
    const char *file; /* lent */
    struct config_report_entry *entries;
    size_t n;
    size_t count; /* with those that are not kept */
};

/* config_report_init: file is lent for the life of the report. */
void config_report_init(struct config_report *report, const char *file);
void config_report_fini(struct config_report *report);

/* config_report_add: one error. line and column count from 1; 0 when the file itself is at fault.
 * An empty path is written as ".". Cost O(1). */
void config_report_add(struct config_report *report, int line, int column, const char *path,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* config_report_full: no further error is kept, so costly advice can be left out. */
bool config_report_full(const struct config_report *report);

/* config_report_print: FILE:LINE:COLUMN: PATH: MESSAGE, sorted by place. */
void config_report_print(struct config_report *report, FILE *out);

#endif
