/* What roles on Kubernetes name as ${kubernetes.…}. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "access/kube_values.h"
#include "base/mem.h"
#include "base/str.h"
#include "tree/tree.h"

static json_t *values_of(const char *form_text)
{
        json_auto_t *form = json_loads(form_text, 0, NULL);
        json_t *ret = NULL;
        assert_non_null(form);
        assert_int_equal(kube_values(".", "demo", form, &ret, NULL), 0);
        return ret;
}

static void assert_at(const json_t *tree, const char *path, const char *wanted)
{
        const char *found = json_string_value(tree_get(tree, path));
        if (!found)
                fail_msg("there is no %s", path);
        assert_string_equal(found, wanted);
}

#define NOTEBOOK "\"notebook\": {\"cpus\": 2, \"ram\": 4, \"storage\": 10}"

static void left_to_the_cluster(void **state)
{
        (void)state;
        json_auto_t *v = values_of(
                "{" NOTEBOOK ", \"external_ip\": \"\", \"tls\": {\"mode\": \"self-signed\"}, \"kubernetes\": "
                "{\"storage_class\": \"\", \"ingress_class\": \"\", \"node_port\": 0, \"cpu_guarantee\": 0.05}}");
        assert_at(v, "namespace", "demo");
        assert_at(v, "entry", "loadbalancer");
        static const char *const open[] = {"storage_class", "ingress_class", "node_port", "balancer_ip", "early"};
        for (size_t i = 0; i < sizeof open / sizeof *open; i++)
                assert_true(json_is_null(json_object_get(v, open[i])));
        assert_int_equal(json_array_size(json_object_get(v, "pull_secrets")), 0);
        assert_true(json_is_true(json_object_get(v, "front")));
        assert_at(v, "tls_secret", "jupyterhub-tls");
        assert_at(v, "tolerations[0].value", "core");
        assert_at(v, "user_tolerations[1].value", "user");
        assert_at(v, "resources.notebook.requests.cpu", "100m");
        assert_at(v, "resources.notebook.limits.memory", "4000M");
}

static void images_come_from_a_mirror_or_the_form(void **state)
{
        (void)state;
        json_auto_t *plain = values_of("{" NOTEBOOK ", \"kubernetes\": {}}");
        json_auto_t *v =
                values_of("{" NOTEBOOK ", \"kubernetes\": {\"images\": {\"registry\": \"mirror.example.org/cache\", "
                          "\"pull_secret\": \"pull\", \"hub\": \"example.org/hub:1\", \"proxy\": \"\"}}}");
        const char *ours = json_string_value(tree_get(plain, "images.proxy"));
        assert_non_null(strstr(ours, "/configurable-http-proxy:"));
        CLEANUP_FREE char *wanted = str_format("mirror.example.org/cache/%s", ours);
        assert_at(v, "images.proxy", wanted);
        assert_at(v, "images.hub", "example.org/hub:1");
        assert_at(v, "pull_secrets[0].name", "pull");
}

static void sizes_are_sure_and_bounded(void **state)
{
        (void)state;
        json_auto_t *v = values_of(
                "{" NOTEBOOK
                ", \"kubernetes\": {\"cpu_guarantee\": 1, \"resources\": {\"hub\": {\"cpus\": 0.5, \"ram\": 1.5}, "
                "\"gateway\": {\"cpus\": 0.1, \"ram\": 0.5}}}}");
        assert_at(v, "resources.hub.requests.cpu", "500m");
        assert_at(v, "resources.hub.requests.memory", "1500M");
        assert_at(v, "resources.hub.limits.cpu", "2000m");
        assert_at(v, "resources.hub.limits.memory", "1500M");
        assert_at(v, "resources.gateway.limits.cpu", "1000m");
        assert_at(v, "resources.notebook.requests.cpu", "2000m");
        /* hub, three of the gateway, one notebook, and who fetches images */
        assert_true(json_number_value(tree_get(v, "quota.cpu")) == 2.801);
        assert_true(json_number_value(tree_get(v, "quota.memory")) == 7.01e9);
        /* what they may use at most is more: a notebook all its CPUs, however many it is sure of */
        assert_true(json_number_value(tree_get(v, "quota.limits_cpu")) == 7.1);
        assert_true(json_number_value(tree_get(v, "quota.limits_memory")) == 7.05e9);
        assert_true(json_number_value(tree_get(v, "quota.each_node.limits_cpu")) == 0.1);
        assert_int_equal(json_integer_value(tree_get(v, "quota.pods")), 1 + 3 + 1 + 1);
}

