#include "kind/kube_server.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_snapshot.h"
#include "kind/spec.h"

#define NAMESPACE_DEFAULT "default"

struct forward {
        char *name; /* "namespace/service:port" */
        struct kube_forward *open;
        int local_port;
};

struct kube_link {
        json_t *target;
        struct cancel *cancel;
        pthread_mutex_t mutex; /* of kube */
        struct kube *kube;
        struct kube_snapshot *snapshot; /* while looking; NULL = ask each time */
        json_t *seen;                   /* by name: looked for in a namespace that was missing; with the mutex held */
        json_t *spaces;                 /* by name: was the namespace missing at the last look? */
        json_t *written;                /* by name: objects that were just written; with the mutex held */
        struct kube_shared shared;
        pthread_mutex_t forward_mutex; /* of what follows; opening one takes a while */
        struct forward *forward;
        size_t count, capacity;
};

struct kube_link *kube_link_new(const json_t *target, struct cancel *cancel)
{
        struct kube_link *link = mem_zero(sizeof *link);
        link->target = json_deep_copy(target);
        link->cancel = cancel;
        link->written = json_object();
        link->seen = json_object();
        pthread_mutex_init(&link->mutex, NULL);
        pthread_mutex_init(&link->forward_mutex, NULL);
        pthread_mutex_init(&link->shared.mutex, NULL);
        return link;
}

bool kube_link_leads(const struct kube_link *link, const json_t *target)
{
        return link && json_equal(link->target, target);
}

static void end_sharing(struct kube_shared *shared)
{
        shared->directory = directory_close(shared->directory);
        free(shared->uri);
        shared->uri = NULL;
        json_decref(shared->server);
        shared->server = NULL;
        shared->away = false;
}

struct kube_shared *kube_link_shared(struct kube_link *link)
{
        return link && link->snapshot ? &link->shared : NULL;
}

struct kube_link *kube_link_free(struct kube_link *link)
{
        if (!link)
                return NULL;
        end_sharing(&link->shared); /* before the forward that it goes through */
        for (size_t i = 0; i < link->count; i++) {
                kube_forward_close(link->forward[i].open);
                free(link->forward[i].name);
        }
        free(link->forward);
        kube_snapshot_free(link->snapshot);
        json_decref(link->spaces);
        json_decref(link->seen);
        kind_forget(link->written);
        kube_close(link->kube);
        json_decref(link->target);
        pthread_mutex_destroy(&link->mutex);
        pthread_mutex_destroy(&link->shared.mutex);
        pthread_mutex_destroy(&link->forward_mutex);
        free(link);
        return NULL;
}

int kube_link_open(struct kube_link *link, struct kube **ret, struct err **err)
{
        if (!link)
                return err_set(err, ERR_INVALID, "this cluster's target is no Kubernetes cluster");
        struct kube_options options = {.kubeconfig = spec_text(link->target, "kubeconfig", ""),
                .context = spec_text(link->target, "context", ""),
                .cancel = link->cancel};
        pthread_mutex_lock(&link->mutex);
        int r = link->kube ? 0 : kube_open(&options, &link->kube, err);
        if (r == 0)
                *ret = link->kube;
        pthread_mutex_unlock(&link->mutex);
        return r;
}

const char *kube_link_namespace(const struct kube_link *link)
{
        const char *name = link ? spec_text(link->target, "namespace", "") : "";
        return *name ? name : NAMESPACE_DEFAULT;
}

int kube_link_ping(struct kube_link *link, struct err **err)
{
        struct kube *kube = NULL;
        int r = link ? kube_link_open(link, &kube, err) : 0;
        return kube ? kube_knows(kube, "v1", "Namespace", NULL, err) : r;
}

void kube_link_greet(struct kube_link *link)
{
        struct kube *kube = NULL;
        if (kube_link_open(link, &kube, NULL) == 0)
                kube_greet(kube);
}

int kube_link_look(struct kube_link *link, const char *cluster, bool first, struct err **err)
{
        int r = kube_link_ping(link, err);
        if (r < 0 || !link || link->snapshot)
                return r;
        link->snapshot = kube_snapshot_new(cluster);
        if (first)
                kube_snapshot_lacks(link->snapshot, link->kube, kube_link_namespace(link));
        return 0;
}

