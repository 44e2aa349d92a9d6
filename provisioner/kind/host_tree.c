/* host.tree: a folder of exactly these text files. Byte code that Python leaves beside its sources does not count. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/place.h"
#include "kind/spec.h"
#include "tree/digest.h"

#define FILE_BYTES_MAX (16UL * 1024 * 1024)
#define DEPTH_MAX      16
#define BYTE_CODE      "__pycache__"

static const struct spec_field fields[] = {
        {"path", SPEC_PATH, true},
        {"files", SPEC_SCALARS, true},
        {"mode", SPEC_MODE, false},
        {"owner", SPEC_OWNER, false},
        {"group", SPEC_OWNER, false},
        {"outside", SPEC_BOOL, false},
        {NULL, SPEC_ANY, false},
};

static bool is_relative(const char *name)
{
        CLEANUP_FREE char *padded = str_format("/%s/", name);
        return *name && *name != '/' && !strstr(padded, "/../") && !strstr(padded, "/./") && !strstr(padded, "//");
}

static int check(const json_t *spec, struct err **err)
{
        int result = spec_check(spec, fields, err);
        if (result < 0)
                return result;
        const char *name;
        json_t *content;
        json_object_foreach (json_object_get(spec, "files"), name, content) {
                if (!is_relative(name))
                        return err_set(err, ERR_INVALID, "\"files\": \"%s\" must be a path within the folder", name);
        }
        return 0;
}

/* What is there as {"a/b.py": {"digest", "mode", "uid", "gid"}}; folders that hold nothing are not told apart. */
static int list_folder(const char *folder, const char *prefix, int depth, json_t *list, struct err **err)
{
        DIR *dir = opendir(folder);
        if (!dir)
                return err_set_errno(err, errno, "cannot read %s", folder);
        int result = 0;
        struct dirent *entry;
        while (result == 0 && (entry = readdir(dir))) {
                if (str_is(entry->d_name, ".") || str_is(entry->d_name, "..") || str_is(entry->d_name, BYTE_CODE))
                        continue;
                CLEANUP_FREE char *path = file_join(folder, entry->d_name);
                CLEANUP_FREE char *name = str_format("%s%s", prefix, entry->d_name);
                struct stat st;
                if (lstat(path, &st) < 0)
                        continue; /* gone since */
                if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
                        CLEANUP_FREE char *deeper = str_format("%s/", name);
                        result = list_folder(path, deeper, depth + 1, list, err);
                        continue;
                }
                char digest[DIGEST_SIZE] = "-";
                CLEANUP_FREE char *data = NULL;
                size_t length = 0;
                if (S_ISREG(st.st_mode) && file_read(path, FILE_BYTES_MAX, &data, &length, NULL) == 0)
                        digest_bytes(data, length, digest);
                json_object_set_new(list, name,
                        json_pack("{s:s, s:o, s:i, s:i}", "digest", digest, "mode", place_mode_json(st.st_mode), "uid",
                                (int)st.st_uid, "gid", (int)st.st_gid));
        }
        closedir(dir);
        return result;
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
        json_auto_t *list = json_object();
        int result = list_folder(path, "", 0, list, err);
        if (result < 0)
                return result;
        char digest[DIGEST_SIZE];
        digest_tree(list, digest);
        *ret_state = json_pack("{s:s, s:o}", "digest", digest, "mode", place_mode_json(st.st_mode));
        return 0;
}

struct writer {
        const char *path;
        mode_t mode; /* of files; folders get x where it has r */
        uid_t uid;
        gid_t gid;
};

static mode_t folder_mode(mode_t mode)
{
        return mode | ((mode & 0444) >> 2);
}

/* Makes the folders between w->path and the file `name`. */
static int make_folders(const struct writer *w, const char *name, struct err **err)
{
        for (const char *slash = name; slash; slash = strchr(slash + 1, '/')) {
                CLEANUP_FREE char *part = str_copy_n(name, (size_t)(slash - name));
                CLEANUP_FREE char *folder = slash == name ? str_copy(w->path) : file_join(w->path, part);
                struct stat st;
                if (lstat(folder, &st) == 0 && !S_ISDIR(st.st_mode) && unlink(folder) < 0)
                        return err_set_errno(err, errno, "cannot replace %s", folder);
                if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                        return err_set_errno(err, errno, "cannot make folder %s", folder);
                if (lchown(folder, w->uid, w->gid) < 0 || chmod(folder, folder_mode(w->mode)) < 0)
                        return err_set_errno(err, errno, "cannot change the owner of %s", folder);
        }
        return 0;
}

static int write_files(const struct writer *w, const json_t *files, struct err **err)
{
        const char *name;
        json_t *value;
        int result = make_folders(w, "x", err);
        json_object_foreach ((json_t *)files, name, value) {
                if (result < 0)
                        return result;
                if (!is_relative(name) || !json_is_string(value))
                        return err_set(err, ERR_INVALID, "\"files\": \"%s\" must be text within the folder", name);
                CLEANUP_FREE char *path = file_join(w->path, name);
                struct stat st;
                result = make_folders(w, name, err);
                if (result == 0 && lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
                        result = file_remove_tree(path, err);
                if (result == 0)
                        result = file_write_atomic(path, json_string_value(value), json_string_length(value), w->mode,
                                w->uid, w->gid, err);
        }
        return result;
}

/* Removes what is not wanted (any more), and byte code that may be of an older source. */
static int remove_rest(const char *folder, const char *prefix, const json_t *files, int depth, struct err **err)
{
        DIR *dir = opendir(folder);
        if (!dir)
                return err_set_errno(err, errno, "cannot read %s", folder);
        int result = 0;
        struct dirent *entry;
        while (result == 0 && (entry = readdir(dir))) {
                if (str_is(entry->d_name, ".") || str_is(entry->d_name, ".."))
                        continue;
                CLEANUP_FREE char *path = file_join(folder, entry->d_name);
                CLEANUP_FREE char *name = str_format("%s%s", prefix, entry->d_name);
                CLEANUP_FREE char *deeper = str_format("%s/", name);
                bool wanted = json_object_get(files, name) != NULL, holds_wanted = false;
                const char *key;
                json_t *value;
                json_object_foreach ((json_t *)files, key, value)
                        holds_wanted |= str_starts(key, deeper);
                if (holds_wanted && depth < DEPTH_MAX)
                        result = remove_rest(path, deeper, files, depth + 1, err);
                else if (!wanted)
                        result = file_remove_tree(path, err);
        }
        closedir(dir);
        return result;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        const json_t *files = json_object_get(r->spec, "files");
        struct writer w = {.path = spec_text(r->spec, "path", ""), .mode = spec_mode(r->spec, "mode", 0644)};
        int result = place_prepare(ctx, r->spec, w.path, &w.uid, &w.gid, err);
        if (result == 0)
                result = write_files(&w, files, err);
        if (result == 0)
                result = remove_rest(w.path, "", files, 0, err);
        if (result < 0)
                return result;
        char digest[DIGEST_SIZE];
        digest_tree(files, digest);
        *ret_outputs = json_pack("{s:s, s:s}", "path", w.path, "digest", digest);
        return 0;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded, (void)ret_kept;
        return place_path_remove(ctx, r, file_remove_tree, err);
}

extern const struct kind kind_host_tree;
const struct kind kind_host_tree = {
        .name = "host.tree",
        .check = check,
        .observe = observe,
        .compare = place_path_compare,
        .preflight = place_path_preflight,
        .apply = apply,
        .remove = remove_it,
};
