/* Control groups: who uses how much of the processors and the memory. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/families.h"
#include "exporter/groups.h"
#include "exporter/source_list.h"
#include "exporter/totals.h"

static const struct family *const FAMILIES[] = {&TOTAL_CPU, &TOTAL_MEMORY, &TOTAL_LIMIT, &TOTAL_OOM, &TOTAL_PROCESSES,
        &CONTAINER_CPU, &CONTAINER_WORKING_SET, &CONTAINER_RSS, &CONTAINER_OOM, &CONTAINER_LIMIT, NULL};

struct state {
        struct groups last;
        bool looked;
        struct totals totals;
};

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct group *)a)->name, ((const struct group *)b)->name);
}

static void count(struct state *state, const struct group *group)
{
        const struct groups *last = &state->last;
        const struct group *before =
                last->count ? bsearch(group, last->item, last->count, sizeof *last->item, by_name) : NULL;
        /* a group whose user has just become known counts from here on, too: little happens before that */
        bool same = before && before->inode == group->inode;
        int64_t cpu = group->usage.cpu_usec, kills = group->usage.oom_kills;
        if (same || !state->looked) {
                cpu -= same ? before->usage.cpu_usec : cpu;
                kills -= same ? before->usage.oom_kills : kills;
        }
        const struct total_part part = {.cpu_seconds = (double)cpu / 1e6,
                .oom_kills = (double)kills,
                .memory = (double)group->usage.working_set,
                .limit = (double)group->usage.memory_limit,
                .processes = (double)group->usage.tasks};
        totals_count(&state->totals, group->user, group->kind, &part);
}

static void add_container(const struct config *config, const struct group *group, struct sample_sink *sink)
{
        const struct cgroup_usage *usage = &group->usage;
        const char *const labels[] = {"namespace", config->namespace_, "pod", group->pod, "container", group->container,
                "node", config->node, "name", group->name, NULL};
        /* on Kubernetes labels of the node; the dashboard "Usage Report" asks for them */
        const char *dask = group->dask_cluster ? group->container + strlen("dask-") : NULL;
        const char *const purposes[] = {"namespace", config->namespace_, "pod", group->pod, "container",
                group->container, "node", config->node, "name", group->name, "hub_jupyter_org_node_purpose",
                dask ? NULL : (group->kind ? "user" : "core"), "k8s_dask_org_node_purpose", dask, NULL};
        if (usage->cpu_usec >= 0)
                sink_add(sink, &CONTAINER_CPU, (double)usage->cpu_usec / 1e6, labels);
        sink_add(sink, &CONTAINER_WORKING_SET, (double)usage->working_set, purposes);
        sink_add(sink, &CONTAINER_RSS, (double)usage->anonymous, labels);
        if (usage->oom_kills >= 0)
                sink_add(sink, &CONTAINER_OOM, (double)usage->oom_kills, labels);
        if (usage->memory_limit > 0)
                sink_add(sink, &CONTAINER_LIMIT, (double)usage->memory_limit, labels);
}

static bool wanted(const struct config *config)
{
        return config->groups_parent != NULL;
}

int source_cgroup_look(const struct config *config, const struct cgroup_paths *paths, void **memory,
        struct sample_sink *sink, struct err **err)
{
        struct state *state = *memory ? *memory : (*memory = mem_zero(sizeof *state));
        CLEANUP_GROUPS struct groups now = {0}, services = {0};
        int r = groups_read(config, paths, &state->last, &now, err);
        if (r < 0)
                return r;
        totals_begin(&state->totals);
        for (size_t i = 0; i < now.count; i++) {
                if (now.item[i].user)
                        count(state, &now.item[i]);
                add_container(config, &now.item[i], sink);
        }
        totals_add(&state->totals, sink);
        services_last(config, &services, NULL); /* they have a source of their own, which says if it does not know */
        for (size_t i = 0; i < services.count; i++)
                add_container(config, &services.item[i], sink);
        groups_publish(&now);
        groups_clear(&state->last);
        state->last = now;
        now = (struct groups){0};
        state->looked = true;
        return 0;
}

static int refresh(const struct config *config, void **state, struct sample_sink *sink, struct err **err)
{
        return source_cgroup_look(config, NULL, state, sink, err);
}

static void done(void *memory)
{
        struct state *state = memory;
        if (!state)
                return;
        totals_clear(&state->totals);
        groups_clear(&state->last);
        free(state);
}

const struct source source_cgroup = {"cgroup", FAMILIES, wanted, refresh, done};
