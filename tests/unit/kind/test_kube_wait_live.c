/* Against a real API server: pods that will not start, namespaces, definitions of others, claims of homes, what has to
 * be there before; where there is a node, what its pods answer and say. Otherwise what a kubelet would report is
 * written into the pods' status by the test; time runs up to twenty times as fast for the code under test. */
#include "kube_live.h"
#include "tree/digest.h"

#include <pthread.h>

static int speed = 20;

extern const struct kind kind_kube_object, kind_kube_claim, kind_kube_requirements, kind_kube_probe;

static int64_t fast_monotonic(struct clock *clock)
{
        (void)clock;
        return clock_system()->monotonic_ms(clock_system()) * speed;
}
static int64_t real_wall(struct clock *clock)
{
        (void)clock;
        return clock_system()->wall_ms(clock_system());
}
static int short_sleep(struct clock *clock, int64_t ms, struct cancel *cancel)
{
        (void)clock;
        return clock_system()->sleep_ms(clock_system(), ms / speed + 1, cancel);
}
static struct clock fast = {fast_monotonic, real_wall, short_sleep};

static char said[4096];
static void on_progress(struct kind_ctx *ctx, const char *progress)
{
        (void)ctx;
        snprintf(said, sizeof said, "%s", progress);
        if (getenv("TEST_VERBOSE"))
                fprintf(stderr, "  … %s\n", progress);
}

static struct kube_link *link_;
static struct kind_ctx context(void)
{
        return (struct kind_ctx){.cluster = live_namespace,
                .state_dir = live_state,
                .cluster_dir = live_state,
                .clock = &fast,
                .kube = link_,
                .progress = on_progress};
}

static int setup(void **state)
{
        live_setup(state);
        json_auto_t *target = live_target();
        link_ = kube_link_new(target, NULL);
        json_auto_t *namespace = json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "apiVersion", "v1", "kind", "Namespace",
                "metadata", "name", live_namespace, "labels", "made", "by-hand");
        return kube_create(live_kube, namespace, 0, NULL, NULL);
}

static int teardown(void **state)
{
        kube_link_free(link_);
        return live_teardown(state);
}

static json_t *parse(const char *yaml)
{
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        if (tree_parse(yaml, strlen(yaml), &tree, &diags) < 0)
                fail_msg("line %d: %s", diags.item[0].line, diags.item[0].message);
        json_t *root = json_incref(tree_root(tree));
        tree_free(tree);
        return root;
}

/* Writes a status into every pod of the label, until told to stop, as a kubelet would. */
struct kubelet {
        pthread_t thread;
        const char *labels, *status;
        volatile bool stop;
};

static int each_pod(void *data, const json_t *pod)
{
        struct kubelet *kubelet = data;
        CLEANUP_FREE char *line = str_format("%s --kubeconfig %s -n %s patch pod %s --subresource=status --type=merge "
                                             "-p '%s' >/dev/null",
                getenv("CAAS_KUBECTL"), getenv("CAAS_KUBECONFIG"), live_namespace,
                json_string_value(tree_get(pod, "metadata.name")), kubelet->status);
        if (system(line) != 0)
                return 0;
        kubelet->stop = true; /* once is enough */
        return 1;
}

static void *kubelet_run(void *data)
{
        struct kubelet *kubelet = data;
        struct kube_list list = {
                .api_version = "v1", .kind = "Pod", .namespace = live_namespace, .labels = kubelet->labels};
        for (int i = 0; i < 100 && !kubelet->stop; i++) {
                kube_list(live_kube, &list, each_pod, kubelet, NULL, NULL);
                usleep(100000);
        }
        return NULL;
}

static char *deployment(const char *name, const char *more)
{
        return str_format("{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: %s}, spec: {selector: "
                          "{matchLabels: {app: %s}}, template: {metadata: {labels: {app: %s}}, spec: {nodeSelector: "
                          "{no: node}, containers: [{name: main, image: 'registry.invalid/x:1'}]}}}}%s}",
                name, name, name, more);
}

