/* kafka: the Kafka source; see connector.h for what its functions promise. */
#ifndef HEADGATE_KAFKA_H
#define HEADGATE_KAFKA_H

#include "connector.h"

extern const struct connector kafka_connector;

#endif
