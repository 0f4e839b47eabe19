/* cmd_demo: `headgate demo`: an embedded Kafka cluster, made-up records, and the gateway on them
 * with a configuration made here. Thread init. */
#include "../connectors/mock_cluster.h"
#include "buf.h"
#include "cmd.h"
#include "config.h"
#include "demo_producer.h"
#include "log.h"
#include "mem.h"
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_LISTEN "127.0.0.1:8080"
#define ADMIN_PORT 9901

static const char usage[] =
    "Usage: headgate demo [--listen ADDR:PORT]\n"
    "Serve sample streams from an embedded Kafka cluster, and a page that shows them.\n"
    "\n"
    "  --listen ADDR:PORT  where to serve (default " DEFAULT_LISTEN "; port 0: any free one)\n"
    "  --help              this text\n";

struct demo {
    char *host; /* numeric, without brackets */
    int port;
    int admin_port;
    struct mock_cluster *cluster;
    struct demo_producer *producer;
};

/* 0, or the errno of binding host's port now. Without SO_REUSEPORT, so that another gateway that
 * listens there is found. */
static int
try_port(const char *host, int port)
{
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
    struct addrinfo *address = NULL;
    int one = 1;
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &hints, &address) != 0) {
        return EADDRNOTAVAIL;
    }
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool free_now = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
                    bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, 1) == 0;
    int failure = free_now ? 0 : errno;
    if (fd >= 0) {
        close(fd);
    }
    freeaddrinfo(address);
    return failure;
}

/* "ADDR:PORT", "[V6]:PORT" into demo. */
static int
parse_listen(struct demo *demo, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t host_len = colon == NULL ? 0 : (size_t)(colon - text);
    if (host_len == 0 || colon[1] == '\0' || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        return -1;
    }
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port > UINT16_MAX) {
        return -1;
    }
    bool brackets = text[0] == '[' && text[host_len - 1] == ']';
    demo->host = brackets ? mem_strndup(text + 1, host_len - 2) : mem_strndup(text, host_len);
    demo->port = (int)port;
    return 0;
}

static int
choose_ports(struct demo *demo)
{
    int failure = try_port(demo->host, demo->port);
    if (failure != 0) {
        fprintf(stderr, "headgate demo: cannot listen on %s port %d: %s\n", demo->host, demo->port,
            strerror(failure));
        if (failure == EADDRINUSE) {
            fputs("For another port: headgate demo --listen 127.0.0.1:0\n", stderr);
        }
        return -1;
    }
    demo->admin_port = try_port("127.0.0.1", ADMIN_PORT) == 0 ? ADMIN_PORT : 0;
    return 0;
}

static int
start_kafka(struct demo *demo)
{
    struct err err = {.code = ERR_NONE};
    demo->cluster = mock_cluster_start(1, &err);
    if (demo->cluster == NULL ||
        mock_cluster_create_topic(demo->cluster, DEMO_ORDERS_TOPIC, 4, &err) != 0 ||
        mock_cluster_create_topic(demo->cluster, DEMO_PRICES_TOPIC, 2, &err) != 0) {
        fprintf(stderr, "headgate demo: %s\n", err.text);
        return -1;
    }
    demo->producer = demo_producer_start(mock_cluster_bootstrap(demo->cluster), &err);
    if (demo->producer == NULL) {
        fprintf(stderr, "headgate demo: %s\n", err.text);
        return -1;
    }
    return 0;
}

static void
add_stream(struct buf *yaml, const char *topic, const char *brokers)
{
    buf_addf(yaml,
        "  %s:\n"
        "    source:\n"
        "      kafka:\n"
        "        brokers: \"%s\"\n"
        "        topics: [%s]\n"
        "        start: earliest\n"
        /* The mock cluster answers a fetch only when this time is over; and it is too simple for
           the client, which would warn of it. */
        "        librdkafka_options: {fetch.wait.max.ms: 10, log_level: 3}\n"
        "    ring: {records: 65536, bytes: 64MiB}\n"
        "    slow:\n"
        "      policy: drop_oldest\n"
        "      queue: {records: 1024, bytes: 1MiB}\n"
        "      allow: [drop_newest, conflate, disconnect, pause]\n",
        topic, brokers, topic);
}

