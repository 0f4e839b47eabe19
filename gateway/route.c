/* route: paths of the configuration that have variable parts. Any thread: no state. */
#include "server.h"

#include "mem.h"

#include <stdlib.h>
#include <string.h>

struct part {
    const char *at;
    size_t len;
};

static struct part
next_part(const char **path)
{
    *path += **path == '/';
    struct part part = {*path, strcspn(*path, "/")};
    *path += part.len;
    return part;
}

static bool
is_variable(struct part part)
{
    return part.len > 2 && part.at[0] == '{' && part.at[part.len - 1] == '}';
}

bool
route_matches(const struct config_route *route, const char *path)
{
    const char *want = route->path;
    while (*want != '\0' && *path != '\0') {
        struct part template = next_part(&want);
        struct part got = next_part(&path);
        bool same = template.len == got.len && memcmp(template.at, got.at, got.len) == 0;
        if (is_variable(template) ? got.len == 0 : !same) {
            return false;
        }
    }
    return *want == '\0' && *path == '\0';
}

int
route_params(
    const struct config_route *route, const char *path, struct params *params, struct err *err)
{
    const char *want = route->path;
    int result = 0;
    while (*want != '\0' && result == 0) {
        struct part template = next_part(&want);
        struct part got = next_part(&path);
        if (is_variable(template)) {
            char *name = mem_strndup(template.at + 1, template.len - 2);
            char *value = mem_strndup(got.at, got.len);
            result = params_add_own(params, name, value, err);
            free(name);
            free(value);
        }
    }
    return result;
}
