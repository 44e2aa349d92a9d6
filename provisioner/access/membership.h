/* Who is in a cluster: its two groups in the directory, and, where the directory is the cluster's own, its accounts.
 *
 * access is what access_read(…, "identity", …) gives. Each call opens a connection of its own and closes it. Names come
 * from people and are never trusted. Errors besides those of client/ldap: -ERR_INVALID (a name or password that cannot
 * be), -ERR_NOT_FOUND (no such user; all unknown ones in one message), -ERR_REFUSED (accounts of a directory that is
 * not ours). */
#ifndef CAAS_ACCESS_MEMBERSHIP_H
#define CAAS_ACCESS_MEMBERSHIP_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* Puts users into the users group (or the admins group). All are looked up before any is put in; staged and preserved
 * users are no users. *ret: [{"name", "full_name", "changed"}] in the order given, new reference. Idempotent. */
int membership_grant(const json_t *access, const char *const *names, bool admins, json_t **ret, struct err **err);

/* Takes users out of both groups. Somebody who is in by way of another group stays in by it: "via" names those groups,
 * and people have to be told. Users that the directory does not know (any more) are fine here. *ret: [{"name",
 * "changed", "via": ["team"]}], new reference. Idempotent. */
int membership_revoke(const json_t *access, const char *const *names, json_t **ret, struct err **err);

/* Is this user in, directly or by way of another group, locked or not? Users that the directory does not know are not.
 */
int membership_is_in(const json_t *access, const char *name, bool *ret, struct err **err);

/* Everybody who is in, nested groups resolved, sorted by name, at most max. *ret: {"users": [{"name", "full_name",
 * "mail", "uid", "locked", "member", "admin", "via": […]}], "more": bool}, new reference. via: groups by which (not
 * directly) */
int membership_list(const json_t *access, size_t max, json_t **ret, struct err **err);

struct membership_user {
        const char *name;
        const char *full_name; /* NULL = the name */
        const char *mail;      /* NULL = none */
        const char *password;  /* at least 8 characters */
};

/* How the names of temporary accounts begin: what is left of them is swept away, accounts and homes. */
#define MEMBERSHIP_TEMPORARY "caas-test-"

/* A new account, in no group yet; the server gives it its numbers. *ret: {"name", "uid", "gid"}, new reference; may be
 * NULL. -ERR_EXISTS. A name of a temporary one is -ERR_INVALID. */
int membership_user_add(const json_t *access, const struct membership_user *user, json_t **ret, struct err **err);

int membership_user_passwd(const json_t *access, const char *name, const char *password, struct err **err);

/* The server takes the account out of all groups. `admin` is refused. */
int membership_user_remove(const json_t *access, const char *name, struct err **err);

/* An account that `caas test` signs in with, in the users group; it is removed with membership_user_remove. Those that
 * killed tests left behind for more than an hour are removed on the way. The caller frees both, the password with
 * mem_wipe_free. */
int membership_temporary(const json_t *access, char **ret_name, char **ret_password, struct err **err);

/* May an account of ours have this name? [a-z_][a-z0-9_.-]{0,31}, and no name of the system. */
bool membership_name_ok(const char *name);

#endif
