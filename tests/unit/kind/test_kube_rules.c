/* What can be said of Kubernetes objects without asking anybody: ready or not, what keeps a pod from starting, what
 * differs, whose a conflict is, what comes back from live Secrets. */
#include "fixture.h"
#include "client/kube/amount.h"
#include "kind/kube_diff.h"
#include "kind/kube_manifest.h"
#include "kind/kube_ready.h"
#include "kind/kube_recover.h"
#include "tree/tree.h"

extern const struct kind kind_kube_object, kind_kube_probe, kind_kube_claim, kind_kube_requirements;

static json_t *parse(const char *yaml)
{
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        if (tree_parse(yaml, strlen(yaml), &tree, &diags) < 0)
                fail_msg("line %d: %s: %s", diags.item[0].line, diags.item[0].message, yaml);
        json_t *root = json_incref(tree_root(tree));
        tree_free(tree);
        return root;
}

static void readiness(void **state)
{
        (void)state;
        static const struct {
                const char *object;
                enum kube_state state;
                const char *says; /* NULL = nothing */
        } cases[] = {
                /* Deployment */
                {"{kind: Deployment, metadata: {generation: 2}, spec: {replicas: 1}}", KUBE_WAITING, "not seen it"},
                {"{kind: Deployment, metadata: {generation: 2}, spec: {replicas: 1}, status: {observedGeneration: 1, "
                 "replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}}",
                        KUBE_WAITING, "not seen the change"},
                {"{kind: Deployment, metadata: {generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, "
                 "replicas: 2, updatedReplicas: 1}}",
                        KUBE_WAITING, "1 of 2 pods are made anew"},
                {"{kind: Deployment, metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, "
                 "replicas: 2, updatedReplicas: 1, readyReplicas: 2, availableReplicas: 2}}",
                        KUBE_WAITING, "1 old pods are still ending"},
                {"{kind: Deployment, metadata: {generation: 1}, spec: {}, status: {observedGeneration: 1, replicas: 1, "
                 "updatedReplicas: 1}}",
                        KUBE_WAITING, "0 of 1 pods are ready"},
                {"{kind: Deployment, metadata: {generation: 1}, status: {observedGeneration: 1, replicas: 1, "
                 "updatedReplicas: 1, readyReplicas: 1, conditions: [{type: Progressing, status: 'False', reason: "
                 "ProgressDeadlineExceeded, message: it hangs}]}}",
                        KUBE_FAILED, "ProgressDeadlineExceeded: it hangs"},
                {"{kind: Deployment, metadata: {generation: 1}, status: {observedGeneration: 1, replicas: 1, "
                 "updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: "
                 "'True'}]}}",
                        KUBE_READY, NULL},
                {"{kind: Deployment, metadata: {generation: 1}, spec: {replicas: 0}, status: {observedGeneration: 1}}",
                        KUBE_READY, NULL},
                {"{kind: Deployment, metadata: {generation: 1}, status: {observedGeneration: 1, replicas: 1, "
                 "updatedReplicas: 1, readyReplicas: 1, conditions: [{type: Available, status: 'True'}]}}",
                        KUBE_WAITING, "0 of 1 pods are available"},
                {"{kind: Deployment, metadata: {generation: 1}, status: {observedGeneration: 1, replicas: 1, "
                 "updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: "
                 "'False', reason: MinimumReplicasUnavailable, message: too few}]}}",
                        KUBE_WAITING, "MinimumReplicasUnavailable: too few"},
                {"{kind: Deployment, metadata: {generation: 1}, status: {observedGeneration: 1, replicas: 1, "
                 "updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1}}",
                        KUBE_WAITING, "not available yet"},
                {"{kind: Deployment, metadata: {generation: 1, deletionTimestamp: x}, spec: {replicas: 0}, status: "
                 "{observedGeneration: 1}}",
                        KUBE_WAITING, "being deleted"},
                /* StatefulSet */
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, "
                 "replicas: 1, readyReplicas: 1, updatedReplicas: 1, currentRevision: a, updateRevision: b}}",
                        KUBE_WAITING, "made anew"},
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, "
                 "replicas: 1, readyReplicas: 1, currentRevision: a, updateRevision: a}}",
                        KUBE_READY, NULL},
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 3, updateStrategy: {rollingUpdate: "
                 "{partition: 2}}}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 1, "
                 "currentRevision: a, updateRevision: b}}",
                        KUBE_READY, NULL},
                {"{kind: StatefulSet, metadata: {generation: 2}, spec: {updateStrategy: {type: OnDelete}}, status: "
                 "{observedGeneration: 2}}",
                        KUBE_READY, NULL},
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {updateStrategy: {type: OnDelete}}}",
                        KUBE_WAITING, "not seen it"},
                {"{kind: StatefulSet, metadata: {generation: 2}, spec: {replicas: 1}, status: {observedGeneration: 1, "
                 "replicas: 1, readyReplicas: 1, currentRevision: a, updateRevision: a}}",
                        KUBE_WAITING, "not seen the change"},
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 2}, status: {observedGeneration: 1, "
                 "replicas: 1, readyReplicas: 2, currentRevision: a, updateRevision: a}}",
                        KUBE_WAITING, "1 of 2 pods are made"},
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {}, status: {observedGeneration: 1, replicas: "
                 "1, currentRevision: a, updateRevision: a}}",
                        KUBE_WAITING, "0 of 1 pods are ready"},
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 1}, status: {observedGeneration: 1, "
                 "replicas: 3, readyReplicas: 1, currentRevision: a, updateRevision: a}}",
                        KUBE_WAITING, "2 surplus pods"},
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 3, updateStrategy: {rollingUpdate: "
                 "{partition: 1}}}, status: {observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 1, "
                 "currentRevision: a, updateRevision: b}}",
                        KUBE_WAITING, "1 of 2 pods are made anew"},
                {"{kind: StatefulSet, metadata: {generation: 1}, spec: {replicas: 0}, status: {observedGeneration: 1, "
                 "replicas: 0, currentRevision: a, updateRevision: b}}",
                        KUBE_READY, NULL},
                /* DaemonSet */
                {"{kind: DaemonSet, metadata: {generation: 1}}", KUBE_WAITING, "not seen"},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: "
                 "3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 2, numberAvailable: 2}}",
                        KUBE_WAITING, "2 of 3 pods are ready"},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: "
                 "0}}",
                        KUBE_READY, NULL},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {desiredNumberScheduled: 0}}", KUBE_WAITING,
                        "not seen it"},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1}}", KUBE_WAITING,
                        "not seen it"},
                {"{kind: DaemonSet, metadata: {generation: 2}, status: {observedGeneration: 1, desiredNumberScheduled: "
                 "0}}",
                        KUBE_WAITING, "not seen the change"},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: "
                 "3, currentNumberScheduled: 2, updatedNumberScheduled: 3, numberReady: 3, numberAvailable: 3}}",
                        KUBE_WAITING, "2 of 3 pods are made"},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: "
                 "3, currentNumberScheduled: 3, updatedNumberScheduled: 1, numberReady: 3, numberAvailable: 3}}",
                        KUBE_WAITING, "1 of 3 pods are made anew"},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: "
                 "3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 2, numberAvailable: 3}}",
                        KUBE_WAITING, "2 of 3 pods are ready"},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: "
                 "3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 3, numberAvailable: 1}}",
                        KUBE_WAITING, "1 of 3 pods are ready"},
                {"{kind: DaemonSet, metadata: {generation: 1}, status: {observedGeneration: 1, desiredNumberScheduled: "
                 "3, currentNumberScheduled: 3, updatedNumberScheduled: 3, numberReady: 3, numberAvailable: 3}}",
                        KUBE_READY, NULL},
                {"{kind: DaemonSet, metadata: {generation: 1}, spec: {updateStrategy: {type: OnDelete}}, status: "
                 "{observedGeneration: 1, desiredNumberScheduled: 1, currentNumberScheduled: 1, numberReady: 1, "
                 "numberAvailable: 1}}",
                        KUBE_READY, NULL},
                /* Job */
                {"{kind: Job, status: {active: 1}}", KUBE_WAITING, "it runs"},
                {"{kind: Job, status: {conditions: [{type: Complete, status: 'True'}]}}", KUBE_READY, NULL},
                {"{kind: Job, status: {conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, "
                 "message: Job has reached the specified backoff limit}]}}",
                        KUBE_FAILED, "BackoffLimitExceeded"},
                {"{kind: Job, status: {conditions: [{type: Suspended, status: 'True'}]}}", KUBE_WAITING,
                        "it is suspended"},
                {"{kind: Job, status: {succeeded: 1, failed: 2, conditions: [{type: Suspended, status: 'False'}, "
                 "{type: Failed, status: 'False'}, {type: Complete, status: 'False'}]}}",
                        KUBE_WAITING, "1 done, 2 failed"},
                {"{kind: Job}", KUBE_WAITING, "it runs"},
                /* PersistentVolumeClaim */
                {"{kind: PersistentVolumeClaim, status: {phase: Pending}}", KUBE_WAITING, "no volume"},
                {"{kind: PersistentVolumeClaim, status: {phase: Bound}}", KUBE_READY, NULL},
                {"{kind: PersistentVolumeClaim, spec: {volumeName: v1}, status: {phase: Lost}}", KUBE_FAILED, "v1"},
                {"{kind: PersistentVolumeClaim}", KUBE_WAITING, "no volume"},
                /* CustomResourceDefinition */
                {"{kind: CustomResourceDefinition}", KUBE_WAITING, "does not serve it yet"},
                {"{kind: CustomResourceDefinition, status: {conditions: [{type: NamesAccepted, status: 'False', "
                 "reason: MultipleNamesNotAllowed}]}}",
                        KUBE_FAILED, "MultipleNames"},
                {"{kind: CustomResourceDefinition, status: {conditions: [{type: NamesAccepted, status: 'True'}, {type: "
                 "Established, status: 'True'}]}}",
                        KUBE_READY, NULL},
                /* Service */
                {"{kind: Service, spec: {type: ClusterIP, clusterIP: 10.0.0.1}}", KUBE_READY, NULL},
                {"{kind: Service, spec: {type: ClusterIP}}", KUBE_WAITING, "no address inside"},
                {"{kind: Service, spec: {type: ExternalName, externalName: x.org}}", KUBE_READY, NULL},
                {"{kind: Service, spec: {type: LoadBalancer, clusterIP: 10.0.0.1}, status: {loadBalancer: {}}}",
                        KUBE_WAITING, "balancer"},
                {"{kind: Service, spec: {type: LoadBalancer, clusterIP: 10.0.0.1}, status: {loadBalancer: {ingress: "
                 "[{ip: 1.2.3.4}]}}}",
                        KUBE_READY, NULL},
                /* Ingress, APIService, Namespace, Pod, others */
                {"{kind: Ingress, spec: {}}", KUBE_READY, NULL},
                {"{kind: Ingress, status: {loadBalancer: {}}}", KUBE_READY, NULL}, /* not every controller says */
                {"{kind: APIService, status: {conditions: [{type: Available, status: 'False', reason: "
                 "MissingEndpoints, "
                 "message: nobody}]}}",
                        KUBE_WAITING, "MissingEndpoints: nobody"},
                {"{kind: APIService, status: {conditions: [{type: Available, status: 'True'}]}}", KUBE_READY, NULL},
                {"{kind: APIService}", KUBE_WAITING, "not available yet"},
                {"{kind: Namespace, status: {phase: Active}}", KUBE_READY, NULL},
                {"{kind: Namespace, metadata: {deletionTimestamp: x}, status: {phase: Terminating}}", KUBE_WAITING,
                        "being deleted"},
                {"{kind: Namespace, status: {phase: Terminating}}", KUBE_WAITING, "not active"},
                {"{kind: Pod, status: {phase: Running, conditions: [{type: Ready, status: 'False'}]}}", KUBE_WAITING,
                        "not ready"},
                {"{kind: Pod, status: {phase: Succeeded}}", KUBE_READY, NULL},
                {"{kind: Pod, status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}", KUBE_READY,
                        NULL},
                {"{kind: Pod, status: {phase: Failed}}", KUBE_FAILED, "it failed"},
                {"{kind: Pod, status: {phase: Failed, message: no room}}", KUBE_FAILED, "no room"},
                {"{kind: ConfigMap, data: {}}", KUBE_READY, NULL},
                {"{kind: Certificate, status: {conditions: [{type: Ready, status: 'False', reason: Issuing}]}}",
                        KUBE_WAITING, "Issuing"},
                {"{kind: Thing, status: {conditions: [{type: Stalled, status: 'True', message: stuck}]}}", KUBE_FAILED,
                        "stuck"},
                {"{kind: Thing, status: {conditions: [{type: Reconciling, status: 'True', reason: Rollout, message: "
                 "at work}, {type: Ready, status: 'True'}]}}",
                        KUBE_WAITING, "Rollout: at work"},
                {"{kind: Thing, status: {conditions: [{type: Reconciling, status: 'True'}, {type: Stalled, status: "
                 "'True'}]}}",
                        KUBE_FAILED, "does not get on"},
                {"{kind: Thing, status: {conditions: [{type: Reconciling, status: 'False'}, {type: Stalled, status: "
                 "'False'}, {type: Ready, status: 'True'}]}}",
                        KUBE_READY, NULL},
                {"{kind: Thing, status: {conditions: [{type: Ready, status: Unknown}]}}", KUBE_WAITING,
                        "not ready yet"},
                {"{kind: Thing, metadata: {generation: 3}, status: {observedGeneration: 2}}", KUBE_WAITING,
                        "not seen the change"},
                {"{kind: Thing, metadata: {generation: 3}, status: {observedGeneration: 3}}", KUBE_READY, NULL},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_auto_t *object = parse(cases[i].object);
                CLEANUP_FREE char *said = NULL;
                enum kube_state is = kube_ready(object, &said);
                if (is != cases[i].state || (cases[i].says && (!said || !strstr(said, cases[i].says))))
                        fail_msg("%s: %d, %s", cases[i].object, (int)is, said ? said : "nothing");
                assert_true(cases[i].says || !said);
        }
}

