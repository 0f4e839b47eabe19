/* consumer: the table of durable connections and their acks. Any thread. */
#include "consumer.h"

#include "buf.h"
#include "mem.h"
#include "ring.h"
#include "token.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define STEP 64

struct consumer {
    TAILQ_ENTRY(consumer) link;
    struct consumers *all;
    struct consumer_options options; /* name is its own */
    uint64_t sent_seq, last_seq, acked_seq;
    uint64_t sending_seq; /* sent_seq, or beyond it while more is being sent */
    int64_t since_ms;     /* when it began to owe an ack, or gave one last; 0: it owes none */
    char *acked_id;       /* of the record acked last; NULL: none yet */
};

struct tally {
    uint64_t acks, refused;
};

struct consumers {
    pthread_mutex_t lock;
    TAILQ_HEAD(consumer_list, consumer) list;
    struct tally *tallies; /* by stream */
    size_t n_tallies;
};

bool
consumer_name_valid(const char *name)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(name);
    return len >= 1 && len <= CONSUMER_NAME_MAX && strspn(name, good) == len;
}

char *
consumer_group(const struct config_stream *config, const char *name)
{
    struct buf group;
    buf_init(&group);
    for (const char *at = config->consumer_group; *at != '\0';) {
        if (strncmp(at, "{stream}", 8) == 0) {
            buf_adds(&group, config->name);
            at += 8;
        } else if (strncmp(at, "{consumer}", 10) == 0) {
            buf_adds(&group, name);
            at += 10;
        } else {
            buf_addc(&group, *at++);
        }
    }
    buf_addc(&group, '\0');
    return group.bytes;
}

/* ---- life ---- */

struct consumers *
consumers_new(void)
{
    struct consumers *consumers = mem_calloc(1, sizeof *consumers);
    pthread_mutex_init(&consumers->lock, NULL);
    TAILQ_INIT(&consumers->list);
    return consumers;
}

void
consumers_free(struct consumers *consumers)
{
    if (consumers != NULL) {
        pthread_mutex_destroy(&consumers->lock);
        free(consumers->tallies);
        free(consumers);
    }
}

struct consumer *
consumer_open(struct consumers *consumers, const struct consumer_options *options)
{
    struct consumer *consumer = mem_calloc(1, sizeof *consumer);
    consumer->all = consumers;
    consumer->options = *options;
    consumer->options.name = mem_strdup(options->name);
    pthread_mutex_lock(&consumers->lock);
    TAILQ_INSERT_TAIL(&consumers->list, consumer, link);
    pthread_mutex_unlock(&consumers->lock);
    return consumer;
}

void
consumer_close(struct consumer *consumer)
{
    if (consumer == NULL) {
        return;
    }
    pthread_mutex_lock(&consumer->all->lock);
    TAILQ_REMOVE(&consumer->all->list, consumer, link);
    pthread_mutex_unlock(&consumer->all->lock);
    free((char *)(uintptr_t)consumer->options.name);
    free(consumer->acked_id);
    free(consumer);
}

const char *
consumer_name(const struct consumer *consumer)
{
    return consumer->options.name;
}

bool
consumer_acks(const struct consumer *consumer)
{
    return consumer->options.acks;
}

/* ---- what is in flight ---- */

static bool
owes(const struct consumer *consumer)
{
    return consumer->last_seq > consumer->acked_seq;
}

/* With nothing in flight, what was passed over behind the last record needs no ack. */
static void
settle(struct consumer *consumer, int64_t now_ms)
{
    if (!owes(consumer)) {
        consumer->acked_seq =
            consumer->sent_seq > consumer->acked_seq ? consumer->sent_seq : consumer->acked_seq;
        consumer->since_ms = 0;
    } else if (consumer->since_ms == 0) {
        consumer->since_ms = now_ms;
    }
}

void
consumer_sending(struct consumer *consumer, uint64_t seq)
{
    pthread_mutex_lock(&consumer->all->lock);
    consumer->sending_seq = seq > consumer->sending_seq ? seq : consumer->sending_seq;
    pthread_mutex_unlock(&consumer->all->lock);
}

void
consumer_sent(struct consumer *consumer, uint64_t seq, uint64_t last, int64_t now_ms)
{
    pthread_mutex_lock(&consumer->all->lock);
    consumer->sent_seq = consumer->sending_seq = seq;
    consumer->last_seq = last;
    settle(consumer, now_ms);
    pthread_mutex_unlock(&consumer->all->lock);
}

uint64_t
consumer_settled(struct consumer *consumer)
{
    pthread_mutex_lock(&consumer->all->lock);
    uint64_t acked = consumer->acked_seq, sent = consumer->sent_seq;
    uint64_t seq = acked < sent ? acked : sent;
    pthread_mutex_unlock(&consumer->all->lock);
    return seq;
}

int64_t
consumer_waits_ms(struct consumer *consumer, int64_t now_ms)
{
    pthread_mutex_lock(&consumer->all->lock);
    int64_t waits_ms = consumer->since_ms == 0 ? 0 : now_ms - consumer->since_ms;
    pthread_mutex_unlock(&consumer->all->lock);
    return waits_ms;
}

/* ---- acks ---- */

