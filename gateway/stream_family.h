/* stream_family: families of metrics whose samples are streams' numbers, one by one or by a word
 * such as a reason. A family is a row of a table. Thread  admin's. */
#ifndef HEADGATE_STREAM_FAMILY_H
#define HEADGATE_STREAM_FAMILY_H

#include "server.h"

struct stream_family {
    const char *name, *type, *help;
    const char *label;        /* beside the stream; NULL: one sample a stream */
    const char *const *words; /* the label's values: those from the first to before end */
    int first, end;
    bool (*has)(struct stream *stream); /* NULL: every stream has it */
    bool if_any;                        /* no family where no stream has it */
    /* The number at field, as it is known to pick, of server's stream; word 0 without a label. */
    uint64_t (*pick)(const struct server *server, size_t stream, size_t field, int word);
    size_t field;
};

/* stream_families: append n families, each with the samples of all streams that have it. */
void stream_families(
    const struct server *server, const struct stream_family *families, size_t n, struct buf *out);

/* stream_family_at: for picks: the word-th uint64_t at the offset field of state. */
uint64_t stream_family_at(const void *state, size_t field, int word);

#endif
