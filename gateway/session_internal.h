/* session_internal: what the files of a session (session*.c) share. Thread shard. */
#ifndef HEADGATE_SESSION_INTERNAL_H
#define HEADGATE_SESSION_INTERNAL_H

#include "feed.h"
#include "session.h"

/* session_owes: bytes that must go before anything else are still unsent. */
bool session_owes(const struct session *session);

/* session_control: append a control message to what is sent next. json is one whole object. */
void session_control(
    struct session *session, const char *event, const struct buf *json, const char *id);

/* session_apply_policy: drop, or end, if the session is past its bound or the ring has left it.
 * True when it changed something: a gap is in out, or it is ENDING. */
bool session_apply_policy(struct session *session);

/* session_gap: tell the client that count records between the tokens from and to are skipped. To a
 * filtered session it says that the count has records in it that the filter may have passed over.
 */
void session_gap(
    struct session *session, const char *reason, uint64_t count, const char *from, const char *to);

/* session_gap_exact: the same with a count that the filter has been asked for. */
void session_gap_exact(
    struct session *session, const char *reason, uint64_t count, const char *from, const char *to);

/* session_past_bound: it is further behind than its queue. */
bool session_past_bound(const struct session *session, const struct ring_state *ring);

/* session_conflates: it is sent from a conflation, which begins here when it has to.
 * session_conflate_send: read the ring to its head and send up to most of the oldest that wait.
 * Returns how many; with 0 and no conflation left, it has all. */
bool session_conflates(struct session *session);
uint64_t session_conflate_send(struct session *session, uint64_t most);
void session_conflate_fini(struct session *session);

/* session_check_limits: on a tick: a stalled session past its bound, a source held for too long. */
void session_check_limits(struct session *session, int64_t now_ms);

/* session_begin_control, session_end_control: what is appended to out between them is one piece of
 * the body, see piece_begin. */
size_t session_begin_control(struct session *session);
void session_end_control(struct session *session, size_t piece);

/* session_token_before: the token of a place whose last record is before; NULL: where the stream
 * began. Owns: the caller frees the text. */
char *session_token_before(struct stream *stream, const struct record *before);

/* session_from_text: the token of where it asked to begin. Owns: the caller frees it. */
char *session_from_text(const struct session *session);

/* session_say_hello: the greeting; snapshot: one follows. */
struct stream_start;
void session_say_hello(struct session *session, const struct stream_start *start, bool snapshot);

/* A session of a table. session_table_open: begin, or wait for the table. session_table_stale: the
 * source began anew: session_table_restart begins anew too (false: not yet). session_table_changes:
 * the ring has left it: read what changed from the table. session_table_step: a step of reading it.
 * session_table_tell_end: tell who resumed that it has all, once. session_table_fini: read no more.
 * session_ring_stand: where it goes on in the ring. */
void session_table_open(struct session *session);
bool session_table_stale(const struct session *session);
bool session_table_restart(struct session *session);
bool session_table_changes(struct session *session);
bool session_table_step(struct session *session);
bool session_table_tell_end(struct session *session);
void session_table_fini(struct session *session);
struct stand session_ring_stand(const struct session *session);

/* session_count_skipped: how many of the records between the stand and to, the place with the token
 * id, the client was to get; those that its filter passes over are counted too. */
uint64_t session_count_skipped(
    const struct session *session, const struct stand *to, const char *id);
/* session_end_by_id: find end_seq in the live ring by end_id. What is not there any more lies
 * before the stand. */
void session_end_by_id(struct session *session);

/* session_tell_gone: count records before its stand were of lanes that are no more. */
void session_tell_gone(struct session *session, uint64_t count);

/* session_id_take: what the client is told in the place of id, the token behind the record seq: id,
 * or while a resume is not yet past its own token, the larger place of both (session_resume.c).
 * session_id_of: the same of record's id. session_record_take: record, or a copy that has that id.
 * Owns: id and record are consumed; the caller frees what is returned. */
char *session_id_take(struct session *session, uint64_t seq, char *id);
char *session_id_of(struct session *session, const struct record *record);
struct record *session_record_take(struct session *session, struct record *record);

/* session_tell_unaccounted: once: nobody knows how much of a file that is gone the client has not
 * seen. */
void session_tell_unaccounted(struct session *session);

/* session_release_head: of one whose head is held back: let it go, or end. False: not yet.
 * session_refuse_late: an HTTP error in its place. */
bool session_release_head(struct session *session);
void session_refuse_late(struct session *session, const struct ending *ending);

/* session_hello_late: greet a session whose reader has found where it begins. */
void session_hello_late(struct session *session);

/* session_stand_late: place and greet a session that has waited for the source to be up. */
void session_stand_late(struct session *session);

/* session_tell_progress: of a stream of a request, if it has gone on; last: however lately it was
 * told. */
void session_tell_progress(struct session *session, bool last);

/* session_needs_solo: its bytes cannot be those of all, now. */
bool session_needs_solo(const struct session *session);

/* session_must_wait: max_rate lets nothing through yet. */
bool session_must_wait(const struct session *session);

/* session_pass_reset: before session_wants: where record says that its lane was reset, the token of
 * the resume, which is of what was there before, holds nothing of it back. */
void session_pass_reset(struct session *session, const struct record *record);

/* session_wants: the record is for it: by its filter, its resume token and its end. */
bool session_wants(const struct session *session, const struct record *record);

/* session_send_records: of n records in the order of seq, from its stand on, send those that are
 * for it. Owns: takes a reference of each. Returns how many records (not gaps) are sent or owed
 * now. */
uint64_t session_send_records(struct session *session, struct record **records, size_t n);

/* session_encode: records as a batch of its own from its stand on. */
struct batch *session_encode(
    struct session *session, const struct format *format, struct record *const *records, size_t n);

/* session_send_next: send one batch from its stand: a cached one, or one of its own. False: there
 * is nothing to read now. */
bool session_send_next(struct session *session);

static inline const struct framer *
session_framer(const struct session *session)
{
    return session->feed->format.framer;
}

static inline struct stream_counters *
session_counters(const struct session *session)
{
    return session->feed->outlet->counters;
}

static inline void
counter_add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
