/* What membership.c and accounts.c share. */
#ifndef CAAS_ACCESS_MEMBERSHIP_PRIVATE_H
#define CAAS_ACCESS_MEMBERSHIP_PRIVATE_H

#include "access/membership.h"
#include "client/ldap/directory.h"

const char *membership_text(const json_t *access, const char *key);

/* As the account that manages groups; as root: of our own directory only, else -ERR_REFUSED. */
int membership_open(const json_t *access, bool root, struct directory **ret, struct err **err);

/* The user's entry (new reference) with what lists show; NULL when there is none. */
int membership_find(
        struct directory *directory, const json_t *access, const char *name, json_t **ret, struct err **err);

#endif
