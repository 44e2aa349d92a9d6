/* host.file: one file with its content, mode and owner. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/inlay.h"
#include "kind/place.h"
#include "kind/seal.h"
#include "kind/spec.h"
#include "tree/digest.h"
#include "tree/subst.h"

#define FILE_BYTES_MAX (256UL * 1024 * 1024)

static const struct spec_field fields[] = {
        {"path", SPEC_PATH, true},
        {"mode", SPEC_MODE, false},
        {"owner", SPEC_OWNER, false},
        {"group", SPEC_OWNER, false},
        {"content", SPEC_ANY, false}, /* text, or {"$file": …} */
        {"json", SPEC_ANY, false},
        {"copy", SPEC_PATH, false},
        {"copy_digest", SPEC_TEXT, false},
        {"outside", SPEC_BOOL, false},
        {NULL, SPEC_ANY, false},
};

static bool is_secret(const json_t *spec)
{
        return subst_has_marker(spec, MARK_SECRET);
}

static mode_t mode_of(const json_t *spec)
{
        return spec_mode(spec, "mode", is_secret(spec) ? 0600 : 0644);
}

static int check(const json_t *spec, struct err **err)
{
        static const char *const sources[] = {"content", "json", "copy", NULL};
        int result = spec_check(spec, fields, err);
        if (result == 0)
                result = spec_check_one_of(spec, sources, err);
        const json_t *content = json_object_get(spec, "content");
        if (result == 0 && content && !json_is_string(content) && !spec_is_open(content) &&
                !json_object_get(content, INLAY_FILE))
                result = err_set(err, ERR_INVALID, "\"content\" must be text, or {\"$file\": PATH}");
        if (result == 0 && is_secret(spec) && (mode_of(spec) & 0007))
                result = err_set(err, ERR_INVALID,
                        "\"mode\" %s lets everybody read a file that holds a secret; \"0600\" or \"0640\" is right",
                        spec_text(spec, "mode", ""));
        return result;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        const char *path = spec_text(r->spec, "path", NULL);
        struct stat st;
        int there = place_look(path, &st, err);
        if (there <= 0) {
                *ret_state = NULL;
                return there;
        }
        if (S_ISDIR(st.st_mode))
                return err_set(err, ERR_EXISTS, "%s exists and is a folder", path);
        char digest[DIGEST_SIZE] = "-"; /* a link, a pipe: apply puts the file in its place */
        if (S_ISREG(st.st_mode)) {
                char *data = NULL;
                size_t length = 0;
                int result = file_read(path, FILE_BYTES_MAX, &data, &length, err);
                if (result < 0)
                        return result;
                seal_digest(is_secret(r->spec) ? ctx->state_dir : NULL, data, length, digest);
                mem_wipe_free(data, length);
        }
        *ret_state = json_pack("{s:s, s:o, s:i, s:i}", "digest", digest, "mode", place_mode_json(st.st_mode), "uid",
                (int)st.st_uid, "gid", (int)st.st_gid);
        return 0;
}

/* What the file shall hold, in memory that the caller wipes. */
static int content_of(const json_t *resolved, char **ret_data, size_t *ret_length, struct err **err)
{
        const char *copy = spec_text(resolved, "copy", NULL);
        if (copy)
                return file_read(copy, FILE_BYTES_MAX, ret_data, ret_length, err);
        const json_t *tree = json_object_get(resolved, "json"), *content = json_object_get(resolved, "content");
        if (content && !json_is_string(content))
                return err_set(err, ERR_INVALID, "\"content\" is no text");
        char *data;
        if (tree) {
                char *text = json_dumps(tree, JSON_INDENT(2) | JSON_ENCODE_ANY);
                if (!text)
                        return err_set(err, ERR_INVALID, "\"json\" cannot be written as JSON");
                data = str_format("%s\n", text);
                mem_wipe_free(text, strlen(text));
        } else {
                data = mem_copy(json_string_value(content), json_string_length(content) + 1);
        }
        *ret_length = content ? json_string_length(content) : strlen(data);
        *ret_data = data;
        return 0;
}

/* What later resources put into their own spec: it changes whenever the content does, but tells nothing of a secret. */
static void output_digest(const json_t *spec, const char *data, size_t length, char ret[DIGEST_SIZE])
{
        if (!is_secret(spec)) {
                digest_bytes(data, length, ret);
                return;
        }
        json_auto_t *shown = json_pack(
                "{s:O?, s:O?}", "content", json_object_get(spec, "content"), "json", json_object_get(spec, "json"));
        digest_tree(shown, ret);
}

static bool same_already(const json_t *state, const char *digest, mode_t mode, uid_t uid, gid_t gid)
{
        json_auto_t *mode_text = place_mode_json(mode);
        return state && str_is(spec_text(state, "digest", NULL), digest) &&
               json_equal(mode_text, json_object_get(state, "mode")) && spec_whole(state, "uid", -1) == (int64_t)uid &&
               spec_whole(state, "gid", -1) == (int64_t)gid;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded;
        const char *path = spec_text(r->spec, "path", "");
        uid_t uid = 0;
        gid_t gid = 0;
        int result = place_prepare(ctx, r->spec, path, &uid, &gid, err);
        json_t *resolved = NULL;
        if (result == 0)
                result = kind_resolve(ctx, r->spec, &resolved, err);
        if (result < 0)
                return result;
        char *data = NULL, digest[DIGEST_SIZE];
        size_t length = 0;
        result = inlay_fill(resolved, err);
        if (result == 0)
                result = content_of(resolved, &data, &length, err);
        kind_forget(resolved);
        if (result < 0)
                return result;
        mode_t mode = mode_of(r->spec);
        seal_digest(is_secret(r->spec) ? ctx->state_dir : NULL, data, length, digest);
        if (!same_already(state, digest, mode, uid, gid))
                result = file_write_atomic(path, data, length, mode, uid, gid, err);
        output_digest(r->spec, data, length, digest);
        mem_wipe_free(data, length);
        if (result < 0)
                return result;
        *ret_outputs = json_pack("{s:s, s:s}", "path", path, "digest", digest);
        return 0;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded, (void)ret_kept;
        return place_path_remove(ctx, r, file_remove, err);
}

extern const struct kind kind_host_file;
const struct kind kind_host_file = {
        .name = "host.file",
        .check = check,
        .observe = observe,
        .compare = place_path_compare,
        .preflight = place_path_preflight,
        .apply = apply,
        .remove = remove_it,
};
