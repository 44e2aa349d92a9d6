/* What apply, plan and destroy share: a session from the command line, findings, the question before a change. */
#ifndef CAAS_CLI_CHANGE_H
#define CAAS_CLI_CHANGE_H

#include "access/session.h"
#include "cli/cli.h"
#include "cli/progress.h"

/* The options of a session as the command line has them. progress may be NULL. */
struct session_options change_options(const struct cli *cli, struct progress *progress);

/* "form.yaml:3:9: message", a line each; nothing for none. */
void change_findings(FILE *out, const char *path, const struct diags *diags);
json_t *change_findings_json(const struct diags *diags); /* new reference */

/* Findings that stopped a command: to the notes, or with --json kept for cli_error. */
void change_tell(struct cli *cli, const char *path, const struct diags *diags);

/* A busy cluster: how to wait. */
void change_explain(struct err *err);

/* "caas", with --state as it was given: for commands that are shown to people. The caller frees. */
char *change_caas(const struct cli *cli);

#endif
