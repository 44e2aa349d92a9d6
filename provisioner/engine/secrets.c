/* Secrets: made at random or read from a file, kept in memory until the run begins, then sealed in the journal. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "engine/private.h"
#include "kind/marks.h"

#define SECRET_FILE_MAX 4096

static int read_secret_file(const char *path, char **ret, struct err **err)
{
        struct stat st;
        if (stat(path, &st) < 0)
                return err_set_errno(err, errno, "cannot read the secret in %s", path);
        if (st.st_mode & 077)
                return err_set(err, ERR_REFUSED, "%s can be read by others (mode %04o): chmod 600 it", path,
                        (unsigned)(st.st_mode & 07777));
        char *text;
        size_t length;
        int r = file_read(path, SECRET_FILE_MAX, &text, &length, err);
        if (r < 0)
                return r;
        while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
                text[--length] = '\0';
        if (length == 0 || !str_utf8(text, length, NULL)) {
                mem_wipe_free(text, length);
                return err_set(err, ERR_INVALID, "%s holds no secret (empty, or not UTF-8)", path);
        }
        *ret = text;
        return 0;
}

static char *make_secret(const struct role_secret *secret)
{
        size_t n = secret->bytes > 0 ? (size_t)secret->bytes : 32;
        return str_is(secret->format, "password") ? random_password(n) : random_hex(n);
}

static void keep(struct engine *engine, const char *name, char *value, json_int_t version)
{
        json_object_set_new(engine->new_secrets, name, json_string(value));
        json_object_set_new(engine->secret_versions, name, json_integer(version));
        mem_wipe_free(value, strlen(value));
}

static int prepare_one(struct engine *engine, const struct role_secret *secret, struct err **err)
{
        const json_t *version = json_object_get(engine->secret_versions, secret->name);
        if (!secret->file) {
                if (!version)
                        keep(engine, secret->name, make_secret(secret), 1);
                return 0;
        }
        char *value = NULL, *old = NULL;
        int r = read_secret_file(secret->file, &value, err);
        if (r < 0 || !value)
                return r;
        if (version && journal_secret(engine->o.journal, engine->o.cluster, secret->name, &old, err) < 0) {
                mem_wipe_free(value, strlen(value));
                return err_prefix(err, "secret %s", secret->name);
        }
        if (old && str_is(old, value))
                mem_wipe_free(value, strlen(value));
        else
                keep(engine, secret->name, value, json_integer_value(version) + 1);
        if (old)
                mem_wipe_free(old, strlen(old));
        return 0;
}

/* Puts the versions into the markers, so that a secret that changed changes what uses it. The tree is our own. */
static void put_versions(json_t *tree, const json_t *versions)
{
        const char *key;
        json_t *value;
        size_t i;
        if (json_is_array(tree)) {
                json_array_foreach (tree, i, value)
                        put_versions(value, versions);
        } else if (json_is_object(tree)) {
                const char *name = json_string_value(json_object_get(tree, MARK_SECRET));
                json_t *version = name ? json_object_get(versions, name) : NULL;
                if (version)
                        json_object_set(tree, "version", version);
                json_object_foreach (tree, key, value)
                        put_versions(value, versions);
        }
}

int engine_prepare_secrets(struct engine *engine, struct err **err)
{
        int r = journal_secret_versions(engine->o.journal, engine->o.cluster, &engine->secret_versions, err);
        if (r < 0)
                return r;
        for (size_t i = 0; engine->o.secrets && i < engine->o.secrets->count; i++) {
                r = prepare_one(engine, &engine->o.secrets->item[i], err);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < engine->desired.count; i++)
                put_versions(engine->desired.item[i].spec, engine->secret_versions);
        return 0;
}

int engine_store_secrets(struct engine *engine, struct err **err)
{
        const char *name;
        json_t *value;
        json_object_foreach (engine->new_secrets, name, value) {
                int r = journal_put_secret(engine->o.journal, engine->o.cluster, name, json_string_value(value), err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- resolving markers ---- */

static int secret_value(void *data, const char *name, json_t **ret, struct err **err)
{
        struct engine *engine = data;
        json_t *value = json_object_get(engine->new_secrets, name);
        if (value) {
                *ret = json_string(json_string_value(value)); /* a copy: the caller wipes it */
                return 0;
        }
        char *text;
        int r = journal_secret(engine->o.journal, engine->o.cluster, name, &text, err);
        if (r < 0)
                return err_prefix(err, "secret %s", name);
        *ret = json_string(text);
        mem_wipe_free(text, strlen(text));
        return 0;
}

int engine_resolve(struct kind_ctx *ctx, const json_t *spec, json_t **ret, struct err **err)
{
        struct call *call = ctx->engine;
        return marks_resolve(spec, secret_value, call->engine, ret, err);
}
