#include "kind/kube_ready.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/tree.h"

const json_t *kube_condition(const json_t *object, const char *type)
{
        size_t i;
        const json_t *item;
        json_array_foreach (tree_get(object, "status.conditions"), i, item)
                if (str_is(json_string_value(json_object_get(item, "type")), type))
                        return item;
        return NULL;
}

static const char *field(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "";
}

static bool condition_is(const json_t *object, const char *type, const char *status)
{
        return str_is(field(kube_condition(object, type), "status"), status);
}

static const char *text_at(const json_t *object, const char *path)
{
        const char *text = json_string_value(tree_get(object, path));
        return text ? text : "";
}

static json_int_t number_at(const json_t *object, const char *path, json_int_t fallback)
{
        const json_t *value = tree_get(object, path);
        return json_is_integer(value) ? json_integer_value(value) : fallback;
}

/* "reason: message" of a condition. */
static char *condition_text(const json_t *condition, const char *fallback)
{
        const char *reason = field(condition, "reason"), *message = field(condition, "message");
        if (!*reason && !*message)
                return str_copy(fallback);
        return str_format("%s%s%s", reason, *reason && *message ? ": " : "", message);
}

static enum kube_state waiting(char **ret, char *text)
{
        *ret = text;
        return KUBE_WAITING;
}

static enum kube_state failed(char **ret, char *text)
{
        *ret = text;
        return KUBE_FAILED;
}

static char *counted(json_int_t have, json_int_t want, const char *what)
{
        return str_format("%lld of %lld pods %s", (long long)have, (long long)want, what);
}

static enum kube_state deployment(const json_t *o, char **ret)
{
        json_int_t want = number_at(o, "spec.replicas", 1), all = number_at(o, "status.replicas", 0),
                   updated = number_at(o, "status.updatedReplicas", 0), ready = number_at(o, "status.readyReplicas", 0),
                   available = number_at(o, "status.availableReplicas", 0);
        const json_t *progressing = kube_condition(o, "Progressing");
        if (str_is(field(progressing, "reason"), "ProgressDeadlineExceeded"))
                return failed(ret, condition_text(progressing, "no progress"));
        if (updated < want)
                return waiting(ret, counted(updated, want, "are made anew"));
        if (all > updated)
                return waiting(ret, str_format("%lld old pods are still ending", (long long)(all - updated)));
        if (ready < want)
                return waiting(ret, counted(ready, want, "are ready"));
        if (available < want)
                return waiting(ret, counted(available, want, "are available"));
        if (want > 0 && !condition_is(o, "Available", "True"))
                return waiting(ret, condition_text(kube_condition(o, "Available"), "it is not available yet"));
        return KUBE_READY;
}

static enum kube_state stateful_set(const json_t *o, char **ret)
{
        json_int_t want = number_at(o, "spec.replicas", 1), all = number_at(o, "status.replicas", 0),
                   ready = number_at(o, "status.readyReplicas", 0), updated = number_at(o, "status.updatedReplicas", 0),
                   partition = number_at(o, "spec.updateStrategy.rollingUpdate.partition", 0);
        if (str_is(text_at(o, "spec.updateStrategy.type"), "OnDelete"))
                return KUBE_READY;
        if (all < want)
                return waiting(ret, counted(all, want, "are made"));
        if (ready < want)
                return waiting(ret, counted(ready, want, "are ready"));
        if (all > want)
                return waiting(ret, str_format("%lld surplus pods are still ending", (long long)(all - want)));
        if (partition > 0)
                return updated < want - partition ? waiting(ret, counted(updated, want - partition, "are made anew"))
                                                  : KUBE_READY;
        if (want > 0 && !str_is(text_at(o, "status.currentRevision"), text_at(o, "status.updateRevision")))
                return waiting(ret, counted(updated, want, "are made anew"));
        return KUBE_READY;
}

static enum kube_state daemon_set(const json_t *o, char **ret)
{
        json_int_t want = number_at(o, "status.desiredNumberScheduled", -1),
                   updated = number_at(o, "status.updatedNumberScheduled", 0),
                   ready = number_at(o, "status.numberReady", 0), available = number_at(o, "status.numberAvailable", 0);
        if (want < 0 || number_at(o, "status.observedGeneration", 0) == 0)
                return waiting(ret, str_copy("its controller has not seen it yet"));
        if (str_is(text_at(o, "spec.updateStrategy.type"), "OnDelete"))
                updated = want;
        if (number_at(o, "status.currentNumberScheduled", 0) < want)
                return waiting(ret, counted(number_at(o, "status.currentNumberScheduled", 0), want, "are made"));
        if (updated < want)
                return waiting(ret, counted(updated, want, "are made anew"));
        if (ready < want || available < want)
                return waiting(ret, counted(ready < available ? ready : available, want, "are ready"));
        return KUBE_READY;
}

