/* llm_settings_headers: the headers of a request to an upstream: those of its dialect, its key, the
 * configured ones, and what of the client's it may be told. Any thread: no state. */
#include "llm_settings.h"

#include "../gateway/buf.h"
#include "../gateway/mem.h"

#include <string.h>
#include <strings.h>

static bool
has_own(const struct llm_upstream *upstream, const char *header, size_t name_len)
{
    for (size_t i = 0; i < upstream->headers.n; i++) {
        const char *name = upstream->headers.items[i].name;
        if (strlen(name) == name_len && strncasecmp(name, header, name_len) == 0) {
            return true;
        }
    }
    return false;
}

static void
end_header(struct buf *texts, size_t *n)
{
    buf_addc(texts, '\0');
    ++*n;
}

static void
add_header(struct buf *texts, size_t *n, const char *name, const char *value)
{
    buf_addf(texts, "%s: %s", name, value);
    end_header(texts, n);
}

static void
add_key(const struct llm_dialect *dialect, const char *key, struct buf *texts, size_t *n)
{
    buf_adds(texts, dialect->auth == LLM_AUTH_X_API_KEY ? "x-api-key: " : "Authorization: Bearer ");
    buf_adds(texts, key);
    end_header(texts, n);
}

static const char *
client_header(const struct llm_client *client, const char *name, size_t name_len)
{
    for (size_t i = 0; i < client->n; i++) {
        if (strlen(client->headers[i].name) == name_len &&
            strncasecmp(client->headers[i].name, name, name_len) == 0) {
            return client->headers[i].value;
        }
    }
    return NULL;
}

static bool
is_key(const char *name)
{
    return strcmp(name, "x-api-key") == 0 || strcmp(name, "authorization") == 0;
}

/* To one that speaks something else, in its form. */
static void
add_client_key(const struct llm_upstream *upstream, const struct llm_client *client,
    struct buf *texts, size_t *n)
{
    static const char bearer[] = "Bearer ";
    const char *key = client_header(client, "x-api-key", strlen("x-api-key"));
    const char *token = client_header(client, "authorization", strlen("authorization"));
    if (key == NULL && token != NULL && strncasecmp(token, bearer, sizeof bearer - 1) == 0) {
        key = token + sizeof bearer - 1;
    }
    if (key != NULL) {
        add_key(llm_dialects[upstream->dialect], key, texts, n);
    }
}

/* To one that speaks the same: as they came. */
static void
add_client(const struct llm_upstream *upstream, const struct llm_client *client, struct buf *texts,
    size_t *n)
{
    bool keys = upstream->key == NULL && upstream->client_key;
    if (!client->same && keys) {
        add_client_key(upstream, client, texts, n);
    }
    for (size_t i = 0; client->same && i < client->n; i++) {
        const char *name = client->headers[i].name;
        if (!has_own(upstream, name, strlen(name)) && (keys || !is_key(name))) {
            add_header(texts, n, name, client->headers[i].value);
        }
    }
}

static void
add_headers(const struct llm_upstream *upstream, const struct llm_client *client, struct buf *texts,
    size_t *n)
{
    const struct llm_dialect *dialect = llm_dialects[upstream->dialect];
    for (size_t i = 0; dialect->headers[i] != NULL; i++) {
        size_t len = strcspn(dialect->headers[i], ":");
        bool said = client->same && client_header(client, dialect->headers[i], len) != NULL;
        if (!said && !has_own(upstream, dialect->headers[i], len)) {
            buf_adds(texts, dialect->headers[i]);
            end_header(texts, n);
        }
    }
    if (upstream->key != NULL) {
        add_key(dialect, upstream->key, texts, n);
    }
    add_client(upstream, client, texts, n);
    for (size_t i = 0; i < upstream->headers.n; i++) {
        add_header(texts, n, upstream->headers.items[i].name, upstream->headers.items[i].value);
    }
}

const char *const *
llm_settings_headers(const struct llm_upstream *upstream, const struct llm_client *client)
{
    struct buf texts;
    size_t n = 0;
    buf_init(&texts);
    add_headers(upstream, client, &texts, &n);
    size_t rows = (n + 1) * sizeof(char *);
    const char **headers = mem_alloc(rows + texts.len);
    char *at = (char *)headers + rows;
    if (texts.len > 0) {
        memcpy(at, texts.bytes, texts.len);
    }
    for (size_t i = 0; i < n; i++) {
        headers[i] = at;
        at += strlen(at) + 1;
    }
    headers[n] = NULL;
    buf_fini(&texts);
    return headers;
}
