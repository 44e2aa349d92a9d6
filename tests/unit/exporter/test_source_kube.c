/* Pods, claims, services and nodes, from an API server that pages, refuses, lies and is slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../client/must.h"
#include "base/clock.h"
#include "exporter/kube_view.h"
#include "exporter/source_list.h"
#include "kube_objects.h"
#include "samples.h"

/* A pod of the node exporter. */
#define WATCHER(name, more, node, phase, ip)                                                                           \
        "{\"metadata\": {\"name\": \"node-exporter-" name "\", \"labels\": {\"component\": \"node-exporter\"}" more    \
        "}, \"spec\": {\"nodeName\": \"" node "\"}, \"status\": {\"phase\": \"" phase "\", \"podIP\": \"" ip "\"}}"

static struct server *server;
static atomic_bool denied, slow, strange, busy, watched;
static atomic_int nodes_asked, pages;
static const char *_Atomic cronjob; /* its status; NULL: there is none */
static const char *_Atomic note;    /* the ConfigMap's data; NULL: there is none */

static bool list(struct peer *peer, const char *items, const char *next)
{
        CLEANUP_FREE char *text = str_format("{\"kind\": \"List\", \"apiVersion\": \"v1\", \"metadata\": "
                                             "{\"resourceVersion\": \"7\"%s%s%s}, \"items\": [%s]}",
                next ? ", \"continue\": \"" : "", next ? next : "", next ? "\"" : "", items);
        return answer(peer, "200 OK", "", text);
}

static bool pods(struct peer *peer, const char *request)
{
        pages++;
        if (busy)
                poll(NULL, 0, 30);
        if (strange)
                return list(peer,
                        "null, 3, {}, {\"metadata\": {\"name\": 4}}, {\"metadata\": {\"name\": \"\"}},"
                        "{\"metadata\": {\"name\": \"a\", \"labels\": [], \"annotations\": "
                        "{\"hub.jupyter.org/username\": "
                        "[]}}, \"spec\": {\"nodeName\": 3, \"containers\": {\"name\": \"x\"}}, \"status\": "
                        "{\"containerStatuses\": [4, {\"name\": \"x\", \"restartCount\": -3}]}},"
                        "{\"metadata\": {\"name\": \"b\"}, \"spec\": {\"containers\": [{\"name\": \"c\", "
                        "\"resources\": "
                        "{\"limits\": {\"cpu\": \"inf\", \"memory\": \"many\"}, \"requests\": {\"memory\": "
                        "\"-1\"}}}]}}",
                        NULL);
        if (watched)
                return list(peer,
                        WATCHER("a", "", "n1", "Running", "10.0.0.7") ", " WATCHER("b", "", "n2", "Running",
                                "fd00::7") ", " WATCHER("ends", ", \"deletionTimestamp\": \"" SPAWNED "\"", "n3",
                                "Running", "10.0.0.8") ", " WATCHER("failed", "", "n4", "Failed",
                                "10.0.0.9") ", " WATCHER("lies", "", "n5", "Running",
                                "evil.example.org/") ", " WATCHER("early", "", "n6", "Running", "") ", " POD_HUB,
                        NULL);
        if (strstr(request, "continue=further"))
                return list(peer, POD_HUB ", " POD_WAITING ", " POD_ALICE, NULL); /* the last went and came back */
        return list(peer, POD_ALICE ", " POD_WORKER, "further");
}

static bool backup(struct peer *peer)
{
        const char *status = cronjob;
        CLEANUP_FREE char *text = str_format("{\"apiVersion\": \"batch/v1\", \"kind\": \"CronJob\","
                                             " \"metadata\": {\"name\": \"backup\"}, \"status\": %s}",
                status);
        return answer(peer, status ? "200 OK" : "404 Not Found", "",
                status ? text : "{\"kind\": \"Status\", \"code\": 404, \"reason\": \"NotFound\"}");
}

