/* config_listen: addresses to listen at. Thread  init. */
#ifndef HEADGATE_CONFIG_LISTEN_H
#define HEADGATE_CONFIG_LISTEN_H

#include "config.h"
#include "config_parse.h"

/* config_listen_address: "127.0.0.1:8080", "[::1]:8080", ":8080" or "8080" into host and port;
 * names are not resolved. Owns    listen->host is the caller's to free.  Errors -1 and err->text:
 * "is not ...". */
int config_listen_address(const char *text, struct config_listen *listen, struct err *err);

/* config_listen_parse: the values of listen and admin (NULL: the defaults) into config; errors and
 * addresses that are in each other's way go to the report.
 * Owns    config_listen_fini frees what config holds of them. */
void config_listen_parse(struct config_parse *parse, const struct config_node *listen,
    const struct config_node *admin, struct config *config);
void config_listen_fini(struct config *config);

#endif
