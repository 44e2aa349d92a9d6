#include "access/runs.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tree/tree.h"

#define NAME "monitoring-runs" /* as roles/monitoring/kubernetes.yaml has it */
#define KEY  "runs.json"       /* as monitoring/exporter/source_run.c reads it */

static int write_down(struct kube_link *link, const json_t *runs, struct err **err)
{
        struct kube *kube;
        const struct kube_ref ref = {
                .api_version = "v1", .kind = "ConfigMap", .namespace = kube_link_namespace(link), .name = NAME};
        CLEANUP_FREE char *text = json_dumps(runs, JSON_COMPACT);
        json_auto_t *patch = json_pack("{s:{s:s}}", "data", KEY, text);
        int r = kube_link_open(link, &kube, err);
        return r < 0 ? r : kube_patch(kube, &ref, patch, KUBE_BRIEF, NULL, err);
}

int runs_tell(
        struct journal *journal, const char *cluster, const json_t *form, struct kube_link *link, struct err **err)
{
        json_auto_t *runs = NULL;
        CLEANUP_ERR struct err *fault = NULL;
        if (!link || !json_is_true(tree_get(form, "monitoring.enabled")))
                return 0;
        int r = journal_last_runs(journal, cluster, &runs, &fault);
        if (r == 0)
                r = write_down(link, runs, &fault);
        if (r == 0 ||
                r == -ERR_NOT_FOUND) /* a run that failed may not have come to make it: nor is there an exporter */
                return 0;
        if (err)
                *err = STEAL(fault);
        return r;
}
