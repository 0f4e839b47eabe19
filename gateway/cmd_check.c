/* cmd_check: headgate check. Validates a configuration and prints what it can need at most. */
#include "bound.h"
#include "cmd.h"
#include "config.h"

#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: headgate check -c FILE\n"
    "\n"
    "Validate a configuration (- is standard input). Every error is printed in one pass as\n"
    "FILE:LINE:COLUMN: PATH: MESSAGE on standard error. When there is none, print the memory and\n"
    "the descriptors that the configuration lets the gateway need at most.\n"
    "\n"
    "  -c, --config FILE   the configuration\n"
    "  -h, --help          this text\n"
    "\n"
    "Exit status: 0 valid, 1 invalid, 2 wrong usage.\n";

static int
check(const char *path)
{
    struct config config;
    struct bound bound;
    if (config_load(&config, path, stderr) != 0) {
        return 1;
    }
    bound_compute(&bound, &config);
    bound_print(&bound, &config, bound_descriptor_limit(), stdout);
    config_fini(&config);
    return fflush(stdout) == 0 ? 0 : 1;
}

int
cmd_check(int argc, char **argv)
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
            fputs(usage, stderr);
            return 2;
        }
        path = optarg;
    }
    if (path == NULL || optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    return check(path);
}
