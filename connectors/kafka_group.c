/* kafka_group: the member client, its shares and its commits. Source thread; closed on any. */
#include "kafka_group.h"

#include "../gateway/clock.h"
#include "../gateway/log.h"
#include "../gateway/mem.h"
#include "kafka_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LAST_COMMIT_MS 1000 /* how long a rebalance or the end waits for its commit */
#define NOT_COMMITTED INT64_C(-1)

struct share {
    char *topic;
    int32_t partition;
    uint32_t epoch;         /* of the rebalance that gave it to us */
    struct kafka_topic *of; /* NULL until it is found: then it has a lane */
    int64_t committed;
};

struct kafka_group {
    rd_kafka_t *client;
    rd_kafka_queue_t *results; /* answers to commits */
    struct share *shares;
    size_t n_shares;
    uint32_t epoch;
    int64_t committed_ns; /* when the last commit went out */
    bool committing;      /* its answer has not come */
    bool leaving, failed;
    int64_t log_ns;
};

/* ---- life ---- */

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code,
    rd_kafka_topic_partition_list_t *partitions, void *source);

struct kafka_group *
kafka_group_open(struct source *source, const struct kafka_member *member, struct err *err)
{
    rd_kafka_conf_t *conf =
        kafka_settings_member_conf(source->settings, stream_name(source->stream), member, err);
    if (conf == NULL) {
        return NULL;
    }
    rd_kafka_conf_set_opaque(conf, source);
    rd_kafka_conf_set_log_cb(conf, kafka_log_line);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    char why[400];
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        err_set(err, ERR_INVALID, "stream %s: %s", stream_name(source->stream), why);
        return NULL;
    }
    rd_kafka_poll_set_consumer(client);
    struct kafka_group *group = mem_calloc(1, sizeof *group);
    group->client = client;
    group->results = rd_kafka_queue_new(client);
    return group;
}

rd_kafka_t *
kafka_group_client(const struct kafka_group *group)
{
    return group->client;
}

int
kafka_group_join(struct source *source, struct err *err)
{
    const struct config_strings *topics = &source->settings->topics;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)topics->n);
    for (size_t i = 0; i < topics->n; i++) {
        rd_kafka_topic_partition_list_add(list, topics->items[i], RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t rc = rd_kafka_subscribe(source->group->client, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (rc != RD_KAFKA_RESP_ERR_NO_ERROR) {
        err_set(err, ERR_INVALID, "stream %s: consumer group: %s", stream_name(source->stream),
            rd_kafka_err2str(rc));
        return -1;
    }
    return 0;
}

bool
kafka_group_failed(const struct kafka_group *group)
{
    return group->failed;
}

void
kafka_group_close(struct kafka_group *group)
{
    if (group == NULL) {
        return;
    }
    group->leaving = true;
    rd_kafka_consumer_close(group->client);
    rd_kafka_queue_destroy(group->results);
    rd_kafka_destroy(group->client);
    for (size_t i = 0; i < group->n_shares; i++) {
        free(group->shares[i].topic);
    }
    free(group->shares);
    free(group);
}

/* ---- shares ---- */

static struct share *
find_share(struct kafka_group *group, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < group->n_shares; i++) {
        struct share *share = &group->shares[i];
        if (share->partition == partition && strcmp(share->topic, topic) == 0) {
            return share;
        }
    }
    return NULL;
}

bool
kafka_group_found(struct source *source, struct kafka_topic *topic, int32_t partition,
    uint32_t epoch, bool committed, int64_t next)
{
    struct share *share = find_share(source->group, topic->name, partition);
    if (share == NULL || share->epoch != epoch) {
        return false;
    }
    share->of = topic;
    share->committed = committed ? next : NOT_COMMITTED;
    if (committed) {
        stream_source_resumed(source->stream);
    }
    return true;
}

static void
take(struct source *source, const rd_kafka_topic_partition_list_t *partitions)
{
    struct kafka_group *group = source->group;
    group->epoch++;
    group->shares = mem_realloc(
        group->shares, (group->n_shares + (size_t)partitions->cnt + 1) * sizeof *group->shares);
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *given = &partitions->elems[i];
        group->shares[group->n_shares++] = (struct share){
            .topic = mem_strdup(given->topic),
            .partition = given->partition,
            .epoch = group->epoch,
            .committed = NOT_COMMITTED,
        };
        kafka_topics_give(source->topics, given->topic, given->partition, group->epoch);
    }
    kafka_topics_joined(source->topics);
}

