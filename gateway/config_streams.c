/* config_streams: parses streams with their sources, and routes. Thread init. */
#include "config_streams.h"

#include "../connectors/connector.h"
#include "config_keys.h"
#include "config_value.h"
#include "mem.h"
#include "push_queue.h"
#include "record.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *
get_connector_name(const void *names, size_t i)
{
    (void)names;
    return connectors_all[i]->name;
}

/* The names of all connectors, with the nearest to word where it is not NULL. */
static void
report_connectors(struct config_parse *parse, int line, int column, const char *word)
{
    struct buf message;
    size_t n = 0;
    buf_init(&message);
    if (word == NULL) {
        buf_adds(&message, "must name exactly one connector of: ");
    } else {
        buf_addf(&message, "unknown connector '%.64s'; known are: ", word);
    }
    for (; connectors_all[n] != NULL; n++) {
        buf_addf(&message, "%s%s", n == 0 ? "" : ", ", connectors_all[n]->name);
    }
    int nearest =
        word == NULL ? -1 : config_value_nearest(word, get_connector_name, connectors_all, n);
    if (nearest >= 0) {
        buf_addf(&message, "; did you mean '%s'?", connectors_all[nearest]->name);
    }
    buf_addc(&message, '\0');
    config_report_add(parse->report, line, column, parse->path.bytes, "%s", message.bytes);
    buf_fini(&message);
}

/* Something in it could not be filled in: what it would have been cannot be checked. */
static bool
has_broken(const struct config_node *node)
{
    bool broken = node->broken;
    for (size_t i = 0; i < node->n && !broken; i++) {
        broken = has_broken(&node->items[i]);
    }
    return broken;
}

static void
parse_settings(struct config_parse *parse, const struct connector *connector,
    const struct config_node *node, struct config_stream *stream)
{
    size_t errors = parse->report->count;
    stream->connector = connector;
    stream->settings = mem_calloc(1, connector->section->size);
    config_parse_section(parse, connector->section, node, stream->settings);
    if (errors != parse->report->count || has_broken(node)) {
        return;
    }
    struct err err = {.code = ERR_NONE};
    if (connector->check(stream->settings, &err) != 0) {
        config_report_add(parse->report, err.line != 0 ? err.line : node->key_line,
            err.line != 0 ? err.column : node->key_column, parse->path.bytes, "%s", err.text);
    } else if (connector->variant != NULL) {
        stream->connector = connector->variant(stream->settings);
    }
}

static void
parse_source(
    struct config_parse *parse, const struct config_node *node, struct config_stream *stream)
{
    if (!config_parse_is(parse, node, CONFIG_NODE_MAP, "a mapping")) {
        return;
    }
    if (node->n != 1) {
        report_connectors(parse, node->key_line, node->key_column, NULL);
        return;
    }
    const struct config_node *item = &node->items[0];
    const struct connector *connector = connector_find(item->key);
    size_t mark = config_parse_enter(parse, item->key);
    if (connector == NULL) {
        report_connectors(parse, item->key_line, item->key_column, item->key);
    } else {
        parse_settings(parse, connector, item, stream);
    }
    config_parse_leave(parse, mark);
}

/* An error at the value of stream.outer.inner, or at the stream where that is not written. */
static void
report_at(struct config_parse *parse, const struct config_node *stream, const char *outer,
    const char *inner, const char *message)
{
    const struct config_node *section = config_yaml_find(stream, outer);
    const struct config_node *value = config_yaml_find(section, inner);
    const struct config_node *at = value != NULL ? value : section;
    size_t outer_mark = config_parse_enter(parse, outer);
    size_t inner_mark = config_parse_enter(parse, inner);
    config_report_add(parse->report, at != NULL ? at->line : stream->key_line,
        at != NULL ? at->column : stream->key_column, parse->path.bytes, "%s", message);
    config_parse_leave(parse, inner_mark);
    config_parse_leave(parse, outer_mark);
}

