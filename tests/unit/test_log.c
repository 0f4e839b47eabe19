/* test_log: what reaches stderr, read from a pipe; the limit is turned by hand. */
#include "log.h"
#include "log_limit.h"
#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char got[1 << 20];

/* Puts a pipe in the place of stderr and gives its reading end. Each test is a process of its own.
 */
static int
stderr_pipe(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

/* What is there to read now, into got. */
static const char *
read_all(int fd)
{
    size_t len = 0;
    struct pollfd readable = {fd, POLLIN, 0};
    while (poll(&readable, 1, 0) == 1 && (readable.revents & POLLIN) != 0) {
        ssize_t n = read(fd, got + len, sizeof got - 1 - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
    }
    got[len] = '\0';
    return got;
}

static json_t *
one_json_line(int fd)
{
    const char *line = read_all(fd);
    size_t len = strlen(line);
    ck_assert_uint_gt(len, 0);
    ck_assert_ptr_eq(strchr(line, '\n'), line + len - 1);
    json_t *tree = json_loadb(line, len, 0, NULL);
    ck_assert_msg(tree != NULL, "%s", line);
    return tree;
}

static const char *
member(const json_t *tree, const char *name)
{
    return json_string_value(json_object_get(tree, name));
}

static size_t
count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part)) {
        n++;
    }
    return n;
}

START_TEST(a_json_line_has_its_members)
{
    int fd = stderr_pipe();
    log_init(LOG_INFO, LOG_FORMAT_AUTO);
    log_event(LOG_WARN, "kafka", "orders", "broker %d is \"down\" \\", 3);
    json_t *tree = one_json_line(fd);
    ck_assert_uint_eq(strlen(member(tree, "ts")), 24);
    ck_assert_str_eq(member(tree, "level"), "warn");
    ck_assert_str_eq(member(tree, "component"), "kafka");
    ck_assert_str_eq(member(tree, "stream"), "orders");
    ck_assert_str_eq(member(tree, "msg"), "broker 3 is \"down\" \\");
    json_decref(tree);
    log_event(LOG_ERROR, "http", NULL, "x");
    tree = one_json_line(fd);
    ck_assert_ptr_null(json_object_get(tree, "stream"));
    json_decref(tree);
}
END_TEST

START_TEST(a_text_line_is_for_people)
{
    int fd = stderr_pipe();
    log_init(LOG_DEBUG, LOG_FORMAT_TEXT);
    log_event(LOG_INFO, "kafka", "orders", "up");
    const char *line = read_all(fd);
    ck_assert_msg(strlen(line) > 24, "%s", line);
    ck_assert_int_eq(line[23], 'Z');
    ck_assert_str_eq(line + 24, " INFO  kafka orders: up\n");
    log_event(LOG_DEBUG, "main", NULL, "down");
    ck_assert_str_eq(read_all(fd) + 24, " DEBUG main: down\n");
}
END_TEST

START_TEST(lines_below_the_least_level_are_not_written)
{
    int fd = stderr_pipe();
    log_init(LOG_WARN, LOG_FORMAT_TEXT);
    log_event(LOG_INFO, "main", NULL, "no");
    log_event(LOG_WARN, "main", NULL, "yes");
    ck_assert_uint_eq(count_of(read_all(fd), "\n"), 1);
    ck_assert_ptr_nonnull(strstr(got, "yes"));
}
END_TEST

START_TEST(control_characters_and_bad_bytes_are_escaped)
{
    int fd = stderr_pipe();
    log_init(LOG_INFO, LOG_FORMAT_TEXT);
    log_event(LOG_INFO, "http", NULL, "%s", "a\nb\r\t\x1B[2J\x7F\xC2\x9B\xFF\xC3\xA9");
    ck_assert_str_eq(read_all(fd) + 24,
        " INFO  http: a\\nb\\r\\t\\u001b[2J\\u007f\\u009b\xEF\xBF\xBD\xC3\xA9\n");
    log_init(LOG_INFO, LOG_FORMAT_JSON);
    log_event(LOG_INFO, "http", "s\n", "%s", "a\nb\r\t\x1B[2J\x7F\xC2\x9B\xFF\xC3\xA9");
    json_t *tree = one_json_line(fd);
    ck_assert_str_eq(member(tree, "msg"), "a\nb\r\t\x1B[2J\x7F\xC2\x9B\xEF\xBF\xBD\xC3\xA9");
    ck_assert_str_eq(member(tree, "stream"), "s\n");
    json_decref(tree);
}
END_TEST

