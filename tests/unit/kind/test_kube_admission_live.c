/* Workloads whose pods a real API server refuses: said before anything is written, and what runs stays. */
#include "kube_live.h"

#include "kind/kube_admission.h"

/* A namespace of Pod Security level "restricted". */
static char *restricted(void)
{
        return str_format("- id: t/namespace\n"
                          "  object:\n"
                          "    apiVersion: v1\n"
                          "    kind: Namespace\n"
                          "    metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}\n",
                live_namespace);
}

/* A Deployment whose container has this. */
static char *deployment(const char *name, const char *more, int replicas, const char *security, const char *cpu)
{
        return str_format("- id: t/%s\n"
                          "  needs: [t/namespace]\n"
                          "%s"
                          "  object:\n"
                          "    apiVersion: apps/v1\n"
                          "    kind: Deployment\n"
                          "    metadata: {name: %s}\n"
                          "    spec:\n"
                          "      replicas: %d\n"
                          "      selector: {matchLabels: {app: %s}}\n"
                          "      template:\n"
                          "        metadata: {labels: {app: %s}}\n"
                          "        spec:\n"
                          "          automountServiceAccountToken: false\n"
                          "          securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: "
                          "RuntimeDefault}}\n"
                          "          containers: [{name: web, image: 'registry.k8s.io/pause:3.10', "
                          "resources: {limits: {cpu: %s}}, securityContext: {%s}}]\n",
                name, more, name, replicas, name, name, cpu, security);
}

/* One in it, of which no pod runs. */
static char *yaml(const char *security, const char *cpu)
{
        CLEANUP_FREE char *namespace = restricted(), *web = deployment("web", "", 0, security, cpu);
        return str_format("%s%s", namespace, web);
}

#define GOOD   "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}"
#define BETTER GOOD ", readOnlyRootFilesystem: true"
#define BAD    "privileged: true"
#define LEVEL  "violates PodSecurity \"restricted:latest\": privileged"

static void expect_refused(const char *security, const char *cpu, const char *why)
{
        CLEANUP_FREE char *text = yaml(security, cpu), *wanted = str_format("its pods would be refused: %s", why);
        CLEANUP_FREE char *said = live_refused(text, LIVE_APPLY);
        if (!strstr(said, wanted) || !strstr(said, "eployment web"))
                fail_msg("%s", said);
}

/* The namespace is made by the same run, so nothing can be asked for before: whoever waits is told at once why there
 * are no pods, and what nobody waits for is not written. */
static void refused_at_its_turn(void **state)
{
        (void)state;
        CLEANUP_FREE char *namespace = restricted(), *new = deployment("new", "", 1, BAD, "1");
        CLEANUP_FREE char *alone = deployment("alone", "  wait: false\n", 1, BAD, "1");
        CLEANUP_FREE char *text = str_format("%s%s%s", namespace, new, alone);
        CLEANUP_FREE char *said = live_refused(text, LIVE_APPLY);
        CLEANUP_FREE char *late = str_format("deployment new in %s: its pods are refused: ", live_namespace);
        CLEANUP_FREE char *early =
                str_format("deployment alone in %s: its pods would be refused: %s", live_namespace, LEVEL);
        if (!strstr(said, late) || !strstr(strstr(said, late), LEVEL) || !strstr(said, early))
                fail_msg("%s", said);
        json_auto_t *found = live_get("apps/v1", "Deployment", "alone");
        assert_null(found);
        CLEANUP_FREE char *better = deployment("new", "", 0, GOOD, "1"), *then = str_format("%s%s", namespace, better);
        live_must(then, LIVE_APPLY, NULL);
        assert_int_equal(live_must(then, LIVE_PLAN, NULL), 0);
}

static void refused_before_anything_is_changed(void **state)
{
        (void)state;
        CLEANUP_FREE char *good = yaml(GOOD, "1");
        assert_true(live_must(good, LIVE_APPLY, NULL) > 0);
        json_auto_t *before = live_get("apps/v1", "Deployment", "web");
        expect_refused(BAD, "1", LEVEL);
        assert_null(strstr(live_events, "step_begin t/web"));
        json_auto_t *after = live_get("apps/v1", "Deployment", "web");
        assert_true(
                json_equal(tree_get(before, "metadata.resourceVersion"), tree_get(after, "metadata.resourceVersion")));
        assert_int_equal(live_must(good, LIVE_PLAN, NULL), 0);
}

/* While the new pod is asked for, the old ones still fill the quota. */
static void a_full_quota_is_no_refusal(void **state)
{
        (void)state;
        live_by_hand("create quota full --hard=pods=0");
        CLEANUP_FREE char *better = yaml(BETTER, "1");
        assert_int_equal(live_must(better, LIVE_APPLY, NULL), 1);
        live_by_hand("delete quota full");
}

static void a_limit_range_is(void **state)
{
        (void)state;
        json_auto_t *range = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[{s:s, s:{s:s}}]}}", "apiVersion", "v1", "kind",
                "LimitRange", "metadata", "name", "small", "namespace", live_namespace, "spec", "limits", "type",
                "Container", "max", "cpu", "100m");
        assert_int_equal(kube_create(live_kube, range, 0, NULL, NULL), 0);
        expect_refused(BETTER, "200m", "maximum cpu usage per Container is 100m, but limit is 200m");
        CLEANUP_FREE char *less = yaml(BETTER, "100m");
        assert_int_equal(live_must(less, LIVE_APPLY, NULL), 1);
}

static void what_is_for_good(void **state)
{
        (void)state;
        static const struct {
                const char *said, *why;
        } cases[] = {
                {"cannot apply Pod x: pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": privileged",
                        "violates PodSecurity \"restricted:latest\": privileged"},
                {"cannot apply Pod x: pods \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied "
                 "request: no",
                        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"},
                {"cannot apply Pod x: admission webhook \"w\" denied the request: no",
                        "cannot apply Pod x: admission webhook \"w\" denied the request: no"},
                {"pods \"x\" is forbidden: [maximum cpu usage per Container is 1, but limit is 2]",
                        "[maximum cpu usage per Container is 1, but limit is 2]"},
                {"pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: y",
                        "failed quota: q: must specify limits.cpu for: y"},
                {"pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1", NULL},
                {"pods \"x\" is forbidden: error looking up service account a/b: serviceaccount \"b\" not found", NULL},
                {"pods \"x\" is forbidden: no PriorityClass with name p was found", NULL},
                {"pods is forbidden: User \"u\" cannot patch resource \"pods\" in API group \"\"", NULL},
                {"admission webhook \"w\" does not support dry run", NULL},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const char *why = kube_admission_refusal(cases[i].said);
                if (!why || !cases[i].why)
                        assert_ptr_equal(why, cases[i].why);
                else
                        assert_string_equal(why, cases[i].why);
        }
}

int main(void)
{
        const struct CMUnitTest pure[] = {cmocka_unit_test(what_is_for_good)};
        const struct CMUnitTest live[] = {
                cmocka_unit_test(refused_at_its_turn),
                cmocka_unit_test(refused_before_anything_is_changed),
                cmocka_unit_test(a_full_quota_is_no_refusal),
                cmocka_unit_test(a_limit_range_is),
        };
        int failed = cmocka_run_group_tests(pure, NULL, NULL);
        if (failed)
                return failed;
        LIVE_OR_SKIP();
        return cmocka_run_group_tests(live, live_setup, live_teardown);
}
