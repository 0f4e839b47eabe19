/* place: places in a stream, from what clients write and back. Any thread: no state. */
#include "place.h"

#include "client_text.h"
#include "clock.h"

#include <stdlib.h>
#include <string.h>

static int
parse_ago(struct place *place, const char *text, int64_t now_ms, struct err *err)
{
    uint64_t ago;
    if (client_text_duration_ms(text + 1, &ago) != 0) {
        err_set(err, ERR_INVALID, "\"%s\" is not a duration before now such as -10m",
            client_text_show(text).text);
        return -1;
    }
    /* Before 1970 is before every record. */
    int64_t time_ms = now_ms < 0 || ago > (uint64_t)now_ms ? 0 : now_ms - (int64_t)ago;
    *place = (struct place){.kind = PLACE_TIME, .time_ms = time_ms};
    return 0;
}

/* In a query '+' means a space, and people write the '+' of an offset as it is: take it back. */
static int
parse_time(struct place *place, const char *text, struct err *err)
{
    char copy[64];
    size_t len = strlen(text);
    int64_t time_ms;
    if (len < sizeof copy) {
        memcpy(copy, text, len + 1);
        if (len > 6 && copy[len - 6] == ' ') {
            copy[len - 6] = '+';
        }
        if (clock_parse_rfc3339(copy, &time_ms) == 0) {
            *place = (struct place){.kind = PLACE_TIME, .time_ms = time_ms};
            return 0;
        }
    }
    err_set(err, ERR_INVALID, "\"%s\" is not an RFC 3339 time such as 2026-01-31T12:00:00Z",
        client_text_show(text).text);
    return -1;
}

int
place_of_token(struct place *place, const char *text, size_t len, const struct token_keys *keys,
    struct err *err)
{
    struct token token;
    if (token_decode(text, len, keys, &token, err) != 0) {
        return -1;
    }
    *place = (struct place){.kind = PLACE_TOKEN,
        .lanes = token.lanes,
        .n_lanes = token.n_lanes,
        .cursor = token.cursor,
        .cursor_len = token.cursor_len};
    return 0;
}

void
place_add_token(struct buf *out, const struct place *place, const struct token_keys *keys)
{
    if (place->cursor != NULL) {
        token_encode_cursor(out, place->cursor, place->cursor_len, keys);
    } else {
        token_encode(out, place->lanes, place->n_lanes, keys);
    }
}

/* The first character tells the forms apart: a token's first byte makes it start with A to D. */
int
place_parse(struct place *place, const char *text, int64_t now_ms, const struct token_keys *keys,
    struct err *err)
{
    if (strcmp(text, "latest") == 0) {
        *place = (struct place){.kind = PLACE_LATEST};
        return 0;
    }
    if (strcmp(text, "earliest") == 0) {
        *place = (struct place){.kind = PLACE_EARLIEST};
        return 0;
    }
    if (text[0] == '-') {
        return parse_ago(place, text, now_ms, err);
    }
    if (text[0] >= '0' && text[0] <= '9') {
        return parse_time(place, text, err);
    }
    if (text[0] < 'A' || text[0] > 'D') {
        err_set(err, ERR_INVALID,
            "\"%s\" is not latest, earliest, a duration such as -10m, an RFC 3339 time or a resume "
            "token",
            client_text_show(text).text);
        return -1;
    }
    return place_of_token(place, text, strlen(text), keys, err);
}

void
place_fini(struct place *place)
{
    free(place->lanes);
    *place = (struct place){.kind = PLACE_NONE};
}

static bool
same_bytes(const void *a, const void *b, size_t len)
{
    return len == 0 || (a != NULL && b != NULL && memcmp(a, b, len) == 0);
}

bool
place_same(const struct place *a, const struct place *b)
{
    return a->kind == b->kind && a->time_ms == b->time_ms && a->n_lanes == b->n_lanes &&
           same_bytes(a->lanes, b->lanes, a->n_lanes * sizeof *a->lanes) &&
           (a->cursor == NULL) == (b->cursor == NULL) && a->cursor_len == b->cursor_len &&
           same_bytes(a->cursor, b->cursor, a->cursor_len);
}

bool
place_same_lanes(const struct place *a, const struct place *b)
{
    if (a->kind != PLACE_TOKEN || b->kind != PLACE_TOKEN || a->n_lanes != b->n_lanes ||
        a->cursor != NULL || b->cursor != NULL) {
        return false;
    }
    for (size_t i = 0; i < a->n_lanes; i++) {
        const struct token_lane *x = &a->lanes[i], *y = &b->lanes[i];
        if (x->group != y->group || x->partition != y->partition) {
            return false;
        }
    }
    return true;
}

uint64_t
place_apart(const struct place *a, const struct place *b)
{
    uint64_t apart = 0;
    if (!place_same_lanes(a, b)) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < a->n_lanes; i++) {
        const struct token_lane *x = &a->lanes[i], *y = &b->lanes[i];
        uint64_t far = x->next > y->next ? x->next - y->next : y->next - x->next;
        apart = far > UINT64_MAX - apart ? UINT64_MAX : apart + far;
    }
    return apart;
}
