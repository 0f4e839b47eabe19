/* connectors: the registry. To add a connector: its file, one row here. Any thread: const. */
#include "connector.h"

#include <stddef.h>
#include <string.h>

extern const struct connector file_connector;
extern const struct connector kafka_connector;
extern const struct connector llm_connector;
extern const struct connector push_connector;
extern const struct connector sql_connector;
extern const struct connector synthetic_connector;

const struct connector *const connectors_all[] = {&file_connector, &kafka_connector, &llm_connector,
    &push_connector, &sql_connector, &synthetic_connector, NULL};

const struct connector *
connector_find(const char *name)
{
    for (size_t i = 0; connectors_all[i] != NULL; i++) {
        if (strcmp(connectors_all[i]->name, name) == 0) {
            return connectors_all[i];
        }
    }
    return NULL;
}
