/* config_keys: the table of the gateway's own keys. Each connector brings the table of its section.
 *
 * The walk of config_parse fills what the table can say; config_load.c parses the CONFIG_CUSTOM
 * ones: listen, admin, streams, routes, source. Thread  any: const. */
#ifndef HEADGATE_CONFIG_KEYS_H
#define HEADGATE_CONFIG_KEYS_H

#include "config_table.h"

extern const struct config_section config_keys_root;        /* struct config */
extern const struct config_section config_keys_compression; /* struct config */
extern const struct config_section config_keys_stream;      /* struct config_stream */
extern const struct config_section config_keys_generations; /* struct config_stream */
extern const struct config_section config_keys_route;       /* struct config_route */
extern const struct config_section config_keys_listen;      /* struct config_keys_listener */

#define CONFIG_KEYS_LISTEN_DEFAULT "0.0.0.0:8080"
#define CONFIG_KEYS_ADMIN_DEFAULT "127.0.0.1:9901"
#define CONFIG_KEYS_NAME_PATTERN "^[A-Za-z0-9._-]{1,128}$"
#define CONFIG_KEYS_PATH_PATTERN "^(/([A-Za-z0-9._~!$&'()*+,;=:@-]*|\\{[^/{}]+\\}))+$"
#define CONFIG_KEYS_STREAMS_MAX 1000
#define CONFIG_KEYS_ROUTES_MAX 1000
#define CONFIG_KEYS_LISTEN_MAX 16

/* What the mapping form of a listener says, before its address is taken apart. */
struct config_keys_listener {
    char *address;
    char *tls_cert;
    char *tls_key;
};

#endif
