/* What every command is given: its arguments, where things are, and how to speak. */
#ifndef CAAS_CLI_CLI_H
#define CAAS_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/cancel.h"
#include "cli/args.h"
#include "cli/command.h"

struct cli {
        struct args args;
        FILE *out;   /* results */
        FILE *notes; /* what a person should know, and errors */
        bool json, quiet;
        bool color;       /* on `out` */
        bool interactive; /* somebody can be asked: standard input and the notes are a terminal */
        struct cancel *cancel;
        json_t *findings;             /* about a form, for cli_error with --json; owned; NULL = none */
        char *state_dir, *cache_dir;  /* absolute */
        char *data_dir, *libexec_dir; /* roles and templates; helper programs */
};

/* Fills in everything but args and cancel from the arguments and the environment. -ERR_IO: no current folder. */
int cli_open(struct cli *cli, struct err **err);
void cli_close(struct cli *cli);

/* One JSON document, indented when a person looks at it. Not consumed. */
void cli_json(const struct cli *cli, const json_t *document);

/* "caas: what went wrong" on the notes; with --json also {"error": …} on the output. */
void cli_error(const struct cli *cli, const struct err *err);

/* One byte of what somebody types: 0; 1 = the end of the input; -ERR_CANCELLED as soon as cli->cancel is raised, so
 * that nobody has to end a process that would leave the terminal without echo; -ERR_IO. */
int cli_read_byte(const struct cli *cli, int fd, char *ret, struct err **err);

/* Asks "question [y/N] " on the terminal; anything but y or yes is no, and so are the end of the input and a signal.
 * Only if interactive. */
bool cli_confirm(const struct cli *cli, const char *question);

/* A password: from the terminal without echo (asked twice if `twice`), else the first line of standard input. 1 to 1000
 * bytes. The caller frees it with mem_wipe_free. -ERR_INVALID, -ERR_CANCELLED. */
int cli_password(const struct cli *cli, const char *prompt, bool twice, char **ret, struct err **err);

/* Wipes and frees a secret. Accepts NULL. */
void cli_forget(char *secret);

/* ---- colours: "" where there are none ---- */
enum style { STYLE_NONE, STYLE_BOLD, STYLE_DIM, STYLE_GREEN, STYLE_YELLOW, STYLE_RED, STYLE_CYAN };
const char *cli_style(bool color, enum style style); /* STYLE_NONE ends what went before */

#endif
