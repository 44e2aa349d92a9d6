/* The cluster's own services: hub, proxy, directory and so on, as Kubernetes would have them, each a container in a
 * pod. This source finds out; what it leaves (groups.h) is said by those of control groups and pods, beside the users'.
 *
 * Under systemd a unit has a control group, which knows. runit's services have none, so their processes are added up:
 * what each has taken of the processors since it was last looked at, so that the sum does not fall when one ends. The
 * kernel's own sums of ended children are of no use for that: the hub's has in it what users' servers took that it
 * waited for. So a child that lives for less than a refresh may not be counted. It begins at zero with the exporter. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/service/supervise.h"
#include "exporter/families.h"
#include "exporter/processes.h"
#include "exporter/services.h"
#include "exporter/source.h"
#include "exporter/source_list.h"

static const struct family *const FAMILIES[] = {&CONTAINER_PROCESSES, NULL};
static const struct services_paths MACHINE = {"/proc", {"/sys/fs/cgroup", "/proc/self/cgroup", "/run/systemd/system"}};

struct account_of {
        struct process *process; /* that were there at the last look */
        size_t count;
        uint64_t ticks; /* all that was counted */
};

struct state {
        struct account_of *service; /* as config.services */
        size_t count;
        bool looked;
};

/* What it has taken since the last look. */
static uint64_t taken(const struct account_of *before, const struct process *now, bool looked)
{
        for (size_t i = 0; i < before->count; i++) {
                const struct process *p = &before->process[i];
                if (p->pid == now->pid && p->start == now->start)
                        return now->ticks > p->ticks ? now->ticks - p->ticks : 0;
        }
        return looked ? now->ticks : 0;
}

static bool by_processes(const struct config *config, const struct services_paths *paths, const char *name,
        struct account_of *account, bool looked, struct group *ret)
{
        CLEANUP_FREE char *folder = file_join(config->services_folder, name);
        CLEANUP_FREE struct process *list = NULL;
        struct supervise_status status;
        if (!supervise_alive(folder) || !supervise_read(folder, &status) || !status.up || status.pid <= 0)
                return false;
        size_t count = processes_of(paths->proc, status.pid, config->groups_parent, &list);
        if (count == 0)
                return false;
        for (size_t i = 0; i < count; i++) {
                account->ticks += taken(account, &list[i], looked);
                ret->usage.anonymous += list[i].memory;
        }
        ret->usage.working_set = ret->usage.anonymous;
        ret->usage.tasks = (int64_t)count;
        long ticks = sysconf(_SC_CLK_TCK);
        ret->usage.cpu_usec = ticks > 0 ? (int64_t)(account->ticks * (1000000 / (uint64_t)ticks)) : -1;
        ret->usage.oom_kills = -1; /* nobody counts them */
        ret->created = process_began(list[0].start);
        free(account->process);
        account->process = STEAL(list);
        account->count = count;
        return true;
}

static bool by_unit(const struct config *config, const struct cgroup_tree *tree, const char *name, struct group *ret)
{
        CLEANUP_FREE char *unit = str_format("caas-%s-%s.service", config->cluster, name);
        if (cgroup_usage(tree, unit, &ret->usage, NULL) < 0)
                return false;
        if (ret->usage.cpu_usec == 0) /* version 1 counts it only if somebody asks for that */
                ret->usage.cpu_usec = -1;
        return true;
}

static char *pod_name(const char *service)
{
        char *name = str_copy(service);
        for (char *c = name; *c; c++)
                if (*c == '_')
                        *c = '-';
        return name;
}

static void add(struct groups *groups, const struct config_service *service, const struct group *found,
        const struct config *config, struct sample_sink *sink)
{
        MEM_GROW(groups->item, groups->count, groups->capacity);
        struct group *group = &groups->item[groups->count++];
        *group = *found;
        group->name = str_copy(service->name);
        group->pod = pod_name(service->name);
        group->app = service->app;
        group->container = group->component = service->component;
        group->usage.memory_limit = group->usage.cpu_limit = -1;
        sink_add(sink, &CONTAINER_PROCESSES, (double)group->usage.tasks,
                (const char *const[]){"namespace", config->namespace_, "pod", group->pod, "container", group->container,
                        "node", config->node, "name", group->name, NULL});
}

static bool wanted(const struct config *config)
{
        return config->service_count > 0;
}

int source_service_look(const struct config *config, const struct services_paths *paths, void **memory,
        struct sample_sink *sink, struct err **err)
{
        if (!paths)
                paths = &MACHINE;
        if (!*memory) {
                struct state *fresh = *memory = mem_zero(sizeof *fresh);
                fresh->count = config->service_count;
                fresh->service = mem_zero_array(fresh->count + 1, sizeof *fresh->service);
        }
        struct state *state = *memory;
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        CLEANUP_GROUPS struct groups groups = {0};
        int r = file_exists(paths->cgroup.systemd) ? cgroup_open_system(&paths->cgroup, &tree, err) : 0;
        for (size_t i = 0; r == 0 && i < config->service_count; i++) {
                const struct config_service *service = &config->services[i];
                struct group found = {0};
                if ((r = cancel_check(config->cancel, 1, err)) < 0)
                        break;
                if (tree ? by_unit(config, tree, service->name, &found)
                         : by_processes(config, paths, service->name, &state->service[i], state->looked, &found))
                        add(&groups, service, &found, config, sink);
        }
        if (r < 0)
                return r;
        if (groups.count == 0)
                return err_set(err, ERR_NOT_FOUND, "none of the cluster's services runs here");
        state->looked = true;
        services_publish(&groups);
        return 0;
}

static int refresh(const struct config *config, void **state, struct sample_sink *sink, struct err **err)
{
        return source_service_look(config, NULL, state, sink, err);
}

static void done(void *memory)
{
        struct state *state = memory;
        for (size_t i = 0; state && i < state->count; i++)
                free(state->service[i].process);
        if (state)
                free(state->service);
        free(state);
}

const struct source source_service = {"service", FAMILIES, wanted, refresh, done};
