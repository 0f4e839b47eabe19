/* cmd_tail: the command line of `headgate tail`, its signals, and nothing of the network. */
#include "cmd.h"
#include "tail_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARAMS_MAX 48
#define HEADERS_MAX 32

static const char usage[] =
    "Usage: headgate tail [OPTION]... URL\n"
    "Print a stream as one JSON object a line, and come back where it was after a failure.\n"
    "\n"
    "  --from POS        latest (default), earliest, -10m, an RFC 3339 time, a resume token\n"
    "  --to POS          end there\n"
    "  --limit N         end after N records\n"
    "  --envelope E      record (default), data (payloads alone), full, cloudevents\n"
    "  --where EXPR      only records whose payload matches, as /status==paid; repeatable\n"
    "  --consumer NAME   a durable consumer: its progress is kept by the server\n"
    "  --ack MODE        of it: sent (default), or client: a record counts once it is printed\n"
    "  --key KEY         only records with this key; repeatable\n"
    "  --header 'N: V'   a request header; repeatable\n"
    "  --stats           rates, total and gaps on stderr each second\n"
    "  --no-reconnect    a failure ends it, with exit status 1\n"
    "  --help            this text\n"
    "\n"
    "Records go to stdout; what happens on the way goes to stderr. Other parameters may stand in\n"
    "the URL: 'http://localhost:8080/streams/orders?slow=pause'\n"
    "Exit status: 0 ended, 1 failed or refused, 2 wrong usage.\n";

/* A signal handler reaches nothing else. */
static volatile sig_atomic_t stop;
static int wake_write = -1;

static void
on_signal(int number)
{
    (void)number;
    int saved = errno;
    stop = 1;
    ssize_t ignored = write(wake_write, "", 1);
    (void)ignored;
    errno = saved;
}

/* Without SA_RESTART, so that a write to a full pipe ends too. The read end, or -1. */
static int
take_signals(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        fprintf(stderr, "headgate tail: pipe: %s\n", strerror(errno));
        return -1;
    }
    wake_write = ends[1];
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    return ends[0];
}

struct arguments {
    struct tail_param params[PARAMS_MAX];
    const char *headers[HEADERS_MAX];
    struct tail_options options;
};

/* wrong: tell what is wrong with the command line; the exit status. */
static int
wrong(const char *what, const char *value)
{
    fprintf(stderr, "headgate tail: %s%s%s\nTry 'headgate tail --help'.\n", what,
        value == NULL ? "" : ": ", value == NULL ? "" : value);
    return 2;
}

static int
add_param(struct arguments *arguments, const char *name, const char *value)
{
    bool repeatable = strcmp(name, "key") == 0 || strcmp(name, "where") == 0;
    struct tail_options *options = &arguments->options;
    if (options->n_params == PARAMS_MAX) {
        return wrong("too many parameters", NULL);
    }
    if (strcmp(name, "limit") == 0 &&
        (*value == '\0' || strlen(value) > 18 || strspn(value, "0123456789") != strlen(value))) {
        return wrong("--limit needs a number", value);
    }
    arguments->params[options->n_params++] = (struct tail_param){name, value, repeatable};
    return 0;
}

static int
add_header(struct arguments *arguments, const char *header)
{
    const char *colon = strchr(header, ':');
    if (colon == NULL || colon == header || strpbrk(header, "\r\n") != NULL) {
        return wrong("--header needs 'Name: value'", header);
    }
    if (arguments->options.n_headers == HEADERS_MAX) {
        return wrong("too many headers", NULL);
    }
    arguments->headers[arguments->options.n_headers++] = header;
    return 0;
}

enum long_option {
    OPTION_PARAM = 256,
    OPTION_HEADER,
    OPTION_STATS,
    OPTION_NO_RECONNECT,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"from", required_argument, NULL, OPTION_PARAM},
    {"to", required_argument, NULL, OPTION_PARAM},
    {"limit", required_argument, NULL, OPTION_PARAM},
    {"envelope", required_argument, NULL, OPTION_PARAM},
    {"where", required_argument, NULL, OPTION_PARAM},
    {"key", required_argument, NULL, OPTION_PARAM},
    {"consumer", required_argument, NULL, OPTION_PARAM},
    {"ack", required_argument, NULL, OPTION_PARAM},
    {"header", required_argument, NULL, OPTION_HEADER},
    {"stats", no_argument, NULL, OPTION_STATS},
    {"no-reconnect", no_argument, NULL, OPTION_NO_RECONNECT},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* 0, or the exit status and *ends. */
static int
take_option(struct arguments *arguments, int option, int at, bool *ends)
{
    switch (option) {
    case OPTION_PARAM:
        return add_param(arguments, long_options[at].name, optarg);
    case OPTION_HEADER:
        return add_header(arguments, optarg);
    case OPTION_STATS:
        arguments->options.stats = true;
        return 0;
    case OPTION_NO_RECONNECT:
        arguments->options.reconnect = false;
        return 0;
    case OPTION_HELP:
    case 'h':
        fputs(usage, stdout);
        *ends = true;
        return 0;
    default: /* getopt_long said what is wrong */
        fputs("Try 'headgate tail --help'.\n", stderr);
        return 2;
    }
}

/* 0: go on, or the exit status and *ends. */
static int
parse_arguments(struct arguments *arguments, int argc, char **argv, bool *ends)
{
    static char name[] = "headgate tail";
    argv[0] = name; /* getopt_long begins its messages with it */
    int option, at = 0;
    int status = 0;
    while (
        status == 0 && !*ends && (option = getopt_long(argc, argv, "h", long_options, &at)) != -1) {
        status = take_option(arguments, option, at, ends);
    }
    if (status == 0 && !*ends && optind + 1 != argc) {
        status = wrong(optind == argc ? "a URL is needed" : "one URL only", NULL);
    }
    *ends = *ends || status != 0;
    arguments->options.url = argv[optind];
    return status;
}

int
cmd_tail(int argc, char **argv)
{
    struct arguments arguments = {.options = {.reconnect = true, .out = STDOUT_FILENO}};
    arguments.options.params = arguments.params;
    arguments.options.headers = arguments.headers;
    arguments.options.stop = &stop;
    bool ends = false;
    int status = parse_arguments(&arguments, argc, argv, &ends);
    if (ends) {
        return status;
    }
    arguments.options.wake = take_signals();
    if (arguments.options.wake == -1) {
        return 1;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct err err = {.code = ERR_NONE};
    struct tail_client *client = tail_client_new(&arguments.options, &err);
    status = client == NULL ? wrong(err.text, NULL) : tail_client_run(client);
    tail_client_free(client);
    curl_global_cleanup();
    close(arguments.options.wake);
    close(wake_write);
    return status;
}
