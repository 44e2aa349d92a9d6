/* Servers and Dask's processes as kube-state-metrics would say them, and this host as a node: so that dashboards made
 * for JupyterHub on Kubernetes (jupyterhub/grafana-dashboards) work on a single host. The labels are those that they
 * join on. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/families.h"
#include "exporter/groups.h"
#include "exporter/source.h"
#include "exporter/source_hub.h"
#include "exporter/source_list.h"

static const struct family *const FAMILIES[] = {&POD_LABELS, &POD_ANNOTATIONS, &POD_CREATED, &POD_PHASE, &POD_SCHEDULED,
        &POD_INFO, &POD_CONTAINER, &POD_LIMITS, &POD_REQUESTS, &POD_LIMITS_MEMORY, &SERVICE_LABELS, &NODE_INFO,
        &NODE_LABELS, &NODE_CAPACITY, &NODE_ALLOCATABLE, NULL};

static void add_node(const struct config *config, struct sample_sink *sink)
{
        const char *const node[] = {"node", config->node, NULL};
        const char *const cores[] = {"node", config->node, "resource", "cpu", "unit", "core", NULL};
        const char *const bytes[] = {"node", config->node, "resource", "memory", "unit", "byte", NULL};
        double processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
        double memory = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
        sink_add(sink, &NODE_INFO, 1, node);
        sink_add(sink, &NODE_LABELS, 1, node);
        sink_add(sink, &NODE_CAPACITY, processors, cores);
        sink_add(sink, &NODE_CAPACITY, memory, bytes);
        sink_add(sink, &NODE_ALLOCATABLE, processors, cores);
        sink_add(sink, &NODE_ALLOCATABLE, memory, bytes);
        sink_add(sink, &SERVICE_LABELS, 1,
                (const char *const[]){"namespace", config->namespace_, "service", "hub", NULL});
}

static void add_amounts(const struct config *config, const struct group *group, struct sample_sink *sink)
{
        const struct cgroup_usage *usage = &group->usage;
        const char *const place[] = {"namespace", config->namespace_, "pod", group->pod, "container", group->container,
                "node", config->node, NULL};
        const char *const cores[] = {"namespace", config->namespace_, "pod", group->pod, "container", group->container,
                "node", config->node, "resource", "cpu", "unit", "core", NULL};
        const char *const bytes[] = {"namespace", config->namespace_, "pod", group->pod, "container", group->container,
                "node", config->node, "resource", "memory", "unit", "byte", NULL};
        if (usage->cpu_limit > 0) {
                sink_add(sink, &POD_LIMITS, (double)usage->cpu_limit / 1000, cores);
                sink_add(sink, &POD_REQUESTS, (double)usage->cpu_limit / 1000, cores);
        }
        if (usage->memory_limit > 0) {
                sink_add(sink, &POD_LIMITS, (double)usage->memory_limit, bytes);
                sink_add(sink, &POD_REQUESTS, (double)usage->memory_limit, bytes);
                sink_add(sink, &POD_LIMITS_MEMORY, (double)usage->memory_limit, place);
        }
}

static void add_pod(const struct config *config, const struct group *group, struct sample_sink *sink)
{
        static const char *const phases[] = {"Running", "Pending", "Failed"};
        const char *space = config->namespace_, *pod = group->pod;
        sink_add(sink, &POD_LABELS, 1,
                (const char *const[]){"namespace", space, "pod", pod, "label_app", group->app, "label_component",
                        group->component, "label_app_kubernetes_io_component", group->component,
                        "label_hub_jupyter_org_username", group->user, "label_gateway_dask_org_cluster",
                        group->dask_cluster, NULL});
        if (group->user)
                sink_add(sink, &POD_ANNOTATIONS, 1,
                        (const char *const[]){"namespace", space, "pod", pod, "annotation_hub_jupyter_org_username",
                                group->user, NULL});
        if (group->created)
                sink_add(sink, &POD_CREATED, (double)group->created,
                        (const char *const[]){"namespace", space, "pod", pod, NULL});
        for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
                sink_add(sink, &POD_PHASE, i == 0,
                        (const char *const[]){"namespace", space, "pod", pod, "phase", phases[i], NULL});
        sink_add(sink, &POD_SCHEDULED, 1,
                (const char *const[]){"namespace", space, "pod", pod, "condition", "true", NULL});
        sink_add(sink, &POD_INFO, 1, (const char *const[]){"namespace", space, "pod", pod, "node", config->node, NULL});
        add_amounts(config, group, sink);
}

static int by_user(const void *key, const void *item)
{
        const struct hub_server *server = item;
        int r = strcmp(key, server->user);
        return r ? r : (*server->name ? -1 : 0); /* only the server without a name is wanted: it sorts first */
}

static void add_environment(const struct config *config, const struct group *group, const struct hub_servers *servers,
        struct sample_sink *sink)
{
        const struct hub_server *server = NULL;
        if (group->user && !group->dask_cluster && servers->count)
                server = bsearch(group->user, servers->item, servers->count, sizeof *servers->item, by_user);
        if (!server)
                return;
        sink_add(sink, &POD_CONTAINER, 1,
                (const char *const[]){"namespace", config->namespace_, "pod", group->pod, "container", group->container,
                        "image_spec", server->environment ? server->environment : "pangeo", NULL});
}

static bool wanted(const struct config *config)
{
        return config->groups_parent != NULL;
}

static int refresh(const struct config *config, void **state, struct sample_sink *sink, struct err **err)
{
        (void)state;
        CLEANUP_GROUPS struct groups groups = {0}, services = {0};
        CLEANUP_HUB_SERVERS struct hub_servers servers = {0};
        add_node(config, sink);
        int r = groups_last(config, &groups, err);
        if (r < 0)
                return r;
        hub_servers_last(&servers);
        services_last(config, &services, NULL); /* they have a source of their own, which says if it does not know */
        for (size_t i = 0; i < services.count; i++)
                add_pod(config, &services.item[i], sink);
        for (size_t i = 0; i < groups.count; i++) {
                add_pod(config, &groups.item[i], sink);
                add_environment(config, &groups.item[i], &servers, sink);
        }
        return 0;
}

const struct source source_pod = {.name = "pod", .families = FAMILIES, .wanted = wanted, .refresh = refresh};
