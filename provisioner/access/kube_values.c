#include "access/kube_values.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "tree/tree.h"

/* What one is sure of, and at most how many times of it in CPUs: a burst at the start is short, and a quota may ask for
 * a limit. */
#define CPU_BURST 4.0
#define CPU_LEAST 1.0

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "";
}

static json_t *text_or_null(const json_t *object, const char *key)
{
        const char *text = text_of(object, key);
        return *text ? json_string(text) : json_null();
}

static json_t *or_empty(const json_t *object, const char *key, json_t *empty)
{
        json_t *value = json_object_get(object, key);
        if (!value || json_is_null(value))
                return empty;
        json_decref(empty);
        return json_incref(value);
}

/* ---- images ---- */

static int read_images(const char *data_dir, struct tree **ret, struct err **err)
{
        CLEANUP_FREE char *path = file_join(data_dir, "roles/base/images.yaml");
        int r = tree_load(path, ret, err);
        if (r < 0)
                return r;
        const char *name;
        json_t *image;
        json_object_foreach (tree_root(*ret), name, image)
                if (!json_is_string(image)) {
                        *ret = tree_free(*ret);
                        return err_set(err, ERR_INVALID, "%s: %s is no name of an image", path, name);
                }
        return 0;
}

static json_t *images_of(const json_t *list, const json_t *own)
{
        const char *registry = text_of(own, "registry"), *name;
        json_t *ret = json_object(), *image;
        json_object_foreach ((json_t *)list, name, image) {
                const char *given = text_of(own, name), *ours = json_string_value(image);
                CLEANUP_FREE char *full = *given      ? str_copy(given)
                                          : *registry ? str_format("%s/%s", registry, ours)
                                                      : str_copy(ours);
                json_object_set_new(ret, name, json_string(full));
        }
        return ret;
}

/* ---- sizes ---- */

static json_t *cpus(double cpus)
{
        CLEANUP_FREE char *text = str_format("%.0fm", fmax(1, round(cpus * 1000)));
        return json_string(text);
}

/* GB of the form are 10^9 bytes. */
static json_t *memory(double gb)
{
        CLEANUP_FREE char *text = str_format("%.0fM", fmax(1, round(gb * 1000)));
        return json_string(text);
}

static json_t *size(double sure_cpus, double gb)
{
        return json_pack("{s:{s:o, s:o}, s:{s:o, s:o}}", "requests", "cpu", cpus(sure_cpus), "memory", memory(gb),
                "limits", "cpu", cpus(fmax(CPU_LEAST, CPU_BURST * sure_cpus)), "memory", memory(gb));
}

static json_t *sizes_of(const json_t *form)
{
        json_t *ret = json_object(), *part;
        const char *name;
        json_object_foreach ((json_t *)form, name, part)
                json_object_set_new(ret, name,
                        size(json_number_value(json_object_get(part, "cpus")),
                                json_number_value(json_object_get(part, "ram"))));
        json_object_set_new(ret, "small",
                json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "requests", "cpu", "1m", "memory", "10M", "limits", "cpu",
                        "100m", "memory", "50M"));
        return ret;
}

int kube_values(const char *data_dir, const char *cluster, const json_t *form, json_t **ret, struct err **err)
{
        const json_t *own = json_object_get(form, "kubernetes");
        const json_t *images = json_object_get(own, "images");
        const char *namespace = text_of(own, "namespace"), *pull_secret = text_of(images, "pull_secret");
        struct tree *list = NULL;
        int r = read_images(data_dir, &list, err);
        if (r < 0)
                return r;
        json_t *secrets = json_array();
        if (*pull_secret)
                json_array_append_new(secrets, json_pack("{s:s}", "name", pull_secret));
        *ret = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "namespace",
                *namespace ? namespace : cluster, "entry",
                *text_of(own, "entry") ? text_of(own, "entry") : "loadbalancer", "ingress_class",
                text_or_null(own, "ingress_class"), "storage_class", text_or_null(own, "storage_class"),
                "node_selector", or_empty(own, "node_selector", json_object()), "tolerations",
                or_empty(own, "tolerations", json_array()), "annotations", or_empty(own, "annotations", json_object()),
                "pull_secrets", secrets, "images", images_of(tree_root(list), images), "resources",
                sizes_of(json_object_get(own, "resources")));
        tree_free(list);
        return 0;
}