static void pods_in_trouble(void **state)
{
        (void)state;
        static const struct {
                const char *pod;
                int level;
                const char *says, *container;
        } cases[] = {
                {"{status: {phase: Pending, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, "
                 "message: '0/3 nodes are available: 3 Insufficient memory.'}]}}",
                        KUBE_TROUBLE_PATIENCE, "Insufficient memory", NULL},
                {"{status: {phase: Pending, containerStatuses: [{name: hub, image: x/y:1, restartCount: 0, state: "
                 "{waiting: {reason: ImagePullBackOff, message: 'Back-off pulling image \"x/y:1\": not found'}}}]}}",
                        KUBE_TROUBLE_SOON, "the image cannot be pulled (ImagePullBackOff, image x/y:1)", NULL},
                {"{status: {containerStatuses: [{name: hub, image: 'X Y', state: {waiting: {reason: "
                 "InvalidImageName}}}]}}",
                        KUBE_TROUBLE_FATAL, "name of the image", NULL},
                {"{status: {containerStatuses: [{name: hub, state: {waiting: {reason: CreateContainerConfigError, "
                 "message: secret \"hub\" not found}}}]}}",
                        KUBE_TROUBLE_SOON, "secret \"hub\" not found", NULL},
                {"{status: {containerStatuses: [{name: hub, restartCount: 1, state: {waiting: {reason: "
                 "CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1}}}]}}",
                        KUBE_TROUBLE_STARTING, "ended with status 1 (started 2 times)", "hub"},
                {"{status: {containerStatuses: [{name: hub, restartCount: 4, state: {waiting: {reason: "
                 "CrashLoopBackOff}}, lastState: {terminated: {exitCode: 137, reason: OOMKilled}}}]}}",
                        KUBE_TROUBLE_FATAL, "used more memory", "hub"},
                {"{spec: {restartPolicy: Always}, status: {initContainerStatuses: [{name: init, restartCount: 5, "
                 "state: "
                 "{terminated: {exitCode: 2}}}], containerStatuses: [{name: hub, state: {waiting: {reason: "
                 "PodInitializing}}}]}}",
                        KUBE_TROUBLE_FATAL, "container init ended with status 2", "init"},
                {"{status: {phase: Running, containerStatuses: [{name: hub, ready: false, restartCount: 0, state: "
                 "{running: {}}}]}}",
                        KUBE_TROUBLE_STARTING, "does not say that it is ready", "hub"},
                {"{status: {phase: Running, conditions: [{type: Ready, status: 'True'}], containerStatuses: [{name: "
                 "hub, ready: true, state: {running: {}}}]}}",
                        KUBE_TROUBLE_NONE, NULL, NULL},
                {"{metadata: {deletionTimestamp: x}, status: {containerStatuses: [{name: hub, state: {waiting: "
                 "{reason: ImagePullBackOff}}}]}}",
                        KUBE_TROUBLE_NONE, NULL, NULL},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_auto_t *pod = parse(cases[i].pod);
                CLEANUP_TROUBLE struct kube_trouble trouble;
                kube_pod_trouble(pod, &trouble);
                if ((int)trouble.level != cases[i].level ||
                        (cases[i].says && (!trouble.text || !strstr(trouble.text, cases[i].says))))
                        fail_msg("%s: %d, %s", cases[i].pod, (int)trouble.level, trouble.text ? trouble.text : "");
                assert_true(cases[i].container ? str_is(trouble.container, cases[i].container) : !trouble.container);
        }
}

