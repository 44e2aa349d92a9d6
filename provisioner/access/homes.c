#include "access/homes.h"

#include "access/claims.h"
#include "access/reach.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/home/home.h"

#define UNMOUNT_MS 10000
#define NAMES_MAX  65536

static const char *cluster_of(const struct homes_place *place)
{
        return json_string_value(json_object_get(place->row, "name"));
}

/* "…/homes/<part>" of a host; the caller frees. */
static char *folder_of(const struct homes_place *place, const char *part)
{
        return str_format("%s/clusters/%s/homes/%s", place->state_dir, cluster_of(place), part);
}

static int link_of(const struct homes_place *place, struct kube_link **ret, struct err **err)
{
        return reach_link(place->journal, cluster_of(place), ret, err);
}

static int find_claims(const struct homes_place *place, const char *user, char **ret, struct err **err)
{
        CLEANUP_BUF struct buf list = BUF_INIT(NAMES_MAX);
        json_auto_t *claims = NULL;
        struct kube_link *link = NULL;
        size_t i;
        json_t *claim;
        int r = link_of(place, &link, err);
        if (r == 0)
                r = claims_of(link, cluster_of(place), user, &claims, err);
        if (r < 0)
                return r;
        json_array_foreach (claims, i, claim)
                buf_format(&list, "%s%s", i ? ", " : "", json_string_value(claim));
        *ret = list.length ? buf_steal(&list) : NULL;
        return 0;
}

int homes_find(const struct homes_place *place, const char *user, char **ret, struct err **err)
{
        if (reach_is_kubernetes(place->row))
                return find_claims(place, user, ret, err);
        CLEANUP_FREE char *images = folder_of(place, "images"), *image = str_format("%s/%s.xfs", images, user);
        *ret = file_exists(image) ? STEAL(image) : NULL;
        return 0;
}

int homes_delete(const struct homes_place *place, const char *user, struct err **err)
{
        struct kube_link *link = NULL;
        if (reach_is_kubernetes(place->row)) {
                int r = link_of(place, &link, err);
                return r < 0 ? r : claims_delete(link, cluster_of(place), user, NULL, 0, err);
        }
        CLEANUP_FREE char *images = folder_of(place, "images"), *mounts = folder_of(place, "mounts");
        struct home_store store = {.images = images, .mounts = mounts};
        int r = home_unmount(&store, user, UNMOUNT_MS, true, err);
        return r < 0 ? r : home_delete(&store, user, UNMOUNT_MS, err);
}
