/* Files into specs. What is taken as it is gets its "${" escaped, because the plan fills every text once more. */
#include "role/role_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "tree/digest.h"
#include "tree/path.h"
#include "tree/subst.h"
#include "tree/tree.h"

#define TEXT_MAX  (4 * 1024 * 1024)
#define COPY_MAX  (64 * 1024 * 1024)
#define DEPTH_MAX 16

/* ---- reading ---- */

/* The text of a file, borrowed from the loader: a for_each reads it once. */
static int read_text(struct loader *loader, const char *path, const json_t **ret, struct err **err)
{
        json_t *text = json_object_get(loader->files, path);
        if (!text) {
                CLEANUP_FREE char *data = NULL;
                size_t length, bad;
                int r = file_read(path, TEXT_MAX, &data, &length, err);
                if (r < 0)
                        return r;
                if (!str_utf8(data, length, &bad))
                        return err_set(err, ERR_INVALID, "%s is no text: byte %zu is not UTF-8", path, bad);
                text = json_stringn_nocheck(data, length);
                json_object_set_new(loader->files, path, text);
        }
        *ret = text;
        return 0;
}

static json_t *escaped(const json_t *text)
{
        const char *rest = json_string_value(text), *found = strstr(rest, "${");
        if (!found)
                return json_incref((json_t *)text);
        CLEANUP_BUF struct buf buf = BUF_INIT(SIZE_MAX / 2);
        for (; found; found = strstr(rest, "${")) {
                buf_add(&buf, rest, (size_t)(found - rest));
                buf_str(&buf, "$${");
                rest = found + 2;
        }
        buf_str(&buf, rest);
        return json_stringn_nocheck(buf.data, buf.length);
}

/* Is path, which is folder/name, inside the folder, links included? */
static int check_within(const char *folder, const char *name, const char *path, struct err **err)
{
        if (!*name || *name == '/')
                return err_set(err, ERR_INVALID, "%s is not inside %s", *name ? name : "an empty name", folder);
        CLEANUP_FREE char *real_folder = realpath(folder, NULL);
        if (!real_folder)
                return err_set_errno(err, errno, "cannot open %s", folder);
        CLEANUP_FREE char *real = realpath(path, NULL);
        if (!real)
                return err_set_errno(err, errno, "cannot open %s", path);
        size_t length = strlen(real_folder);
        if (strncmp(real, real_folder, length) != 0 || real[length] != '/')
                return err_set(err, ERR_INVALID, "%s is not inside %s", name, folder);
        return 0;
}

/* ---- source ---- */

static int take_source(
        struct scope *scope, const struct role_text *role, const char *name, json_t **ret, struct err **err)
{
        CLEANUP_FREE char *path = file_join(role->folder, name);
        const json_t *text = NULL;
        int r = check_within(role->folder, name, path, err);
        if (r == 0)
                r = read_text(scope->loader, path, &text, err);
        if (r == 0)
                *ret = escaped(text);
        return r;
}

/* ---- template ---- */

/* Which "${" of the text fails? Gives the error its line and column. Only called when one did. */
static int locate_in_template(struct scope *scope, const char *path, const char *text, struct err **err)
{
        int line = 1;
        const char *begin = text;
        for (const char *p = text; *p; p++) {
                if (*p == '\n') {
                        line++;
                        begin = p + 1;
                } else if (strncmp(p, "$${", 3) == 0) {
                        p += 2;
                } else if (strncmp(p, "${", 2) == 0) {
                        size_t length = strcspn(p, "}\n");
                        CLEANUP_FREE char *one = str_copy_n(p, length + (p[length] == '}'));
                        json_auto_t *ignored = NULL;
                        int r = subst_text(one, values_look_up, scope, true, &ignored, err);
                        if (r < 0)
                                return err_at(err, path, line, (int)(p - begin) + 1);
                }
        }
        err_set(err, ERR_INVALID, "the template cannot be filled");
        return err_at(err, path, 0, 0);
}