/* What a paused or slow subscriber has yet to get must always be in the ring. */
static void
check_bounds(
    struct config_parse *parse, const struct config_node *node, const struct config_stream *stream)
{
    char message[256];
    if (stream->queue_records > stream->ring_records) {
        snprintf(message, sizeof message,
            "%" PRIu64 " is less than slow.queue.records (%" PRIu64
            "): what a slow subscriber has yet to get must fit into the ring",
            stream->ring_records, stream->queue_records);
        report_at(parse, node, "ring", "records", message);
    }
    if (stream->queue_bytes + stream->max_record_bytes > stream->ring_bytes) {
        char ring[CONFIG_VALUE_TEXT_MAX];
        char queue[CONFIG_VALUE_TEXT_MAX];
        char record[CONFIG_VALUE_TEXT_MAX];
        config_value_format_bytes(ring, stream->ring_bytes);
        config_value_format_bytes(queue, stream->queue_bytes);
        config_value_format_bytes(record, stream->max_record_bytes);
        snprintf(message, sizeof message,
            "%s is less than slow.queue.bytes (%s) and max_record (%s) together: what a slow "
            "subscriber has yet to get must fit into the ring",
            ring, queue, record);
        report_at(parse, node, "ring", "bytes", message);
    }
}

/* A table without a stream's beginning would lack keys and not know it. */
static void
check_view(
    struct config_parse *parse, const struct config_node *node, const struct config_stream *stream)
{
    if (stream->view != VIEW_TABLE) {
        return;
    }
    const struct connector *connector = stream->connector;
    if (connector != NULL && ((connector->capabilities & CONNECTOR_REPLAYS) == 0 ||
                                 connector_on_request(connector, stream->settings))) {
        const struct config_node *view = config_yaml_find(node, "view");
        size_t mark = config_parse_enter(parse, "view");
        config_report_add(parse->report, view->line, view->column, parse->path.bytes,
            "a table needs a source that can be read from its beginning; %s cannot",
            connector->name);
        config_parse_leave(parse, mark);
    }
    if (stream->table_bytes < stream->max_record_bytes) {
        report_at(parse, node, "table", "bytes", "is less than max_record");
    }
}

static bool
is_stream_name(const char *name)
{
    size_t len = strlen(name);
    for (const char *at = name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("._-", *at) == NULL) {
            return false;
        }
    }
    /* "." and ".." would be taken out of a URL by every client. */
    return len >= 1 && len <= 128 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Durable consumers need a source that keeps readers' progress. */
static void
check_consumers(
    struct config_parse *parse, const struct config_node *node, const struct config_stream *stream)
{
    if (stream->consumers_allowed && stream->connector != NULL &&
        (stream->connector->capabilities & CONNECTOR_GROUPS) == 0) {
        char message[128];
        snprintf(message, sizeof message, "a source of %s keeps no progress of its readers",
            stream->connector->name);
        report_at(parse, node, "consumers", "allow", message);
    }
}

/* The largest record must fit beside others that are still arriving. */
#define PUSH_RECORDS_LEAST 4

static void
check_posts(
    struct config_parse *parse, const struct config_node *node, const struct config_stream *stream)
{
    struct push_options posts;
    if (stream->connector == NULL || stream->connector->takes_posts == NULL) {
        return;
    }
    stream->connector->takes_posts(stream->settings, &posts);
    if (posts.max_bytes / PUSH_RECORDS_LEAST < stream->max_record_bytes) {
        report_at(parse, node, "source", stream->connector->name,
            "memory is less than four times max_record");
    }
}

static void
parse_stream(
    struct config_parse *parse, const struct config_node *node, struct config_stream *stream)
{
    stream->name = mem_strdup(node->key);
    if (!is_stream_name(node->key)) {
        config_report_add(parse->report, node->key_line, node->key_column, parse->path.bytes,
            "'%.64s' is not a stream's name: 1 to 128 of A-Z a-z 0-9 . _ -", node->key);
    }
    size_t errors = parse->report->count;
    config_parse_section(parse, &config_keys_stream, node, stream);
    if (errors == parse->report->count) {
        check_bounds(parse, node, stream);
    }
    stream->slow_allow |= UINT32_C(1) << stream->slow_policy;
    const struct config_node *source = config_yaml_find(node, "source");
    if (source != NULL) {
        size_t mark = config_parse_enter(parse, "source");
        parse_source(parse, source, stream);
        config_parse_leave(parse, mark);
    }
    check_consumers(parse, node, stream);
    if (errors == parse->report->count && !has_broken(node)) {
        check_view(parse, node, stream);
        check_posts(parse, node, stream);
    }
}

/* Exact matches need paths that no client rewrites; /streams is the gateway's own. Braces enclose
 * whole parts: check_variables. */
