#include "client/kube/kubeconfig_entry.h"

#include <stdarg.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube/base64.h"

int entry_error(
        const struct entry *entry, const char *field, enum err_code code, struct err **err, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *text = str_vformat(format, ap);
        va_end(ap);
        CLEANUP_FREE char *below = field ? str_format(".%s.%s", entry->what, field) : str_copy("");
        CLEANUP_FREE char *path = str_format("%s[%zu]%s", entry->list, entry->index, below);
        int line = 0, column = 0;
        tree_key_place(entry->file->tree, path, &line, &column);
        int r = err_set(err, code, "%s", text);
        err_at(err, entry->file->path, line, column);
        return r;
}

int entry_text(const struct entry *entry, const char *field, char **ret, struct err **err)
{
        json_t *node = json_object_get(entry->node, field);
        if (node && !json_is_string(node) && !json_is_null(node))
                return entry_error(entry, field, ERR_INVALID, err, "%s must be a text", field);
        const char *text = json_string_value(node);
        *ret = text && *text ? str_copy(text) : NULL;
        return 0;
}

char *entry_path(const struct entry *entry, const char *path)
{
        const char *slash = strrchr(entry->file->path, '/');
        if (*path == '/' || !slash)
                return str_copy(path);
        CLEANUP_FREE char *folder = str_copy_n(entry->file->path, (size_t)(slash + 1 - entry->file->path));
        return file_join(folder, path);
}

static int decode(const struct entry *entry, const char *field, const char *text, char **ret, struct err **err)
{
        char *data = NULL;
        size_t length = 0;
        if (base64_decode(text, strlen(text), &data, &length) < 0)
                return entry_error(entry, field, ERR_INVALID, err, "%s is not base64", field);
        if (!memmem(data, length, "-----BEGIN ", 11) || strlen(data) != length) {
                mem_wipe_free(data, length);
                return entry_error(entry, field, ERR_INVALID, err, "%s is not PEM in base64", field);
        }
        *ret = data;
        return 0;
}

static int read_pem(const struct entry *entry, const char *field, const char *name, char **ret, struct err **err)
{
        CLEANUP_FREE char *path = entry_path(entry, name);
        struct err *why = NULL;
        size_t length = 0;
        char *data = NULL;
        int r = file_read(path, KUBECONFIG_FILE_MAX, &data, &length, &why);
        if (r < 0) {
                entry_error(entry, field, (enum err_code) - r, err, "%s: %s", field, why->message);
                err_free(why);
                return r;
        }
        if (!strstr(data, "-----BEGIN ") || strlen(data) != length) {
                mem_wipe_free(data, length);
                return entry_error(entry, field, ERR_INVALID, err, "%s: %s is not PEM", field, path);
        }
        *ret = data;
        return 0;
}

int entry_pem(const struct entry *entry, const char *field, char **ret, struct err **err)
{
        CLEANUP_FREE char *data_field = str_format("%s-data", field);
        CLEANUP_FREE char *data = NULL;
        CLEANUP_FREE char *name = NULL;
        int r = entry_text(entry, data_field, &data, err);
        if (r == 0)
                r = entry_text(entry, field, &name, err);
        if (r < 0)
                return r;
        if (data)
                return decode(entry, data_field, data, ret, err);
        if (name)
                return read_pem(entry, field, name, ret, err);
        *ret = NULL;
        return 0;
}
