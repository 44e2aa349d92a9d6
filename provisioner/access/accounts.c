/* Accounts of a directory that is the cluster's own. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "access/membership.h"
#include "access/membership_private.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "client/ldap/escape.h"
#include "kind/kind.h"

#define NAME_MAX_LENGTH 32
#define PASSWORD_MIN    8
#define PASSWORD_MAX    256
#define TEMPORARY_MS    (60 * 60 * 1000)
#define TEMPORARY_MANY  100

bool membership_name_ok(const char *name)
{
        static const char first[] = "abcdefghijklmnopqrstuvwxyz_", later[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
        static const char *const taken[] = {"root", "nobody", "daemon", "dirsrv", NULL};
        size_t length = strlen(name);
        if (length == 0 || length > NAME_MAX_LENGTH || !strchr(first, name[0]) || strspn(name, later) != length)
                return false;
        for (const char *const *system = taken; *system; system++)
                if (strcmp(name, *system) == 0)
                        return false;
        return true;
}

static int check_name(const char *name, struct err **err)
{
        if (membership_name_ok(name))
                return 0;
        return err_set(err, ERR_INVALID,
                "\"%.60s\" cannot be a user name: a small letter or _ first, then small letters, digits, _ . -, at "
                "most %d in all; "
                "and no name of the system",
                name, NAME_MAX_LENGTH);
}

static int check_password(const char *password, struct err **err)
{
        size_t length = strlen(password);
        if (length < PASSWORD_MIN || length > PASSWORD_MAX)
                return err_set(err, ERR_INVALID, "a password has %d to %d bytes", PASSWORD_MIN, PASSWORD_MAX);
        for (const char *c = password; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        return err_set(err, ERR_INVALID, "a password holds no control characters");
        return str_utf8(password, length, NULL) ? 0 : err_set(err, ERR_INVALID, "the password is not UTF-8");
}

static int check_text(const char *text, const char *what, struct err **err)
{
        size_t length = text ? strlen(text) : 1;
        bool good = length > 0 && length <= 200;
        for (const char *c = text; good && c && *c; c++)
                good = (unsigned char)*c >= 0x20 && *c != 0x7f;
        if (good && (!text || str_utf8(text, length, NULL)))
                return 0;
        return err_set(err, ERR_INVALID, "the %s has to be 1 to 200 bytes of plain text", what);
}

static int check_user(const struct membership_user *user, struct err **err)
{
        int r = check_name(user->name, err);
        if (r == 0)
                r = check_text(user->full_name, "full name", err);
        if (r == 0)
                r = check_text(user->mail, "mail address", err);
        if (r == 0 && user->mail && (!strchr(user->mail, '@') || strchr(user->mail, ' ')))
                r = err_set(err, ERR_INVALID, "\"%s\" is no mail address", user->mail);
        return r < 0 ? r : check_password(user->password, err);
}

/* -1 asks the server for numbers of its range; uid and gid get the same. */
static json_t *attributes_of(const struct membership_user *user)
{
        const char *full = user->full_name ? user->full_name : user->name;
        const char *family = strrchr(full, ' ') && strrchr(full, ' ')[1] ? strrchr(full, ' ') + 1 : full;
        CLEANUP_FREE char *home = str_format("/home/%s", user->name);
        json_t *attributes = json_pack("{s:[s,s,s,s,s,s,s], s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}",
                "objectClass", "top", "person", "organizationalPerson", "inetOrgPerson", "inetUser", "posixAccount",
                "ipaObject", "uid", user->name, "cn", full, "sn", family, "displayName", full, "uidNumber", "-1",
                "gidNumber", "-1", "homeDirectory", home, "loginShell", "/bin/bash", "userPassword", user->password);
        if (user->mail)
                json_object_set_new(attributes, "mail", json_string(user->mail));
        return attributes;
}

static int number_of(const json_t *entry, const char *attribute, long *ret)
{
        const char *text = directory_value(entry, attribute);
        return text ? str_to_long(text, ret) : -1;
}

