#include "access/remains.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"
#include "kind/kube_inventory.h"
#include "kind/kube_remove.h"
#include "kind/kube_server.h"

#define HOMES "component=singleuser-storage,release="

struct found {
        json_t *objects; /* {"api_version", "kind", "namespace", "name"} */
};

static const char *text_of(const json_t *object, const char *key)
{
        return json_string_value(json_object_get(object, key));
}

static int collect(void *data, const json_t *object)
{
        struct found *found = data;
        const json_t *metadata = json_object_get(object, "metadata");
        json_array_append_new(
                found->objects, json_pack("{s:s?, s:s?, s:s?, s:s?}", "api_version", text_of(object, "apiVersion"),
                                        "kind", text_of(object, "kind"), "namespace", text_of(metadata, "namespace"),
                                        "name", text_of(metadata, "name")));
        return 0;
}

static struct kube_ref ref_of(const json_t *object)
{
        return (struct kube_ref){text_of(object, "api_version"), text_of(object, "kind"), text_of(object, "namespace"),
                text_of(object, "name")};
}

static int delete_homes(struct kube *kube, const char *namespace, const char *cluster, struct err **err)
{
        struct found found = {.objects = json_array()};
        CLEANUP_FREE char *labels = str_format(HOMES "%s", cluster);
        struct kube_list list = {
                .api_version = "v1", .kind = "PersistentVolumeClaim", .namespace = namespace, .labels = labels};
        size_t i;
        json_t *object;
        int r = kube_list(kube, &list, collect, &found, NULL, err);
        json_array_foreach (found.objects, i, object) {
                struct kube_ref ref = ref_of(object);
                if (r == 0)
                        r = kube_delete(kube, &ref, "Background", NULL, err);
        }
        json_decref(found.objects);
        return r;
}

/* Namespaces and definitions come last: they go only when nothing of others is left in them. */
static int rank(const json_t *object)
{
        const char *kind = text_of(object, "kind");
        return str_is(kind, "Namespace") ? 2 : str_is(kind, "CustomResourceDefinition") ? 1 : 0;
}

static void progress(struct kind_ctx *ctx, const char *text)
{
        (void)ctx, (void)text;
}

int remains_delete(const char *cluster, const json_t *target, struct cancel *cancel,
        void (*kept)(void *data, const char *text), void *data, struct err **err)
{
        struct found found = {.objects = json_array()};
        struct kube_link *link = kube_link_new(target, cancel);
        struct kind_ctx ctx = {.cluster = cluster,
                .target = target,
                .kube = link,
                .cancel = cancel,
                .clock = clock_system(),
                .delete_data = true,
                .progress = progress};
        struct kube *kube = NULL;
        size_t i;
        json_t *object;
        int r = kube_link_open(link, &kube, err);
        if (r == 0)
                r = delete_homes(kube, kube_link_namespace(link), cluster, err);
        if (r == 0)
                r = kube_inventory_ours(kube, cluster, kube_link_namespace(link), collect, &found, err);
        for (int turn = 0; turn <= 2; turn++)
                json_array_foreach (found.objects, i, object) {
                        CLEANUP_FREE char *left = NULL;
                        struct kube_ref ref = ref_of(object);
                        if (r < 0 || rank(object) != turn)
                                continue;
                        r = kube_remove(&ctx, kube, &ref, true, &left, err);
                        if (left)
                                kept(data, left);
                }
        json_decref(found.objects);
        kube_link_free(link);
        return r;
}
