#include "kind/kube_pods.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_admission.h"
#include "kind/spec.h"
#include "tree/tree.h"

#define LOG_LINES      12
#define LOG_BYTES      4000
#define EVENTS_SHOWN   3
#define TEMPLATE_HASH  "pod-template-hash"
#define REVISION_HASH  "controller-revision-hash"
#define GENERATION     "pod-template-generation"
#define REVISION       "deployment.kubernetes.io/revision"
#define OLD_GENERATION "deprecated.daemonset.template.generation"

static const char *text_at(const json_t *object, const char *path)
{
        const char *text = json_string_value(tree_get(object, path));
        return text ? text : "";
}

static const char *noted(const json_t *object, const char *group, const char *name)
{
        return spec_text(json_object_get(json_object_get(object, "metadata"), group), name, "");
}

/* "a=b,c=d" of the workload's selector. Expressions are left out: our roles have none. */
static char *selector_of(const json_t *workload)
{
        CLEANUP_BUF struct buf text = BUF_INIT(4096);
        const char *key;
        json_t *value;
        json_object_foreach (tree_get(workload, "spec.selector.matchLabels"), key, value)
                buf_format(&text, "%s%s=%s", text.length ? "," : "", key, json_string_value(value));
        return buf_steal(&text);
}

static bool owned_by(const json_t *object, const char *uid)
{
        size_t i;
        const json_t *owner;
        json_array_foreach (tree_get(object, "metadata.ownerReferences"), i, owner)
                if (str_is(spec_text(owner, "uid", ""), uid))
                        return true;
        return false;
}

/* ---- the newest version of its pods, by a label ---- */

struct newest {
        const char *uid, *revision;
        char *hash;
};

static int each_replica_set(void *data, const json_t *set)
{
        struct newest *newest = data;
        if (owned_by(set, newest->uid) && str_is(noted(set, "annotations", REVISION), newest->revision)) {
                free(newest->hash);
                newest->hash = str_copy(noted(set, "labels", TEMPLATE_HASH));
        }
        return 0;
}

/* "pod-template-hash=…" to add to the selector; "" when there is none (yet). */
static char *newest_pods(struct kube *kube, const json_t *workload, const char *selector)
{
        const char *kind = spec_text(workload, "kind", "");
        if (str_is(kind, "StatefulSet") && *text_at(workload, "status.updateRevision"))
                return str_format(",%s=%s", REVISION_HASH, text_at(workload, "status.updateRevision"));
        if (str_is(kind, "DaemonSet") && *noted(workload, "annotations", OLD_GENERATION))
                return str_format(",%s=%s", GENERATION, noted(workload, "annotations", OLD_GENERATION));
        if (!str_is(kind, "Deployment"))
                return str_copy("");
        struct newest newest = {text_at(workload, "metadata.uid"), noted(workload, "annotations", REVISION), NULL};
        struct kube_list list = {.api_version = "apps/v1",
                .kind = "ReplicaSet",
                .namespace = text_at(workload, "metadata.namespace"),
                .labels = selector};
        kube_list(kube, &list, each_replica_set, &newest, NULL, NULL);
        CLEANUP_FREE char *hash = newest.hash;
        return hash && *hash ? str_format(",%s=%s", TEMPLATE_HASH, hash) : str_copy("");
}

/* ---- the worst of them ---- */

struct worst {
        struct kube_trouble trouble;
        json_t *pod; /* that it is about; holds what trouble.container borrows */
        size_t count;
};

static int each_pod(void *data, const json_t *pod)
{
        struct worst *worst = data;
        struct kube_trouble trouble;
        kube_pod_trouble(pod, &trouble);
        worst->count++;
        if (trouble.level <= worst->trouble.level) {
                kube_trouble_clear(&trouble);
                return 0;
        }
        kube_trouble_clear(&worst->trouble);
        json_decref(worst->pod);
        worst->pod = json_incref((json_t *)pod);
        worst->trouble = trouble;
        return 0;
}

/* ---- events ---- */

struct warnings {
        const char *reason; /* only of this; NULL = any */
        char *text[EVENTS_SHOWN];
        char *time[EVENTS_SHOWN];
};

static void warnings_clear(struct warnings *w)
{
        for (size_t i = 0; i < EVENTS_SHOWN; i++) {
                free(w->text[i]);
                free(w->time[i]);
                w->text[i] = w->time[i] = NULL;
        }
}
#define CLEANUP_WARNINGS __attribute__((cleanup(warnings_clear)))

static void forget(struct warnings *w, size_t i)
{
        free(w->text[i]);
        free(w->time[i]);
}

/* Keeps the newest ones, in their order: the last place is the newest, the first is empty or goes. */
static int each_event(void *data, const json_t *event)
{
        struct warnings *w = data;
        const char *reason = spec_text(event, "reason", "");
        if (!str_is(spec_text(event, "type", ""), "Warning") || (w->reason && !str_is(reason, w->reason)))
                return 0;
        const char *time = spec_text(event, "lastTimestamp", spec_text(event, "eventTime", ""));
        if (!*time)
                time = text_at(event, "metadata.creationTimestamp");
        if (w->time[0] && strcmp(time, w->time[0]) <= 0)
                return 0;
        forget(w, 0);
        size_t place = 0;
        for (; place + 1 < EVENTS_SHOWN && (!w->time[place + 1] || strcmp(time, w->time[place + 1]) > 0); place++) {
                w->text[place] = w->text[place + 1];
                w->time[place] = w->time[place + 1];
        }
        w->text[place] = str_format("%s: %s", reason, spec_text(event, "message", ""));
        w->time[place] = str_copy(time);
        return 0;
}

