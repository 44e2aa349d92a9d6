#include "exporter/accounts.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define ACCOUNTS_MAX (16 * 1024 * 1024)

void accounts_clear(struct accounts *accounts)
{
        for (size_t i = 0; i < accounts->count; i++)
                free(accounts->item[i].user);
        free(accounts->item);
        *accounts = (struct accounts){0};
}

static int by_uid(const void *a, const void *b)
{
        uid_t x = ((const struct account *)a)->uid, y = ((const struct account *)b)->uid;
        return (x > y) - (x < y);
}

int accounts_parse(const char *text, size_t length, struct accounts *ret, struct err **err)
{
        struct accounts accounts = {0};
        json_error_t error;
        const char *user;
        json_t *ids, *tree = json_loadb(text, length, 0, &error);
        if (!tree)
                return err_set(err, ERR_INVALID, "line %d: %s", error.line, error.text);
        json_object_foreach (tree, user, ids) {
                const json_t *uid = json_object_get(ids, "uid");
                json_int_t number = json_integer_value(uid);
                if (!json_is_integer(uid) || number < 1 || number > 4294967293LL || !str_user_name(user))
                        continue;
                MEM_GROW(accounts.item, accounts.count, accounts.capacity);
                accounts.item[accounts.count++] = (struct account){.user = str_copy(user), .uid = (uid_t)number};
        }
        json_decref(tree);
        if (accounts.count)
                qsort(accounts.item, accounts.count, sizeof *accounts.item, by_uid);
        *ret = accounts;
        return 0;
}

int accounts_load(const char *path, struct accounts *ret, struct err **err)
{
        CLEANUP_ERR struct err *problem = NULL;
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        int r = path ? file_read(path, ACCOUNTS_MAX, &text, &length, &problem) : -ERR_NOT_FOUND;
        if (r == -ERR_NOT_FOUND) {
                *ret = (struct accounts){0};
                return 0;
        }
        if (r == 0)
                r = accounts_parse(text, length, ret, &problem);
        if (r < 0 && err)
                *err = STEAL(problem);
        return r < 0 ? err_prefix(err, "%s", path) : 0;
}

const char *accounts_user(const struct accounts *accounts, uid_t uid)
{
        struct account wanted = {.uid = uid};
        const struct account *found =
                accounts->count ? bsearch(&wanted, accounts->item, accounts->count, sizeof *accounts->item, by_uid)
                                : NULL;
        return found ? found->user : NULL;
}
