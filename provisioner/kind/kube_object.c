/* kube.object: any manifest. docs/ARCHITECTURE.md has the spec.
 *
 * The state is {uid, and where it is not as it should be: drift (fields), foreign (who made it), conflict, denied}. An
 * object is looked at with one request: where it holds word for word what ours says, nothing is to do; only otherwise
 * the server is asked what it would make of ours. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_admission.h"
#include "kind/kube_diff.h"
#include "kind/kube_manifest.h"
#include "kind/kube_parts.h"
#include "kind/kube_ready.h"
#include "kind/kube_remove.h"
#include "kind/kube_server.h"
#include "kind/kube_wait.h"
#include "kind/kube_write.h"
#include "kind/spec.h"
#include "tree/diff.h"
#include "tree/digest.h"
#include "tree/subst.h"
#include "tree/tree.h"

#define SECONDS 300

static const struct spec_field fields[] = {
        {"object", SPEC_OBJECT, true},
        {"files", SPEC_OBJECT, false}, /* these three: kind/kube_parts.h */
        {"json", SPEC_OBJECT, false},
        {"paths", SPEC_OBJECT, false},
        {"wait", SPEC_BOOL, false},
        {"seconds", SPEC_NUMBER, false},
        {"keep", SPEC_BOOL, false},
        {"force", SPEC_BOOL, false},
        {0},
};

static int check(const json_t *spec, struct err **err)
{
        int r = spec_check(spec, fields, err);
        if (r == 0)
                r = kube_parts_check(spec, err);
        return r < 0 ? r : manifest_check(json_object_get(spec, "object"), err);
}

static bool force_of(const struct kind_ctx *ctx, const json_t *spec)
{
        return ctx->force_conflicts || spec_bool(spec, "force", false);
}

/* ---- looking ---- */

/* 0 and *ret_live NULL when it is not there; nor is it if the server does not know its kind yet. */
static int get(struct kind_ctx *ctx, const struct kube_ref *ref, json_t **ret_live, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = kube_link_get(ctx->kube, ref, ret_live, &fault);
        if (r == 0 || r == -ERR_NOT_FOUND)
                return 0;
        if (err)
                *err = STEAL(fault);
        return r;
}

static int add_drift(struct kube *kube, const struct kind_ctx *ctx, const struct resource *r, const struct manifest *m,
        const json_t *live, json_t *state, struct err **err)
{
        enum write_verdict verdict;
        json_auto_t *would = NULL;
        CLEANUP_FREE char *why = NULL;
        CLEANUP_ERR struct err *fault = NULL;
        int result = write_try(kube, m, force_of(ctx, r->spec), &verdict, &would, &why, &fault);
        if (result == -ERR_NOT_FOUND) /* its namespace has just gone */
                return 0;
        if (result == -ERR_DENIED && manifest_is_shared(&m->ref)) /* who may only use it uses it as it is */
                return 0;
        if (result < 0) {
                if (err)
                        *err = STEAL(fault);
                return result;
        }
        if (verdict == WRITE_CONFLICT) {
                json_object_set_new(state, "conflict", json_string(why));
        } else if (verdict != WRITE_FINE) { /* it cannot be as recorded any more: what is there is what counts */
                json_object_set_new(state, "differs", json_string(why));
        } else {
                json_auto_t *differing = kube_diff(live, would, m->hidden);
                if (json_array_size(differing))
                        json_object_set_new(state, "drift", kube_diff_turned(differing));
                if (!kube_definition_fits(differing))
                        json_object_set_new(state, "misfit", json_true());
        }
        return 0;
}