static enum kube_state job(const json_t *o, char **ret)
{
        if (condition_is(o, "Complete", "True"))
                return KUBE_READY;
        if (condition_is(o, "Failed", "True"))
                return failed(ret, condition_text(kube_condition(o, "Failed"), "it failed"));
        if (condition_is(o, "Suspended", "True"))
                return waiting(ret, str_copy("it is suspended"));
        json_int_t bad = number_at(o, "status.failed", 0);
        return waiting(ret, str_format("it runs (%lld done, %lld failed)",
                                    (long long)number_at(o, "status.succeeded", 0), (long long)bad));
}

static enum kube_state claim(const json_t *o, char **ret)
{
        const char *phase = text_at(o, "status.phase");
        if (str_is(phase, "Lost"))
                return failed(ret, str_format("its volume %s is lost", text_at(o, "spec.volumeName")));
        if (!str_is(phase, "Bound"))
                return waiting(ret, str_copy("no volume is bound to it yet"));
        return KUBE_READY;
}

bool kube_is_unbound_claim(const json_t *o)
{
        return str_is(field(o, "kind"), "PersistentVolumeClaim") && str_is(text_at(o, "status.phase"), "Pending");
}

static enum kube_state definition(const json_t *o, char **ret)
{
        if (condition_is(o, "NamesAccepted", "False"))
                return failed(ret, condition_text(kube_condition(o, "NamesAccepted"), "its names are taken"));
        if (!condition_is(o, "Established", "True"))
                return waiting(ret, str_copy("the server does not serve it yet"));
        return KUBE_READY;
}

static enum kube_state service(const json_t *o, char **ret)
{
        const char *type = text_at(o, "spec.type");
        if (!str_is(type, "ExternalName") && !*text_at(o, "spec.clusterIP"))
                return waiting(ret, str_copy("it has no address inside the cluster yet"));
        if (str_is(type, "LoadBalancer") && json_array_size(tree_get(o, "status.loadBalancer.ingress")) == 0)
                return waiting(ret, str_copy("the balancer has no address yet"));
        return KUBE_READY;
}

static enum kube_state api_service(const json_t *o, char **ret)
{
        if (condition_is(o, "Available", "True"))
                return KUBE_READY;
        return waiting(ret, condition_text(kube_condition(o, "Available"), "it is not available yet"));
}

static enum kube_state namespace(const json_t *o, char **ret) {
        return str_is(text_at(o, "status.phase"), "Active") ? KUBE_READY
                                                            : waiting(ret, str_copy("it is not active yet"));
}

static enum kube_state pod(const json_t *o, char **ret)
{
        const char *phase = text_at(o, "status.phase");
        if (str_is(phase, "Succeeded") || condition_is(o, "Ready", "True"))
                return KUBE_READY;
        if (str_is(phase, "Failed"))
                return failed(
                        ret, str_copy(*text_at(o, "status.message") ? text_at(o, "status.message") : "it failed"));
        return waiting(ret, str_copy("it is not ready yet"));
}

/* Kinds without rules of their own, custom ones above all: conditions by the convention. */
static enum kube_state other(const json_t *o, char **ret)
{
        if (condition_is(o, "Stalled", "True"))
                return failed(ret, condition_text(kube_condition(o, "Stalled"), "it does not get on"));
        if (condition_is(o, "Reconciling", "True"))
                return waiting(ret, condition_text(kube_condition(o, "Reconciling"), "it is being worked on"));
        const json_t *ready = kube_condition(o, "Ready");
        if (ready && !condition_is(o, "Ready", "True"))
                return waiting(ret, condition_text(ready, "it is not ready yet"));
        return KUBE_READY;
}

enum kube_state kube_ready(const json_t *object, char **ret_text)
{
        static const struct {
                const char *kind;
                enum kube_state (*rule)(const json_t *object, char **ret);
        } rules[] = {
                {"Deployment", deployment},
                {"StatefulSet", stateful_set},
                {"DaemonSet", daemon_set},
                {"Job", job},
                {"PersistentVolumeClaim", claim},
                {"CustomResourceDefinition", definition},
                {"Service", service},
                {"APIService", api_service},
                {"Namespace", namespace},
                {"Pod", pod},
        };
        *ret_text = NULL;
        if (tree_get(object, "metadata.deletionTimestamp"))
                return waiting(ret_text, str_copy("it is being deleted"));
        const json_t *seen = tree_get(object, "status.observedGeneration");
        if (json_is_integer(seen) && json_integer_value(seen) < number_at(object, "metadata.generation", 0))
                return waiting(ret_text, str_copy("its controller has not seen the change yet"));
        bool controlled = str_is(field(object, "kind"), "Deployment") || str_is(field(object, "kind"), "StatefulSet");
        if (controlled && !seen)
                return waiting(ret_text, str_copy("its controller has not seen it yet"));
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
                if (str_is(field(object, "kind"), rules[i].kind))
                        return rules[i].rule(object, ret_text);
        return other(object, ret_text);
}

/* ---- pods ---- */

void kube_trouble_clear(struct kube_trouble *trouble)
{
        free(trouble->text);
        *trouble = (struct kube_trouble){0};
}

static void worse(struct kube_trouble *t, int level, char *text, const char *container, bool previous)
{
        if ((int)t->level >= level) {
                free(text);
                return;
        }
        kube_trouble_clear(t);
        t->level = (__typeof__(t->level))level;
        t->text = text;
        t->container = container;
        t->previous = previous;
}

