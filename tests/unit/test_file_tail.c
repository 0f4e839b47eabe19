/* The tail source with a fake stream: what rotation, truncation and deletion do to its lanes. */
#include "fake_stream.h"
#include "unit.h"

#include "../../connectors/file.h"
#include "../../connectors/file_id.h"
#include "../../gateway/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAIT_S 30
#define ROOM 1000

struct scene {
    char directory[64];
    char path[96];
    char *items[2];
    struct file_settings settings;
    struct stream *stream;
    struct source *source;
};

static void
scene_init(struct scene *scene, const char *pattern)
{
    *scene = (struct scene){.settings = {.poll_ms = 20, .max_files = 20, .start = FILE_EARLIEST}};
    snprintf(scene->directory, sizeof scene->directory, "/tmp/headgate-tail-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scene->directory));
    snprintf(scene->path, sizeof scene->path, "%s/%s", scene->directory, pattern);
    scene->items[0] = scene->path;
    scene->settings.paths = (struct config_strings){scene->items, 1};
    scene->stream = fake_stream_new(ROOM, 1 << 16);
}

static void
start_at(struct scene *scene, const struct replay *replay)
{
    struct err err = {0};
    ck_assert_int_eq(file_connector.check(&scene->settings, &err), 0);
    scene->source = file_connector.start(&scene->settings, scene->stream, replay, &err);
    ck_assert_msg(scene->source != NULL, "%s", err.text);
    ck_assert(fake_stream_wait_up(scene->stream, true, WAIT_S));
}

static void
start(struct scene *scene)
{
    start_at(scene, NULL);
}

static void
scene_fini(struct scene *scene)
{
    if (scene->source != NULL) {
        file_connector.stop(scene->source);
    }
    ck_assert(!fake_stream_disorder(scene->stream));
    fake_stream_free(scene->stream);
    DIR *directory = opendir(scene->directory);
    ck_assert_ptr_nonnull(directory);
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    closedir(directory);
    ck_assert_int_eq(rmdir(scene->directory), 0);
}

static const char *
name_of(const struct scene *scene, const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scene->directory, name);
    return path;
}

