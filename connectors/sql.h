/* sql: rows of PostgreSQL or SQLite as a stream: of a request, which ends, or followed, which does
 * not. */
#ifndef HEADGATE_SQL_H
#define HEADGATE_SQL_H

#include "connector.h"

extern const struct connector sql_connector;

#endif
