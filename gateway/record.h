/* record: one message of a stream, encoded once when it arrives and shared by reference afterwards.
 *
 * The source thread builds the JSON text of every envelope in one piece; framers only copy slices:
 *
 *   {"id":"T","time":"...","key":K,"data":D   ,"headers":{...}   ,"type":"..."   ,"source":{...}
 *   ^ 0                            head_len ^    headers_end ^      type_end ^       text_len ^
 *
 * record  = head, the headers part when it has some, the type part, then '}'
 * full    = the whole text, then '}'
 * data    = the data slice alone
 * cloudevents is made of these parts for each batch that wants it (cloudevent.h).
 * The headers part is always there ("headers":{} when there are none); the type part is empty when
 * the record has no type of its own. record_add_envelope puts these together.
 *
 * A tombstone is "data":null,"tombstone":true inside the head. Bytes that are neither JSON nor
 * UTF-8 are "data_base64":"..."; the data slice is then that JSON string.
 * A gap record (record_new_gap) takes a place in the ring for records that the source itself lost;
 * its text is the whole control message and every envelope shows that.
 * Lines (record_new_lines) are several records in one, for a subscriber that wants no more of them
 * than their payloads: their text is an id and the data slice, and only envelope=data shows them.
 *
 * In a stream of many lanes the id is null in most records; their track knows where they stand.
 *
 * Immutable after record_new but for refs, for first, track and step, which the stream sets when it
 * stages the record, and seq, ordinal and bytes_before, which ring_append sets, before any reader
 * sees them. Thread  any. */
#ifndef HEADGATE_RECORD_H
#define HEADGATE_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct track;

enum envelope { ENVELOPE_RECORD, ENVELOPE_DATA, ENVELOPE_FULL, ENVELOPE_CLOUDEVENTS };
#define ENVELOPE_COUNT 4

/* A stream may say the same in several ways, of which each subscriber is shown one: the answers of
 * models do. A record's views are those that it belongs to. */
#define RECORD_VIEW_EVENTS                                                                         \
    1u /* as this gateway says it: what is shown unless it is asked otherwise */
#define RECORD_VIEW_UPSTREAM 2u /* as it came: envelope=raw */
#define RECORD_VIEW_CLIENT 4u   /* as the SDK that asked reads it */

/* The most bytes of key, data, header names and values together: 6 times that fits the offsets. */
#define RECORD_INPUT_MAX (UINT32_C(512) << 20)

struct record_header {
    const char *name; /* any bytes; invalid UTF-8 is replaced by U+FFFD in the object's key */
    size_t name_len;
    const void *value; /* NULL: JSON null */
    size_t value_len;
};

/* What a connector hands over: everything is lent for the length of the call. */
struct record_input {
    uint32_t lane;   /* from stream_lane_add: one partition, one file */
    uint64_t offset; /* this record's offset in the lane */
    int64_t time_ms; /* Unix milliseconds; negative: not known, the arrival time is used */
    const void *key; /* NULL: no key */
    size_t key_len;
    const void *data; /* NULL: a tombstone; empty data is a non-NULL pointer with length 0 */
    size_t data_len;
    const struct record_header *headers;
    size_t n_headers;
    const char *type; /* NULL, or the record's own event name (a checked token) */
    /* Of a stream that began with stream_cursor_start: the position behind this record, unique to
     * it, at most TOKEN_CURSOR_MAX bytes (a longer one makes it too large). Else NULL. */
    const void *cursor;
    size_t cursor_len;
    /* data is one JSON text, found so by json_scan: JSON_ONE_LINE, without white space around it.
     * It is taken at its word. */
    bool is_json_line;
    unsigned views; /* RECORD_VIEW_; 0: of every view */
};

/* Several records of a lane whose payloads are each such a text, for who takes these alone. */
struct record_lines {
    uint32_t lane;
    uint64_t last_offset; /* of the last one */
    uint64_t count;       /* of records, at least 1 */
    const char *bytes;    /* lent: the payloads, a line feed between each two */
    size_t len;
};

struct record {
    atomic_uint refs;
    bool is_gap;
    bool is_lines; /* several records in one: only who takes envelope=data over NDJSON sees it */
    bool has_headers;
    bool has_time;       /* false only for a gap */
    bool data_is_json;   /* the payload was JSON and is in the text as it was: not a tombstone, not
                            text or bytes made into a string */
    uint8_t views;       /* RECORD_VIEW_; 0: of every view */
    bool is_tombstone;   /* its data is null because there was no payload */
    uint16_t id_off;     /* the id's slice, without quotes */
    uint32_t id_len;     /* 0: none is shown, track has it */
    struct track *track; /* NULL: every record of the stream shows its id */
    uint32_t step;       /* in track; 0: it is the mark */
    uint32_t lane;
    uint64_t offset;  /* first offset after this record is offset + 1 */
    uint64_t first;   /* the lane's next offset before it: what lies between is no record */
    uint64_t seq;     /* the ring's sequence number, from 1 */
    uint64_t ordinal; /* produced records up to and with this one, those lost by the source too */
    uint64_t weight;  /* what it adds to ordinal: 1, or the count of a gap, or of lines */
    uint64_t bytes_before;     /* charged bytes of all records before it */
    int64_t time_ms;           /* what "time" says */
    int64_t arrival_ns;        /* CLOCK_MONOTONIC when the source had it */
    const char *type;          /* NULL, or a NUL-terminated copy that lies behind the text */
    uint32_t key_off, key_len; /* the key as JSON; len 0: the record has none */
    uint32_t data_off, data_len;
    uint32_t head_len, headers_end, type_end, text_len;
    char text[]; /* text_len bytes, not NUL-terminated */
};

