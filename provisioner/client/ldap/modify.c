/* Changing entries. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/private.h"

/* Values of one attribute, for libldap: pointers into the tree, nothing is copied. */
struct change {
        LDAPMod mod;
        struct berval *value;
        struct berval **list;
};
struct changes {
        struct change *item;
        LDAPMod **mods; /* NULL-terminated */
        size_t count;
};

static void changes_clear(struct changes *changes)
{
        for (size_t i = 0; i < changes->count; i++) {
                free(changes->item[i].value);
                free(changes->item[i].list);
        }
        free(changes->item);
        free(changes->mods);
}

static void fill(struct change *change, int operation, const char *name, const json_t *values)
{
        size_t count = json_is_array(values) ? json_array_size(values) : 1;
        change->value = mem_zero_array(count + 1, sizeof *change->value);
        change->list = mem_zero_array(count + 1, sizeof(void *));
        for (size_t i = 0; i < count; i++) {
                const json_t *value = json_is_array(values) ? json_array_get(values, i) : values;
                change->value[i] = (struct berval){
                        .bv_val = (char *)json_string_value(value), .bv_len = json_string_length(value)};
                change->list[i] = &change->value[i];
        }
        change->mod.mod_op = operation | LDAP_MOD_BVALUES;
        change->mod.mod_type = (char *)name;
        change->mod.mod_bvalues = count ? change->list : NULL;
}

static int make_changes(int operation, const json_t *attributes, struct changes *ret, struct err **err)
{
        size_t size = json_object_size(attributes);
        ret->item = mem_zero_array(size + 1, sizeof *ret->item);
        ret->mods = mem_zero_array(size + 1, sizeof(void *));
        const char *name;
        json_t *values;
        json_object_foreach ((json_t *)attributes, name, values) {
                size_t i;
                json_t *value;
                bool texts = json_is_string(values) || json_is_array(values);
                json_array_foreach (values, i, value)
                        texts = texts && json_is_string(value);
                if (!texts)
                        return err_set(err, ERR_INVALID, "the attribute %s holds something that is no text", name);
                fill(&ret->item[ret->count], operation, name, values);
                ret->mods[ret->count] = &ret->item[ret->count].mod;
                ret->count++;
        }
        return 0;
}

int directory_add(struct directory *directory, const char *dn, const json_t *attributes, struct err **err)
{
        __attribute__((cleanup(changes_clear))) struct changes changes = {0};
        int r = make_changes(LDAP_MOD_ADD, attributes, &changes, err);
        if (r < 0)
                return r;
        int result = ldap_add_ext_s(directory->ld, dn, changes.mods, NULL, NULL);
        if (result == LDAP_SUCCESS)
                return 0;
        return directory_fail(directory->ld, result, err, "cannot add %s", dn);
}

int directory_replace(struct directory *directory, const char *dn, const json_t *attributes, struct err **err)
{
        if (json_object_size(attributes) == 0)
                return 0;
        __attribute__((cleanup(changes_clear))) struct changes changes = {0};
        int r = make_changes(LDAP_MOD_REPLACE, attributes, &changes, err);
        if (r < 0)
                return r;
        int result = ldap_modify_ext_s(directory->ld, dn, changes.mods, NULL, NULL);
        if (result == LDAP_SUCCESS)
                return 0;
        return directory_fail(directory->ld, result, err, "cannot change %s", dn);
}

static int one_value(
        struct directory *directory, const char *dn, int operation, const char *attribute, const char *value)
{
        struct berval text = {.bv_val = (char *)value, .bv_len = strlen(value)};
        struct berval *list[] = {&text, NULL};
        LDAPMod mod = {.mod_op = operation | LDAP_MOD_BVALUES, .mod_type = (char *)attribute, .mod_bvalues = list};
        LDAPMod *mods[] = {&mod, NULL};
        return ldap_modify_ext_s(directory->ld, dn, mods, NULL, NULL);
}

int directory_value_add(struct directory *directory, const char *dn, const char *attribute, const char *value,
        bool *ret_changed, struct err **err)
{
        int result = one_value(directory, dn, LDAP_MOD_ADD, attribute, value);
        if (result != LDAP_SUCCESS && result != LDAP_TYPE_OR_VALUE_EXISTS)
                return directory_fail(directory->ld, result, err, "cannot add to %s of %s", attribute, dn);
        if (ret_changed)
                *ret_changed = result == LDAP_SUCCESS;
        return 0;
}

int directory_value_remove(struct directory *directory, const char *dn, const char *attribute, const char *value,
        bool *ret_changed, struct err **err)
{
        int result = one_value(directory, dn, LDAP_MOD_DELETE, attribute, value);
        if (result != LDAP_SUCCESS && result != LDAP_NO_SUCH_ATTRIBUTE)
                return directory_fail(directory->ld, result, err, "cannot remove from %s of %s", attribute, dn);
        if (ret_changed)
                *ret_changed = result == LDAP_SUCCESS;
        return 0;
}

int directory_delete(struct directory *directory, const char *dn, struct err **err)
{
        int result = ldap_delete_ext_s(directory->ld, dn, NULL, NULL);
        if (result == LDAP_SUCCESS)
                return 0;
        return directory_fail(directory->ld, result, err, "cannot remove %s", dn);
}

int directory_password(struct directory *directory, const char *dn, const char *password, struct err **err)
{
        struct berval who = {.bv_val = (char *)dn, .bv_len = strlen(dn)};
        struct berval text = {.bv_val = (char *)password, .bv_len = strlen(password)};
        struct berval generated = {0};
        int result = ldap_passwd_s(directory->ld, &who, NULL, &text, &generated, NULL, NULL);
        ber_memfree(generated.bv_val);
        if (result == LDAP_SUCCESS)
                return 0;
        return directory_fail(directory->ld, result, err, "cannot set the password of %s", dn);
}