/* Applies, and must fail; the message is the caller's. */
static char *fails(const struct kind *kind, const char *spec)
{
        json_auto_t *tree = parse(spec), *outputs = NULL;
        const struct resource r = {(char *)"t/x", (char *)kind->name, tree, NULL};
        struct kind_ctx ctx = context();
        struct err *err = NULL;
        int result = kind->apply(&ctx, &r, NULL, NULL, &outputs, &err);
        if (result >= 0)
                fail_msg("it was applied: %s", spec);
        char *text = str_copy(err->message);
        if (getenv("TEST_VERBOSE"))
                fprintf(stderr, "%s\n", text);
        err_free(err);
        return text;
}

/* Applies, and must succeed. */
static void succeeds(const struct kind *kind, const char *yaml)
{
        json_auto_t *spec = parse(yaml), *outputs = NULL;
        const struct resource r = {(char *)"t/x", (char *)kind->name, spec, NULL};
        struct kind_ctx ctx = context();
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(kind->check(spec, &err), 0);
        if (kind->apply(&ctx, &r, NULL, NULL, &outputs, &err) < 0)
                fail_msg("%s", err->message);
}

static void an_image_that_cannot_be_pulled(void **state)
{
        (void)state;
        struct kubelet kubelet = {.labels = "app=image",
                .status = "{\"status\":{\"containerStatuses\":[{\"name\":\"main\",\"image\":\"registry.invalid/x:1\","
                          "\"imageID\":\"\",\"ready\":false,\"restartCount\":0,\"state\":{\"waiting\":{\"reason\":"
                          "\"ImagePullBackOff\",\"message\":\"no such host\"}}}]}}"};
        speed = 5; /* what the kubelet says has to come before patience with a pod that no node takes is over */
        pthread_create(&kubelet.thread, NULL, kubelet_run, &kubelet);
        CLEANUP_FREE char *spec = deployment("image", ""), *text = fails(&kind_kube_object, spec);
        kubelet.stop = true;
        pthread_join(kubelet.thread, NULL);
        speed = 20;
        assert_non_null(strstr(text, "deployment image"));
        assert_non_null(strstr(text, "the image cannot be pulled (ImagePullBackOff, image registry.invalid/x:1)"));
        assert_non_null(strstr(text, "no such host"));
}

static void a_pod_that_no_node_takes(void **state)
{
        (void)state;
        CLEANUP_FREE char *spec = deployment("nowhere", ", seconds: 40"), *text = fails(&kind_kube_object, spec);
        assert_non_null(strstr(text, "not ready within"));
        assert_non_null(strstr(text, "no node takes it"));
        assert_non_null(strstr(text, "\n  event FailedScheduling: ")); /* of the scheduler */
}

static void pods_that_are_refused(void **state)
{
        (void)state;
        json_auto_t *quota =
                parse("{apiVersion: v1, kind: ResourceQuota, metadata: {name: q}, spec: {hard: {pods: '0', "
                      "persistentvolumeclaims: '1000'}}}");
        json_object_set_new(json_object_get(quota, "metadata"), "namespace", json_string(live_namespace));
        assert_int_equal(kube_create(live_kube, quota, 0, NULL, NULL), 0);
        sleep(1);
        CLEANUP_FREE char *spec = deployment("refused", ""), *text = fails(&kind_kube_object, spec);
        assert_non_null(strstr(text, "exceeded quota"));
        CLEANUP_FREE char *set = str_format("{object: {apiVersion: apps/v1, kind: StatefulSet, metadata: {name: set}, "
                                            "spec: {serviceName: set, selector: {matchLabels: {app: set}}, template: "
                                            "{metadata: {labels: {app: set}}, spec: {containers: [{name: main, image: "
                                            "x}]}}}}}");
        CLEANUP_FREE char *text2 = fails(&kind_kube_object, set);
        assert_non_null(strstr(text2, "exceeded quota"));
}