static int look(struct kind_ctx *ctx, struct kube *kube, const struct resource *r, json_t **ret_state, struct err **err)
{
        CLEANUP_MANIFEST struct manifest m = {0};
        CLEANUP_FORGET json_t *live = NULL; /* it may be a Secret */
        CLEANUP_ERR struct err *fault = NULL;
        int result = manifest_make(ctx, kube, r, NULL, &m, &fault);
        if (result == -ERR_NOT_FOUND) /* a kind that is not there yet, a file that was lost: then it has to be made */
                return 0;
        if (result == 0)
                result = get(ctx, &m.ref, &live, &fault);
        if (result == -ERR_DENIED && !strstr(fault->message, "(401)")) { /* the preflight lists what is missing */
                *ret_state = json_pack("{s:s}", "denied", fault->message);
                return 0;
        }
        if (result < 0) {
                if (err)
                        *err = STEAL(fault);
                return result;
        }
        if (!live || tree_get(live, "metadata.deletionTimestamp"))
                return 0;
        json_auto_t *state = json_pack("{s:O}", "uid", tree_get(live, "metadata.uid"));
        bool fits = kube_covers(live, m.object);
        if (!manifest_is_ours(live, ctx->cluster)) {
                CLEANUP_FREE char *owner = manifest_owner(live);
                json_object_set_new(state, "foreign", json_string(owner));
                fits |= manifest_is_shared(&m.ref) && /* its marks are its owner's */
                        kube_covers(json_object_get(live, "spec"), json_object_get(m.object, "spec"));
        }
        if (!fits) {
                result = add_drift(kube, ctx, r, &m, live, state, err);
                if (result < 0)
                        return result;
        }
        *ret_state = STEAL(state);
        return 0;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        struct kube *kube;
        int result = kube_of(ctx, &kube, err);
        return result < 0 ? result : look(ctx, kube, r, ret_state, err);
}

/* ---- comparing ---- */

static bool moved(const json_t *old, const json_t *new_)
{
        struct kube_ref a = manifest_ref(old), b = manifest_ref(new_);
        size_t group_a = strcspn(a.api_version, "/"), group_b = strcspn(b.api_version, "/");
        bool core_a = !a.api_version[group_a], core_b = !b.api_version[group_b];
        bool same_group = core_a == core_b &&
                          (core_a || (group_a == group_b && strncmp(a.api_version, b.api_version, group_a) == 0));
        bool same_namespace = (!a.namespace && !b.namespace) || str_is(a.namespace, b.namespace);
        return !same_group || !str_is(a.kind, b.kind) || !str_is(a.name, b.name) || !same_namespace;
}

/* Somebody else's, and not one of ours that only lost its marks. */
static bool is_foreign(const struct recorded *recorded, const json_t *state)
{
        if (!json_object_get(state, "foreign"))
                return false;
        if (!recorded)
                return true;
        const char *uid = spec_text(recorded->outputs, "uid", "");
        return !str_is(uid, spec_text(state, "uid", "-")) || !spec_bool(recorded->outputs, "made", false);
}

static int refuse(struct change *ret, char *reason)
{
        change_clear(ret);
        ret->action = ACTION_REFUSE;
        ret->reason = reason;
        return 0;
}

/* Its name is given, and so somebody else's has to do: a namespace always does. */
static int compare_shared(
        const struct resource *r, const struct recorded *recorded, const json_t *state, struct change *ret)
{
        struct kube_ref ref = manifest_ref(r->spec);
        json_auto_t *plain = json_pack("{s:s}", "uid", spec_text(state, "uid", ""));
        const struct recorded *before = recorded;
        struct recorded as;
        if (recorded) { /* that another one is there by now is no drift */
                as = *recorded;
                as.state = plain;
                before = &as;
        }
        change_default(r, before, plain, ret);
        if (str_is(ref.kind, "Namespace") || (!json_object_get(state, "misfit") && !json_object_get(state, "differs")))
                return 0;
        json_t *differing = json_object_get(state, "drift");
        CLEANUP_FREE char *name = manifest_name(&ref);
        refuse(ret, str_format("%s belongs to %s, and is of another version than the one that is needed: bring that "
                               "installation to this version, or remove it",
                            name, spec_text(state, "foreign", "somebody else")));
        ret->fields = json_incref(differing);
        return 0;
}

