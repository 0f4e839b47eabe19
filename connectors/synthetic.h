/* synthetic: a source that makes its own records: for load tests and for examples without Kafka. */
#ifndef HEADGATE_SYNTHETIC_H
#define HEADGATE_SYNTHETIC_H

#include "../gateway/config_table.h"
#include "connector.h"

struct synthetic_settings {
    uint64_t rate;       /* records a second; 0: as fast as there is room */
    uint64_t size;       /* payload bytes */
    uint64_t batch;      /* records a commit */
    uint64_t partitions; /* lanes, used in turn */
    uint64_t count;      /* records in all; 0: no end */
    uint64_t keys;       /* distinct keys; 0: no key */
    bool on_request;     /* each request has count records to itself */
    uint64_t fail_after; /* on_request: records before it fails; 0: it does not */
};

extern const struct config_section synthetic_section;
extern const struct connector synthetic_connector;

#endif