static bool told(struct peer *peer)
{
        const char *data = note;
        CLEANUP_FREE char *text = str_format("{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": "
                                             "{\"name\": \"monitoring-runs\"}%s%s}",
                data && *data ? ", \"data\": " : "", data ? data : "");
        return answer(peer, data ? "200 OK" : "404 Not Found", "",
                data ? text
                     : "{\"kind\": \"Status\", \"code\": 404, \"reason\": \"NotFound\", \"message\": \"configmaps "
                       "\\\"monitoring-runs\\\" not found\"}");
}

static bool api(struct peer *peer, const char *request)
{
        static const char kinds[] = "{\"kind\": \"APIResourceList\", \"resources\": ["
                                    "{\"name\": \"pods\", \"kind\": \"Pod\", \"namespaced\": true},"
                                    "{\"name\": \"services\", \"kind\": \"Service\", \"namespaced\": true},"
                                    "{\"name\": \"configmaps\", \"kind\": \"ConfigMap\", \"namespaced\": true},"
                                    "{\"name\": \"persistentvolumeclaims\", \"kind\": \"PersistentVolumeClaim\","
                                    " \"namespaced\": true}, {\"name\": \"nodes\", \"kind\": \"Node\","
                                    " \"namespaced\": false}]}";
        if (!strstr(request, "Authorization: Bearer " TOKEN "\r\n"))
                return answer(peer, "401 Unauthorized", "", "{\"kind\": \"Status\", \"code\": 401}");
        if (slow) {
                be_slow(peer);
                return false;
        }
        if (str_starts(request, "GET /api/v1 "))
                return answer(peer, "200 OK", "", kinds);
        if (str_starts(request, "GET /apis/batch/v1 "))
                return answer(peer, "200 OK", "",
                        "{\"kind\": \"APIResourceList\", \"resources\":"
                        " [{\"name\": \"cronjobs\", \"kind\": \"CronJob\", \"namespaced\": true}]}");
        if (str_starts(request, "GET /apis/batch/v1/namespaces/ocean/cronjobs/backup "))
                return backup(peer);
        if (str_starts(request, "GET /api/v1/namespaces/ocean/configmaps/monitoring-runs "))
                return told(peer);
        if (str_starts(request, "GET /api/v1/namespaces/ocean/pods?limit=100"))
                return pods(peer, request);
        if (str_starts(request, "GET /api/v1/namespaces/ocean/persistentvolumeclaims?"))
                return list(peer,
                        CLAIM("claim-alice", "alice@x", "10Gi") ", " CLAIM(
                                "claim-alice-2", "alice@x", "1Gi") ", " CLAIM_HUB,
                        NULL);
        if (str_starts(request, "GET /api/v1/namespaces/ocean/services?"))
                return list(peer, "{\"metadata\": {\"name\": \"hub\"}}, {\"metadata\": {\"name\": \"proxy-public\"}}",
                        NULL);
        if (str_starts(request, "GET /api/v1/nodes?")) {
                nodes_asked++;
                if (denied)
                        return answer(peer, "403 Forbidden", "",
                                "{\"kind\": \"Status\", \"code\": 403, \"reason\": \"Forbidden\", \"message\": \"nodes "
                                "is "
                                "forbidden: User \\\"system:serviceaccount:ocean:exporter\\\" cannot list resource "
                                "\\\"nodes\\\"\"}");
                return list(peer,
                        NODE("n1", "10250", ", \"hub.jupyter.org/node-purpose\": \"user\"") ", " NODE(
                                "n2", "70000", ""),
                        NULL);
        }
        return answer(peer, "404 Not Found", "", "{\"kind\": \"Status\", \"code\": 404}");
}

static int set_up(void **state)
{
        kube_objects_set_up(state);
        server = server_start(pki.server_path, pki.server_key_path);
        server->custom = api;
        return 0;
}

static int tear_down(void **state)
{
        server_stop(server);
        return kube_objects_tear_down(state);
}

static struct sample_sink *refreshed(const struct config *config, void **memory)
{
        struct sample_sink *sink = sink_new(source_kube.families);
        assert_true(source_kube.wanted(config));
        MUST(source_kube.refresh(config, memory, sink, err));
        assert_true(samples_sound(sink));
        return sink;
}

