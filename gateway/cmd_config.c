/* cmd_config: headgate config print, schema and reference. */
#include "cmd.h"
#include "config.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: headgate config print -c FILE\n"
    "       headgate config schema\n"
    "       headgate config reference\n"
    "\n"
    "print       the effective configuration as YAML: defaults filled in, secrets masked\n"
    "schema      the JSON Schema (draft-07) of the configuration\n"
    "reference   every key with its default, bounds and meaning, as Markdown\n"
    "\n"
    "  -c, --config FILE   the configuration (- is standard input)\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit status: 0 fine, 1 the configuration is invalid, 2 wrong usage.\n";

static int
wrong_usage(void)
{
    fputs(usage, stderr);
    return 2;
}

static int
print(const char *path)
{
    struct config config;
    if (config_load(&config, path, stderr) != 0) {
        return 1;
    }
    config_print(&config, stdout);
    config_fini(&config);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int
dispatch(const char *what, const char *path)
{
    if (strcmp(what, "print") == 0) {
        return path == NULL ? wrong_usage() : print(path);
    }
    if (strcmp(what, "schema") == 0) {
        config_schema_print(stdout);
    } else if (strcmp(what, "reference") == 0) {
        config_reference_print(stdout);
    } else {
        return wrong_usage();
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

int
cmd_config(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *path = NULL;
    int option;
    optind = 0; /* main may have used getopt already */
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (option != 'c') {
            return wrong_usage();
        }
        path = optarg;
    }
    return optind + 1 == argc ? dispatch(argv[optind], path) : wrong_usage();
}
