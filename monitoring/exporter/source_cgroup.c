/* Control groups: who uses how much of the processors and the memory. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/groups.h"
#include "exporter/source_list.h"

#define CONTAINER "namespace,pod,container,node,name"

static const struct family CPU = {.name = "caas_user_cpu_seconds_total",
        .help = "Processor time that the servers (kind=notebook) or Dask clusters (kind=dask) of a user have taken "
                "since the exporter began to look.",
        .type = FAMILY_COUNTER,
        .unit = "seconds",
        .labels = "user,kind"};
static const struct family MEMORY = {.name = "caas_user_memory_bytes",
        .help = "Working set of what a user runs: memory without the page cache that can be dropped at once.",
        .unit = "bytes",
        .labels = "user,kind"};
static const struct family LIMIT = {.name = "caas_user_memory_limit_bytes",
        .help = "What the memory of what a user runs is limited to.",
        .unit = "bytes",
        .labels = "user,kind"};
static const struct family OOM = {.name = "caas_user_oom_kills_total",
        .help = "Processes of a user that were killed because a memory limit was reached, since the exporter began to "
                "look.",
        .type = FAMILY_COUNTER,
        .labels = "user,kind"};
static const struct family PROCESSES = {
        .name = "caas_user_processes", .help = "Processes and threads that a user runs.", .labels = "user,kind"};
static const struct family CONTAINER_CPU = {.name = "container_cpu_usage_seconds_total",
        .help = "Processor time of a server, Dask scheduler or worker, under Kubernetes' name.",
        .type = FAMILY_COUNTER,
        .unit = "seconds",
        .labels = CONTAINER};
static const struct family CONTAINER_WORKING_SET = {.name = "container_memory_working_set_bytes",
        .help = "Working set of a server, Dask scheduler or worker, under Kubernetes' name.",
        .unit = "bytes",
        .labels = CONTAINER ",hub_jupyter_org_node_purpose,k8s_dask_org_node_purpose"};
static const struct family CONTAINER_RSS = {.name = "container_memory_rss",
        .help = "Memory of a server, Dask scheduler or worker that is no page cache, in bytes, under Kubernetes' name.",
        .labels = CONTAINER};
static const struct family CONTAINER_OOM = {.name = "container_oom_events_total",
        .help = "Out-of-memory kills in a server, Dask scheduler or worker, under Kubernetes' name.",
        .type = FAMILY_COUNTER,
        .labels = CONTAINER};
static const struct family CONTAINER_LIMIT = {.name = "container_spec_memory_limit_bytes",
        .help = "Memory limit of a server, Dask scheduler or worker, under Kubernetes' name.",
        .unit = "bytes",
        .labels = CONTAINER};
static const struct family *const FAMILIES[] = {&CPU, &MEMORY, &LIMIT, &OOM, &PROCESSES, &CONTAINER_CPU,
        &CONTAINER_WORKING_SET, &CONTAINER_RSS, &CONTAINER_OOM, &CONTAINER_LIMIT, NULL};

/* What one user runs of one kind. The counters outlive the groups they come from: a sum over groups that come and go
 * would fall, and Prometheus would take that for a start from zero. They begin at zero with the exporter, for then
 * nothing is counted twice. */
struct total {
        char *user;
        const char *kind;
        int64_t cpu_usec, oom_kills;
        int64_t memory, limit, processes;
        int groups; /* there are now */
};

struct state {
        struct groups last;
        bool looked;
        struct total *total; /* by user and kind, but for the new ones of a refresh, which stand at the end */
        size_t count, capacity, sorted;
};

static int by_user(const void *a, const void *b)
{
        const struct total *x = a, *y = b;
        int order = strcmp(x->user, y->user);
        return order ? order : strcmp(x->kind, y->kind);
}

static struct total *total_of(struct state *state, const struct group *group)
{
        struct total wanted = {.user = group->user, .kind = group->kind};
        struct total *found =
                state->sorted ? bsearch(&wanted, state->total, state->sorted, sizeof *state->total, by_user) : NULL;
        for (size_t i = state->sorted; !found && i < state->count; i++)
                if (by_user(&wanted, &state->total[i]) == 0)
                        found = &state->total[i];
        if (found)
                return found;
        MEM_GROW(state->total, state->count, state->capacity);
        wanted.user = str_copy(group->user);
        state->total[state->count] = wanted;
        return &state->total[state->count++];
}

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
        struct total *total = total_of(state, group);
        total->cpu_usec += cpu > 0 ? cpu : 0;
        total->oom_kills += kills > 0 ? kills : 0;
        total->memory += group->usage.working_set;
        total->limit += group->usage.memory_limit > 0 ? group->usage.memory_limit : 0;
        total->processes += group->usage.tasks;
        total->groups++;
}

static void add_totals(struct state *state, struct sample_sink *sink)
{
        for (size_t i = 0; i < state->count; i++) {
                const struct total *total = &state->total[i];
                const char *const labels[] = {"user", total->user, "kind", total->kind, NULL};
                if (total->groups == 0)
                        continue;
                sink_add(sink, &CPU, (double)total->cpu_usec / 1e6, labels);
                sink_add(sink, &MEMORY, (double)total->memory, labels);
                if (total->limit)
                        sink_add(sink, &LIMIT, (double)total->limit, labels);
                sink_add(sink, &OOM, (double)total->oom_kills, labels);
                sink_add(sink, &PROCESSES, (double)total->processes, labels);
        }
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
                dask ? NULL : "user", "k8s_dask_org_node_purpose", dask, NULL};
        sink_add(sink, &CONTAINER_CPU, (double)usage->cpu_usec / 1e6, labels);
        sink_add(sink, &CONTAINER_WORKING_SET, (double)usage->working_set, purposes);
        sink_add(sink, &CONTAINER_RSS, (double)usage->anonymous, labels);
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
        CLEANUP_GROUPS struct groups now = {0};
        int r = groups_read(config, paths, &state->last, &now, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < state->count; i++) {
                struct total *total = &state->total[i];
                total->memory = total->limit = total->processes = total->groups = 0;
        }
        for (size_t i = 0; i < now.count; i++) {
                if (now.item[i].user)
                        count(state, &now.item[i]);
                add_container(config, &now.item[i], sink);
        }
        if (state->count > state->sorted) {
                qsort(state->total, state->count, sizeof *state->total, by_user);
                state->sorted = state->count;
        }
        add_totals(state, sink);
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
        for (size_t i = 0; i < state->count; i++)
                free(state->total[i].user);
        free(state->total);
        groups_clear(&state->last);
        free(state);
}

const struct source source_cgroup = {"cgroup", FAMILIES, wanted, refresh, done};