static void covering(void **state)
{
        (void)state;
        static const struct {
                const char *live, *ours;
                bool covers;
        } cases[] = {
                {"{a: 1, b: 2}", "{a: 1}", true},
                {"{a: 1}", "{a: 1, b: 2}", false},
                {"{a: [1, 2]}", "{a: [1]}", false},
                {"{a: [{name: x, more: 1}]}", "{a: [{name: x}]}", true},
                {"{}", "{a: []}", true},
                {"{}", "{nodeSelector: {}}", true},
                {"{}", "{a: {}}", false}, /* an empty selector is not none */
                {"{}", "{a: false}", false},
                {"{resources: {limits: {cpu: 500m}}}", "{resources: {limits: {cpu: 0.5}}}", true},
                {"{resources: {limits: {memory: 1Gi}}}", "{resources: {limits: {memory: 1024Mi}}}", true},
                {"{env: 500m}", "{env: '0.5'}", false},
                {"{resources: {limits: {cpu: 500m}}}", "{resources: {limits: {cpu: 0.6}}}", false},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_auto_t *live = parse(cases[i].live), *ours = parse(cases[i].ours);
                if (kube_covers(live, ours) != cases[i].covers)
                        fail_msg("%s, %s", cases[i].live, cases[i].ours);
        }
}

