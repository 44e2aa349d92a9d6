/* What we may do, and the server's version. */
#include <string.h>

#include "base/mem.h"
#include "client/kube/private.h"

#define THREADS_MAX 8

struct review {
        struct kube *kube;
        const struct kube_permission *list;
        size_t count;
        bool *allowed;
        atomic_size_t next;
        atomic_bool failed;
        pthread_mutex_t lock;
        struct err *err; /* the first */
};

static void put(json_t *object, const char *key, const char *value)
{
        if (value && *value)
                json_object_set_new(object, key, json_string(value));
}

static int ask(struct kube *kube, const struct kube_permission *permission, bool *ret, struct err **err)
{
        json_t *attributes = json_object();
        put(attributes, "verb", permission->verb);
        put(attributes, "group", permission->group);
        put(attributes, "resource", permission->resource);
        put(attributes, "subresource", permission->subresource);
        put(attributes, "namespace", permission->namespace);
        put(attributes, "name", permission->name);
        json_auto_t *body = json_pack("{s:s, s:s, s:{s:o}}", "apiVersion", "authorization.k8s.io/v1", "kind",
                "SelfSubjectAccessReview", "spec", "resourceAttributes", attributes);
        CLEANUP_FREE char *text = json_dumps(body, JSON_COMPACT);
        if (!text)
                return err_set(err, ERR_INVALID, "a permission's text is not UTF-8");
        json_auto_t *answer = NULL;
        struct kube_request request = {.method = "POST",
                .path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                .what = "ask for our rights",
                .body = text,
                .length = strlen(text)};
        int r = kube_ask(kube, &request, &answer, err);
        if (r == 0)
                *ret = json_is_true(json_object_get(json_object_get(answer, "status"), "allowed"));
        return r;
}

static void *work(void *data)
{
        struct review *review = data;
        while (!atomic_load(&review->failed)) {
                size_t i = atomic_fetch_add(&review->next, 1);
                if (i >= review->count)
                        break;
                struct err *err = NULL;
                if (ask(review->kube, &review->list[i], &review->allowed[i], &err) < 0) {
                        atomic_store(&review->failed, true);
                        pthread_mutex_lock(&review->lock);
                        if (review->err)
                                err_free(err);
                        else
                                review->err = err;
                        pthread_mutex_unlock(&review->lock);
                }
        }
        return NULL;
}

int kube_can(struct kube *kube, const struct kube_permission *list, size_t count, bool *ret_allowed, struct err **err)
{
        CLEANUP_FREE bool *allowed = mem_zero_array(count + 1, sizeof *allowed);
        struct review review = {.kube = kube, .list = list, .count = count, .allowed = allowed};
        pthread_mutex_init(&review.lock, NULL);
        pthread_t thread[THREADS_MAX];
        size_t started = 0;
        while (started < THREADS_MAX && started + 1 < count / 2 &&
                pthread_create(&thread[started], NULL, work, &review) == 0)
                started++;
        work(&review);
        for (size_t i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        pthread_mutex_destroy(&review.lock);
        if (review.err) {
                int r = err_set(err, review.err->code, "%s", review.err->message);
                err_free(review.err);
                return r;
        }
        memcpy(ret_allowed, allowed, count * sizeof *allowed);
        return 0;
}

int kube_version(struct kube *kube, char **ret, struct err **err)
{
        json_auto_t *answer = NULL;
        struct kube_request request = {.path = "/version", .what = "ask for the server's version"};
        int r = kube_ask(kube, &request, &answer, err);
        if (r < 0)
                return r;
        const char *version = json_string_value(json_object_get(answer, "gitVersion"));
        if (!version)
                return err_set(err, ERR_FAILED, "%s does not say its version: is that a Kubernetes API server?",
                        kube->config.server);
        *ret = str_copy(version);
        return 0;
}
