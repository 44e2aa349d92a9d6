/* What kubelets say of containers and volumes, and what becomes of it: from kubelets that answer, hang, are not who
 * they say, refuse and talk nonsense. */
#include <setjmp.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../client/must.h"
#include "base/clock.h"
#include "exporter/kube_read.h"
#include "exporter/kubelet_figures.h"
#include "exporter/source_list.h"
#include "kube_objects.h"
#include "samples.h"

#define GIB 1073741824

/* Two kubelets: of n1 and n2. What they say changes from test to test. */
static struct server *kubelet[2];
static char *text[2], *volumes[2];
static _Atomic(const char *) status[2];
static atomic_bool slow[2];
static atomic_int asked_volumes;

/* As cAdvisor has them, times and all; the first is the sum over the pod, the second holds its network. */
static char *container(const char *pod, const char *name, const char *id, double cpu, double kills)
{
        static const char format[] =
                "# HELP container_cpu_usage_seconds_total Cumulative cpu time consumed in seconds.\n"
                "# TYPE container_cpu_usage_seconds_total counter\n"
                "container_cpu_usage_seconds_total{container=\"\",cpu=\"total\",id=\"/kubepods/"
                "pod1\",image=\"\",name=\"\","
                "namespace=\"ocean\",pod=\"%s\"} 99 1795300000000\n"
                "container_cpu_usage_seconds_total{container=\"POD\",cpu=\"total\",id=\"/k/"
                "p\",image=\"\",name=\"k8s_POD\","
                "namespace=\"ocean\",pod=\"%s\"} 98 1795300000000\n"
                "container_cpu_usage_seconds_total{container=\"%s\",cpu=\"total\",id=\"/k/c\",image=\"i\",name=\"%s\","
                "namespace=\"ocean\",pod=\"%s\"} %g 1795300000000\n"
                "container_memory_working_set_bytes{container=\"%s\",id=\"/k/c\",image=\"i\",name=\"%s\","
                "namespace=\"ocean\",pod=\"%s\"} 1.073741824e+09 1795300000000\n"
                "container_memory_rss{container=\"%s\",id=\"/k/c\",image=\"i\",name=\"%s\","
                "namespace=\"ocean\",pod=\"%s\"} 1024\n"
                "container_spec_memory_limit_bytes{container=\"%s\",id=\"/k/c\",image=\"i\",name=\"%s\","
                "namespace=\"ocean\",pod=\"%s\"} 4.294967296e+09\n"
                "container_threads{container=\"%s\",id=\"/k/c\",image=\"i\",name=\"%s\","
                "namespace=\"ocean\",pod=\"%s\"} 12\n"
                "container_oom_events_total{container=\"%s\",id=\"/k/c\",image=\"i\",name=\"%s\","
                "namespace=\"ocean\",pod=\"%s\"} %g\n"
                "container_cpu_usage_seconds_total{container=\"notebook\",id=\"/k/o\",image=\"i\",name=\"other\","
                "namespace=\"other\",pod=\"jupyter-alice\"} 77\n"
                "machine_memory_bytes 1.6e+10\n";
        return str_format(format, pod, pod, name, id, pod, cpu, name, id, pod, name, id, pod, name, id, pod, name, id,
                pod, name, id, pod, kills);
}

static char *volume(const char *claim, double used, double capacity)
{
        return str_format(
                "kubelet_volume_stats_used_bytes{namespace=\"ocean\",persistentvolumeclaim=\"%s\"} %.17g\n"
                "kubelet_volume_stats_capacity_bytes{namespace=\"ocean\",persistentvolumeclaim=\"%s\"} %.17g\n"
                "kubelet_volume_stats_available_bytes{namespace=\"ocean\",persistentvolumeclaim=\"%s\"} %.17g\n"
                "kubelet_volume_stats_inodes{namespace=\"ocean\",persistentvolumeclaim=\"%s\"} 5\n"
                "kubelet_volume_stats_used_bytes{namespace=\"other\",persistentvolumeclaim=\"%s\"} 5\n",
                claim, used, claim, capacity, claim, capacity - used, claim, claim);
}

