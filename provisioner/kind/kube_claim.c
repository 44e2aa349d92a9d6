/* kube.claim: the claims of users' homes. The hub makes one when a user first comes; this resource only keeps those
 * that exist at the wanted size, which nothing else does. At the end it ends what users still run, which outlives the
 * hub; the claims themselves are user data. */
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/amount.h"
#include "kind/kube_server.h"
#include "kind/kube_wait.h"
#include "kind/spec.h"
#include "tree/tree.h"

#define GB           1e9
#define THREADS      8
#define LABELS       "component=singleuser-storage"
#define GONE_SECONDS 120

static const struct spec_field fields[] = {
        {"labels", SPEC_ANY, false},
        {"gb", SPEC_NUMBER, true},
        {"sessions", SPEC_ANY, false},
        {0},
};
static const struct spec_field session_fields[] = {
        {"api_version", SPEC_TEXT, true},
        {"kind", SPEC_TEXT, true},
        {"labels", SPEC_ANY, false},
        {0},
};

static int check(const json_t *spec, struct err **err)
{
        int r = spec_check(spec, fields, err);
        size_t i;
        const json_t *session, *sessions = json_object_get(spec, "sessions");
        if (r == 0 && sessions && !json_is_array(sessions) && !spec_is_open(sessions))
                return err_set(err, ERR_INVALID, "\"sessions\": a list is wanted");
        json_array_foreach (sessions, i, session) {
                r = r < 0 ? r : spec_check(session, session_fields, err);
                if (r < 0)
                        return err_prefix(err, "sessions[%zu]", i);
        }
        return r;
}

/* "a=b,c=d" of a text or an object; NULL when there is none. The caller frees. */
static char *selector(const json_t *labels, const char *fallback)
{
        if (json_is_string(labels))
                return str_copy(json_string_value(labels));
        if (json_object_size(labels) == 0)
                return fallback ? str_copy(fallback) : NULL;
        CLEANUP_BUF struct buf text = BUF_INIT(4096);
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)labels, key, value) {
                CLEANUP_FREE char *plain = spec_scalar_text(value);
                buf_format(&text, "%s%s=%s", text.length ? "," : "", key, plain);
        }
        return buf_steal(&text);
}

static double wanted(const json_t *spec)
{
        return spec_number(spec, "gb", 0) * GB;
}

/* ---- what is there ---- */

struct claims {
        double bytes;
        char **small; /* names of those that are smaller */
        size_t count, capacity, all;
        json_t *classes; /* names of the smaller ones' classes */
};

static void claims_clear(struct claims *claims)
{
        for (size_t i = 0; i < claims->count; i++)
                free(claims->small[i]);
        free(claims->small);
        json_decref(claims->classes);
}
#define CLEANUP_CLAIMS __attribute__((cleanup(claims_clear)))

static int each_claim(void *data, const json_t *object)
{
        struct claims *claims = data;
        double size = kube_amount(tree_get(object, "spec.resources.requests.storage"));
        const char *class = json_string_value(tree_get(object, "spec.storageClassName"));
        claims->all++;
        if (tree_get(object, "metadata.deletionTimestamp") || size >= claims->bytes)
                return 0;
        MEM_GROW(claims->small, claims->count, claims->capacity);
        claims->small[claims->count++] = str_copy(json_string_value(tree_get(object, "metadata.name")));
        json_object_set_new(claims->classes, class ? class : "", json_true());
        return 0;
}

static int list(struct kind_ctx *ctx, struct kube *kube, const json_t *spec, struct claims *ret, struct err **err)
{
        CLEANUP_FREE char *labels = selector(json_object_get(spec, "labels"), LABELS);
        struct kube_list what = {.api_version = "v1",
                .kind = "PersistentVolumeClaim",
                .namespace = kube_namespace_of(ctx),
                .labels = labels};
        ret->bytes = wanted(spec);
        ret->classes = json_object();
        return kube_list(kube, &what, each_claim, ret, NULL, err);
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        struct kube *kube;
        CLEANUP_CLAIMS struct claims claims = {0};
        int result = kube_of(ctx, &kube, err);
        if (result == 0)
                result = list(ctx, kube, r->spec, &claims, err);
        if (result == 0)
                *ret_state = json_pack("{s:I}", "smaller", (json_int_t)claims.count);
        return result;
}

