/* session: one subscriber: a cursor in a stream's ring, its bound and its policy.
 *
 * A session holds no records. It is LIVE while everything before its feed's next record is in its
 * socket; the feed then sends it what it sends to all. When the socket does not take a whole batch
 * it is BEHIND: it owes at most the rest of one unit and goes on by itself, from the ring, as the
 * socket becomes writable, until it meets the feed again. ENDING: only its goodbye is left.
 *
 * Invariants: what was sent and what gaps counted add up to every record between its start and its
 * stand; `out` and the pinned rest begin and end at unit boundaries of the protocol.
 * Thread  shard. */
#ifndef HEADGATE_SESSION_H
#define HEADGATE_SESSION_H

#include "batch.h"
#include "conn.h"
#include "params.h"
#include "stream.h"
#include "ws.h"

#include <sys/queue.h>

struct durable;
struct feed;
struct reading;

enum session_state { SESSION_LIVE, SESSION_BEHIND, SESSION_ENDING };

struct session {
    TAILQ_ENTRY(session) live_link;     /* in feed->live while LIVE */
    TAILQ_ENTRY(session) pace_link;     /* in the shard's paced list when max_rate is set */
    TAILQ_ENTRY(session) wait_link;     /* while it waits for a catch-up reader */
    TAILQ_ENTRY(session) pause_link;    /* in the outlet's pausers when policy is pause */
    TAILQ_ENTRY(session) conflate_link; /* in home's conflaters when policy is conflate */
    struct conn *conn;
    struct feed *feed;
    struct outlet *home; /* of the live stream; feed->outlet is another one while catching up */
    struct private_stream *catchup; /* the reader that it stands in; NULL: the live lane */
    bool waiting;                   /* for a reader, or for the source to be up */
    enum session_late { LATE_NO, LATE_TO_BEGIN, LATE_TO_END } late; /* until then head is kept */
    struct buf head;       /* of the HTTP answer, while it is held back: session_late.c */
    struct slice shared;   /* of head: the lines that an error in its place has too */
    bool alone;            /* it has held up those who shared its reader */
    bool told_unaccounted; /* of a file that is gone, see session_tell_unaccounted */
    bool hello_due;        /* where it begins is not known before the reader knows */
    bool holds;            /* it is among its outlet's pausers */
    bool at_leisure;       /* of a generation: it may be behind as far as it is, as all of
                              that is kept for it; and holds nobody back */
    unsigned own_batches;  /* since the last try to hand over */
    enum session_state state;
    bool solo; /* its bytes are not those of all: limit, end, resume filter, JSON array */

    struct stand stand;
    char *id_before; /* the token at stand; NULL while LIVE: the feed knows it */

    struct coding_sum sum; /* of the body so far, what is owed included; where it is gzip */

    struct buf out; /* goes first: the rest of a unit, control messages */
    size_t out_at;
    uint64_t settled_seq; /* up to here all was in the socket when nothing was owed last */
    struct batch *pinned; /* or this: the rest of a large unit, before out */
    size_t pin_at, pin_end;

    enum slow_policy policy;
    uint64_t queue_records, queue_bytes;
    uint64_t keep_end;  /* drop_newest: records from here on are dropped; 0: none */
    int64_t holding_ms; /* pause: since when it holds the source back; 0: it does not */

    struct place from; /* resume filter, until stand.seq >= skip_until */
    uint64_t skip_until;
    struct place until;   /* while catching up, of a bounded read: the live position at its start */
    struct place to;      /* bounded read */
    uint64_t end_seq;     /* bounded read without a `to`: ends before this record; 0: none */
    uint64_t end_ordinal; /* produced records before end_seq */
    char *end_id;         /* the token before end_seq, or where that is not known yet; else NULL */
    uint64_t limit;       /* records still to send; UINT64_MAX: no limit */
    uint64_t max_rate;    /* records a second; 0: unpaced */
    int64_t pace_ns;      /* paced: when the next record may go */
    bool bounded;         /* it is a bounded read */
    bool sent_any;
    bool caught_up; /* it was within its bound once: from then on lag is slowness */
    bool blocked;   /* its socket refused bytes since it was LIVE last */
    bool cut;       /* ENDING by cutting the body short: no client takes a part for the whole */
    bool over; /* its answer is complete and written, and the connection may go on without it */