static void
give_up(struct source *source, const char *topic, int32_t partition)
{
    struct kafka_group *group = source->group;
    struct share *share = find_share(group, topic, partition);
    kafka_topics_give(source->topics, topic, partition, 0);
    if (share == NULL) {
        return;
    }
    if (share->of != NULL) {
        kafka_lane_give_up(source, share->of, partition, share->committed);
    }
    free(share->topic);
    *share = group->shares[--group->n_shares];
}

/* ---- commits ---- */

/* The shares whose settled offset is not what was committed last. NULL: none. */
static rd_kafka_topic_partition_list_t *
owed_commits(struct source *source)
{
    struct kafka_group *group = source->group;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);
    stream_settle(source->stream);
    for (size_t i = 0; i < group->n_shares; i++) {
        const struct share *share = &group->shares[i];
        if (share->of == NULL) {
            continue;
        }
        const struct kafka_partition *part = kafka_lane_partition(share->of, share->partition);
        int64_t settled = (int64_t)stream_lane_settled(source->stream, part->lane);
        if (settled != share->committed) {
            rd_kafka_topic_partition_list_add(list, share->topic, share->partition)->offset =
                settled;
        }
    }
    if (list->cnt == 0) {
        rd_kafka_topic_partition_list_destroy(list);
        return NULL;
    }
    return list;
}

static void
send_commit(struct source *source)
{
    struct kafka_group *group = source->group;
    rd_kafka_topic_partition_list_t *list = owed_commits(source);
    group->committed_ns = clock_mono_ns();
    if (list != NULL) {
        group->committing = rd_kafka_commit_queue(group->client, list, group->results, NULL,
                                NULL) == RD_KAFKA_RESP_ERR_NO_ERROR;
        rd_kafka_topic_partition_list_destroy(list);
    }
}

/* What failed stays owed: the next commit has it again, if it is still ours. */
static void
apply_result(struct source *source, rd_kafka_event_t *event)
{
    struct kafka_group *group = source->group;
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    group->committing = false;
    for (int i = 0; list != NULL && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *done = &list->elems[i];
        struct share *share = find_share(group, done->topic, done->partition);
        code = code == RD_KAFKA_RESP_ERR_NO_ERROR ? done->err : code;
        if (done->err == RD_KAFKA_RESP_ERR_NO_ERROR && share != NULL &&
            rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            share->committed = done->offset;
        }
    }
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        stream_source_committed(source->stream);
        return;
    }
    stream_source_error(source->stream, "commit");
    if (kafka_may_log(&group->log_ns)) {
        log_event(LOG_WARN, "kafka", stream_name(source->stream), "commit: %s; it is tried again",
            rd_kafka_err2str(code));
    }
}

static void
read_results(struct source *source, int wait_ms)
{
    rd_kafka_event_t *event;
    while ((event = rd_kafka_queue_poll(source->group->results, wait_ms)) != NULL) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_OFFSET_COMMIT) {
            apply_result(source, event);
        }
        rd_kafka_event_destroy(event);
        wait_ms = 0;
    }
}

/* Commit, and wait for the answer as long as LAST_COMMIT_MS lets us. */
static void
commit_now(struct source *source)
{
    struct kafka_group *group = source->group;
    int64_t until_ns = clock_mono_ns() + LAST_COMMIT_MS * INT64_C(1000000);
    for (bool sent = false; clock_mono_ns() < until_ns;) {
        if (!group->committing && sent) {
            return;
        }
        if (!group->committing) {
            send_commit(source);
            sent = true;
        }
        if (group->committing) {
            read_results(source, 50);
        }
    }
}