static int compare(const struct resource *r, const struct recorded *recorded, const json_t *state, struct change *ret,
        struct err **err)
{
        (void)err;
        if (!state) {
                change_default(r, recorded, NULL, ret);
                return 0;
        }
        const char *denied = spec_text(state, "denied", NULL);
        if (denied) {
                ret->action = recorded ? ACTION_UPDATE : ACTION_CREATE;
                ret->reason = str_format("it could not be looked at: %s", denied);
                return 0;
        }
        struct kube_ref ref = manifest_ref(r->spec);
        if (recorded && recorded->spec && moved(recorded->spec, r->spec)) {
                change_default(r, recorded, state, ret);
                change_clear(ret);
                ret->action = ACTION_REPLACE;
                ret->reason = str_copy("its name or place changed");
                return 0;
        }
        if (is_foreign(recorded, state)) {
                if (manifest_is_shared(&ref))
                        return compare_shared(r, recorded, state, ret);
                CLEANUP_FREE char *name = manifest_name(&ref);
                return refuse(ret, str_format("%s is there already and belongs to %s: remove it, or choose another "
                                              "namespace",
                                           name, spec_text(state, "foreign", "")));
        }
        const char *conflict = spec_text(state, "conflict", NULL);
        if (conflict)
                return refuse(ret, str_copy(conflict));
        struct recorded as = recorded ? *recorded : (struct recorded){0};
        as.state = state; /* drift is what the state says, not that it is another */
        change_default(r, recorded ? &as : NULL, state, ret);
        json_t *drift = json_object_get(state, "drift");
        if (ret->action == ACTION_NONE && (drift || json_object_get(state, "differs"))) {
                ret->action = ACTION_UPDATE;
                ret->reason = str_copy("drift");
                ret->fields = drift ? json_incref(drift) : NULL;
        } else if (ret->action == ACTION_UPDATE && recorded) { /* until the server is asked */
                json_auto_t *old = kube_parts_object(recorded->spec), *new_ = kube_parts_object(r->spec);
                ret->fields = diff_trees(old, new_);
                json_array_extend(ret->fields, drift);
        } else if (ret->action == ACTION_UPDATE) {
                ret->fields = drift ? json_incref(drift) : json_array();
        }
        ret->drift = ret->drift || str_is(ret->reason, "drift") || (recorded && recorded->complete && drift);
        return 0;
}

/* What the server would do. Where outputs are not known yet they stand as text, and if it minds that, what compare said
 * stays. */
static int preview(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *change, struct err **err)
{
        struct kube *kube;
        CLEANUP_MANIFEST struct manifest m = {0};
        json_auto_t *live = NULL, *would = NULL, *before = NULL;
        CLEANUP_FREE char *why = NULL;
        enum write_verdict verdict;
        if (change->action != ACTION_UPDATE || !state || json_object_get(state, "foreign") ||
                str_is(change->reason, "drift"))
                return 0;
        bool unknown = subst_has_marker(r->spec, MARK_AFTER);
        before = recorded && recorded->spec ? kube_parts_object(recorded->spec) : json_object();
        int result = kube_of(ctx, &kube, err);
        if (result < 0)
                return result;
        if (manifest_make(ctx, kube, r, before, &m, NULL) < 0 || get(ctx, &m.ref, &live, NULL) < 0 || !live ||
                write_try(kube, &m, force_of(ctx, r->spec), &verdict, &would, &why, NULL) < 0)
                return 0;
        char *refused = NULL;
        if (verdict == WRITE_CONFLICT)
                return refuse(change, STEAL(why));
        if (verdict == WRITE_INVALID)
                return unknown ? 0 : refuse(change, STEAL(why));
        if (verdict == WRITE_FIXED) {
                if (!write_may_replace(&m.ref, why, &refused))
                        return refuse(change, refused);
                change->action = ACTION_REPLACE;
                free(change->reason);
                change->reason = str_format("it is made anew: %s", why);
                return 0;
        }
        json_decref(change->fields);
        change->fields = kube_diff(live, would, m.hidden);
        return 0;
}

/* A new object: is it acceptable? Where its namespace or its kind is still to be made, that cannot be asked. */
static int try_new(
        struct kind_ctx *ctx, struct kube *kube, const struct resource *r, const struct manifest *m, struct err **err)
{
        json_auto_t *would = NULL;
        CLEANUP_FREE char *why = NULL;
        enum write_verdict verdict;
        CLEANUP_ERR struct err *fault = NULL;
        int result = write_try(kube, m, force_of(ctx, r->spec), &verdict, &would, &why, &fault);
        if (result < 0) /* rights are listed by kube.requirements; what is not there is made before its turn comes */
                return 0;
        if (verdict == WRITE_INVALID)
                return err_set(err, ERR_INVALID, "%s", why);
        if (verdict == WRITE_CONFLICT)
                return err_set(err, ERR_REFUSED, "%s", why);
        return 0;
}

