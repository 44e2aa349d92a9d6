#include "kind/kube_write.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_diff.h"
#include "kind/kube_wait.h"
#include "tree/tree.h"

#define GONE_SECONDS 120

/* 0, or the client's error when it says nothing about the object itself. */
static int attempt(struct kube *kube, const struct manifest *m, unsigned flags, enum write_verdict *ret_verdict,
        json_t **ret, char **ret_why, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = kube_apply(kube, m->object, flags, ret, &fault);
        *ret_verdict = WRITE_FINE;
        if (r == 0)
                return 0;
        const char *why = fault ? fault->message : "";
        if (r == -ERR_REFUSED && strstr(why, "belong to somebody else"))
                *ret_verdict = WRITE_CONFLICT;
        else if (r == -ERR_INVALID && kube_is_immutable(why))
                *ret_verdict = WRITE_FIXED;
        else if (r == -ERR_INVALID)
                *ret_verdict = WRITE_INVALID;
        if (*ret_verdict != WRITE_FINE) {
                *ret_why = str_copy(why);
                return 0;
        }
        if (err)
                *err = STEAL(fault);
        return r;
}

static int attempt_twice(struct kube *kube, const struct manifest *m, unsigned flags, bool force,
        enum write_verdict *ret_verdict, json_t **ret, char **ret_why, struct err **err)
{
        int r = attempt(kube, m, flags | (force ? KUBE_FORCE : 0), ret_verdict, ret, ret_why, err);
        if (r < 0 || *ret_verdict != WRITE_CONFLICT || !kube_conflict_by_hand(*ret_why))
                return r;
        free(*ret_why);
        *ret_why = NULL;
        return attempt(kube, m, flags | KUBE_FORCE, ret_verdict, ret, ret_why, err);
}

int write_try(struct kube *kube, const struct manifest *manifest, bool force, enum write_verdict *ret_verdict,
        json_t **ret_would, char **ret_why, struct err **err)
{
        return attempt_twice(kube, manifest, KUBE_DRY_RUN, force, ret_verdict, ret_would, ret_why, err);
}

bool write_may_replace(const struct kube_ref *ref, const char *why, char **ret_why)
{
        if (manifest_is_replaceable(ref))
                return true;
        CLEANUP_FREE char *name = manifest_name(ref);
        *ret_why = manifest_holds_data(ref)
                           ? str_format("%s holds data and is never made anew: %s. Put the old value back", name, why)
                           : str_format("%s cannot be changed so, and is not made anew because of what belongs to it: "
                                        "%s. Put the old value back",
                                     name, why);
        return false;
}

int write_delete(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, const char *uid, struct err **err)
{
        static const char *const workloads[] = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"};
        const char *propagation = "Background";
        for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
                if (str_is(ref->kind, workloads[i]))
                        propagation = "Foreground"; /* its pods are gone when it is */
        int r = kube_delete(kube, ref, propagation, uid, err);
        return r < 0 ? r : kube_wait_gone(ctx, kube, ref, uid, GONE_SECONDS, err);
}

/* Writing changes even what is just being deleted, and it goes all the same. */
static int write_again_if_going(struct kind_ctx *ctx, struct kube *kube, const struct manifest *manifest, bool force,
        json_t **live, struct err **err)
{
        if (!tree_get(*live, "metadata.deletionTimestamp"))
                return 0;
        const char *uid = json_string_value(tree_get(*live, "metadata.uid"));
        int r = kube_wait_gone(ctx, kube, &manifest->ref, uid, GONE_SECONDS, err);
        if (r < 0)
                return r;
        json_decref(*live);
        *live = NULL;
        return kube_apply(kube, manifest->object, force ? KUBE_FORCE : 0, live, err);
}

/* What a server sends back of these was sent to it a moment ago: files of code, for the most part. If something of the
 * cluster's own changes them on the way, the next plan shows it. */
static bool is_data(const struct kube_ref *ref)
{
        return str_is(ref->kind, "ConfigMap") || str_is(ref->kind, "Secret");
}

int write_first(struct kube *kube, const struct manifest *manifest, json_t **ret_live, struct err **err)
{
        json_auto_t *said = NULL;
        if (!is_data(&manifest->ref))
                return kube_apply(kube, manifest->object, KUBE_NEW, ret_live, err);
        int r = kube_apply(kube, manifest->object, KUBE_NEW | KUBE_METADATA, &said, err);
        if (r < 0)
                return r;
        *ret_live = json_copy(manifest->object);
        json_object_set(*ret_live, "metadata", json_object_get(said, "metadata"));
        return 0;
}

static int replace(
        struct kind_ctx *ctx, struct kube *kube, const struct manifest *manifest, json_t **ret_live, struct err **err)
{
        json_auto_t *live = NULL;
        kind_progress(ctx, "%s %s is made anew", manifest->ref.kind, manifest->ref.name);
        int r = kube_get(kube, &manifest->ref, &live, err);
        if (r == 0)
                r = write_delete(ctx, kube, &manifest->ref, json_string_value(tree_get(live, "metadata.uid")), err);
        return r < 0 ? r : kube_apply(kube, manifest->object, KUBE_FORCE, ret_live, err);
}

int write_object(struct kind_ctx *ctx, struct kube *kube, const struct manifest *manifest, bool force,
        json_t **ret_live, struct err **err)
{
        enum write_verdict verdict;
        CLEANUP_FREE char *why = NULL, *not_so = NULL;
        json_auto_t *live = NULL;
        int r = attempt_twice(kube, manifest, 0, force, &verdict, &live, &why, err);
        if (r < 0)
                return r;
        if (verdict == WRITE_CONFLICT)
                return err_set(err, ERR_REFUSED, "%s", why);
        if (verdict == WRITE_INVALID)
                return err_set(err, ERR_INVALID, "%s", why);
        if (verdict == WRITE_FIXED && !write_may_replace(&manifest->ref, why, &not_so))
                return err_set(err, ERR_REFUSED, "%s", not_so);
        r = verdict == WRITE_FIXED ? replace(ctx, kube, manifest, &live, err)
                                   : write_again_if_going(ctx, kube, manifest, force, &live, err);
        if (r == 0)
                *ret_live = STEAL(live);
        return r;
}