static void differences(void **state)
{
        (void)state;
        json_auto_t *live = parse("{kind: Deployment, metadata: {name: x, uid: u, resourceVersion: '1', managedFields: "
                                  "[]}, spec: {c: [{name: a, v: 1}, {name: b, v: 2}]}, status: {x: 1}}");
        json_auto_t *would = parse("{kind: Deployment, metadata: {name: x, generation: 2}, spec: {c: [{name: b, v: 2}, "
                                   "{name: a, v: 'my-token-x'}]}}");
        json_auto_t *fields = kube_diff(live, would, NULL);
        assert_int_equal(json_array_size(fields), 1);
        assert_string_equal(json_string_value(tree_get(fields, "[0].path")), "spec.c.a.v");
        json_auto_t *hidden = parse("[token]"), *masked = kube_diff(live, would, hidden);
        assert_string_equal(json_string_value(tree_get(masked, "[0].new")), "(secret)");
        assert_string_equal(json_string_value(tree_get(masked, "[0].old")), "(secret)");
        json_auto_t *turned = kube_diff_turned(fields);
        assert_int_equal(json_integer_value(tree_get(turned, "[0].new")), 1);
        json_auto_t *a = parse("{kind: Secret, data: {k: eA==}}"), *b = parse("{kind: Secret, data: {k: eQ==}}"),
                    *secret = kube_diff(a, b, NULL);
        assert_string_equal(json_string_value(tree_get(secret, "[0].new")), "(secret)");
}

