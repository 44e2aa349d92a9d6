/* host.unpacked: a folder with what a package of somebody's Debian repository holds, and that package alone: no scripts
 * of it are run, nothing is depended on, and this machine's own apt and dpkg do not know of it. apt itself fetches it,
 * in a root of its own, and checks signatures and hashes. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "kind/place.h"
#include "kind/spec.h"
#include "kind/tool.h"
#include "kind/versions.h"

#define RECIPE     "1"
#define CONF_MAX   (256 * 1024)
#define LOOK_MS    (2 * 60 * 1000)
#define APT_HELPER "/usr/lib/apt/apt-helper"

static const struct spec_field fields[] = {
        {"path", SPEC_PATH, true},
        {"package", SPEC_TEXT, true},
        {"version", SPEC_TEXT, true},
        {"repository", SPEC_TEXT, true},   /* https://…/ */
        {"suite", SPEC_TEXT, true},        /* "stable main" */
        {"key", SPEC_STRING, false},       /* a file with the key that it is signed by; "" and missing: */
        {"key_url", SPEC_TEXT, false},     /* where the key is fetched from … */
        {"fingerprint", SPEC_TEXT, false}, /* … and which one it has to be */
        {"without", SPEC_STRING, false},   /* what else can be done, for who cannot reach it */
        {"revision", SPEC_ANY, false},     /* another value has it looked at anew */
        {"outside", SPEC_BOOL, false},
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        static const char *const in_a_line[] = {"package", "version", "repository", "suite", "fingerprint", NULL};
        int result = spec_check(spec, fields, err);
        if (result < 0)
                return result;
        for (size_t i = 0; in_a_line[i]; i++) {
                const char *text = spec_text(spec, in_a_line[i], "");
                if (strpbrk(text, "[]\"\n\t;#") || (!str_is(in_a_line[i], "suite") && strchr(text, ' ')))
                        return err_set(
                                err, ERR_INVALID, "%s: \"%s\" has a character that it cannot have", in_a_line[i], text);
        }
        if (!*spec_text(spec, "key", "") && !(spec_text(spec, "key_url", NULL) && spec_text(spec, "fingerprint", NULL)))
                return err_set(err, ERR_INVALID, "key: missing; otherwise key_url and fingerprint are needed");
        return 0;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx, (void)err;
        const char *path = spec_text(r->spec, "path", NULL);
        *ret_state = path ? versions_state(path) : NULL;
        return 0;
}

static int identify(const json_t *spec, char digest[DIGEST_SIZE])
{
        static const char *const of[] = {"package", "version", "repository", "suite", "key", "fingerprint", NULL};
        json_auto_t *identity =
                json_pack("{s:s, s:O*}", "recipe", RECIPE, "revision", json_object_get(spec, "revision"));
        for (size_t i = 0; of[i]; i++)
                json_object_set_new(identity, of[i], json_string(spec_text(spec, of[i], "")));
        digest_tree(identity, digest);
        return 0;
}

/* ---- apt in a root of its own ---- */

struct root {
        char *folder, *key, *env[2];
};

static void root_clear(struct root *root)
{
        free(root->folder);
        free(root->key);
        free(root->env[0]);
        free(root->env[1]);
}
#define CLEANUP_ROOT __attribute__((cleanup(root_clear)))

/* How this machine gets out (proxies, authorities of TLS) is ours, too; what it runs after an update is not. */
static int machines_ways(struct buf *text, struct kind_ctx *ctx, struct err **err)
{
        static const char *const argv[] = {"apt-config", "dump", "Acquire", "APT::Sandbox", NULL};
        CLEANUP_PROC struct proc_result said = {0};
        struct proc_spec spec = {.argv = argv,
                .timeout_ms = LOOK_MS,
                .cancel = ctx->cancel,
                .output_max = CONF_MAX / 2,
                .new_session = true};
        int result = proc_must(&spec, &said, err);
        if (result == 0)
                buf_str(text, said.output);
        return result;
}

static int write_text(const char *folder, const char *name, const char *text, struct err **err)
{
        CLEANUP_FREE char *path = file_join(folder, name);
        return file_write_atomic(path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1, err);
}

