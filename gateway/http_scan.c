/* http_scan: tokens, quoted strings, members and qualities of header lists. Any thread. */
#include "http_scan.h"

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

void
http_scan_blanks(struct slice *text)
{
    while (text->len != 0 && is_blank(text->at[0])) {
        skip(text, 1);
    }
}

bool
http_scan_char(struct slice *text, char c)
{
    if (text->len == 0 || text->at[0] != c) {
        return false;
    }
    skip(text, 1);
    return true;
}

struct slice
http_scan_token(struct slice *text)
{
    struct slice token = {text->at, 0};
    while (text->len != 0 && text->at[0] > ' ' && text->at[0] < 0x7f &&
           strchr("\"(),/:;<=>?@[\\]{}", text->at[0]) == NULL) {
        skip(text, 1);
        token.len++;
    }
    return token;
}

bool
http_scan_quoted(struct slice *text)
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

struct slice
http_scan_member(struct slice *list)
{
    struct slice member = {list->at, 0};
    while (list->len != 0 && list->at[0] != ',') {
        if (list->at[0] == '"') {
            http_scan_quoted(list);
        } else {
            skip(list, 1);
        }
    }
    member.len = (size_t)(list->at - member.at);
    http_scan_char(list, ',');
    http_scan_blanks(&member);
    return member;
}

int
http_quality(struct slice text)
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