static bool plain(struct peer *peer, const char *body)
{
        CLEANUP_FREE char *head = str_format("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
                                             "Content-Length: %zu\r\n\r\n",
                strlen(body));
        return peer_send(peer, head, strlen(head)) && peer_send(peer, body, strlen(body));
}

static bool answers(struct peer *peer, const char *request)
{
        int n = peer->server == kubelet[1];
        if (slow[n]) {
                be_slow(peer);
                return false;
        }
        if (status[n] || !strstr(request, "Authorization: Bearer " TOKEN "\r\n"))
                return answer(peer, status[n] ? status[n] : "401 Unauthorized", "", "Forbidden (user=x, verb=get)");
        if (str_starts(request, "GET /metrics/cadvisor "))
                return plain(peer, text[n] ? text[n] : "");
        if (str_starts(request, "GET /metrics ")) {
                asked_volumes++;
                return plain(peer, volumes[n] ? volumes[n] : "");
        }
        return answer(peer, "404 Not Found", "", "");
}

static void set_text(int n, char *fresh)
{
        free(text[n]);
        text[n] = fresh;
}

static void set_volumes(int n, char *fresh)
{
        free(volumes[n]);
        volumes[n] = fresh;
}

/* ---- what the API server said before ---- */

static void read_object(
        struct kube_reading *reading, const char *json, void (*read)(struct kube_reading *, const json_t *))
{
        json_auto_t *object = json_loads(json, 0, NULL);
        assert_non_null(object);
        read(reading, object);
}

/* alice's server on n1, bob's Dask worker on n2; second: the other node's port. spawned: of pods, NULL = as they are.
 */
static void publish(int first, int second, const char *spawned, const char *killed)
{
        static const char *const claims[] = {
                CLAIM("claim-alice", "alice@x", "10Gi"), CLAIM("claim-bob", "bob", "10Gi")};
        static const struct family *const none[] = {NULL};
        struct sample_sink *sink = sink_new(none);
        struct kube_view *view = kube_view_new();
        struct kube_reading reading = {.namespace_ = "ocean", .view = view, .sink = sink};
        int ports[] = {first, second};
        static const char *const pods[] = {POD_ALICE, POD_WORKER};
        for (size_t i = 0; i < 2; i++) {
                json_auto_t *pod = json_loads(pods[i], 0, NULL);
                json_t *dead = json_object_get(
                        json_array_get(json_object_get(json_object_get(pod, "status"), "containerStatuses"), 0),
                        "lastState");
                if (spawned)
                        json_object_set_new(
                                json_object_get(pod, "metadata"), "creationTimestamp", json_string(spawned));
                if (dead && !killed)
                        json_object_clear(dead);
                kube_read_pod(&reading, pod);
                CLEANUP_FREE char *node = str_format(NODE("n%zu", "%d", ""), i + 1, i + 1, i + 1, i + 1, ports[i]);
                read_object(&reading, node, kube_read_node);
                read_object(&reading, claims[i], kube_read_claim);
        }
        kube_read_end(&reading);
        sink_free(sink);
        kube_view_sort(view);
        kube_view_publish(view);
}

static int set_up(void **state)
{
        kube_objects_set_up(state);
        for (int i = 0; i < 2; i++) {
                kubelet[i] = server_start(pki.server_path, pki.server_key_path);
                kubelet[i]->custom = answers;
        }
        return 0;
}

static int tear_down(void **state)
{
        for (int i = 0; i < 2; i++) {
                server_stop(kubelet[i]);
                set_text(i, NULL);
                set_volumes(i, NULL);
        }
        kube_view_publish(NULL);
        return kube_objects_tear_down(state);
}