static void fails(const struct config *config, void **memory, int code, const char *words)
{
        struct sample_sink *sink = sink_new(source_kube.families);
        REFUSED(source_kube.refresh(config, memory, sink, err), (enum err_code)code, words);
        sink_free(sink);
}

#define POD_OF(pod) "{namespace=\"ocean\",pod=\"" pod "\""

static void test_pods(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, true);
        struct sample_sink *sink = refreshed(config, &memory);
        static const char *const lines[] = {
                "kube_pod_labels" POD_OF(
                        "jupyter-alice") ",label_app=\"jupyterhub\",label_component=\"singleuser-server\","
                                         "label_app_kubernetes_io_component=\"singleuser-server\",label_hub_jupyter_"
                                         "org_username=\"alice---2f\"} 1",
                "kube_pod_labels" POD_OF("dask-worker-77aa-x2") ",label_app_kubernetes_io_component=\"dask-worker\","
                                                                "label_hub_jupyter_org_username=\"bob\",label_gateway_"
                                                                "dask_org_cluster=\"77aa\"} 1",
                "kube_pod_annotations" POD_OF("jupyter-alice") ",annotation_hub_jupyter_org_username=\"alice@x\"} 1",
                "kube_pod_created" POD_OF("jupyter-alice") "} 1795306230",
                "kube_pod_status_phase" POD_OF("jupyter-alice") ",phase=\"Running\"} 1",
                "kube_pod_status_phase" POD_OF("jupyter-alice") ",phase=\"Pending\"} 0",
                "kube_pod_status_phase" POD_OF("jupyter-carol") ",phase=\"Pending\"} 1",
                "kube_pod_status_scheduled" POD_OF("jupyter-alice") ",condition=\"true\"} 1",
                "kube_pod_status_scheduled" POD_OF("jupyter-carol") ",condition=\"true\"} 0",
                "kube_pod_info" POD_OF("jupyter-alice") ",node=\"n1\"} 1",
                "kube_pod_info" POD_OF("jupyter-carol") "} 1",
                "kube_pod_container_info" POD_OF("jupyter-alice") ",container=\"notebook\",image_spec=\"quay.io/pangeo/"
                                                                  "base-notebook:2026.10\"} 1",
                "kube_pod_container_resource_limits" POD_OF("jupyter-alice") ",container=\"notebook\",node=\"n1\","
                                                                             "resource=\"cpu\",unit=\"core\"} 2",
                "kube_pod_container_resource_limits" POD_OF(
                        "jupyter-alice") ",container=\"notebook\",node=\"n1\","
                                         "resource=\"memory\",unit=\"byte\"} 4294967296",
                "kube_pod_container_resource_requests" POD_OF("jupyter-alice") ",container=\"notebook\",node=\"n1\","
                                                                               "resource=\"cpu\",unit=\"core\"} 0.1",
                "kube_pod_container_resource_requests" POD_OF(
                        "jupyter-alice") ",container=\"notebook\",node=\"n1\","
                                         "resource=\"memory\",unit=\"byte\"} 1073741824",
                "kube_pod_container_resource_limits_memory_bytes" POD_OF(
                        "dask-worker-77aa-x2") ",container=\"dask-worker\","
                                               "node=\"n2\"} 2000000000",
                "kube_pod_container_status_restarts_total" POD_OF("jupyter-alice") ",container=\"notebook\"} 1",
                "kube_pod_container_status_last_terminated_reason" POD_OF("jupyter-alice") ",container=\"notebook\","
                                                                                           "reason=\"OOMKilled\"} 1",
        };
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
                assert_true(samples_have(sink, lines[i]));
        assert_int_equal(samples_count(sink, "kube_pod_info"), 4); /* of two pages, nobody twice */
        sink_free(sink);
        source_kube.done(memory);
}