static void messages_of_the_server(void **state)
{
        (void)state;
        assert_true(kube_conflict_by_hand("cannot apply x: fields … would change: \"kubectl\" owns .spec.replicas"));
        assert_true(kube_conflict_by_hand("\"kubectl-edit\" owns .a, .b; \"k9s\" owns .c (--force-conflicts …)"));
        assert_false(kube_conflict_by_hand("\"kubectl-edit\" owns .a; \"argocd-controller\" owns .c"));
        assert_false(kube_conflict_by_hand("\"kube-controller-manager\" owns .spec.replicas"));
        assert_false(kube_conflict_by_hand("no names"));
        assert_true(kube_is_immutable("spec.selector: Invalid value: {}: field is immutable"));
        assert_true(kube_is_immutable("spec: Forbidden: updates to statefulset spec for fields other than 'replicas'"));
        assert_true(kube_is_immutable("spec: Forbidden: spec is immutable after creation except resources.requests"));
        assert_false(kube_is_immutable("spec.replicas: Invalid value: -1: must be greater than or equal to 0"));
        struct kube_ref claim = {"v1", "PersistentVolumeClaim", "n", "data"}, set = {"apps/v1", "Deployment", "n", "d"};
        CLEANUP_FREE char *why = NULL, *name = manifest_name(&set);
        assert_false(manifest_is_replaceable(&claim));
        assert_true(manifest_is_replaceable(&set));
        assert_string_equal(name, "deployment d in n");
        (void)why;
}

