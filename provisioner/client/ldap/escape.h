/* Names in DNs and filters. Whatever stands in them, the result is one value and nothing else. */
#ifndef CAAS_CLIENT_LDAP_ESCAPE_H
#define CAAS_CLIENT_LDAP_ESCAPE_H

#include <stdbool.h>

#include "base/err.h"

/* A value for a DN (RFC 4514): alice -> alice; "a,b" -> a\2cb. The caller frees. */
char *escape_dn_value(const char *value);

/* A value for a search filter (RFC 4515): "*" -> \2a. The caller frees. */
char *escape_filter_value(const char *value);

/* "uid=" + value + "," + base, the value escaped. The caller frees. */
char *escape_dn(const char *attribute, const char *value, const char *base);

/* Is text a DN? "" is not. */
bool escape_is_dn(const char *text);

/* Same DN, however spelt (case, spaces, escapes)? False when one of them is no DN. */
bool escape_same_dn(const char *a, const char *b);

/* Does dn stand below base (or is it base itself)? */
bool escape_dn_below(const char *dn, const char *base);

/* The value of the first part of a DN: "alice" of uid=alice,cn=users,… The caller frees; NULL when dn is none or the
 * attribute of its first part is another one. */
char *escape_first_value(const char *dn, const char *attribute);

#endif
