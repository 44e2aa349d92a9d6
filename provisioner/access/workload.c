#include "access/workload.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_pods.h"
#include "kind/kube_ready.h"
#include "kind/spec.h"

static const json_t *metadata_of(const json_t *object)
{
        return json_object_get(object, "metadata");
}

static const char *text_of(const json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key));
}

bool workload_is(const struct journal_resource *r)
{
        static const char *const kinds[] = {"Deployment", "StatefulSet", "DaemonSet", NULL};
        const json_t *object = json_object_get(r->resource.spec, "object");
        const char *kind = text_of(object, "kind");
        if (!str_is(r->resource.kind, "kube.object") || !text_of(metadata_of(object), "name"))
                return false;
        for (const char *const *known = kinds; *known; known++)
                if (str_is(kind, *known))
                        return true;
        return false;
}

const char *workload_name(const struct journal_resource *r)
{
        return text_of(metadata_of(json_object_get(r->resource.spec, "object")), "name");
}

int workload_read(struct kube_link *link, const char *kind, const char *name, json_t **ret, struct err **err)
{
        struct kube *kube = NULL;
        struct kube_ref ref = {"apps/v1", kind, kube_link_namespace(link), name};
        int r = kube_link_open(link, &kube, err);
        return r < 0 ? r : kube_get(kube, &ref, ret, err);
}

char *workload_selector(const json_t *object)
{
        const json_t *labels =
                json_object_get(json_object_get(json_object_get(object, "spec"), "selector"), "matchLabels");
        CLEANUP_BUF struct buf text = BUF_INIT(4000);
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)labels, key, value)
                buf_format(&text, "%s%s=%s", text.length ? "," : "", key, json_string_value(value));
        return str_copy(text.length ? text.data : "");
}

/* ---- how it does ---- */

struct counts {
        json_int_t wanted, ready;
};

static struct counts counts_of(const json_t *object)
{
        const json_t *spec = json_object_get(object, "spec"), *status = json_object_get(object, "status");
        if (str_is(text_of(object, "kind"), "DaemonSet"))
                return (struct counts){json_integer_value(json_object_get(status, "desiredNumberScheduled")),
                        json_integer_value(json_object_get(status, "numberReady"))};
        const json_t *replicas = json_object_get(spec, "replicas");
        return (struct counts){json_is_integer(replicas) ? json_integer_value(replicas) : 1,
                json_integer_value(json_object_get(status, "readyReplicas"))};
}

/* "2026-11-21T14:03:22Z" in ms since 1970; 0 = none. */
static int64_t time_of(const char *text)
{
        struct tm tm = {0};
        return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? (int64_t)timegm(&tm) * 1000 : 0;
}

static int oldest(void *data, const json_t *pod)
{
        int64_t *since = data, began = time_of(text_of(json_object_get(pod, "status"), "startTime"));
        const json_t *ready = kube_condition(pod, "Ready");
        if (began && str_is(text_of(ready, "status"), "True") && (!*since || began < *since))
                *since = began;
        return 0;
}

/* Since when the longest of its pods runs; 0 = none does. */
static int64_t running_since(struct kube *kube, const json_t *object)
{
        int64_t since = 0;
        CLEANUP_FREE char *selector = workload_selector(object);
        struct kube_list list = {.api_version = "v1",
                .kind = "Pod",
                .namespace = text_of(metadata_of(object), "namespace"),
                .labels = selector};
        if (*selector)
                kube_list(kube, &list, oldest, &since, NULL, NULL);
        return since;
}

/* Why not all are ready; *ret_room: room on the machines is all that they wait for. The caller frees. */
static char *why_not(struct kube *kube, const json_t *object, struct counts counts, bool *ret_room)
{
        CLEANUP_PODS struct kube_pods pods = {0};
        CLEANUP_FREE char *of =
                str_format("%lld of %lld pods ready", (long long)counts.ready, (long long)counts.wanted);
        *ret_room = false;
        if (kube_pods_look(kube, object, &pods, NULL) < 0 || !pods.text)
                return STEAL(of);
        *ret_room = pods.level == KUBE_TROUBLE_PATIENCE;
        return str_format("%s: %s", of, pods.text);
}

static json_t *answer(const char *name, const char *role, bool running, int64_t since, json_t *ready,
        const char *message, struct counts counts)
{
        return json_pack("{s:s, s:s, s:b, s:o, s:o, s:s?, s:{s:I, s:I}}", "name", name, "role", role, "running",
                (int)running, "since", since ? json_integer(since) : json_null(), "ready", ready, "message", message,
                "pods", "ready", counts.ready, "wanted", counts.wanted);
}

json_t *workload_status(struct kube_link *link, const struct journal_resource *r, const char *role, const char *trouble)
{
        const char *name = workload_name(r), *kind = text_of(json_object_get(r->resource.spec, "object"), "kind");
        CLEANUP_ERR struct err *err = NULL;
        json_auto_t *object = NULL;
        struct kube *kube = NULL;
        if (trouble)
                return answer(name, role, false, 0, json_null(), trouble, (struct counts){0});
        int result = kube_link_open(link, &kube, &err);
        if (result == 0)
                result = workload_read(link, kind, name, &object, &err);
        if (result == -ERR_NOT_FOUND)
                return answer(name, role, false, 0, json_null(), "it is not there", (struct counts){0});
        if (result < 0)
                return answer(name, role, false, 0, json_null(), err ? err->message : "its state cannot be read",
                        (struct counts){0});
        struct counts counts = counts_of(object);
        if (counts.wanted == 0 && !str_is(kind, "DaemonSet"))
                return answer(name, role, false, 0, json_null(), "it is scaled down to no pods", counts);
        if (counts.ready >= counts.wanted)
                return answer(name, role, true, running_since(kube, object), json_true(), NULL, counts);
        bool room;
        CLEANUP_FREE char *why = why_not(kube, object, counts, &room);
        if (room && !spec_bool(r->resource.spec, "wait", true)) /* places that are held free have given way to users */
                return answer(name, role, true, running_since(kube, object), json_null(), why, counts);
        return answer(name, role, counts.ready > 0, running_since(kube, object), json_false(), why, counts);
}