static void
write_file(const struct scene *scene, const char *name, const char *mode, const char *text)
{
    FILE *file = fopen(name_of(scene, name), mode);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void
append(const struct scene *scene, const char *name, const char *text)
{
    write_file(scene, name, "a", text);
}

/* A file with text, which the source begins to follow. */
static void
scene_begin(struct scene *scene, const char *pattern, const char *file, const char *text)
{
    scene_init(scene, pattern);
    append(scene, file, text);
    start(scene);
}

/* The stream had no room, and has some now. */
static void
go_on(struct scene *scene, size_t room)
{
    fake_stream_set_room(scene->stream, room);
    file_connector.wake(scene->source);
}

static void
move(const struct scene *scene, const char *from, const char *to)
{
    ck_assert_int_eq(rename(name_of(scene, from), name_of(scene, to)), 0);
}

/* All that the stream has, in its order, with spaces between. */
static void
expect(struct scene *scene, size_t n, const char *text)
{
    char all[4096] = "";
    ck_assert_msg(fake_stream_wait(scene->stream, fake_stream_count, n, WAIT_S),
        "%zu records instead of %zu", fake_stream_count(scene->stream), n);
    for (size_t i = 0; i < fake_stream_count(scene->stream); i++) {
        strncat(all, fake_stream_record(scene->stream, i)->data, 200);
        strcat(all, " ");
    }
    ck_assert_str_eq(all, text);
}

START_TEST(lines_come_in_order_and_a_half_written_one_waits)
{
    struct scene scene;
    scene_begin(&scene, "app.log", "app.log", "1\n2\n3");
    expect(&scene, 2, "1 2 ");
    append(&scene, "app.log", "4\n5\n");
    expect(&scene, 4, "1 2 34 5 ");
    ck_assert_uint_eq(fake_stream_record(scene.stream, 2)->offset, 6);
    scene_fini(&scene);
}
END_TEST

START_TEST(latest_begins_behind_the_last_whole_line)
{
    struct scene scene;
    scene_init(&scene, "app.log");
    scene.settings.start = FILE_LATEST;
    append(&scene, "app.log", "1\n2\n3");
    start(&scene);
    append(&scene, "app.log", "4\n");
    expect(&scene, 1, "34 ");
    scene_fini(&scene);
}
END_TEST

START_TEST(latest_is_where_a_file_was_when_the_source_began)
{
    struct scene scene;
    scene_init(&scene, "app.log");
    scene.settings.start = FILE_LATEST;
    append(&scene, "app.log", "");
    start(&scene);
    append(&scene, "app.log", "1\n2\n");
    append(&scene, "new.log", "x\n");
    expect(&scene, 2, "1 2 ");
    scene_fini(&scene);
}
END_TEST

START_TEST(a_renamed_file_is_read_to_its_end_before_the_new_one)
{
    struct scene scene;
    scene_begin(&scene, "app.log", "app.log", "0\n");
    expect(&scene, 1, "0 ");
    fake_stream_set_room(scene.stream, 0); /* so that it cannot have read on before the rename */
    append(&scene, "app.log", "1\n2\n");
    move(&scene, "app.log", "app.log.1");
    append(&scene, "app.log.1", "3\n");
    append(&scene, "app.log", "4\n5\n");
    go_on(&scene, 1); /* record by record */
    expect(&scene, 6, "0 1 2 3 4 5 ");
    scene_fini(&scene);
}
END_TEST

START_TEST(two_rotations_at_once_are_read_from_the_oldest_on)
{
    struct scene scene;
    scene_begin(&scene, "app.log", "app.log", "0\n");
    expect(&scene, 1, "0 ");
    fake_stream_set_room(scene.stream, 0);
    append(&scene, "app.log", "1\n");
    move(&scene, "app.log", "app.log.2");
    append(&scene, "app.log.1", "2\n");
    append(&scene, "app.log", "3\n");
    go_on(&scene, ROOM);
    expect(&scene, 4, "0 1 2 3 ");
    scene_fini(&scene);
}
END_TEST

/* A copy, as logrotate's copytruncate makes it. */
static void
copy(const struct scene *scene, const char *from, const char *to)
{
    char bytes[4096];
    FILE *in = fopen(name_of(scene, from), "r");
    FILE *out = fopen(name_of(scene, to), "w");
    size_t n = fread(bytes, 1, sizeof bytes, in);
    ck_assert_uint_eq(fwrite(bytes, 1, n, out), n);
    fclose(in);
    fclose(out);
}

START_TEST(what_a_truncation_took_is_read_from_the_copy)
{
    struct scene scene;
    scene_begin(&scene, "app.log", "app.log", "0\n");
    expect(&scene, 1, "0 ");
    fake_stream_set_room(scene.stream, 0);
    append(&scene, "app.log", "1\n2\n");
    copy(&scene, "app.log", "app.log.1");
    ck_assert_int_eq(truncate(name_of(&scene, "app.log"), 0), 0);
    append(&scene, "app.log", "3\n4\n5\n6\n7\n");
    go_on(&scene, ROOM);
    expect(&scene, 8, "0 1 2 3 4 5 6 7 ");
    append(&scene, "app.log", "8\n");
    expect(&scene, 9, "0 1 2 3 4 5 6 7 8 ");
    scene_fini(&scene);
}
END_TEST

START_TEST(a_truncation_without_a_copy_is_told)
{
    struct scene scene;
    scene_begin(&scene, "app.log", "app.log", "10\n11\n");
    expect(&scene, 2, "10 11 ");
    ck_assert_int_eq(truncate(name_of(&scene, "app.log"), 0), 0);
    append(&scene, "app.log", "2\n");
    expect(&scene, 3, "10 11 2 ");
    ck_assert_uint_eq(fake_stream_errors(scene.stream, "truncated"), 1);
    scene_fini(&scene);
}
END_TEST

START_TEST(a_truncated_file_that_begins_as_before_is_a_reset_lane)
{
    struct scene scene;
    scene_begin(&scene, "app.log", "app.log", "1\n2\n");
    expect(&scene, 2, "1 2 ");
    ck_assert_int_eq(truncate(name_of(&scene, "app.log"), 0), 0);
    append(&scene, "app.log", "1\n");
    expect(&scene, 3, "1 2 1 ");
    scene_fini(&scene);
}
END_TEST

START_TEST(a_deleted_file_is_read_to_its_end_and_its_lane_removed)
{
    struct scene scene;
    scene_begin(&scene, "*.log", "a.log", "1\n");
    expect(&scene, 1, "1 ");
    fake_stream_set_room(scene.stream, 0);
    append(&scene, "a.log", "2\n3");
    ck_assert_int_eq(unlink(name_of(&scene, "a.log")), 0);
    append(&scene, "b.log", "x1\n4\n");
    go_on(&scene, ROOM);
    expect(&scene, 4, "1 2 4 3 "); /* the half line, when nobody can end it any more */
    ck_assert(fake_stream_wait_error(scene.stream, "malformed", WAIT_S));
    scene_fini(&scene);
}
END_TEST

START_TEST(files_that_begin_alike_are_files_of_their_own)
{
    struct scene scene;
    scene_init(&scene, "*.log");
    append(&scene, "a.log", "1\n2\n");
    append(&scene, "b.log", "1\n2\n");
    start(&scene);
    ck_assert(fake_stream_wait(scene.stream, fake_stream_count, 4, WAIT_S));
    ck_assert_uint_eq(fake_stream_lanes(scene.stream), 2);
    scene_fini(&scene);
}
END_TEST

START_TEST(a_path_in_a_directory_that_comes_later_is_found)
{
    struct scene scene;
    scene_init(&scene, "sub/app.log");
    start(&scene);
    ck_assert_int_eq(mkdir(name_of(&scene, "sub"), 0700), 0);
    append(&scene, "sub/app.log", "1\n");
    expect(&scene, 1, "1 ");
    ck_assert_int_eq(unlink(scene.path), 0);
    ck_assert_int_eq(rmdir(name_of(&scene, "sub")), 0);
    scene_fini(&scene);
}
END_TEST

START_TEST(fifos_and_directories_are_not_read)
{
    struct scene scene;
    scene_init(&scene, "*.log");
    ck_assert_int_eq(mkfifo(name_of(&scene, "a.log"), 0600), 0);
    append(&scene, "b.log", "1\n");
    start(&scene);
    expect(&scene, 1, "1 ");
    scene_fini(&scene);
}
END_TEST

START_TEST(what_is_no_record_is_a_counted_loss)
{
    struct scene scene;
    scene_begin(&scene, "app.log", "app.log", "1\n{\n2\n");
    expect(&scene, 2, "1 2 ");
    ck_assert_uint_eq(fake_stream_errors(scene.stream, "malformed"), 1);
    scene_fini(&scene);
}
END_TEST

START_TEST(with_on_error_fail_the_source_stops_there)
{
    struct scene scene;
    scene_init(&scene, "app.log");
    scene.settings.on_error = FILE_FAIL;
    append(&scene, "app.log", "1\n2\n");
    start(&scene);
    append(&scene, "app.log", "{\n3\n");
    ck_assert(fake_stream_wait_up(scene.stream, false, WAIT_S));
    expect(&scene, 2, "1 2 ");
    scene_fini(&scene);
}
END_TEST

START_TEST(key_and_time_come_from_members)
{
    struct scene scene;
    scene_init(&scene, "app.log");
    scene.settings.key = mem_strdup("/user/id");
    scene.settings.time = mem_strdup("/t");
    append(&scene, "app.log",
        "{\"user\":{\"id\":\"\\u00e9\"},\"t\":\"2026-01-31T12:00:00Z\"}\n"
        "{\"user\":{\"id\":7},\"t\":1769860800.5}\n{\"t\":1769860800123}\n");
    start(&scene);
    ck_assert(fake_stream_wait(scene.stream, fake_stream_count, 3, WAIT_S));
    ck_assert_str_eq(fake_stream_record(scene.stream, 0)->key, "\xC3\xA9");
    ck_assert_int_eq(fake_stream_record(scene.stream, 0)->time_ms, INT64_C(1769860800000));
    ck_assert_str_eq(fake_stream_record(scene.stream, 1)->key, "7");
    ck_assert_int_eq(fake_stream_record(scene.stream, 1)->time_ms, INT64_C(1769860800500));
    ck_assert_ptr_null(fake_stream_record(scene.stream, 2)->key);
    ck_assert_int_eq(fake_stream_record(scene.stream, 2)->time_ms, INT64_C(1769860800123));
    scene_fini(&scene);
    free(scene.settings.key);
    free(scene.settings.time);
}
END_TEST

START_TEST(csv_is_followed_with_the_header_of_each_file)
{
    struct scene scene;
    scene_init(&scene, "app.csv");
    scene.settings.format = FILE_CSV;
    scene.settings.start = FILE_LATEST;
    append(&scene, "app.csv", "a,b\n1,2\n");
    start(&scene);
    append(&scene, "app.csv", "3,4\n");
    expect(&scene, 1, "{\"a\":\"3\",\"b\":\"4\"} ");
    move(&scene, "app.csv", "app.csv.1");
    append(&scene, "app.csv", "b,c\n5,6\n");
    expect(&scene, 2, "{\"a\":\"3\",\"b\":\"4\"} {\"b\":\"5\",\"c\":\"6\"} ");
    scene_fini(&scene);
}
END_TEST

START_TEST(a_line_longer_than_a_read_is_one_record)
{
    struct scene scene;
    scene_init(&scene, "app.log");
    scene.settings.format = FILE_TEXT;
    char *line = mem_alloc(60002);
    memset(line, 'x', 60000);
    memcpy(line + 60000, "\n", 2);
    append(&scene, "app.log", "a\nb\n");
    line[30000] = '\0'; /* in two halves, the first of which is let go in between */
    append(&scene, "app.log", line);
    start(&scene);
    ck_assert(fake_stream_wait(scene.stream, fake_stream_count, 2, WAIT_S));
    line[30000] = 'x';
    append(&scene, "app.log", line + 30000);
    append(&scene, "app.log", line);
    append(&scene, "app.log", line);
    ck_assert(fake_stream_wait(scene.stream, fake_stream_count, 5, WAIT_S));
    for (size_t i = 2; i < 5; i++) {
        ck_assert_uint_eq(fake_stream_record(scene.stream, i)->data_len, 60002);
    }
    free(line);
    scene_fini(&scene);
}
END_TEST

static void
group_of(const struct scene *scene, const char *name, char out[FILE_ID_NAME_MAX])
{
    struct file_id id;
    int fd = open(name_of(scene, name), O_RDONLY | O_CLOEXEC);
    ck_assert(file_id_of(&id, fd, 1));
    close(fd);
    file_id_name(&id, out);
}

START_TEST(a_replay_goes_on_where_its_lanes_say_whatever_the_files_are_called_now)
{
    struct scene scene;
    char old[FILE_ID_NAME_MAX];
    scene_init(&scene, "app.log");
    scene.settings.start = FILE_LATEST;
    append(&scene, "app.log.2", "a\nb\nc\n");
    append(&scene, "app.log.1", "d\ne\n");
    append(&scene, "app.log", "f\n");
    scene.settings.format = FILE_TEXT;
    group_of(&scene, "app.log.2", old);
    struct replay_lane lanes[] = {{.group = old, .next = 2, .end = 6}};
    start_at(&scene, &(struct replay){.kind = REPLAY_LANES, .lanes = lanes, .n_lanes = 1});
    expect(&scene, 5, "\"b\" \"c\" \"d\" \"e\" \"f\" ");
    scene_fini(&scene);
}
END_TEST

START_TEST(a_replay_of_what_was_truncated_reads_the_copy_and_tells_what_is_gone)
{
    struct scene scene;
    char old[FILE_ID_NAME_MAX], gone[] = "1:2:3";
    scene_init(&scene, "app.log");
    append(&scene, "app.log", "1\n2\n3\n");
    group_of(&scene, "app.log", old);
    copy(&scene, "app.log", "app.log.1");
    ck_assert_int_eq(truncate(name_of(&scene, "app.log"), 0), 0);
    append(&scene, "app.log", "4\n");
    char copied[FILE_ID_NAME_MAX];
    group_of(&scene, "app.log.1", copied);
    struct replay_lane lanes[] = {{.group = old, .next = 2, .end = 6},
        {.group = copied, .next = 6, .end = 6}, {.group = gone, .next = 5, .end = 9}};
    start_at(&scene, &(struct replay){.kind = REPLAY_LANES, .lanes = lanes, .n_lanes = 3});
    expect(&scene, 3, "2 3 4 ");
    ck_assert_int_eq(fake_stream_lane(scene.stream, gone, 0).resets, 1);
    ck_assert_uint_eq(fake_stream_lane(scene.stream, gone, 0).next, 9);
    scene_fini(&scene);
}
END_TEST

UNIT_MAIN("file_tail", lines_come_in_order_and_a_half_written_one_waits,
    latest_begins_behind_the_last_whole_line, latest_is_where_a_file_was_when_the_source_began,
    a_renamed_file_is_read_to_its_end_before_the_new_one,
    two_rotations_at_once_are_read_from_the_oldest_on, what_a_truncation_took_is_read_from_the_copy,
    a_truncation_without_a_copy_is_told, a_truncated_file_that_begins_as_before_is_a_reset_lane,
    a_deleted_file_is_read_to_its_end_and_its_lane_removed,
    files_that_begin_alike_are_files_of_their_own, a_path_in_a_directory_that_comes_later_is_found,
    fifos_and_directories_are_not_read, what_is_no_record_is_a_counted_loss,
    with_on_error_fail_the_source_stops_there, key_and_time_come_from_members,
    csv_is_followed_with_the_header_of_each_file, a_line_longer_than_a_read_is_one_record,
    a_replay_goes_on_where_its_lanes_say_whatever_the_files_are_called_now,
    a_replay_of_what_was_truncated_reads_the_copy_and_tells_what_is_gone)