static int each(void **state)
{
        (void)state;
        for (int i = 0; i < 2; i++) {
                slow[i] = false;
                status[i] = NULL;
        }
        set_text(0, container("jupyter-alice", "notebook", ID_ALICE, 100, 0));
        set_text(1, container("dask-worker-77aa-x2", "dask-worker", "w1", 40, 0));
        set_volumes(0, volume("claim-alice", 2.0 * GIB, 9.9 * GIB));
        set_volumes(1, volume("claim-bob", 300.0 * GIB, 500.0 * GIB)); /* a folder of what all share */
        publish(kubelet[0]->port, kubelet[1]->port, NULL, NULL);
        return 0;
}

static struct sample_sink *refreshed(const struct config *config, void **memory)
{
        struct sample_sink *sink = sink_new(source_kubelet.families);
        assert_true(source_kubelet.wanted(config));
        MUST(source_kubelet.refresh(config, memory, sink, err));
        assert_true(samples_sound(sink));
        return sink;
}

static void says(const struct config *config, void **memory, const char *const lines[])
{
        struct sample_sink *sink = refreshed(config, memory);
        for (; *lines; lines++)
                assert_true(samples_have(sink, *lines));
        sink_free(sink);
}
#define SAYS(config, memory, ...) says(config, memory, (const char *const[]){__VA_ARGS__, NULL})

static void fails(const struct config *config, void **memory, int code, const char *words)
{
        struct sample_sink *sink = sink_new(source_kubelet.families);
        REFUSED(source_kubelet.refresh(config, memory, sink, err), (enum err_code)code, words);
        sink_free(sink);
}

/* ---- ---- */

#define ALICE  "{namespace=\"ocean\",pod=\"jupyter-alice\",container=\"notebook\",node=\"n1\",name=\"" ID_ALICE "\""
#define WORKER "{namespace=\"ocean\",pod=\"dask-worker-77aa-x2\",container=\"dask-worker\",node=\"n2\",name=\"w1\""

static void test_figures(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        struct sample_sink *sink = refreshed(config, &memory);
        static const char *const lines[] = {
                "caas_kubelet_up{source=\"kubelet of n1\",node=\"n1\"} 1",
                "caas_kubelet_up{source=\"kubelet of n2\",node=\"n2\"} 1",
                "container_cpu_usage_seconds_total" ALICE "} 100",
                "container_memory_working_set_bytes" ALICE ",hub_jupyter_org_node_purpose=\"user\"} 1073741824",
                "container_memory_working_set_bytes" WORKER ",k8s_dask_org_node_purpose=\"worker\"} 1073741824",
                "container_memory_rss" ALICE "} 1024",
                "container_oom_events_total" ALICE "} 0",
                "container_spec_memory_limit_bytes" ALICE "} 4294967296",
                "caas_user_memory_bytes{user=\"alice@x\",kind=\"notebook\"} 1073741824",
                "caas_user_memory_limit_bytes{user=\"alice@x\",kind=\"notebook\"} 4294967296",
                "caas_user_processes{user=\"bob\",kind=\"dask\"} 12",
                "caas_user_cpu_seconds_total{user=\"bob\",kind=\"dask\"} 0", /* it ran before the exporter did */
                "caas_user_oom_kills_total{user=\"bob\",kind=\"dask\"} 0",
                "kubelet_volume_stats_used_bytes{namespace=\"ocean\",persistentvolumeclaim=\"claim-alice\",node=\"n1\"}"
                " "
                "2147483648",
                "kubelet_volume_stats_capacity_bytes{namespace=\"ocean\",persistentvolumeclaim=\"claim-bob\",node="
                "\"n2\"} "
                "536870912000",
                "caas_home_used_bytes{user=\"alice@x\"} 2147483648",
        };
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
                assert_true(samples_have(sink, lines[i]));
        assert_int_equal(samples_count(sink, "container_cpu_usage_seconds_total"), 2);
        assert_int_equal(samples_count(sink, "caas_home_used_bytes"), 1); /* what all share says nothing of bob */
        assert_int_equal(samples_count(sink, "kubelet_volume_stats_used_bytes"), 2);
        sink_free(sink);
        int asked = asked_volumes;
        sink_free(refreshed(config, &memory));
        assert_int_equal(asked_volumes, asked); /* they change once a minute */
        source_kubelet.done(memory);
        source_kubelet.done(NULL);
}

