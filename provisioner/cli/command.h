/* A command is data: name, operands, options, help and a handler. The one list of them stands in table.c; the parser,
 * the help, the completion and the manual page are made from it. */
#ifndef CAAS_CLI_COMMAND_H
#define CAAS_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct cli;

enum { EXIT_FINE = 0, EXIT_NO = 1, EXIT_PENDING = 2, EXIT_USAGE = 64 };

/* What a shell may offer in a place. */
enum complete {
        COMPLETE_NOTHING,
        COMPLETE_FILE,
        COMPLETE_FOLDER,
        COMPLETE_CLUSTER,
        COMPLETE_USER,
        COMPLETE_COMMAND,
        COMPLETE_SHELL,
        COMPLETE_TARGET,
};

struct option {
        const char *name;  /* without the dashes; NULL ends a list */
        char letter;       /* '\0' = none */
        const char *value; /* "DIR": what has to follow; NULL = nothing */
        bool optional;     /* the value may be missing, and then comes only as --name=VALUE */
        const char *summary;
        enum complete complete;
};

struct command {
        const char *name;    /* "apply", or two words: "user add" */
        const char *args;    /* "FORM"; "" = none */
        const char *summary; /* one line without a full stop */
        const char *details; /* sentences for the help and the manual page; paragraphs are parted by an empty line */
        const struct option *options;
        int min, max; /* number of operands; max -1 = any */
        enum complete first, rest;
        bool json; /* knows --json */

        /* An exit status (above), or a negative error. */
        int (*run)(struct cli *cli, struct err **err);
};

extern const struct command *const command_table[]; /* NULL-terminated, in the order of the help */
extern const struct option global_options[];        /* known to all */

extern const struct command cmd_new, cmd_check, cmd_plan, cmd_apply, cmd_status, cmd_list, cmd_destroy, cmd_adopt,
        cmd_grant, cmd_revoke, cmd_users, cmd_user_add, cmd_user_passwd, cmd_user_remove, cmd_password, cmd_history,
        cmd_logs, cmd_top, cmd_test, cmd_schema, cmd_version, cmd_completion, cmd_help;

#endif