/* The exporter, Prometheus with the page beside it and its claim, a node exporter: only where they are wanted. */
static void room_for_monitoring(void **state)
{
        (void)state;
        static const char text[] = "{" NOTEBOOK ", \"monitoring\": {\"enabled\": %s, \"retention_gb\": 10}, "
                                   "\"kubernetes\": {\"images\": {\"registry\": \"mirror.example.org\", \"exporter\": "
                                   "\"example.org/exporter:1\"}, \"resources\": {\"prometheus\": {\"cpus\": 1, "
                                   "\"ram\": 2}, \"exporter\": {\"cpus\": 1, \"ram\": 1}}}}";
        CLEANUP_FREE char *on = str_format(text, "true"), *off = str_format(text, "false");
        json_auto_t *with = values_of(on), *without = values_of(off);
        double more = json_number_value(tree_get(with, "quota.memory")) -
                      json_number_value(tree_get(without, "quota.memory"));
        assert_true(more > 3.1e9 && more < 3.5e9);
        assert_true(json_number_value(tree_get(with, "quota.storage")) -
                            json_number_value(tree_get(without, "quota.storage")) ==
                    12e9);
        assert_int_equal(json_integer_value(tree_get(with, "quota.claims")), 4);
        assert_int_equal(
                json_integer_value(tree_get(with, "quota.pods")) - json_integer_value(tree_get(without, "quota.pods")),
                3);
        assert_at(with, "prometheus_storage", "12G");
        assert_at(with, "images.exporter", "example.org/exporter:1");
        assert_at(with, "images.prometheus", json_string_value(tree_get(without, "images.prometheus")));
        assert_at(with, "resources.prometheus.limits.memory", "2000M");
        assert_at(with, "resources.page.limits.memory", "250M");
        assert_at(with, "resources.node.requests.cpu", "5m");
        assert_at(with, "resources.small.requests.memory", "10M");
        assert_true(json_number_value(tree_get(without, "quota.each_node.pods")) == 1);
        assert_true(json_number_value(tree_get(with, "quota.each_node.pods")) == 2);
        assert_true(json_number_value(tree_get(with, "quota.each_node.memory")) == 50e6);
}

/* A pod and a claim more. */
static void room_for_grafana(void **state)
{
        (void)state;
        static const char text[] =
                "{" NOTEBOOK ", \"monitoring\": {\"enabled\": %s, \"retention_gb\": 10, \"grafana\": "
                "\"%s\"}, \"kubernetes\": {\"resources\": {\"grafana\": {\"cpus\": 1, \"ram\": 2}}}}";
        CLEANUP_FREE char *on = str_format(text, "true", "install"), *off = str_format(text, "true", "off");
        CLEANUP_FREE char *neither = str_format(text, "false", "install");
        json_auto_t *with = values_of(on), *without = values_of(off), *none = values_of(neither);
        static const struct {
                const char *of;
                double more;
        } quota[] = {{"quota.cpu", 1}, {"quota.memory", 2e9}, {"quota.pods", 1}, {"quota.storage", 1073741824.0},
                {"quota.claims", 1}};
        for (size_t i = 0; i < sizeof quota / sizeof *quota; i++) {
                double of_it = json_number_value(tree_get(with, quota[i].of));
                double more = of_it - json_number_value(tree_get(without, quota[i].of));
                assert_true(more > quota[i].more * 0.999 && more < quota[i].more * 1.001);
        }
        assert_int_equal(json_integer_value(tree_get(none, "quota.claims")), 3);
        assert_non_null(strstr(json_string_value(tree_get(with, "images.grafana")), "/grafana:"));
        assert_at(with, "resources.grafana.limits.memory", "2000M");
}

/* Who writes mails is another container of a pod that is there. */
static void room_for_mails(void **state)
{
        (void)state;
        static const char text[] = "{" NOTEBOOK ", \"monitoring\": {\"enabled\": %s, \"alert_email\": \"%s\"}, "
                                   "\"kubernetes\": {}}";
        CLEANUP_FREE char *on = str_format(text, "true", "ops@example.org"), *nobody = str_format(text, "true", ""),
                          *off = str_format(text, "false", "ops@example.org");
        json_auto_t *with = values_of(on), *without = values_of(nobody), *unwatched = values_of(off);
        double ram = json_number_value(tree_get(with, "quota.memory"));
        assert_true(ram == json_number_value(tree_get(without, "quota.memory")) + 0.1e9);
        assert_true(json_equal(tree_get(with, "quota.pods"), tree_get(without, "quota.pods")));
        assert_at(with, "resources.mail.limits.memory", "100M");
        json_auto_t *none = values_of("{" NOTEBOOK ", \"kubernetes\": {}}");
        assert_true(json_equal(tree_get(unwatched, "quota"), tree_get(none, "quota")));
}