static const char *
path_fault(const char *path)
{
    static const char good[] = "._~!$&'()*+,;=:@/-{}";
    if (path[0] != '/') {
        return "a path must begin with /";
    }
    for (const char *at = path; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr(good, *at) == NULL) {
            return "a path takes letters, digits and ._~!$&'()*+,;=:@/- alone";
        }
    }
    if (strstr(path, "//") != NULL || strstr(path, "/./") != NULL || strstr(path, "/../") != NULL) {
        return "a path must not have empty, . or .. parts";
    }
    const char *last = strrchr(path, '/');
    if (strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0) {
        return "a path must not have empty, . or .. parts";
    }
    if (strcmp(path, "/streams") == 0 || strncmp(path, "/streams/", 9) == 0) {
        return "/streams is served by the gateway itself";
    }
    return NULL;
}

static const char *
get_stream_name(const void *names, size_t i)
{
    const struct config_stream *streams = names;
    return streams[i].name;
}

static const struct config_stream *
find_stream(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->n_streams; i++) {
        if (strcmp(config->streams[i].name, name) == 0) {
            return &config->streams[i];
        }
    }
    return NULL;
}

static void
check_stream_exists(struct config_parse *parse, const struct config_node *node,
    const struct config *config, const char *name)
{
    if (find_stream(config, name) != NULL) {
        return;
    }
    int nearest = config_value_nearest(name, get_stream_name, config->streams, config->n_streams);
    size_t mark = config_parse_enter(parse, "stream");
    if (nearest >= 0) {
        config_parse_error(parse, config_yaml_find(node, "stream"),
            "there is no stream '%.128s': did you mean '%.128s'?", name,
            config->streams[nearest].name);
    } else {
        config_parse_error(parse, config_yaml_find(node, "stream"),
            "there is no stream '%.128s' under streams", name);
    }
    config_parse_leave(parse, mark);
}

static bool
takes_param(const struct config_stream *stream, const char *name, size_t len)
{
    const struct connector *connector = stream->connector;
    const char *one;
    for (size_t i = 0; connector != NULL && connector->request_param != NULL &&
                       (one = connector->request_param(stream->settings, i)) != NULL;
         i++) {
        if (strlen(one) == len && memcmp(one, name, len) == 0) {
            return true;
        }
    }
    return false;
}

/* Each {NAME} is a whole part of the path, and a parameter of the stream's source. */
static void
check_variables(struct config_parse *parse, const struct config_node *node,
    const struct config_stream *stream, const char *path)
{
    size_t len;
    for (const char *part = path; *part != '\0'; part += len) {
        part += *part == '/';
        len = strcspn(part, "/");
        bool braced = len > 2 && part[0] == '{' && part[len - 1] == '}';
        if (!braced && (memchr(part, '{', len) != NULL || memchr(part, '}', len) != NULL)) {
            config_report_add(parse->report, node->key_line, node->key_column, parse->path.bytes,
                "braces enclose a whole part of a path: /{NAME}/");
        } else if (braced && stream != NULL && !takes_param(stream, part + 1, len - 2)) {
            config_report_add(parse->report, node->key_line, node->key_column, parse->path.bytes,
                "'%.*s' is not a parameter of the source of the stream '%.128s'", (int)len - 2,
                part + 1, stream->name);
        }
    }
}

/* The last part of a download's path is its one variable. */
static bool
ends_in_variable(const char *path)
{
    const char *part = strrchr(path, '/');
    size_t len = part == NULL ? 0 : strlen(part);
    return len > 3 && part[1] == '{' && part[len - 1] == '}' && strchr(path, '{') == part + 1 &&
           strchr(path, '}') == part + len - 1;
}

static void
check_kind(
    struct config_parse *parse, const struct config_node *node, const struct config_route *route)
{
    bool download = route->kind == ROUTE_DOWNLOAD;
    if (download && (route->directory == NULL || route->directory[0] != '/')) {
        config_parse_error(parse, node, "kind download needs a directory that begins with /");
    } else if (download && (route->stream != NULL || route->format != FORMAT_AUTO ||
                               route->envelope != ENVELOPE_RECORD)) {
        config_parse_error(parse, node, "stream, format and envelope are for kind stream");
    } else if (download && !ends_in_variable(route->path)) {
        config_parse_error(parse, node, "the path of a download ends in /{NAME}, its one variable");
    } else if (!download && route->directory != NULL) {
        config_parse_error(parse, node, "directory is for kind download");
    } else if (!download && route->stream == NULL) {
        size_t mark = config_parse_enter(parse, "stream");
        config_parse_error(parse, node, "is required");
        config_parse_leave(parse, mark);
    }
}

