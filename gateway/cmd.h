/* cmd: the subcommands of the headgate program. argv[0] is the subcommand's own name; each returns
 * the exit status: 0 fine, 1 failed, 2 wrong usage. Data goes to stdout, everything else to stderr.
 * Thread  init: called once, from main. */
#ifndef HEADGATE_CMD_H
#define HEADGATE_CMD_H

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_tail(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
