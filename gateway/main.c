/* main: picks the subcommand. Everything else is below it and never exits by itself. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct command commands[] = {
    {"run", cmd_run, "serve the streams of a configuration until SIGTERM or SIGINT"},
    {"check", cmd_check, "validate a configuration; print the memory and descriptors that it needs"},
    {"config", cmd_config, "print the effective configuration, its JSON Schema or its reference"},
    {"demo", cmd_demo, "an embedded Kafka with live sample streams, and a page"},
    {"tail", cmd_tail, "print a stream; reconnect and resume"},
    {"version", cmd_version, "print the version"},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static void
usage(FILE *out)
{
    fprintf(out, "usage: headgate COMMAND [ARGUMENTS]\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++) {
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    }
    fprintf(out, "\nheadgate COMMAND --help tells more.\n");
}

int
main(int argc, char **argv)
{
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        usage(stdout);
        return 0;
    }
    const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "headgate: unknown command '%s'\n\n", argv[1]);
    usage(stderr);
    return 2;
}