static void amounts(void **state)
{
        (void)state;
        static const struct {
                const char *text;
                double is;
        } cases[] = {{"1", 1}, {"500m", 0.5}, {"1Gi", 1073741824.0}, {"2G", 2e9}, {"1e3", 1000}, {"100M", 1e8}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_auto_t *value = json_string(cases[i].text);
                assert_true(kube_amount(value) == cases[i].is);
        }
        json_auto_t *none = json_string("1Xi");
        assert_true(kube_amount(none) != kube_amount(none));
}

struct recovered {
        json_t *secrets, *files;
};
static void on_secret(void *data, const char *name, const char *value)
{
        json_object_set_new(((struct recovered *)data)->secrets, name, json_string(value));
}
static void on_file(void *data, const char *path, const char *value)
{
        json_object_set_new(((struct recovered *)data)->files, path, json_string(value));
}

static void secrets_come_back(void **state)
{
        (void)state;
        json_auto_t *object =
                parse("{kind: Secret, stringData: {plain: {$secret: a}, url: {$join: ['http://${x/y.z}:', "
                      "{$secret: b}, '@h']}, key: {$file: /k}, s.json: {$json: {deep: [1, {$secret: c}], "
                      "two: {$join: [{$secret: d}, {$secret: e}]}}}}}");
        /* plain-a, http://user:pass@h, PEM, {"deep": [1, "sea"], "two": "xy"} */
        json_auto_t *live =
                parse("{kind: Secret, data: {plain: cGxhaW4tYQ==, url: aHR0cDovL3VzZXI6cGFzc0Bo, key: UEVN, "
                      "s.json: eyJkZWVwIjogWzEsICJzZWEiXSwgInR3byI6ICJ4eSJ9}}");
        struct recovered r = {json_object(), json_object()};
        kube_recover_from(object, live, on_secret, on_file, &r);
        assert_string_equal(json_string_value(json_object_get(r.secrets, "a")), "plain-a");
        assert_string_equal(json_string_value(json_object_get(r.secrets, "b")), "pass");
        assert_string_equal(json_string_value(json_object_get(r.secrets, "c")), "sea");
        assert_null(json_object_get(r.secrets, "d")); /* where one ends and the other begins cannot be told */
        assert_string_equal(json_string_value(json_object_get(r.files, "/k")), "PEM");
        json_decref(r.secrets);
        json_decref(r.files);
}

static void specs(void **state)
{
        (void)state;
        static const struct {
                const struct kind *kind;
                const char *spec, *says; /* NULL = fine */
        } cases[] = {
                {&kind_kube_object, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: x}}}", NULL},
                {&kind_kube_object, "{object: {kind: ConfigMap, metadata: {name: x}}}", "apiVersion"},
                {&kind_kube_object, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {}}}", "metadata.name"},
                {&kind_kube_object, "{object: {apiVersion: v1, kind: X, metadata: {name: x}, status: {}}}", "status"},
                {&kind_kube_object, "{object: {apiVersion: v1, kind: X, metadata: {name: x}}, waits: true}", "wait"},
                {&kind_kube_probe, "{service: hub, port: 8081, path: /hub/health}", NULL},
                {&kind_kube_probe, "{service: hub, port: 8081}", "exactly one"},
                {&kind_kube_probe, "{service: hub, port: 8081, path: health}", "slash"},
                {&kind_kube_claim, "{gb: 10, sessions: [{api_version: v1, kind: Pod, labels: 'a=b'}]}", NULL},
                {&kind_kube_claim, "{gb: 10, sessions: [{kind: Pod}]}", "api_version"},
                {&kind_kube_claim, "{}", "gb"},
                {&kind_kube_requirements, "{version: '1.30', nodes: false}", NULL},
                {&kind_kube_requirements, "{versoin: '1.30'}", "version"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_auto_t *spec = parse(cases[i].spec);
                CLEANUP_ERR struct err *err = NULL;
                int r = cases[i].kind->check(spec, &err);
                if (cases[i].says ? r == 0 || !strstr(err->message, cases[i].says) : r < 0)
                        fail_msg("%s: %s", cases[i].spec, err ? err->message : "fine");
        }
}

