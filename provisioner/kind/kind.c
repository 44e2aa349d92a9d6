#include "kind/kind.h"

#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "tree/subst.h"

int kind_resolve(struct kind_ctx *ctx, const json_t *spec, json_t **ret, struct err **err)
{
        if (ctx->resolve)
                return ctx->resolve(ctx, spec, ret, err);
        if (subst_has_marker(spec, NULL))
                return err_set(err, ERR_NOT_FOUND, "there is nobody to ask for the secret");
        *ret = json_deep_copy(spec);
        return 0;
}

/* A node that somebody else holds, too, is theirs and stays as it is. */
static void wipe(json_t *value)
{
        if (!value || value->refcount != 1)
                return;
        const char *key;
        json_t *item;
        size_t i;
        if (json_is_string(value))
                explicit_bzero((char *)json_string_value(value), json_string_length(value));
        json_array_foreach (value, i, item)
                wipe(item);
        json_object_foreach (value, key, item)
                wipe(item);
}

void kind_forget(json_t *resolved)
{
        wipe(resolved);
        json_decref(resolved);
}

void kind_progress(struct kind_ctx *ctx, const char *format, ...)
{
        if (!ctx->progress)
                return;
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *text = str_vformat(format, ap);
        va_end(ap);
        ctx->progress(ctx, utf8_make(text)); /* it may be a line of some program, or a part of one */
}