static void what_has_to_be_there(void **state)
{
        (void)state;
        json_auto_t *spec = parse(
                "{version: '1.99', storage_class: none, ingress_class: nobody, tls_secret: none, quota: {pods: 3}, "
                "nodes: false, rights: [{group: apps, resources: [deployments, deployments/scale], verbs: "
                "[get, create]}], crds: [{name: x.example.org, version: v1}]}");
        const struct resource r = {(char *)"t/x", (char *)"kube.requirements", spec, NULL};
        struct kind_ctx ctx = context();
        CLEANUP_ERR struct err *err = NULL;
        assert_true(kind_kube_requirements.preflight(&ctx, &r, NULL, &err) < 0);
        assert_non_null(strstr(err->message, "1.99 or newer is needed"));
        assert_non_null(strstr(err->message, "no StorageClass none"));
        assert_non_null(strstr(err->message, "no IngressClass nobody"));
        assert_non_null(strstr(err->message, "there is no Secret none in namespace"));
        assert_non_null(strstr(err->message, "quota q of namespace"));
        assert_null(strstr(err->message, "may not"));
        json_auto_t *fine = parse("{version: '1.30', storage_class: '', nodes: false}");
        const struct resource r2 = {(char *)"t/x", (char *)"kube.requirements", fine, NULL};
        CLEANUP_ERR struct err *none = NULL;
        if (kind_kube_requirements.preflight(&ctx, &r2, NULL, &none) < 0)
                fail_msg("%s", none->message);
}

static void homes_grow(void **state)
{
        (void)state;
        for (int i = 0; i < 20; i++) {
                CLEANUP_FREE char *text = str_format("{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: "
                                                     "claim-u%d, namespace: %s, labels: {component: "
                                                     "singleuser-storage}}, spec: {accessModes: [ReadWriteOnce], "
                                                     "resources: {requests: {storage: 1G}}}}",
                        i, live_namespace);
                json_auto_t *claim = parse(text);
                assert_int_equal(kube_create(live_kube, claim, 0, NULL, NULL), 0);
        }
        for (int i = 0; i < 100; i++) { /* only what is bound can grow */
                json_auto_t *last = live_get("v1", "PersistentVolumeClaim", "claim-u19");
                if (str_is(json_string_value(tree_get(last, "status.phase")), "Bound"))
                        break;
                usleep(100000);
        }
        json_auto_t *one = parse("{gb: 1}"), *two = parse("{gb: 2}"), *state_ = NULL, *outputs = NULL, *after = NULL;
        struct kind_ctx ctx = context();
        struct resource r = {(char *)"t/homes", (char *)"kube.claim", one, NULL};
        assert_int_equal(kind_kube_claim.observe(&ctx, &r, &state_, NULL), 0);
        assert_int_equal(json_integer_value(json_object_get(state_, "smaller")), 0);
        r.spec = two;
        CLEANUP_ERR struct err *err = NULL;
        if (kind_kube_claim.preflight(&ctx, &r, NULL, &err) < 0 ||
                kind_kube_claim.apply(&ctx, &r, NULL, state_, &outputs, &err) < 0)
                fail_msg("%s", err->message);
        assert_int_equal(kind_kube_claim.observe(&ctx, &r, &after, NULL), 0);
        assert_int_equal(json_integer_value(json_object_get(after, "smaller")), 0);
        json_auto_t *grown = live_get("v1", "PersistentVolumeClaim", "claim-u7");
        assert_string_equal(json_string_value(tree_get(grown, "spec.resources.requests.storage")), "2G");
        const struct recorded recorded = {.kind = "kube.claim", .spec = two, .complete = true, .digest = ""};
        struct change change = {0};
        r.spec = one;
        assert_int_equal(kind_kube_claim.compare(&r, &recorded, after, &change, NULL), 0);
        assert_int_equal(change.action, ACTION_REFUSE);
        change_clear(&change);
        CLEANUP_FREE char *kept = NULL;
        r.spec = two;
        assert_int_equal(kind_kube_claim.remove(&ctx, &r, &recorded, &kept, NULL), 0);
        assert_non_null(strstr(kept, "20 homes"));
        ctx.delete_data = true;
        CLEANUP_FREE char *none = NULL;
        if (kind_kube_claim.remove(&ctx, &r, &recorded, &none, &err) < 0)
                fail_msg("%s", err->message);
        assert_null(none);
        json_auto_t *gone = live_get("v1", "PersistentVolumeClaim", "claim-u7");
        assert_null(gone);
}

