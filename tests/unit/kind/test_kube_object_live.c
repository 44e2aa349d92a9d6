/* kube.object against a real API server: made, nothing to do, changed, drifted, replaced, refused, removed. */
#include "kube_live.h"

extern const struct kind kind_kube_object;

#define NAMESPACE                                                                                                      \
        "- id: t/namespace\n"                                                                                          \
        "  object: {apiVersion: v1, kind: Namespace, metadata: {name: NAMESPACE}}\n"

/* NAMESPACE in the text becomes ours. */
static char *text(const char *yaml)
{
        CLEANUP_BUF struct buf out = BUF_INIT(256 * 1024);
        for (const char *p = yaml; *p; p++)
                if (str_starts(p, "NAMESPACE")) {
                        buf_str(&out, live_namespace);
                        p += strlen("NAMESPACE") - 1;
                } else {
                        buf_add(&out, p, 1);
                }
        return buf_steal(&out);
}

static const char basic[] =
        NAMESPACE "- id: t/config\n"
                  "  needs: [t/namespace]\n"
                  "  object:\n"
                  "    apiVersion: v1\n"
                  "    kind: ConfigMap\n"
                  "    metadata: {name: config, labels: {app: x}}\n"
                  "    data: {a: one, b: two}\n"
                  "- id: t/secret\n"
                  "  needs: [t/namespace]\n"
                  "  object:\n"
                  "    apiVersion: v1\n"
                  "    kind: Secret\n"
                  "    metadata: {name: secret}\n"
                  "    stringData:\n"
                  "      plain: hello\n"
                  "      token: {$secret: t/token}\n"
                  "      url: {$join: ['http://user:', {$secret: t/token}, '@host']}\n"
                  "      settings.json: {$json: {token: {$secret: t/token}, deep: [{other: {$secret: t/other}}]}}\n"
                  "- id: t/service\n"
                  "  needs: [t/namespace]\n"
                  "  object:\n"
                  "    apiVersion: v1\n"
                  "    kind: Service\n"
                  "    metadata: {name: web}\n"
                  "    spec: {selector: {app: x}, ports: [{name: http, port: 80, targetPort: 8080}]}\n"
                  "- id: t/deployment\n"
                  "  needs: [t/config, t/secret]\n"
                  "  object:\n"
                  "    apiVersion: apps/v1\n"
                  "    kind: Deployment\n"
                  "    metadata: {name: web}\n"
                  "    spec:\n"
                  "      replicas: 0\n"
                  "      selector: {matchLabels: {app: x}}\n"
                  "      template:\n"
                  "        metadata: {labels: {app: x}, annotations: {config: '${t/config.digest}'}}\n"
                  "        spec:\n"
                  "          containers:\n"
                  "            - name: web\n"
                  "              image: registry.k8s.io/pause:3.10\n"
                  "              env: [{name: A, value: '1'}, {name: B, value: '2'}]\n"
                  "              resources: {limits: {cpu: 0.5, memory: 1024Mi}}\n";

static struct role_secret secrets[] = {
        {.name = (char *)"t/token", .bytes = 16}, {.name = (char *)"t/other", .bytes = 16}};

static int go(const char *yaml, enum live_mode mode, json_t **ret_plan)
{
        CLEANUP_FREE char *own = text(yaml ? yaml : "");
        struct live o = {.yaml = own, .mode = mode, .secrets = secrets, .secret_count = 2, .delete_data = true};
        return live_done(&o, ret_plan);
}

static const json_t *step_of(const json_t *plan, const char *id)
{
        size_t i;
        const json_t *step;
        json_array_foreach (json_object_get(plan, "steps"), i, step)
                if (str_is(json_string_value(json_object_get(step, "id")), id))
                        return step;
        return NULL;
}

static bool has_field(const json_t *step, const char *path)
{
        size_t i;
        const json_t *field;
        json_array_foreach (json_object_get(step, "fields"), i, field)
                if (str_is(json_string_value(json_object_get(field, "path")), path))
                        return true;
        return false;
}

