/* host.directory: a folder with its mode and owner. `keep` marks user data, which only `--delete-data` removes. */
#include <errno.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/place.h"
#include "kind/spec.h"

static const struct spec_field fields[] = {
        {"path", SPEC_PATH, true},
        {"mode", SPEC_MODE, false},
        {"owner", SPEC_OWNER, false},
        {"group", SPEC_OWNER, false},
        {"keep", SPEC_BOOL, false},
        {"outside", SPEC_BOOL, false},
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        return spec_check(spec, fields, err);
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx;
        const char *path = spec_text(r->spec, "path", NULL);
        struct stat st;
        int there = place_look(path, &st, err);
        if (there <= 0) {
                *ret_state = NULL;
                return there;
        }
        if (!S_ISDIR(st.st_mode))
                return err_set(err, ERR_EXISTS, "%s exists and is no folder", path);
        *ret_state = json_pack(
                "{s:o, s:i, s:i}", "mode", place_mode_json(st.st_mode), "uid", (int)st.st_uid, "gid", (int)st.st_gid);
        return 0;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        const char *path = spec_text(r->spec, "path", "");
        uid_t uid = 0;
        gid_t gid = 0;
        int result = place_prepare(ctx, r->spec, path, &uid, &gid, err);
        if (result < 0)
                return result;
        /* 0700 until the owner is right: nobody else shall look in between */
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return err_set_errno(err, errno, "cannot make folder %s", path);
        struct stat st;
        if (lstat(path, &st) < 0)
                return err_set_errno(err, errno, "cannot look at %s", path);
        if (!S_ISDIR(st.st_mode))
                return err_set(err, ERR_EXISTS, "%s exists and is no folder", path);
        if ((st.st_uid != uid || st.st_gid != gid) && lchown(path, uid, gid) < 0)
                return err_set_errno(err, errno, "cannot change the owner of %s", path);
        if (chmod(path, spec_mode(r->spec, "mode", 0755)) < 0)
                return err_set_errno(err, errno, "cannot change the mode of %s", path);
        *ret_outputs = json_pack("{s:s}", "path", path);
        return 0;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded;
        const char *path = spec_text(r->spec, "path", NULL);
        if (!path || !file_exists(path))
                return 0;
        int result = place_check(ctx, r->spec, path, err);
        if (result < 0)
                return result;
        if (spec_bool(r->spec, "keep", false) && !ctx->delete_data) {
                if (rmdir(path) < 0) /* an empty one holds no data */
                        *ret_kept = str_format("user data is kept in %s", path);
                return 0;
        }
        if (!spec_bool(r->spec, "outside", false))
                return file_remove_tree(path, err);
        /* Outside of the state folder others may have put something in: it stays. */
        if (rmdir(path) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY)
                return err_set_errno(err, errno, "cannot remove %s", path);
        return 0;
}

extern const struct kind kind_host_directory;
const struct kind kind_host_directory = {
        .name = "host.directory",
        .check = check,
        .observe = observe,
        .compare = place_path_compare,
        .preflight = place_path_preflight,
        .apply = apply,
        .remove = remove_it,
};
