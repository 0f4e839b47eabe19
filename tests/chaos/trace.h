/* trace: what one subscriber of the chaos run has received, over all of its connections, checked by
 * partition and offset as each message comes.
 *
 * The topic is made by produce.c, so every record is known by its place: partition p, offset o is
 * number n = o * partitions + p, has the key "pPkR" with R = o % TRACE_KEYS, and the payload
 * {"n":n,"m":M,...} with M = o % TRACE_MODULUS. So the checker knows of a record that did not come
 * whether a filter should have let it through, and a gap's count can be wrong by one record only to
 * be found.
 *
 * Invariant: `at` is the position: every wanted record below it came once or was told in a gap.
 * For conflate the two numbers `missed` and `told` take the place of that until they are equal.
 * One thread; no time, no network. */
#ifndef HEADGATE_CHAOS_TRACE_H
#define HEADGATE_CHAOS_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_LANES 16
#define TRACE_KEYS 20
#define TRACE_MODULUS 4
#define TRACE_ALL ((UINT32_C(1) << TRACE_KEYS) - 1)
#define TRACE_TOKEN_MAX 1024

/* What can be wrong. Each is counted; the first one's words are kept. */
enum trace_fault {
    TRACE_HOLE,    /* a wanted record neither came nor was told */
    TRACE_REPEAT,  /* a record came that had come, or had been told, before */
    TRACE_GAP,     /* a gap whose count or range is not what is missing */
    TRACE_TOKEN,   /* an id that would repeat or lose records when it is resumed from */
    TRACE_HELLO,   /* the resume was not honoured, or began elsewhere */
    TRACE_CONTENT, /* another payload or key than was produced, or one that the filter excludes */
    TRACE_FORM,    /* neither a record nor a known control message */
    TRACE_STALE,   /* conflate: the last value of a key did not come */
    TRACE_FAULTS
};
extern const char *const trace_fault_names[TRACE_FAULTS];

struct trace {
    /* Set by the user before the first message. */
    unsigned partitions;
    uint32_t wants[TRACE_LANES]; /* bit R: records with o % TRACE_KEYS == R are wanted */
    bool conflates;
    bool keeps_all; /* its policy is to lose nothing: no gap is right */

    /* Read by the user. */
    char token[TRACE_TOKEN_MAX]; /* to come back with; "" before the first one */
    uint64_t records, gaps, told_records, connections, resumes;
    uint64_t faults[TRACE_FAULTS];
    char first_fault[512];

    /* Its own. */
    bool begun;   /* it has a position */
    bool greeted; /* the hello of this connection came */
    bool inexact; /* conflate: a gap of this connection counts what the filter passes over, too */
    bool dropped; /* conflate: a `slow` gap was told, so that last values may be missing */
    uint64_t at[TRACE_LANES];
    uint64_t began[TRACE_LANES];
    uint64_t missed, told;                    /* conflate, of this connection */
    uint64_t newest[TRACE_LANES][TRACE_KEYS]; /* conflate: last offset that came, + 1 */
};

/* trace_connected: a new connection, which asked for trace->token if there is one. */
void trace_connected(struct trace *trace);

/* trace_message: one message, as its transport delivered it; envelope=full. */
void trace_message(struct trace *trace, const char *text, size_t len);

/* trace_left: the wanted records below produced (a count of the whole topic) that neither came nor
 * were told yet. 0: this subscriber is complete. */
uint64_t trace_left(const struct trace *trace, uint64_t produced);

/* trace_finish: nothing more will come: what is left is a hole. */
void trace_finish(struct trace *trace, uint64_t produced);

uint64_t trace_fault_count(const struct trace *trace);

#endif
