/* cmd_run: headgate run. Main's thread. */
#include "cmd.h"

#include "config.h"
#include "log.h"
#include "run.h"

#include <getopt.h>
#include <stdio.h>

static const char help[] =
    "usage: headgate run -c FILE\n\n"
    "Serve the streams of the configuration FILE (- is standard input) until SIGTERM or SIGINT.\n"
    "Exit status: 0 after a clean end, 1 when it cannot serve, 2 for wrong usage.\n";

int
cmd_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (option != 'c') {
            fputs(help, stderr);
            return 2;
        }
        path = optarg;
    }
    if (path == NULL || optind != argc) {
        fputs(help, stderr);
        return 2;
    }
    struct config config;
    if (config_load(&config, path, stderr) != 0) {
        return 1;
    }
    log_init((enum log_level)config.log_level, (enum log_format)config.log_format);
    int status = run_config(&config, &(struct run_options){.serve_page = false});
    config_fini(&config);
    return status;
}
