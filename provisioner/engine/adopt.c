/* Rebuilds a lost journal. What the form wants is looked for where it would be; what is there and ours is written down
 * as an apply would have left it, and nothing is changed. What carries our marks and is not wanted any more is written
 * down, too, so that the next apply (or destroy) removes it. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine/private.h"
#include "kind/kube_inventory.h"
#include "kind/kube_manifest.h"
#include "kind/kube_recover.h"
#include "kind/kube_server.h"
#include "tree/digest.h"
#include "tree/subst.h"

#define KIND_OBJECT "kube.object"

struct adoption {
        struct engine *engine;
        struct adopted *result;
        int64_t run;
        json_t *outputs; /* of what was adopted */
        json_t *secrets; /* names that were found */
        json_t *strange; /* objects of ours that nothing wants: {id, spec} */
};

/* ---- secrets ---- */

static void on_secret(void *data, const char *name, const char *value)
{
        struct adoption *a = data;
        json_t *made = json_object_get(a->engine->new_secrets, name);
        if (!made || json_object_get(a->secrets, name)) /* not one of ours, known already, or of a file */
                return;
        for (size_t i = 0; i < a->engine->o.secrets->count; i++)
                if (str_is(a->engine->o.secrets->item[i].name, name) && a->engine->o.secrets->item[i].file)
                        return;
        json_string_set(made, value);
        json_object_set_new(a->secrets, name, json_true());
}

/* What a resource's outputs will be, as far as its spec says it by itself: where its files lie, and what a value holds.
 */
static json_t *plain_outputs(const char *kind, json_t *spec)
{
        if (str_is(kind, "value"))
                return json_incref(spec);
        json_t *outputs = json_object();
        if (str_is(kind, "host.certificate")) {
                json_object_set(outputs, "certificate", json_object_get(spec, "certificate"));
                json_object_set(outputs, "key", json_object_get(spec, "key"));
        }
        return outputs;
}

static int recover_one(struct adoption *a, const struct resource *wanted, json_t *outputs, struct err **err)
{
        json_auto_t *spec = NULL;
        int result = plan_fill_known(wanted->spec, outputs, &spec, err);
        if (result < 0)
                return result;
        const struct resource r = {wanted->id, wanted->kind, spec, wanted->needs};
        struct call call = {a->engine, r.id, r.kind};
        struct kind_ctx ctx = engine_ctx(&call);
        json_object_set_new(outputs, r.id, plain_outputs(r.kind, spec));
        return str_is(r.kind, KIND_OBJECT) ? kube_recover(&ctx, &r, on_secret, a, err) : 0;
}

static bool names_secret(const json_t *tree, const char *name)
{
        const char *key;
        json_t *value;
        size_t i;
        if (str_is(json_string_value(json_object_get(tree, MARK_SECRET)), name))
                return true;
        json_object_foreach ((json_t *)tree, key, value)
                if (names_secret(value, name))
                        return true;
        json_array_foreach ((json_t *)tree, i, value)
                if (names_secret(value, name))
                        return true;
        return false;
}

/* Secrets that are new now although something uses them; not those that are read from files. */
static void list_new_secrets(struct adoption *a)
{
        const struct role_secrets *secrets = a->engine->o.secrets;
        for (size_t i = 0; i < secrets->count; i++) {
                const char *name = secrets->item[i].name;
                bool used = false;
                for (size_t k = 0; k < a->engine->desired.count && !used; k++)
                        used = names_secret(a->engine->desired.item[k].spec, name);
                if (used && !secrets->item[i].file && !json_object_get(a->secrets, name))
                        json_array_append_new(a->result->new_secrets, json_string(name));
        }
}

static int recover(struct adoption *a, struct err **err)
{
        json_auto_t *outputs = json_object();
        for (size_t i = 0; i < a->engine->desired.count; i++) {
                int result = recover_one(a, &a->engine->desired.item[i], outputs, err);
                if (result < 0)
                        return err_prefix(err, "%s", a->engine->desired.item[i].id);
        }
        list_new_secrets(a);
        return 0;
}

/* ---- resources ---- */

static int64_t wall(const struct adoption *a)
{
        return a->engine->o.clock->wall_ms(a->engine->o.clock);
}

static int write_down(
        struct adoption *a, const struct resource *r, const json_t *state, const json_t *outputs, struct err **err)
{
        struct journal *journal = a->engine->o.journal;
        const char *cluster = a->engine->o.cluster;
        char digest[DIGEST_SIZE];
        digest_tree(r->spec, digest);
        int result = journal_step_intent(journal, a->run, cluster, r, "adopt", NULL, wall(a), err);
        if (result == 0)
                result = journal_step_applied(journal, a->run, cluster, r->id, digest, state, outputs, 0, wall(a), err);
        if (result < 0)
                return result;
        json_object_set_new(a->outputs, r->id, outputs ? json_incref((json_t *)outputs) : json_object());
        return 0;
}

