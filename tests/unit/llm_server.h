/* llm_server: an upstream whose every byte is scripted, for tests of the client of models: its n-th
 * request is answered by the n-th script, the last one again for all that follow. A thread a
 * connection, one request each. Thread any. */
#ifndef HEADGATE_LLM_SERVER_H
#define HEADGATE_LLM_SERVER_H

#include <stdbool.h>
#include <stddef.h>

enum llm_then {
    LLM_THEN_CLOSE, /* FIN */
    LLM_THEN_RESET, /* RST */
    LLM_THEN_STALL  /* nothing more, until the client closes */
};

struct llm_script {
    const char *bytes; /* the whole answer, head and body; lent */
    size_t len;
    size_t step; /* bytes a write; 0: all at once */
    enum llm_then then;
};

struct llm_server;

/* llm_server_new: listens on 127.0.0.1. With tls, it has a certificate of its own making for that
 * address, in the PEM file llm_server_ca. */
struct llm_server *llm_server_new(const struct llm_script *scripts, size_t n, bool tls);
void llm_server_free(struct llm_server *server);
const char *llm_server_ca(const struct llm_server *server);

/* llm_server_url: lent. */
const char *llm_server_url(const struct llm_server *server);

/* llm_server_requests: how many whole requests came; llm_server_request: the n-th, head and body,
 * NUL-terminated; lent until the server is freed. */
size_t llm_server_requests(struct llm_server *server);
const char *llm_server_request(struct llm_server *server, size_t n);

/* llm_server_sent: bytes that the client's side took. llm_server_wait_closed: until so many
 * connections were closed by the client while the script stalled; false after seconds. */
size_t llm_server_sent(struct llm_server *server);
bool llm_server_wait_closed(struct llm_server *server, size_t n, int seconds);

#endif
