/* kube.certificate: waits until cert-manager has made the certificate that an Ingress asks for: by the issuer that it
 * names now, for its name. It changes nothing and leaves nothing (that is kube.issuer's). */
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"
#include "kind/kube_ready.h"
#include "kind/kube_server.h"
#include "kind/kube_wait.h"
#include "kind/nothing.h"
#include "kind/spec.h"
#include "tree/tree.h"

#define CERT_MANAGER "cert-manager.io/v1"
#define SECONDS      300
#define SLICE_MS     2000

static const struct spec_field fields[] = {
        {"name", SPEC_TEXT, true}, /* of the Certificate, and its Secret */
        {"issuer", SPEC_TEXT, true},
        {"domain", SPEC_TEXT, true},
        {"seconds", SPEC_NUMBER, false},
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        return spec_check(spec, fields, err);
}

struct wait {
        const json_t *spec;
        bool ready, failed;
        char *text; /* what it still lacks; never NULL */
};

static void say(struct wait *wait, char *text)
{
        free(wait->text);
        wait->text = text;
}

static bool is_for(const json_t *certificate, const json_t *spec)
{
        size_t i;
        const json_t *name;
        if (!str_is(json_string_value(tree_get(certificate, "spec.issuerRef.name")), spec_text(spec, "issuer", "")))
                return false;
        json_array_foreach (tree_get(certificate, "spec.dnsNames"), i, name)
                if (str_is(json_string_value(name), spec_text(spec, "domain", "")))
                        return true;
        return false;
}

/* A condition of the object as it is now. */
static const json_t *current(const json_t *object, const char *type)
{
        const json_t *found = kube_condition(object, type);
        json_int_t seen = json_integer_value(json_object_get(found, "observedGeneration"));
        return seen == json_integer_value(tree_get(object, "metadata.generation")) ? found : NULL;
}

static void judge(struct wait *wait, const json_t *certificate)
{
        wait->ready = wait->failed = false;
        if (!certificate || !is_for(certificate, wait->spec)) {
                say(wait, str_copy("it has not taken up what the Ingress asks for: does its controller run?"));
                return;
        }
        const json_t *ready = current(certificate, "Ready"), *issuing = current(certificate, "Issuing");
        const char *reason = spec_text(issuing, "reason", "");
        wait->ready = str_is(spec_text(ready, "status", ""), "True");
        wait->failed = !wait->ready && str_is(spec_text(issuing, "status", ""), "False");
        const json_t *telling = wait->failed ? issuing : ready;
        say(wait, wait->failed ? str_format("%s: %s", reason, spec_text(telling, "message", ""))
                               : str_copy(spec_text(telling, "message", "it has not begun with it")));
}

static int on_event(void *data, const char *type, const json_t *object)
{
        struct wait *wait = data;
        if (str_is(type, "DELETED"))
                judge(wait, NULL);
        else if (object)
                judge(wait, object);
        return wait->ready || wait->failed;
}

/* ---- what its request says: the Certificate itself only says that there is none yet ---- */

struct request {
        const char *certificate;
        char *text;
};

static int each_request(void *data, const json_t *request)
{
        struct request *found = data;
        const json_t *ready = kube_condition(request, "Ready");
        const json_t *notes = tree_get(request, "metadata.annotations");
        if (str_is(spec_text(notes, "cert-manager.io/certificate-name", ""), found->certificate) &&
                !str_is(spec_text(ready, "status", ""), "True")) {
                free(found->text);
                found->text =
                        str_format("; its request: %.300s", spec_text(ready, "message", "nobody has answered it"));
        }
        return 0;
}

static int give_up(struct kind_ctx *ctx, struct kube *kube, const struct kube_ref *ref, const struct wait *wait,
        double seconds, struct err **err)
{
        struct kube_list list = {
                .api_version = CERT_MANAGER, .kind = "CertificateRequest", .namespace = kube_namespace_of(ctx)};
        struct request request = {ref->name, NULL};
        kube_list(kube, &list, each_request, &request, NULL, NULL);
        const char *more = request.text ? request.text : "";
        int r = wait->failed
                        ? err_set(err, ERR_FAILED,
                                  "cert-manager could not get the certificate %s/%s: %s%s. It tries again after an "
                                  "hour, or at once when that Certificate is deleted; then apply again",
                                  ref->namespace, ref->name, wait->text, more)
                        : err_set(err, ERR_TIMEOUT, "cert-manager has no certificate %s/%s after %.0f s: %s%s",
                                  ref->namespace, ref->name, seconds, wait->text, more);
        free(request.text);
        return r;
}

static int wait_for(struct kind_ctx *ctx, struct kube *kube, struct wait *wait, struct err **err)
{
        const char *name = spec_text(wait->spec, "name", "");
        struct kube_ref ref = {CERT_MANAGER, "Certificate", kube_namespace_of(ctx), name};
        CLEANUP_FREE char *field = str_format("metadata.name=%s", name);
        struct kube_list list = {
                .api_version = ref.api_version, .kind = ref.kind, .namespace = ref.namespace, .fields = field};
        double seconds = spec_number(wait->spec, "seconds", SECONDS);
        int64_t begun = ctx->clock->monotonic_ms(ctx->clock);
        int troubles = 0;
        for (;;) {
                int r = kube_wait_watch(ctx, kube, &ref, &list, SLICE_MS, on_event, wait, &troubles, err);
                if (r < 0 || wait->ready)
                        return r;
                int64_t waited = ctx->clock->monotonic_ms(ctx->clock) - begun;
                char duration[32];
                if (wait->failed || (double)waited > seconds * 1000)
                        return give_up(ctx, kube, &ref, wait, seconds, err);
                kind_progress(ctx, "waiting for cert-manager: %s (%s)", wait->text, clock_duration(waited, duration));
        }
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state, (void)ret_outputs;
        struct kube *kube = NULL;
        struct wait wait = {.spec = r->spec};
        int result = kube_of(ctx, &kube, err);
        judge(&wait, NULL);
        if (result == 0)
                result = wait_for(ctx, kube, &wait, err);
        free(wait.text);
        return result;
}

extern const struct kind kind_kube_certificate;
const struct kind kind_kube_certificate = {
        .name = "kube.certificate",
        .check = check,
        .observe = nothing_observe,
        .compare = nothing_compare,
        .apply = apply,
        .remove = nothing_remove,
        .adopt = nothing_adopt,
};
