#include "access/clusters.h"

#include "base/mem.h"
#include "base/str.h"

static int not_found(struct journal *journal, const char *name, struct err **err)
{
        json_auto_t *all = NULL;
        int r = journal_clusters(journal, &all, err);
        if (r < 0)
                return r;
        size_t i, count = json_array_size(all);
        json_t *cluster;
        CLEANUP_FREE const char **names = mem_zero_array(count + 1, sizeof *names);
        CLEANUP_BUF struct buf list = BUF_INIT(1000);
        json_array_foreach (all, i, cluster) {
                names[i] = json_string_value(json_object_get(cluster, "name"));
                buf_format(&list, "%s%s", i ? ", " : "", names[i]);
        }
        const char *near = str_nearest(name, names);
        if (near)
                return err_set(err, ERR_NOT_FOUND, "there is no cluster '%.60s'; did you mean '%s'?", name, near);
        if (count == 0)
                return err_set(err, ERR_NOT_FOUND,
                        "there is no cluster '%.60s', and no other; another state folder is chosen with --state", name);
        return err_set(err, ERR_NOT_FOUND, "there is no cluster '%.60s'; there are: %s%s", name, list.data,
                list.truncated ? " …" : "");
}

int clusters_find(struct journal *journal, const char *name, json_t **ret, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = journal_cluster(journal, name, ret, &fault);
        if (r == -ERR_NOT_FOUND)
                return not_found(journal, name, err);
        if (r < 0 && err)
                *err = STEAL(fault);
        return r;
}

int clusters_find_running(struct journal *journal, const char *name, json_t **ret, struct err **err)
{
        json_auto_t *cluster = NULL;
        int r = clusters_find(journal, name, &cluster, err);
        if (r < 0)
                return r;
        if (json_is_integer(json_object_get(cluster, "destroyed")))
                return err_set(err, ERR_NOT_FOUND,
                        "the cluster %s was destroyed (its data is kept; apply its form to have it back)", name);
        *ret = json_incref(cluster);
        return 0;
}
