/* download: see download.h. Shard thread. */
#include "download.h"

#include "config.h"
#include "conn.h"
#include "downloads.h"
#include "http_range.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *end, *type;
} types[] = {{".csv", "text/csv; charset=utf-8"}, {".gz", "application/gzip"},
    {".json", "application/json"}, {".jsonl", "application/x-ndjson"},
    {".ndjson", "application/x-ndjson"}, {".parquet", "application/vnd.apache.parquet"},
    {".pdf", "application/pdf"}, {".tar", "application/x-tar"},
    {".txt", "text/plain; charset=utf-8"}, {".zip", "application/zip"},
    {".zst", "application/zstd"}};

/* Nothing that a browser would run: HTML and SVG are bytes here. */
static const char *
type_of(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t end = strlen(types[i].end);
        if (len > end && strcasecmp(name + len - end, types[i].end) == 0) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

/* Where openat2(2) is not there, a symbolic link is refused wherever it leads. */
static int
open_beneath(int directory, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, directory, name, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        fd = openat(directory, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
    }
    return (int)fd;
}

/* The descriptor, or -1 and the status of the answer. */
static int
open_file(const char *path, const char *name, struct stat *stat, int *status)
{
    int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = directory < 0 ? -1 : open_beneath(directory, name);
    int error = errno;
    if (directory >= 0) {
        close(directory);
    }
    if (fd < 0) {
        *status = error == EMFILE || error == ENFILE ? 503 : 404;
        return -1;
    }
    if (fstat(fd, stat) != 0 || !S_ISREG(stat->st_mode)) {
        close(fd);
        *status = 404;
        return -1;
    }
    return fd;
}

/* RFC 6266: a name that any client takes, and the name as it is (RFC 8187). */
static void
add_disposition(struct buf *out, const char *name)
{
    BUF_LITERAL(out, "Content-Disposition: attachment; filename=\"");
    for (const char *c = name; *c != '\0'; c++) {
        bool plain = *c >= 0x20 && *c < 0x7f && *c != '"' && *c != '\\';
        buf_addc(out, plain ? *c : '_');
    }
    BUF_LITERAL(out, "\"; filename*=UTF-8''");
    for (const char *c = name; *c != '\0'; c++) {
        bool plain = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
                     (*c >= 'a' && *c <= 'z') || strchr("-._~", *c) != NULL;
        if (plain) {
            buf_addc(out, *c);
        } else {
            buf_addf(out, "%%%02X", (unsigned char)*c);
        }
    }
    BUF_LITERAL(out, "\r\n");
}

/* What is asked for. */
struct asked {
    struct downloads *downloads;
    const char *path;
    char id[DOWNLOAD_ID_MOST + 1]; /* "": nobody watches */
};

static void
refuse(const struct asked *asked, int status)
{
    if (asked->id[0] != '\0') {
        downloads_refuse(asked->downloads, asked->path, asked->id, status);
    }
}

/* The one parameter that there is. */
static bool
take_query(const struct http_request *request, struct asked *asked)
{
    static const char name[] = "progress=";
    struct slice query = request->query;
    size_t skip = sizeof name - 1;
    if (query.at == NULL || query.len == 0) {
        return true;
    }
    if (query.len < skip || query.len - skip >= sizeof asked->id ||
        memcmp(query.at, name, skip) != 0) {
        return false;
    }
    memcpy(asked->id, query.at + skip, query.len - skip);
    return downloads_id_valid(asked->id);
}

static void
answer(struct conn *conn, const struct http_request *request, const struct asked *asked, int fd,
    const struct stat *stat, const char *cors)
{
    const char *name = strrchr(asked->path, '/') + 1;
    char etag[80], modified[HTTP_DATE_LEN + 1];
    struct http_version version = {etag, stat->st_mtim.tv_sec};
    uint64_t size = (uint64_t)stat->st_size;
    uint64_t first = 0, last = size - 1;
    snprintf(etag, sizeof etag, "\"%" PRIxMAX "-%" PRIx64 "-%" PRIx64 ".%lx\"",
        (uintmax_t)stat->st_ino, size, (uint64_t)stat->st_mtim.tv_sec, stat->st_mtim.tv_nsec);
    http_date_format(modified, version.modified_s);
    int status = http_condition(request, &version);
    if (status == 200) {
        status = http_range(request, &version, size, &first, &last);
    }
    struct buf headers;
    buf_init(&headers);
    buf_adds(&headers, cors);
    buf_addf(&headers,
        "Cache-Control: no-cache\r\nAccept-Ranges: bytes\r\nETag: %s\r\nLast-Modified: %s\r\n",
        etag, modified);
    if (status == 200 || status == 206) {
        add_disposition(&headers, name);
    }
    if (status == 206) {
        buf_addf(&headers, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n", first,
            last, size);
    } else if (status == 416) {
        buf_addf(&headers, "Content-Range: bytes */%" PRIu64 "\r\n", size);
    }
    buf_addc(&headers, '\0');
    struct reply reply = {.status = status, .headers = headers.bytes};
    if (status == 200 || status == 206) {
        reply.content_type = type_of(name);
        reply.has_file = true;
        reply.file = (struct conn_file){fd, first, size == 0 ? 0 : last - first + 1};
        if (request->method == HTTP_GET) {
            reply.transfer = transfer_new(asked->downloads, asked->path,
                asked->id[0] == '\0' ? NULL : asked->id, first, first + reply.file.left);
        }
        conn_reply(conn, request, &reply);
    } else {
        close(fd);
        refuse(asked, status);
        if (status == 304) {
            conn_reply(conn, request, &reply);
        } else {
            conn_problem(conn, request, status, headers.bytes,
                status == 416 ? "the file has no such range" : "the file is another one by now");
        }
    }
    buf_fini(&headers);
}

void
download(struct downloads *downloads, struct conn *conn, const struct http_request *request,
    const struct config_route *route, const char *path, const char *cors)
{
    struct stat stat;
    struct asked asked = {.downloads = downloads, .path = path};
    int status = 404;
    if (!take_query(request, &asked)) {
        conn_problem(conn, request, 400, cors,
            "a download takes no parameter but progress, an id of 16 to 64 letters, digits, - or "
            "_: who knows it may watch .../progress?id=ID");
        return;
    }
    const char *name = strrchr(path, '/') + 1;
    /* What begins with a dot is not meant to be seen; "." and ".." are of these. */
    int fd = name[0] == '.' ? -1 : open_file(route->directory, name, &stat, &status);
    if (fd < 0) {
        refuse(&asked, status);
        conn_problem(conn, request, status, status == 503 ? "Retry-After: 1\r\n" : cors,
            status == 503 ? "too many files are open" : "there is no such file");
        return;
    }
    answer(conn, request, &asked, fd, &stat, cors);
}
