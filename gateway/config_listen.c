/* config_listen: parses listen and admin. Thread init. Opens no socket. */
#include "config_listen.h"

#include "config_keys.h"
#include "config_value.h"
#include "mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
parse_port(const char *text, uint16_t *port, struct err *err)
{
    uint64_t value;
    if (config_value_count(text, &value, err) != 0 || value > 65535) {
        err_set(err, ERR_INVALID, "does not end with a port from 0 to 65535");
        return -1;
    }
    *port = (uint16_t)value;
    return 0;
}

static int
check_host(const char *host, int family, struct err *err)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(family, host, address) == 1) {
        return 0;
    }
    err_set(err, ERR_INVALID,
        "has no numeric address (names are not resolved): write 127.0.0.1:8080, [::1]:8080 or "
        ":8080");
    return -1;
}

int
config_listen_address(const char *text, struct config_listen *listen, struct err *err)
{
    uint16_t port;
    const char *colon = strrchr(text, ':');
    if (parse_port(colon == NULL ? text : colon + 1, &port, err) != 0) {
        return -1;
    }
    char *host = NULL;
    if (colon != NULL && colon != text) {
        size_t len = (size_t)(colon - text);
        bool bracketed = text[0] == '[' && text[len - 1] == ']' && len >= 2;
        host = bracketed ? mem_strndup(text + 1, len - 2) : mem_strndup(text, len);
        if (check_host(host, bracketed ? AF_INET6 : AF_INET, err) != 0) {
            free(host);
            return -1;
        }
    }
    listen->host = host;
    listen->port = port;
    return 0;
}

static bool
is_wildcard_of(const struct config_listen *listen, bool ipv6)
{
    return listen->host == NULL || strcmp(listen->host, ipv6 ? "::" : "0.0.0.0") == 0;
}

/* SO_REUSEPORT would let the kernel deal connections out to both. 0.0.0.0 beside [::] is fine. */
static bool
in_each_others_way(const struct config_listen *a, const struct config_listen *b)
{
    if (a->port != b->port || a->port == 0) {
        return false;
    }
    if (a->host == NULL || b->host == NULL) {
        return true;
    }
    bool ipv6 = strchr(a->host, ':') != NULL;
    if (ipv6 != (strchr(b->host, ':') != NULL)) {
        return false;
    }
    return strcmp(a->host, b->host) == 0 || is_wildcard_of(a, ipv6) || is_wildcard_of(b, ipv6);
}

static void
check_against(const struct config_parse *parse, const struct config_node *node,
    const struct config *config, size_t n, const struct config_listen *listen)
{
    for (size_t i = 0; i < n; i++) {
        if (in_each_others_way(listen, &config->listen[i])) {
            config_parse_error(
                parse, node, "port %u is taken by a listener above", (unsigned)listen->port);
            return;
        }
    }
}

/* Only a scalar that is there; -1 after reporting. */
static int
parse_address(const struct config_parse *parse, const struct config_node *node, const char *text,
    struct config_listen *listen)
{
    struct err err;
    if (config_listen_address(text, listen, &err) != 0) {
        const char *shown = node->written != NULL ? node->written : text;
        config_parse_error(parse, node, "'%.80s' %s", shown, err.text);
        return -1;
    }
    return 0;
}

static void
check_file(
    struct config_parse *parse, const struct config_node *tls, const char *name, const char *file)
{
    size_t mark = config_parse_enter(parse, name);
    const struct config_node *node = config_yaml_find(tls, name);
    if (file == NULL) {
        config_parse_error(parse, tls, "is required where tls is configured");
    } else if (access(file, R_OK) != 0) {
        struct err err;
        err_set_errno(&err, errno, "cannot read %.200s", file);
        config_parse_error(parse, node, "%s", err.text);
    }
    config_parse_leave(parse, mark);
}

static void
parse_mapping(
    struct config_parse *parse, const struct config_node *node, struct config_listen *listen)
{
    struct config_keys_listener listener = {NULL, NULL, NULL};
    size_t errors = parse->report->count;
    config_parse_section(parse, &config_keys_listen, node, &listener);
    const struct config_node *tls = config_yaml_find(node, "tls");
    if (tls != NULL && errors == parse->report->count) {
        size_t mark = config_parse_enter(parse, "tls");
        check_file(parse, tls, "cert", listener.tls_cert);
        check_file(parse, tls, "key", listener.tls_key);
        config_parse_leave(parse, mark);
    }
    if (listener.address != NULL) {
        size_t mark = config_parse_enter(parse, "address");
        parse_address(parse, config_yaml_find(node, "address"), listener.address, listen);
        config_parse_leave(parse, mark);
    }
    free(listener.address);
    listen->tls_cert = listener.tls_cert;
    listen->tls_key = listener.tls_key;
}

static void
parse_listener(struct config_parse *parse, const struct config_node *node, struct config *config)
{
    struct config_listen *listen = &config->listen[config->n_listen];
    size_t errors = parse->report->count;
    if (node->kind == CONFIG_NODE_MAP) {
        parse_mapping(parse, node, listen);
    } else if (config_parse_is(parse, node, CONFIG_NODE_SCALAR, "an address or a mapping") &&
               !node->broken) {
        parse_address(parse, node, node->text, listen);
    }
    if (errors == parse->report->count) {
        check_against(parse, node, config, config->n_listen, listen);
    }
    config->n_listen++;
}

static void
parse_listeners(struct config_parse *parse, const struct config_node *node, struct config *config)
{
    if (node->kind != CONFIG_NODE_LIST) {
        config->listen = mem_calloc(1, sizeof *config->listen);
        parse_listener(parse, node, config);
        return;
    }
    if (node->n == 0 || node->n > CONFIG_KEYS_LISTEN_MAX) {
        config_parse_error(parse, node, "must have from 1 to %d items", CONFIG_KEYS_LISTEN_MAX);
        return;
    }
    config->listen = mem_calloc(node->n, sizeof *config->listen);
    for (size_t i = 0; i < node->n; i++) {
        size_t mark = config_parse_enter_item(parse, i);
        parse_listener(parse, &node->items[i], config);
        config_parse_leave(parse, mark);
    }
}

void
config_listen_parse(struct config_parse *parse, const struct config_node *listen,
    const struct config_node *admin, struct config *config)
{
    char listen_default[] = CONFIG_KEYS_LISTEN_DEFAULT;
    char admin_default[] = CONFIG_KEYS_ADMIN_DEFAULT;
    const struct config_node listen_node = {.kind = CONFIG_NODE_SCALAR, .text = listen_default};
    const struct config_node admin_node = {
        .kind = CONFIG_NODE_SCALAR, .text = admin_default, .line = 1, .column = 1};
    size_t mark = config_parse_enter(parse, "listen");
    parse_listeners(parse, listen == NULL ? &listen_node : listen, config);
    config_parse_leave(parse, mark);
    mark = config_parse_enter(parse, "admin");
    admin = admin == NULL ? &admin_node : admin;
    if (config_parse_is(parse, admin, CONFIG_NODE_SCALAR, "an address") && !admin->broken &&
        parse_address(parse, admin, admin->text, &config->admin) == 0) {
        check_against(parse, admin, config, config->n_listen, &config->admin);
    }
    config_parse_leave(parse, mark);
}

static void
fini_listener(struct config_listen *listen)
{
    free(listen->host);
    free(listen->tls_cert);
    free(listen->tls_key);
}

void
config_listen_fini(struct config *config)
{
    for (size_t i = 0; i < config->n_listen; i++) {
        fini_listener(&config->listen[i]);
    }
    free(config->listen);
    fini_listener(&config->admin);
}
