/* An LDAP directory, over verified TLS or not at all.
 *
 * A connection is not thread-safe; each thread has its own. Every call has a time-out. The process has to ignore
 * SIGPIPE. Errors are said in words a person can act on; their codes: -ERR_UNREACHABLE, -ERR_TIMEOUT, -ERR_BUSY (worth
 * trying again), -ERR_DENIED (password refused, account locked, rights missing), -ERR_NOT_FOUND, -ERR_EXISTS,
 * -ERR_INVALID (the server's rules), -ERR_REFUSED, -ERR_FAILED. */
#ifndef CAAS_CLIENT_LDAP_DIRECTORY_H
#define CAAS_CLIENT_LDAP_DIRECTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct directory;

struct directory_options {
        const char *uri;     /* "ldaps://host[:port]", or "ldap://host[:port]": StartTLS before anything else is said */
        const char *ca;      /* PEM file of the CA to trust; "" or NULL: those of the system */
        const char *bind_dn; /* "" or NULL: nobody */
        const char *password; /* never empty with a bind_dn: servers take that for "nobody" */
        int connect_ms;       /* 0 = 5,000 */
        int operation_ms;     /* 0 = 15,000 */
};

/* Connects, verifies, binds. */
int directory_open(const struct directory_options *options, struct directory **ret, struct err **err);
struct directory *directory_close(struct directory *directory); /* accepts NULL, returns NULL */

/* Signs in as somebody else over the connection that is there: bind_dn and password of options count. After an error
 * nobody is signed in: close it. */
int directory_sign_in(struct directory *directory, const struct directory_options *options, struct err **err);

static inline void directory_cleanup(struct directory **directory)
{
        directory_close(*directory);
}
#define CLEANUP_DIRECTORY __attribute__((cleanup(directory_cleanup)))

enum directory_scope { DIRECTORY_BASE, DIRECTORY_ONE, DIRECTORY_TREE };

/* Entries as a list of {"dn": "…", "attributes": {"name in lower case": ["value", …]}}, new reference. Values that are
 * not UTF-8 are left out. attributes: NULL-terminated, or NULL for all that are no operational ones. Pages of 500; no
 * more than max entries, and *ret_more (may be NULL) says whether there were more. A base that does not exist:
 * -ERR_NOT_FOUND. */
int directory_search(struct directory *directory, const char *base, enum directory_scope scope, const char *filter,
        const char *const *attributes, size_t max, json_t **ret_entries, bool *ret_more, struct err **err);

/* The same, for many: `visit` is given each entry as it comes, a page at a time, and nothing is kept. When it says
 * false, no further page is asked for. */
int directory_each(struct directory *directory, const char *base, enum directory_scope scope, const char *filter,
        const char *const *attributes, bool (*visit)(void *data, const json_t *entry), void *data, struct err **err);

/* One entry by its DN (new reference), or -ERR_NOT_FOUND. */
int directory_read(struct directory *directory, const char *dn, const char *const *attributes, json_t **ret_entry,
        struct err **err);

/* The same, and no error when it is not there: 0, *ret_entry untouched. */
int directory_find(struct directory *directory, const char *dn, const char *const *attributes, json_t **ret_entry,
        struct err **err);

/* Many of them, asked for at once over the one connection: a list in their order, null for what is not there; new
 * reference. After an error of the connection (-ERR_UNREACHABLE, -ERR_TIMEOUT) it is of no more use. */
int directory_find_all(struct directory *directory, const char *const *dns, size_t count, const char *const *attributes,
        json_t **ret_entries, struct err **err);

/* attributes: {"name": "value" | ["value", …]}. -ERR_EXISTS, -ERR_NOT_FOUND (no parent). */
int directory_add(struct directory *directory, const char *dn, const json_t *attributes, struct err **err);

/* Replaces the values of each attribute; an empty list removes it. */
int directory_replace(struct directory *directory, const char *dn, const json_t *attributes, struct err **err);

/* Adds or removes one value. It being there (or not) already is fine, and *ret_changed (may be NULL) says so. */
int directory_value_add(struct directory *directory, const char *dn, const char *attribute, const char *value,
        bool *ret_changed, struct err **err);
int directory_value_remove(struct directory *directory, const char *dn, const char *attribute, const char *value,
        bool *ret_changed, struct err **err);

/* Not being there is -ERR_NOT_FOUND. */
int directory_delete(struct directory *directory, const char *dn, struct err **err);

/* The password modify operation (RFC 3062): the server hashes, and applies its rules. */
int directory_password(struct directory *directory, const char *dn, const char *password, struct err **err);

/* Does the server's schema have all these object classes? NULL-terminated. */
int directory_has_classes(struct directory *directory, const char *const *names, bool *ret, struct err **err);

/* May this account change an attribute of an entry; may it add an entry of a class below base? Asked of the server by
 * its "get effective rights" control (FreeIPA and 389 have it); a server that cannot say so is taken for a yes. */
int directory_may_write(
        struct directory *directory, const char *dn, const char *attribute, bool *ret, struct err **err);
int directory_may_add(
        struct directory *directory, const char *base, const char *class, const char *rdn, bool *ret, struct err **err);

/* The first value of an attribute of an entry, or NULL. Borrowed. */
const char *directory_value(const json_t *entry, const char *attribute);
/* All of them: a list, or NULL. Borrowed. */
const json_t *directory_values(const json_t *entry, const char *attribute);
const char *directory_dn(const json_t *entry);

#endif
