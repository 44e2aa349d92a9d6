#include "access/membership.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "access/membership_private.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/escape.h"

#define GROUPS_MAX 1000 /* looked at for "via" */

static const char *const shown[] = {
        "uid", "cn", "displayName", "mail", "uidNumber", "gidNumber", "nsAccountLock", "memberOf", NULL};

const char *membership_text(const json_t *access, const char *key)
{
        const char *text = json_string_value(json_object_get(access, key));
        return text ? text : "";
}

int membership_open(const json_t *access, bool root, struct directory **ret, struct err **err)
{
        if (root && !json_is_true(json_object_get(access, "embedded")))
                return err_set(err, ERR_REFUSED,
                        "accounts are kept in %s, which is not this cluster's own: manage them there",
                        membership_text(access, "uri"));
        struct directory_options options = {
                .uri = membership_text(access, "uri"),
                .ca = membership_text(access, "ca"),
                .bind_dn = membership_text(access, root ? "root_dn" : "bind_dn"),
                .password = membership_text(access, root ? "root_password" : "password"),
        };
        return directory_open(&options, ret, err);
}

/* What FreeIPA allows is more than what we would give: upper case, digits in front. */
static bool plausible(const char *name)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-$";
        size_t length = strlen(name);
        return length > 0 && length <= 255 && name[0] != '-' && strspn(name, allowed) == length;
}

static int check_names(const char *const *names, struct err **err)
{
        for (; *names; names++)
                if (!plausible(*names))
                        return err_set(err, ERR_INVALID, "\"%.60s\" is no user name", *names);
        return 0;
}

int membership_find(struct directory *directory, const json_t *access, const char *name, json_t **ret, struct err **err)
{
        CLEANUP_FREE char *value = escape_filter_value(name);
        CLEANUP_FREE char *filter = str_format("(&(objectClass=posixAccount)(uid=%s))", value);
        json_auto_t *entries = NULL;
        int r = directory_search(
                directory, membership_text(access, "users_base"), DIRECTORY_ONE, filter, shown, 2, &entries, NULL, err);
        if (r < 0)
                return r;
        if (json_array_size(entries) > 1)
                return err_set(err, ERR_FAILED, "the directory has more than one user %s", name);
        *ret = json_incref(json_array_get(entries, 0)); /* NULL stays NULL */
        return 0;
}

static const char *full_name(const json_t *entry)
{
        const char *text = directory_value(entry, "displayName");
        if (!text)
                text = directory_value(entry, "cn");
        return text ? text : "";
}

/* Entries in the order of the names; null for those that the directory does not know. */
static int find_all(
        struct directory *directory, const json_t *access, const char *const *names, json_t **ret, struct err **err)
{
        json_auto_t *entries = json_array();
        for (; *names; names++) {
                json_t *entry = NULL;
                int r = membership_find(directory, access, *names, &entry, err);
                if (r < 0)
                        return r;
                json_array_append_new(entries, entry ? entry : json_null());
        }
        *ret = STEAL(entries);
        return 0;
}

#define NEAREST_MAX 5000

/* Who may have been meant, or NULL. The caller frees. */
static char *nearest(struct directory *directory, const json_t *access, const char *name)
{
        static const char *const wanted[] = {"uid", NULL};
        json_auto_t *entries = NULL;
        if (directory_search(directory, membership_text(access, "users_base"), DIRECTORY_ONE, "(uid=*)", wanted,
                    NEAREST_MAX, &entries, NULL, NULL) < 0)
                return NULL;
        CLEANUP_FREE const char **names = mem_zero_array(json_array_size(entries) + 1, sizeof *names);
        size_t i, count = 0;
        const json_t *entry;
        json_array_foreach (entries, i, entry)
                if (directory_value(entry, "uid"))
                        names[count++] = directory_value(entry, "uid");
        const char *found = str_nearest(name, names);
        return found ? str_copy(found) : NULL;
}

