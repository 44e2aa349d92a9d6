/* The command line, taken apart. */
#ifndef CAAS_CLI_ARGS_H
#define CAAS_CLI_ARGS_H

#include "cli/command.h"

struct args {
        const struct command *command; /* NULL = none was given */
        const char *group;             /* the first of two words of which the second is missing; borrowed from argv */
        struct args_option {
                const struct option *option;
                const char *value; /* borrowed from argv; NULL = none */
        } * option;
        size_t option_count, option_capacity;
        const char **operand; /* borrowed from argv */
        size_t count, capacity;
};
void args_clear(struct args *args);
#define CLEANUP_ARGS __attribute__((cleanup(args_clear)))

/* Options may stand anywhere after the command, those of all commands before it, too; "--" ends them. ret must be
 * zeroed and is filled as far as it goes, even on failure (for --json and --no-color). -ERR_USAGE says what is wrong
 * and what was meant. */
int args_parse(const struct command *const *table, int argc, char **argv, struct args *ret, struct err **err);

bool args_has(const struct args *args, const char *name);
const char *args_value(
        const struct args *args, const char *name); /* of the last one; NULL = not given, or without a value */

/* A whole number in [low, high]; *ret keeps its default when the option was not given. -ERR_USAGE. */
int args_number(const struct args *args, const char *name, long low, long high, long *ret, struct err **err);

#endif