/* What was counted stays counted: over restarts of containers, and while a node is away. */
static void test_counters_never_fall(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        SAYS(config, &memory, "caas_user_cpu_seconds_total{user=\"alice@x\",kind=\"notebook\"} 0");
        set_text(0, container("jupyter-alice", "notebook", ID_ALICE, 107.25, 1));
        SAYS(config, &memory, "caas_user_cpu_seconds_total{user=\"alice@x\",kind=\"notebook\"} 7.25",
                "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 1");
        status[0] = "500 Internal Server Error";
        set_text(0, container("jupyter-alice", "notebook", ID_ALICE, 110, 1));
        SAYS(config, &memory, "caas_kubelet_up{source=\"kubelet of n1\",node=\"n1\"} 0",
                "container_cpu_usage_seconds_total" ALICE "} 107.25", /* of the last time: not stale yet */
                "caas_user_cpu_seconds_total{user=\"alice@x\",kind=\"notebook\"} 7.25");
        status[0] = NULL;
        SAYS(config, &memory, "caas_user_cpu_seconds_total{user=\"alice@x\",kind=\"notebook\"} 10");
        /* a pod that is younger than the exporter counts from its beginning */
        set_text(0, container("jupyter-alice", "notebook", "again", 3, 0));
        publish(kubelet[0]->port, kubelet[1]->port, "2040-01-01T00:00:00Z", NULL);
        SAYS(config, &memory, "caas_user_cpu_seconds_total{user=\"alice@x\",kind=\"notebook\"} 13",
                "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 1");
        source_kubelet.done(memory);
}

/* A kubelet that has just begun anew leaves containers out for a moment. What was counted of them is not counted again,
 * and in between they say nothing. */
static void test_a_container_left_out(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        publish(kubelet[0]->port, kubelet[1]->port, "2040-01-01T00:00:00Z", NULL);
        set_text(0, container("jupyter-alice", "notebook", ID_DEAD, 100, 1));
        SAYS(config, &memory, "caas_user_cpu_seconds_total{user=\"alice@x\",kind=\"notebook\"} 100",
                "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 1");
        set_text(0, str_copy(""));
        for (int i = 0; i < 3; i++) {
                struct sample_sink *sink = refreshed(config, &memory);
                assert_int_equal(samples_count(sink, "container_memory_working_set_bytes"), 1); /* bob's */
                assert_int_equal(samples_count(sink, "caas_user_cpu_seconds_total"), 1);
                sink_free(sink);
        }
        set_text(0, container("jupyter-alice", "notebook", ID_DEAD, 102, 1));
        SAYS(config, &memory, "caas_user_cpu_seconds_total{user=\"alice@x\",kind=\"notebook\"} 102",
                "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 1");
        set_text(0, str_copy("")); /* it has ended for good, and the API server says by what: that was counted */
        publish(kubelet[0]->port, kubelet[1]->port, "2040-01-01T00:00:00Z", "yes");
        sink_free(refreshed(config, &memory));
        set_text(0, container("jupyter-alice", "notebook", ID_ALICE, 1, 0));
        SAYS(config, &memory, "caas_user_cpu_seconds_total{user=\"alice@x\",kind=\"notebook\"} 103",
                "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 1");
        source_kubelet.done(memory);
}

