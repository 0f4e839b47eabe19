/* params: what a subscriber asks for. Any thread: no state. Whether the stream allows it is not
 * decided here. Client text goes into errors only through client_text_show. */
#include "params.h"

#include "client_text.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LIMIT (UINT64_C(1) << 53) /* what JSON numbers and JavaScript hold exactly */
#define MAX_QUEUE 1000000
#define MAX_RATE 1000000
#define NAME_MAX_LEN 16 /* of a known name; longer ones are far from all of them */

static int
refuse(struct err *err, const char *name, const char *want, const char *value)
{
    err_set(
        err, ERR_INVALID, "%s: must be %s, not \"%s\"", name, want, client_text_show(value).text);
    return -1;
}

struct context {
    const struct params_scope *scope;
    struct err *err;
};

/* Parse a place and put the parameter's name before what is wrong with it. */
static int
set_place(struct place *place, const char *name, const char *text, const struct context *context)
{
    struct err inner = {.code = ERR_NONE};
    struct place got;
    if (place_parse(&got, text, context->scope->now_ms, context->scope->keys, &inner) != 0) {
        err_set(context->err, inner.code, "%s: %s", name, inner.text);
        return -1;
    }
    place_fini(place);
    *place = got;
    return 0;
}

static int
set_from(struct params *params, const char *value, const struct context *context)
{
    return set_place(&params->from, "from", value, context);
}

static int
set_to(struct params *params, const char *value, const struct context *context)
{
    if (strcmp(value, "earliest") == 0) {
        return refuse(context->err, "to", "latest, a time or a resume token", value);
    }
    return set_place(&params->to, "to", value, context);
}

static int
set_limit(struct params *params, const char *value, const struct context *context)
{
    if (!client_text_number(value, 1, MAX_LIMIT, &params->limit)) {
        return refuse(context->err, "limit", "a number from 1 to 9007199254740992", value);
    }
    params->has_limit = true;
    return 0;
}

static int
set_follow(struct params *params, const char *value, const struct context *context)
{
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
        return refuse(context->err, "follow", "true or false", value);
    }
    params->follow = value[0] == 't';
    return 0;
}

static int
set_snapshot(struct params *params, const char *value, const struct context *context)
{
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
        return refuse(context->err, "snapshot", "true or false", value);
    }
    params->snapshot = value[0] == 't';
    params->has_snapshot = true;
    return 0;
}

/* The index of value among n names; -1 when it is none. */
static int
index_of(const char *const names[], int n, const char *value)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], value) == 0) {
            return i;
        }
    }
    return -1;
}

static int
set_format(struct params *params, const char *value, const struct context *context)
{
    static const char *const names[] = {"ws", "sse", "ndjson", "json"};
    int found = index_of(names, 4, value);
    if (found < 0) {
        return refuse(context->err, "format", "ws, sse, ndjson or json", value);
    }
    params->format = (enum stream_format)(FORMAT_WS + found);
    return 0;
}

static int
set_envelope(struct params *params, const char *value, const struct context *context)
{
    static const char *const names[ENVELOPE_COUNT] = {"record", "data", "full", "cloudevents"};
    params->raw = strcmp(value, "raw") == 0;
    int found = params->raw ? ENVELOPE_RECORD : index_of(names, ENVELOPE_COUNT, value);
    if (found < 0) {
        return refuse(context->err, "envelope", "record, data, full, cloudevents or raw", value);
    }
    params->envelope = (enum envelope)found;
    params->has_envelope = true;
    return 0;
}

static int
set_slow(struct params *params, const char *value, const struct context *context)
{
    int found = index_of(slow_policy_names, SLOW_POLICY_COUNT, value);
    if (found < 0) {
        return refuse(
            context->err, "slow", "drop_oldest, drop_newest, conflate, pause or disconnect", value);
    }
    params->slow = (enum slow_policy)found;
    params->has_slow = true;
    return 0;
}

static int
set_queue(struct params *params, const char *value, const struct context *context)
{
    return client_text_number(value, 1, MAX_QUEUE, &params->queue_records)
               ? 0
               : refuse(context->err, "queue", "a number of records from 1 to 1000000", value);
}

static int
set_max_rate(struct params *params, const char *value, const struct context *context)
{
    return client_text_number(value, 1, MAX_RATE, &params->max_rate)
               ? 0
               : refuse(context->err, "max_rate", "records a second from 1 to 1000000", value);
}

static int
set_heartbeat(struct params *params, const char *value, const struct context *context)
{
    uint64_t ms = 0;
    if (strcmp(value, "off") != 0 &&
        (client_text_duration_ms(value, &ms) != 0 || ms < 1000 || ms > 3600000)) {
        return refuse(context->err, "heartbeat", "off or a duration from 1s to 1h", value);
    }
    params->heartbeat_ms = ms;
    params->has_heartbeat = true;
    return 0;
}

