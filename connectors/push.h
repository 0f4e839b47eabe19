/* push: a source whose records clients post. Without Kafka it publishes them itself; with a topic
 * beneath (push_kafka.c) it writes them there, and publishes what it reads from there. */
#ifndef HEADGATE_PUSH_H
#define HEADGATE_PUSH_H

#include "connector.h"

extern const struct connector push_connector, push_kafka_connector;

#endif
