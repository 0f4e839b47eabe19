/* sql_query: a scanner, not a parser: it knows where text is text. Any thread: no state. */
#include "sql_query.h"

#include "../gateway/buf.h"
#include "../gateway/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct scan {
    const char *at, *end, *start;
    enum sql_dialect dialect;
    struct sql_query *query;
    struct buf out;
    int depth;      /* open parentheses */
    bool ended;     /* behind the semicolon: only space and comments may follow */
    bool any_token; /* something other than space and comments was there */
    struct err *err;
};

static bool
is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool
is_name_part(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9');
}

/* Bytes of an identifier of the database: those beyond ASCII too. */
static bool
is_word_part(char c)
{
    return is_name_part(c) || c == '$' || (unsigned char)c >= 0x80;
}

bool
sql_name_valid(const char *name, size_t len)
{
    if (len == 0 || len > SQL_NAME_MAX || !is_name_start(name[0])) {
        return false;
    }
    for (size_t i = 1; i < len; i++) {
        if (!is_name_part(name[i])) {
            return false;
        }
    }
    return true;
}

static int
fail(const struct scan *scan, const char *at, const char *what)
{
    int line = 1;
    for (const char *c = scan->start; c < at; c++) {
        line += *c == '\n';
    }
    err_set(scan->err, ERR_INVALID, "line %d: %s", line, what);
    return -1;
}

static char
peek(const struct scan *scan, size_t ahead)
{
    return (size_t)(scan->end - scan->at) > ahead ? scan->at[ahead] : '\0';
}

static void
copy_to(struct scan *scan, const char *to)
{
    buf_add(&scan->out, scan->at, (size_t)(to - scan->at));
    scan->at = to;
}

/* A string or quoted name that ends with close; a doubled one stands for itself. */
static int
copy_quoted(struct scan *scan, char close, bool backslash)
{
    const char *c = scan->at + 1;
    while (c < scan->end) {
        if (backslash && *c == '\\' && scan->end - c > 1) {
            c += 2;
        } else if (*c != close) {
            c++;
        } else if (scan->end - c > 1 && c[1] == close && close != ']') {
            c += 2;
        } else {
            copy_to(scan, c + 1);
            return 0;
        }
    }
    return fail(
        scan, scan->at, close == '\'' ? "a string does not end" : "a quoted name does not end");
}

static void
copy_line_comment(struct scan *scan)
{
    const char *newline = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));
    copy_to(scan, newline == NULL ? scan->end : newline);
}

/* PostgreSQL nests comments, SQLite does not; there one that does not end is none to mend. */
static int
copy_block_comment(struct scan *scan)
{
    int depth = 1;
    const char *c = scan->at + 2;
    while (scan->end - c > 1) {
        if (c[0] == '*' && c[1] == '/') {
            c += 2;
            if (--depth == 0) {
                copy_to(scan, c);
                return 0;
            }
        } else if (scan->dialect == SQL_POSTGRES && c[0] == '/' && c[1] == '*') {
            depth++;
            c += 2;
        } else {
            c++;
        }
    }
    return fail(scan, scan->at, "a comment does not end");
}

/* $tag$ ... $tag$; 1 when at is no dollar quote. */
static int
copy_dollar_quoted(struct scan *scan)
{
    const char *c = scan->at + 1;
    while (c < scan->end && (is_name_part(*c) || (unsigned char)*c >= 0x80)) {
        c++;
    }
    bool digit = scan->at[1] >= '0' && scan->at[1] <= '9';
    if (c == scan->end || *c != '$' || digit) {
        return 1;
    }
    size_t len = (size_t)(c + 1 - scan->at);
    const char *close = memmem(c + 1, (size_t)(scan->end - c - 1), scan->at, len);
    if (close == NULL) {
        return fail(scan, scan->at, "a dollar-quoted string does not end");
    }
    copy_to(scan, close + len);
    return 0;
}

static int
copy_parameter(struct scan *scan)
{
    const char *name = scan->at + 1;
    size_t len = 1;
    while (name + len < scan->end && is_name_part(name[len])) {
        len++;
    }
    if (len > SQL_NAME_MAX) {
        return fail(scan, scan->at, "a parameter's name is longer than 63 bytes");
    }
    struct sql_query *query = scan->query;
    size_t i = 0;
    while (i < query->n_names &&
           (strlen(query->names[i]) != len || memcmp(query->names[i], name, len) != 0)) {
        i++;
    }
    if (i == SQL_PARAMS_MAX) {
        return fail(scan, scan->at, "has more than 64 parameters");
    }
    if (i == query->n_names) {
        query->names[query->n_names++] = mem_strndup(name, len);
    }
    /* Spaces around: "a:b" must not become one word with its neighbours. */
    buf_addf(&scan->out, scan->dialect == SQL_POSTGRES ? " $%zu " : " ?%zu ", i + 1);
    scan->at = name + len;
    return 0;
}

