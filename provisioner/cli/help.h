/* Help, the bash completion and the manual page, all made from the command table. */
#ifndef CAAS_CLI_HELP_H
#define CAAS_CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

void help_overview(FILE *out);
void help_command(FILE *out, const struct command *command);
void help_group(FILE *out, const char *first); /* of all commands of two words that begin with this one */
void help_completion_bash(FILE *out);
void help_manual(FILE *out);   /* mdoc */
char *help_without_json(void); /* the commands that have no --json: "new and completion". The caller frees. */

#endif
