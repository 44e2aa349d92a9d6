/* What the exporter of a cluster on Kubernetes is told of runs: the journal, which it reads on a host, is not where it
 * is. */
#ifndef CAAS_ACCESS_RUNS_H
#define CAAS_ACCESS_RUNS_H

#include <jansson.h>

#include "base/err.h"
#include "journal/journal.h"
#include "kind/kube_server.h"

/* Writes what journal_last_runs says (commands, times, outcomes, drift; nothing of steps or messages) into the
 * ConfigMap that roles/monitoring makes for it, if the form has the cluster watched and there is one. What it holds is
 * no part of any spec: it is neither planned nor drift. Tried for some seconds only; -ERR_UNREACHABLE and what
 * kube_patch says. 0 where there is nothing to tell, and for link NULL. */
int runs_tell(
        struct journal *journal, const char *cluster, const json_t *form, struct kube_link *link, struct err **err);

#endif