static int make_root(struct kind_ctx *ctx, const json_t *spec, const char *folder, struct root *root, struct err **err)
{
        static const char *const folders[] = {"keys", "none", "lists/partial", "archives/partial", "tmp", NULL};
        const char *given = spec_text(spec, "key", "");
        CLEANUP_BUF struct buf conf = BUF_INIT(CONF_MAX);
        int result = machines_ways(&conf, ctx, err);
        for (size_t i = 0; result == 0 && folders[i]; i++) {
                CLEANUP_FREE char *path = file_join(folder, folders[i]);
                result = file_make_dirs(path, 0755, err);
        }
        if (result < 0)
                return result;
        CLEANUP_FREE char *tmp = file_join(folder, "tmp"); /* apt gives up its rights before it reads anything */
        if (chmod(tmp, 01777) < 0)
                return err_set_errno(err, errno, "cannot open %s", tmp);
        root->folder = str_copy(folder);
        root->env[0] = str_format("APT_CONFIG=%s/apt.conf", folder);
        root->env[1] = str_format("TMPDIR=%s/tmp", folder);
        root->key = *given ? str_copy(given) : str_format("%s/keys/key.asc", folder);
        buf_format(&conf,
                "Dir::State \"%s\";\nDir::State::lists \"lists\";\nDir::State::status \"%s/status\";\n"
                "Dir::Cache \"%s\";\nDir::Cache::archives \"archives\";\nDir::Cache::pkgcache \"\";\n"
                "Dir::Cache::srcpkgcache \"\";\nDir::Etc::main \"/dev/null\";\nDir::Etc::parts \"%s/none\";\n"
                "Dir::Etc::sourcelist \"%s/sources.list\";\nDir::Etc::sourceparts \"%s/none\";\n"
                "Dir::Etc::preferences \"%s/none\";\nDir::Etc::preferencesparts \"%s/none\";\n"
                "Dir::Etc::trusted \"/dev/null\";\nDir::Etc::trustedparts \"%s/keys\";\n"
                "Acquire::Languages \"none\";\nAcquire::AllowInsecureRepositories \"false\";\n"
                "Acquire::AllowWeakRepositories \"false\";\nAPT::Get::AllowUnauthenticated \"false\";\n"
                "APT::Update::Error-Mode \"any\";\n",
                folder, folder, folder, folder, folder, folder, folder, folder, folder);
        if (conf.truncated) /* with half of it apt would take the machine's own */
                return err_set(err, ERR_INVALID, "what apt-config says of Acquire is longer than %d bytes", CONF_MAX);
        const char *suite = spec_text(spec, "suite", "");
        CLEANUP_FREE char *source = str_format("deb [signed-by=%s] %s %s\n",
                *given ? given : spec_text(spec, "fingerprint", ""), spec_text(spec, "repository", ""), suite);
        result = write_text(folder, "apt.conf", conf.data, err);
        if (result == 0)
                result = write_text(folder, "sources.list", source, err);
        return result < 0 ? result : write_text(folder, "status", "", err);
}

static int run(
        struct kind_ctx *ctx, const struct root *root, const char *directory, const char *const *argv, struct err **err)
{
        const char *env[] = {root->env[0], root->env[1], "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", NULL};
        struct proc_spec spec = {.argv = argv,
                .env = env,
                .directory = directory,
                .timeout_ms = LOOK_MS,
                .cancel = ctx->cancel,
                .die_with_us = true,
                .new_session = true};
        return proc_must(&spec, NULL, err);
}

/* What the repository has, as far as its signature is by the key that it has to be by; and that the package is there.
 */
static int look(
        struct kind_ctx *ctx, const json_t *spec, const struct root *root, const char *package, struct err **err)
{
        const char *const key[] = {APT_HELPER, "download-file", spec_text(spec, "key_url", ""), root->key, NULL};
        const char *const update[] = {"apt-get", "-qq", "update", NULL};
        const char *const is_there[] = {"apt-get", "-qq", "--print-uris", "download", package, NULL};
        int result = *spec_text(spec, "key", "") ? 0 : run(ctx, root, root->folder, key, err);
        if (result == 0)
                result = run(ctx, root, root->folder, update, err);
        if (result == 0)
                result = run(ctx, root, root->folder, is_there, err);
        if (result == 0)
                return 0;
        const char *without = spec_text(spec, "without", "");
        return err_prefix(err, "the package %s cannot be had from %s%s%s", package, spec_text(spec, "repository", ""),
                *without ? "; " : "", without);
}

