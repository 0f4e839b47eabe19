/* config_streams: the values of streams and routes, and what must hold among them. Thread  init. */
#ifndef HEADGATE_CONFIG_STREAMS_H
#define HEADGATE_CONFIG_STREAMS_H

#include "config.h"
#include "config_parse.h"

/* config_streams_parse: into config; errors go to the report. The nodes may be NULL: none.
 * Owns    config_streams_fini frees what config holds of them. */
void config_streams_parse(struct config_parse *parse, const struct config_node *streams,
    const struct config_node *routes, struct config *config);
void config_streams_fini(struct config *config);

#endif