#define RESTARTS_MAX 3 /* more often than that, nothing will come of it */

static void crashed(struct kube_trouble *t, const json_t *status, const json_t *ended, json_int_t restarts)
{
        const char *name = field(status, "name"), *reason = field(ended, "reason"), *message = field(ended, "message");
        json_int_t code = number_at(ended, "exitCode", 0);
        CLEANUP_FREE char *how = str_is(reason, "OOMKilled")
                                         ? str_copy("was killed because it used more memory than it may")
                                         : str_format("ended with status %lld", (long long)code);
        worse(t, restarts >= RESTARTS_MAX ? KUBE_TROUBLE_FATAL : KUBE_TROUBLE_STARTING,
                str_format("container %s %s%s%s (started %lld times)", name, how, *message ? ": " : "", message,
                        (long long)restarts + 1),
                name, true);
}

static void container_waits(struct kube_trouble *t, const json_t *status)
{
        static const struct {
                const char *reason;
                int level;
                const char *text;
        } known[] = {
                {"InvalidImageName", KUBE_TROUBLE_FATAL, "the name of the image is wrong"},
                {"ErrImageNeverPull", KUBE_TROUBLE_FATAL, "the image is not on the node and must not be pulled"},
                {"ErrImagePull", KUBE_TROUBLE_SOON, "the image cannot be pulled"},
                {"ImagePullBackOff", KUBE_TROUBLE_SOON, "the image cannot be pulled"},
                {"ImageInspectError", KUBE_TROUBLE_SOON, "the image cannot be read"},
                {"RegistryUnavailable", KUBE_TROUBLE_SOON, "the registry does not answer"},
                {"SignatureValidationFailed", KUBE_TROUBLE_FATAL, "the image's signature is not valid"},
                {"CreateContainerConfigError", KUBE_TROUBLE_SOON, "what it is configured with is missing"},
                {"CreateContainerError", KUBE_TROUBLE_SOON, "it cannot be made"},
                {"RunContainerError", KUBE_TROUBLE_SOON, "it cannot be started"},
        };
        const json_t *state = tree_get(status, "state.waiting");
        const char *name = field(status, "name"), *reason = field(state, "reason"), *message = field(state, "message");
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
                if (str_is(reason, known[i].reason)) {
                        worse(t, known[i].level,
                                str_format("container %s: %s (%s, image %s)%s%s", name, known[i].text, reason,
                                        field(status, "image"), *message ? ": " : "", message),
                                NULL, false);
                        return;
                }
        const json_t *ended = tree_get(status, "lastState.terminated");
        if (str_is(reason, "CrashLoopBackOff") && ended)
                crashed(t, status, ended, number_at(status, "restartCount", 0));
        else
                worse(t, KUBE_TROUBLE_STARTING, str_format("container %s: %s", name, *reason ? reason : "waiting"),
                        NULL, false);
}

static void containers(struct kube_trouble *t, const json_t *list, bool job)
{
        size_t i;
        const json_t *status;
        json_array_foreach (list, i, status) {
                const json_t *ended = tree_get(status, "state.terminated");
                json_int_t restarts = number_at(status, "restartCount", 0);
                if (tree_get(status, "state.waiting"))
                        container_waits(t, status);
                else if (ended && number_at(ended, "exitCode", 0) != 0 && !job)
                        crashed(t, status, ended, restarts);
                else if (tree_get(status, "state.running") && !json_is_true(json_object_get(status, "ready"))) {
                        const json_t *last = tree_get(status, "lastState.terminated");
                        if (last && restarts >= RESTARTS_MAX)
                                crashed(t, status, last, restarts);
                        else
                                worse(t, KUBE_TROUBLE_STARTING,
                                        str_format("container %s runs, but does not say that it is ready",
                                                field(status, "name")),
                                        field(status, "name"), false);
                }
        }
}

void kube_pod_trouble(const json_t *p, struct kube_trouble *ret)
{
        *ret = (struct kube_trouble){0};
        const char *phase = text_at(p, "status.phase");
        if (tree_get(p, "metadata.deletionTimestamp") || str_is(phase, "Succeeded"))
                return;
        if (str_is(phase, "Failed"))
                worse(ret, KUBE_TROUBLE_STARTING,
                        str_format("it failed: %s %s", text_at(p, "status.reason"), text_at(p, "status.message")), NULL,
                        false);
        if (condition_is(p, "PodScheduled", "False"))
                worse(ret, KUBE_TROUBLE_PATIENCE,
                        str_format("no node takes it: %s", field(kube_condition(p, "PodScheduled"), "message")), NULL,
                        false);
        bool job = !str_is(text_at(p, "spec.restartPolicy"), "Always") && *text_at(p, "spec.restartPolicy");
        containers(ret, tree_get(p, "status.initContainerStatuses"), job);
        containers(ret, tree_get(p, "status.containerStatuses"), job);
        if (ret->level == KUBE_TROUBLE_NONE && !condition_is(p, "Ready", "True"))
                worse(ret, KUBE_TROUBLE_STARTING, str_copy("it is starting"), NULL, false);
}
