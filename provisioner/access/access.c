#include "access/access.h"

#include <string.h>

#include "access/reach.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"

struct resolver {
        struct journal *journal;
        const char *cluster;
};

static int resolve(const struct resolver *in, const json_t *value, json_t **ret, struct err **err);

static int resolve_secret(const struct resolver *in, const char *name, json_t **ret, struct err **err)
{
        char *value;
        int r = journal_secret(in->journal, in->cluster, name, &value, err);
        if (r < 0)
                return r;
        json_t *text = json_string(value);
        mem_wipe_free(value, strlen(value));
        if (!text)
                return err_set(err, ERR_CORRUPT, "the secret %s is no text", name);
        *ret = text;
        return 0;
}

static int resolve_join(const struct resolver *in, const json_t *parts, json_t **ret, struct err **err)
{
        struct buf text = BUF_INIT(64 * 1024);
        size_t i;
        json_t *part;
        int r = 0;
        json_array_foreach (parts, i, part) {
                json_t *value = NULL;
                r = resolve(in, part, &value, err);
                if (r < 0)
                        break;
                if (json_is_string(value))
                        buf_str(&text, json_string_value(value));
                kind_forget(value);
        }
        if (r == 0)
                *ret = json_string(text.data ? text.data : "");
        if (text.data)
                explicit_bzero(text.data, text.length);
        buf_clear(&text);
        return r;
}

static int resolve_each(const struct resolver *in, const json_t *value, json_t **ret, struct err **err)
{
        json_t *copy = json_is_object(value) ? json_object() : json_array();
        const char *key;
        size_t i;
        json_t *item, *done = NULL;
        int r = 0;
        if (json_is_object(value)) {
                json_object_foreach ((json_t *)value, key, item) {
                        if ((r = resolve(in, item, &done, err)) < 0)
                                break;
                        json_object_set_new(copy, key, done);
                }
        } else {
                json_array_foreach (value, i, item) {
                        if ((r = resolve(in, item, &done, err)) < 0)
                                break;
                        json_array_append_new(copy, done);
                }
        }
        if (r < 0) {
                kind_forget(copy);
                return r;
        }
        *ret = copy;
        return 0;
}

/* Everything is copied, even what holds no secret: the result is wiped in the end, and it must share nothing. */
static int resolve(const struct resolver *in, const json_t *value, json_t **ret, struct err **err)
{
        const char *secret = json_string_value(json_object_get(value, MARK_SECRET));
        if (secret)
                return resolve_secret(in, secret, ret, err);
        const json_t *join = json_object_get(value, MARK_JOIN);
        if (join)
                return resolve_join(in, join, ret, err);
        if (json_is_object(value) || json_is_array(value))
                return resolve_each(in, value, ret, err);
        *ret = json_deep_copy(value);
        return 0;
}

int access_peek(struct journal *journal, const char *cluster, const char *role, json_t **ret, struct err **err)
{
        CLEANUP_FREE char *id = str_format("%s/access", role);
        CLEANUP_ERR struct err *fault = NULL;
        int r = journal_outputs(journal, cluster, id, ret, &fault);
        if (r == -ERR_NOT_FOUND)
                return err_set(err, ERR_NOT_FOUND, "the %s of %s is not ready: apply its form first", role, cluster);
        if (r < 0 && err)
                *err = STEAL(fault);
        return r;
}

int access_read(struct journal *journal, const char *cluster, const char *role, json_t **ret, struct err **err)
{
        json_auto_t *marked = NULL;
        int r = access_peek(journal, cluster, role, &marked, err);
        if (r < 0)
                return r;
        json_t *access = NULL;
        r = resolve(&(struct resolver){journal, cluster}, marked, &access, err);
        if (r < 0)
                return err_prefix(err, "%s/access", role);
        r = reach_forward(journal, cluster, access, err);
        if (r < 0) {
                kind_forget(access);
                return err_prefix(err, "the %s of %s", role, cluster);
        }
        *ret = access;
        return 0;
}
