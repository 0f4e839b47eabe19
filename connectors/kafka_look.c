/* kafka_look: asks brokers which topics and partitions there are and where they are read from, and
 * judges the answers. Thread topics: every request blocks, none longer than its deadline. */
#include "kafka_topics_internal.h"

#include "../gateway/log.h"
#include "../gateway/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kafka_topic *
kafka_look_topic(struct kafka_topics *topics, const char *name)
{
    for (size_t i = 0; i < topics->n_known; i++) {
        if (strcmp(topics->known[i]->name, name) == 0) {
            return topics->known[i];
        }
    }
    struct kafka_topic *topic = mem_calloc(1, sizeof *topic);
    topic->name = mem_strdup(name);
    /* A handle's own configuration replaces the client's default: start from a copy of that. */
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(topics->client);
    rd_kafka_topic_conf_set_opaque(conf, topic);
    topic->handle = rd_kafka_topic_new(topics->client, name, conf);
    if (topic->handle == NULL) {
        log_event(LOG_ERROR, "kafka", topics->stream, "topic %s: %s", name,
            rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_topic_conf_destroy(conf);
        free(topic->name);
        free(topic);
        return NULL;
    }
    pthread_mutex_lock(&topics->lock);
    topics->known = mem_realloc(topics->known, (topics->n_known + 1) * sizeof *topics->known);
    topics->known[topics->n_known++] = topic;
    pthread_mutex_unlock(&topics->lock);
    return topic;
}

/* Ask what of n partitions of a topic: the offset of a time, or RD_KAFKA_OFFSET_BEGINNING or _END,
 * which ListOffsets takes in a time's place (the Kafka protocol gives -2 and -1 that meaning). One
 * request a leader, and unlike rd_kafka_query_watermark_offsets it keeps its deadline when a broker
 * hangs. -1 when any of them is not known. */
static int
ask_offsets(struct kafka_topics *topics, const struct kafka_topic *topic,
    const struct kafka_event *found, size_t n, int64_t what, int64_t *offsets)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_topic_partition_list_add(list, topic->name, found[i].partition)->offset = what;
    }
    rd_kafka_resp_err_t rc = rd_kafka_offsets_for_times(topics->client, list, KAFKA_REQUEST_MS);
    for (size_t i = 0; rc == RD_KAFKA_RESP_ERR_NO_ERROR && i < n; i++) {
        const rd_kafka_topic_partition_t *answer =
            rd_kafka_topic_partition_list_find(list, topic->name, found[i].partition);
        rc = answer->err;
        offsets[i] = answer->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return rc == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : -1;
}

static int64_t
replay_start(const struct kafka_replay *replay, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < replay->n; i++) {
        if (replay->lanes[i].partition == partition && strcmp(replay->lanes[i].topic, topic) == 0) {
            return replay->lanes[i].next;
        }
    }
    return 0;
}

/* What the group has committed of each partition of a topic; negative: nothing. -1 when it is not
 * known now. *any: there is a commit among them. */
static int
ask_committed(
    struct kafka_topics *topics, const struct kafka_topic *topic, int64_t *committed, bool *any)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(topic->n_known);
    for (int32_t i = 0; i < topic->n_known; i++) {
        rd_kafka_topic_partition_list_add(list, topic->name, i);
    }
    rd_kafka_resp_err_t rc = rd_kafka_committed(topics->member, list, KAFKA_REQUEST_MS);
    for (int i = 0; rc == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
        rc = list->elems[i].err;
        committed[list->elems[i].partition] = list->elems[i].offset;
        *any |= list->elems[i].offset >= 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return rc == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : -1;
}

/* The group's own place goes before any other. Once it has one in some partition of the topic, a
 * partition without one is new to it: read from its beginning. */
static int
use_committed(struct kafka_topics *topics, const struct kafka_topic *topic,
    struct kafka_event *found, size_t n)
{
    bool any = false;
    int64_t *committed = mem_calloc((size_t)topic->n_known + 1, sizeof *committed);
    int rc = ask_committed(topics, topic, committed, &any);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        found[i].committed = committed[found[i].partition] >= 0;
        if (found[i].committed) {
            found[i].next = committed[found[i].partition];
        } else if (any) {
            found[i].next = found[i].low;
        }
    }
    free(committed);
    return rc;
}