/* A container that was ended as a whole: only the API server says so, and it counts once. */
static void test_killed_containers(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        SAYS(config, &memory, "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 0");
        publish(kubelet[0]->port, kubelet[1]->port, NULL, "yes");
        for (int i = 0; i < 2; i++)
                SAYS(config, &memory, "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 1");
        source_kubelet.done(memory);
        memory = NULL; /* what was killed before the exporter began is not counted */
        SAYS(config, &memory, "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 0");
        source_kubelet.done(memory);
        memory = NULL; /* and what the kubelet has counted is not counted again */
        publish(kubelet[0]->port, kubelet[1]->port, NULL, NULL);
        set_text(0, container("jupyter-alice", "notebook", ID_DEAD, 1, 0));
        sink_free(refreshed(config, &memory));
        set_text(0, container("jupyter-alice", "notebook", ID_DEAD, 1, 1));
        publish(kubelet[0]->port, kubelet[1]->port, NULL, "yes");
        SAYS(config, &memory, "caas_user_oom_kills_total{user=\"alice@x\",kind=\"notebook\"} 1");
        source_kubelet.done(memory);
}

static void test_a_slow_node(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        config->timeout_ms = 3000;
        slow[1] = true;
        /* again, since on a busy machine the other may not be quick enough for so short a time either */
        struct sample_sink *sink = NULL;
        for (int tries = 0; !sink && tries < 20; tries++) {
                sink = sink_new(source_kubelet.families);
                if (source_kubelet.refresh(config, &memory, sink, NULL) < 0)
                        sink = sink_free(sink);
        }
        assert_non_null(sink);
        assert_true(samples_have(sink, "caas_kubelet_up{source=\"kubelet of n1\",node=\"n1\"} 1"));
        assert_true(samples_have(sink, "caas_kubelet_up{source=\"kubelet of n2\",node=\"n2\"} 0"));
        assert_int_equal(samples_count(sink, "container_cpu_usage_seconds_total"), 1);
        assert_int_equal(samples_count(sink, "caas_user_memory_bytes"), 1);
        sink_free(sink);
        slow[1] = false;
        config->timeout_ms = 60000;
        sink = refreshed(config, &memory);
        assert_int_equal(samples_count(sink, "caas_user_memory_bytes"), 2);
        sink_free(sink);
        source_kubelet.done(memory);
}

/* Figures are dropped once they are stale; that their kubelets are away is still said. */
static void test_stale_figures(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        sink_free(refreshed(config, &memory));
        slow[0] = slow[1] = true;
        publish(kubelet[0]->port, kubelet[1]->port, NULL, NULL);
        config->refresh_ms = 1;
        config->timeout_ms = 1000;
        poll(NULL, 0, 10); /* the last answers are now older than what the next refresh can wait */
        struct sample_sink *sink = refreshed(config, &memory);
        assert_true(samples_have(sink, "caas_kubelet_up{source=\"kubelet of n1\",node=\"n1\"} 0"));
        assert_int_equal(samples_count(sink, "caas_kubelet_up"), 2);
        assert_int_equal(samples_count(sink, "container_cpu_usage_seconds_total"), 0);
        assert_int_equal(samples_count(sink, "caas_user_memory_bytes"), 0);
        sink_free(sink);
        source_kubelet.done(memory);
}

/* One that made up its own certificate: nobody can tell who that is, so it is shown no token. */
static void test_a_stranger(void **state)
{
        (void)state;
        void *memory = NULL;
        char *certificate, *key;
        issue("kubelet", "127.0.0.1", NULL, NULL, 0, &certificate, &key);
        CLEANUP_FREE char *certificate_path = put(pki.folder, "own.crt", certificate, 0600);
        CLEANUP_FREE char *key_path = put(pki.folder, "own.key", key, 0600);
        free(certificate), free(key);
        struct server *stranger = server_start(certificate_path, key_path);
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        publish(kubelet[0]->port, stranger->port, NULL, NULL);
        SAYS(config, &memory, "caas_kubelet_up{source=\"kubelet of n1\",node=\"n1\"} 1",
                "caas_kubelet_up{source=\"kubelet of n2\",node=\"n2\"} 0");
        assert_int_equal(stranger->requests, 0);
        publish(stranger->port, stranger->port, NULL, NULL);
        source_kubelet.done(memory);
        memory = NULL;
        fails(config, &memory, ERR_UNREACHABLE, "certificate");
        source_kubelet.done(memory);
        server_stop(stranger);
}