/* A class of nobody's volumes, which makes none and lets none grow. */
static char *new_class(const char *name, const char *mode)
{
        char *full = str_format("%s-%d", name, (int)getpid());
        json_auto_t *class =
                json_pack("{s:s, s:s, s:{s:s}, s:s, s:s}", "apiVersion", "storage.k8s.io/v1", "kind", "StorageClass",
                        "metadata", "name", full, "provisioner", "example.org/nobody", "volumeBindingMode", mode);
        assert_int_equal(kube_create(live_kube, class, 0, NULL, NULL), 0);
        return full;
}

static void class_gone(const char *name)
{
        struct kube_ref ref = {"storage.k8s.io/v1", "StorageClass", NULL, name};
        assert_int_equal(kube_delete(live_kube, &ref, NULL, NULL, NULL), 0);
}

#define CLAIM                                                                                                          \
        "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: %s, labels: {homes: stiff}}, spec: "           \
        "{storageClassName: '%s', accessModes: [ReadWriteOnce], resources: {requests: {storage: 1G}}}}"

/* What the form's class can is not asked: homes stay with the class that they were made in. */
static void homes_whose_own_class_cannot_grow(void **state)
{
        (void)state;
        CLEANUP_FREE char *stiff = new_class("stiff", "Immediate");
        for (int i = 0; i < 2; i++) {
                CLEANUP_FREE char *text = str_format(CLAIM, i ? "claim-fine" : "claim-stiff", stiff);
                json_auto_t *claim = parse(text);
                json_object_set_new(json_object_get(claim, "metadata"), "namespace", json_string(live_namespace));
                if (i == 1) /* the default one, which can */
                        json_object_del(json_object_get(claim, "spec"), "storageClassName");
                assert_int_equal(kube_create(live_kube, claim, 0, NULL, NULL), 0);
        }
        json_auto_t *spec = parse("{gb: 2, labels: {homes: stiff}}"), *outputs = NULL;
        const struct resource r = {(char *)"t/homes", (char *)"kube.claim", spec, NULL};
        struct kind_ctx ctx = context();
        for (int i = 0; i < 2; i++) {
                CLEANUP_ERR struct err *err = NULL;
                int result = i ? kind_kube_claim.apply(&ctx, &r, NULL, NULL, &outputs, &err)
                               : kind_kube_claim.preflight(&ctx, &r, NULL, &err);
                assert_int_equal(result, -ERR_REFUSED);
                assert_non_null(strstr(err->message, "2 homes are smaller than 2 GB"));
                assert_non_null(strstr(err->message, stiff));
                assert_non_null(strstr(err->message, "cannot expand volumes"));
        }
        json_auto_t *fine = live_get("v1", "PersistentVolumeClaim", "claim-fine"); /* nor did the one grow that can */
        assert_string_equal(json_string_value(tree_get(fine, "spec.resources.requests.storage")), "1G");
        class_gone(stiff);
}

/* Its volume comes with its first pod, which comes after it. */
static void a_claim_whose_class_waits_for_a_pod(void **state)
{
        (void)state;
        CLEANUP_FREE char *late = new_class("late", "WaitForFirstConsumer"), *soon = new_class("soon", "Immediate");
        CLEANUP_FREE char *waits = str_format("{object: " CLAIM "}", "late", late),
                          *never = str_format("{object: " CLAIM ", seconds: 40}", "soon", soon);
        succeeds(&kind_kube_object, waits);
        json_auto_t *claim = live_get("v1", "PersistentVolumeClaim", "late");
        assert_string_equal(json_string_value(tree_get(claim, "status.phase")), "Pending");
        CLEANUP_FREE char *text = fails(&kind_kube_object, never);
        assert_non_null(strstr(text, "no volume is bound to it yet"));
        class_gone(late);
        class_gone(soon);
}

