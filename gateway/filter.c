/* filter: compiles keys and comparisons from a client's parameters and answers whether a record
 * passes. Any thread: immutable once sealed. Evaluation of comparisons is in filter_eval.c. */
#include "filter_internal.h"

#include "buf.h"
#include "json.h"
#include "mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct filter *
filter_new(void)
{
    struct filter *filter = mem_calloc(1, sizeof *filter);
    atomic_init(&filter->refs, 1);
    return filter;
}

struct filter *
filter_ref(struct filter *filter)
{
    atomic_fetch_add_explicit(&filter->refs, 1, memory_order_relaxed);
    return filter;
}

static void
where_free(struct filter_where *where)
{
    free(where->text);
    free(where->pointer);
    free(where->literal);
    free(where);
}

void
filter_unref(struct filter *filter)
{
    if (filter == NULL || atomic_fetch_sub_explicit(&filter->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (unsigned i = 0; i < filter->n_keys; i++) {
        free(filter->keys[i].text);
    }
    for (unsigned i = 0; i < filter->n_wheres; i++) {
        where_free(filter->wheres[i]);
    }
    free(filter->text);
    free(filter);
}

static int
refuse(struct err *err, const char *name, const char *why)
{
    err_set(err, ERR_INVALID, "%s: %s", name, why);
    return -1;
}

/* Count one more line of the canonical text; false beyond its bound. */
static bool
take_text(struct filter *filter, size_t len)
{
    if (filter->text_len + len + 1 > FILTER_TEXT_MAX) {
        return false;
    }
    filter->text_len += len + 1;
    return true;
}

int
filter_add_key(struct filter *filter, const char *bytes, size_t len, struct err *err)
{
    assert(filter->text == NULL);
    struct buf text;
    buf_init(&text);
    BUF_LITERAL(&text, "key=");
    json_add_bytes(&text, bytes, len);
    size_t text_len = text.len;
    buf_addc(&text, '\0');
    for (unsigned i = 0; i < filter->n_keys; i++) {
        if (strcmp(filter->keys[i].text, text.bytes) == 0) {
            buf_fini(&text);
            return 0;
        }
    }
    if (filter->n_keys == FILTER_KEYS_MAX || !take_text(filter, text_len)) {
        const char *why = filter->n_keys == FILTER_KEYS_MAX ? "at most 16 different keys"
                                                            : "the filter is too long";
        buf_fini(&text);
        return refuse(err, "key", why);
    }
    filter->keys[filter->n_keys++] = (struct filter_key){text.bytes, text_len};
    return 0;
}

/* ---- comparisons ---- */

/* The first operator in the text; NULL when there is none. */
static const char *
find_op(const char *at, const char *end, enum filter_op *op, size_t *op_len)
{
    for (; at < end; at++) {
        bool equals = at + 1 < end && at[1] == '=';
        *op_len = equals ? 2 : 1;
        switch (*at) {
        case '<':
            *op = equals ? FILTER_LE : FILTER_LT;
            return at;
        case '>':
            *op = equals ? FILTER_GE : FILTER_GT;
            return at;
        case '=':
        case '!':
            if (equals) {
                *op = *at == '=' ? FILTER_EQ : FILTER_NE;
                return at;
            }
            break;
        default:
            break;
        }
    }
    return NULL;
}

/* RFC 6901 section 4: 0, or digits without a leading zero. */
static uint64_t
index_of(const char *name, size_t len)
{
    uint64_t index = 0;
    if (len == 0 || len > 18 || (name[0] == '0' && len > 1)) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < len; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return UINT64_MAX;
        }
        index = index * 10 + (uint64_t)(name[i] - '0');
    }
    return index;
}

/* Unescape one token in place; from is behind its '/'. Returns what is wrong, or NULL. */
static const char *
take_token(struct filter_where *where, const char **from, const char *end, char **to)
{
    if (where->n_tokens == FILTER_DEPTH_MAX) {
        return "the pointer has more than 16 parts";
    }
    char *name = *to;
    const char *at = *from;
    for (; at < end && *at != '/'; at++) {
        char c = *at;
        if (c == '~') {
            if (++at == end || (*at != '0' && *at != '1')) {
                return "in the pointer ~ is written ~0, and / inside a name ~1";
            }
            c = *at == '0' ? '~' : '/';
        }
        *(*to)++ = c;
    }
    size_t len = (size_t)(*to - name);
    where->tokens[where->n_tokens++] = (struct filter_token){name, len, index_of(name, len)};
    *from = at;
    return NULL;
}