static int compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        change_default(r, recorded, recorded ? state : NULL, ret_change);
        double before = recorded && recorded->spec ? wanted(recorded->spec) : 0;
        if (wanted(r->spec) >= before)
                return 0;
        change_clear(ret_change);
        ret_change->action = ACTION_REFUSE;
        ret_change->reason =
                str_format("homes cannot shrink: their claims are of %g GB and %g GB are asked for. Put the old size "
                           "back; a smaller one is possible in a new cluster only",
                        before / GB, wanted(r->spec) / GB);
        return 0;
}

/* ---- growing ---- */

static int check_classes(struct kube *kube, const struct claims *claims, struct err **err)
{
        const char *name;
        json_t *value;
        json_object_foreach (claims->classes, name, value) {
                struct kube_ref ref = {"storage.k8s.io/v1", "StorageClass", NULL, name};
                json_auto_t *class = NULL;
                CLEANUP_ERR struct err *fault = NULL;
                int r = *name ? kube_get(kube, &ref, &class, &fault) : -ERR_NOT_FOUND;
                if (r == -ERR_DENIED) /* then the server says what it thinks of each claim */
                        continue;
                if (r < 0 && r != -ERR_NOT_FOUND) {
                        if (err)
                                *err = STEAL(fault);
                        return r;
                }
                if (!spec_bool(class, "allowVolumeExpansion", false))
                        return err_set(err, ERR_REFUSED,
                                "%zu homes are smaller than %g GB, and their StorageClass \"%s\" cannot expand "
                                "volumes: "
                                "set allowVolumeExpansion: true in it if its driver can, or put the old size back",
                                claims->count, claims->bytes / GB, name);
        }
        return 0;
}

static int preflight(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        (void)recorded;
        struct kube *kube;
        CLEANUP_CLAIMS struct claims claims = {0};
        int result = kube_of(ctx, &kube, err);
        if (result == 0)
                result = list(ctx, kube, r->spec, &claims, err);
        return result < 0 ? result : check_classes(kube, &claims, err);
}

struct growth {
        struct kind_ctx *ctx;
        struct kube *kube;
        const struct claims *claims;
        atomic_size_t next, done;
        atomic_bool failed;
        pthread_mutex_t mutex;
        struct err *fault; /* the first */
};

static void *grow_some(void *data)
{
        struct growth *g = data;
        CLEANUP_FREE char *size = str_format("%.0f", g->claims->bytes);
        json_auto_t *patch = json_pack("{s:{s:{s:{s:s}}}}", "spec", "resources", "requests", "storage", size);
        for (;;) {
                size_t i = atomic_fetch_add(&g->next, 1);
                if (i >= g->claims->count || atomic_load(&g->failed))
                        return NULL;
                struct kube_ref ref = {"v1", "PersistentVolumeClaim", kube_namespace_of(g->ctx), g->claims->small[i]};
                CLEANUP_ERR struct err *fault = NULL;
                int r = cancel_check(g->ctx->cancel, 1, &fault);
                if (r == 0)
                        r = kube_patch(g->kube, &ref, patch, 0, NULL, &fault);
                size_t done = atomic_fetch_add(&g->done, 1) + 1;
                if (done % 100 == 0)
                        kind_progress(g->ctx, "%zu of %zu homes are growing", done, g->claims->count);
                if (r == 0 || r == -ERR_NOT_FOUND) /* deleted meanwhile */
                        continue;
                pthread_mutex_lock(&g->mutex);
                if (!g->fault) {
                        err_prefix(&fault, "the home %s", ref.name);
                        g->fault = STEAL(fault);
                }
                pthread_mutex_unlock(&g->mutex);
                atomic_store(&g->failed, true);
        }
}

static int grow(struct kind_ctx *ctx, struct kube *kube, const struct claims *claims, struct err **err)
{
        struct growth g = {.ctx = ctx, .kube = kube, .claims = claims, .mutex = PTHREAD_MUTEX_INITIALIZER};
        pthread_t thread[THREADS];
        size_t started = 0;
        while (started < THREADS && started + 1 < claims->count &&
                pthread_create(&thread[started], NULL, grow_some, &g) == 0)
                started++;
        grow_some(&g);
        while (started-- > 0)
                pthread_join(thread[started], NULL);
        if (!g.fault)
                return 0;
        int r = -(int)g.fault->code;
        if (err)
                *err = STEAL(g.fault);
        err_free(g.fault);
        return r;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        struct kube *kube;
        CLEANUP_CLAIMS struct claims claims = {0};
        int result = kube_of(ctx, &kube, err);
        if (result == 0)
                result = list(ctx, kube, r->spec, &claims, err);
        if (result == 0)
                result = check_classes(kube, &claims, err);
        if (result == 0)
                result = grow(ctx, kube, &claims, err);
        if (result < 0)
                return result;
        if (claims.count)
                kind_progress(ctx, "%zu homes grow to %g GB", claims.count, claims.bytes / GB);
        *ret_outputs = json_pack("{s:I}", "bytes", (json_int_t)llround(wanted(r->spec)));
        return 0;
}

