#include "kind/kube_wait.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_manifest.h"
#include "kind/kube_pods.h"
#include "kind/kube_ready.h"
#include "kind/spec.h"
#include "tree/tree.h"

#define LOOK_MS     2000 /* between two looks at the pods */
#define SOON_MS     20000
#define PATIENCE_MS 90000 /* an autoscaler needs about a minute for a new node */
#define PAUSE_MS    1000
#define TROUBLES    25 /* in a row; with the pauses, about as long as the client bears with a server */

struct wait {
        struct kind_ctx *ctx;
        struct kube *kube;
        const struct kube_ref *ref;
        struct kube_list list;
        char *fields, *name;
        int64_t begun, deadline;
        json_t *live; /* as it was seen last; NULL = it is not there */
        char *missing;
        bool ready, failed;
        int64_t ill_since; /* pods are in trouble since; 0 = they are not */
};

static void wait_clear(struct wait *w)
{
        free(w->fields);
        free(w->name);
        free(w->missing);
        json_decref(w->live);
}
#define CLEANUP_WAIT __attribute__((cleanup(wait_clear)))

static int64_t now_of(const struct wait *w)
{
        return w->ctx->clock->monotonic_ms(w->ctx->clock);
}

static struct wait wait_new(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, double seconds)
{
        struct wait w = {.ctx = ctx, .kube = kube, .ref = ref};
        w.fields = str_format("metadata.name=%s", ref->name);
        w.name = manifest_name(ref);
        w.list = (struct kube_list){ref->api_version, ref->kind, ref->namespace, NULL, w.fields, 0};
        w.begun = now_of(&w);
        w.deadline = w.begun + (int64_t)(seconds * 1000);
        return w;
}

static void judge(struct wait *w)
{
        free(w->missing);
        w->missing = NULL;
        enum kube_state state = kube_ready(w->live, &w->missing);
        w->ready = state == KUBE_READY;
        w->failed = state == KUBE_FAILED;
}

/* A claim whose class waits for the first pod: nothing more can happen to it now. */
static bool waits_for_pod(struct wait *w)
{
        if (!kube_is_unbound_claim(w->live))
                return false;
        const char *class = json_string_value(tree_get(w->live, "spec.storageClassName"));
        struct kube_ref ref = {"storage.k8s.io/v1", "StorageClass", NULL, class};
        json_auto_t *found = NULL;
        return class && kube_get(w->kube, &ref, &found, NULL) == 0 &&
               str_is(spec_text(found, "volumeBindingMode", ""), "WaitForFirstConsumer");
}

static int on_event(void *data, const char *type, const json_t *object)
{
        struct wait *w = data;
        if (!object || !str_is(json_string_value(tree_get(object, "metadata.name")), w->ref->name))
                return 0;
        json_decref(w->live);
        w->live = str_is(type, "DELETED") ? NULL : json_incref((json_t *)object);
        if (!w->live)
                return 0;
        judge(w);
        return w->ready || w->failed;
}

static int give_up(struct wait *w, int code, const char *why, const struct kube_pods *pods, struct err **err)
{
        CLEANUP_FREE char *more = kube_pods_explain(w->kube, w->ref->namespace, pods);
        return err_set(err, (enum err_code)code, "%s: %s%s", w->name, why, more);
}

int kube_wait_watch(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, const struct kube_list *list,
        int ms, int (*event)(void *data, const char *type, const json_t *object), void *data, int *troubles,
        struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = kube_watch(kube, list, ms, event, data, &fault);
        if (r == 0 || r == -ERR_TIMEOUT) {
                *troubles = 0;
                return 0;
        }
        if ((r == -ERR_UNREACHABLE || r == -ERR_FAILED) && (*troubles)++ < TROUBLES) {
                kind_progress(ctx, "%s", fault->message);
                if (ctx->clock->sleep_ms(ctx->clock, PAUSE_MS, ctx->cancel) < 0)
                        return err_set(err, ERR_CANCELLED, "cancelled");
                /* This one has the time that the watch has not: it comes back when the server does. */
                err_free(STEAL(fault));
                r = kube_get(kube, ref, NULL, &fault);
                if (r == 0 || r == -ERR_NOT_FOUND)
                        return 0;
        }
        if (err)
                *err = STEAL(fault);
        return r;
}