START_TEST(a_long_message_is_cut_and_stays_valid)
{
    int fd = stderr_pipe();
    char message[5000], stream[5000];
    log_init(LOG_INFO, LOG_FORMAT_JSON);
    memset(message, 1, sizeof message - 1);
    memset(stream, '"', sizeof stream - 1);
    message[sizeof message - 1] = stream[sizeof stream - 1] = '\0';
    log_event(LOG_INFO, "http", NULL, "%s", message);
    json_t *tree = one_json_line(fd);
    ck_assert_uint_le(strlen(got), PIPE_BUF);
    const char *msg = member(tree, "msg");
    ck_assert_str_eq(msg + strlen(msg) - 3, "...");
    json_decref(tree);
    log_event(LOG_INFO, "http", stream, "%s", "short");
    json_decref(one_json_line(fd));
    ck_assert_uint_le(strlen(got), PIPE_BUF);
}
END_TEST

START_TEST(a_full_pipe_drops_whole_lines_and_counts_them)
{
    int fd = stderr_pipe();
    log_init(LOG_INFO, LOG_FORMAT_JSON);
    uint64_t written = 0;
    char stream[16];
    char message[1000];
    memset(message, 'm', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    for (; log_dropped_lines() < 5; written++) {
        ck_assert_uint_lt(written, 10000);
        snprintf(stream, sizeof stream, "s%llu", (unsigned long long)written / 10);
        log_event(LOG_INFO, "kafka", stream, "%s", message);
    }
    const char *text = read_all(fd);
    ck_assert_uint_eq(count_of(text, "\n"), written - 5);
    ck_assert_uint_eq(count_of(text, "\"}\n{\"ts\""), written - 6);
    log_event(LOG_INFO, "kafka", NULL, "again");
    json_decref(one_json_line(fd));
    ck_assert_uint_eq(log_dropped_lines(), 5);
}
END_TEST

START_TEST(a_full_socket_cuts_no_line)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &(int){4608}, sizeof(int));
    dup2(ends[1], STDERR_FILENO);
    log_init(LOG_INFO, LOG_FORMAT_JSON);
    char message[1500], stream[16];
    memset(message, 'm', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    static char all[1 << 20];
    uint64_t lines = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 10; i++, lines++) {
            snprintf(stream, sizeof stream, "s%d", round);
            log_event(LOG_INFO, "kafka", stream, "%s", message);
        }
        strcat(all, read_all(ends[0]));
    }
    log_event(LOG_INFO, "kafka", NULL, "last");
    strcat(all, read_all(ends[0]));
    uint64_t whole = lines + 1 - log_dropped_lines();
    ck_assert_uint_lt(whole, lines);
    ck_assert_uint_eq(count_of(all, "\"}\n"), whole);
    ck_assert_uint_eq(count_of(all, "\"}\n{\"ts\""), whole - 1);
    ck_assert_str_eq(all + strlen(all) - strlen("last\"}\n"), "last\"}\n");
}
END_TEST

START_TEST(a_closed_pipe_is_no_end_of_the_process)
{
    int fd = stderr_pipe();
    ck_assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    log_init(LOG_INFO, LOG_FORMAT_JSON);
    close(fd);
    log_event(LOG_INFO, "main", NULL, "nobody reads");
    ck_assert_uint_eq(log_dropped_lines(), 1);
}
END_TEST