static int preflight(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        struct kube *kube;
        CLEANUP_MANIFEST struct manifest m = {0};
        int result = kube_of(ctx, &kube, err);
        if (result < 0)
                return result;
        if (manifest_make(ctx, kube, r, NULL, &m, NULL) < 0 || kube_link_lacks(ctx->kube, m.ref.namespace))
                return 0;
        result = recorded ? 0 : try_new(ctx, kube, r, &m, err);
        return result < 0 ? result : kube_admission_ask(kube, &m, err);
}

/* ---- outputs ---- */

static void add_service(const json_t *live, json_t *outputs)
{
        if (!str_is(spec_text(live, "kind", ""), "Service"))
                return;
        const json_t *ingress = tree_get(live, "status.loadBalancer.ingress[0]"), *port;
        const char *address = spec_text(ingress, "ip", spec_text(ingress, "hostname", ""));
        json_object_set_new(outputs, "address", json_string(address));
        json_object_set_new(
                outputs, "cluster_ip", json_string(spec_text(json_object_get(live, "spec"), "clusterIP", "")));
        json_t *ports = json_object();
        size_t i;
        json_array_foreach (tree_get(live, "spec.ports"), i, port) {
                json_t *node = json_object_get(port, "nodePort");
                CLEANUP_FREE char *number = str_format("%lld", (long long)spec_whole(port, "port", 0));
                if (!node)
                        continue;
                json_object_set(ports, spec_text(port, "name", number), node);
                if (!json_object_get(outputs, "node_port"))
                        json_object_set(outputs, "node_port", node);
        }
        if (!json_object_get(outputs, "node_port"))
                json_object_set_new(outputs, "node_port", json_integer(0));
        json_object_set_new(outputs, "node_ports", ports);
}

/* The digest of an object that holds secrets is to be of no use for trying out passwords: the object's own uid goes in,
 * which nobody sees who may not read the object, and which is still known when the journal is lost. */
static void digest_of(const struct manifest *m, const char *uid, char ret[DIGEST_SIZE])
{
        char *text = json_dumps(m->object, JSON_COMPACT | JSON_SORT_KEYS);
        char *both = str_format("%s%s", m->secret ? uid : "", text ? text : "");
        digest_bytes(both, strlen(both), ret);
        mem_wipe_free(both, strlen(both));
        if (text)
                mem_wipe_free(text, strlen(text));
}

static json_t *outputs_of(const json_t *spec, const struct manifest *m, const json_t *live, bool made)
{
        const char *uid = spec_text(json_object_get(live, "metadata"), "uid", "");
        char digest[DIGEST_SIZE];
        digest_of(m, uid, digest);
        json_t *outputs = json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", m->ref.name, "namespace",
                m->ref.namespace ? m->ref.namespace : "", "uid", uid, "digest", digest, "made", made);
        json_t *items = kube_parts_items(spec);
        if (items)
                json_object_set_new(outputs, "items", items);
        add_service(live, outputs);
        return outputs;
}

/* ---- doing ---- */

/* *ret_state: it was there all the same, and this is how it is. */
static int write_new(struct kind_ctx *ctx, struct kube *kube, const struct resource *r, const struct manifest *m,
        json_t **ret_live, json_t **ret_state, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        json_auto_t *there = NULL;
        int result = write_first(kube, m, ret_live, &fault);
        if (result < 0 && result != -ERR_EXISTS && err)
                *err = STEAL(fault);
        if (result != -ERR_EXISTS)
                return result;
        if (kube_get(kube, &m->ref, &there, NULL) == 0)
                kube_link_wrote(ctx->kube, &m->ref, there); /* by whomever */
        return look(ctx, kube, r, ret_state, err);
}

/* state is what observe has just said. One that is ours is written without another look; one that is not there only if
 * nobody has come in since, and if that was ourselves, whose answer was lost, it is ours. */
