/* kube.issuer: cert-manager and a ClusterIssuer of it, which have to be there before an Ingress asks for its
 * certificate. It makes nothing. In the end, when the Ingress does not ask any more, it takes away what cert-manager
 * has made, and would go on renewing: the Certificate, and the Secret that stays without it. */
#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_manifest.h"
#include "kind/kube_ready.h"
#include "kind/kube_server.h"
#include "kind/kube_wait.h"
#include "kind/nothing.h"
#include "kind/spec.h"
#include "tree/tree.h"

#define CERT_MANAGER "cert-manager.io/v1"
#define GONE_SECONDS 60

static const struct spec_field fields[] = {
        {"name", SPEC_STRING, true},      /* "" = of another kind than ClusterIssuer: not looked at */
        {"certificate", SPEC_TEXT, true}, /* its name, and its Secret's */
        {0},
};

static int check(const json_t *spec, struct err **err)
{
        return spec_check(spec, fields, err);
}

/* Who may not see ClusterIssuers hears of a missing one from the certificate that does not come. One that is in trouble
 * just now is nothing against a cluster that has its certificate. */
static int look_at(struct kube *kube, const char *name, bool first, struct err **err)
{
        struct kube_ref ref = {CERT_MANAGER, "ClusterIssuer", NULL, name};
        json_auto_t *issuer = NULL;
        int r = *name ? kube_get(kube, &ref, &issuer, NULL) : 0;
        if (r == -ERR_NOT_FOUND)
                return err_set(err, ERR_INVALID,
                        "there is no ClusterIssuer %s (kubectl get clusterissuer lists them): change "
                        "kubernetes.cert_issuer, or make it",
                        name);
        const json_t *ready = kube_condition(issuer, "Ready");
        if (first && ready && !str_is(spec_text(ready, "status", ""), "True"))
                return err_set(err, ERR_INVALID, "the ClusterIssuer %s is not ready: %s", name,
                        spec_text(ready, "message", spec_text(ready, "reason", "it does not say why")));
        return 0;
}

static int preflight(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        struct kube *kube = NULL;
        int result = kube_of(ctx, &kube, err);
        if (result < 0)
                return result;
        CLEANUP_ERR struct err *why = NULL;
        result = kube_knows(kube, CERT_MANAGER, "Certificate", NULL, &why);
        if (result == -ERR_NOT_FOUND)
                return err_set(err, ERR_INVALID,
                        "cert-manager is not installed in this Kubernetes cluster (it knows no Certificate of %s): "
                        "install "
                        "it, or choose another tls.mode",
                        CERT_MANAGER);
        if (result < 0)
                return err_set(err, (enum err_code) - result, "%s", why->message);
        return look_at(kube, spec_text(r->spec, "name", ""), !recorded, err);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)ctx, (void)r, (void)recorded, (void)state, (void)ret_outputs, (void)err;
        return 0;
}

/* ---- what it leaves ---- */

/* The object, if it is there; one of a kind that is not known any more is not. */
static int find(struct kube *kube, const struct kube_ref *ref, json_t **ret, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = kube_get(kube, ref, ret, &fault);
        if (r < 0 && r != -ERR_NOT_FOUND && err)
                *err = STEAL(fault);
        return r == -ERR_NOT_FOUND ? 0 : r;
}

/* cert-manager gives it the Ingress' labels. Somebody else's of that name stays, and *ret_gone is false. */
static int remove_certificate(
        struct kind_ctx *ctx, struct kube *kube, const char *name, bool *ret_gone, struct err **err)
{
        struct kube_ref ref = {CERT_MANAGER, "Certificate", kube_namespace_of(ctx), name};
        json_auto_t *live = NULL;
        int r = find(kube, &ref, &live, err);
        *ret_gone = !live || manifest_is_ours(live, ctx->cluster);
        if (r < 0 || !live || !*ret_gone)
                return r;
        const char *uid = json_string_value(tree_get(live, "metadata.uid"));
        r = kube_delete(kube, &ref, "Background", uid, err);
        return r < 0 ? r : kube_wait_gone(ctx, kube, &ref, uid, GONE_SECONDS, err);
}

static int remove_secret(struct kind_ctx *ctx, struct kube *kube, const char *name, struct err **err)
{
        struct kube_ref ref = {"v1", "Secret", kube_namespace_of(ctx), name};
        json_auto_t *live = NULL;
        int r = find(kube, &ref, &live, err);
        const char *whose = spec_text(tree_get(live, "metadata.annotations"), "cert-manager.io/certificate-name", "");
        if (r < 0 || !str_is(whose, name))
                return r;
        return kube_delete(kube, &ref, NULL, json_string_value(tree_get(live, "metadata.uid")), err);
}

static int take_away(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded, (void)ret_kept;
        const char *name = spec_text(r->spec, "certificate", "");
        struct kube *kube = NULL;
        bool gone = false;
        int result = kube_of(ctx, &kube, err);
        if (result == 0)
                result = remove_certificate(ctx, kube, name, &gone, err);
        return result < 0 || !gone ? result : remove_secret(ctx, kube, name, err);
}

extern const struct kind kind_kube_issuer;
const struct kind kind_kube_issuer = {
        .name = "kube.issuer",
        .check = check,
        .observe = nothing_observe,
        .compare = nothing_compare,
        .preflight = preflight,
        .apply = apply,
        .remove = take_away,
        .adopt = nothing_adopt,
};
