/* admin_metrics: all of /metrics, read from what other threads publish. Thread  admin's. */
#ifndef HEADGATE_ADMIN_METRICS_H
#define HEADGATE_ADMIN_METRICS_H

#include "server.h"

/* admin_metrics: append every family, in the text format of metrics.h. */
void admin_metrics(const struct server *server, struct buf *out);

#endif
