#include "cli/cluster.h"

#include "access/access.h"
#include "access/clusters.h"
#include "base/mem.h"
#include "kind/kind.h"

void cluster_clear(struct cluster *cluster)
{
        kind_forget(cluster->identity);
        kind_forget(cluster->hub);
        json_decref(cluster->row);
        journal_close(cluster->journal);
        *cluster = (struct cluster){0};
}

int cluster_open(const struct cli *cli, struct cluster *ret, struct err **err)
{
        ret->name = cli->args.operand[0];
        int r = journal_open(cli->state_dir, false, &ret->journal, err);
        return r < 0 ? r : clusters_find_running(ret->journal, ret->name, &ret->row, err);
}

int cluster_open_identity(const struct cli *cli, struct cluster *ret, struct err **err)
{
        int r = cluster_open(cli, ret, err);
        return r < 0 ? r : access_read(ret->journal, ret->name, "identity", &ret->identity, err);
}

int cluster_open_hub(struct cluster *cluster, struct err **err)
{
        return access_read(cluster->journal, cluster->name, "hub", &cluster->hub, err);
}

const char **cluster_operands(const struct cli *cli)
{
        size_t count = cli->args.count - 1;
        const char **list = mem_zero_array(count + 1, sizeof *list);
        for (size_t i = 0; i < count; i++)
                list[i] = cli->args.operand[i + 1];
        return list;
}
