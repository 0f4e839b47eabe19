/* config_expand: fills variables and files into one scalar. Thread init. */
#include "config_expand.h"

#include "buf.h"
#include "mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Length of the UTF-8 sequence at bytes, 0 when it is not one (RFC 3629: no overlongs, no
 * surrogates) or is NUL. */
static size_t
utf8_sequence(const unsigned char *bytes)
{
    static const unsigned least[5] = {0, 1, 0x80, 0x800, 0x10000};
    size_t len = bytes[0] < 0x80             ? 1
                 : (bytes[0] & 0xe0) == 0xc0 ? 2
                 : (bytes[0] & 0xf0) == 0xe0 ? 3
                 : (bytes[0] & 0xf8) == 0xf0 ? 4
                                             : 0;
    if (len == 0) {
        return 0;
    }
    unsigned point = len == 1 ? bytes[0] : bytes[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((bytes[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (bytes[i] & 0x3fU);
    }
    bool surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < least[len] || point > 0x10ffff || surrogate ? 0 : len;
}

/* text ends with NUL, so a cut sequence is noticed before its end is passed. */
static bool
is_utf8(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        size_t len = utf8_sequence(at);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

static int
read_all(int fd, const char *path, struct buf *content, struct err *err)
{
    for (;;) {
        char *end = buf_reserve(content, 4096);
        ssize_t got = read(fd, end, 4096);
        if (got < 0) {
            err_set_errno(err, errno, "cannot read %s", path);
            return -1;
        }
        if (got == 0) {
            return 0;
        }
        content->len += (size_t)got;
        if (content->len > CONFIG_EXPAND_FILE_MAX) {
            err_set(err, ERR_LIMIT, "%s is larger than 64 KiB", path);
            return -1;
        }
    }
}

/* Only regular files: a pipe or a device could block the start or have no end. */
static int
read_file(const char *path, struct buf *content, struct err *err)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_set_errno(err, errno, "cannot open %s", path);
        return -1;
    }
    int result = -1;
    if (fstat(fd, &stat) != 0) {
        err_set_errno(err, errno, "cannot read %s", path);
    } else if (!S_ISREG(stat.st_mode)) {
        err_set(err, ERR_INVALID, "%s is not a regular file", path);
    } else {
        result = read_all(fd, path, content, err);
    }
    close(fd);
    return result;
}

static int
expand_file(const char *path, struct buf *out, struct err *err)
{
    if (path[0] != '/') {
        err_set(err, ERR_INVALID, "${file:%s}: the path must begin with /", path);
        return -1;
    }
    struct buf content;
    buf_init(&content);
    int result = read_file(path, &content, err);
    if (result == 0) {
        if (content.len != 0 && content.bytes[content.len - 1] == '\n') {
            content.len--;
            content.len -= content.len != 0 && content.bytes[content.len - 1] == '\r';
        }
        bool has_nul = content.len != 0 && memchr(content.bytes, '\0', content.len) != NULL;
        buf_addc(&content, '\0');
        if (has_nul || !is_utf8(content.bytes)) {
            err_set(err, ERR_INVALID, "%s is not UTF-8 text", path);
            result = -1;
        } else {
            buf_adds(out, content.bytes);
        }
    }
    buf_fini(&content);
    return result;
}

static bool
is_variable_name(const char *name)
{
    if (!isalpha((unsigned char)name[0]) && name[0] != '_') {
        return false;
    }
    for (const char *at = name; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && *at != '_') {
            return false;
        }
    }
    return true;
}

static int
expand_variable(char *name, struct buf *out, struct err *err)
{
    char *fallback = strstr(name, ":-");
    if (fallback != NULL) {
        *fallback = '\0';
        fallback += 2;
    }
    if (!is_variable_name(name)) {
        err_set(err, ERR_INVALID,
            "'${%s}' is none of ${NAME}, ${NAME:-default} and ${file:/path}; $${ stands for ${",
            name);
        return -1;
    }
    const char *value = getenv(name);
    if (fallback != NULL && (value == NULL || value[0] == '\0')) {
        value = fallback;
    }
    if (value == NULL) {
        err_set(err, ERR_INVALID,
            "the environment variable %s is not set and there is no default: ${%s:-default}", name,
            name);
        return -1;
    }
    if (!is_utf8(value)) {
        err_set(err, ERR_INVALID, "the environment variable %s is not UTF-8 text", name);
        return -1;
    }
    buf_adds(out, value);
    return 0;
}

/* at points behind "${"; *after behind the "}". */
static int
expand_reference(const char *at, const char **after, struct buf *out, struct err *err)
{
    const char *end = strchr(at, '}');
    if (end == NULL) {
        err_set(err, ERR_INVALID, "'${' without its '}'; $${ stands for ${");
        return -1;
    }
    *after = end + 1;
    char *inside = mem_strndup(at, (size_t)(end - at));
    int result = strncmp(inside, "file:", 5) == 0 ? expand_file(inside + 5, out, err)
                                                  : expand_variable(inside, out, err);
    free(inside);
    return result;
}

int
config_expand_text(const char *text, char **out, struct err *err)
{
    if (strstr(text, "${") == NULL) {
        *out = NULL;
        return 0;
    }
    struct buf filled;
    buf_init(&filled);
    while (*text != '\0') {
        if (strncmp(text, "$${", 3) == 0) {
            BUF_LITERAL(&filled, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) != 0) {
            buf_addc(&filled, *text++);
        } else if (expand_reference(text + 2, &text, &filled, err) != 0) {
            buf_fini(&filled);
            return -1;
        }
    }
    buf_addc(&filled, '\0');
    *out = filled.bytes;
    return 0;
}