const char *
filter_compile_pointer(struct filter_where *where, const char *text, size_t len)
{
    const char *end = text + len;
    if (len > 0 && *text != '/') {
        return "the pointer must begin with /, as in /user/name==value";
    }
    char *to = where->pointer = mem_alloc(len + 1);
    for (const char *at = text; at < end;) {
        at++;
        const char *why = take_token(where, &at, end, &to);
        if (why != NULL) {
            return why;
        }
    }
    return NULL;
}

static void
copy_literal(struct filter_where *where, const char *text, size_t len)
{
    where->literal = memcpy(mem_alloc(len + 1), text, len);
    where->literal_len = len;
}

static void
unescape_literal(struct filter_where *where, const char *at, const char *end)
{
    char *to = where->literal = mem_alloc((size_t)(end - at) + 4);
    while (at < end) {
        to += filter_eval_unescape(&at, end, to);
    }
    where->literal_len = (size_t)(to - where->literal);
}

static const char *
compile_literal(struct filter_where *where, const char *text, size_t len)
{
    size_t start, end;
    if (json_scan(text, len, &start, &end) == JSON_NOT) {
        where->kind = FILTER_STRING;
        copy_literal(where, text, len);
        return NULL;
    }
    where->kind = filter_eval_kind(text[start]);
    switch (where->kind) {
    case FILTER_CONTAINER:
        return "objects and arrays cannot be compared";
    case FILTER_STRING:
        unescape_literal(where, text + start + 1, text + end - 1);
        break;
    case FILTER_NUMBER:
        copy_literal(where, text + start, end - start);
        break;
    case FILTER_TRUE:
    case FILTER_FALSE:
    case FILTER_NULL:
        if (where->op != FILTER_EQ && where->op != FILTER_NE) {
            return "true, false and null have no order: use == or !=";
        }
        break;
    }
    return NULL;
}

static void
add_literal(struct buf *out, const struct filter_where *where)
{
    switch (where->kind) {
    case FILTER_STRING:
        json_add_string(out, where->literal, where->literal_len);
        return;
    case FILTER_NUMBER:
        buf_add(out, where->literal, where->literal_len);
        return;
    case FILTER_TRUE:
        BUF_LITERAL(out, "true");
        return;
    case FILTER_FALSE:
        BUF_LITERAL(out, "false");
        return;
    case FILTER_NULL:
    case FILTER_CONTAINER:
        BUF_LITERAL(out, "null");
        return;
    }
}

static const char *
compile(struct filter_where *where, const char *text, size_t len)
{
    static const char *const names[] = {"==", "!=", "<", "<=", ">", ">="};
    size_t op_len;
    const char *op = find_op(text, text + len, &where->op, &op_len);
    if (!json_utf8_valid(text, len)) {
        return "must be UTF-8";
    }
    if (op == NULL) {
        return "needs one of == != < <= > >= between a JSON Pointer and a value";
    }
    size_t pointer_len = (size_t)(op - text);
    const char *why = filter_compile_pointer(where, text, pointer_len);
    if (why == NULL) {
        why = compile_literal(where, op + op_len, len - pointer_len - op_len);
    }
    if (why == NULL) {
        struct buf canonical;
        buf_init(&canonical);
        BUF_LITERAL(&canonical, "where=");
        json_add_string(&canonical, text, pointer_len);
        buf_adds(&canonical, names[where->op]);
        add_literal(&canonical, where);
        buf_addc(&canonical, '\0');
        where->text = canonical.bytes;
    }
    return why;
}

static const char *
keep(struct filter *filter, struct filter_where *where)
{
    for (unsigned i = 0; i < filter->n_wheres; i++) {
        if (strcmp(filter->wheres[i]->text, where->text) == 0) {
            where_free(where);
            return NULL;
        }
    }
    if (filter->n_wheres == FILTER_WHERES_MAX) {
        return "at most 8 different comparisons";
    }
    if (!take_text(filter, strlen(where->text))) {
        return "the filter is too long";
    }
    filter->wheres[filter->n_wheres++] = where;
    return NULL;
}