static int add_user(const json_t *access, const struct membership_user *user, json_t **ret, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        int r = check_user(user, err);
        if (r == 0)
                r = membership_open(access, true, &directory, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *dn = escape_dn("uid", user->name, membership_text(access, "users_base"));
        json_t *attributes = attributes_of(user);
        r = directory_add(directory, dn, attributes, err);
        kind_forget(attributes);
        if (r == -ERR_EXISTS)
                return err_prefix(err, "there is a user %s already", user->name);
        json_auto_t *entry = NULL;
        if (r == 0)
                r = membership_find(directory, access, user->name, &entry, err);
        long uid = 0, gid = 0;
        if (r == 0 && (number_of(entry, "uidNumber", &uid) < 0 || number_of(entry, "gidNumber", &gid) < 0))
                r = err_set(
                        err, ERR_FAILED, "the directory gave %s no numbers: is its range of ids used up?", user->name);
        if (r == 0 && ret)
                *ret = json_pack("{s:s, s:I, s:I}", "name", user->name, "uid", (json_int_t)uid, "gid", (json_int_t)gid);
        return r;
}

int membership_user_add(const json_t *access, const struct membership_user *user, json_t **ret, struct err **err)
{
        if (str_starts(user->name, MEMBERSHIP_TEMPORARY)) /* its account and home would go with a later test */
                return err_set(err, ERR_INVALID,
                        "\"%.60s\" cannot be a user name: \"%s\" begins those of the health test", user->name,
                        MEMBERSHIP_TEMPORARY);
        return add_user(access, user, ret, err);
}

/* The DN of an account that is there. */
static int existing(
        struct directory *directory, const json_t *access, const char *name, char **ret_dn, struct err **err)
{
        json_auto_t *entry = NULL;
        int r = membership_find(directory, access, name, &entry, err);
        if (r < 0)
                return r;
        if (!entry)
                return err_set(err, ERR_NOT_FOUND, "there is no user %s", name);
        *ret_dn = str_copy(directory_dn(entry));
        return 0;
}

int membership_user_passwd(const json_t *access, const char *name, const char *password, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        CLEANUP_FREE char *dn = NULL;
        int r = check_name(name, err);
        if (r == 0)
                r = check_password(password, err);
        if (r == 0)
                r = membership_open(access, true, &directory, err);
        if (r == 0)
                r = existing(directory, access, name, &dn, err);
        return r < 0 ? r : directory_password(directory, dn, password, err);
}

int membership_user_remove(const json_t *access, const char *name, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        CLEANUP_FREE char *dn = NULL;
        int r = check_name(name, err);
        if (r == 0 && str_is(name, "admin"))
                r = err_set(err, ERR_REFUSED, "admin stays: it is the account that the cluster is run with");
        if (r == 0)
                r = membership_open(access, true, &directory, err);
        if (r == 0)
                r = existing(directory, access, name, &dn, err);
        return r < 0 ? r : directory_delete(directory, dn, err);
}

/* "20261121140714Z" */
static int64_t created_ms(const json_t *entry)
{
        struct tm tm = {0};
        const char *text = directory_value(entry, "createTimestamp");
        const char *end = text ? strptime(text, "%Y%m%d%H%M%S", &tm) : NULL;
        return end ? (int64_t)timegm(&tm) * 1000 : INT64_MAX;
}

/* What cannot be removed is left for the next time. */
static void sweep(struct directory *directory, const json_t *access)
{
        static const char *const wanted[] = {"createTimestamp", NULL};
        struct clock *clock = clock_system();
        int64_t now = clock->wall_ms(clock);
        json_auto_t *entries = NULL;
        if (directory_search(directory, membership_text(access, "users_base"), DIRECTORY_ONE,
                    "(uid=" MEMBERSHIP_TEMPORARY "*)", wanted, TEMPORARY_MANY, &entries, NULL, NULL) < 0)
                return;
        size_t i;
        const json_t *entry;
        json_array_foreach (entries, i, entry)
                if (created_ms(entry) < now - TEMPORARY_MS)
                        directory_delete(directory, directory_dn(entry), NULL);
}

int membership_temporary(const json_t *access, char **ret_name, char **ret_password, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        int r = membership_open(access, true, &directory, err);
        if (r < 0)
                return r;
        sweep(directory, access);
        CLEANUP_FREE char *random = random_hex(5), *name = str_format(MEMBERSHIP_TEMPORARY "%s", random);
        char *password = random_password(24);
        const struct membership_user user = {.name = name, .full_name = "Health test", .password = password};
        const char *const names[] = {name, NULL};
        json_auto_t *granted = NULL;
        r = add_user(access, &user, NULL, err);
        if (r == 0) {
                r = membership_grant(access, names, false, &granted, err);
                if (r < 0)
                        membership_user_remove(access, name, NULL);
        }
        if (r < 0) {
                mem_wipe_free(password, strlen(password));
                return r;
        }
        *ret_name = STEAL(name);
        *ret_password = password;
        return 0;
}
