/* config_text: see config_text.h. */
#include "config_text.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char *
load_errors(struct config *config, const char *text, int *result)
{
    char *errors = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&errors, &len);
    *result = config_load_text(config, "f.yaml", text, strlen(text), out);
    fclose(out);
    return errors;
}

void
config_text_load(struct config *config, const char *text)
{
    int result;
    char *errors = load_errors(config, text, &result);
    ck_assert_str_eq(errors, "");
    ck_assert_int_eq(result, 0);
    free(errors);
}

void
config_text_refused(const char *text, const char *expected)
{
    struct config config;
    int result;
    char *errors = load_errors(&config, text, &result);
    ck_assert_str_eq(errors, expected);
    ck_assert_int_eq(result, -1);
    free(errors);
}

void
config_text_refused_for(const char *text, const char *part)
{
    struct config config;
    int result;
    char *errors = load_errors(&config, text, &result);
    ck_assert_int_eq(result, -1);
    ck_assert_msg(strstr(errors, part) != NULL, "'%s' is not in '%s'", part, errors);
    free(errors);
}

char *
config_text_print(const struct config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_print(config, out);
    fclose(out);
    return text;
}

char *
config_text_file(const char *content)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/headgate-test-XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    close(fd);
    return path;
}