/* record_new: encode in, which is at most RECORD_INPUT_MAX bytes. id is the resume token after it,
 * or with id_len 0 the record shows none: give it a track. source_prefix is the lane's text up to
 * the offset, as {"topic":"t","partition":0,"offset": scratch is the caller's buffer, reused. Owns
 * the caller gets one reference. Cost    O(bytes): about 0.3 us for 200 bytes of JSON.  Blocks  no.
 * Errors  none. */
struct record *record_new(const struct record_input *in, const char *id, size_t id_len,
    const char *source_prefix, int64_t arrival_ns, struct buf *scratch);

/* record_new_lines: id, not empty, is the resume token behind the last of them, first the lane's
 * next offset before the first. Cost  O(bytes). */
struct record *record_new_lines(const struct record_lines *lines, const char *id, size_t id_len,
    uint64_t first, int64_t arrival_ns);

/* A block is a record to be: lines are read into it where they will stand in it, with room around
 * them for what makes them an HTTP chunk (batch.c), so that they go from the file to the socket
 * without a copy.
 * record_block_new: with room for size bytes of lines, record_block_bytes. It becomes a record with
 * record_block_finish, or is given up with record_block_free (NULL-safe).
 * record_block_finish: as record_new_lines of lines that begin at the block's first byte; id_len is
 * at most RECORD_BLOCK_ID_MAX. */
#define RECORD_BLOCK_ID_MAX 1024
#define RECORD_FRAME_BEFORE 10
#define RECORD_FRAME_AFTER 3
struct record *record_block_new(size_t size);
char *record_block_bytes(struct record *block);
void record_block_finish(struct record *block, const struct record_lines *lines, const char *id,
    size_t id_len, uint64_t first, int64_t arrival_ns);
void record_block_free(struct record *block);

/* record_has_frame: it was a block. */
bool record_has_frame(const struct record *record);

/* record_set_track_take: before it is shared. Owns: the reference. */
void record_set_track_take(struct record *record, struct track *track, uint32_t step);

/* record_add_id: append the token of the position behind it. Cost: a copy, or O(lanes) where it
 * shows none. record_id: the same as a text of its own, the caller's to free. */
void record_add_id(struct buf *out, const struct record *record);
char *record_id(const struct record *record);

/* record_has_id: the token that it shows is id. */
bool record_has_id(const struct record *record, const char *id, size_t len);

/* record_add_envelope: append the JSON text of the record in an envelope, without a newline;
 * of a gap record the control message. record_envelope_len: how many bytes that is; not of
 * cloudevents, which has to be made to know.
 * Cost    one memcpy or two; of cloudevents a look at the payload and headers too. */
void record_add_envelope(struct buf *out, const struct record *record, enum envelope envelope);
size_t record_envelope_len(const struct record *record, enum envelope envelope);

/* record_new_gap: a control message {"event":"gap","reason":R,"count":N,"from":F,"to":T} as a
 * record; count >= 1 is its weight. to is its id. */
struct record *record_new_gap(const char *reason, uint64_t count, const char *from, const char *to,
    uint32_t lane, uint64_t last_offset, int64_t arrival_ns, struct buf *scratch);

/* record_new_gap_filtered: the same with "filtered":true behind it: an upper bound. */
struct record *record_new_gap_filtered(const char *reason, uint64_t count, const char *from,
    const char *to, uint32_t lane, uint64_t last_offset, int64_t arrival_ns, struct buf *scratch);

/* record_with_track_take: a copy of one that shows no id, standing at the mark of track. Owns: the
 * reference. */
struct record *record_with_track_take(const struct record *record, struct track *track);

/* record_with_id: a copy whose id (of a gap: its end) is id[0..len), with one reference, seq and
 * all. */
struct record *record_with_id(const struct record *record, const char *id, size_t len);

struct record *record_ref(struct record *record);
void record_unref(struct record *record); /* NULL-safe */

/* record_charge_bytes: what the record counts against byte bounds: its allocation, with what malloc
 * adds to it, and if it is a mark, its track. record_own_bytes: the same without the track. */
uint64_t record_charge_bytes(const struct record *record);
uint64_t record_own_bytes(const struct record *record);

#endif