static int adopt_one(struct adoption *a, const struct resource *wanted, struct err **err)
{
        const struct kind *kind = engine_kind(a->engine, wanted->kind);
        json_auto_t *spec = NULL, *state = NULL, *outputs = NULL;
        if (!kind)
                return err_set(err, ERR_VERSION, "there is no kind of resource %s", wanted->kind);
        int result = plan_fill(wanted->spec, a->outputs, &spec, err);
        if (result < 0)
                return result;
        struct resource r = {wanted->id, wanted->kind, spec, wanted->needs};
        struct call call = {a->engine, r.id, r.kind};
        struct kind_ctx ctx = engine_ctx(&call);
        if (kind->adopt && !subst_has_marker(spec, MARK_AFTER))
                result = kind->adopt(&ctx, &r, &state, &outputs, err);
        if (result < 0)
                return result;
        if (!state) {
                json_array_append_new(a->result->missing, json_string(r.id));
                return 0;
        }
        a->result->count++;
        return write_down(a, &r, state, outputs, err);
}

/* ---- what nothing wants any more ---- */

static bool is_wanted(const struct engine *engine, const char *id)
{
        for (size_t i = 0; i < engine->desired.count; i++)
                if (str_is(engine->desired.item[i].id, id))
                        return true;
        return false;
}

static const char *member(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "";
}

static int on_object(void *data, const json_t *live)
{
        struct adoption *a = data;
        const json_t *metadata = json_object_get(live, "metadata");
        const char *id = member(json_object_get(metadata, "annotations"), KUBE_ANNOTATION_RESOURCE);
        if (!*id || is_wanted(a->engine, id) || json_object_get(a->strange, id))
                return 0;
        json_t *object = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", member(live, "apiVersion"), "kind",
                member(live, "kind"), "metadata", "name", member(metadata, "name"));
        if (*member(metadata, "namespace"))
                json_object_set_new(
                        json_object_get(object, "metadata"), "namespace", json_string(member(metadata, "namespace")));
        json_t *spec = json_pack("{s:o}", "object", object);
        struct kube_ref ref = manifest_ref(spec);
        if (manifest_holds_data(&ref))
                json_object_set_new(spec, "keep", json_true());
        json_object_set_new(a->strange, id,
                json_pack("{s:o, s:{s:s, s:b}}", "spec", spec, "outputs", "uid", member(metadata, "uid"), "made", 1));
        return 0;
}

static int adopt_strange(struct adoption *a, struct err **err)
{
        struct kube *kube;
        int result = kube_link_open(a->engine->ctx.kube, &kube, err);
        if (result == 0)
                result = kube_inventory_ours(
                        kube, a->engine->o.cluster, kube_link_namespace(a->engine->ctx.kube), on_object, a, err);
        const char *id;
        json_t *entry;
        json_object_foreach (a->strange, id, entry) {
                char *none[] = {NULL};
                json_t *outputs = json_object_get(entry, "outputs");
                const struct resource r = {(char *)id, (char *)KIND_OBJECT, json_object_get(entry, "spec"), none};
                if (result == 0)
                        result = write_down(a, &r, outputs, outputs, err);
                json_array_append_new(a->result->strange, json_string(id));
        }
        return result;
}

/* ---- */

static int carry_out(struct adoption *a, struct err **err)
{
        int result = 0;
        for (size_t i = 0; i < a->engine->desired.count && result == 0; i++) {
                result = cancel_check(a->engine->o.cancel, 1, err);
                if (result == 0)
                        result = adopt_one(a, &a->engine->desired.item[i], err);
                if (result < 0)
                        err_prefix(err, "%s", a->engine->desired.item[i].id);
        }
        return result < 0 ? result : adopt_strange(a, err);
}

void adopted_clear(struct adopted *adopted)
{
        json_decref(adopted->missing);
        json_decref(adopted->strange);
        json_decref(adopted->new_secrets);
        *adopted = (struct adopted){0};
}

int engine_adopt(struct engine *engine, struct adopted *ret, struct err **err)
{
        if (engine->recorded.count)
                return err_set(err, ERR_REFUSED,
                        "the journal knows %zu resources of cluster %s already: there is nothing to adopt; 'caas plan' "
                        "says what differs",
                        engine->recorded.count, engine->o.cluster);
        if (!engine->ctx.kube)
                return err_set(err, ERR_INVALID, "only what runs on Kubernetes can be adopted: it carries our labels");
        struct adopted result = {.missing = json_array(), .strange = json_array(), .new_secrets = json_array()};
        struct adoption a = {.engine = engine,
                .result = &result,
                .outputs = json_object(),
                .secrets = json_object(),
                .strange = json_object()};
        engine_event(engine, &(struct event){.type = EVENT_PHASE, .text = "observing"});
        CLEANUP_ERR struct err *fault = NULL;
        int r = recover(&a, &fault);
        if (r == 0)
                r = engine_begin(engine, "adopt", NULL, &a.run, &fault);
        if (r == 0) {
                r = carry_out(&a, &fault);
                CLEANUP_ERR struct err *late = NULL;
                int ended = engine_end(engine, a.run, r, fault, &late);
                if (r == 0 && ended < 0) {
                        r = ended;
                        fault = STEAL(late);
                }
        }
        json_decref(a.outputs);
        json_decref(a.secrets);
        json_decref(a.strange);
        if (r < 0) {
                adopted_clear(&result);
                if (err)
                        *err = STEAL(fault);
                return r;
        }
        *ret = result;
        return 0;
}
