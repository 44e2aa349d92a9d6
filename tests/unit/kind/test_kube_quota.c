/* What kube.requirements says of quotas, against a false API server. The real one is in tests/integration/kubernetes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/kube_server.h"
#include "kind/kind.h"
#include "kind/kube_server.h"
#include "plan/change.h"

extern const struct kind kind_kube_requirements;

static const char *hard, *used, *scopes; /* of the one quota that there is */
static size_t nodes;

static bool list(struct peer *peer, const char *item, size_t times)
{
        CLEANUP_BUF struct buf text = BUF_INIT(64 * 1024);
        buf_str(&text, "{\"metadata\": {\"resourceVersion\": \"7\"}, \"items\": [");
        for (size_t i = 0; i < times; i++)
                buf_format(&text, "%s%s", i ? ", " : "", item);
        buf_str(&text, "]}");
        return ok(peer, text.data);
}

static bool answers(struct peer *peer, const char *request)
{
        static const char core[] =
                "{\"kind\": \"APIResourceList\", \"resources\": ["
                "{\"name\": \"namespaces\", \"kind\": \"Namespace\", \"namespaced\": false},"
                "{\"name\": \"nodes\", \"kind\": \"Node\", \"namespaced\": false},"
                "{\"name\": \"resourcequotas\", \"kind\": \"ResourceQuota\", \"namespaced\": true}]}";
        CLEANUP_FREE char *quota = str_format("{\"metadata\": {\"name\": \"small\"}, \"spec\": {%s"
                                              "\"hard\": %s}, \"status\": {\"hard\": %s, \"used\": %s}}",
                scopes, hard, hard, used);
        if (str_starts(request, "GET /api/v1 "))
                return ok(peer, core);
        if (str_starts(request, "GET /api/v1/namespaces/lab/resourcequotas"))
                return list(peer, quota, 1);
        if (str_starts(request, "GET /api/v1/nodes"))
                return list(peer, "{\"metadata\": {\"name\": \"n\"}}", nodes);
        if (str_starts(request, "GET /version"))
                return ok(peer, "{\"gitVersion\": \"v1.35.0\"}");
        return refuse_with(peer, "404 Not Found", "", "NotFound", "not found");
}

static void quiet(struct kind_ctx *ctx, const char *text)
{
        (void)ctx, (void)text;
}

/* What is missing, or NULL. The caller frees. */
static char *missing(const char *of_hard, const char *of_used, const char *of_scopes, bool applied_before)
{
        static const char needs[] = "{'nodes': false, 'quota': {'cpu': 0.5, 'limits_cpu': 8, 'memory': 3e9, "
                                    "'limits_memory': 4e9, 'pods': 9, "
                                    "'storage': 5e9, 'claims': 3, 'services': 8, 'balancers': 1, 'node_ports': 2, "
                                    "'each_node': {'cpu': 0.1, "
                                    "'limits_cpu': 1, 'memory': 1e7, 'limits_memory': 5e7, 'pods': 1}}}";
        CLEANUP_FREE char *json = str_copy(needs), *url = server_url(api);
        for (char *c = json; *c; c++)
                *c = *c == '\'' ? '"' : *c;
        CLEANUP_FREE char *config = config_text(url, pki.ca, NULL, "      token: s3cret\n");
        CLEANUP_FREE char *path = put(pki.folder, "config", config, 0600);
        json_auto_t *target = json_pack("{s:s, s:s}", "kubeconfig", path, "namespace", "lab"),
                    *spec = json_loads(json, 0, NULL);
        assert_non_null(spec);
        hard = of_hard;
        used = of_used;
        scopes = of_scopes;
        api->custom = answers;
        struct kube_link *link = kube_link_new(target, NULL);
        struct kind_ctx ctx = {.cluster = "lab", .kube = link, .clock = &fake_clock, .progress = quiet};
        const struct resource resource = {.id = (char *)"base/x", .kind = (char *)"kube.requirements", .spec = spec};
        const struct recorded recorded = {.kind = "kube.requirements"};
        struct err *err = NULL;
        int r = kind_kube_requirements.preflight(&ctx, &resource, applied_before ? &recorded : NULL, &err);
        char *ret = r < 0 ? str_copy(err->message) : NULL;
        err_free(err);
        kube_link_free(link);
        return ret;
}

