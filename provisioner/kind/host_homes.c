/* host.homes: the size of all users' homes, and what becomes of them when the cluster goes.
 *
 * Homes are made when their users first come; this resource only keeps those that exist at the wanted size. At the end
 * it ends whatever users still run in the control groups of `parent` (servers and workers outlive the services that
 * started them) and unmounts the homes. The images are user data. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/cgroup/cgroup.h"
#include "client/home/home.h"
#include "kind/place.h"
#include "kind/spec.h"

#define STOP_MS    10000
#define UNMOUNT_MS 10000
#define GB         1e9

static const struct spec_field fields[] = {
        {"images", SPEC_PATH, true},
        {"mounts", SPEC_PATH, true},
        {"bytes", SPEC_WHOLE, false},
        {"gb", SPEC_NUMBER, false},
        {"parent", SPEC_TEXT, false},
        {NULL, SPEC_ANY, false},
};

static int64_t bytes_of(const json_t *spec)
{
        if (json_object_get(spec, "gb"))
                return (int64_t)llround(spec_number(spec, "gb", 0) * GB);
        return spec_whole(spec, "bytes", 0);
}

static struct home_store store_of(const json_t *spec)
{
        return (struct home_store){.images = spec_text(spec, "images", ""), .mounts = spec_text(spec, "mounts", "")};
}

static int check(const json_t *spec, struct err **err)
{
        static const char *const sizes[] = {"bytes", "gb", NULL};
        int r = spec_check(spec, fields, err);
        if (r == 0)
                r = spec_check_one_of(spec, sizes, err);
        if (r < 0 || spec_is_open(json_object_get(spec, "bytes")) || spec_is_open(json_object_get(spec, "gb")))
                return r;
        int64_t bytes = bytes_of(spec);
        if (bytes < HOME_BYTES_MIN || bytes > HOME_BYTES_MAX)
                return err_set(err, ERR_INVALID, "homes of %" PRId64 " bytes: %lld to %lld are allowed", bytes,
                        HOME_BYTES_MIN, HOME_BYTES_MAX);
        return 0;
}

/* What can drift is only that some home is smaller than it should be. The number of homes is the users' affair. */
static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx;
        struct home_store store = store_of(r->spec);
        if (!file_exists(store.images) || !file_exists(store.mounts)) {
                *ret_state = NULL;
                return 0;
        }
        CLEANUP_HOMES struct homes homes = {0};
        int result = home_list(&store, &homes, err);
        if (result < 0)
                return result;
        int smaller = 0;
        for (size_t i = 0; i < homes.count; i++)
                smaller += homes.item[i].bytes < bytes_of(r->spec);
        *ret_state = json_pack("{s:i}", "smaller", smaller);
        return 0;
}

static int compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        int64_t wanted = bytes_of(r->spec), before = recorded ? bytes_of(recorded->spec) : 0;
        place_compare(r, recorded, state, "images", ret_change);
        if (wanted >= before)
                return 0;
        change_clear(ret_change);
        ret_change->action = ACTION_REFUSE;
        ret_change->reason =
                str_format("homes cannot shrink: they hold %g GB and %g GB are asked for. Put the old size back; "
                           "a smaller one is possible in a new cluster only",
                        (double)before / GB, (double)wanted / GB);
        return 0;
}

/* Users have to come through the folders above, but need not see what is in them. */
static int make_folder(const char *path, mode_t mode, struct err **err)
{
        CLEANUP_FREE char *above = str_copy(path);
        char *slash = strrchr(above, '/');
        if (slash && slash != above) {
                *slash = '\0';
                int r = file_make_dirs(above, 0711, err);
                if (r < 0)
                        return r;
        }
        return file_make_dirs(path, mode, err);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        struct home_store store = store_of(r->spec);
        int result = place_check(ctx, r->spec, store.images, err);
        if (result == 0)
                result = place_check(ctx, r->spec, store.mounts, err);
        if (result == 0)
                result = make_folder(store.images, 0700, err);
        if (result == 0)
                result = make_folder(store.mounts, 0711, err);
        int grown = 0;
        if (result == 0)
                result = home_grow_all(&store, bytes_of(r->spec), &grown, err);
        if (result < 0)
                return result;
        if (grown > 0)
                kind_progress(ctx, "%d homes grown to %g GB", grown, (double)bytes_of(r->spec) / GB);
        *ret_outputs = json_pack("{s:s, s:s, s:I}", "images", store.images, "mounts", store.mounts, "bytes",
                (json_int_t)bytes_of(r->spec));
        return 0;
}

static int delete_all(const struct home_store *store, const struct homes *homes, struct err **err)
{
        for (size_t i = 0; i < homes->count; i++) {
                int r = home_delete(store, homes->item[i].user, UNMOUNT_MS, err);
                if (r < 0)
                        return r;
        }
        return file_remove_tree(store->images, err); /* what is left: lock files, unfinished images */
}

static int end_sessions(const json_t *spec, struct err **err)
{
        const char *parent = spec_text(spec, "parent", NULL);
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        CLEANUP_ERR struct err *none = NULL;
        if (!parent || cgroup_open(NULL, parent, &tree, &none) < 0) /* no groups possible here: then nobody is in one */
                return 0;
        int r = cgroup_stop_all(tree, STOP_MS, err);
        return r < 0 ? err_prefix(err, "ending users' processes") : 0;
}

/* The folder above goes too once it is empty. */
static void remove_above(const char *path)
{
        CLEANUP_FREE char *above = str_copy(path);
        char *slash = strrchr(above, '/');
        if (slash && slash != above) {
                *slash = '\0';
                rmdir(above);
        }
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded;
        struct home_store store = store_of(r->spec);
        CLEANUP_HOMES struct homes homes = {0};
        int result = place_check(ctx, r->spec, store.images, err);
        if (result == 0)
                result = place_check(ctx, r->spec, store.mounts, err);
        if (result == 0)
                result = end_sessions(r->spec, err);
        /* What still holds a home now is a process the cluster knows nothing of: it keeps what it has open, but the
         * tree gets free. */
        if (result == 0)
                result = home_unmount_all(&store, UNMOUNT_MS, true, err);
        if (result == 0)
                result = home_list(&store, &homes, err);
        if (result < 0)
                return result;
        if (rmdir(store.mounts) < 0 && errno != ENOENT)
                return err_set_errno(err, errno, "cannot remove %s", store.mounts);
        if (ctx->delete_data || homes.count == 0) {
                result = delete_all(&store, &homes, err);
                remove_above(store.images);
                return result;
        }
        *ret_kept = str_format("%zu home%s kept in %s", homes.count, homes.count == 1 ? " is" : "s are", store.images);
        return 0;
}

extern const struct kind kind_host_homes;
const struct kind kind_host_homes = {
        .name = "host.homes",
        .check = check,
        .observe = observe,
        .compare = compare,
        .apply = apply,
        .remove = remove_it,
};