/* Where a partition is read from. A start time with no record after it is the end: -1 from brokers,
 * and from the mock cluster, which cannot look up a time at all. */
static int64_t
choose_start(const struct kafka_topics *topics, const struct kafka_topic *topic,
    const struct kafka_event *found, int64_t at)
{
    if (topics->replay.is) {
        return replay_start(&topics->replay, topic->name, found->partition);
    }
    if (found->partition >= topic->n_initial) {
        return 0; /* made since the topic is read: its first record counts too */
    }
    if (topic->late || topics->start.kind == KAFKA_START_EARLIEST) {
        return found->low;
    }
    return topics->start.kind == KAFKA_START_TIME && at >= 0 ? at : found->high;
}

/* Fill in low, high and next of n partitions. */
static int
position(struct kafka_topics *topics, const struct kafka_topic *topic, struct kafka_event *found,
    size_t n)
{
    int64_t *offsets = mem_calloc(3 * n, sizeof *offsets);
    int64_t *low = offsets, *high = offsets + n, *at = offsets + 2 * n;
    int rc = ask_offsets(topics, topic, found, n, RD_KAFKA_OFFSET_BEGINNING, low);
    if (rc == 0) {
        rc = ask_offsets(topics, topic, found, n, RD_KAFKA_OFFSET_END, high);
    }
    if (rc == 0 && topics->start.kind == KAFKA_START_TIME) {
        rc = ask_offsets(topics, topic, found, n, topics->start.unix_ms, at);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        found[i].low = low[i];
        found[i].high = high[i];
        found[i].next = choose_start(topics, topic, &found[i], at[i]);
    }
    free(offsets);
    return rc == 0 && topics->member != NULL ? use_committed(topics, topic, found, n) : rc;
}

/* Report the partitions that were not reported yet: all at once, or, when a leader is missing,
 * those that can be positioned. Returns how many are still without a position. */
static size_t
report_new(struct kafka_topics *topics, struct kafka_topic *topic)
{
    struct kafka_event *found = mem_calloc((size_t)topic->n_known + 1, sizeof *found);
    size_t n = 0, missing = 0;
    for (int32_t i = 0; i < topic->n_known; i++) {
        uint32_t epoch = kafka_topics_epoch(topics, topic->name, i);
        if (epoch != 0 && topic->reported[i] != epoch) {
            found[n].epoch = epoch;
            found[n].kind = KAFKA_EVENT_FOUND;
            found[n].topic = topic;
            found[n++].partition = i;
        }
    }
    bool all = n == 0 || position(topics, topic, found, n) == 0;
    for (size_t i = 0; i < n && !kafka_topics_stopping(topics); i++) {
        if (all || (n > 1 && position(topics, topic, &found[i], 1) == 0)) {
            topic->reported[found[i].partition] = found[i].epoch;
            kafka_topics_post(topics, found[i]);
        } else {
            missing++;
        }
    }
    free(found);
    return missing;
}

static void
post_gone(struct kafka_topics *topics, struct kafka_topic *topic, int32_t first)
{
    for (int32_t i = first; i < topic->n_known; i++) {
        if (topic->reported[i] != 0) {
            kafka_topics_post(topics,
                (struct kafka_event){.kind = KAFKA_EVENT_GONE, .topic = topic, .partition = i});
        }
    }
    topic->n_known = first < topic->n_known ? first : topic->n_known;
    topic->n_initial = first < topic->n_initial ? first : topic->n_initial;
}

