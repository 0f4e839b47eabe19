/* stream_family: see stream_family.h. Admin shard's thread. */
#include "stream_family.h"

#include "metrics.h"

#include <string.h>

static void
add_stream(const struct server *server, size_t stream, const struct stream_family *family,
    struct buf *labels, struct buf *out)
{
    const char *name = stream_name(server->streams[stream]);
    if (family->label == NULL) {
        metrics_sample_u64(out, family->name, metrics_stream_labels(labels, name, NULL, NULL),
            family->pick(server, stream, family->field, 0));
    }
    for (int word = family->first; word < family->end; word++) {
        metrics_sample_u64(out, family->name,
            metrics_stream_labels(labels, name, family->label, family->words[word]),
            family->pick(server, stream, family->field, word));
    }
}

static void
add_family(const struct server *server, const struct stream_family *family, struct buf *labels,
    struct buf *out)
{
    bool told = !family->if_any;
    if (told) {
        metrics_family(out, family->name, family->type, family->help);
    }
    for (size_t i = 0; i < server->n_streams; i++) {
        if (family->has != NULL && !family->has(server->streams[i])) {
            continue;
        }
        if (!told) {
            metrics_family(out, family->name, family->type, family->help);
            told = true;
        }
        add_stream(server, i, family, labels, out);
    }
}

void
stream_families(
    const struct server *server, const struct stream_family *families, size_t n, struct buf *out)
{
    struct buf labels;
    buf_init(&labels);
    for (size_t i = 0; i < n; i++) {
        add_family(server, &families[i], &labels, out);
    }
    buf_fini(&labels);
}

uint64_t
stream_family_at(const void *state, size_t field, int word)
{
    uint64_t value;
    memcpy(&value, (const char *)state + field + (size_t)word * sizeof value, sizeof value);
    return value;
}