static int write_or_use(struct kind_ctx *ctx, struct kube *kube, const struct resource *r,
        const struct recorded *recorded, const json_t *state, const struct manifest *m, json_t **ret_live,
        bool *ret_made, struct err **err)
{
        json_auto_t *now = NULL;
        int result = state ? 0 : write_new(ctx, kube, r, m, ret_live, &now, err);
        *ret_made = true;
        if (result < 0 || *ret_live)
                return result;
        state = state ? state : now;
        *ret_made = !is_foreign(recorded, state);
        if (*ret_made)
                return write_object(ctx, kube, m, force_of(ctx, r->spec), ret_live, err);
        if (manifest_is_shared(&m->ref))
                return kube_get(kube, &m->ref, ret_live, err);
        CLEANUP_FREE char *name = manifest_name(&m->ref);
        return err_set(
                err, ERR_REFUSED, "%s is there already and belongs to %s", name, spec_text(state, "foreign", ""));
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        struct kube *kube;
        CLEANUP_MANIFEST struct manifest m = {0};
        CLEANUP_FREE char *missing = NULL;
        json_auto_t *live = NULL, *ready = NULL;
        bool made = false;
        int result = kube_of(ctx, &kube, err);
        if (result == 0)
                result = manifest_make(ctx, kube, r, NULL, &m, err);
        if (result == 0 && kube_admission_matters(r->spec, state)) /* again: not all of it may have been known before */
                result = kube_admission_ask(kube, &m, err);
        if (result == 0)
                result = write_or_use(ctx, kube, r, recorded, state, &m, &live, &made, err);
        if (result == 0 && spec_bool(r->spec, "wait", true) && kube_ready(live, &missing) != KUBE_READY)
                result = kube_wait_ready(ctx, kube, &m.ref, spec_number(r->spec, "seconds", SECONDS), &ready, err);
        if (result == 0) {
                *ret_outputs = outputs_of(r->spec, &m, ready ? ready : live, made);
                kube_link_wrote(ctx->kube, &m.ref, ready ? ready : live);
        }
        return result;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded;
        struct kube_ref ref = manifest_ref(r->spec);
        struct kube *kube;
        bool namespaced = false;
        if (spec_is_open(json_object_get(tree_get(r->spec, "object.metadata"), "name")))
                return 0; /* its name never became known: nothing was made */
        int result = kube_of(ctx, &kube, err);
        if (result < 0)
                return result;
        CLEANUP_ERR struct err *fault = NULL;
        result = kube_knows(kube, ref.api_version, ref.kind, &namespaced, &fault);
        if (result == -ERR_NOT_FOUND) /* it went with its definition */
                return 0;
        if (result < 0) {
                if (err)
                        *err = STEAL(fault);
                return result;
        }
        if (namespaced && !ref.namespace)
                ref.namespace = kube_namespace_of(ctx);
        return kube_remove(ctx, kube, &ref, spec_bool(r->spec, "keep", false), ret_kept, err);
}

static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        struct kube *kube;
        CLEANUP_MANIFEST struct manifest m = {0};
        json_auto_t *live = NULL;
        int result = kube_of(ctx, &kube, err);
        if (result == 0 && manifest_make(ctx, kube, r, NULL, &m, NULL) < 0)
                return 0;
        if (result == 0)
                result = get(ctx, &m.ref, &live, err);
        if (result < 0 || !live || tree_get(live, "metadata.deletionTimestamp"))
                return result;
        bool ours = manifest_is_ours(live, ctx->cluster);
        if (!ours && !manifest_is_shared(&m.ref))
                return 0;
        *ret_state = json_pack("{s:O}", "uid", tree_get(live, "metadata.uid"));
        *ret_outputs = outputs_of(r->spec, &m, live, ours);
        return 0;
}

extern const struct kind kind_kube_object;
const struct kind kind_kube_object = {
        .name = "kube.object",
        .retries = 1, /* the client has tried for a minute by then */
        .turn = manifest_turn,
        .check = check,
        .observe = observe,
        .compare = compare,
        .preview = preview,
        .preflight = preflight,
        .apply = apply,
        .remove = remove_it,
        .adopt = adopt,
};