void kube_link_look_end(struct kube_link *link)
{
        if (!link)
                return;
        end_sharing(&link->shared);
        json_decref(link->spaces);
        link->spaces = link->snapshot ? kube_snapshot_spaces(link->snapshot) : NULL;
        link->snapshot = kube_snapshot_free(link->snapshot);
        json_object_clear(link->seen);
}

bool kube_link_lacks(const struct kube_link *link, const char *namespace)
{
        return link && namespace && json_is_true(json_object_get(link->spaces, namespace));
}

static char *written_name(const struct kube_ref *ref)
{
        return str_format("%s %s %s %s", ref->api_version, ref->kind, ref->namespace ? ref->namespace : "", ref->name);
}

void kube_link_wrote(struct kube_link *link, const struct kube_ref *ref, json_t *live)
{
        CLEANUP_FREE char *name = written_name(ref);
        pthread_mutex_lock(&link->mutex);
        json_object_set(link->written, name, live);
        pthread_mutex_unlock(&link->mutex);
}

/* A namespace that this run makes is not there, nor is anything in it; who has come in by then is met when it is
 * written. Once each: whoever looks again asks. */
static bool first_look(struct kube_link *link, const struct kube_ref *ref)
{
        if (!kube_link_lacks(link, kube_snapshot_space(ref)))
                return false;
        CLEANUP_FREE char *name = written_name(ref);
        pthread_mutex_lock(&link->mutex);
        bool first = !json_object_get(link->seen, name);
        json_object_set_new(link->seen, name, json_true());
        pthread_mutex_unlock(&link->mutex);
        return first;
}

/* Once: whoever looks again asks. */
static bool take_written(struct kube_link *link, const struct kube_ref *ref, json_t **ret)
{
        CLEANUP_FREE char *name = written_name(ref);
        pthread_mutex_lock(&link->mutex);
        json_t *live = json_incref(json_object_get(link->written, name));
        json_object_del(link->written, name);
        pthread_mutex_unlock(&link->mutex);
        if (live)
                *ret = live;
        return live != NULL;
}

int kube_link_get(struct kube_link *link, const struct kube_ref *ref, json_t **ret, struct err **err)
{
        struct kube *kube;
        int r = kube_link_open(link, &kube, err);
        if (r < 0)
                return r;
        if (take_written(link, ref, ret))
                return 0;
        if (link->snapshot)
                return kube_snapshot_get(link->snapshot, kube, ref, ret, err);
        if (first_look(link, ref))
                return err_set(err, ERR_NOT_FOUND, "there was no namespace %s", kube_snapshot_space(ref));
        return kube_get(kube, ref, ret, err);
}

static int forward(
        struct kube_link *link, const char *namespace, const char *service, int port, int *ret, struct err **err)
{
        CLEANUP_FREE char *name = str_format("%s/%s:%d", namespace, service, port);
        for (size_t i = 0; i < link->count; i++)
                if (str_is(link->forward[i].name, name)) {
                        *ret = link->forward[i].local_port;
                        return 0;
                }
        struct kube *kube;
        struct forward made = {0};
        int r = kube_link_open(link, &kube, err);
        if (r == 0)
                r = kube_forward_open(kube, namespace, service, port, &made.open, &made.local_port, err);
        if (r < 0)
                return r;
        made.name = STEAL(name);
        *ret = made.local_port;
        MEM_GROW(link->forward, link->count, link->capacity);
        link->forward[link->count++] = made;
        return 0;
}

int kube_link_forward(struct kube_link *link, const char *namespace, const char *service, int port, int *ret_local_port,
        struct err **err)
{
        if (!link)
                return err_set(err, ERR_INVALID, "this cluster's target is no Kubernetes cluster");
        pthread_mutex_lock(&link->forward_mutex);
        int r = forward(link, namespace ? namespace : kube_link_namespace(link), service, port, ret_local_port, err);
        pthread_mutex_unlock(&link->forward_mutex);
        return r;
}

int kube_of(struct kind_ctx *ctx, struct kube **ret, struct err **err)
{
        return kube_link_open(ctx->kube, ret, err);
}

const char *kube_namespace_of(const struct kind_ctx *ctx)
{
        return kube_link_namespace(ctx->kube);
}