static void
add_config(struct buf *yaml, const struct demo *demo)
{
    bool v6 = strchr(demo->host, ':') != NULL;
    const char *brokers = mock_cluster_bootstrap(demo->cluster);
    buf_addf(yaml, "listen: \"%s%s%s:%d\"\n", v6 ? "[" : "", demo->host, v6 ? "]" : "", demo->port);
    buf_addf(yaml, "admin: 127.0.0.1:%d\n", demo->admin_port);
    buf_adds(
        yaml, "drain: {grace: 0s, timeout: 2s}\n"); /* Ctrl-C has no load balancer to wait for */
    buf_adds(yaml, "streams:\n");
    add_stream(yaml, DEMO_ORDERS_TOPIC, brokers);
    add_stream(yaml, DEMO_PRICES_TOPIC, brokers);
}

/* Called once everything listens. */
static void
greet(void *self, const struct run_addresses *addresses)
{
    const struct demo *demo = self;
    bool v6 = strchr(demo->host, ':') != NULL;
    bool any = strcmp(demo->host, "0.0.0.0") == 0 || strcmp(demo->host, "::") == 0;
    char at[128];
    snprintf(at, sizeof at, "%s%s%s:%u", v6 && !any ? "[" : "", any ? "localhost" : demo->host,
        v6 && !any ? "]" : "", (unsigned)addresses->public_port);
    fprintf(stderr,
        "\nHeadgate demo: sample streams from an embedded Kafka cluster.\n\n"
        "  The page          http://%s/\n"
        "  NDJSON            curl -N http://%s/streams/orders\n"
        "  SSE               curl -N -H 'Accept: text/event-stream' http://%s/streams/prices\n"
        "  A read that ends  curl 'http://%s/streams/orders?from=earliest&limit=5'\n"
        "  A slow one        curl -N 'http://%s/streams/orders?max_rate=5&queue=20'\n"
        "  WebSocket         websocat ws://%s/streams/orders\n"
        "  One that resumes  build/headgate tail --stats http://%s/streams/orders\n",
        at, at, at, at, at, at, at);
    fprintf(stderr,
        "  The broker        kcat -b %s -C -t orders -o end -X fetch.wait.max.ms=10\n"
        "  Metrics           curl http://127.0.0.1:%u/metrics\n\n"
        "Ctrl-C ends it.\n\n",
        mock_cluster_bootstrap(demo->cluster), (unsigned)addresses->admin_port);
}

static int
serve(struct demo *demo)
{
    struct buf yaml;
    struct config config;
    buf_init(&yaml);
    add_config(&yaml, demo);
    int failed =
        config_load_text(&config, "the demo's configuration", yaml.bytes, yaml.len, stderr);
    buf_fini(&yaml);
    if (failed != 0) {
        return 1;
    }
    log_init((enum log_level)config.log_level, (enum log_format)config.log_format);
    const struct run_options options = {.serve_page = true, .ready = greet, .self = demo};
    int status = run_config(&config, &options);
    config_fini(&config);
    return status;
}

/* So that no thread started from here on takes them: run_config waits for them. */
static void
block_signals(void)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
}

static int
run_demo(const char *listen_text)
{
    struct demo demo = {.host = NULL};
    int status = 1;
    if (parse_listen(&demo, listen_text) != 0) {
        fprintf(stderr, "headgate demo: --listen needs ADDR:PORT, not '%s'\n", listen_text);
        return 2;
    }
    if (choose_ports(&demo) == 0) {
        block_signals();
        status = start_kafka(&demo) == 0 ? serve(&demo) : 1;
        demo_producer_stop(demo.producer);
        mock_cluster_stop(demo.cluster);
    }
    free(demo.host);
    return status;
}

int
cmd_demo(int argc, char **argv)
{
    static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    static char name[] = "headgate demo";
    const char *listen_text = DEFAULT_LISTEN;
    int option;
    argv[0] = name; /* getopt_long begins its messages with it */
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'l') {
            listen_text = optarg;
        } else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    return run_demo(listen_text);
}
