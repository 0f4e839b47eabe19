/* config_load: a configuration file into struct config: read, fill in, walk, resolve. Thread init.
 */
#include "bound.h"
#include "config.h"
#include "config_keys.h"
#include "config_listen.h"
#include "config_parse.h"
#include "config_streams.h"
#include "mem.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* One for each processor that this process may use: a container's cpuset counts. */
static uint64_t
count_processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        return 1;
    }
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > 64 ? 64 : (uint64_t)n;
}

/* Each thread takes its share of the connections, so none may be left with nothing. */
static void
check_shares(
    struct config_parse *parse, const struct config_node *root, const struct config *config)
{
    if (config->max_connections == 0 || config->max_connections >= config->threads) {
        return;
    }
    const struct config_node *limits = config_yaml_find(root, "limits");
    size_t outer = config_parse_enter(parse, "limits");
    size_t inner = config_parse_enter(parse, "connections");
    config_parse_error(
        parse, config_yaml_find(limits, "connections"), "must be at least the number of threads");
    config_parse_leave(parse, inner);
    config_parse_leave(parse, outer);
}

static void
parse_document(struct config_parse *parse, struct config_node *root, struct config *config)
{
    config_parse_expand(parse, root);
    config_parse_section(parse, &config_keys_root, root, config);
    check_shares(parse, root, config);
    config_listen_parse(
        parse, config_yaml_find(root, "listen"), config_yaml_find(root, "admin"), config);
    config_streams_parse(
        parse, config_yaml_find(root, "streams"), config_yaml_find(root, "routes"), config);
}

static void
resolve(struct config *config)
{
    bool threads_auto = config->threads == 0;
    if (threads_auto) {
        config->threads = count_processors();
    }
    if (config->max_connections == 0) {
        config->max_connections = bound_auto_connections(config, bound_descriptor_limit());
    }
    if (threads_auto && config->threads > config->max_connections) {
        config->threads = config->max_connections;
    }
}

int
config_load_text(
    struct config *config, const char *name, const char *text, size_t len, FILE *errors)
{
    struct config_report report;
    struct config_parse parse;
    struct config loaded;
    memset(&loaded, 0, sizeof loaded);
    config_report_init(&report, name);
    config_parse_init(&parse, &report);
    struct config_node *root = config_yaml_parse(text, len, &report);
    if (root != NULL) {
        parse_document(&parse, root, &loaded);
    }
    config_yaml_free(root);
    config_parse_fini(&parse);
    int result = report.count == 0 ? 0 : -1;
    config_report_print(&report, errors);
    config_report_fini(&report);
    if (result != 0) {
        config_fini(&loaded);
        return -1;
    }
    resolve(&loaded);
    *config = loaded;
    for (size_t i = 0; i < config->n_streams; i++) {
        config->streams[i].tokens = &config->tokens;
    }
    return 0;
}

/* At most one byte more than is taken, so that the parser can refuse what is too large. */
static int
read_stream(FILE *in, struct buf *text)
{
    while (text->len <= CONFIG_YAML_BYTES_MAX) {
        size_t want = CONFIG_YAML_BYTES_MAX + 1 - text->len;
        want = want < 65536 ? want : 65536;
        size_t got = fread(buf_reserve(text, want), 1, want, in);
        text->len += got;
        if (got < want) {
            break;
        }
    }
    return ferror(in) ? -1 : 0;
}

int
config_load(struct config *config, const char *path, FILE *errors)
{
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    FILE *in = is_stdin ? stdin : fopen(path, "re");
    struct buf text;
    buf_init(&text);
    int result = -1;
    if (in == NULL || read_stream(in, &text) != 0) {
        struct err err;
        err_set_errno(&err, errno, "%.200s: cannot be read", name);
        fprintf(errors, "%s\n", err.text);
    } else {
        result = config_load_text(config, name, text.bytes, text.len, errors);
    }
    if (in != NULL && !is_stdin) {
        fclose(in);
    }
    buf_fini(&text);
    return result;
}

void
config_fini(struct config *config)
{
    config_parse_free(&config_keys_root, config);
    config_listen_fini(config);
    config_streams_fini(config);
    memset(config, 0, sizeof *config);
}