static void test_the_others(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, true);
        struct sample_sink *sink = refreshed(config, &memory);
        static const char *const lines[] = {
                "caas_home_size_bytes{user=\"alice@x\"} 11811160064",
                "kube_service_labels{namespace=\"ocean\",service=\"hub\"} 1",
                "kube_node_info{node=\"n1\"} 1",
                "kube_node_labels{node=\"n1\",label_hub_jupyter_org_node_purpose=\"user\","
                "label_node_kubernetes_io_instance_type=\"m5.xlarge\"} 1",
                "kube_node_status_capacity{node=\"n1\",resource=\"cpu\",unit=\"core\"} 4",
                "kube_node_status_capacity{node=\"n1\",resource=\"memory\",unit=\"byte\"} 16777216",
                "kube_node_status_allocatable{node=\"n2\",resource=\"cpu\",unit=\"core\"} 3.9",
        };
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
                assert_true(samples_have(sink, lines[i]));
        assert_int_equal(samples_count(sink, "caas_home_size_bytes"), 1); /* the hub's own is nobody's home */
        sink_free(sink);
        source_kube.done(memory);

        CLEANUP_KUBE_VIEW struct kube_view *view = kube_view_last(config);
        const struct view_pod *pod = kube_view_pod(view, "jupyter-alice");
        assert_non_null(pod);
        assert_string_equal(pod->user, "alice@x");
        assert_string_equal(pod->kind, "notebook");
        assert_string_equal(pod->node, "n1");
        assert_string_equal(kube_view_pod(view, "dask-worker-77aa-x2")->purpose, "worker");
        assert_string_equal(kube_view_pod(view, "jupyter-carol")->user, "carol"); /* only a label */
        assert_null(kube_view_pod(view, "jupyter-carol")->node);
        assert_null(kube_view_pod(view, "hub-0")->user);
        assert_null(kube_view_pod(view, "nobody"));
        assert_null(kube_view_claim(view, "hub-db")->user);
        assert_true(kube_view_claim(view, "claim-alice")->size == 10737418240.0);
        assert_int_equal(view->nodes, 2);
        assert_string_equal(view->node[0].url, "https://127.0.0.1:10250");
        assert_string_equal(view->node[1].url, "https://127.0.0.1:10250"); /* 70000 is no port */
        assert_int_equal(view->kills, 1);
        assert_string_equal(view->kill[0].name, ID_DEAD);
        assert_string_equal(view->kill[0].user, "alice@x");
}

/* Node exporters that run and stay, by the name of their node. */
static void test_targets(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, false);
        watched = true;
        sink_free(refreshed(config, &memory));
        watched = false;
        source_kube.done(memory);
        CLEANUP_KUBE_VIEW struct kube_view *view = kube_view_last(config);
        assert_int_equal(view->targets, 2);
        assert_string_equal(view->target[0].node, "n1");
        assert_string_equal(view->target[0].address, "10.0.0.7:9100");
        assert_string_equal(view->target[1].node, "n2");
        assert_string_equal(view->target[1].address, "[fd00::7]:9100");
}

static void test_without_nodes(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, false);
        nodes_asked = 0;
        struct sample_sink *sink = refreshed(config, &memory);
        assert_int_equal(samples_count(sink, "kube_node_info"), 0);
        assert_int_equal(nodes_asked, 0);
        assert_false(source_kubelet.wanted(config));
        sink_free(sink);
        source_kube.done(memory);
        source_kube.done(NULL);
}

static void test_refused(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, true);
        denied = true;
        fails(config, &memory, ERR_DENIED, "cannot list resource \"nodes\"");
        denied = false;
        CLEANUP_FREE char *wrong = put(pki.folder, "token", "another", 0600);
        fails(config, &memory, ERR_DENIED, "401");
        CLEANUP_FREE char *right = put(pki.folder, "token", TOKEN, 0600);
        sink_free(refreshed(config, &memory)); /* the token was read again */
        source_kube.done(memory);
        memory = NULL;
        CLEANUP_FREE char *other = put(pki.folder, "other.crt", pki.other_ca, 0644);
        CLEANUP_CONFIG struct config *stranger = kube_config(server->port, other, true);
        fails(stranger, &memory, ERR_REFUSED, "certificate");
        source_kube.done(memory);
        memory = NULL;
        CLEANUP_CONFIG struct config *none = kube_config(server->port, "/nowhere/ca.crt", true);
        fails(none, &memory, ERR_NOT_FOUND, "/nowhere/ca.crt");
        source_kube.done(memory);
}

