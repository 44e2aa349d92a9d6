/* The secrets that roles declare. */
#include "role/role_impl.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"

#define BYTES_DEFAULT 32
#define BYTES_MIN     8
#define BYTES_MAX     1024

void role_secrets_clear(struct role_secrets *secrets)
{
        for (size_t i = 0; i < secrets->count; i++) {
                free(secrets->item[i].name);
                free(secrets->item[i].format);
                free(secrets->item[i].file);
        }
        free(secrets->item);
        *secrets = (struct role_secrets){0};
}

static int read_format(
        const struct role_text *role, const json_t *text, const char *path, const char **ret, struct err **err)
{
        const char *format = json_string_value(json_object_get(text, "format"));
        if (!format || str_is(format, "hex") || str_is(format, "password")) {
                *ret = format ? format : "hex";
                return 0;
        }
        CLEANUP_FREE char *at = str_format("%s.format", path);
        err_set(err, ERR_INVALID, "a format is hex or password, not %s", format);
        return text_at(role, at, err);
}

static int read_bytes(const struct role_text *role, const json_t *text, const char *path, int *ret, struct err **err)
{
        const json_t *bytes = json_object_get(text, "bytes");
        json_int_t value = bytes ? json_integer_value(bytes) : BYTES_DEFAULT;
        if (value >= BYTES_MIN && value <= BYTES_MAX) {
                *ret = (int)value;
                return 0;
        }
        CLEANUP_FREE char *at = str_format("%s.bytes", path);
        err_set(err, ERR_INVALID, "a secret has %d to %d bytes, not %lld", BYTES_MIN, BYTES_MAX, (long long)value);
        return text_at(role, at, err);
}

/* *ret is NULL for a secret that is made. */
static int read_file_name(struct scope *scope, const struct role_text *role, const json_t *text, const char *path,
        char **ret, struct err **err)
{
        const json_t *file = json_object_get(text, "file");
        if (!file)
                return 0;
        CLEANUP_FREE char *at = str_format("%s.file", path);
        json_auto_t *value = NULL;
        int r = spec_subst(scope, role, file, at, false, &value, err);
        if (r < 0)
                return r;
        const char *name = json_string_value(value);
        if (!name || !*name) {
                err_set(err, ERR_INVALID, "the name of a file is expected here");
                return text_at(role, at, err);
        }
        *ret = str_copy(name);
        return 0;
}

static int load_secret(struct loader *loader, const struct role_text *role, const json_t *text, const char *path,
        struct role_secrets *list, struct err **err)
{
        const char *name = json_string_value(json_object_get(text, "name")), *format = NULL;
        const json_t *before = json_object_get(loader->secrets, name);
        struct scope scope = {.loader = loader, .early = true};
        int bytes = 0, there = expand_condition(&scope, role, text, path, err);
        if (there < 0)
                return there;
        if (!there) { /* another entry of the same name may be there */
                if (!before)
                        json_object_set_new(loader->secrets, name, json_false());
                return 0;
        }
        if (json_is_true(before)) {
                CLEANUP_FREE char *at = str_format("%s.name", path);
                err_set(err, ERR_INVALID, "the secret %s is there twice", name);
                return text_at(role, at, err);
        }
        CLEANUP_FREE char *file = NULL;
        int r = read_format(role, text, path, &format, err);
        if (r == 0)
                r = read_bytes(role, text, path, &bytes, err);
        if (r == 0)
                r = read_file_name(&scope, role, text, path, &file, err);
        if (r < 0)
                return r;
        json_object_set_new(loader->secrets, name, json_true());
        MEM_GROW(list->item, list->count, list->capacity);
        list->item[list->count++] = (struct role_secret){
                .name = str_copy(name), .bytes = bytes, .format = str_copy(format), .file = STEAL(file)};
        return 0;
}

int secrets_load(struct loader *loader, struct role_secrets *ret, struct err **err)
{
        for (size_t i = 0; i < loader->role_count; i++) {
                const struct role_text *role = &loader->role[i];
                const json_t *list = json_object_get(tree_root(role->tree), "secrets");
                for (size_t k = 0; role->entries && k < json_array_size(list);
                        k++) { /* a role that is not there wants none */
                        CLEANUP_FREE char *path = str_format("secrets[%zu]", k);
                        int r = load_secret(loader, role, json_array_get(list, k), path, ret, err);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}