static int refuse_unknown(struct directory *directory, const json_t *access, const json_t *entries,
        const char *const *names, struct err **err)
{
        CLEANUP_BUF struct buf unknown = BUF_INIT(2000);
        size_t i, count = 0;
        const json_t *entry;
        json_array_foreach (entries, i, entry)
                if (json_is_null(entry)) {
                        CLEANUP_FREE char *near = nearest(directory, access, names[i]);
                        buf_format(&unknown, "%s%s%s%s%s", unknown.length ? ", " : "", names[i],
                                near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
                        count++;
                }
        if (!unknown.length)
                return 0;
        return err_set(err, ERR_NOT_FOUND, "there is no user %s in the directory (looked below %s)%s", unknown.data,
                membership_text(access, "users_base"), count > 1 ? "; nobody was let in" : "");
}

int membership_grant(const json_t *access, const char *const *names, bool admins, json_t **ret, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        json_auto_t *entries = NULL, *results = json_array();
        int r = check_names(names, err);
        if (r == 0)
                r = membership_open(access, false, &directory, err);
        if (r == 0)
                r = find_all(directory, access, names, &entries, err);
        if (r == 0)
                r = refuse_unknown(directory, access, entries, names, err);
        const char *group = membership_text(access, admins ? "admins_group" : "users_group");
        size_t i;
        const json_t *entry;
        json_array_foreach (entries, i, entry) {
                if (r < 0)
                        break;
                bool changed = false;
                r = directory_value_add(directory, group, "member", directory_dn(entry), &changed, err);
                json_array_append_new(results, json_pack("{s:s, s:s, s:b}", "name", names[i], "full_name",
                                                       full_name(entry), "changed", changed));
        }
        if (r < 0)
                return r;
        *ret = STEAL(results);
        return 0;
}

/* Which of the groups that are members of our group is this user in? Names of groups. New reference. */
static json_t *via(const json_t *entry, const json_t *nested)
{
        json_t *names = json_array();
        size_t i, k;
        const json_t *group, *inner;
        json_array_foreach (directory_values(entry, "memberof"), i, group)
                json_array_foreach (nested, k, inner)
                        if (escape_same_dn(json_string_value(group), json_string_value(inner))) {
                                CLEANUP_FREE char *name = escape_first_value(json_string_value(inner), "cn");
                                json_array_append_new(names, json_string(name ? name : json_string_value(inner)));
                        }
        return names;
}

/* The members of our two groups that are groups themselves (anything not below the users). New reference. */
static int nested_groups(struct directory *directory, const json_t *access, json_t **ret, struct err **err)
{
        static const char *const member[] = {"member", NULL}, *const keys[] = {"users_group", "admins_group"};
        json_auto_t *nested = json_array();
        for (size_t g = 0; g < 2; g++) {
                json_auto_t *group = NULL;
                int r = directory_read(directory, membership_text(access, keys[g]), member, &group, err);
                if (r < 0)
                        return r;
                size_t i;
                json_t *dn;
                json_array_foreach (directory_values(group, "member"), i, dn)
                        if (json_array_size(nested) < GROUPS_MAX && strncasecmp(json_string_value(dn), "uid=", 4) != 0)
                                json_array_append(nested, dn);
        }
        *ret = STEAL(nested);
        return 0;
}

static int revoke_one(struct directory *directory, const json_t *access, const char *name, const json_t *nested,
        json_t *results, struct err **err)
{
        CLEANUP_FREE char *dn = escape_dn("uid", name, membership_text(access, "users_base"));
        bool one = false, other = false;
        int r = directory_value_remove(directory, membership_text(access, "users_group"), "member", dn, &one, err);
        if (r == 0)
                r = directory_value_remove(
                        directory, membership_text(access, "admins_group"), "member", dn, &other, err);
        json_auto_t *entry = NULL;
        if (r == 0)
                r = membership_find(directory, access, name, &entry, err);
        if (r == 0)
                json_array_append_new(results,
                        json_pack("{s:s, s:b, s:o}", "name", name, "changed", one || other, "via", via(entry, nested)));
        return r;
}

int membership_revoke(const json_t *access, const char *const *names, json_t **ret, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        json_auto_t *nested = NULL, *results = json_array();
        int r = check_names(names, err);
        if (r == 0)
                r = membership_open(access, false, &directory, err);
        if (r == 0)
                r = nested_groups(directory, access, &nested, err);
        for (; r == 0 && *names; names++)
                r = revoke_one(directory, access, *names, nested, results, err);
        if (r < 0)
                return r;
        *ret = STEAL(results);
        return 0;
}

static bool in_group(const json_t *entry, const char *group)
{
        size_t i;
        const json_t *dn;
        json_array_foreach (directory_values(entry, "memberof"), i, dn)
                if (escape_same_dn(json_string_value(dn), group))
                        return true;
        return false;
}

int membership_is_in(const json_t *access, const char *name, bool *ret, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        const char *const names[] = {name, NULL};
        json_auto_t *entry = NULL;
        int r = check_names(names, err);
        if (r == 0)
                r = membership_open(access, false, &directory, err);
        if (r == 0)
                r = membership_find(directory, access, name, &entry, err);
        if (r < 0)
                return r;
        *ret = in_group(entry, membership_text(access, "users_group")) ||
               in_group(entry, membership_text(access, "admins_group"));
        return 0;
}

static bool is_locked(const json_t *entry)
{
        const char *lock = directory_value(entry, "nsAccountLock");
        return lock && strcasecmp(lock, "true") == 0;
}

static json_t *user_json(const json_t *access, const json_t *entry, const json_t *nested)
{
        long number = -1;
        const char *uid = directory_value(entry, "uidNumber"), *mail = directory_value(entry, "mail"),
                   *name = directory_value(entry, "uid");
        if (uid)
                str_to_long(uid, &number);
        return json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:o}", "name", name ? name : "", "full_name",
                full_name(entry), "mail", mail ? mail : "", "uid", (json_int_t)number, "locked", is_locked(entry),
                "member", in_group(entry, membership_text(access, "users_group")), "admin",
                in_group(entry, membership_text(access, "admins_group")), "via", via(entry, nested));
}

