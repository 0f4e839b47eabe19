/* config_print: struct config as YAML that config_load takes again. Thread any. Secrets are masked:
 * those that a table says are, and connector options whose names say so. */
#include "../connectors/connector.h"
#include "config.h"
#include "config_field.h"
#include "config_keys.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define MASK "***"

static void
print_indent(FILE *out, int depth)
{
    fprintf(out, "%*s", depth * 2, "");
}

static bool
is_plain(const char *text)
{
    static const char *const words[] = {
        "true", "false", "null", "yes", "no", "on", "off", "y", "n"};
    if (!isalpha((unsigned char)text[0]) && text[0] != '/') {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("_./-", *at) == NULL) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* The code point at bytes and its length; text is valid UTF-8 here (libyaml and config_expand see
 * to that). */
static size_t
code_point(const unsigned char *bytes, unsigned *point)
{
    size_t len = bytes[0] < 0x80 ? 1 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    *point = len == 1 ? bytes[0] : bytes[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        *point = *point << 6 | (bytes[i] & 0x3fU);
    }
    return len;
}

/* What YAML 1.2 (section 5.1) or libyaml do not read raw inside of double quotes, or fold. */
static bool
must_escape(unsigned point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x2028 || point == 0x2029 ||
           point == 0xfeff || point == 0xfffe || point == 0xffff;
}

static void
print_quoted(FILE *out, const char *text, bool expanded)
{
    const unsigned char *at = (const unsigned char *)text;
    fputc('"', out);
    while (*at != '\0') {
        unsigned point;
        size_t len = code_point(at, &point);
        if (expanded && at[0] == '$' && at[1] == '{') {
            fputs("$$", out); /* $${ is read back as ${ */
        } else if (point == '"' || point == '\\') {
            fprintf(out, "\\%c", (int)point);
        } else if (must_escape(point)) {
            fprintf(out, point < 0x80 ? "\\x%02x" : "\\u%04x", point);
        } else {
            fwrite(at, 1, len, out);
        }
        at += len;
    }
    fputc('"', out);
}

static void
print_value(FILE *out, const char *text)
{
    if (is_plain(text)) {
        fputs(text, out);
    } else {
        print_quoted(out, text, true);
    }
}

static void
print_name(FILE *out, const char *name)
{
    if (is_plain(name)) {
        fputs(name, out);
    } else {
        print_quoted(out, name, false);
    }
}

static void
print_strings(FILE *out, const struct config_strings *strings, bool masked)
{
    fputc('[', out);
    for (size_t i = 0; i < strings->n; i++) {
        fputs(i == 0 ? "" : ", ", out);
        print_value(out, masked ? MASK : strings->items[i]);
    }
    fputs("]\n", out);
}

static bool
names_a_secret(const char *name)
{
    static const char *const words[] = {"password", "secret", "token", "pem", "username", "jaas",
        "credential", "oauthbearer.config", "authorization", "api-key", "cookie"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strcasestr(name, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void
print_pairs(FILE *out, int depth, const struct config_pairs *pairs)
{
    if (pairs->n == 0) {
        fputs(" {}\n", out);
        return;
    }
    fputc('\n', out);
    for (size_t i = 0; i < pairs->n; i++) {
        print_indent(out, depth + 1);
        print_name(out, pairs->items[i].name);
        fputs(": ", out);
        print_value(out, names_a_secret(pairs->items[i].name) ? MASK : pairs->items[i].value);
        fputc('\n', out);
    }
}

static void
print_set(FILE *out, const char *const *choices, uint32_t set)
{
    const char *separator = "";
    fputc('[', out);
    for (unsigned i = 0; choices[i] != NULL; i++) {
        if ((set & UINT32_C(1) << i) != 0) {
            fprintf(out, "%s%s", separator, choices[i]);
            separator = ", ";
        }
    }
    fputs("]\n", out);
}

static void
print_number(FILE *out, const struct config_key *key, uint64_t value)
{
    char text[64];
    config_field_format_number(key, text, value);
    fprintf(out, "%s\n", key->zero_word != NULL && value == 0 ? key->zero_word : text);
}

static void
print_field(FILE *out, const struct config_key *key, const void *field)
{
    switch (key->kind) {
    case CONFIG_STRING:
        print_value(out, *(char *const *)field);
        fputc('\n', out);
        break;
    case CONFIG_SECRET:
        print_value(out, MASK);
        fputc('\n', out);
        break;
    case CONFIG_BOOL:
        fputs(*(const bool *)field ? "true\n" : "false\n", out);
        break;
    case CONFIG_COUNT:
    case CONFIG_BYTES:
    case CONFIG_DURATION:
        print_number(out, key, *(const uint64_t *)field);
        break;
    case CONFIG_ENUM:
        fprintf(out, "%s\n", key->choices[*(const int *)field]);
        break;
    case CONFIG_ENUM_SET:
        print_set(out, key->choices, *(const uint32_t *)field);
        break;
    case CONFIG_STRINGS:
    case CONFIG_SECRETS:
        print_strings(out, field, key->kind == CONFIG_SECRETS);
        break;
    case CONFIG_PAIRS:
    case CONFIG_SECTION:
    case CONFIG_SECTIONS:
    case CONFIG_CUSTOM:
        break; /* print_section's */
    }
}

static bool
is_absent(const struct config_key *key, const void *field)
{
    return key->kind == CONFIG_CUSTOM ||
           ((key->kind == CONFIG_STRING || key->kind == CONFIG_SECRET) &&
               *(char *const *)field == NULL);
}

static void print_section(
    FILE *out, int depth, const struct config_section *section, const void *data);

static void
print_sections(FILE *out, int depth, const struct config_section *section,
    const struct config_sections *sections)
{
    fputs(sections->n == 0 ? " []\n" : "\n", out);
    for (size_t i = 0; i < sections->n; i++) {
        print_indent(out, depth + 1);
        fputs("-\n", out);
        print_section(out, depth + 2, section, (const char *)sections->items + i * section->size);
    }
}

static void
print_section(FILE *out, int depth, const struct config_section *section, const void *data)
{
    for (size_t i = 0; i < section->n_keys; i++) {
        const struct config_key *key = &section->keys[i];
        const void *field = (const char *)data + key->offset;
        if (is_absent(key, field)) {
            continue;
        }
        print_indent(out, depth);
        fprintf(out, "%s:", key->name);
        if (key->kind == CONFIG_SECTION) {
            fputc('\n', out);
            print_section(out, depth + 1, key->child, field);
        } else if (key->kind == CONFIG_SECTIONS) {
            print_sections(out, depth, key->child, field);
        } else if (key->kind == CONFIG_PAIRS) {
            print_pairs(out, depth, field);
        } else {
            fputc(' ', out);
            print_field(out, key, field);
        }
    }
}

static void
print_address(FILE *out, const struct config_listen *listen)
{
    const char *host = listen->host == NULL ? "" : listen->host;
    bool ipv6 = strchr(host, ':') != NULL;
    fprintf(out, "\"%s%s%s:%u\"\n", ipv6 ? "[" : "", host, ipv6 ? "]" : "", (unsigned)listen->port);
}

static void
print_listeners(FILE *out, const struct config *config)
{
    fputs("listen:\n", out);
    for (size_t i = 0; i < config->n_listen; i++) {
        const struct config_listen *listen = &config->listen[i];
        fputs("  - address: ", out);
        print_address(out, listen);
        if (listen->tls_cert != NULL) {
            fputs("    tls:\n      cert: ", out);
            print_value(out, listen->tls_cert);
            fputs("\n      key: ", out);
            print_value(out, listen->tls_key);
            fputc('\n', out);
        }
    }
    fputs("admin: ", out);
    print_address(out, &config->admin);
}

static void
print_stream(FILE *out, const struct config_stream *stream)
{
    print_indent(out, 1);
    print_name(out, stream->name);
    fputs(":\n    source:\n", out);
    print_indent(out, 3);
    fprintf(out, "%s:\n", stream->connector->name);
    print_section(out, 4, stream->connector->section, stream->settings);
    print_section(out, 2, &config_keys_stream, stream);
}

void
config_print(const struct config *config, FILE *out)
{
    print_listeners(out, config);
    print_section(out, 0, &config_keys_root, config);
    fputs(config->n_streams == 0 ? "streams: {}\n" : "streams:\n", out);
    for (size_t i = 0; i < config->n_streams; i++) {
        print_stream(out, &config->streams[i]);
    }
    fputs(config->n_routes == 0 ? "routes: {}\n" : "routes:\n", out);
    for (size_t i = 0; i < config->n_routes; i++) {
        print_indent(out, 1);
        print_name(out, config->routes[i].path);
        fputs(":\n", out);
        print_section(out, 2, &config_keys_route, &config->routes[i]);
    }
}