/* The topic is in the answer, with n partitions. */
static size_t
see_topic(struct kafka_topics *topics, struct kafka_topic *topic, int32_t n)
{
    topic->missed = 0;
    if (!topic->present) {
        topic->present = true;
        topic->n_initial = n;
        log_event(LOG_INFO, "kafka", topics->stream, "topic %s: %" PRId32 " partitions%s",
            topic->name, n, topic->late ? ", read from the beginning" : "");
    } else if (n != topic->n_known) {
        log_event(LOG_INFO, "kafka", topics->stream,
            "topic %s: %" PRId32 " partitions, %" PRId32 " before", topic->name, n, topic->n_known);
    }
    post_gone(topics, topic, n);
    if (n > topic->n_known) {
        topic->reported = mem_realloc(topic->reported, (size_t)n * sizeof *topic->reported);
        for (int32_t i = topic->n_known; i < n; i++) {
            topic->reported[i] = 0;
        }
        topic->n_known = n;
    }
    return report_new(topics, topic);
}

/* One answer without a topic may come from a broker that has just started and knows little yet; two
 * answers half a second apart are believed. */
static void
miss_topic(struct kafka_topics *topics, struct kafka_topic *topic)
{
    topic->missed++;
    if (topic->present && topic->missed >= 2) {
        topic->present = false;
        log_event(LOG_WARN, "kafka", topics->stream, "topic %s is gone", topic->name);
        post_gone(topics, topic, 0);
    }
    if (!topic->present) {
        topic->late = true;
    }
}

/* What one look found that keeps the stream from being ready. */
struct verdict {
    const char *reason; /* NULL: nothing */
    char why[160];
    bool hurry; /* look again soon */
};

