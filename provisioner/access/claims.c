#include "access/claims.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define HOMES    "component=singleuser-storage,release=%s" /* there may be several clusters in a namespace */
#define USERNAME "hub.jupyter.org/username" /* label (escaped) and annotation (as it is) of KubeSpawner */

struct search {
        const char *user, *prefix;
        int64_t before_s;
        json_t *names; /* of those that are meant */
};

static bool is_meant(const struct search *search, const char *user, const char *created)
{
        struct tm tm = {0};
        if (str_is(user, search->user))
                return true;
        return search->prefix && str_starts(user, search->prefix) && created &&
               strptime(created, "%Y-%m-%dT%H:%M:%S", &tm) && (int64_t)timegm(&tm) < search->before_s;
}

static int look(void *data, const json_t *claim)
{
        struct search *search = data;
        const json_t *metadata = json_object_get(claim, "metadata");
        const char *user = json_string_value(json_object_get(json_object_get(metadata, "annotations"), USERNAME));
        const char *name = json_string_value(json_object_get(metadata, "name"));
        if (user && name && is_meant(search, user, json_string_value(json_object_get(metadata, "creationTimestamp"))))
                json_array_append_new(search->names, json_string(name));
        return 0;
}

static int find(struct kube *kube, const char *namespace, const char *cluster, struct search *search, struct err **err)
{
        CLEANUP_FREE char *labels = str_format(HOMES, cluster);
        struct kube_list list = {
                .api_version = "v1", .kind = "PersistentVolumeClaim", .namespace = namespace, .labels = labels};
        return kube_list(kube, &list, look, search, NULL, err);
}

int claims_of(struct kube_link *link, const char *cluster, const char *user, json_t **ret, struct err **err)
{
        json_auto_t *names = json_array();
        struct search search = {.user = user, .names = names};
        struct kube *kube = NULL;
        int r = kube_link_open(link, &kube, err);
        if (r == 0)
                r = find(kube, kube_link_namespace(link), cluster, &search, err);
        if (r == 0)
                *ret = json_incref(names);
        return r;
}

int claims_delete(struct kube_link *link, const char *cluster, const char *user, const char *prefix, long left_behind_s,
        struct err **err)
{
        struct clock *clock = clock_system();
        json_auto_t *names = json_array();
        struct search search = {.user = user,
                .prefix = prefix,
                .before_s = clock->wall_ms(clock) / 1000 - left_behind_s,
                .names = names};
        const char *namespace = kube_link_namespace(link);
        struct kube *kube = NULL;
        size_t i;
        json_t *name;
        int r = kube_link_open(link, &kube, err);
        if (r == 0)
                r = find(kube, namespace, cluster, &search, err);
        json_array_foreach (names, i, name) {
                struct kube_ref ref = {"v1", "PersistentVolumeClaim", namespace, json_string_value(name)};
                if (r == 0)
                        r = kube_delete(kube, &ref, "Background", NULL, err);
        }
        return r;
}