/* What an SDK asks: its format is its own, and its stream one of models. */
static void
check_sdk(struct config_parse *parse, const struct config_node *node,
    const struct config_route *route, const struct config_stream *stream)
{
    if (route->format != FORMAT_AUTO || route->envelope != ENVELOPE_RECORD) {
        config_parse_error(parse, node, "format and envelope are for kind stream");
    } else if (strchr(route->path, '{') != NULL) {
        config_parse_error(parse, node, "the path of an SDK's base_url has no variables");
    } else if (stream != NULL && stream->connector != NULL &&
               (stream->connector->capabilities & CONNECTOR_ANSWERS) == 0) {
        config_parse_error(parse, node, "the stream must be one of models, with the source llm");
    }
}

static void
parse_route(struct config_parse *parse, const struct config_node *node, struct config *config)
{
    struct config_route *route = &config->routes[config->n_routes++];
    route->path = mem_strdup(node->key);
    const char *fault = path_fault(node->key);
    if (fault != NULL) {
        config_report_add(
            parse->report, node->key_line, node->key_column, parse->path.bytes, "%s", fault);
    }
    config_parse_section(parse, &config_keys_route, node, route);
    if (has_broken(node)) {
        return;
    }
    if (route->stream != NULL) {
        check_stream_exists(parse, node, config, route->stream);
    }
    check_kind(parse, node, route);
    if (route->kind == ROUTE_OPENAI || route->kind == ROUTE_ANTHROPIC) {
        check_sdk(
            parse, node, route, route->stream == NULL ? NULL : find_stream(config, route->stream));
    }
    if (fault == NULL && route->kind == ROUTE_STREAM) {
        check_variables(parse, node,
            route->stream == NULL ? NULL : find_stream(config, route->stream), route->path);
    }
}

/* How many entries of a mapping to read: 0 after an error. */
static size_t
count_entries(const struct config_parse *parse, const struct config_node *node, size_t most)
{
    if (node == NULL || !config_parse_is(parse, node, CONFIG_NODE_MAP, "a mapping")) {
        return 0;
    }
    if (node->n > most) {
        config_parse_error(parse, node, "has %zu entries; at most %zu", node->n, most);
        return 0;
    }
    return node->n;
}

void
config_streams_parse(struct config_parse *parse, const struct config_node *streams,
    const struct config_node *routes, struct config *config)
{
    size_t section_mark = config_parse_enter(parse, "streams");
    size_t n = count_entries(parse, streams, CONFIG_KEYS_STREAMS_MAX);
    config->streams = mem_calloc(n, sizeof *config->streams);
    for (size_t i = 0; i < n; i++) {
        size_t mark = config_parse_enter(parse, streams->items[i].key);
        parse_stream(parse, &streams->items[i], &config->streams[config->n_streams++]);
        config_parse_leave(parse, mark);
    }
    config_parse_leave(parse, section_mark);
    section_mark = config_parse_enter(parse, "routes");
    n = count_entries(parse, routes, CONFIG_KEYS_ROUTES_MAX);
    config->routes = mem_calloc(n, sizeof *config->routes);
    for (size_t i = 0; i < n; i++) {
        size_t mark = config_parse_enter(parse, routes->items[i].key);
        parse_route(parse, &routes->items[i], config);
        config_parse_leave(parse, mark);
    }
    config_parse_leave(parse, section_mark);
}

void
config_streams_fini(struct config *config)
{
    for (size_t i = 0; i < config->n_streams; i++) {
        struct config_stream *stream = &config->streams[i];
        config_parse_free(&config_keys_stream, stream);
        if (stream->settings != NULL) {
            config_parse_free(stream->connector->section, stream->settings);
        }
        free(stream->settings);
        free(stream->name);
    }
    free(config->streams);
    for (size_t i = 0; i < config->n_routes; i++) {
        config_parse_free(&config_keys_route, &config->routes[i]);
        free(config->routes[i].path);
    }
    free(config->routes);
}
