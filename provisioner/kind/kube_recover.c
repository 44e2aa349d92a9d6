#include "kind/kube_recover.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube/base64.h"
#include "kind/inlay.h"
#include "kind/kube_manifest.h"
#include "kind/kube_parts.h"
#include "kind/kube_server.h"
#include "kind/place.h"
#include "kind/spec.h"
#include "tree/subst.h"

struct reader {
        void (*found)(void *data, const char *name, const char *value);
        void (*file)(void *data, const char *path, const char *text);
        void *data;
};

/* ---- text with secrets in it ---- */

enum token_type { TOKEN_LITERAL, TOKEN_SECRET, TOKEN_WILD };
struct token {
        enum token_type type;
        char *text; /* of a literal; the name of a secret */
};
struct tokens {
        struct token *item;
        size_t count, capacity;
};

static void add_token(struct tokens *tokens, enum token_type type, const char *text, size_t length)
{
        MEM_GROW(tokens->item, tokens->count, tokens->capacity);
        tokens->item[tokens->count++] = (struct token){type, str_copy_n(text, length)};
}

/* Literal text, in which ${…} may be anything. */
static void add_text(struct tokens *tokens, const char *text)
{
        for (;;) {
                const char *open = strstr(text, "${"), *close = open ? strchr(open, '}') : NULL;
                size_t length = close ? (size_t)(open - text) : strlen(text);
                if (length)
                        add_token(tokens, TOKEN_LITERAL, text, length);
                if (!close)
                        return;
                add_token(tokens, TOKEN_WILD, "", 0);
                text = close + 1;
        }
}

static void add_part(struct tokens *tokens, const json_t *part)
{
        const char *name = json_string_value(json_object_get(part, MARK_SECRET));
        if (name)
                add_token(tokens, TOKEN_SECRET, name, strlen(name));
        else if (json_is_string(part))
                add_text(tokens, json_string_value(part));
        else
                add_token(tokens, TOKEN_WILD, "", 0);
}

/* Reads along the text; stops where it cannot be told any more what stands where. */
static void match(struct reader *reader, const struct tokens *tokens, const char *text)
{
        for (size_t i = 0; i < tokens->count; i++) {
                const struct token *t = &tokens->item[i], *next = i + 1 < tokens->count ? t + 1 : NULL;
                if (t->type == TOKEN_LITERAL) {
                        if (!str_starts(text, t->text))
                                return;
                        text += strlen(t->text);
                        continue;
                }
                if (next && next->type != TOKEN_LITERAL)
                        return;
                const char *end = next ? strstr(text, next->text) : text + strlen(text);
                if (!end)
                        return;
                if (t->type == TOKEN_SECRET && end > text) {
                        char *value = str_copy_n(text, (size_t)(end - text));
                        reader->found(reader->data, t->text, value);
                        mem_wipe_free(value, strlen(value));
                }
                text = end;
        }
}

static void read_join(struct reader *reader, const json_t *parts, const char *text)
{
        struct tokens tokens = {0};
        size_t i;
        const json_t *part;
        json_array_foreach (parts, i, part)
                add_part(&tokens, part);
        match(reader, &tokens, text);
        for (i = 0; i < tokens.count; i++)
                free(tokens.item[i].text);
        free(tokens.item);
}

/* ---- walking along both trees ---- */

static void walk(struct reader *reader, const json_t *ours, const json_t *live)
{
        const char *key, *text = json_string_value(live);
        const char *name = json_string_value(json_object_get(ours, MARK_SECRET));
        const char *path = json_string_value(json_object_get(ours, INLAY_FILE));
        const json_t *parts = json_object_get(ours, MARK_JOIN), *tree = json_object_get(ours, INLAY_JSON);
        json_t *value;
        size_t i;
        if (name || path || parts || tree) {
                if (!text || !*text)
                        return;
                if (name) {
                        reader->found(reader->data, name, text);
                } else if (path) {
                        reader->file(reader->data, path, text);
                } else if (parts) {
                        read_join(reader, parts, text);
                } else {
                        json_t *parsed = json_loads(text, JSON_DECODE_ANY, NULL);
                        walk(reader, tree, parsed);
                        kind_forget(parsed);
                }
                return;
        }
        json_object_foreach ((json_t *)ours, key, value)
                walk(reader, value, json_object_get(live, key));
        json_array_foreach ((json_t *)ours, i, value)
                walk(reader, value, json_array_get(live, i));
}

