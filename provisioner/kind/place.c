#include "kind/place.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/spec.h"

#define LOOKUP_BYTES 65536 /* a group entry lists its members */

static bool below(const char *path, const char *folder)
{
        size_t n = folder ? strlen(folder) : 0;
        while (n > 0 && folder[n - 1] == '/')
                n--;
        return n > 0 && strncmp(path, folder, n) == 0 && path[n] == '/' && path[n + 1] != '\0';
}

int place_check(const struct kind_ctx *ctx, const json_t *spec, const char *path, struct err **err)
{
        if (path[0] != '/' || strstr(path, "/../") || str_ends(path, "/.."))
                return err_set(err, ERR_REFUSED, "%s is not an absolute path without \"..\"", path);
        if (spec_bool(spec, "outside", false) || below(path, ctx->cluster_dir) || below(path, ctx->state_dir) ||
                str_is(path, ctx->cluster_dir))
                return 0;
        return err_set(err, ERR_REFUSED, "%s is outside of the state folder %s", path, ctx->state_dir);
}

static int find_user(const char *name, uid_t *ret, struct err **err)
{
        long number;
        if (str_to_long(name, &number) == 0) {
                *ret = (uid_t)number;
                return 0;
        }
        CLEANUP_FREE char *buffer = mem_zero(LOOKUP_BYTES);
        struct passwd entry, *found = NULL;
        int number_of_error = getpwnam_r(name, &entry, buffer, LOOKUP_BYTES, &found);
        if (!found && number_of_error)
                return err_set_errno(err, number_of_error, "cannot look up user %s", name);
        if (!found)
                return err_set(err, ERR_NOT_FOUND, "there is no user %s on this machine", name);
        *ret = found->pw_uid;
        return 0;
}

static int find_group(const char *name, gid_t *ret, struct err **err)
{
        long number;
        if (str_to_long(name, &number) == 0) {
                *ret = (gid_t)number;
                return 0;
        }
        CLEANUP_FREE char *buffer = mem_zero(LOOKUP_BYTES);
        struct group entry, *found = NULL;
        int number_of_error = getgrnam_r(name, &entry, buffer, LOOKUP_BYTES, &found);
        if (!found && number_of_error)
                return err_set_errno(err, number_of_error, "cannot look up group %s", name);
        if (!found)
                return err_set(err, ERR_NOT_FOUND, "there is no group %s on this machine", name);
        *ret = found->gr_gid;
        return 0;
}

int place_owner(const json_t *spec, uid_t *ret_uid, gid_t *ret_gid, struct err **err)
{
        uid_t uid = 0;
        gid_t gid = 0;
        const json_t *owner = json_object_get(spec, "owner"), *group = json_object_get(spec, "group");
        if (owner) {
                CLEANUP_FREE char *name = spec_scalar_text(owner);
                int r = find_user(name, &uid, err);
                if (r < 0)
                        return r;
        }
        if (group) {
                CLEANUP_FREE char *name = spec_scalar_text(group);
                int r = find_group(name, &gid, err);
                if (r < 0)
                        return r;
        }
        *ret_uid = uid;
        *ret_gid = gid;
        return 0;
}

int place_make_parent(const char *path, struct err **err)
{
        CLEANUP_FREE char *parent = str_copy(path);
        char *slash = strrchr(parent, '/');
        if (!slash || slash == parent)
                return 0;
        *slash = '\0';
        return file_make_dirs(parent, 0755, err);
}

int place_prepare(const struct kind_ctx *ctx, const json_t *spec, const char *path, uid_t *ret_uid, gid_t *ret_gid,
        struct err **err)
{
        uid_t uid;
        gid_t gid;
        int r = place_check(ctx, spec, path, err);
        if (r == 0)
                r = place_owner(spec, ret_uid ? ret_uid : &uid, ret_gid ? ret_gid : &gid, err);
        return r < 0 ? r : place_make_parent(path, err);
}

int place_look(const char *path, struct stat *ret, struct err **err)
{
        if (!path)
                return 0;
        if (lstat(path, ret) == 0)
                return 1;
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_set_errno(err, errno, "cannot look at %s", path);
}

void place_compare(const struct resource *r, const struct recorded *recorded, const json_t *state, const char *key,
        struct change *ret_change)
{
        change_default(r, recorded, state, ret_change);
        if (!recorded || !recorded->spec || ret_change->action == ACTION_NONE)
                return;
        const json_t *old = json_object_get(recorded->spec, key), *new_ = json_object_get(r->spec, key);
        if (json_is_string(old) && !json_equal(old, new_))
                ret_change->action = ACTION_REPLACE;
}

json_t *place_mode_json(mode_t mode)
{
        CLEANUP_FREE char *text = str_format("%04o", (unsigned)(mode & 07777));
        return json_string(text);
}

int place_path_compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        place_compare(r, recorded, state, "path", ret_change);
        return 0;
}

int place_path_preflight(
        struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        (void)recorded;
        return place_check(ctx, r->spec, spec_text(r->spec, "path", ""), err);
}

int place_path_remove(struct kind_ctx *ctx, const struct resource *r, int (*gone)(const char *path, struct err **err),
        struct err **err)
{
        const char *path = spec_text(r->spec, "path", NULL);
        if (!path)
                return 0;
        int result = place_check(ctx, r->spec, path, err);
        return result < 0 ? result : gone(path, err);
}
