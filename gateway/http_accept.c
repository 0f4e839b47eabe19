/* http_accept: what the Accept headers think of a media type (RFC 9110 section 12.5.1). Any thread:
 * no state. */
#include "http.h"

#include <string.h>

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void
skip(struct slice *text, size_t n)
{
    text->at += n;
    text->len -= n;
}

static void
skip_blanks(struct slice *text)
{
    while (text->len != 0 && is_blank(text->at[0])) {
        skip(text, 1);
    }
}

static bool
take_char(struct slice *text, char c)
{
    if (text->len == 0 || text->at[0] != c) {
        return false;
    }
    skip(text, 1);
    return true;
}

/* A token (RFC 9110 section 5.6.2), perhaps empty: what ends one here is a delimiter or a blank. */
static struct slice
take_token(struct slice *text)
{
    struct slice token = {text->at, 0};
    while (text->len != 0 && text->at[0] > ' ' && text->at[0] < 0x7f &&
           strchr("\"(),/:;<=>?@[\\]{}", text->at[0]) == NULL) {
        skip(text, 1);
        token.len++;
    }
    return token;
}

/* Skip a quoted string whose opening quote is next; false when it does not end. */
static bool
skip_quoted(struct slice *text)
{
    skip(text, 1);
    while (text->len != 0) {
        char c = text->at[0];
        skip(text, c == '\\' && text->len > 1 ? 2 : 1);
        if (c == '"') {
            return true;
        }
    }
    return false;
}

/* Cut the next member off list: a comma inside quotes is none. */
static struct slice
take_member(struct slice *list)
{
    struct slice member = {list->at, 0};
    while (list->len != 0 && list->at[0] != ',') {
        if (list->at[0] == '"') {
            skip_quoted(list);
        } else {
            skip(list, 1);
        }
    }
    member.len = (size_t)(list->at - member.at);
    take_char(list, ',');
    skip_blanks(&member);
    return member;
}

/* "0", "0.5", "1.000" as 0 to 1000; -1 for anything else. */
static int
parse_quality(struct slice text)
{
    if (text.len == 0 || text.len > 5 || (text.at[0] != '0' && text.at[0] != '1') ||
        (text.len > 1 && text.at[1] != '.')) {
        return -1;
    }
    int value = text.at[0] - '0';
    for (size_t i = 2; i < 5; i++) {
        char c = i < text.len ? text.at[i] : '0';
        if (c < '0' || c > '9') {
            return -1;
        }
        value = value * 10 + (c - '0');
    }
    return value <= 1000 ? value : -1;
}

/* The quality among the parameters of a member; 1000 without one, -1 when they are malformed. Other
 * parameters are not compared: "text/event-stream;charset=utf-8" means the type to all who send it.
 */
static int
take_parameters(struct slice *text)
{
    int quality = 1000;
    for (;;) {
        skip_blanks(text);
        if (text->len == 0) {
            return quality;
        }
        if (!take_char(text, ';')) {
            return -1;
        }
        skip_blanks(text);
        struct slice name = take_token(text);
        if (name.len == 0) {
            continue;
        }
        struct slice value = {NULL, 0};
        if (take_char(text, '=')) {
            if (text->len != 0 && text->at[0] == '"') {
                if (!skip_quoted(text)) {
                    return -1;
                }
            } else if ((value = take_token(text)).len == 0) {
                return -1;
            }
        }
        if (slice_eq_nocase(name, "q") && (quality = parse_quality(value)) < 0) {
            return -1;
        }
    }
}

/* How well main/sub matches type: 3 exactly, 2 by subtype wildcard, 1 by full wildcard, 0 not. */
static int
match(struct slice main_type, struct slice sub_type, const char *type)
{
    const char *slash = strchr(type, '/');
    bool any_main = slice_eq(main_type, "*");
    bool any_sub = slice_eq(sub_type, "*");
    if (any_main) {
        return any_sub ? 1 : 0;
    }
    size_t len = (size_t)(slash - type);
    char main_name[32];
    if (main_type.len != len || len >= sizeof main_name) {
        return 0;
    }
    memcpy(main_name, type, len);
    main_name[len] = '\0';
    if (!slice_eq_nocase(main_type, main_name)) {
        return 0;
    }
    return any_sub ? 2 : slice_eq_nocase(sub_type, slash + 1) ? 3 : 0;
}

/* Weigh one member; false when it is malformed or does not match. */
static bool
weigh(struct slice member, const char *type, int *quality, int *specificity)
{
    struct slice main_type = take_token(&member);
    if (main_type.len == 0 || !take_char(&member, '/')) {
        return false;
    }
    struct slice sub_type = take_token(&member);
    if (sub_type.len == 0) {
        return false;
    }
    *specificity = match(main_type, sub_type, type);
    *quality = take_parameters(&member);
    return *specificity > 0 && *quality >= 0;
}

int
http_accept_quality(const struct http_request *request, const char *type, int *specificity)
{
    int best = 0;
    int best_specificity = 0;
    bool any_member = false;
    for (size_t i = 0; i < request->n_headers; i++) {
        struct slice list = request->headers[i].value;
        if (!slice_eq_nocase(request->headers[i].name, "Accept")) {
            continue;
        }
        while (list.len != 0) {
            int got, how;
            struct slice member = take_member(&list);
            any_member = any_member || member.len != 0;
            if (weigh(member, type, &got, &how) &&
                (how > best_specificity || (how == best_specificity && got > best))) {
                best = got;
                best_specificity = how;
            }
        }
    }
    *specificity = any_member ? best_specificity : 1;
    return any_member ? best : 1000;
}