/* uid: not those of one before it that had its name; "" = not known. */
static void warnings_of(struct kube *kube, const char *namespace, const char *kind, const char *name, const char *uid,
        struct warnings *w)
{
        CLEANUP_FREE char *fields = str_format("involvedObject.kind=%s,involvedObject.name=%s,type=Warning%s%s", kind,
                name, *uid ? ",involvedObject.uid=" : "", uid);
        struct kube_list list = {.api_version = "v1", .kind = "Event", .namespace = namespace, .fields = fields};
        kube_list(kube, &list, each_event, w, NULL, NULL);
}

/* No pods: what the controller says about making them. */
static void why_none(struct kube *kube, const json_t *workload, struct kube_pods *ret)
{
        const json_t *failure = kube_condition(workload, "ReplicaFailure");
        const char *said = spec_text(failure, "message", NULL);
        CLEANUP_WARNINGS struct warnings w = {.reason = "FailedCreate"};
        if (!said && !str_is(spec_text(workload, "kind", ""), "Deployment")) {
                warnings_of(kube, text_at(workload, "metadata.namespace"), spec_text(workload, "kind", ""),
                        text_at(workload, "metadata.name"), text_at(workload, "metadata.uid"), &w);
                for (size_t i = 0; i < EVENTS_SHOWN; i++)
                        said = w.text[i] ? w.text[i] : said;
        }
        if (!said)
                return;
        /* Of one that was changed since, this may be what was said before. */
        bool first = spec_whole(json_object_get(workload, "metadata"), "generation", 0) == 1;
        ret->level = first && kube_admission_refusal(said) ? KUBE_TROUBLE_FATAL : KUBE_TROUBLE_SOON;
        ret->text = str_format("its pods are refused: %s", said);
}

void kube_pods_clear(struct kube_pods *pods)
{
        free(pods->text);
        free(pods->pod);
        free(pods->container);
        *pods = (struct kube_pods){0};
}

static void report(struct worst *worst, struct kube_pods *ret)
{
        if (!worst->pod)
                return;
        ret->level = (int)worst->trouble.level;
        ret->pod = str_copy(text_at(worst->pod, "metadata.name"));
        ret->text = str_format("pod %s: %s", ret->pod, worst->trouble.text);
        ret->container = worst->trouble.container ? str_copy(worst->trouble.container) : NULL;
        ret->previous = worst->trouble.previous;
}

int kube_pods_look(struct kube *kube, const json_t *workload, struct kube_pods *ret, struct err **err)
{
        static const char *const kinds[] = {"Deployment", "StatefulSet", "DaemonSet", "Job"};
        bool known = false;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                known |= str_is(spec_text(workload, "kind", ""), kinds[i]);
        CLEANUP_FREE char *selector = selector_of(workload);
        *ret = (struct kube_pods){0};
        if (!known || !*selector)
                return 0;
        CLEANUP_FREE char *newest = newest_pods(kube, workload, selector);
        CLEANUP_FREE char *labels = str_format("%s%s", selector, newest);
        struct kube_list list = {.api_version = "v1",
                .kind = "Pod",
                .namespace = text_at(workload, "metadata.namespace"),
                .labels = labels};
        struct worst worst = {0};
        int r = kube_list(kube, &list, each_pod, &worst, NULL, err);
        if (r == 0 && worst.count == 0)
                why_none(kube, workload, ret);
        else if (r == 0)
                report(&worst, ret);
        kube_trouble_clear(&worst.trouble);
        json_decref(worst.pod);
        return r;
}

/* ---- explaining ---- */

struct tail {
        struct buf text;
};

static int each_line(void *data, const char *text, size_t length)
{
        struct tail *tail = data;
        buf_str(&tail->text, "\n    | ");
        buf_add(&tail->text, text, length);
        return 0;
}

static void add_log(struct buf *text, struct kube *kube, const char *namespace, const char *pod, const char *container,
        bool previous)
{
        struct tail tail = {BUF_INIT(LOG_BYTES)};
        struct kube_log_options options = {.tail = LOG_LINES, .previous = previous};
        int r = kube_logs(kube, namespace, pod, container, &options, each_line, &tail, NULL);
        if (r < 0 && previous) {
                options.previous = false;
                kube_logs(kube, namespace, pod, container, &options, each_line, &tail, NULL);
        }
        if (tail.text.length)
                buf_format(text, "\n  the last lines of %s:%s", container, tail.text.data);
        buf_clear(&tail.text);
}

char *kube_pods_explain(struct kube *kube, const char *namespace, const struct kube_pods *pods)
{
        CLEANUP_BUF struct buf text = BUF_INIT(3 * LOG_BYTES);
        CLEANUP_WARNINGS struct warnings w = {0};
        if (!pods->pod)
                return str_copy("");
        warnings_of(kube, namespace, "Pod", pods->pod, "", &w);
        for (size_t i = 0; i < EVENTS_SHOWN; i++)
                if (w.text[i])
                        buf_format(&text, "\n  event %.600s", w.text[i]);
        if (pods->container)
                add_log(&text, kube, namespace, pods->pod, pods->container, pods->previous);
        return buf_steal(&text);
}
