/* config_reference: the keys as Markdown tables, one a section. Thread init. */
#include "../connectors/connector.h"
#include "buf.h"
#include "config.h"
#include "config_keys.h"
#include "config_words.h"

#include <string.h>

/* A cell: a bar would end it. */
static void
print_cell(FILE *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        fprintf(out, *at == '|' ? "\\%c" : "%c", *at);
    }
}

static void
print_row(FILE *out, const char *prefix, const struct config_key *key)
{
    struct buf kind;
    buf_init(&kind);
    config_words_kind(&kind, key);
    buf_addc(&kind, '\0');
    fprintf(out, "| `%s%s` | ", prefix, key->name);
    print_cell(out, kind.bytes);
    fputs(" | ", out);
    if (key->fallback != NULL) {
        fputc('`', out);
        print_cell(out, key->fallback);
        fputc('`', out);
    } else {
        fputs(key->required ? "required" : "none", out);
    }
    fputs(" | ", out);
    print_cell(out, key->prose == NULL ? "" : key->prose);
    fputs(" |\n", out);
    buf_fini(&kind);
}

/* Nested sections become dotted names in the table of the section around. */
static void
print_rows(FILE *out, const char *prefix, const struct config_section *section)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        const struct config_key *key = &section->keys[i];
        bool list = key->kind == CONFIG_SECTIONS;
        if (key->kind != CONFIG_SECTION) {
            print_row(out, prefix, key);
        }
        if (key->kind != CONFIG_SECTION && !list) {
            continue;
        }
        char nested[256];
        snprintf(nested, sizeof nested, "%s%s%s.", prefix, key->name, list ? "[]" : "");
        print_rows(out, nested, key->child);
    }
}

static void
print_table(FILE *out, const char *title, const char *text, const struct config_section *section)
{
    fprintf(out, "\n## %s\n\n%s\n\n", title, text);
    fputs("| key | value | default | meaning |\n|---|---|---|---|\n", out);
    print_rows(out, "", section);
}

void
config_reference_print(FILE *out)
{
    fputs(
        "# Configuration reference\n\n"
        "Made by `headgate config reference`; do not edit. Sizes are bytes or take KiB, MiB and "
        "GiB; "
        "durations take ms, s, m and h. `${VAR}`, `${VAR:-default}` and `${file:/path}` are filled "
        "into values; `$${` stands for `${`.\n",
        out);
    print_table(out, "The file", "Keys at the top.", &config_keys_root);
    print_table(out, "listen as a mapping", "An item of `listen` with its own certificate.",
        &config_keys_listen);
    print_table(out, "streams.NAME", "One stream.", &config_keys_stream);
    for (size_t i = 0; connectors_all[i] != NULL; i++) {
        char title[256];
        char text[256];
        snprintf(title, sizeof title, "streams.NAME.source.%s", connectors_all[i]->name);
        snprintf(text, sizeof text, "Settings of the connector `%s`.", connectors_all[i]->name);
        print_table(out, title, text, connectors_all[i]->section);
    }
    print_table(out, "routes.PATH", "One route.", &config_keys_route);
}
