#include "access/access.h"

#include <string.h>

#include "access/reach.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/marks.h"

struct resolver {
        struct journal *journal;
        const char *cluster;
};

static int resolve_secret(void *data, const char *name, json_t **ret, struct err **err)
{
        const struct resolver *in = data;
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
        r = marks_resolve(marked, resolve_secret, &(struct resolver){journal, cluster}, &access, err);
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