/* The record in flight with that id; 0: none. */
static uint64_t
find_id(const struct consumer *consumer, const char *id, size_t len)
{
    uint64_t found = 0, seq = consumer->acked_seq + 1;
    while (found == 0 && seq <= consumer->sending_seq) {
        struct record *records[STEP];
        uint64_t left = consumer->sending_seq - seq + 1;
        size_t n = ring_read(
            consumer->options.ring, seq, records, left < STEP ? (size_t)left : STEP, UINT64_MAX);
        for (size_t i = 0; i < n; i++) {
            const struct record *record = records[i];
            if (record->id_len == len && memcmp(record->text + record->id_off, id, len) == 0) {
                found = record->seq;
            }
            record_unref(records[i]);
        }
        if (n == 0) {
            break;
        }
        seq += n;
    }
    return found;
}

static bool
lane_before(const struct token_lane *a, const struct token_lane *b)
{
    return a->group != b->group ? a->group < b->group : a->partition < b->partition;
}

/* Every lane of the token is at or before where the acked record says. */
static bool
is_before(const struct consumer *consumer, const char *id, size_t len)
{
    struct err err;
    struct token asked = {.lanes = NULL}, acked = {.lanes = NULL};
    size_t k = 0;
    bool before =
        consumer->acked_id != NULL && token_decode(id, len, NULL, &asked, &err) == 0 &&
        asked.cursor == NULL &&
        token_decode(consumer->acked_id, strlen(consumer->acked_id), NULL, &acked, &err) == 0;
    for (size_t i = 0; before && i < asked.n_lanes; i++) { /* both are sorted */
        const struct token_lane *lane = &asked.lanes[i];
        while (k < acked.n_lanes && lane_before(&acked.lanes[k], lane)) {
            k++;
        }
        before = k < acked.n_lanes && !lane_before(lane, &acked.lanes[k]) &&
                 lane->next <= acked.lanes[k].next;
    }
    free(asked.lanes);
    free(acked.lanes);
    return before;
}

static struct tally *
tally_of(struct consumers *consumers, size_t stream)
{
    while (consumers->n_tallies <= stream) {
        consumers->tallies = mem_realloc(
            consumers->tallies, (consumers->n_tallies + 1) * sizeof *consumers->tallies);
        consumers->tallies[consumers->n_tallies++] = (struct tally){0};
    }
    return &consumers->tallies[stream];
}

static enum consumer_ack
ack(struct consumer *consumer, const char *id, size_t len, int64_t now_ms)
{
    uint64_t seq = find_id(consumer, id, len);
    if (seq == 0) {
        return is_before(consumer, id, len) ? CONSUMER_ACK_BEFORE : CONSUMER_ACK_FOREIGN;
    }
    consumer->acked_seq = seq;
    free(consumer->acked_id);
    consumer->acked_id = mem_strndup(id, len);
    consumer->since_ms = now_ms;
    settle(consumer, now_ms);
    consumer->options.wake(consumer->options.shard);
    return CONSUMER_ACK_DONE;
}

static void
count_ack(struct consumers *consumers, size_t stream, enum consumer_ack result)
{
    struct tally *tally = tally_of(consumers, stream);
    tally->acks += result == CONSUMER_ACK_DONE;
    tally->refused += result == CONSUMER_ACK_FOREIGN || result == CONSUMER_ACK_ABSENT;
}

enum consumer_ack
consumer_ack(struct consumer *consumer, const char *id, size_t len, int64_t now_ms)
{
    pthread_mutex_lock(&consumer->all->lock);
    enum consumer_ack result =
        consumer->options.acks ? ack(consumer, id, len, now_ms) : CONSUMER_ACK_ABSENT;
    count_ack(consumer->all, consumer->options.stream, result);
    pthread_mutex_unlock(&consumer->all->lock);
    return result;
}

/* The better of two answers is the one that comes first in the enum. */
enum consumer_ack
consumers_ack(struct consumers *consumers, size_t stream, const char *name, const char *id,
    size_t len, int64_t now_ms)
{
    enum consumer_ack best = CONSUMER_ACK_ABSENT;
    struct consumer *consumer;
    pthread_mutex_lock(&consumers->lock);
    TAILQ_FOREACH(consumer, &consumers->list, link)
    {
        if (best != CONSUMER_ACK_DONE && consumer->options.acks &&
            consumer->options.stream == stream && strcmp(consumer->options.name, name) == 0) {
            enum consumer_ack result = ack(consumer, id, len, now_ms);
            best = result < best ? result : best;
        }
    }
    count_ack(consumers, stream, best);
    pthread_mutex_unlock(&consumers->lock);
    return best;
}

void
consumers_count(struct consumers *consumers, size_t stream, struct consumer_counts *counts)
{
    const struct consumer *consumer;
    *counts = (struct consumer_counts){0};
    pthread_mutex_lock(&consumers->lock);
    TAILQ_FOREACH(consumer, &consumers->list, link)
    {
        if (consumer->options.stream == stream) {
            counts->connections++;
            counts->in_flight += consumer->options.acks && owes(consumer)
                                     ? consumer->last_seq - consumer->acked_seq
                                     : 0;
        }
    }
    counts->acks = tally_of(consumers, stream)->acks;
    counts->acks_refused = tally_of(consumers, stream)->refused;
    pthread_mutex_unlock(&consumers->lock);
}
