/* directory.instance: a 389 Directory Server of our own, all of it in one folder. Making it takes a moment and needs no
 * running server: roles/identity/files/directory.py writes its configuration and its key store. The server is run by a
 * host.service whose command is that same helper, which lays the settings of instance.json over the server's own file
 * each time before it starts. So an update is: write instance.json, restart. The outputs' digest says when. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/random.h"
#include "base/str.h"
#include "client/tls/certificate.h"
#include "kind/kind.h"
#include "kind/place.h"
#include "kind/service_wait.h"
#include "kind/spec.h"
#include "tree/digest.h"

#define PYTHON     "/usr/bin/python3"
#define CONFIG_MAX (1024 * 1024)
#define PEM_MAX    (64 * 1024)

static const struct spec_field fields[] = {
        {"folder", SPEC_PATH, true},
        {"name", SPEC_TEXT, true},
        {"user", SPEC_TEXT, true},    /* the server's account, of this directory alone */
        {"service", SPEC_TEXT, true}, /* the host.service that runs it */
        {"suffix", SPEC_TEXT, true},
        {"address", SPEC_TEXT, true},
        {"port", SPEC_WHOLE, true},
        {"root_dn", SPEC_TEXT, true},
        {"root_password", SPEC_ANY, true},
        {"first_uid", SPEC_WHOLE, true},
        {"uid_count", SPEC_WHOLE, true},
        {"helper", SPEC_PATH, true},
        {"helper_digest", SPEC_TEXT, false}, /* another helper: the server is started anew */
        {"content", SPEC_TEXT, true},        /* additions to the schema, LDIF */
        {"certificate", SPEC_PATH, true},
        {"key", SPEC_PATH, true},
        {"ca_certificate", SPEC_PATH, true},
        {"fingerprint", SPEC_TEXT, true}, /* of the certificate */
        {0},
};

static int check(const json_t *spec, struct err **err)
{
        return spec_check(spec, fields, err);
}

static char *config_path(const json_t *spec)
{
        return file_join(spec_text(spec, "folder", ""), "instance.json");
}

/* The server names a semaphore of the whole machine after the folder of its configuration, so no two may be called
 * alike, not even in containers that share /dev/shm: the name ends in chance, and instance.json remembers it. "" = none
 * yet. */
static char *config_folder(const json_t *spec)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        CLEANUP_FREE char *path = config_path(spec), *text = NULL;
        if (file_read(path, CONFIG_MAX, &text, NULL, NULL) < 0)
                return str_copy("");
        json_auto_t *config = json_loads(text, 0, NULL);
        const char *name = spec_text(config, "config", "");
        return str_copy(name[strspn(name, allowed)] == '\0' ? name : "");
}

static char *new_config_folder(const json_t *spec)
{
        CLEANUP_FREE char *chance = random_hex(4);
        return str_format("slapd-%s-%s", spec_text(spec, "name", ""), chance);
}

/* Each certificate has its key store; the running server's is never written to. */
static char *store_name(const json_t *spec)
{
        return str_format("store-%.16s", spec_text(spec, "fingerprint", ""));
}

static char *config_text(const json_t *spec)
{
        CLEANUP_FREE char *store = store_name(spec), *own = config_folder(spec);
        if (!*own) {
                free(own);
                own = new_config_folder(spec);
        }
        json_auto_t *config = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:s, s:s}", "folder",
                spec_text(spec, "folder", ""), "config", own, "name", spec_text(spec, "name", ""), "suffix",
                spec_text(spec, "suffix", ""), "address", spec_text(spec, "address", ""), "port",
                (json_int_t)spec_whole(spec, "port", 0), "user", spec_text(spec, "user", ""), "root_dn",
                spec_text(spec, "root_dn", ""), "first_uid", (json_int_t)spec_whole(spec, "first_uid", 0), "last_uid",
                (json_int_t)(spec_whole(spec, "first_uid", 0) + spec_whole(spec, "uid_count", 1) - 1), "keys", store,
                "schema", spec_text(spec, "content", ""));
        return json_dumps(config, JSON_INDENT(2) | JSON_SORT_KEYS);
}

static bool below(const char *folder, const char *name)
{
        CLEANUP_FREE char *path = file_join(folder, name);
        return file_exists(path);
}

static void digest_of_file(const char *path, char ret[DIGEST_SIZE])
{
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        if (file_read(path, CONFIG_MAX, &text, &length, NULL) < 0)
                ret[0] = '\0';
        else
                digest_bytes(text, length, ret);
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx, (void)err;
        const char *folder = spec_text(r->spec, "folder", "");
        CLEANUP_FREE char *config = config_path(r->spec), *store = store_name(r->spec);
        CLEANUP_FREE char *complete = str_format("keys/%s/complete", store);
        CLEANUP_FREE char *own = config_folder(r->spec), *dse = str_format("%s/dse.ldif", own);
        if (!*own || !below(folder, dse))
                return 0;
        char digest[DIGEST_SIZE];
        digest_of_file(config, digest);
        *ret_state = json_pack("{s:s, s:b}", "config", digest, "keys", below(folder, complete));
        return 0;
}

/* Runs the helper with a small JSON object on its standard input: secrets go that way. */
static int run_helper(struct kind_ctx *ctx, const json_t *spec, const char *verb, const json_t *given, struct err **err)
{
        CLEANUP_FREE char *config = config_path(spec);
        char *input = json_dumps(given, JSON_COMPACT);
        const char *argv[] = {PYTHON, "-I", spec_text(spec, "helper", ""), verb, config, NULL};
        const struct proc_spec proc = {.argv = argv,
                .clean_env = true,
                .directory = "/",
                .input = input,
                .input_length = strlen(input),
                .timeout_ms = 120000,
                .cancel = ctx->cancel,
                .new_session = true};
        int r = proc_must(&proc, NULL, err);
        mem_wipe_free(input, strlen(input));
        return r;
}