static char *replaced(const char *yaml, const char *old, const char *new_)
{
        const char *at = strstr(yaml, old);
        assert_non_null(at);
        return str_format("%.*s%s%s", (int)(at - yaml), yaml, new_, at + strlen(old));
}

static void made_and_then_nothing_to_do(void **state)
{
        (void)state;
        assert_int_equal(go(basic, LIVE_APPLY, NULL), 5);
        json_auto_t *plan = NULL;
        int changes = go(basic, LIVE_PLAN, &plan);
        if (changes)
                fail_msg("%s", json_dumps(plan, JSON_INDENT(1)));
        json_auto_t *secret = live_get("v1", "Secret", "secret");
        assert_non_null(json_object_get(json_object_get(secret, "data"), "settings.json"));
        json_auto_t *deployment = live_get("apps/v1", "Deployment", "web");
        assert_string_equal(
                json_string_value(tree_get(deployment, "metadata.labels[\"caas.pangeo.io/cluster\"]")), live_namespace);
}

static void the_servers_own_diff_is_shown(void **state)
{
        (void)state;
        json_auto_t *plan = NULL, *plan2 = NULL;
        CLEANUP_FREE char *yaml = replaced(basic, "name: B, value: '2'", "name: B, value: '3'");
        assert_int_equal(go(yaml, LIVE_PLAN, &plan), 1);
        const json_t *step = step_of(plan, "t/deployment");
        assert_true(has_field(step, "spec.template.spec.containers.web.env.B.value"));
        assert_int_equal(json_array_size(json_object_get(step, "fields")), 1);

        CLEANUP_FREE char *config = replaced(basic, "a: one", "a: three"); /* the deployment follows */
        assert_int_equal(go(config, LIVE_PLAN, &plan2), 2);
        assert_true(has_field(step_of(plan2, "t/config"), "data.a"));
        assert_true(has_field(step_of(plan2, "t/deployment"), "spec.template.metadata.annotations.config"));
        assert_int_equal(go(config, LIVE_APPLY, NULL), 2);
        assert_int_equal(go(config, LIVE_PLAN, NULL), 0);

        CLEANUP_FREE char *hello = replaced(config, "plain: hello", "plain: changed");
        json_auto_t *plan3 = NULL;
        assert_int_equal(go(hello, LIVE_PLAN, &plan3), 1);
        CLEANUP_FREE char *dump = json_dumps(plan3, 0);
        assert_non_null(strstr(dump, "(secret)"));
        assert_null(strstr(dump, "Y2hhbmdlZA")); /* "changed" in base64 */
        assert_int_equal(go(basic, LIVE_APPLY, NULL), 2);
}

static void drift_is_shown_and_put_back(void **state)
{
        (void)state;
        live_by_hand("scale deployment web --replicas 3");
        json_auto_t *plan = NULL;
        assert_int_equal(go(basic, LIVE_PLAN, &plan), 1);
        const json_t *step = step_of(plan, "t/deployment");
        assert_string_equal(json_string_value(json_object_get(step, "reason")), "drift");
        assert_true(has_field(step, "spec.replicas"));
        assert_int_equal(json_array_size(json_object_get(step, "fields")), 1);
        assert_string_equal(json_string_value(json_object_get(step, "action")), "update");
        live_by_hand("label configmap config caas.pangeo.io/cluster-"); /* it stays ours: we made it */
        assert_int_equal(go(basic, LIVE_APPLY, NULL), 2);
        json_auto_t *deployment = live_get("apps/v1", "Deployment", "web");
        assert_int_equal(json_integer_value(tree_get(deployment, "spec.replicas")), 0);
        assert_int_equal(go(basic, LIVE_PLAN, NULL), 0);
        live_by_hand("delete service web");
        assert_int_equal(go(basic, LIVE_APPLY, NULL), 1);
}

