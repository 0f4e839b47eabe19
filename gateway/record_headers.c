/* record_headers: see record_headers.h. */
#include "record_headers.h"

#include "json.h"
#include "mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Headers up to this many are put in order on the stack. */
#define FIELDS_ON_STACK 32

/* One header and its place in the object: the values of a repeated name stand in one array, where
 * the name stood first. */
struct field {
    const struct record_header *header;
    size_t next;   /* the next header of the same name; SIZE_MAX: none */
    bool repeated; /* not the first of its name */
};

/* What a name's next bytes become in the output: itself or U+FFFD. Returns what it takes of it. */
static size_t
name_step(const char *at, size_t len, const char **shown, size_t *shown_len)
{
    size_t step = json_utf8_length(at, len);
    *shown = step == 0 ? JSON_REPLACEMENT : at;
    *shown_len = step == 0 ? sizeof JSON_REPLACEMENT - 1 : step;
    return step == 0 ? 1 : step;
}

/* Orders names by what is shown of them: two that differ only in bad bytes are one member. */
static int
compare_names(const struct record_header *a, const struct record_header *b)
{
    size_t at_a = 0, at_b = 0;
    while (at_a < a->name_len && at_b < b->name_len) {
        const char *shown_a, *shown_b;
        size_t len_a, len_b;
        at_a += name_step(a->name + at_a, a->name_len - at_a, &shown_a, &len_a);
        at_b += name_step(b->name + at_b, b->name_len - at_b, &shown_b, &len_b);
        int order = memcmp(shown_a, shown_b, len_a < len_b ? len_a : len_b);
        if (order != 0) {
            return order;
        }
        if (len_a != len_b) {
            return len_a < len_b ? -1 : 1;
        }
    }
    return (at_a < a->name_len) - (at_b < b->name_len);
}

static int
compare_fields(const void *left, const void *right)
{
    const struct field *a = *(const struct field *const *)left;
    const struct field *b = *(const struct field *const *)right;
    int order = compare_names(a->header, b->header);
    return order != 0 ? order : (a->header > b->header) - (a->header < b->header);
}

/* Links the headers of the same name. Sorted, not compared pair by pair: a producer may send as
 * many headers as fit into a message. order is room for n pointers. */
static void
link_fields(
    struct field *fields, struct field **order, const struct record_header *headers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fields[i] = (struct field){&headers[i], SIZE_MAX, false};
        order[i] = &fields[i];
    }
    qsort(order, n, sizeof *order, compare_fields);
    for (size_t i = 1; i < n; i++) {
        if (compare_names(order[i - 1]->header, order[i]->header) == 0) {
            order[i - 1]->next = (size_t)(order[i] - fields);
            order[i]->repeated = true;
        }
    }
}

static void
add_header_value(struct buf *out, const struct record_header *header)
{
    if (header->value == NULL) {
        BUF_LITERAL(out, "null");
    } else {
        json_add_bytes(out, header->value, header->value_len);
    }
}

/* "name":value or "name":[value,...], with a comma before it when it is not the first. */
static void
add_field(struct buf *out, const struct field *fields, const struct field *field, bool first)
{
    if (!first) {
        buf_addc(out, ',');
    }
    json_add_lossy(out, field->header->name, field->header->name_len);
    buf_addc(out, ':');
    if (field->next == SIZE_MAX) {
        add_header_value(out, field->header);
        return;
    }
    buf_addc(out, '[');
    for (;;) {
        add_header_value(out, field->header);
        if (field->next == SIZE_MAX) {
            break;
        }
        buf_addc(out, ',');
        field = &fields[field->next];
    }
    buf_addc(out, ']');
}

void
record_add_headers(struct buf *out, const struct record_header *headers, size_t n)
{
    struct field fields_on_stack[FIELDS_ON_STACK];
    struct field *order_on_stack[FIELDS_ON_STACK];
    bool many = n > FIELDS_ON_STACK;
    struct field *fields = many ? mem_calloc(n, sizeof *fields) : fields_on_stack;
    struct field **order = many ? mem_calloc(n, sizeof *order) : order_on_stack;
    BUF_LITERAL(out, ",\"headers\":{");
    link_fields(fields, order, headers, n);
    for (size_t i = 0; i < n; i++) {
        if (!fields[i].repeated) {
            add_field(out, fields, &fields[i], i == 0);
        }
    }
    buf_addc(out, '}');
    if (many) {
        free(order);
        free(fields);
    }
}
