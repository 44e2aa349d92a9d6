/* The Dask gateway: each cluster's workers, what it holds, how long it has been idle, and what its owner holds in all.
 */
#include "exporter/source_gateway.h"

#include "base/str.h"
#include "exporter/source.h"
#include "exporter/source_list.h"

#define CLUSTER "user,dask_cluster"

static const struct family WORKERS = {
        .name = "caas_dask_cluster_workers", .help = "Workers of a Dask cluster that run or start.", .labels = CLUSTER};
static const struct family CORES = {.name = "caas_dask_cluster_cores",
        .help = "Processors that a Dask cluster may use, its scheduler's included.",
        .labels = CLUSTER};
static const struct family MEMORY = {.name = "caas_dask_cluster_memory_bytes",
        .help = "Memory that a Dask cluster may use, its scheduler's included.",
        .unit = "bytes",
        .labels = CLUSTER};
static const struct family STARTED = {.name = "caas_dask_cluster_started_timestamp_seconds",
        .help = "When a Dask cluster was started.",
        .unit = "seconds",
        .labels = CLUSTER};
static const struct family IDLE = {.name = "caas_dask_cluster_idle_seconds",
        .help = "How long a Dask cluster has had nothing to do, by its scheduler's word.",
        .unit = "seconds",
        .labels = CLUSTER};
static const struct family USER_CORES = {.name = "caas_dask_user_cores",
        .help = "Processors that all Dask clusters of a user hold against the cap.",
        .labels = "user"};
static const struct family USER_MEMORY = {.name = "caas_dask_user_memory_bytes",
        .help = "Memory that all Dask clusters of a user hold against the cap.",
        .unit = "bytes",
        .labels = "user"};
static const struct family USER_CLUSTERS = {
        .name = "caas_dask_user_clusters", .help = "Dask clusters of a user.", .labels = "user"};
static const struct family MAX_CORES = {
        .name = "caas_dask_max_cores", .help = "Processors that all Dask clusters of one user together may hold."};
static const struct family MAX_MEMORY = {.name = "caas_dask_max_memory_bytes",
        .help = "Memory that all Dask clusters of one user together may hold.",
        .unit = "bytes"};
static const struct family *const FAMILIES[] = {&WORKERS, &CORES, &MEMORY, &STARTED, &IDLE, &USER_CORES, &USER_MEMORY,
        &USER_CLUSTERS, &MAX_CORES, &MAX_MEMORY, NULL};

int gateway_ask(struct api *api, json_t **ret, struct err **err)
{
        return api_get(api, "api/v1/caas/clusters", NULL, ret, err);
}

static void add_number(struct sample_sink *sink, const struct family *family, const json_t *from, const char *key,
        const char *const labels[])
{
        double value;
        if (api_number(from, key, &value))
                sink_add(sink, family, value, labels);
}

/* seen: names of clusters, so that none comes twice; clusters: how many a user has. */
static void add_cluster(const json_t *cluster, json_t *seen, json_t *clusters, struct sample_sink *sink)
{
        const char *name = json_string_value(json_object_get(cluster, "name"));
        const char *user = json_string_value(json_object_get(cluster, "user"));
        if (!name || !user || json_object_get(seen, name))
                return;
        json_object_set_new(seen, name, json_true());
        json_int_t before = json_integer_value(json_object_get(clusters, user));
        json_object_set_new(clusters, user, json_integer(before + 1));
        const char *const labels[] = {"user", user, "dask_cluster", name, NULL};
        add_number(sink, &WORKERS, cluster, "workers", labels);
        add_number(sink, &CORES, cluster, "cpus", labels);
        add_number(sink, &MEMORY, cluster, "memory", labels);
        add_number(sink, &STARTED, cluster, "started", labels);
        add_number(sink, &IDLE, cluster, "idle_seconds", labels);
}

int gateway_add(const json_t *answer, struct sample_sink *sink, struct err **err)
{
        const json_t *list = json_object_get(answer, "clusters"), *maximum = json_object_get(answer, "maximum");
        json_t *users = json_object_get(answer, "users");
        if (!json_is_array(list) || !json_is_object(maximum) || !json_is_object(users))
                return err_set(err, ERR_INVALID, "the gateway's answer has no clusters, users or maximum");
        json_auto_t *seen = json_object(), *clusters = json_object();
        size_t i;
        json_t *item;
        const char *user;
        json_array_foreach (list, i, item)
                add_cluster(item, seen, clusters, sink);
        json_object_foreach (clusters, user, item)
                sink_add(sink, &USER_CLUSTERS, (double)json_integer_value(item),
                        (const char *const[]){"user", user, NULL});
        json_object_foreach (users, user, item) {
                const char *const labels[] = {"user", user, NULL};
                add_number(sink, &USER_CORES, item, "cpus", labels);
                add_number(sink, &USER_MEMORY, item, "memory", labels);
        }
        add_number(sink, &MAX_CORES, maximum, "cpus", NULL);
        add_number(sink, &MAX_MEMORY, maximum, "memory", NULL);
        return 0;
}

static bool wanted(const struct config *config)
{
        return config->gateway.api != NULL;
}

static int refresh(const struct config *config, void **state, struct sample_sink *sink, struct err **err)
{
        struct api api = api_begin(config, &config->gateway, "the gateway", state);
        json_auto_t *answer = NULL;
        int r = gateway_ask(&api, &answer, err);
        return r < 0 ? r : gateway_add(answer, sink, err);
}

const struct source source_gateway = {
        .name = "gateway", .families = FAMILIES, .wanted = wanted, .refresh = refresh, .done = api_done};
