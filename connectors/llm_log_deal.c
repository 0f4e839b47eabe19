/* llm_log_deal: what a hub's clients give, to the readers that it is for. */
#include "llm_log_hub_internal.h"

#include <string.h>

#define READ_MOST 256 /* of a client, before the other one's turn */

static bool
is_called(const struct llm_log_reader *reader, const void *id, size_t len)
{
    return strlen(reader->id) == len && memcmp(reader->id, id, len) == 0;
}

static void
give(struct llm_log_hub *hub, struct llm_log_reader *reader, const struct llm_log_record *record,
    const rd_kafka_message_t *message)
{
    bool taken = llm_log_read_take(reader, record, message);
    if (reader->ended) {
        llm_log_hub_drop(hub, reader);
    } else if (!taken) {
        llm_log_track_hold(reader, message->offset);
    } else if (!reader->fresh) {
        reader->fresh = true;
        TAILQ_INSERT_TAIL(&hub->fresh, reader, in_fresh);
    }
}

static void
pass_on(
    struct llm_log_hub *hub, const struct llm_log_track *track, const rd_kafka_message_t *message)
{
    struct llm_log_record record;
    struct llm_log_reader *reader, *next;
    bool is_read = false;
    reader = LIST_FIRST(&hub->buckets[llm_log_hub_bucket(message->key, message->key_len)]);
    for (; reader != NULL; reader = next) {
        next = LIST_NEXT(reader, bucket);
        if (reader->track != track || reader->waits ||
            !is_called(reader, message->key, message->key_len)) {
            continue;
        }
        if (!is_read && !llm_log_tail_read(message, &record)) {
            return;
        }
        is_read = true;
        give(hub, reader, &record, message);
    }
}

static void
take_item(struct llm_log_hub *hub, struct llm_log_reel *reel, enum llm_log_got got,
    const struct llm_log_item *item)
{
    struct llm_log_track *track = llm_log_track_find(reel, item->partition);
    if (track == NULL || item->next < track->next) {
        return;
    }
    if (got == LLM_LOG_GOT_FAULT) {
        llm_log_track_fail(hub, track, item->why);
        return;
    }
    track->moved_ms = llm_log_hub_now_ms();
    if (got == LLM_LOG_GOT_RECORD && item->next > track->next) {
        track->latest_ms = rd_kafka_message_timestamp(item->message, NULL);
        pass_on(hub, track, item->message);
    }
    track->next = item->next;
}

static void
nudge_when_low(struct llm_log_hub *hub, struct llm_log_reel *reel)
{
    struct llm_log_track *track;
    if (reel->nudges > 0 || !llm_log_tail_is_low(reel->tail)) {
        return;
    }
    LIST_FOREACH(track, &reel->tracks, link)
    {
        reel->nudges++;
        llm_log_hub_ask_of(hub, track, LLM_LOG_ASK_NUDGE);
    }
}

/* True: there may be more. */
static bool
read_some(struct llm_log_hub *hub, struct llm_log_reel *reel)
{
    struct llm_log_item item;
    size_t n = 0;
    while (reel->tail != NULL && n < READ_MOST) {
        enum llm_log_got got = llm_log_tail_next(reel->tail, 0, &item);
        if (got == LLM_LOG_GOT_NOTHING) {
            break;
        }
        if (got != LLM_LOG_GOT_OTHER) {
            take_item(hub, reel, got, &item);
        }
        n++;
    }
    if (n > 0) {
        nudge_when_low(hub, reel);
    }
    return n == READ_MOST;
}

static void
show(struct llm_log_hub *hub)
{
    struct llm_log_reader *reader;
    while ((reader = TAILQ_FIRST(&hub->fresh)) != NULL) {
        TAILQ_REMOVE(&hub->fresh, reader, in_fresh);
        reader->fresh = false;
        llm_log_read_show(reader);
    }
}

bool
llm_log_hub_deal(struct llm_log_hub *hub)
{
    bool more = read_some(hub, llm_log_hub_live(hub));
    more = read_some(hub, llm_log_hub_past(hub)) || more;
    show(hub);
    return more;
}