static int by_name(const void *a, const void *b)
{
        const json_t *one = *(json_t *const *)a, *other = *(json_t *const *)b;
        return strcmp(membership_text(one, "name"), membership_text(other, "name"));
}

static json_t *sorted(const json_t *list)
{
        size_t count = json_array_size(list);
        CLEANUP_FREE json_t **items = mem_zero_array(count + 1, sizeof(json_t *));
        for (size_t i = 0; i < count; i++)
                items[i] = json_array_get(list, i);
        qsort(items, count, sizeof(json_t *), by_name);
        json_t *result = json_array();
        for (size_t i = 0; i < count; i++)
                json_array_append(result, items[i]);
        return result;
}

int membership_list(const json_t *access, size_t max, json_t **ret, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        json_auto_t *nested = NULL, *entries = NULL, *users = json_array();
        bool more = false;
        /* the server writes the closure over nested groups into memberOf */
        CLEANUP_FREE char *one = escape_filter_value(membership_text(access, "users_group"));
        CLEANUP_FREE char *other = escape_filter_value(membership_text(access, "admins_group"));
        CLEANUP_FREE char *filter =
                str_format("(&(objectClass=posixAccount)(|(memberOf=%s)(memberOf=%s)))", one, other);
        int r = membership_open(access, false, &directory, err);
        if (r == 0)
                r = nested_groups(directory, access, &nested, err);
        if (r == 0)
                r = directory_search(directory, membership_text(access, "users_base"), DIRECTORY_ONE, filter, shown,
                        max, &entries, &more, err);
        if (r < 0)
                return r;
        size_t i;
        const json_t *entry;
        json_array_foreach (entries, i, entry)
                json_array_append_new(users, user_json(access, entry, nested));
        *ret = json_pack("{s:o, s:b}", "users", sorted(users), "more", more);
        return 0;
}