/* A Secret's data as text. New reference; wiped by the caller. */
static json_t *texts_of(const json_t *live)
{
        json_t *texts = json_object(), *value;
        const char *key;
        json_object_foreach (json_object_get(live, "data"), key, value) {
                char *text = NULL;
                size_t length = 0;
                const char *encoded = json_string_value(value);
                if (!encoded || base64_decode(encoded, strlen(encoded), &text, &length) < 0)
                        continue;
                json_object_set_new(texts, key, json_stringn(text, length));
                mem_wipe_free(text, length);
        }
        return texts;
}

void kube_recover_from(const json_t *object, const json_t *live,
        void (*found)(void *data, const char *name, const char *value),
        void (*file)(void *data, const char *path, const char *text), void *data)
{
        struct reader reader = {found, file, data};
        if (!str_is(spec_text(object, "kind", ""), "Secret")) {
                walk(&reader, object, live);
                return;
        }
        json_t *texts = texts_of(live);
        walk(&reader, json_object_get(object, "stringData"), texts);
        kind_forget(texts);
}

/* ---- */

struct recovery {
        struct kind_ctx *ctx;
        void (*found)(void *data, const char *name, const char *value);
        void *data;
        struct err *fault;
};

static void give(void *data, const char *name, const char *value)
{
        struct recovery *recovery = data;
        recovery->found(recovery->data, name, value);
}

static void restore(void *data, const char *path, const char *text)
{
        struct recovery *recovery = data;
        json_auto_t *spec = json_object();
        if (recovery->fault || strstr(path, "${") || file_exists(path) ||
                place_check(recovery->ctx, spec, path, NULL) < 0)
                return;
        if (place_make_parent(path, &recovery->fault) == 0)
                file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, &recovery->fault);
}

int kube_recover(struct kind_ctx *ctx, const struct resource *r,
        void (*found)(void *data, const char *name, const char *value), void *data, struct err **err)
{
        json_auto_t *object = kube_parts_object(r->spec);
        if (!subst_has_marker(object, NULL) && !str_is(spec_text(object, "kind", ""), "Secret") &&
                !str_is(spec_text(object, "kind", ""), "ConfigMap"))
                return 0;
        struct kube_ref ref = manifest_ref(r->spec);
        struct kube *kube;
        bool namespaced = false;
        json_t *live = NULL;
        CLEANUP_ERR struct err *fault = NULL;
        if (strstr(ref.name, "${") || (ref.namespace && strstr(ref.namespace, "${")))
                return 0;
        int result = kube_of(ctx, &kube, &fault);
        if (result == 0)
                result = kube_knows(kube, ref.api_version, ref.kind, &namespaced, &fault);
        if (result == 0 && namespaced && !ref.namespace)
                ref.namespace = kube_namespace_of(ctx);
        if (result == 0)
                result = kube_get(kube, &ref, &live, &fault);
        if (result == -ERR_NOT_FOUND)
                return 0;
        if (result < 0) {
                if (err)
                        *err = STEAL(fault);
                return result;
        }
        struct recovery recovery = {ctx, found, data, NULL};
        if (manifest_is_ours(live, ctx->cluster))
                kube_recover_from(object, live, give, restore, &recovery);
        kind_forget(live);
        if (!recovery.fault)
                return 0;
        result = -(int)recovery.fault->code;
        if (err)
                *err = STEAL(recovery.fault);
        err_free(recovery.fault);
        return result;
}
