/* What somebody needs to know of a cluster to use it. */
#ifndef CAAS_CLI_SUMMARY_H
#define CAAS_CLI_SUMMARY_H

#include "cli/cli.h"
#include "journal/journal.h"

/* {"url", "ca": {"path", "fingerprint", "expires"} or null, "sign_in": {"provider", "user" or null, "group"},
 * "grafana": {"url", "files" of one elsewhere} or null}; new reference. What is not known (yet) is null. */
json_t *summary_json(struct journal *journal, const char *cluster, const json_t *form);

/* The address, how to trust it, who signs in, what to do next. */
void summary_print(const struct cli *cli, struct journal *journal, const char *cluster, const json_t *form);

#endif
