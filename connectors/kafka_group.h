/* kafka_group: membership in a consumer group: which partitions are ours, and what is committed.
 *
 * The member is a client of its own that fetches nothing: records come through the source's other
 * client, as without a group. So a source that is held, for however long, neither leaves the group
 * nor throws away what was fetched, and everything that is known about reading partitions holds for
 * both. A share is a partition that the group gave us; it becomes a lane once the topics thread
 * has found where it begins.
 *
 * Commits follow delivery: what stream_lane_settled says, every commit_interval, when a share is
 * taken away, and at the end. A share without a commit is committed where it begins at once, so
 * that nothing is skipped if we end before its first record was sent.
 * Thread  source, unless it says otherwise. */
#ifndef HEADGATE_KAFKA_GROUP_H
#define HEADGATE_KAFKA_GROUP_H

#include "kafka_settings.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

struct kafka_group;
struct kafka_topic;
struct source;

/* kafka_group_open: the client, not yet a member. member is copied. Errors NULL and err. init. */
struct kafka_group *kafka_group_open(
    struct source *source, const struct kafka_member *member, struct err *err);

/* kafka_group_client: for rd_kafka_committed. Lent. Thread any. */
rd_kafka_t *kafka_group_client(const struct kafka_group *group);

/* kafka_group_join: subscribe to the topics of the settings. Errors -1 and err. init. */
int kafka_group_join(struct source *source, struct err *err);

/* kafka_group_serve: what the group says, answers to commits, a commit when it is due. Calls
 * rebalance into the lanes. */
void kafka_group_serve(struct source *source);

/* kafka_group_found: the topics thread knows where a partition begins. False: it is no longer ours
 * in that epoch. committed: the group had a commit there. */
bool kafka_group_found(struct source *source, struct kafka_topic *topic, int32_t partition,
    uint32_t epoch, bool committed, int64_t next);

/* kafka_group_failed: the membership has ended for good (another member took our
 * group_instance_id). */
bool kafka_group_failed(const struct kafka_group *group);

/* kafka_group_leave: commit for the last time and take no more calls into the stream. Waits a
 * second at most. */
void kafka_group_leave(struct source *source);

/* kafka_group_close: leave the group, unless membership is static, and free. NULL-safe. Thread any,
 * after the source's and the topics thread. Blocks. */
void kafka_group_close(struct kafka_group *group);

#endif