/* ---- what the group says ---- */

static bool
is_cooperative(rd_kafka_t *client)
{
    const char *protocol = rd_kafka_rebalance_protocol(client);
    return protocol != NULL && strcmp(protocol, "COOPERATIVE") == 0;
}

/* Tell librdkafka that we know. The member reads nothing: without cooperation it is assigned
 * nothing at all; with it, librdkafka wants to see the partitions again when they are revoked, so
 * they are assigned and paused. */
static void
answer_assign(rd_kafka_t *client, rd_kafka_topic_partition_list_t *partitions)
{
    if (!is_cooperative(client)) {
        rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
        (void)rd_kafka_assign(client, none);
        rd_kafka_topic_partition_list_destroy(none);
        return;
    }
    for (int i = 0; i < partitions->cnt; i++) {
        partitions->elems[i].offset = RD_KAFKA_OFFSET_END;
    }
    rd_kafka_error_destroy(rd_kafka_incremental_assign(client, partitions));
    (void)rd_kafka_pause_partitions(client, partitions);
}

static void
answer_revoke(rd_kafka_t *client, const rd_kafka_topic_partition_list_t *partitions)
{
    if (is_cooperative(client)) {
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(client, partitions));
    } else {
        (void)rd_kafka_assign(client, NULL);
    }
}

/* Without cooperation all that we have is taken away before some of it is given back. */
static void
on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t code,
    rd_kafka_topic_partition_list_t *partitions, void *source_)
{
    struct source *source = source_;
    struct kafka_group *group = source->group;
    bool assigned = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (assigned && !group->leaving) {
        take(source, partitions);
    } else if (!group->leaving) {
        if (!rd_kafka_assignment_lost(client)) {
            commit_now(source);
        }
        for (int i = 0; i < partitions->cnt; i++) {
            give_up(source, partitions->elems[i].topic, partitions->elems[i].partition);
        }
    }
    if (assigned) {
        answer_assign(client, partitions);
    } else {
        answer_revoke(client, partitions);
    }
    if (!group->leaving) {
        log_event(LOG_INFO, "kafka", stream_name(source->stream),
            "consumer group: %d partitions %s, now %zu", partitions->cnt,
            assigned ? "assigned" : "revoked", group->n_shares);
        stream_source_shared(source->stream, group->n_shares);
    }
}

/* The membership has ended for good: what we read belongs to the other member now. */
static void
check_fatal(struct source *source)
{
    struct kafka_group *group = source->group;
    char why[256];
    rd_kafka_resp_err_t code = group->failed ? RD_KAFKA_RESP_ERR_NO_ERROR
                                             : rd_kafka_fatal_error(group->client, why, sizeof why);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    group->failed = true;
    log_event(LOG_ERROR, "kafka", stream_name(source->stream),
        "the membership in the consumer group has ended: %s: %s", rd_kafka_err2name(code), why);
    while (group->n_shares > 0) {
        char *topic = mem_strdup(group->shares[0].topic);
        give_up(source, topic, group->shares[0].partition);
        free(topic);
    }
    stream_source_shared(source->stream, 0);
    stream_source_error(source->stream, "fenced");
    stream_source_down(source->stream, "its membership in the consumer group has ended: another "
                                       "member has the same group_instance_id");
}

void
kafka_group_serve(struct source *source)
{
    struct kafka_group *group = source->group;
    rd_kafka_message_t *message;
    /* Only errors come here, which the topics thread and the log have too. */
    while ((message = rd_kafka_consumer_poll(group->client, 0)) != NULL) {
        rd_kafka_message_destroy(message);
    }
    read_results(source, 0);
    check_fatal(source);
    int64_t due_ns =
        group->committed_ns + (int64_t)source->settings->commit_interval_ms * INT64_C(1000000);
    if (!group->committing && !group->failed && clock_mono_ns() >= due_ns) {
        send_commit(source);
    }
}

void
kafka_group_leave(struct source *source)
{
    if (!source->group->failed) {
        commit_now(source);
    }
    source->group->leaving = true;
}