static void test_slow(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, true);
        config->timeout_ms = 900;
        slow = true;
        fails(config, &memory, ERR_TIMEOUT, "");
        slow = false;
        config->timeout_ms = 60000;
        sink_free(refreshed(config, &memory));
        cancel_raise(config->cancel);
        source_kube.done(memory);
}

/* What was read last is good for a while when reading takes long. */
static void test_less_often(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, true);
        busy = true;
        sink_free(refreshed(config, &memory));
        busy = false;
        int before = pages;
        struct sample_sink *sink = sink_new(source_kube.families);
        assert_int_equal(source_kube.refresh(config, &memory, sink, NULL), SOURCE_SAME);
        assert_int_equal(samples_count(sink, "kube_pod_info"), 0);
        assert_int_equal(pages, before);
        sink_free(sink);
        source_kube.done(memory);
}

static void test_strange_objects(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, false);
        strange = true;
        struct sample_sink *sink = refreshed(config, &memory);
        strange = false;
        assert_int_equal(samples_count(sink, "kube_pod_info"), 2);
        assert_int_equal(samples_count(sink, "kube_pod_container_resource_limits"), 0);
        assert_int_equal(samples_count(sink, "kube_pod_container_resource_requests"), 0);
        assert_int_equal(samples_count(sink, "kube_pod_container_status_restarts_total"), 0);
        sink_free(sink);
        source_kube.done(memory);
}

static void backup_is(const struct config *config, void **memory, const char *status, const char *line)
{
        struct sample_sink *sink = sink_new(source_backup.families);
        cronjob = status;
        MUST(source_backup.refresh(config, memory, sink, err));
        assert_true(samples_have(sink, line));
        sink_free(sink);
}

static void test_backups(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, false);
        static const char *const strange_times[] = {"{\"lastSuccessfulTime\": 7}",
                "{\"lastSuccessfulTime\": \"yesterday\"}", "{\"lastSuccessfulTime\": \"2026-11-22T03:00:00Z; drop\"}",
                "{\"lastSuccessfulTime\": []}"};
        assert_true(source_backup.wanted(config));
        backup_is(config, &memory, NULL, "caas_backup_last_success_timestamp_seconds 0");
        backup_is(config, &memory, "{}", "caas_backup_last_success_timestamp_seconds 0");
        backup_is(config, &memory, "[]", "caas_backup_last_success_timestamp_seconds 0");
        backup_is(config, &memory, "{\"lastSuccessfulTime\": \"2026-11-22T00:10:30Z\"}",
                "caas_backup_last_success_timestamp_seconds 1795306230");
        struct sample_sink *sink = sink_new(source_backup.families);
        for (size_t i = 0; i < sizeof strange_times / sizeof *strange_times; i++) {
                cronjob = strange_times[i];
                REFUSED(source_backup.refresh(config, &memory, sink, err), ERR_INVALID, "is no time");
        }
        cronjob = "{\"lastSuccessfulTime\": \"9999-01-01T00:00:00Z\"}";
        REFUSED(source_backup.refresh(config, &memory, sink, err), ERR_INVALID, "from now");
        CLEANUP_FREE char *wrong = put(pki.folder, "token", "another", 0600);
        source_backup.done(memory);
        memory = NULL;
        REFUSED(source_backup.refresh(config, &memory, sink, err), ERR_DENIED, "401");
        CLEANUP_FREE char *right = put(pki.folder, "token", TOKEN, 0600);
        backup_is(config, &memory, "{}", "caas_backup_last_success_timestamp_seconds 0"); /* read again */
        sink_free(sink);
        source_backup.done(memory);
}

/* ---- runs of caas ---- */