/* A word, and with it what belongs to it: E'...' is the one string in which a backslash escapes. */
static int
copy_word(struct scan *scan)
{
    const char *c = scan->at;
    while (c < scan->end && is_word_part(*c)) {
        c++;
    }
    bool escapes = scan->dialect == SQL_POSTGRES && c - scan->at == 1 &&
                   (*scan->at == 'e' || *scan->at == 'E') && c < scan->end && *c == '\'';
    copy_to(scan, c);
    return escapes ? copy_quoted(scan, '\'', true) : 0;
}

static int
copy_parenthesis(struct scan *scan)
{
    scan->depth += *scan->at == '(' ? 1 : -1;
    if (scan->depth < 0) {
        return fail(scan, scan->at, "a closing parenthesis has no opening one");
    }
    copy_to(scan, scan->at + 1);
    return 0;
}

/* Placeholders of the database's own would be bound to nothing. */
static int
copy_other(struct scan *scan)
{
    char c = *scan->at;
    bool sqlite = scan->dialect == SQL_SQLITE;
    if ((c == '$' && (sqlite || (peek(scan, 1) >= '0' && peek(scan, 1) <= '9'))) ||
        (sqlite && (c == '?' || c == '@' || c == '#'))) {
        return fail(scan, scan->at, "parameters are written :name");
    }
    copy_to(scan, scan->at + 1);
    return 0;
}

static int
copy_colon(struct scan *scan)
{
    if (peek(scan, 1) == ':' || peek(scan, 1) == '=') {
        copy_to(scan, scan->at + 2);
        return 0;
    }
    if (is_name_start(peek(scan, 1))) {
        return copy_parameter(scan);
    }
    if (scan->dialect == SQL_SQLITE) {
        return fail(scan, scan->at, "a parameter's name is [A-Za-z_][A-Za-z0-9_]*");
    }
    copy_to(scan, scan->at + 1); /* a slice: a[1:2] */
    return 0;
}

static int
copy_token(struct scan *scan)
{
    char c = *scan->at;
    if (c == '\'') {
        return copy_quoted(scan, '\'', false);
    }
    if (c == '"' || (c == '`' && scan->dialect == SQL_SQLITE)) {
        return copy_quoted(scan, c, false);
    }
    if (c == '[' && scan->dialect == SQL_SQLITE) {
        return copy_quoted(scan, ']', false);
    }
    if (c == '$' && scan->dialect == SQL_POSTGRES) {
        int result = copy_dollar_quoted(scan);
        return result <= 0 ? result : copy_other(scan);
    }
    if (c == ':') {
        return copy_colon(scan);
    }
    if (c == '(' || c == ')') {
        return copy_parenthesis(scan);
    }
    return is_word_part(c) && c != '$' ? copy_word(scan) : copy_other(scan);
}

/* Space and comments: 1 when at is neither. */
static int
copy_space(struct scan *scan)
{
    char c = *scan->at;
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
        copy_to(scan, scan->at + 1);
        return 0;
    }
    if (c == '-' && peek(scan, 1) == '-') {
        copy_line_comment(scan);
        return 0;
    }
    if (c == '/' && peek(scan, 1) == '*') {
        return copy_block_comment(scan);
    }
    return 1;
}

static int
check_first(const struct scan *scan)
{
    static const char *const words[] = {"select", "with", "values", "table"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(scan->end - scan->at) >= len && strncasecmp(scan->at, words[i], len) == 0 &&
            !is_word_part(peek(scan, len))) {
            return 0;
        }
    }
    return fail(scan, scan->at, "must begin with SELECT, WITH, VALUES or TABLE");
}

static int
scan_one(struct scan *scan)
{
    int result = copy_space(scan);
    if (result <= 0) {
        return result;
    }
    if (scan->ended) {
        return fail(scan, scan->at, "is more than one statement");
    }
    if (*scan->at == ';') {
        scan->ended = true;
        scan->at++;
        return 0;
    }
    if (!scan->any_token && check_first(scan) != 0) {
        return -1;
    }
    scan->any_token = true;
    return copy_token(scan);
}

static int
scan_all(struct scan *scan)
{
    const char *nul = memchr(scan->at, '\0', (size_t)(scan->end - scan->at));
    if (nul != NULL) {
        return fail(scan, nul, "has a NUL byte");
    }
    while (scan->at < scan->end) {
        if (scan_one(scan) != 0) {
            return -1;
        }
    }
    if (scan->depth != 0) {
        return fail(scan, scan->end, "an opening parenthesis is not closed");
    }
    return scan->any_token ? 0 : fail(scan, scan->end, "is empty");
}

int
sql_query_scan(struct sql_query *query, const char *text, size_t len, enum sql_dialect dialect,
    struct err *err)
{
    struct sql_query found = {0};
    struct scan scan = {.at = text,
        .start = text,
        .end = text + len,
        .dialect = dialect,
        .query = &found,
        .err = err};
    buf_init(&scan.out);
    int result = scan_all(&scan);
    buf_addc(&scan.out, '\0');
    found.text = scan.out.bytes;
    if (result != 0) {
        sql_query_fini(&found);
        return -1;
    }
    *query = found;
    return 0;
}

void
sql_query_fini(struct sql_query *query)
{
    for (size_t i = 0; i < query->n_names; i++) {
        free(query->names[i]);
    }
    free(query->text);
    *query = (struct sql_query){0};
}