static int make_keys(struct kind_ctx *ctx, const json_t *spec, struct err **err)
{
        CLEANUP_FREE char *certificate = NULL, *ca = NULL, *password = random_hex(24);
        char *key = NULL, *pack = NULL;
        int r = file_read(spec_text(spec, "certificate", ""), PEM_MAX, &certificate, NULL, err);
        if (r == 0)
                r = file_read(spec_text(spec, "ca_certificate", ""), PEM_MAX, &ca, NULL, err);
        if (r == 0)
                r = file_read(spec_text(spec, "key", ""), PEM_MAX, &key, NULL, err);
        if (r == 0)
                r = tls_pkcs12(certificate, key, ca, "Server-Cert", password, &pack, err);
        if (r == 0) {
                json_t *given = json_pack("{s:s, s:s, s:s}", "pkcs12", pack, "password", password, "ca", ca);
                r = run_helper(ctx, spec, "certify", given, err);
                kind_forget(given);
        }
        mem_wipe_free(key, key ? strlen(key) : 0);
        mem_wipe_free(pack, pack ? strlen(pack) : 0);
        return r;
}

/* It is there only when the server had no time to clean up. */
static int remove_semaphore(const json_t *spec, struct err **err)
{
        CLEANUP_FREE char *own = config_folder(spec), *semaphore = str_format("/dev/shm/sem.%s.stats", own);
        return *own ? file_remove(semaphore, err) : 0;
}

/* The folder of an earlier account, or of one that is gone: see remove_it. Not under the feet of a server that runs:
 * the service comes next and starts it anew. */
static int take_over(struct kind_ctx *ctx, const json_t *spec, uid_t uid, gid_t gid, struct err **err)
{
        const char *folder = spec_text(spec, "folder", "");
        struct stat st;
        if (stat(folder, &st) < 0 || st.st_uid == uid)
                return 0;
        const struct service_host host = service_host_of(ctx);
        const struct service service = {.name = spec_text(spec, "service", ""), .stop_seconds = 60};
        int r = service_driver()->stop(&host, &service, err);
        if (r == 0)
                r = remove_semaphore(spec, err);
        return r < 0 ? r : file_give_tree(folder, uid, gid, err);
}

/* The server runs as its own account and needs nothing of the folder but what is its own. */
static int make_folder(struct kind_ctx *ctx, const json_t *spec, uid_t uid, gid_t gid, struct err **err)
{
        const char *folder = spec_text(spec, "folder", "");
        int r = take_over(ctx, spec, uid, gid, err);
        if (r == 0)
                r = file_make_dirs(folder, 0700, err);
        if (r < 0)
                return r;
        if (chown(folder, uid, gid) < 0 || chmod(folder, 0700) < 0)
                return err_set_errno(err, errno, "cannot give %s to %s", folder, spec_text(spec, "user", ""));
        CLEANUP_FREE char *config = config_path(spec), *text = config_text(spec);
        return file_write_atomic(config, text, strlen(text), 0640, 0, gid, err);
}

static json_t *outputs_of(const json_t *spec)
{
        CLEANUP_FREE char *config = config_path(spec), *text = config_text(spec);
        CLEANUP_FREE char *own = config_folder(spec);
        CLEANUP_FREE char *root = str_format("%s/%s/root", spec_text(spec, "folder", ""), own);
        char root_digest[DIGEST_SIZE], digest[DIGEST_SIZE];
        digest_of_file(root, root_digest);
        CLEANUP_FREE char *all = str_format("%s\n%s\n%s", text, root_digest, spec_text(spec, "helper_digest", ""));
        digest_bytes(all, strlen(all), digest);
        return json_pack(
                "{s:s, s:s, s:s}", "folder", spec_text(spec, "folder", ""), "config", config, "digest", digest);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        int result = place_check(ctx, r->spec, spec_text(r->spec, "folder", ""), err);
        if (result < 0)
                return result;
        const char *user = spec_text(r->spec, "user", "");
        json_auto_t *owner = json_pack("{s:s, s:s}", "owner", user, "group", user);
        uid_t uid;
        gid_t gid;
        result = place_owner(owner, &uid, &gid, err);
        if (result < 0)
                return result;
        json_t *spec = NULL;
        result = kind_resolve(ctx, r->spec, &spec, err);
        if (result < 0)
                return result;
        result = make_folder(ctx, spec, uid, gid, err);
        if (result == 0) {
                json_t *given = json_pack("{s:s}", "root_password", spec_text(spec, "root_password", ""));
                result = run_helper(ctx, spec, "create", given, err);
                kind_forget(given);
        }
        if (result == 0)
                result = make_keys(ctx, spec, err);
        if (result == 0)
                *ret_outputs = outputs_of(spec);
        kind_forget(spec);
        return result;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded;
        const char *folder = spec_text(r->spec, "folder", "");
        int result = place_check(ctx, r->spec, folder, err);
        if (result == 0)
                result = remove_semaphore(r->spec, err);
        if (result < 0 || ctx->delete_data)
                return result < 0 ? result : file_remove_tree(folder, err);
        if (!file_exists(folder))
                return 0;
        *ret_kept = str_format("the accounts and groups of the directory: %s", folder);
        return file_give_tree(folder, 0, 0, err); /* the account's number may become somebody else's */
}

extern const struct kind kind_directory_instance;
const struct kind kind_directory_instance = {
        .name = "directory.instance",
        .lock = "directory",
        .check = check,
        .observe = observe,
        .apply = apply,
        .remove = remove_it,
};