static void another_controller_is_named(void **state)
{
        (void)state;
        live_by_hand("patch configmap config --field-manager=argocd-controller --type=merge -p "
                     "'{\"data\":{\"a\":\"argo\"}}'");
        json_auto_t *plan = NULL;
        go(basic, LIVE_PLAN, &plan);
        const json_t *step = step_of(plan, "t/config");
        assert_string_equal(json_string_value(json_object_get(step, "action")), "refuse");
        const char *reason = json_string_value(json_object_get(step, "reason"));
        assert_non_null(strstr(reason, "argocd-controller"));
        assert_non_null(strstr(reason, ".data.a"));
        assert_non_null(strstr(reason, "--force-conflicts"));
        CLEANUP_FREE char *own = text(basic);
        struct live o = {.yaml = own, .mode = LIVE_APPLY, .secrets = secrets, .secret_count = 2, .force = true};
        live_done(&o, NULL);
        assert_int_equal(go(basic, LIVE_PLAN, NULL), 0);
}

static void what_cannot_change_is_made_anew_or_refused(void **state)
{
        (void)state;
        CLEANUP_FREE char *labels = replaced(basic, "matchLabels: {app: x}", "matchLabels: {app: y}");
        CLEANUP_FREE char *yaml =
                replaced(labels, "metadata: {labels: {app: x}, ann", "metadata: {labels: {app: y}, ann");
        json_auto_t *plan = NULL;
        assert_int_equal(go(yaml, LIVE_PLAN, &plan), 1);
        assert_string_equal(json_string_value(json_object_get(step_of(plan, "t/deployment"), "action")), "replace");
        assert_int_equal(go(yaml, LIVE_APPLY, NULL), 1);
        assert_int_equal(go(yaml, LIVE_PLAN, NULL), 0);
        assert_int_equal(go(basic, LIVE_APPLY, NULL), 1);

        static const char claim[] = NAMESPACE "- id: t/claim\n"
                                              "  needs: [t/namespace]\n"
                                              "  spec:\n"
                                              "    keep: true\n"
                                              "    wait: false\n"
                                              "    object:\n"
                                              "      apiVersion: v1\n"
                                              "      kind: PersistentVolumeClaim\n"
                                              "      metadata: {name: data}\n"
                                              "      spec: {accessModes: [ReadWriteOnce], storageClassName: none, "
                                              "resources: {requests: {storage: 1Gi}}}\n";
        CLEANUP_FREE char *other = replaced(claim, "ReadWriteOnce", "ReadWriteMany");
        CLEANUP_FREE char *both = str_format("%s%s", basic, strstr(claim, "- id: t/claim"));
        CLEANUP_FREE char *both2 = str_format("%s%s", basic, strstr(other, "- id: t/claim"));
        assert_int_equal(go(both, LIVE_APPLY, NULL), 1);
        json_auto_t *plan2 = NULL;
        go(both2, LIVE_PLAN, &plan2);
        const json_t *step = step_of(plan2, "t/claim");
        assert_string_equal(json_string_value(json_object_get(step, "action")), "refuse");
        assert_non_null(strstr(json_string_value(json_object_get(step, "reason")), "holds data"));
}

static void somebody_elses_is_refused(void **state)
{
        (void)state;
        json_auto_t *foreign = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "ConfigMap",
                "metadata", "name", "theirs", "namespace", live_namespace);
        assert_int_equal(kube_create(live_kube, foreign, 0, NULL, NULL), 0);
        CLEANUP_FREE char *yaml = str_format("%s- id: t/theirs\n  object: {apiVersion: v1, kind: ConfigMap, metadata: "
                                             "{name: theirs}, data: {a: b}}\n",
                basic);
        json_auto_t *plan = NULL;
        go(yaml, LIVE_PLAN, &plan);
        assert_string_equal(json_string_value(json_object_get(step_of(plan, "t/theirs"), "action")), "refuse");
        json_auto_t *there = live_get("v1", "ConfigMap", "theirs");
        assert_null(json_object_get(there, "data"));
}

