/* Groups under Kubernetes' names, with every label that jupyterhub/grafana-dashboards join on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exporter/groups.h"
#include "exporter/source_list.h"
#include "samples.h"

static struct config *config;

static int setup(void **state)
{
        (void)state;
        static const char text[] =
                "{\"cluster\": \"demo\", \"node\": \"host1\", \"groups\": {\"parent\": \"caas-demo\"}}";
        return config_parse(text, strlen(text), &config, NULL);
}

static int teardown(void **state)
{
        (void)state;
        config_free(config);
        return 0;
}

static void before_groups_are_known(void **state)
{
        (void)state;
        struct sample_sink *sink = sink_new(source_pod.families);
        CLEANUP_ERR struct err *err = NULL;
        void *kept = NULL;
        assert_int_equal(source_pod.refresh(config, &kept, sink, &err), -ERR_NOT_FOUND);
        sink_free(sink);
}

static void publish(void)
{
        struct group items[] = {
                {.name = "dask-9ba3-scheduler",
                        .user = "alice",
                        .kind = "dask",
                        .pod = "dask-scheduler-9ba3",
                        .container = "dask-scheduler",
                        .dask_cluster = "9ba3",
                        .app = "dask-gateway",
                        .component = "dask-scheduler",
                        .created = 1795295725,
                        .usage = {.memory_limit = 999997440, .cpu_limit = 500}},
                {.name = "dask-77aa-worker-1",
                        .kind = "dask",
                        .pod = "dask-worker-77aa-1",
                        .container = "dask-worker",
                        .dask_cluster = "77aa",
                        .app = "dask-gateway",
                        .component = "dask-worker",
                        .usage = {.memory_limit = -1, .cpu_limit = -1}},
                {.name = "jupyter-alice",
                        .user = "alice",
                        .kind = "notebook",
                        .pod = "jupyter-alice",
                        .container = "notebook",
                        .app = "jupyterhub",
                        .component = "singleuser-server",
                        .created = 1795295716,
                        .usage = {.memory_limit = 1999998976, .cpu_limit = 1000}},
        };
        groups_publish(&(struct groups){.item = items, .count = 3, .capacity = 3});
}

static struct sample_sink *refreshed(void)
{
        struct sample_sink *sink = sink_new(source_pod.families);
        void *kept = NULL;
        publish();
        assert_true(source_pod.wanted(config));
        assert_int_equal(source_pod.refresh(config, &kept, sink, NULL), 0);
        assert_true(samples_sound(sink));
        return sink;
}

static void labels_that_dashboards_join_on(void **state)
{
        (void)state;
        struct sample_sink *sink = refreshed();
        static const char *const lines[] = {
                "kube_pod_labels{namespace=\"demo\",pod=\"jupyter-alice\",label_app=\"jupyterhub\",label_component="
                "\"singleuser-server\",label_app_kubernetes_io_component=\"singleuser-server\","
                "label_hub_jupyter_org_username=\"alice\"} 1",
                "kube_pod_labels{namespace=\"demo\",pod=\"dask-scheduler-9ba3\",label_app=\"dask-gateway\",label_"
                "component="
                "\"dask-scheduler\",label_app_kubernetes_io_component=\"dask-scheduler\",label_hub_jupyter_org_"
                "username="
                "\"alice\",label_gateway_dask_org_cluster=\"9ba3\"} 1",
                "kube_pod_annotations{namespace=\"demo\",pod=\"jupyter-alice\",annotation_hub_jupyter_org_username="
                "\"alice\"} 1",
                "kube_pod_created{namespace=\"demo\",pod=\"jupyter-alice\"} 1795295716",
                "kube_pod_status_phase{namespace=\"demo\",pod=\"jupyter-alice\",phase=\"Running\"} 1",
                "kube_pod_status_phase{namespace=\"demo\",pod=\"jupyter-alice\",phase=\"Pending\"} 0",
                "kube_pod_status_scheduled{namespace=\"demo\",pod=\"jupyter-alice\",condition=\"true\"} 1",
                "kube_pod_info{namespace=\"demo\",pod=\"jupyter-alice\",node=\"host1\"} 1",
                "kube_pod_container_resource_limits{namespace=\"demo\",pod=\"jupyter-alice\",container=\"notebook\","
                "node="
                "\"host1\",resource=\"cpu\",unit=\"core\"} 1",
                "kube_pod_container_resource_requests{namespace=\"demo\",pod=\"dask-scheduler-9ba3\",container="
                "\"dask-scheduler\",node=\"host1\",resource=\"cpu\",unit=\"core\"} 0.5",
                "kube_pod_container_resource_requests{namespace=\"demo\",pod=\"jupyter-alice\",container=\"notebook\","
                "node="
                "\"host1\",resource=\"memory\",unit=\"byte\"} 1999998976",
                "kube_pod_container_resource_limits_memory_bytes{namespace=\"demo\",pod=\"jupyter-alice\",container="
                "\"notebook\",node=\"host1\"} 1999998976",
                "kube_service_labels{namespace=\"demo\",service=\"hub\"} 1",
                "kube_node_info{node=\"host1\"} 1",
                "kube_node_labels{node=\"host1\"} 1",
        };
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
                assert_true(samples_have(sink, lines[i]));
        assert_int_equal(samples_count(sink, "kube_node_status_capacity"), 2);
        assert_int_equal(samples_count(sink, "kube_node_status_allocatable"), 2);
        sink_free(sink);
}

static void what_is_not_known_is_not_said(void **state)
{
        (void)state;
        struct sample_sink *sink = refreshed();
        assert_int_equal(samples_count(sink, "kube_pod_labels"), 3);
        assert_int_equal(samples_count(sink, "kube_pod_annotations"), 2); /* one has no user yet */
        assert_int_equal(samples_count(sink, "kube_pod_created"), 2);
        assert_int_equal(samples_count(sink, "kube_pod_container_resource_limits"), 4); /* one has no limits */
        assert_int_equal(samples_count(sink, "kube_pod_container_info"), 0);            /* the hub says nothing */
        sink_free(sink);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(before_groups_are_known),
                cmocka_unit_test(labels_that_dashboards_join_on),
                cmocka_unit_test(what_is_not_known_is_not_said),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
