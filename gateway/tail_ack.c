/* tail_ack: POSTs of one small body at a time. One thread. */
#include "tail_ack.h"

#include "buf.h"
#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tail_ack {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    struct buf body;
    char *sent; /* the token that is on its way, or was told last; NULL: none */
    bool busy;
    long told_status; /* the refusal that is on stderr already */
};

char *
tail_ack_url(const char *url, const char *consumer, struct err *err)
{
    size_t len = strcspn(url, "?#");
    const char *streams = NULL;
    for (const char *at = url; (at = strstr(at, "/streams/")) != NULL && at < url + len; at++) {
        streams = at + strlen("/streams/");
    }
    size_t name = streams == NULL ? 0 : (size_t)(url + len - streams);
    if (name == 0 || memchr(streams, '/', name) != NULL) {
        err_set(err, ERR_INVALID, "--ack client needs a URL that ends in /streams/NAME");
        return NULL;
    }
    struct buf text;
    buf_init(&text);
    buf_add(&text, url, len);
    buf_addf(&text, "/consumers/%s/ack", consumer);
    buf_addc(&text, '\0');
    return text.bytes;
}

/* The answer's body is of no use. */
static size_t
ignore(char *bytes, size_t size, size_t n, void *self)
{
    (void)bytes;
    (void)self;
    return size * n;
}

struct tail_ack *
tail_ack_new(CURLM *multi, const char *url, struct curl_slist *headers)
{
    struct tail_ack *ack = mem_calloc(1, sizeof *ack);
    ack->multi = multi;
    ack->easy = curl_easy_init();
    if (ack->easy == NULL) {
        free(ack);
        return NULL;
    }
    buf_init(&ack->body);
    curl_easy_setopt(ack->easy, CURLOPT_URL, url);
    for (const struct curl_slist *header = headers; header != NULL; header = header->next) {
        ack->headers = curl_slist_append(ack->headers, header->data);
    }
    ack->headers = curl_slist_append(ack->headers, "Content-Type: application/json");
    curl_easy_setopt(ack->easy, CURLOPT_HTTPHEADER, ack->headers);
    curl_easy_setopt(ack->easy, CURLOPT_USERAGENT, "headgate-tail");
    curl_easy_setopt(ack->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(ack->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(ack->easy, CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(ack->easy, CURLOPT_TIMEOUT, 10L);
    curl_easy_setopt(ack->easy, CURLOPT_WRITEFUNCTION, ignore);
    return ack;
}

static void
leave(struct tail_ack *ack)
{
    if (ack->busy) {
        curl_multi_remove_handle(ack->multi, ack->easy);
        ack->busy = false;
    }
}

void
tail_ack_free(struct tail_ack *ack)
{
    if (ack != NULL) {
        leave(ack);
        curl_easy_cleanup(ack->easy);
        curl_slist_free_all(ack->headers);
        buf_fini(&ack->body);
        free(ack->sent);
        free(ack);
    }
}

static bool
prepare(struct tail_ack *ack, const char *token)
{
    if (token == NULL || (ack->sent != NULL && strcmp(ack->sent, token) == 0)) {
        return false;
    }
    free(ack->sent);
    ack->sent = mem_strdup(token);
    ack->body.len = 0;
    buf_addf(&ack->body, "{\"id\":\"%s\"}", token);
    curl_easy_setopt(ack->easy, CURLOPT_POSTFIELDSIZE, (long)ack->body.len);
    curl_easy_setopt(ack->easy, CURLOPT_POSTFIELDS, ack->body.bytes);
    return true;
}

void
tail_ack_send(struct tail_ack *ack, const char *token)
{
    if (!ack->busy && prepare(ack, token)) {
        ack->busy = curl_multi_add_handle(ack->multi, ack->easy) == CURLM_OK;
    }
}

/* What is not taken is sent again with a later record; the gateway closes us if none ever is. */
static void
judge(struct tail_ack *ack, CURLcode code)
{
    long status = 0;
    if (code == CURLE_OK) {
        curl_easy_getinfo(ack->easy, CURLINFO_RESPONSE_CODE, &status);
    }
    if (status != 204) {
        free(ack->sent);
        ack->sent = NULL;
    }
    if (status != 204 && status != ack->told_status) {
        if (status == 0) {
            fprintf(stderr, "headgate tail: ack: %s\n", curl_easy_strerror(code));
        } else {
            fprintf(stderr, "headgate tail: ack: the gateway answers %ld\n", status);
        }
    }
    ack->told_status = status;
}

bool
tail_ack_done(struct tail_ack *ack, const CURLMsg *message)
{
    if (ack == NULL || message->easy_handle != ack->easy) {
        return false;
    }
    CURLcode code = message->data.result; /* the message is gone with the handle */
    leave(ack);
    judge(ack, code);
    return true;
}

void
tail_ack_finish(struct tail_ack *ack, const char *token)
{
    bool cut = ack->busy;
    leave(ack);
    if (cut) { /* its answer is not known: say it again */
        free(ack->sent);
        ack->sent = NULL;
    }
    if (prepare(ack, token)) {
        curl_easy_setopt(ack->easy, CURLOPT_TIMEOUT, 2L);
        judge(ack, curl_easy_perform(ack->easy));
        curl_easy_setopt(ack->easy, CURLOPT_TIMEOUT, 10L);
    }
}