static void verdict_set(struct verdict *verdict, const char *reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first reason of a look is the one that is told. */
static void
verdict_set(struct verdict *verdict, const char *reason, const char *format, ...)
{
    verdict->hurry = true;
    if (verdict->reason == NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(verdict->why, sizeof verdict->why, format, args);
        va_end(args);
        verdict->reason = reason;
    }
}

static const struct rd_kafka_metadata_topic *
answer_of(const struct rd_kafka_metadata *answer, const char *name)
{
    for (int i = 0; i < answer->topic_cnt; i++) {
        if (strcmp(answer->topics[i].topic, name) == 0) {
            return &answer->topics[i];
        }
    }
    return NULL;
}

static void
judge_topic(struct kafka_topics *topics, struct kafka_topic *topic,
    const struct rd_kafka_metadata_topic *answer, struct verdict *verdict)
{
    rd_kafka_resp_err_t rc = answer == NULL ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART : answer->err;
    if (rc == RD_KAFKA_RESP_ERR_NO_ERROR && answer->partition_cnt > 0) {
        if (see_topic(topics, topic, answer->partition_cnt) != 0) {
            verdict_set(verdict, "no_leader",
                topics->member == NULL ? "partitions of topic %s have no leader"
                                       : "partitions of topic %s have no leader, or their group no "
                                         "coordinator",
                topic->name);
        }
    } else if (rc == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
               rc == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        miss_topic(topics, topic);
        bool wanted = false;
        for (size_t i = 0; i < topics->wanted.n; i++) {
            wanted = wanted || strcmp(topics->wanted.items[i].text, topic->name) == 0;
        }
        if (topic->present) {
            verdict->hurry = true;
        } else if (wanted) {
            verdict_set(verdict, "topic_missing", "topic %s is not there", topic->name);
        }
    } else if (rc == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) {
        verdict_set(verdict, "authorization", "not authorized to read topic %s", topic->name);
    } else {
        verdict_set(verdict, "metadata", "topic metadata: %s",
            rd_kafka_err2str(
                rc == RD_KAFKA_RESP_ERR_NO_ERROR ? RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE : rc));
    }
}

/* Keep one partition of each leader, for kafka_topics_nudge. */
static void
note_leaders(struct kafka_topics *topics, const struct rd_kafka_metadata *answer)
{
    rd_kafka_topic_partition_list_destroy(topics->leaders);
    topics->leaders = rd_kafka_topic_partition_list_new(answer->broker_cnt);
    for (int b = 0; b < answer->broker_cnt; b++) {
        bool have = false;
        for (size_t t = 0; t < topics->n_known && !have; t++) {
            const struct rd_kafka_metadata_topic *topic = answer_of(answer, topics->known[t]->name);
            for (int p = 0; topic != NULL && p < topic->partition_cnt && !have; p++) {
                if (topic->partitions[p].leader == answer->brokers[b].id) {
                    rd_kafka_topic_partition_list_add(
                        topics->leaders, topic->topic, topic->partitions[p].id);
                    have = true;
                }
            }
        }
    }
}

static void
judge_answer(
    struct kafka_topics *topics, const struct rd_kafka_metadata *answer, struct verdict *verdict)
{
    for (int i = 0; i < answer->topic_cnt; i++) {
        if (kafka_wanted_match(&topics->wanted, answer->topics[i].topic)) {
            size_t before = topics->n_known;
            struct kafka_topic *topic = kafka_look_topic(topics, answer->topics[i].topic);
            if (topic != NULL && topics->n_known != before) {
                topic->late = topics->answered;
            }
        }
    }
    bool any = false;
    for (size_t i = 0; i < topics->n_known && !kafka_topics_stopping(topics); i++) {
        struct kafka_topic *topic = topics->known[i];
        judge_topic(topics, topic, answer_of(answer, topic->name), verdict);
        any = any || topic->present;
    }
    if (!any) {
        verdict_set(verdict, "topic_missing", "no topic matches %s", topics->wanted.items[0].text);
    }
    topics->answered = true;
    note_leaders(topics, answer);
}

uint64_t
kafka_look(struct kafka_topics *topics)
{
    struct verdict verdict = {0};
    const struct rd_kafka_metadata *answer = NULL;
    rd_kafka_resp_err_t rc = rd_kafka_metadata(
        topics->client, topics->wanted.any_regex, NULL, &answer, KAFKA_REQUEST_MS);
    if (kafka_topics_stopping(topics)) {
        verdict.hurry = true;
    } else if (rc != RD_KAFKA_RESP_ERR_NO_ERROR) {
        verdict_set(&verdict, "unreachable", "no broker answers");
    } else {
        judge_answer(topics, answer, &verdict);
    }
    if (answer != NULL) {
        rd_kafka_metadata_destroy(answer);
    }
    if (verdict.reason != NULL) {
        struct kafka_event event = {.kind = KAFKA_EVENT_NOT_READY, .reason = verdict.reason};
        memcpy(event.why, verdict.why, sizeof event.why);
        kafka_topics_post(topics, event);
    } else if (!verdict.hurry && kafka_topics_is_joined(topics)) {
        kafka_topics_post(topics, (struct kafka_event){.kind = KAFKA_EVENT_READY});
    }
    uint64_t wait_ms = topics->settings->discover_ms;
    return verdict.hurry && wait_ms > KAFKA_RETRY_MS ? KAFKA_RETRY_MS : wait_ms;
}

int
kafka_look_range(struct kafka_topics *topics, struct kafka_event *range)
{
    if (ask_offsets(topics, range->topic, range, 1, RD_KAFKA_OFFSET_BEGINNING, &range->low) != 0) {
        return -1;
    }
    return ask_offsets(topics, range->topic, range, 1, RD_KAFKA_OFFSET_END, &range->high);
}

void
kafka_look_ends(struct kafka_topics *topics)
{
    for (size_t t = 0; t < topics->n_known && !kafka_topics_stopping(topics); t++) {
        struct kafka_topic *topic = topics->known[t];
        struct kafka_event *ends = mem_calloc((size_t)topic->n_known + 1, sizeof *ends);
        int64_t *offsets = mem_calloc((size_t)topic->n_known + 1, sizeof *offsets);
        size_t n = 0;
        for (int32_t i = 0; i < topic->n_known; i++) {
            if (topic->reported[i] != 0) {
                ends[n++] =
                    (struct kafka_event){.kind = KAFKA_EVENT_END, .topic = topic, .partition = i};
            }
        }
        bool known =
            n > 0 && ask_offsets(topics, topic, ends, n, RD_KAFKA_OFFSET_END, offsets) == 0;
        for (size_t i = 0; known && i < n; i++) {
            ends[i].high = offsets[i];
            kafka_topics_post(topics, ends[i]);
        }
        free(offsets);
        free(ends);
    }
}
