/* llm: models as a source: answers, event by event (llm_event.h), and with a log those of other
 * gateways too (llm_log.h). */
#ifndef HEADGATE_LLM_H
#define HEADGATE_LLM_H

#include "connector.h"

extern const struct connector llm_connector;

#endif
