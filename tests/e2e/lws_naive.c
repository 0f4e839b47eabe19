/* lws_naive: a small server on libwebsockets' own HTTP and WebSocket roles, without any guard: GET
 * of any path, POST, SSE at /events (an event a second), a WebSocket echo. test_guards.py does to
 * it what it does to the gateway, to show that its tests can fail.
 *
 *   lws_naive PORT      prints the library's version once it listens on 127.0.0.1; ends by SIGTERM
 */
#include <libwebsockets.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_US LWS_USEC_PER_SEC

struct client {
    bool sse;
    char path[64];
    size_t len; /* of the message to echo */
    enum lws_write_protocol how;
    unsigned char message[LWS_PRE + 1024];
};

static volatile sig_atomic_t stopped;

static void
on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

static int
send_head(struct lws *wsi, const char *type, lws_filepos_t len)
{
    unsigned char head[LWS_PRE + 512];
    unsigned char *start = head + LWS_PRE;
    unsigned char *at = start;
    if (lws_add_http_common_headers(wsi, 200, type, len, &at, head + sizeof head) != 0) {
        return -1;
    }
    return lws_finalize_write_http_header(wsi, start, &at, head + sizeof head);
}

/* The answer names the path, so that a smuggled request shows. */
static int
answer(struct lws *wsi, const struct client *client)
{
    unsigned char body[LWS_PRE + 128];
    size_t len = (size_t)snprintf((char *)body + LWS_PRE, 128, "served %s\n", client->path);
    if (send_head(wsi, "text/plain", len) != 0 ||
        lws_write(wsi, body + LWS_PRE, len, LWS_WRITE_HTTP_FINAL) < 0) {
        return -1;
    }
    return lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static int
on_request(struct lws *wsi, struct client *client, const char *path)
{
    snprintf(client->path, sizeof client->path, "%s", path);
    client->sse = strcmp(path, "/events") == 0;
    if (client->sse) {
        if (send_head(wsi, "text/event-stream", LWS_ILLEGAL_HTTP_CONTENT_LEN) != 0) {
            return -1;
        }
        lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
        lws_callback_on_writable(wsi);
        return 0;
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0) {
        return 0; /* answered when its body is there */
    }
    return answer(wsi, client);
}

static int
on_http(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct client *client = user;
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(wsi, client, in);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return answer(wsi, client);
    case LWS_CALLBACK_TIMER:
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_HTTP_WRITEABLE: {
        unsigned char event[LWS_PRE + 16] = {0};
        memcpy(event + LWS_PRE, "data: 1\n\n", 9);
        if (!client->sse) {
            return lws_callback_http_dummy(wsi, reason, user, in, len);
        }
        if (lws_write(wsi, event + LWS_PRE, 9, LWS_WRITE_HTTP) != 9) {
            return -1;
        }
        lws_set_timer_usecs(wsi, EVERY_US);
        return 0;
    }
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

static int
on_websocket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct client *client = user;
    switch ((int)reason) {
    case LWS_CALLBACK_RECEIVE:
        client->len = len < 1024 ? len : 1024;
        client->how = lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
        memcpy(client->message + LWS_PRE, in, client->len);
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return lws_write(wsi, client->message + LWS_PRE, client->len, client->how) < 0 ? -1 : 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_http, .per_session_data_size = sizeof(struct client)},
    {.name = "echo",
        .callback = on_websocket,
        .per_session_data_size = sizeof(struct client),
        .rx_buffer_size = 1024},
    {.name = NULL},
};

int
main(int argc, char **argv)
{
    struct lws_context_creation_info info = {
        .port = argc == 2 ? atoi(argv[1]) : 0,
        .iface = "127.0.0.1",
        .protocols = protocols,
    };
    signal(SIGTERM, on_signal);
    lws_set_log_level(LLL_ERR | LLL_WARN, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (context == NULL) {
        return 1;
    }
    puts(lws_get_library_version());
    fflush(stdout);
    while (!stopped && lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
    return 0;
}
