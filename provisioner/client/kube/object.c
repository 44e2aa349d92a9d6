/* Single objects. */
#include <string.h>

#include "base/mem.h"
#include "client/kube/private.h"

#define BRIEF_MS 10000

static struct kube_ref ref_of(const json_t *object)
{
        const json_t *metadata = json_object_get(object, "metadata");
        return (struct kube_ref){.api_version = json_string_value(json_object_get(object, "apiVersion")),
                .kind = json_string_value(json_object_get(object, "kind")),
                .namespace = json_string_value(json_object_get(metadata, "namespace")),
                .name = json_string_value(json_object_get(metadata, "name"))};
}

int kube_get(struct kube *kube, const struct kube_ref *ref, json_t **ret, struct err **err)
{
        CLEANUP_FREE char *path = NULL;
        CLEANUP_FREE char *name = kube_name_of(ref);
        CLEANUP_FREE char *what = str_format("read %s", name);
        int r = kube_path(kube, ref->api_version, ref->kind, ref->namespace, ref->name ? ref->name : "", &path, err);
        return r < 0 ? r : kube_ask(kube, &(struct kube_request){.path = path, .what = what}, ret, err);
}

/* Bodies may hold secrets. */
static int ask_with_body(
        struct kube *kube, struct kube_request *request, const json_t *body, json_t **ret, struct err **err)
{
        char *text = json_dumps(body, JSON_COMPACT);
        if (!text)
                return err_set(err, ERR_INVALID, "cannot %s: what is to be sent is no object", request->what);
        request->body = text;
        request->length = strlen(text);
        int r = kube_ask(kube, request, ret, err);
        mem_wipe_free(text, request->length);
        return r;
}

/* No object ever has the first resourceVersion: where there is one, this one is out of date. A new one is made all the
 * same. */
static json_t *only_new(const json_t *object)
{
        json_t *new_ = json_copy((json_t *)object), *metadata = json_copy(json_object_get(object, "metadata"));
        json_object_set_new(metadata, "resourceVersion", json_string("1"));
        json_object_set_new(new_, "metadata", metadata);
        return new_;
}

static int apply_new(
        struct kube *kube, struct kube_request *request, const json_t *object, json_t **ret, struct err **err)
{
        json_auto_t *new_ = only_new(object);
        CLEANUP_ERR struct err *fault = NULL;
        int r = ask_with_body(kube, request, new_, ret, &fault);
        if (r == -ERR_REFUSED) /* it is out of date, or fields of it are somebody's: it is there */
                return err_set(err, ERR_EXISTS, "%s", fault->message);
        if (r < 0 && err)
                *err = STEAL(fault);
        return r;
}

/* Fields that the schema does not know refuse an apply whatever fieldValidation says. "Strict" finds only names that
 * come twice besides, which an object of jansson has not, and has the server read all of it once more for that, a fifth
 * of its work on files of code. (applyPatcher in k8s.io/apiserver, endpoints/handlers/patch.go) */
#define APPLY "?fieldManager=" KUBE_MANAGER "&fieldValidation=Ignore&force="

/* https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches */
#define METADATA "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

int kube_apply(struct kube *kube, const json_t *object, unsigned flags, json_t **ret, struct err **err)
{
        struct kube_ref ref = ref_of(object);
        CLEANUP_FREE char *base = NULL;
        CLEANUP_FREE char *name = kube_name_of(&ref);
        CLEANUP_FREE char *what = str_format("apply %s", name);
        int r = kube_path(kube, ref.api_version, ref.kind, ref.namespace, ref.name ? ref.name : "", &base, err);
        if (r < 0)
                return r;
        const char *dry = flags & KUBE_DRY_RUN ? "&dryRun=All" : "";
        CLEANUP_FREE char *polite = str_format("%s" APPLY "false%s", base, dry);
        CLEANUP_FREE char *forced = str_format("%s" APPLY "true%s", base, dry);
        struct kube_request request = {.method = "PATCH",
                .path = flags & KUBE_FORCE ? forced : polite,
                .forced = flags & (KUBE_FORCE | KUBE_NEW) ? NULL : forced,
                .what = what,
                .type = "application/apply-patch+yaml",
                .accept = flags & KUBE_METADATA ? METADATA : NULL};
        return flags & KUBE_NEW ? apply_new(kube, &request, object, ret, err)
                                : ask_with_body(kube, &request, object, ret, err); /* JSON is YAML */
}

int kube_patch(struct kube *kube, const struct kube_ref *ref, const json_t *patch, unsigned flags, json_t **ret,
        struct err **err)
{
        CLEANUP_FREE char *base = NULL;
        CLEANUP_FREE char *name = kube_name_of(ref);
        CLEANUP_FREE char *what = str_format("change %s", name);
        int r = kube_path(kube, ref->api_version, ref->kind, ref->namespace, ref->name ? ref->name : "", &base, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *path = str_format("%s?fieldManager=" KUBE_MANAGER "&fieldValidation=Strict", base);
        struct kube_request request = {
                .method = "PATCH", .path = path, .what = what, .type = "application/merge-patch+json"};
        if (flags & KUBE_BRIEF) {
                request.timeout_ms = BRIEF_MS;
                request.end_ms = kube->clock->monotonic_ms(kube->clock) + BRIEF_MS;
        }
        return ask_with_body(kube, &request, patch, ret, err);
}

int kube_create(struct kube *kube, const json_t *object, unsigned flags, json_t **ret, struct err **err)
{
        struct kube_ref ref = ref_of(object);
        CLEANUP_FREE char *base = NULL;
        CLEANUP_FREE char *name = kube_name_of(&ref);
        CLEANUP_FREE char *what = str_format("create %s", name);
        int r = kube_path(kube, ref.api_version, ref.kind, ref.namespace, NULL, &base, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *path = str_format("%s?fieldManager=" KUBE_MANAGER "&fieldValidation=Strict%s", base,
                flags & KUBE_DRY_RUN ? "&dryRun=All" : "");
        const json_t *generated = json_object_get(json_object_get(object, "metadata"), "generateName");
        struct kube_request request = {.method = "POST", .path = path, .what = what, .once = generated != NULL};
        return ask_with_body(kube, &request, object, ret, err);
}

int kube_delete(
        struct kube *kube, const struct kube_ref *ref, const char *propagation, const char *uid, struct err **err)
{
        CLEANUP_FREE char *path = NULL;
        CLEANUP_FREE char *name = kube_name_of(ref);
        CLEANUP_FREE char *what = str_format("delete %s", name);
        struct err *why = NULL;
        int r = kube_path(kube, ref->api_version, ref->kind, ref->namespace, ref->name ? ref->name : "", &path, &why);
        if (r == 0) {
                json_auto_t *options = json_pack("{s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions");
                if (propagation)
                        json_object_set_new(options, "propagationPolicy", json_string(propagation));
                if (uid)
                        json_object_set_new(options, "preconditions", json_pack("{s:s}", "uid", uid));
                struct kube_request request = {.method = "DELETE", .path = path, .what = what};
                r = ask_with_body(kube, &request, options, NULL, &why);
        }
        if (r == -ERR_NOT_FOUND) /* the object, or its kind: gone either way */
                r = 0;
        if (r < 0)
                err_set(err, (enum err_code) - r, "%s", why->message);
        err_free(why);
        return r;
}