static enum action compared(const char *spec, const struct recorded *recorded, const char *state, char **ret_reason)
{
        json_auto_t *tree = parse(spec), *seen = state ? parse(state) : NULL;
        struct resource r = {(char *)"t/x", (char *)"kube.object", tree, NULL};
        struct change change = {0};
        assert_int_equal(kind_kube_object.compare(&r, recorded, seen, &change, NULL), 0);
        enum action action = change.action;
        free(*ret_reason);
        *ret_reason = change.reason ? str_copy(change.reason) : NULL;
        change_clear(&change);
        return action;
}

static void objects_compared(void **state)
{
        (void)state;
        static const char spec[] = "{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}}",
                          moved[] = "{object: {apiVersion: apps/v1, kind: Deployment, metadata: {name: y}}}",
                          namespace[] = "{object: {apiVersion: v1, kind: Namespace, metadata: {name: x}}}",
                          definition[] = "{object: {apiVersion: apiextensions.k8s.io/v1, kind: "
                                         "CustomResourceDefinition, metadata: {name: x}}}";
        json_auto_t *tree = parse(spec), *outputs = parse("{uid: u, made: true}"), *before = parse("{uid: u}");
        char digest[DIGEST_SIZE];
        digest_tree(tree, digest);
        struct recorded recorded = {.kind = "kube.object",
                .spec = tree,
                .digest = digest,
                .state = before,
                .outputs = outputs,
                .complete = true};
        CLEANUP_FREE char *why = NULL;
        assert_int_equal(compared(spec, NULL, NULL, &why), ACTION_CREATE);
        assert_int_equal(compared(spec, &recorded, "{uid: u}", &why), ACTION_NONE);
        assert_int_equal(
                compared(spec, &recorded, "{uid: other}", &why), ACTION_NONE); /* made anew by hand, and right */
        assert_int_equal(
                compared(spec, &recorded, "{uid: u, drift: [{path: a, old: 1, new: 2}]}", &why), ACTION_UPDATE);
        assert_string_equal(why, "drift");
        assert_int_equal(compared(spec, NULL, "{uid: u}", &why), ACTION_UPDATE);
        assert_int_equal(compared(moved, &recorded, "{uid: u}", &why), ACTION_REPLACE);
        assert_int_equal(compared(spec, &recorded, "{uid: u, conflict: them}", &why), ACTION_REFUSE);
        assert_int_equal(compared(spec, NULL, "{uid: u, foreign: helm}", &why), ACTION_REFUSE);
        assert_non_null(strstr(why, "helm"));
        assert_int_equal(compared(spec, &recorded, "{uid: v, foreign: helm}", &why), ACTION_REFUSE);
        assert_int_equal(
                compared(spec, &recorded, "{uid: u, foreign: nobody, drift: [{path: a}]}", &why), ACTION_UPDATE);
        assert_int_equal(compared(namespace, NULL, "{uid: u, foreign: x, misfit: true}", &why), ACTION_UPDATE);
        assert_int_equal(compared(definition, NULL, "{uid: u, foreign: x}", &why), ACTION_UPDATE);
        assert_int_equal(compared(definition, NULL, "{uid: u, foreign: x, misfit: true}", &why), ACTION_REFUSE);
        assert_int_equal(compared(spec, &recorded, "{denied: may not}", &why), ACTION_UPDATE);
        assert_int_equal(compared(spec, NULL, "{denied: may not}", &why), ACTION_CREATE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(readiness),
                cmocka_unit_test(pods_in_trouble),
                cmocka_unit_test(covering),
                cmocka_unit_test(differences),
                cmocka_unit_test(messages_of_the_server),
                cmocka_unit_test(amounts),
                cmocka_unit_test(secrets_come_back),
                cmocka_unit_test(specs),
                cmocka_unit_test(objects_compared),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
