/* What the server would let us do, asked before anything is done. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/private.h"

#define EFFECTIVE_RIGHTS "1.3.6.1.4.1.42.2.27.9.5.2"

/* The first value of an attribute that the answer carries, or NULL. The caller frees. */
static char *value_of(LDAP *ld, LDAPMessage *entry, const char *name)
{
        struct berval **values = entry ? ldap_get_values_len(ld, entry, name) : NULL;
        char *text = values && values[0] ? str_copy_n(values[0]->bv_val, values[0]->bv_len) : NULL;
        ldap_value_free_len(values);
        return text;
}

/* Searches base with the control; wanted: the one attribute to be asked about, or "name@class" for an entry that could
 * be. */
static int ask(
        struct directory *directory, const char *base, const char *wanted, char **ret_entry, char **ret_attributes)
{
        CLEANUP_FREE char *who = str_format("dn: %s", directory->bind_dn);
        LDAPControl control = {
                .ldctl_oid = (char *)EFFECTIVE_RIGHTS, .ldctl_value = {.bv_len = strlen(who), .bv_val = who}};
        LDAPControl *controls[] = {&control, NULL};
        char *attributes[] = {(char *)wanted, NULL};
        LDAPMessage *message = NULL;
        int result = ldap_search_ext_s(directory->ld, base, LDAP_SCOPE_BASE, "(objectClass=*)", attributes, 0, controls,
                NULL, NULL, LDAP_NO_LIMIT, &message);
        if (result == LDAP_SUCCESS) {
                LDAPMessage *entry = NULL; /* the last one: an entry that could be comes after its parent */
                for (LDAPMessage *m = ldap_first_entry(directory->ld, message); m;
                        m = ldap_next_entry(directory->ld, m))
                        entry = m;
                *ret_entry = value_of(directory->ld, entry, "entryLevelRights");
                *ret_attributes = value_of(directory->ld, entry, "attributeLevelRights");
        }
        ldap_msgfree(message);
        return result;
}

/* "member:rscwo, cn:rsc": does the name have the letter? */
static bool has_right(const char *rights, const char *name, char letter)
{
        size_t length = strlen(name);
        for (const char *at = rights; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
                at += strspn(at, " ");
                if (strncasecmp(at, name, length) == 0 && at[length] == ':')
                        return memchr(at + length, letter, strcspn(at + length, ",")) != NULL;
        }
        return false;
}

int directory_may_write(struct directory *directory, const char *dn, const char *attribute, bool *ret, struct err **err)
{
        CLEANUP_FREE char *entry = NULL, *attributes = NULL;
        int result = ask(directory, dn, attribute, &entry, &attributes);
        if (result != LDAP_SUCCESS)
                return directory_fail(directory->ld, result, err, "cannot ask for the rights on %s", dn);
        *ret = !attributes || has_right(attributes, attribute, 'w');
        return 0;
}

int directory_may_add(
        struct directory *directory, const char *base, const char *class, const char *rdn, bool *ret, struct err **err)
{
        CLEANUP_FREE char *entry = NULL, *attributes = NULL, *wanted = str_format("%s@%s", rdn, class);
        int result = ask(directory, base, wanted, &entry, &attributes);
        if (result != LDAP_SUCCESS)
                return directory_fail(directory->ld, result, err, "cannot ask for the rights below %s", base);
        *ret = !entry || strchr(entry, 'a') != NULL;
        return 0;
}
