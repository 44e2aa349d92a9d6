#include "access/claims.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#define HOMES     "component=singleuser-storage"
#define NAMES_MAX 65536
#define USERNAME  "hub.jupyter.org/username" /* label (escaped) and annotation (as it is) of KubeSpawner */

struct search {
        const char *user, *prefix;
        int64_t before_s;
        char **name; /* of those that are wanted */
        size_t count, capacity;
};

static void search_clear(struct search *search)
{
        for (size_t i = 0; i < search->count; i++)
                free(search->name[i]);
        free(search->name);
}
#define CLEANUP_SEARCH __attribute__((cleanup(search_clear)))

static bool is_wanted(const struct search *search, const char *user, const char *created)
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
        if (!user || !name ||
                !is_wanted(search, user, json_string_value(json_object_get(metadata, "creationTimestamp"))))
                return 0;
        MEM_GROW(search->name, search->count, search->capacity);
        search->name[search->count++] = str_copy(name);
        return 0;
}

static int find(struct kube_link *link, struct search *search, struct kube **ret, struct err **err)
{
        struct kube_list list = {.api_version = "v1",
                .kind = "PersistentVolumeClaim",
                .namespace = kube_link_namespace(link),
                .labels = HOMES};
        int r = kube_link_open(link, ret, err);
        return r < 0 ? r : kube_list(*ret, &list, look, search, NULL, err);
}

int claims_find(struct kube_link *link, const char *user, char **ret, struct err **err)
{
        CLEANUP_SEARCH struct search search = {.user = user};
        CLEANUP_BUF struct buf names = BUF_INIT(NAMES_MAX);
        struct kube *kube = NULL;
        int r = find(link, &search, &kube, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < search.count; i++)
                buf_format(&names, "%s%s", i ? ", " : "", search.name[i]);
        *ret = search.count ? buf_steal(&names) : NULL;
        return 0;
}

int claims_delete(struct kube_link *link, const char *user, const char *prefix, long left_behind_s, struct err **err)
{
        struct clock *clock = clock_system();
        CLEANUP_SEARCH struct search search = {
                .user = user, .prefix = prefix, .before_s = clock->wall_ms(clock) / 1000 - left_behind_s};
        struct kube *kube = NULL;
        int r = find(link, &search, &kube, err);
        for (size_t i = 0; i < search.count && r == 0; i++) {
                struct kube_ref ref = {"v1", "PersistentVolumeClaim", kube_link_namespace(link), search.name[i]};
                r = kube_delete(kube, &ref, "Background", NULL, err);
        }
        return r;
}