START_TEST(a_flood_of_one_kind_is_held_to_twenty)
{
    int fd = stderr_pipe();
    log_init(LOG_INFO, LOG_FORMAT_TEXT);
    for (int i = 0; i < 100; i++) {
        log_event(LOG_WARN, "kafka", "orders", "attempt %d", i);
    }
    for (int i = 0; i < 3; i++) {
        log_event(LOG_WARN, "kafka", "sales", "attempt %d", i);
        log_event(LOG_WARN, "file", "orders", "attempt %d", i);
        log_event(LOG_WARN, "kafka", "orders", "another %d", i);
    }
    ck_assert_uint_eq(count_of(read_all(fd), "\n"), LOG_LIMIT_LINES + 9);
    ck_assert_uint_eq(log_dropped_lines(), 0);
}
END_TEST

START_TEST(what_was_left_out_is_told_when_the_window_ends)
{
    static struct log_limit limit;
    struct log_limit_kind kind;
    uint64_t left_out = 0;
    for (int i = 1; i <= 50; i++) {
        char message[16];
        snprintf(message, sizeof message, "no %d", i);
        bool pass = log_limit_pass(&limit, 100 + i, LOG_WARN, "kafka", "orders", "no %d", message);
        ck_assert(pass == (i <= LOG_LIMIT_LINES));
    }
    log_limit_pass(&limit, 101, LOG_INFO, "main", NULL, "quiet", "quiet");
    ck_assert(!log_limit_report(&limit, 100 + LOG_LIMIT_NS, &kind, &left_out));
    ck_assert(log_limit_report(&limit, 101 + LOG_LIMIT_NS, &kind, &left_out));
    ck_assert_uint_eq(left_out, 30);
    ck_assert_int_eq(kind.level, LOG_WARN);
    ck_assert_str_eq(kind.component, "kafka");
    ck_assert_str_eq(kind.stream, "orders");
    ck_assert_str_eq(kind.message, "no 50");
    ck_assert(!log_limit_report(&limit, 101 + LOG_LIMIT_NS, &kind, &left_out));
    ck_assert(log_limit_pass(&limit, 200, LOG_WARN, "kafka", "orders", "no %d", "no 51"));
}
END_TEST

START_TEST(more_kinds_than_slots_all_pass)
{
    static struct log_limit limit;
    for (int i = 0; i < 3 * LOG_LIMIT_SLOTS; i++) {
        char stream[16];
        snprintf(stream, sizeof stream, "s%d", i);
        for (int k = 0; k < LOG_LIMIT_LINES; k++) {
            ck_assert(log_limit_pass(&limit, 1, LOG_WARN, "kafka", stream, "x", "x"));
        }
    }
}
END_TEST

static void *
write_many(void *streams)
{
    for (int i = 0; i < 100; i++) {
        const char *const *stream = streams;
        log_event(LOG_INFO, "shard", stream[i / 20], "%s", "a message of some length, not cut");
    }
    return NULL;
}

START_TEST(threads_do_not_mix_their_lines)
{
    int fd = stderr_pipe();
    static const char *streams[4][5] = {{"a", "b", "c", "d", "e"}, {"f", "g", "h", "i", "j"},
        {"k", "l", "m", "n", "o"}, {"p", "q", "r", "s", "t"}};
    pthread_t threads[4];
    log_init(LOG_INFO, LOG_FORMAT_JSON);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_many, streams[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(count_of(read_all(fd), "not cut\"}\n"), 400 - log_dropped_lines());
    ck_assert_uint_eq(count_of(got, "{\"ts\""), 400 - log_dropped_lines());
}
END_TEST

UNIT_MAIN("log", a_json_line_has_its_members, a_text_line_is_for_people,
    lines_below_the_least_level_are_not_written, control_characters_and_bad_bytes_are_escaped,
    a_long_message_is_cut_and_stays_valid, a_full_pipe_drops_whole_lines_and_counts_them,
    a_full_socket_cuts_no_line, a_closed_pipe_is_no_end_of_the_process,
    a_flood_of_one_kind_is_held_to_twenty, what_was_left_out_is_told_when_the_window_ends,
    more_kinds_than_slots_all_pass, threads_do_not_mix_their_lines)
