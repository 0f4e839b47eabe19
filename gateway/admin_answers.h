/* admin_answers: the metrics of answers of models. Thread  admin's. */
#ifndef HEADGATE_ADMIN_ANSWERS_H
#define HEADGATE_ADMIN_ANSWERS_H

#include "server.h"

/* admin_answers: append their families, each with a sample for each stream of models. */
void admin_answers(const struct server *server, struct buf *out);

#endif