#define RUN(command, began, ended, outcome)                                                                            \
        "{\\\"command\\\": \\\"" command "\\\", \\\"began\\\": " began ", \\\"ended\\\": " ended                       \
        ", \\\"outcome\\\": \\\"" outcome "\\\"}"
#define NOTE(runs, more) "{\"runs.json\": \"{\\\"runs\\\": [" runs "]" more "}\"}"

static struct sample_sink *told_of(const struct config *config, void **memory, const char *data)
{
        struct sample_sink *sink = sink_new(source_run.families);
        note = data;
        MUST(source_run.refresh(config, memory, sink, err));
        return sink;
}

static void test_runs(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, false);
        assert_true(source_run.wanted(config));
        struct sample_sink *sink = told_of(config, &memory,
                NOTE(RUN("apply", "7000", "8500", "failed") ", " RUN("destroy", "9000", "9000", "done"),
                        ", \\\"drift\\\": 3"));
        assert_true(samples_have(sink, "caas_run_last_timestamp_seconds{command=\"apply\"} 8.5"));
        assert_true(samples_have(sink, "caas_run_last_duration_seconds{command=\"apply\"} 1.5"));
        assert_true(samples_have(sink, "caas_run_last_success{command=\"apply\"} 0"));
        assert_true(samples_have(sink, "caas_run_last_success{command=\"destroy\"} 1"));
        assert_true(samples_have(sink, "caas_drift_resources 3"));
        sink_free(sink);
        /* none was told of yet; the object is there before the first apply has ended */
        static const char *const nothing[] = {"", "null", "{}", "{\"more\": \"x\"}", NOTE("", ", \\\"drift\\\": null")};
        for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
                sink = told_of(config, &memory, nothing[i]);
                assert_int_equal(samples_count(sink, "caas_run_last_success"), 0);
                assert_int_equal(samples_count(sink, "caas_drift_resources"), 0);
                sink_free(sink);
        }
        source_run.done(memory);
}

static void test_strange_runs(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(server->port, ca_path, false);
        static const char *const strange_ones[] = {"{\"runs.json\": 7}", "{\"runs.json\": \"\"}",
                "{\"runs.json\": \"[]\"}", "{\"runs.json\": \"{}\"}",
                "{\"runs.json\": \"{\\\"runs\\\": [], \\\"runs\\\": []}\"}", NOTE("7", ""),
                NOTE(RUN("", "1", "2", "done"), ""), NOTE(RUN("apply", "true", "2", "done"), ""),
                NOTE(RUN("apply", "1", "2e400", "done"), ""),
                NOTE(RUN("apply", "1", "2", "done") ", " RUN("apply", "1", "2", "done"), "")};
        struct sample_sink *sink = sink_new(source_run.families);
        for (size_t i = 0; i < sizeof strange_ones / sizeof *strange_ones; i++) {
                note = strange_ones[i];
                REFUSED(source_run.refresh(config, &memory, sink, err), ERR_INVALID, "is not what caas writes there");
        }
        CLEANUP_BUF struct buf many = BUF_INIT(8192);
        for (int i = 0; i < 33; i++)
                buf_format(&many, "%s" RUN("c%d", "1", "2", "done"), i ? ", " : "", i);
        CLEANUP_FREE char *too_many = str_format(NOTE("%s", ""), many.data);
        note = too_many;
        REFUSED(source_run.refresh(config, &memory, sink, err), ERR_INVALID, "is not what caas writes there");
        note = NULL;
        REFUSED(source_run.refresh(config, &memory, sink, err), ERR_NOT_FOUND, "monitoring-runs");
        sink_free(sink);
        source_run.done(memory);
        source_run.done(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pods),
                cmocka_unit_test(test_the_others),
                cmocka_unit_test(test_targets),
                cmocka_unit_test(test_without_nodes),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_slow),
                cmocka_unit_test(test_less_often),
                cmocka_unit_test(test_strange_objects),
                cmocka_unit_test(test_runs),
                cmocka_unit_test(test_strange_runs),
                cmocka_unit_test(test_backups),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
