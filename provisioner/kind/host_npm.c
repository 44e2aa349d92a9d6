/* host.npm: a folder of exactly the Node packages of a lock file, made by npm. Nothing that a package brings is run. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/place.h"
#include "kind/spec.h"
#include "kind/tool.h"
#include "kind/versions.h"

#define RECIPE "1"

static const struct spec_field fields[] = {
        {"path", SPEC_PATH, true},
        {"package", SPEC_TEXT, true},
        {"lock", SPEC_TEXT, true},
        {"node", SPEC_PATH, true},
        {"npm", SPEC_PATH, false},
        {"outside", SPEC_BOOL, false},
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        return spec_check(spec, fields, err);
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx, (void)err;
        const char *path = spec_text(r->spec, "path", NULL);
        *ret_state = path ? versions_state(path) : NULL;
        return 0;
}

/* npm as it lies beside a Node: below ../lib of the real program, or as a sibling. The caller frees. */
static char *find_npm(const char *node)
{
        char real[PATH_MAX];
        if (realpath(node, real)) {
                char *slash = strrchr(real, '/');
                CLEANUP_FREE char *npm =
                        str_format("%.*s/../lib/node_modules/npm/bin/npm-cli.js", (int)(slash - real), real);
                if (file_exists(npm))
                        return STEAL(npm);
        }
        return str_format("%.*s/npm", (int)(strrchr(node, '/') - node), node);
}

static int build(struct kind_ctx *ctx, const json_t *spec, const char *folder, struct err **err)
{
        const char *node = spec_text(spec, "node", ""), *given = spec_text(spec, "npm", NULL);
        CLEANUP_FREE char *npm = given ? str_copy(given) : find_npm(node);
        CLEANUP_FREE char *package = file_join(folder, "package.json");
        CLEANUP_FREE char *lock = file_join(folder, "package-lock.json");
        const char *package_text = spec_text(spec, "package", ""), *lock_text = spec_text(spec, "lock", "");
        int result = file_remove_tree(folder, err);
        if (result == 0)
                result = file_make_dirs(folder, 0755, err);
        if (result == 0)
                result =
                        file_write_atomic(package, package_text, strlen(package_text), 0644, (uid_t)-1, (gid_t)-1, err);
        if (result == 0)
                result = file_write_atomic(lock, lock_text, strlen(lock_text), 0644, (uid_t)-1, (gid_t)-1, err);
        if (result < 0)
                return result;
        const char *path = getenv("PATH");
        CLEANUP_FREE char *with_node = str_format(
                "PATH=%.*s:%s", (int)(strrchr(node, '/') - node), node, path ? path : "/usr/local/bin:/usr/bin:/bin");
        CLEANUP_FREE char *cache = str_format("npm_config_cache=%s/npm", ctx->cache_dir);
        const char *env[] = {with_node, cache, "npm_config_update_notifier=false", "NODE_OPTIONS=", NULL};
        /* found: a script for Node; given: a program of whatever sort */
        const char *argv[] = {
                node, npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-progress", NULL};
        return tool_run(ctx, strrchr(spec_text(spec, "path", "/"), '/') + 1, folder, env, given ? argv + 1 : argv, err);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        const char *path = spec_text(r->spec, "path", "");
        int result = place_prepare(ctx, r->spec, path, NULL, NULL, err);
        if (result < 0)
                return result;
        json_auto_t *identity = json_pack("{s:s, s:s, s:s}", "recipe", RECIPE, "package",
                spec_text(r->spec, "package", ""), "lock", spec_text(r->spec, "lock", ""));
        char digest[DIGEST_SIZE];
        digest_tree(identity, digest);
        return versions_provide(ctx, r->spec, digest, build, ret_outputs, err);
}

extern const struct kind kind_host_npm;
const struct kind kind_host_npm = {
        .name = "host.npm",
        .retries = 2,
        .check = check,
        .observe = observe,
        .compare = place_path_compare,
        .preflight = place_path_preflight,
        .apply = apply,
        .remove = versions_forget,
};
