#include "kind/kube_admission.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/spec.h"
#include "tree/tree.h"

const char *kube_admission_refusal(const char *said)
{
        static const char *const signs[] = {
                "violates PodSecurity \"",         /* the namespace's Pod Security level */
                " denied request: ",               /* a ValidatingAdmissionPolicy */
                " denied the request",             /* a webhook */
                " per Container is ",              /* a LimitRange; "maximum cpu usage per Container is 1, but …" */
                " per Pod is ", ": must specify ", /* a quota that wants limits for all */
        };
        static const char prefix[] = "is forbidden: ";
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
                if (strstr(said, signs[i])) {
                        const char *why = strstr(said, prefix);
                        return why ? why + sizeof prefix - 1 : said;
                }
        return NULL;
}

/* One pod as the workload's controller would make it; NULL for what makes none. */
static json_t *pod_of(const struct manifest *manifest)
{
        const json_t *template = tree_get(manifest->object, "spec.template");
        bool apps = str_starts(manifest->ref.api_version, "apps/"); /* Deployments and their like */
        if (!apps || !json_is_object(json_object_get(template, "spec")) || !manifest->ref.namespace)
                return NULL;
        json_t *metadata = json_copy(json_object_get(template, "metadata"));
        CLEANUP_FREE char *name = str_format("%s-asked-for", manifest->ref.name);
        metadata = metadata ? metadata : json_object();
        json_object_set_new(metadata, "name", json_string(name));
        json_object_set_new(metadata, "namespace", json_string(manifest->ref.namespace));
        return json_pack("{s:s, s:s, s:o, s:O}", "apiVersion", "v1", "kind", "Pod", "metadata", metadata, "spec",
                json_object_get(template, "spec"));
}

bool kube_admission_matters(const json_t *spec, const json_t *state)
{
        int64_t replicas = spec_whole(tree_get(spec, "object.spec"), "replicas", 1);
        return state || (!spec_bool(spec, "wait", true) && replicas != 0);
}

int kube_admission_ask(struct kube *kube, const struct manifest *manifest, struct err **err)
{
        json_auto_t *pod = pod_of(manifest);
        CLEANUP_ERR struct err *fault = NULL;
        if (!pod || kube_create(kube, pod, KUBE_DRY_RUN, NULL, &fault) == 0)
                return 0;
        const char *why = kube_admission_refusal(fault->message);
        if (!why)
                return 0;
        CLEANUP_FREE char *name = manifest_name(&manifest->ref);
        return err_set(err, ERR_REFUSED, "%s: its pods would be refused: %s", name, why);
}