/* Is it plain by now that the pods will not start? 0 = not yet. */
static int look_at_pods(struct wait *w, bool last, struct err **err)
{
        CLEANUP_PODS struct kube_pods pods = {0};
        int r = w->live ? kube_pods_look(w->kube, w->live, &pods, NULL) : 0;
        if (r < 0) /* the watch says it, too, if the server is away */
                pods = (struct kube_pods){0};
        int64_t now = now_of(w);
        bool ill = pods.level >= KUBE_TROUBLE_PATIENCE;
        w->ill_since = !ill ? 0 : w->ill_since ? w->ill_since : now;
        int64_t so_far = ill ? now - w->ill_since : 0;
        if (w->failed || pods.level == KUBE_TROUBLE_FATAL || (pods.level == KUBE_TROUBLE_SOON && so_far >= SOON_MS) ||
                (pods.level == KUBE_TROUBLE_PATIENCE && so_far >= PATIENCE_MS))
                return give_up(w, ERR_FAILED,
                        pods.text    ? pods.text
                        : w->missing ? w->missing
                                     : "it failed",
                        &pods, err);
        char waited[32];
        const char *missing = !w->live ? "it is not there" : w->missing ? w->missing : "it is not ready";
        if (last) {
                CLEANUP_FREE char *why =
                        str_format("not ready within %s: %s%s%s", clock_duration(now - w->begun, waited), missing,
                                pods.text ? "; " : "", pods.text ? pods.text : "");
                return give_up(w, ERR_FAILED, why, &pods, err);
        }
        kind_progress(w->ctx, "%s: %s%s%s (%s)", w->name, missing, pods.text ? "; " : "", pods.text ? pods.text : "",
                clock_duration(now - w->begun, waited));
        return 0;
}

int kube_wait_ready(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, double seconds,
        json_t **ret_live, struct err **err)
{
        CLEANUP_WAIT struct wait w = wait_new(ctx, kube, ref, seconds);
        int troubles = 0;
        for (;;) {
                int64_t left = w.deadline - now_of(&w);
                int look = left < LOOK_MS ? left < 1 ? 1 : (int)left : LOOK_MS;
                CLEANUP_ERR struct err *fault = NULL;
                int r = kube_wait_watch(ctx, kube, ref, &w.list, look, on_event, &w, &troubles, &fault);
                if (w.ready || (w.live && !w.failed && waits_for_pod(&w))) {
                        if (ret_live)
                                *ret_live = STEAL(w.live);
                        return 0;
                }
                if (r < 0) {
                        if (err)
                                *err = STEAL(fault);
                        return err ? err_prefix(err, "waiting for %s", w.name) : r;
                }
                r = cancel_check(ctx->cancel, 2, err);
                if (r == 0)
                        r = look_at_pods(&w, now_of(&w) >= w.deadline, err);
                if (r < 0)
                        return r;
        }
}

/* ---- until it is gone ---- */

struct gone {
        struct wait *wait;
        const char *uid;
        bool gone;
};

static int on_end(void *data, const char *type, const json_t *object)
{
        struct gone *gone = data;
        struct wait *w = gone->wait;
        if (!object) { /* all that is there was told */
                gone->gone = !w->live;
                return gone->gone;
        }
        if (!str_is(json_string_value(tree_get(object, "metadata.name")), w->ref->name))
                return 0;
        json_decref(w->live);
        w->live = NULL;
        bool same = str_is(json_string_value(tree_get(object, "metadata.uid")), gone->uid);
        if (same && !str_is(type, "DELETED"))
                w->live = json_incref((json_t *)object);
        else if (str_is(type, "DELETED") || !same)
                gone->gone = true;
        return gone->gone;
}

int kube_wait_gone(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, const char *uid, double seconds,
        struct err **err)
{
        CLEANUP_WAIT struct wait w = wait_new(ctx, kube, ref, seconds);
        struct gone gone = {&w, uid, false};
        int troubles = 0;
        for (;;) {
                CLEANUP_ERR struct err *fault = NULL;
                json_decref(w.live); /* each watch begins with what is there: it may have ended between two of them */
                w.live = NULL;
                int r = kube_wait_watch(ctx, kube, ref, &w.list, LOOK_MS, on_end, &gone, &troubles, &fault);
                if (gone.gone || r == -ERR_NOT_FOUND) /* of a kind that went together with its definition */
                        return 0;
                if (r < 0) {
                        if (err)
                                *err = STEAL(fault);
                        return r;
                }
                r = cancel_check(ctx->cancel, 2, err);
                if (r < 0)
                        return r;
                char waited[32];
                int64_t now = now_of(&w);
                json_t *holders = w.live ? tree_get(w.live, "metadata.finalizers") : NULL;
                CLEANUP_FREE char *held = json_array_size(holders) ? json_dumps(holders, JSON_COMPACT) : NULL;
                if (now >= w.deadline)
                        return err_set(err, ERR_TIMEOUT, "%s is not gone after %s%s%s", w.name,
                                clock_duration(now - w.begun, waited), held ? ": it is held by the finalizers " : "",
                                held ? held : "");
                kind_progress(ctx, "%s is ending (%s)", w.name, clock_duration(now - w.begun, waited));
        }
}