int
filter_add_where(struct filter *filter, const char *text, size_t len, struct err *err)
{
    assert(filter->text == NULL);
    struct filter_where *where = mem_calloc(1, sizeof *where);
    const char *why = compile(where, text, len);
    if (why == NULL) {
        why = keep(filter, where);
    }
    if (why != NULL) {
        where_free(where);
        return refuse(err, "where", why);
    }
    return 0;
}

/* ---- the whole ---- */

static int
compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct filter_key *)a)->text, ((const struct filter_key *)b)->text);
}

static int
compare_wheres(const void *a, const void *b)
{
    return strcmp(
        (*(struct filter_where *const *)a)->text, (*(struct filter_where *const *)b)->text);
}

void
filter_seal(struct filter *filter)
{
    assert(filter->text == NULL);
    struct buf text;
    buf_init(&text);
    buf_reserve(&text, filter->text_len + 1);
    qsort(filter->keys, filter->n_keys, sizeof *filter->keys, compare_keys);
    qsort(filter->wheres, filter->n_wheres, sizeof *filter->wheres, compare_wheres);
    for (unsigned i = 0; i < filter->n_keys; i++) {
        buf_adds(&text, filter->keys[i].text);
        buf_addc(&text, '\n');
    }
    for (unsigned i = 0; i < filter->n_wheres; i++) {
        const struct filter_where *where = filter->wheres[i];
        filter->unequal |= where->op == FILTER_NE ? 1u << i : 0;
        filter->ends[where->n_tokens] |= 1u << i;
        buf_adds(&text, where->text);
        buf_addc(&text, '\n');
    }
    assert(text.len == filter->text_len);
    buf_addc(&text, '\0');
    filter->text = text.bytes;
}

const char *
filter_text(const struct filter *filter)
{
    return filter->text;
}

bool
filter_same(const struct filter *a, const struct filter *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a->text, b->text) == 0);
}

struct key_text {
    const char *json;
    size_t len;
};

/* As strcmp orders them: the texts have no NUL. */
static int
compare_to_key(const void *text_, const void *key_)
{
    const struct key_text *text = text_;
    const struct filter_key *key = key_;
    size_t len = key->len - FILTER_KEY_PREFIX;
    int order =
        memcmp(text->json, key->text + FILTER_KEY_PREFIX, len < text->len ? len : text->len);
    return order != 0 ? order : (text->len > len) - (text->len < len);
}

bool
filter_has_keys(const struct filter *filter)
{
    return filter != NULL && filter->n_keys > 0;
}

bool
filter_passes_key(const struct filter *filter, const char *json, size_t len)
{
    const struct key_text text = {json, len};
    return filter->n_keys == 0 || bsearch(&text, filter->keys, filter->n_keys, sizeof *filter->keys,
                                      compare_to_key) != NULL;
}

void
filter_set_view(struct filter *filter, unsigned view)
{
    assert(filter->text != NULL && filter->view == 0);
    struct buf text;
    buf_init(&text);
    buf_addf(&text, "%sview=%u\n", filter->text, view);
    buf_addc(&text, '\0');
    free(filter->text);
    filter->text = text.bytes;
    filter->view = view;
}

bool
filter_is_view(const struct filter *filter)
{
    return filter->view != 0 && filter->n_keys == 0 && filter->n_wheres == 0;
}

void
filter_keep_tombstones(struct filter *filter)
{
    filter->keeps_tombstones = true;
}

bool
filter_passes(const struct filter *filter, const struct record *record)
{
    if (record->is_gap) {
        return true;
    }
    bool hidden = filter->view != 0 && record->views != 0 && (record->views & filter->view) == 0;
    if (hidden || !filter_passes_key(filter, record->text + record->key_off, record->key_len)) {
        return false;
    }
    return filter->n_wheres == 0 || (record->is_tombstone && filter->keeps_tombstones) ||
           (record->data_is_json &&
               filter_eval_all(filter, record->text + record->data_off, record->data_len));
}