static char *package_of(const json_t *spec)
{
        return str_format("%s=%s", spec_text(spec, "package", ""), spec_text(spec, "version", ""));
}

/* The one package in a folder; the caller frees. NULL: there is none. */
static char *find_package(const char *folder)
{
        DIR *dir = opendir(folder);
        struct dirent *entry;
        char *found = NULL;
        while (dir && !found && (entry = readdir(dir)))
                if (str_ends(entry->d_name, ".deb"))
                        found = file_join(folder, entry->d_name);
        if (dir)
                closedir(dir);
        return found;
}

static int build(struct kind_ctx *ctx, const json_t *spec, const char *folder, struct err **err)
{
        CLEANUP_ROOT struct root root = {0};
        CLEANUP_FREE char *apt = file_join(folder, ".apt");
        CLEANUP_FREE char *package = package_of(spec);
        const char *what = spec_text(spec, "package", "");
        int result = file_remove_tree(folder, err); /* a build that was cut off */
        if (result == 0)
                result = file_make_dirs(folder, 0755, err);
        if (result == 0)
                result = make_root(ctx, spec, apt, &root, err);
        if (result == 0)
                result = look(ctx, spec, &root, package, err);
        if (result < 0)
                return result;
        const char *env[] = {root.env[0], root.env[1], "LC_ALL=C.UTF-8", NULL};
        const char *download[] = {"apt-get", "-q", "download", package, NULL};
        result = tool_run(ctx, what, apt, env, download, err);
        CLEANUP_FREE char *file = result == 0 ? find_package(apt) : NULL;
        if (result == 0 && !file)
                return err_set(err, ERR_FAILED, "apt has not left %s in %s", package, apt);
        const char *unpack[] = {"dpkg-deb", "--extract", file, folder, NULL};
        if (result == 0)
                result = tool_run(ctx, what, NULL, NULL, unpack, err);
        return result < 0 ? result : file_remove_tree(apt, err);
}

/* Nothing of it stays: what was looked at is looked at again when it is fetched. */
static int preflight(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        char digest[DIGEST_SIZE], temporary[] = "/tmp/caas-apt-XXXXXX";
        int result = place_path_preflight(ctx, r, recorded, err);
        identify(r->spec, digest);
        CLEANUP_FREE char *folder = versions_folder(spec_text(r->spec, "path", ""), digest);
        if (result < 0 || versions_is_complete(folder))
                return result;
        if (!mkdtemp(temporary))
                return err_set_errno(err, errno, "cannot make a folder in /tmp");
        CLEANUP_ROOT struct root root = {0};
        CLEANUP_FREE char *package = package_of(r->spec);
        result = chmod(temporary, 0755) < 0 ? err_set_errno(err, errno, "cannot open %s", temporary) : 0;
        if (result == 0)
                result = make_root(ctx, r->spec, temporary, &root, err);
        if (result == 0)
                result = look(ctx, r->spec, &root, package, err);
        int removed = file_remove_tree(temporary, result == 0 ? err : NULL);
        return result < 0 ? result : removed;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        const char *path = spec_text(r->spec, "path", "");
        char digest[DIGEST_SIZE];
        int result = place_prepare(ctx, r->spec, path, NULL, NULL, err);
        if (result < 0)
                return result;
        identify(r->spec, digest);
        return versions_provide(ctx, r->spec, digest, build, ret_outputs, err);
}

extern const struct kind kind_host_unpacked;
const struct kind kind_host_unpacked = {
        .name = "host.unpacked",
        .retries = 2,
        .check = check,
        .observe = observe,
        .compare = place_path_compare,
        .preflight = preflight,
        .apply = apply,
        .remove = versions_forget,
};