static int take_template(
        struct scope *scope, const struct role_text *role, const char *name, json_t **ret, struct err **err)
{
        (void)role; /* templates are shared */
        CLEANUP_FREE char *templates = file_join(scope->loader->data_dir, "templates");
        CLEANUP_FREE char *folder = file_join(templates, scope->loader->target);
        CLEANUP_FREE char *path = file_join(folder, name);
        const json_t *text = NULL;
        int r = check_within(folder, name, path, err);
        if (r == 0)
                r = read_text(scope->loader, path, &text, err);
        if (r < 0)
                return r;
        if (subst_text(json_string_value(text), values_look_up, scope, true, ret, NULL) < 0)
                return locate_in_template(scope, path, json_string_value(text), err);
        return 0;
}

/* ---- sources ---- */

/* Left behind by Python, editors and version control. */
static int wanted(const struct dirent *entry)
{
        return entry->d_name[0] != '.' && !str_is(entry->d_name, "__pycache__") && !str_ends(entry->d_name, ".pyc");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_folder(
        struct loader *loader, const char *folder, const char *relative, int depth, json_t *files, struct err **err);

static int read_entry(struct loader *loader, const char *folder, const char *relative, const char *name, int depth,
        json_t *files, struct err **err)
{
        CLEANUP_FREE char *path = file_join(folder, name);
        CLEANUP_FREE char *below = *relative ? file_join(relative, name) : str_copy(name);
        struct stat st;
        if (lstat(path, &st) < 0)
                return err_set_errno(err, errno, "cannot open %s", path);
        if (S_ISDIR(st.st_mode))
                return read_folder(loader, path, below, depth + 1, files, err);
        if (!S_ISREG(st.st_mode))
                return err_set(err, ERR_INVALID, "%s is neither a file nor a folder", path);
        const json_t *text = NULL;
        int r = read_text(loader, path, &text, err);
        if (r == 0)
                json_object_set_new(files, below, escaped(text));
        return r;
}

static int read_folder(
        struct loader *loader, const char *folder, const char *relative, int depth, json_t *files, struct err **err)
{
        struct dirent **names = NULL;
        if (depth > DEPTH_MAX)
                return err_set(err, ERR_INVALID, "%s is more than %d folders deep", folder, DEPTH_MAX);
        int count = scandir(folder, &names, wanted, by_name), r = 0;
        if (count < 0)
                return err_set_errno(err, errno, "cannot read the folder %s", folder);
        for (int i = 0; i < count; i++) {
                if (r == 0)
                        r = read_entry(loader, folder, relative, names[i]->d_name, depth, files, err);
                free(names[i]);
        }
        free(names);
        return r;
}

/* Adds the files of a folder of the role, below prefix. */
static int add_sources(struct scope *scope, const struct role_text *role, const char *name, const char *prefix,
        json_t *files, struct err **err)
{
        CLEANUP_FREE char *path = file_join(role->folder, name);
        int r = check_within(role->folder, name, path, err);
        return r < 0 ? r : read_folder(scope->loader, path, prefix, 0, files, err);
}

static int take_sources(
        struct scope *scope, const struct role_text *role, const char *name, json_t **ret, struct err **err)
{
        json_auto_t *files = json_object();
        int r = add_sources(scope, role, name, "", files, err);
        if (r == 0)
                *ret = json_incref(files);
        return r;
}

/* {code: files, site: [site, pod]}: several folders, each below a name that it may share with others. */
static int take_several(
        struct scope *scope, const struct role_text *role, const json_t *folders, json_t **ret, struct err **err)
{
        json_auto_t *files = json_object();
        const char *prefix;
        json_t *value, *name;
        size_t i;
        json_object_foreach ((json_t *)folders, prefix, value) {
                json_auto_t *names = json_is_array(value) ? json_incref(value) : json_pack("[O]", value);
                json_array_foreach (names, i, name) {
                        int r = json_is_string(name)
                                        ? add_sources(scope, role, json_string_value(name), prefix, files, err)
                                        : err_set(err, ERR_INVALID, "sources needs names of folders");
                        if (r < 0)
                                return r;
                }
        }
        *ret = json_incref(files);
        return 0;
}

/* ---- yaml ---- */

static int refuse(const struct role_text *role, const json_t *node, const char *path, struct err **err);

/* A tree that stands once for several entries, its placeholders filled as if it stood in each. */
static int take_yaml(
        struct scope *scope, const struct role_text *role, const char *name, json_t **ret, struct err **err)
{
        CLEANUP_FREE char *path = file_join(role->folder, name);
        int r = check_within(role->folder, name, path, err);
        if (r < 0)
                return r;
        struct tree *tree;
        r = tree_load(path, &tree, err);
        if (r < 0)
                return r;
        const struct role_text file = {.path = path, .tree = tree};
        r = refuse(&file, tree_root(tree), "", err);
        if (r == 0)
                r = spec_subst(scope, &file, tree_root(tree), "", true, ret, err);
        tree_free(tree);
        return r;
}

/* ---- shared ---- */

/* "monitoring/alerts/" and a pattern: the files of a folder beside roles/ whose names are like that, without what is in
 * folders below it. It may not be there at all: then there are none. */
static int take_shared(
        struct scope *scope, const struct role_text *role, const char *name, json_t **ret, struct err **err)
{
        (void)role;
        const char *pattern = strrchr(name, '/');
        if (!pattern || pattern == name)
                return err_set(err, ERR_INVALID, "shared is FOLDER/PATTERN, not %s", *name ? name : "an empty name");
        CLEANUP_FREE char *relative = str_copy_n(name, (size_t)(pattern - name));
        CLEANUP_FREE char *folder = file_join(scope->loader->data_dir, relative);
        json_auto_t *files = json_object();
        struct dirent **names = NULL;
        int r = file_exists(folder) ? check_within(scope->loader->data_dir, relative, folder, err) : 0;
        int count = r == 0 && file_exists(folder) ? scandir(folder, &names, wanted, by_name) : 0;
        for (int i = 0; i < count; i++) {
                if (r == 0 && fnmatch(pattern + 1, names[i]->d_name, 0) == 0)
                        r = read_entry(scope->loader, folder, "", names[i]->d_name, 0, files, err);
                free(names[i]);
        }
        free(names);
        if (r == 0 && count < 0)
                r = err_set_errno(err, errno, "cannot read the folder %s", folder);
        if (r == 0)
                *ret = json_incref(files);
        return r;
}

/* ---- files of the machine ---- */

static int check_absolute(const char *key, const char *path, struct err **err)
{
        if (*path != '/' || strstr(path, "${"))
                return err_set(err, ERR_INVALID, "%s needs an absolute path that is known from the beginning, not %s",
                        key, *path ? path : "an empty one");
        return 0;
}

static int take_file(
        struct scope *scope, const struct role_text *role, const char *path, json_t **ret, struct err **err)
{
        (void)role;
        const json_t *text = NULL;
        int r = check_absolute("file", path, err);
        if (r == 0)
                r = read_text(scope->loader, path, &text, err);
        if (r == 0)
                *ret = escaped(text);
        return r;
}

static int take_digest(
        struct scope *scope, const struct role_text *role, const char *path, json_t **ret, struct err **err)
{
        (void)scope;
        (void)role;
        CLEANUP_FREE char *data = NULL;
        size_t length = 0;
        int r = check_absolute("copy", path, err);
        if (r == 0)
                r = file_read(path, COPY_MAX, &data, &length, err);
        if (r < 0)
                return r;
        char digest[DIGEST_SIZE];
        digest_bytes(data, length, digest);
        *ret = json_string(digest);
        return 0;
}

/* ---- the keys of a spec ---- */

static const struct loading {
        const char *key, *becomes; /* becomes NULL: only as the value of another key */
        bool stays;                /* the key itself */
        int (*take)(
                struct scope *scope, const struct role_text *role, const char *name, json_t **ret, struct err **err);
} loadings[] = {
        {"source", "content", false, take_source},
        {"template", "content", false, take_template},
        {"sources", "files", false, take_sources},
        {"shared", "files", false, take_shared},
        {"copy", "copy_digest", true, take_digest},
        {"file", NULL, false, take_file},
        {"yaml", NULL, false, take_yaml},
};
#define LOADING_COUNT (sizeof loadings / sizeof loadings[0])

static int take(struct scope *scope, const struct role_text *role, const struct loading *loading, const json_t *name,
        const char *path, json_t **ret, struct err **err)
{
        int r = json_is_object(name) && loading->take == take_sources ? take_several(scope, role, name, ret, err)
                : json_is_string(name)
                        ? loading->take(scope, role, json_string_value(name), ret, err)
                        : err_set(err, ERR_INVALID, "%s needs the name of a file that is known from the beginning",
                                  loading->key);
        return r < 0 ? text_at(role, path, err) : 0;
}

/* source, template, sources, shared, copy beside the other keys of the spec. */
static int inline_beside(struct scope *scope, const struct role_text *role, json_t *spec, const struct loading *loading,
        const char *path, struct err **err)
{
        const json_t *name = json_object_get(spec, loading->key);
        if (!name || !loading->becomes)
                return 0;
        CLEANUP_FREE char *at = path_key(path, loading->key);
        if (json_object_get(spec, loading->becomes)) {
                err_set(err, ERR_INVALID, "%s becomes %s, which is there already", loading->key, loading->becomes);
                return text_at(role, at, err);
        }
        json_t *content = NULL;
        int r = take(scope, role, loading, name, at, &content, err);
        if (r < 0)
                return r;
        json_object_set_new(spec, loading->becomes, content);
        if (!loading->stays)
                json_object_del(spec, loading->key);
        return 0;
}

/* {source: requirements.txt}: how such an object is read, or NULL; the file's name is its only value. */
static const struct loading *loading_of(const json_t *object, const json_t **ret_name)
{
        for (size_t i = 0; json_object_size(object) == 1 && i < LOADING_COUNT; i++) {
                const json_t *name = loadings[i].stays ? NULL : json_object_get(object, loadings[i].key);
                if (!name)
                        continue;
                *ret_name = name;
                return &loadings[i];
        }
        return NULL;
}

/* What is in `json` is somebody else's language. */
static bool is_foreign(const char *key)
{
        return str_is(key, "json") || str_is(key, "$json");
}

/* `requirements: {source: requirements.txt}`: the value becomes the text. */
static int inline_value(struct scope *scope, const struct role_text *role, json_t *spec, const char *key,
        const char *path, struct err **err)
{
        const json_t *name = NULL;
        const struct loading *loading = is_foreign(key) ? NULL : loading_of(json_object_get(spec, key), &name);
        if (!loading)
                return 0;
        CLEANUP_FREE char *above = path_key(path, key);
        CLEANUP_FREE char *at = path_key(above, loading->key);
        json_t *content = NULL;
        int r = take(scope, role, loading, name, at, &content, err);
        return r < 0 ? r : json_object_set_new(spec, key, content);
}

/* ---- further down ---- */

static int refuse(const struct role_text *role, const json_t *node, const char *path, struct err **err)
{
        const json_t *name = NULL, *value;
        const struct loading *loading = loading_of(node, &name);
        const char *key;
        size_t i;
        int r = 0;
        if (loading && (json_is_string(name) || (json_is_object(name) && loading->take == take_sources))) {
                CLEANUP_FREE char *at = path_key(path, loading->key);
                err_set(err, ERR_INVALID,
                        "{%s: …} is only read as the value of a key of the spec itself, not further down",
                        loading->key);
                return text_at(role, at, err);
        }
        json_object_foreach ((json_t *)node, key, value) {
                CLEANUP_FREE char *at = path_key(path, key);
                if (!is_foreign(key) && (r = refuse(role, value, at, err)) < 0)
                        return r;
        }
        json_array_foreach (node, i, value) {
                CLEANUP_FREE char *at = path_item(path, i);
                if ((r = refuse(role, value, at, err)) < 0)
                        return r;
        }
        return 0;
}

int content_check(const struct role_text *role, const json_t *text, const char *path, struct err **err)
{
        const json_t *value, *name;
        const char *key;
        json_object_foreach ((json_t *)text, key, value) {
                CLEANUP_FREE char *at = path_key(path, key);
                int r = is_foreign(key) || loading_of(value, &name) ? 0 : refuse(role, value, at, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int content_inline(struct scope *scope, const struct role_text *role, json_t *spec, const char *path, struct err **err)
{
        for (size_t i = 0; i < LOADING_COUNT; i++) {
                int r = inline_beside(scope, role, spec, &loadings[i], path, err);
                if (r < 0)
                        return r;
        }
        const char *key;
        json_t *value;
        json_object_foreach (spec, key, value) {
                int r = inline_value(scope, role, spec, key, path, err);
                if (r < 0)
                        return r;
        }
        return 0;
}
