/* config_report: gathers, sorts and prints configuration errors. Thread init. */
#include "config_report.h"

#include "mem.h"

#include <stdarg.h>
#include <stdlib.h>

struct config_report_entry {
    int line;
    int column;
    size_t order; /* qsort is not stable */
    char *path;
    char *message;
};

void
config_report_init(struct config_report *report, const char *file)
{
    *report = (struct config_report){.file = file};
}

void
config_report_fini(struct config_report *report)
{
    for (size_t i = 0; i < report->n; i++) {
        free(report->entries[i].path);
        free(report->entries[i].message);
    }
    free(report->entries);
    *report = (struct config_report){0};
}

bool
config_report_full(const struct config_report *report)
{
    return report->n == CONFIG_REPORT_MAX;
}

void
config_report_add(
    struct config_report *report, int line, int column, const char *path, const char *format, ...)
{
    report->count++;
    if (config_report_full(report)) {
        return;
    }
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (report->entries == NULL) {
        report->entries = mem_calloc(CONFIG_REPORT_MAX, sizeof *report->entries);
    }
    report->entries[report->n] = (struct config_report_entry){
        .line = line,
        .column = column,
        .order = report->n,
        .path = mem_strdup(path),
        .message = mem_strdup(message),
    };
    report->n++;
}

static int
compare_places(const void *left, const void *right)
{
    const struct config_report_entry *a = left;
    const struct config_report_entry *b = right;
    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    if (a->column != b->column) {
        return a->column < b->column ? -1 : 1;
    }
    return a->order < b->order ? -1 : 1;
}

static void
print_escaped(FILE *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if (c < 0x20 || c == 0x7f) {
            fprintf(out, "\\x%02x", c);
        } else {
            fputc(c, out);
        }
    }
}

void
config_report_print(struct config_report *report, FILE *out)
{
    if (report->n != 0) {
        qsort(report->entries, report->n, sizeof *report->entries, compare_places);
    }
    for (size_t i = 0; i < report->n; i++) {
        const struct config_report_entry *entry = &report->entries[i];
        print_escaped(out, report->file);
        if (entry->line != 0) {
            fprintf(out, ":%d:%d: ", entry->line, entry->column);
            print_escaped(out, entry->path[0] == '\0' ? "." : entry->path);
        }
        fputs(": ", out);
        print_escaped(out, entry->message);
        fputc('\n', out);
    }
    if (report->count > report->n) {
        print_escaped(out, report->file);
        fprintf(out, ": %zu more errors are not shown\n", report->count - report->n);
    }
}