static void test_refused(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        status[0] = status[1] = "403 Forbidden";
        fails(config, &memory, ERR_UNREACHABLE, "nodes/metrics");
        status[0] = status[1] = NULL;
        set_text(0, str_copy("container_cpu_usage_seconds_total{namespace=\"ocean\" 3\n"));
        set_text(1, str_copy("container_cpu_usage_seconds_total{namespace=\"ocean\",pod=\"p\"} 3")); /* cut off */
        fails(config, &memory, ERR_UNREACHABLE, "line 1");
        CLEANUP_CONFIG struct config *none = kube_config(1, ca_path, true);
        none->kubernetes.token_file = "/nowhere/token";
        fails(none, &memory, ERR_NOT_FOUND, "/nowhere/token");
        source_kubelet.done(memory);
}

static void test_before_the_api_server_was_read(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = kube_config(1, ca_path, true);
        kube_view_publish(NULL);
        cancel_raise(config->cancel); /* not to be waited for */
        fails(config, &memory, ERR_NOT_FOUND, "API server");
        source_kubelet.done(memory);
}

/* ---- what is kept of it is bounded ---- */

static void take(struct kubelet_figures *figures, const char *name, const char *pod, const char *claim, double value)
{
        struct kubelet_reading reading = {.namespace_ = "ocean", .into = figures};
        struct metrics_sample sample = {.name = name,
                .label = {{"namespace", "ocean"}, {"pod", pod}, {"container", "c"}, {"name", "n"},
                        {"persistentvolumeclaim", claim}},
                .labels = 5,
                .value = value};
        kubelet_take(&reading, &sample);
}

static void test_bounds(void **state)
{
        (void)state;
        struct kubelet_figures figures = {0};
        char name[300];
        for (int round = 0; round < 2; round++)
                for (int i = 0; i < 3000; i++) {
                        snprintf(name, sizeof name, "pod-%d", i);
                        take(&figures, "container_memory_rss", name, name, i);
                        take(&figures, "kubelet_volume_stats_used_bytes", name, name, i);
                }
        assert_int_equal(figures.containers, KUBELET_CONTAINERS_MAX);
        assert_int_equal(figures.volumes, KUBELET_VOLUMES_MAX);
        kubelet_figures_sort(&figures);
        const struct kubelet_container wanted = {.pod = "pod-7", .container = "c", .name = "n"};
        assert_true(kubelet_container_of(&figures, &wanted)->value[KUBELET_RSS] == 7);
        kubelet_figures_clear(&figures);
        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        take(&figures, "container_memory_rss", name, name, 1);
        take(&figures, "kubelet_volume_stats_used_bytes", "", name, 1);
        take(&figures, "container_memory_rss", "p", "", -1);
        take(&figures, "container_memory_rss", "p", "", (double)INFINITY);
        take(&figures, "container_memory_rss", "p", "", 1e300);
        take(&figures, "container_memory_swap", "p", "", 1);
        take(&figures, "kubelet_volume_stats_inodes", "p", "c", 1);
        assert_int_equal(figures.containers + figures.volumes, 0);
        kubelet_figures_clear(&figures);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(test_figures, each),
                cmocka_unit_test_setup(test_counters_never_fall, each),
                cmocka_unit_test_setup(test_a_container_left_out, each),
                cmocka_unit_test_setup(test_killed_containers, each),
                cmocka_unit_test_setup(test_a_slow_node, each),
                cmocka_unit_test_setup(test_stale_figures, each),
                cmocka_unit_test_setup(test_a_stranger, each),
                cmocka_unit_test_setup(test_refused, each),
                cmocka_unit_test_setup(test_before_the_api_server_was_read, each),
                cmocka_unit_test(test_bounds),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