/* Who has come in since it was looked at; and what we made ourselves without having been told. */
static void nobody_is_overwritten(void **state)
{
        (void)state;
        static const struct {
                const char *name;
                int result;
        } cases[] = {{"theirs", -ERR_REFUSED}, {"config", 0}};
        json_auto_t *target = live_target();
        struct kind_ctx ctx = {.cluster = live_namespace, .kube = kube_link_new(target, NULL), .clock = clock_system()};
        for (size_t i = 0; i < 2; i++) {
                json_auto_t *outputs = NULL;
                json_auto_t *spec = json_pack("{s:{s:s, s:s, s:{s:s, s:{s:s}}, s:{s:s, s:s}}}", "object", "apiVersion",
                        "v1", "kind", "ConfigMap", "metadata", "name", cases[i].name, "labels", "app", "x", "data", "a",
                        "one", "b", "two");
                struct resource r = {.id = (char *)"t/config", .kind = (char *)"kube.object", .spec = spec};
                assert_int_equal(kind_kube_object.apply(&ctx, &r, NULL, NULL, &outputs, NULL), cases[i].result);
        }
        kube_link_free(ctx.kube);
        json_auto_t *there = live_get("v1", "ConfigMap", "theirs");
        assert_null(json_object_get(there, "data"));
        assert_int_equal(go(basic, LIVE_PLAN, NULL), 1); /* t/claim is not in it */
}

static void a_lost_journal_is_rebuilt(void **state)
{
        (void)state;
        json_auto_t *before = live_get("v1", "Secret", "secret");
        file_remove_tree(live_state, NULL);
        CLEANUP_FREE char *own = text(basic);
        struct live o = {.yaml = own, .mode = LIVE_ADOPT, .secrets = secrets, .secret_count = 2};
        live_done(&o, NULL);
        assert_int_equal(o.adopted.count, 5);
        assert_int_equal(json_array_size(o.adopted.missing), 0);
        assert_int_equal(json_array_size(o.adopted.new_secrets), 0);
        assert_int_equal(json_array_size(o.adopted.strange), 1); /* t/claim, which this text does not have */
        adopted_clear(&o.adopted);
        json_auto_t *plan = NULL;
        assert_int_equal(go(basic, LIVE_PLAN, &plan), 1);
        const json_t *step = step_of(plan, "t/claim");
        assert_string_equal(json_string_value(json_object_get(step, "action")), "remove");
        json_auto_t *after = live_get("v1", "Secret", "secret");
        assert_true(json_equal(json_object_get(before, "data"), json_object_get(after, "data")));
}

static void removed_and_nothing_else(void **state)
{
        (void)state;
        struct live o = {.mode = LIVE_DESTROY};
        live_done(&o, NULL);
        /* the claim is kept, the stranger is there, and so the namespace is */
        assert_non_null(strstr(live_events, "kept t/claim"));
        assert_non_null(strstr(live_events, "kept t/namespace"));
        json_auto_t *theirs = live_get("v1", "ConfigMap", "theirs"),
                    *claim = live_get("v1", "PersistentVolumeClaim", "data");
        json_auto_t *ours = live_get("v1", "ConfigMap", "config"), *web = live_get("apps/v1", "Deployment", "web");
        assert_non_null(theirs);
        assert_non_null(claim);
        assert_null(ours);
        assert_null(web);
}

int main(void)
{
        LIVE_OR_SKIP();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(made_and_then_nothing_to_do),
                cmocka_unit_test(the_servers_own_diff_is_shown),
                cmocka_unit_test(drift_is_shown_and_put_back),
                cmocka_unit_test(another_controller_is_named),
                cmocka_unit_test(what_cannot_change_is_made_anew_or_refused),
                cmocka_unit_test(somebody_elses_is_refused),
                cmocka_unit_test(nobody_is_overwritten),
                cmocka_unit_test(a_lost_journal_is_rebuilt),
                cmocka_unit_test(removed_and_nothing_else),
        };
        return cmocka_run_group_tests(tests, live_setup, live_teardown);
}