static void each_limit_by_itself(void **state)
{
        (void)state;
        static const struct {
                const char *name, *enough, *too_little, *said;
        } cases[] = {
                {"requests.cpu", "500m", "0.4", "0.4 CPUs (requests.cpu), and the form needs 0.5"},
                {"cpu", "0.5", "400m", "0.4 CPUs (cpu), and the form needs 0.5"},
                {"limits.cpu", "8", "7900m", "7.9 CPUs (limits.cpu), and the form needs 8"},
                {"requests.memory", "3G", "2G", "2e+09 bytes of memory (requests.memory), and the form needs 3e+09"},
                {"memory", "3G", "2G", "2e+09 bytes of memory (memory), and the form needs 3e+09"},
                {"limits.memory", "4G", "3G", "3e+09 bytes of memory (limits.memory), and the form needs 4e+09"},
                {"pods", "9", "8", "8 pods (pods), and the form needs 9"},
                {"count/pods", "9", "8", "8 pods (count/pods), and the form needs 9"},
                {"requests.storage", "5G", "4G", "4e+09 bytes of storage (requests.storage), and the form needs 5e+09"},
                {"persistentvolumeclaims", "3", "2", "2 claims (persistentvolumeclaims), and the form needs 3"},
                {"count/persistentvolumeclaims", "3", "2",
                        "2 claims (count/persistentvolumeclaims), and the form needs 3"},
                {"services", "8", "7", "7 Services (services), and the form needs 8"},
                {"count/services", "8", "7", "7 Services (count/services), and the form needs 8"},
                {"services.loadbalancers", "1", "0", "0 balancers (services.loadbalancers), and the form needs 1"},
                {"services.nodeports", "2", "1", "1 ports of the nodes (services.nodeports), and the form needs 2"},
        };
        nodes = 1;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_FREE char *much = str_format("{\"%s\": \"%s\"}", cases[i].name, cases[i].enough),
                                  *little = str_format("{\"%s\": \"%s\"}", cases[i].name, cases[i].too_little),
                                  *wanted = str_format("the quota small of namespace lab leaves %s", cases[i].said),
                                  *none = missing(much, "{}", "", false), *said = missing(little, "{}", "", false);
                if (none)
                        fail_msg("%s", none);
                assert_non_null(said);
                assert_string_equal(said, wanted);
        }
}

static void more_nodes_need_more(void **state)
{
        (void)state;
        nodes = 3;
        CLEANUP_FREE char *none = missing("{\"limits.cpu\": \"10\", \"limits.memory\": \"4100M\"}", "{}", "", false);
        CLEANUP_FREE char *said = missing("{\"limits.cpu\": \"9\", \"limits.memory\": \"4G\"}", "{}", "", false);
        nodes = 1;
        assert_null(none);
        assert_non_null(strstr(said, "9 CPUs (limits.cpu), and the form needs 10"));
        assert_non_null(strstr(said, "4e+09 bytes of memory (limits.memory), and the form needs 4.1e+09"));
}

/* What others use is not for us; what is used afterwards is used by us, too. */
static void what_is_used(void **state)
{
        (void)state;
        CLEANUP_FREE char *said = missing("{\"limits.cpu\": \"9\"}", "{\"limits.cpu\": \"2\"}", "", false),
                          *later = missing("{\"limits.cpu\": \"9\"}", "{\"limits.cpu\": \"2\"}", "", true),
                          *just = missing("{\"requests.cpu\": \"0.7\"}", "{\"requests.cpu\": \"0.2\"}", "", false);
        assert_non_null(strstr(said, "leaves 7 CPUs (limits.cpu)"));
        assert_null(later);
        assert_null(just);
}

#define PRIORITY(how)                                                                                                  \
        "\"scopeSelector\": {\"matchExpressions\": [{\"scopeName\": \"PriorityClass\", \"operator\": \"" how "\", "    \
        "\"values\": [\"high\"]}]}, "

static char *missing_where(const char *of_scopes)
{
        return missing("{\"limits.cpu\": \"1\"}", "{}", of_scopes, false);
}

static void one_for_other_pods(void **state)
{
        (void)state;
        static const char *const others[] = {"\"scopes\": [\"Terminating\"], ",
                "\"scopes\": [\"NotBestEffort\", \"PriorityClass\"], ", PRIORITY("Exists"), PRIORITY("In")};
        static const char *const ours[] = {
                "\"scopes\": [\"NotTerminating\", \"NotBestEffort\"], ", PRIORITY("DoesNotExist"), PRIORITY("NotIn")};
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
                CLEANUP_FREE char *said = missing_where(others[i]);
                assert_null(said);
        }
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
                CLEANUP_FREE char *said = missing_where(ours[i]);
                assert_non_null(said);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_limit_by_itself),
                cmocka_unit_test(more_nodes_need_more),
                cmocka_unit_test(what_is_used),
                cmocka_unit_test(one_for_other_pods),
        };
        return cmocka_run_group_tests_name("quotas of a namespace", tests, fixture_start, fixture_end);
}
