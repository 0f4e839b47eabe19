/* The parts of a replay: what is unpacked is what was packed, the pace, names from requests. */
#include "unit.h"

#include "../../connectors/file_names.h"
#include "../../connectors/file_pace.h"
#include "../../connectors/file_unpack.h"
#include "../../gateway/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define SIZE 300000

static char plain[SIZE];

static void
make_plain(void)
{
    unsigned seed = 7;
    for (size_t i = 0; i < SIZE; i++) {
        plain[i] = (char)('a' + rand_r(&seed) % 20);
    }
}

static int
file_of(const void *bytes, size_t len)
{
    char path[] = "/tmp/headgate-unpack-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    return fd;
}

/* Two members, or frames, one after another. */
static size_t
pack(enum file_compression compression, char *out, size_t size)
{
    size_t len = 0;
    for (size_t half = 0; half < 2; half++) {
        const char *from = plain + half * (SIZE / 2);
        if (compression == FILE_ZSTD) {
            size_t n = ZSTD_compress(out + len, size - len, from, SIZE / 2, 3);
            ck_assert(!ZSTD_isError(n));
            len += n;
            continue;
        }
        z_stream gzip = {.next_in = (unsigned char *)(uintptr_t)from, .avail_in = SIZE / 2};
        ck_assert_int_eq(deflateInit2(&gzip, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        gzip.next_out = (unsigned char *)out + len;
        gzip.avail_out = (uInt)(size - len);
        ck_assert_int_eq(deflate(&gzip, Z_FINISH), Z_STREAM_END);
        len = size - gzip.avail_out;
        deflateEnd(&gzip);
    }
    return len;
}

/* What comes from offset on, or the reason why not. */
static const char *
unpack(int fd, enum file_compression compression, uint64_t offset, char *out, size_t *len)
{
    const char *why = NULL;
    int there = 0;
    ssize_t n = 0;
    struct file_unpack *unpack = file_unpack_new(fd, compression);
    *len = 0;
    while (there == 0) {
        there = file_unpack_skip(unpack, offset, &why);
    }
    while (there > 0 && (n = file_unpack_read(unpack, out + *len, 777, &why)) > 0) {
        *len += (size_t)n;
    }
    if (there > 0 && n == 0) {
        struct stat stat;
        ck_assert_int_eq(fstat(fd, &stat), 0);
        ck_assert_uint_eq(file_unpack_consumed(unpack), (uint64_t)stat.st_size);
        ck_assert_uint_eq(file_unpack_offset(unpack), offset + *len);
        why = NULL;
    }
    file_unpack_free(unpack);
    return why;
}

START_TEST(what_is_unpacked_is_what_was_packed_from_any_place)
{
    static const enum file_compression kinds[] = {FILE_PLAIN, FILE_GZIP, FILE_ZSTD};
    char *packed = mem_alloc(2 * SIZE);
    char *out = mem_alloc(2 * SIZE);
    make_plain();
    for (size_t kind = 0; kind < 3; kind++) {
        size_t len = SIZE;
        memcpy(packed, plain, SIZE);
        if (kinds[kind] != FILE_PLAIN) {
            len = pack(kinds[kind], packed, 2 * SIZE);
        }
        int fd = file_of(packed, len);
        for (uint64_t offset = 0; offset <= SIZE; offset += 49999) {
            size_t made;
            ck_assert_ptr_null(unpack(fd, FILE_AUTO, offset, out, &made));
            ck_assert_uint_eq(made, SIZE - offset);
            ck_assert_int_eq(memcmp(out, plain + offset, made), 0);
        }
        close(fd);
    }
    free(packed);
    free(out);
}
END_TEST

START_TEST(what_is_cut_or_damaged_is_told_apart_from_an_end)
{
    static const enum file_compression kinds[] = {FILE_GZIP, FILE_ZSTD};
    char *packed = mem_alloc(2 * SIZE);
    char *out = mem_alloc(2 * SIZE);
    size_t made;
    make_plain();
    for (size_t kind = 0; kind < 2; kind++) {
        size_t len = pack(kinds[kind], packed, 2 * SIZE);
        int fd = file_of(packed, len - 5);
        ck_assert_ptr_nonnull(unpack(fd, kinds[kind], 0, out, &made));
        close(fd);
        packed[len / 4] ^= 0x55;
        packed[len / 4 + 1] ^= 0x55;
        fd = file_of(packed, len);
        ck_assert_ptr_nonnull(unpack(fd, kinds[kind], 0, out, &made));
        close(fd);
        fd = file_of("neither of them", 15);
        ck_assert_ptr_nonnull(unpack(fd, kinds[kind], 0, out, &made));
        close(fd);
    }
    free(packed);
    free(out);
}
END_TEST

START_TEST(a_rate_spaces_records_and_a_pause_is_not_made_up_for)
{
    struct file_pace pace = {0};
    struct err err;
    int64_t now = 1000000000000;
    ck_assert_int_eq(file_pace_rate(&pace, "100/s", &err), 0);
    for (int i = 0; i < 50; i++) {
        int64_t due = file_pace_due(&pace, -1, now);
        now = due > now ? due : now;
        file_pace_sent(&pace, now);
    }
    ck_assert_int_ge(now, 1000000000000 + 46 * 10000000); /* two or three at once at the start */
    ck_assert_int_le(now, 1000000000000 + 50 * 10000000);
    now += 5000000000;
    int at_once = 0;
    while (file_pace_due(&pace, -1, now) <= now) {
        file_pace_sent(&pace, now);
        at_once++;
    }
    ck_assert_int_le(at_once, 3);
}
END_TEST

START_TEST(a_speed_keeps_the_distances_of_recorded_times)
{
    struct file_pace pace = {0};
    struct err err;
    ck_assert_int_eq(file_pace_speed(&pace, "2", &err), 0);
    ck_assert_int_eq(file_pace_due(&pace, 5000, 100), 100);
    ck_assert_int_eq(file_pace_due(&pace, 6000, 100), 100 + 500000000);
    ck_assert_int_eq(file_pace_due(&pace, -1, 200), 200);
    ck_assert_int_eq(file_pace_due(&pace, 4000, 300), 300);
    file_pace_held(&pace, 1000);
    ck_assert_int_eq(file_pace_due(&pace, 6000, 100), 1100 + 500000000);
    ck_assert_int_gt(file_pace_due(&pace, INT64_MAX / 2, 100), INT64_C(1000000000000000000));
}
END_TEST

START_TEST(rates_and_speeds_that_are_none_are_refused)
{
    static const char *const rates[] = {
        "", "0", "-1", "+1", " 1", "1 ", "1/d", "1/", "/s", "inf", "nan", "1e99", "x"};
    struct file_pace pace = {0};
    struct err err;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        ck_assert_msg(file_pace_rate(&pace, rates[i], &err) == -1, "%s", rates[i]);
        ck_assert_msg(file_pace_speed(&pace, rates[i], &err) == -1, "%s", rates[i]);
    }
    ck_assert_int_eq(file_pace_rate(&pace, "90/m", &err), 0);
    ck_assert(pace.per_second > 1.49 && pace.per_second < 1.51);
}
END_TEST

START_TEST(the_variables_of_paths_are_found_once_each)
{
    char names[FILE_VARIABLES_MAX][FILE_VARIABLE_BYTES];
    struct err err;
    char one[] = "/d/{id}-{part}.csv", two[] = "/e/{id}", bad[] = "/d/{}", open[] = "/d/{id",
         close[] = "/d/id}";
    char *items[] = {one, two};
    ck_assert_int_eq(file_names_variables(&(struct config_strings){items, 2}, names, &err), 2);
    ck_assert_str_eq(names[0], "id");
    ck_assert_str_eq(names[1], "part");
    char *wrong[] = {bad, open, close};
    for (size_t i = 0; i < 3; i++) {
        struct config_strings paths = {&wrong[i], 1};
        ck_assert_int_eq(file_names_variables(&paths, names, &err), -1);
    }
}
END_TEST

static void
touch(const char *directory, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

START_TEST(a_request_chooses_a_file_and_nothing_else)
{
    static const char *const bad[] = {"", ".", "..", "../x", "a/b", "/etc/passwd", ".hidden"};
    static const char *const missing[] = {"*", "?", "[ab]", "zz", "\\a", "sub", "fifo"};
    char directory[] = "/tmp/headgate-names-XXXXXX";
    char path[64], fifo[64], link[64];
    struct err err;
    struct file_names files;
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/{id}", directory);
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    snprintf(link, sizeof link, "%s/link", directory);
    touch(directory, "a");
    touch(directory, "b");
    touch(directory, ".hidden");
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ck_assert_int_eq(symlink("/etc/passwd", link), 0);
    char *items[] = {path};
    struct file_settings settings = {.mode = FILE_REPLAY, .max_files = 10, .paths = {items, 1}};
    struct request_param param = {"id", NULL};
    struct replay replay = {.params = &param, .n_params = 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        param.value = bad[i];
        ck_assert_int_eq(file_names_find(&files, &settings, &replay, &err), -1);
        ck_assert_int_eq(err.code, ERR_INVALID);
    }
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        param.value = missing[i];
        ck_assert_int_eq(file_names_find(&files, &settings, &replay, &err), -1);
        ck_assert_int_eq(err.code, ERR_MISSING);
    }
    param.value = "b";
    ck_assert_int_eq(file_names_find(&files, &settings, &replay, &err), 0);
    ck_assert_uint_eq(files.n, 1);
    close(file_names_open(&settings, files.paths[0]));
    file_names_free(&files);
    ck_assert_int_eq(file_names_open(&settings, link), -1);
    DIR *opened = opendir(directory);
    struct dirent *entry;
    while ((entry = readdir(opened)) != NULL) {
        (void)unlinkat(dirfd(opened), entry->d_name, 0);
    }
    closedir(opened);
    rmdir(directory);
}
END_TEST

UNIT_MAIN("file_replay", what_is_unpacked_is_what_was_packed_from_any_place,
    what_is_cut_or_damaged_is_told_apart_from_an_end,
    a_rate_spaces_records_and_a_pause_is_not_made_up_for,
    a_speed_keeps_the_distances_of_recorded_times, rates_and_speeds_that_are_none_are_refused,
    the_variables_of_paths_are_found_once_each, a_request_chooses_a_file_and_nothing_else)