static void a_namespace_of_others_is_left_as_it_is(void **state)
{
        (void)state;
        CLEANUP_FREE char *text =
                str_format("{object: {apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {x: "
                           "ours}}}}",
                        live_namespace);
        json_auto_t *spec = parse(text), *seen = NULL, *outputs = NULL;
        struct resource r = {(char *)"t/ns", (char *)"kube.object", spec, NULL};
        struct kind_ctx ctx = context();
        struct change change = {0};
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(kind_kube_object.observe(&ctx, &r, &seen, NULL), 0);
        assert_int_equal(kind_kube_object.compare(&r, NULL, seen, &change, NULL), 0);
        assert_int_equal(change.action, ACTION_UPDATE);
        change_clear(&change);
        if (kind_kube_object.apply(&ctx, &r, NULL, seen, &outputs, &err) < 0)
                fail_msg("%s", err->message);
        assert_true(json_is_false(json_object_get(outputs, "made")));
        struct kube_ref ref = {"v1", "Namespace", NULL, live_namespace};
        json_auto_t *live = NULL;
        assert_int_equal(kube_get(live_kube, &ref, &live, NULL), 0);
        assert_null(tree_get(live, "metadata.labels.x"));
        char digest[DIGEST_SIZE];
        digest_tree(spec, digest);
        const struct recorded recorded = {.kind = "kube.object",
                .spec = spec,
                .digest = digest,
                .outputs = outputs,
                .state = seen,
                .complete = true};
        assert_int_equal(kind_kube_object.compare(&r, &recorded, seen, &change, NULL), 0);
        assert_int_equal(change.action, ACTION_NONE);
        CLEANUP_FREE char *kept = NULL;
        assert_int_equal(kind_kube_object.remove(&ctx, &r, &recorded, &kept, NULL), 0);
        assert_non_null(kept);
}

static void a_definition_is_shared_if_it_fits(void **state)
{
        (void)state;
        static const char yaml[] =
                "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: "
                "things%d.kinds.test},"
                " spec: {group: kinds.test, scope: Namespaced, names: {plural: things%d, singular: thing%d, kind: "
                "Thing%d,"
                " listKind: Thing%dList}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: "
                "{type: object, properties: {spec: {type: object, properties: {a: {type: %s}}}}}}}]}}";
        int n = (int)getpid();
        CLEANUP_FREE char *text = str_format(yaml, n, n, n, n, n, "string"),
                          *other = str_format(yaml, n, n, n, n, n, "integer");
        json_auto_t *theirs = parse(text), *ours = parse(other);
        assert_int_equal(kube_create(live_kube, theirs, 0, NULL, NULL), 0);
        struct kind_ctx ctx = context();
        struct change change = {0};
        for (int i = 0; i < 2; i++) {
                json_auto_t *spec = json_pack("{s:O}", "object", i ? ours : theirs), *seen = NULL;
                struct resource r = {(char *)"t/crd", (char *)"kube.object", spec, NULL};
                assert_int_equal(kind_kube_object.observe(&ctx, &r, &seen, NULL), 0);
                assert_int_equal(kind_kube_object.compare(&r, NULL, seen, &change, NULL), 0);
                assert_int_equal(change.action, i ? ACTION_REFUSE : ACTION_UPDATE);
                if (i)
                        assert_non_null(strstr(change.reason, "another version"));
                change_clear(&change);
        }
        CLEANUP_FREE char *name = str_format("things%d.kinds.test", n);
        struct kube_ref ref = {"apiextensions.k8s.io/v1", "CustomResourceDefinition", NULL, name};
        kube_delete(live_kube, &ref, "Background", NULL, NULL);
}

static int first_name(void *data, const json_t *object)
{
        *(char **)data = str_copy(json_string_value(tree_get(object, "metadata.name")));
        return 1;
}