    struct durable *durable; /* of a durable consumer; NULL: it is none */
    bool tabled;             /* the stream is a table, and it wants that */
    bool table_waits;        /* for the table's first load */
    struct reading *reading; /* of the table; NULL: it reads the ring */
    uint64_t resets;         /* of the table, that it knows of */
    uint64_t snapshot_seq;   /* it resumed: snapshot_end is due where it stands there; 0: not */

    struct conflation *conflation; /* conflate: what waits; NULL: it keeps up */
    struct progress_mark told;     /* of a stream of a request: the progress that was told last */
    int64_t told_ms;               /* and when */
    uint64_t told_seq;             /* filtered: the stand that the last position message told */
    int64_t sent_ms;               /* last time that bytes went out */
    uint64_t heartbeat_ms;         /* 0: off */
    int64_t ping_ms;               /* WebSocket: when the unanswered ping went out; 0: none */
    struct ws_parser *ws;          /* NULL: not a WebSocket */
    bool close_received;
    enum disconnect_reason why; /* once ENDING */
};

/* session_new_take: subscribe. head (a response head) is what is sent first.
 * Owns   takes params' places; the connection owns the session from conn_stream on. */
struct session *session_new_take(
    struct conn *conn, struct feed *feed, struct params *params, const struct buf *head);
void session_free(struct session *session); /* NULL-safe */

/* session_queue: how far it may be behind where it stands now. */
struct queue {
    uint64_t records, bytes;
};
struct queue session_queue(const struct session *session);

/* session_flushed: up to which record it has been sent all, to the last byte, or was told of it.
 * session_settled: the same, or for a durable consumer what may be committed. */
uint64_t session_flushed(struct session *session);
uint64_t session_settled(struct session *session);

/* session_hold, session_unhold: it holds its outlet's source back when it is slow, or no more. */
void session_hold(struct session *session);
void session_unhold(struct session *session);

/* session_pump: send what there is: what is owed, then records, up to a budget. */
void session_pump(struct session *session);

/* session_deliver: send batch from unit i on. Used by feed for LIVE sessions. */
void session_deliver(struct session *session, struct batch *batch, size_t unit);

/* session_fall_behind: no longer LIVE. id is the token at its stand. */
void session_fall_behind(struct session *session, const char *id, size_t len);

/* session_may_complete: it is a streamed HTTP answer that comes to an end by itself: a client may
 * send its next request meanwhile. */
bool session_may_complete(const struct session *session);

/* session_received: bytes from the client. -1: close the connection at once. */
int session_received(struct session *session, const char *bytes, size_t len);

/* session_conflate_absorb: on a wake, before the ring loses what a stalled one waits for. */
void session_conflate_absorb(struct session *session);

/* session_hold_head_take: right after it was made with an empty head: head waits until it is known
 * how the answer begins, or, whole, until it has ended; what fails before is an HTTP error, which
 * has the lines shared of head too. Owns: head's bytes are consumed. */
void session_hold_head_take(
    struct session *session, struct buf *head, struct slice shared, bool whole);

void session_tick(struct session *session, int64_t now_ms);

/* session_end: say goodbye in the transport's way and end. code and reason as in CONTRACT section
 * 3; message is the control message that goes before (NULL: none). Nothing after the first call
 * counts. */
struct ending {
    enum disconnect_reason why;
    int code;            /* WebSocket close code */
    const char *reason;  /* in words */
    const char *event;   /* "end", "closing" or "failed" */
    const char *failure; /* of "failed": its code, "source_failed" */
    bool complete;       /* the client has all that it asked for: the body may end cleanly */
};
void session_end(struct session *session, const struct ending *ending);

#endif