static int
set_consumer(struct params *params, const char *value, const struct context *context)
{
    if (!consumer_name_valid(value)) {
        return refuse(context->err, "consumer", "a name: 1 to 64 of A-Z a-z 0-9 . _ -", value);
    }
    memcpy(params->consumer, value, strlen(value) + 1);
    return 0;
}

static int
set_ack(struct params *params, const char *value, const struct context *context)
{
    if (strcmp(value, "sent") != 0 && strcmp(value, "client") != 0) {
        return refuse(context->err, "ack", "sent or client", value);
    }
    params->acks = value[0] == 'c';
    return 0;
}

static struct filter *
filter_of(struct params *params)
{
    if (params->filter == NULL) {
        params->filter = filter_new();
    }
    return params->filter;
}

static int
add_key(struct params *params, const char *value, const struct context *context)
{
    return filter_add_key(filter_of(params), value, strlen(value), context->err);
}

static int
add_where(struct params *params, const char *value, const struct context *context)
{
    return filter_add_where(filter_of(params), value, strlen(value), context->err);
}

struct known {
    const char *name;
    /* NULL: in the contract, but not in this version */
    int (*set)(struct params *params, const char *value, const struct context *context);
    bool repeats;
};

static const struct known known[] = {{"from", set_from, false}, {"to", set_to, false},
    {"limit", set_limit, false}, {"follow", set_follow, false}, {"format", set_format, false},
    {"envelope", set_envelope, false}, {"slow", set_slow, false}, {"queue", set_queue, false},
    {"heartbeat", set_heartbeat, false}, {"max_rate", set_max_rate, false}, {"key", add_key, true},
    {"where", add_where, true}, {"snapshot", set_snapshot, false},
    {"consumer", set_consumer, false}, {"ack", set_ack, false}, {"ticket", NULL, false}};
#define KNOWN_COUNT (sizeof known / sizeof *known)

/* The edit distance of two short names, with one row of the table kept. */
static size_t
distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1];
    size_t b_len = strlen(b);
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_len];
}

bool
params_is_known(const char *name)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (strcmp(known[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *
own_name(const struct own_names *own, size_t i)
{
    return own->name == NULL ? NULL : own->name(own->self, i);
}

static int
refuse_unknown(const char *name, const struct own_names *own, struct err *err)
{
    const char *nearest = known[0].name;
    size_t best = SIZE_MAX;
    struct shown shown = client_text_show(name);
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        size_t got = distance(shown.text, known[i].name);
        if (known[i].set != NULL && got < best) {
            best = got;
            nearest = known[i].name;
        }
    }
    const char *one;
    for (size_t i = 0; (one = own_name(own, i)) != NULL; i++) {
        size_t got = strlen(one) <= NAME_MAX_LEN ? distance(shown.text, one) : SIZE_MAX;
        if (got < best) {
            best = got;
            nearest = one;
        }
    }
    err_set(err, ERR_INVALID, "%s: unknown parameter; the nearest known one is \"%s\"", shown.text,
        nearest);
    return -1;
}

int
params_add_own(struct params *params, const char *name, const char *value, struct err *err)
{
    for (size_t i = 0; i < params->n_own; i++) {
        if (strcmp(params->own[i].name, name) == 0) {
            err_set(err, ERR_INVALID, "%s: given more than once", name);
            return -1;
        }
    }
    if (params->n_own == OWN_PARAMS_MAX) {
        err_set(err, ERR_INVALID, "%s: more than %d parameters", name, OWN_PARAMS_MAX);
        return -1;
    }
    if (params->own == NULL) {
        params->own = mem_calloc(OWN_PARAMS_MAX, sizeof *params->own);
    }
    params->own[params->n_own++] = (struct own_param){mem_strdup(name), mem_strdup(value)};
    return 0;
}

static int
set_own(struct params *params, const char *name, const char *value, const struct context *context)
{
    const char *one;
    for (size_t i = 0; (one = own_name(&context->scope->own, i)) != NULL; i++) {
        if (strcmp(one, name) == 0) {
            return params_add_own(params, name, value, context->err);
        }
    }
    return refuse_unknown(name, &context->scope->own, context->err);
}

static int
set_one(struct params *params, const char *name, const char *value, uint32_t *seen,
    const struct context *context)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (strcmp(known[i].name, name) != 0) {
            continue;
        }
        if (known[i].set == NULL) {
            err_set(context->err, ERR_INVALID, "%s: not available in this version", name);
            return -1;
        }
        if (!known[i].repeats && (*seen & (1u << i)) != 0) {
            err_set(context->err, ERR_INVALID, "%s: given more than once", name);
            return -1;
        }
        *seen |= 1u << i;
        return known[i].set(params, value, context);
    }
    return set_own(params, name, value, context);
}