/* Where somebody comes from is to be seen only by who asks for it. */
static void addresses_are_kept(void **state)
{
        (void)state;
        static const char text[] = "{" NOTEBOOK ", \"monitoring\": {\"enabled\": %s, \"scrape_from\": [%s]}, "
                                   "\"kubernetes\": {\"entry\": \"loadbalancer\"}}";
        CLEANUP_FREE char *asked = str_format(text, "true", "\"192.0.2.10\""), *nobody = str_format(text, "true", ""),
                          *off = str_format(text, "false", "\"192.0.2.10\"");
        json_auto_t *with = values_of(asked), *without = values_of(nobody), *unwatched = values_of(off);
        assert_at(with, "traffic", "Local");
        assert_true(json_is_null(json_object_get(without, "traffic")));
        assert_true(json_is_null(json_object_get(unwatched, "traffic")));
}

static void ways_in(void **state)
{
        (void)state;
        json_auto_t *manager =
                values_of("{" NOTEBOOK ", \"tls\": {\"mode\": \"cert-manager\"}, \"kubernetes\": {\"entry\": "
                          "\"ingress\", \"cert_issuer\": \"ours\", \"annotations\": "
                          "{\"nginx.ingress.kubernetes.io/proxy-body-size\": \"1g\"}}}");
        json_t *notes = json_object_get(manager, "annotations");
        assert_string_equal(json_string_value(json_object_get(notes, "cert-manager.io/cluster-issuer")), "ours");
        assert_string_equal(
                json_string_value(json_object_get(notes, "nginx.ingress.kubernetes.io/proxy-body-size")), "1g");
        assert_true(json_is_false(json_object_get(manager, "front")));
        /* Not the name that a certificate of ours would have: both may be there for a moment. */
        assert_at(manager, "tls_secret", "jupyterhub-certificate");
        assert_at(manager, "issuer", "ours");
        json_auto_t *foreign =
                values_of("{" NOTEBOOK ", \"tls\": {\"mode\": \"cert-manager\"}, \"kubernetes\": {\"entry\": "
                          "\"ingress\", \"cert_issuer\": \"ours\", \"annotations\": "
                          "{\"cert-manager.io/issuer-group\": \"example.org\"}}}");
        assert_at(foreign, "issuer", "");
        json_auto_t *given =
                values_of("{" NOTEBOOK ", \"tls\": {\"mode\": \"secret\"}, \"kubernetes\": {\"entry\": \"ingress\", "
                          "\"tls_secret\": \"theirs\"}}");
        assert_at(given, "tls_secret", "theirs");
        assert_true(json_is_false(json_object_get(given, "own_tls")));
        json_auto_t *acme = values_of("{" NOTEBOOK ", \"tls\": {\"mode\": \"acme\"}, \"kubernetes\": {}}");
        assert_true(json_is_true(json_object_get(acme, "early")));
        json_auto_t *files =
                values_of("{" NOTEBOOK ", \"tls\": {\"mode\": \"files\"}, \"kubernetes\": {\"entry\": \"ingress\"}}");
        assert_true(json_is_true(json_object_get(files, "own_tls")) && json_is_false(json_object_get(files, "front")));
        json_auto_t *port =
                values_of("{" NOTEBOOK ", \"tls\": {\"mode\": \"proxy\"}, \"kubernetes\": {\"entry\": \"nodeport\", "
                          "\"node_port\": 30443}}");
        assert_int_equal(json_integer_value(json_object_get(port, "node_port")), 30443);
        assert_int_equal(json_object_size(json_object_get(port, "annotations")), 0);
}

static void a_list_that_is_not_there(void **state)
{
        (void)state;
        json_auto_t *form = json_pack("{s:{}}", "kubernetes");
        json_t *ret = NULL;
        struct err *err = NULL;
        assert_int_equal(kube_values("/nowhere", "demo", form, &ret, &err), -ERR_NOT_FOUND);
        assert_null(ret);
        err_free(err);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(left_to_the_cluster),
                cmocka_unit_test(images_come_from_a_mirror_or_the_form),
                cmocka_unit_test(sizes_are_sure_and_bounded),
                cmocka_unit_test(room_for_monitoring),
                cmocka_unit_test(room_for_grafana),
                cmocka_unit_test(room_for_mails),
                cmocka_unit_test(addresses_are_kept),
                cmocka_unit_test(ways_in),
                cmocka_unit_test(a_list_that_is_not_there),
        };
        return cmocka_run_group_tests_name("access/kube_values", tests, NULL, NULL);
}