/* ---- the end ---- */

static int each_to_go(void *data, const json_t *object)
{
        json_t *metadata = json_object_get(object, "metadata");
        json_array_append_new(
                data, json_pack("{s:s, s:s, s:s, s:s}", "api_version", spec_text(object, "apiVersion", ""), "kind",
                              spec_text(object, "kind", ""), "name", spec_text(metadata, "name", ""), "uid",
                              spec_text(metadata, "uid", "")));
        return 0;
}

/* Deletes all of a kind with these labels in the namespace; waits until they are gone if asked to. */
static int delete_all(struct kind_ctx *ctx, struct kube *kube, const struct kube_list *what, bool wait,
        size_t *ret_count, struct err **err)
{
        json_auto_t *objects = json_array();
        CLEANUP_ERR struct err *fault = NULL;
        int r = kube_list(kube, what, each_to_go, objects, NULL, &fault);
        if (r == -ERR_NOT_FOUND) /* of a kind whose definition is gone */
                return 0;
        size_t i;
        const json_t *o;
        json_array_foreach (objects, i, o) {
                struct kube_ref ref = {what->api_version, what->kind, what->namespace, spec_text(o, "name", "")};
                if (r == 0)
                        r = kube_delete(kube, &ref, "Background", spec_text(o, "uid", NULL), &fault);
                if (r == -ERR_REFUSED) { /* another one of that name by now */
                        err_free(fault);
                        fault = NULL;
                        r = 0;
                }
        }
        json_array_foreach (objects, i, o) {
                struct kube_ref ref = {what->api_version, what->kind, what->namespace, spec_text(o, "name", "")};
                if (r == 0 && wait)
                        r = kube_wait_gone(ctx, kube, &ref, spec_text(o, "uid", ""), GONE_SECONDS, &fault);
        }
        if (r < 0 && err)
                *err = STEAL(fault);
        *ret_count += json_array_size(objects);
        return r;
}

static int end_sessions(struct kind_ctx *ctx, struct kube *kube, const json_t *spec, struct err **err)
{
        size_t i, count = 0;
        const json_t *session;
        json_array_foreach (json_object_get(spec, "sessions"), i, session) {
                CLEANUP_FREE char *labels = selector(json_object_get(session, "labels"), NULL);
                struct kube_list what = {.api_version = spec_text(session, "api_version", ""),
                        .kind = spec_text(session, "kind", ""),
                        .namespace = kube_namespace_of(ctx),
                        .labels = labels};
                int r = delete_all(ctx, kube, &what, true, &count, err);
                if (r < 0)
                        return err_prefix(err, "ending what users run");
        }
        return 0;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded;
        struct kube *kube;
        size_t deleted = 0;
        CLEANUP_CLAIMS struct claims claims = {0};
        int result = kube_of(ctx, &kube, err);
        if (result == 0)
                result = end_sessions(ctx, kube, r->spec, err);
        if (result == 0)
                result = list(ctx, kube, r->spec, &claims, err);
        if (result < 0 || claims.all == 0)
                return result;
        if (!ctx->delete_data) {
                *ret_kept = str_format("%zu home%s in claims in the namespace %s", claims.all,
                        claims.all == 1 ? "" : "s", kube_namespace_of(ctx));
                return 0;
        }
        CLEANUP_FREE char *labels = selector(json_object_get(r->spec, "labels"), LABELS);
        struct kube_list what = {.api_version = "v1",
                .kind = "PersistentVolumeClaim",
                .namespace = kube_namespace_of(ctx),
                .labels = labels};
        return delete_all(ctx, kube, &what, true, &deleted, err);
}

static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        int result = observe(ctx, r, ret_state, err);
        if (result == 0) {
                json_object_set_new(*ret_state, "smaller", json_integer(0)); /* as an apply would have left it */
                *ret_outputs = json_pack("{s:I}", "bytes", (json_int_t)llround(wanted(r->spec)));
        }
        return result;
}

extern const struct kind kind_kube_claim;
const struct kind kind_kube_claim = {
        .name = "kube.claim",
        .retries = 1, /* the client has tried for a minute by then */
        .check = check,
        .observe = observe,
        .compare = compare,
        .preflight = preflight,
        .apply = apply,
        .remove = remove_it,
        .adopt = adopt,
};