/* The pod of the cluster's own names, or NULL: without a node, no pod runs. The caller frees. */
static char *pod_of_names(void)
{
        char *pod = NULL;
        struct kube_list list = {.api_version = "v1",
                .kind = "Pod",
                .namespace = "kube-system",
                .labels = "k8s-app=kube-dns",
                .fields = "status.phase=Running"};
        kube_list(live_kube, &list, first_name, &pod, NULL, NULL);
        if (!pod)
                printf("skip: no pod runs here that could be asked\n");
        return pod;
}

/* Its server takes connections over TCP, and none on another port. */
static void a_port_is_asked_for(void **state)
{
        (void)state;
        CLEANUP_FREE char *pod = pod_of_names();
        if (!pod)
                return;
        succeeds(&kind_kube_probe, "{service: kube-dns, namespace: kube-system, port: 53, tcp: true, seconds: 200}");
        CLEANUP_FREE char *nobody =
                str_format("{service: pod/%s, namespace: kube-system, port: 9, tcp: true, seconds: 20}", pod);
        CLEANUP_FREE char *text = fails(&kind_kube_probe, nobody);
        assert_non_null(strstr(text, "does not answer as it should"));
}

/* It answers, and all its pods are ready; but what it says is what counts. */
static void an_answer_is_read(void **state)
{
        (void)state;
        CLEANUP_FREE char *pod = pod_of_names();
        if (!pod)
                return;
#define HEALTH "{service: pod/%s, namespace: kube-system, port: 8080, path: %s, seconds: 100, %s}"
        CLEANUP_FREE char *fine = str_format(HEALTH, pod, "/health", "expect: 200, contains: OK"),
                          *elsewhere = str_format(HEALTH, pod, "/nowhere", "expect: 200"),
                          *other = str_format(HEALTH, pod, "/health", "contains: all is well");
        succeeds(&kind_kube_probe, fine);
        CLEANUP_FREE char *status = fails(&kind_kube_probe, elsewhere), *words = fails(&kind_kube_probe, other);
        assert_non_null(strstr(status, "status 404 instead of 200"));
        assert_non_null(strstr(words, "does not hold \"all is well\": OK"));
}

/* What a person would look for: how the container ended, and what it said before. */
static void a_pod_that_ends_again_and_again(void **state)
{
        (void)state;
        CLEANUP_FREE char *pod = pod_of_names();
        if (!pod)
                return;
        struct kube_ref ref = {"v1", "Pod", "kube-system", pod};
        json_auto_t *names = NULL;
        assert_int_equal(kube_get(live_kube, &ref, &names, NULL), 0);
        CLEANUP_FREE char *spec = str_format(
                "{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: ends}, spec: {selector: "
                "{matchLabels: {app: ends}}, template: {metadata: {labels: {app: ends}}, spec: {containers: [{name: "
                "main, image: '%s', args: ['-no-such-option'], readinessProbe: {tcpSocket: {port: 9}}}]}}}}, seconds: "
                "120}",
                json_string_value(tree_get(names, "spec.containers[0].image")));
        CLEANUP_FREE char *text = fails(&kind_kube_object, spec);
        static const char *const words[] = {
                "container main ended with status 2", "the last lines of main:", "Show version"};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (!strstr(text, words[i]))
                        fail_msg("%s", text);
}

int main(void)
{
        LIVE_OR_SKIP();
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_image_that_cannot_be_pulled),
                cmocka_unit_test(a_pod_that_no_node_takes),
                cmocka_unit_test(a_pod_that_ends_again_and_again),
                cmocka_unit_test(homes_grow),
                cmocka_unit_test(homes_whose_own_class_cannot_grow),
                cmocka_unit_test(a_claim_whose_class_waits_for_a_pod),
                cmocka_unit_test(pods_that_are_refused),
                cmocka_unit_test(what_has_to_be_there),
                cmocka_unit_test(a_namespace_of_others_is_left_as_it_is),
                cmocka_unit_test(a_definition_is_shared_if_it_fits),
                cmocka_unit_test(a_port_is_asked_for),
                cmocka_unit_test(an_answer_is_read),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