/* Decode one "name=value" and set it. */
static int
parse_pair(struct params *params, struct slice pair, uint32_t *seen, const struct context *context)
{
    char name[HTTP_TARGET_MAX + 1];
    char value[HTTP_TARGET_MAX + 1];
    const char *equals = memchr(pair.at, '=', pair.len);
    struct slice raw_name = {pair.at, equals == NULL ? pair.len : (size_t)(equals - pair.at)};
    struct slice raw_value = {"", 0};
    if (equals != NULL) {
        raw_value = (struct slice){equals + 1, pair.len - raw_name.len - 1};
    }
    ptrdiff_t name_len = http_percent_decode(raw_name, name, true);
    if (name_len <= 0) {
        err_set(context->err, ERR_INVALID,
            name_len == 0 ? "query: a parameter without a name"
                          : "query: broken percent-encoding in a parameter's name");
        return -1;
    }
    name[name_len] = '\0';
    ptrdiff_t value_len = http_percent_decode(raw_value, value, true);
    if (value_len < 0) {
        err_set(
            context->err, ERR_INVALID, "%s: broken percent-encoding", client_text_show(name).text);
        return -1;
    }
    value[value_len] = '\0';
    return set_one(params, name, value, seen, context);
}

static int
parse_query(struct params *params, struct slice query, const struct context *context)
{
    uint32_t seen = 0;
    if (query.len > HTTP_TARGET_MAX) {
        err_set(context->err, ERR_INVALID, "query: longer than %d bytes", HTTP_TARGET_MAX);
        return -1;
    }
    while (query.len != 0) {
        const char *end = memchr(query.at, '&', query.len);
        struct slice pair = {query.at, end == NULL ? query.len : (size_t)(end - query.at)};
        size_t used = end == NULL ? pair.len : pair.len + 1;
        query.at += used;
        query.len -= used;
        if (pair.len != 0 && parse_pair(params, pair, &seen, context) != 0) {
            return -1;
        }
    }
    return 0;
}

/* An EventSource reconnects to the same URL with the header added, so it wins over from=. */
static int
apply_last_event_id(
    struct params *params, const struct http_request *request, const struct context *context)
{
    struct err *err = context->err;
    struct err inner = {.code = ERR_NONE};
    struct place place;
    struct slice id = http_header(request, "Last-Event-ID");
    if (http_header_count(request, "Last-Event-ID") > 1) {
        err_set(err, ERR_INVALID, "Last-Event-ID: given more than once");
        return -1;
    }
    if (id.len == 0) {
        return 0;
    }
    if (place_of_token(&place, id.at, id.len, context->scope->keys, &inner) != 0) {
        err_set(err, inner.code, "Last-Event-ID: %s", inner.text);
        return -1;
    }
    place_fini(&params->from);
    params->from = place;
    return 0;
}

/* What a durable consumer cannot have, by name: it has no end, and nothing of it is dropped. */
static int
check_consumer(const struct params *params, struct err *err)
{
    if (params->consumer[0] == '\0') {
        if (params->acks) {
            err_set(err, ERR_INVALID, "ack: is for durable consumers; give consumer=NAME");
            return -1;
        }
        return 0;
    }
    const struct {
        const char *name;
        bool given;
    } refused[] = {
        {"to", params->to.kind != PLACE_NONE},
        {"limit", params->has_limit},
        {"follow", !params->follow},
        {"slow", params->has_slow},
        {"queue", params->queue_records != 0},
        {"format", params->format == FORMAT_JSON},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (refused[i].given) {
            err_set(err, ERR_INVALID,
                "%s: not with consumer: a durable consumer has no end and loses nothing",
                refused[i].name);
            return -1;
        }
    }
    return 0;
}

int
params_parse(struct params *params, const struct http_request *request,
    const struct params_scope *scope, struct err *err)
{
    const struct context context = {scope, err};
    *params =
        (struct params){.from = {.kind = scope->from_earliest ? PLACE_EARLIEST : PLACE_LATEST},
            .follow = true,
            .snapshot = true};
    if (parse_query(params, request->query, &context) != 0 ||
        apply_last_event_id(params, request, &context) != 0) {
        params_fini(params);
        return -1;
    }
    if (check_consumer(params, err) != 0) {
        params_fini(params);
        return -1;
    }
    if (params->filter != NULL) {
        filter_seal(params->filter);
    }
    return 0;
}

void
params_fini(struct params *params)
{
    filter_unref(params->filter);
    params->filter = NULL;
    for (size_t i = 0; i < params->n_own; i++) {
        free(params->own[i].name);
        free(params->own[i].value);
    }
    free(params->own);
    params->own = NULL;
    params->n_own = 0;
    place_fini(&params->from);
    place_fini(&params->to);
}
