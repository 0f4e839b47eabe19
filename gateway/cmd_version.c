/* `headgate version`: the program, its libraries as they are at run time, its compiler. Thread:
 * init. */
#include "cmd.h"
#include "version.h"

#include <curl/curl.h>
#include <jansson.h>
#include <librdkafka/rdkafka.h>
#include <libwebsockets.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>
#include <zlib.h>
#include <zstd.h>

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

struct part {
    const char *name;
    const char *version;
};

/* lws_get_library_version has the version first and build details after it. */
static void
version_word(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%.*s", (int)strcspn(text, "- "), text);
}

static void
print_text(const struct part *parts, size_t n)
{
    printf("headgate %s (%s)\n", version_text, version_commit);
    for (size_t i = 0; i < n; i++) {
        printf("%-14s %s\n", parts[i].name, parts[i].version);
    }
}

static int
print_json(const struct part *parts, size_t n)
{
    json_t *root = json_pack("{s:s, s:s}", "version", version_text, "commit", version_commit);
    int rc = root == NULL ? -1 : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = json_object_set_new(root, parts[i].name, json_string(parts[i].version));
    }
    if (rc == 0) {
        rc = json_dumpf(root, stdout, JSON_PRESERVE_ORDER);
        putchar('\n');
    }
    json_decref(root);
    return rc == 0 ? 0 : 1;
}

int
cmd_version(int argc, char **argv)
{
    static const char usage[] = "usage: headgate version [--json]\n";
    bool json = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(usage, stdout);
            return 0;
        } else {
            fprintf(stderr, "headgate version: unexpected argument: %s\n%s", argv[i], usage);
            return 2;
        }
    }
    char lws[32];
    version_word(lws, sizeof lws, lws_get_library_version());
    const struct part parts[] = {
        {"libwebsockets", lws},
        {"librdkafka", rd_kafka_version_str()},
        {"jansson", JANSSON_VERSION},
        {"libyaml", yaml_get_version_string()},
        {"libcurl", curl_version_info(CURLVERSION_NOW)->version},
        {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
        {"zlib", zlibVersion()},
        {"zstd", ZSTD_versionString()},
        {"compiler", COMPILER},
    };
    const size_t n = sizeof parts / sizeof *parts;
    if (json) {
        return print_json(parts, n);
    }
    print_text(parts, n);
    return 0;
}
