/* ldap.group: a group in a directory, made if it is not there. Who is in it belongs to people: it is never emptied, and
 * never removed unless we made it. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/escape.h"
#include "kind/ldap_server.h"

static const struct spec_field fields[] = {
        {"server", SPEC_ANY, true},
        {"name", SPEC_TEXT, true},
        {"base", SPEC_TEXT, true},
        {"description", SPEC_TEXT, true},
        {"initial_members", SPEC_TEXTS, false},
        {0},
};

static const char *const brief[] = {"cn", "description", "objectClass", NULL};

static int check(const json_t *spec, struct err **err)
{
        int r = spec_check(spec, fields, err);
        return r < 0 ? r : ldap_server_check(spec, err);
}

static char *dn_of(const json_t *spec)
{
        return escape_dn("cn", spec_text(spec, "name", ""), spec_text(spec, "base", ""));
}

/* NULL when it is not there. */
static int find(struct directory *directory, const json_t *spec, json_t **ret, struct err **err)
{
        CLEANUP_FREE char *dn = dn_of(spec);
        return directory_find(directory, dn, brief, ret, err);
}

static int ask_for_it(struct directory *directory, const json_t *spec, void *data, struct err **err)
{
        return find(directory, spec, data, err);
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        json_auto_t *group = NULL;
        CLEANUP_ERR struct err *own = NULL;
        int result = ldap_server_look(ctx, r->spec, ask_for_it, &group, &own);
        if (result == -ERR_CANCELLED)
                return err_set(err, ERR_CANCELLED, "%s", own->message);
        if (result < 0)
                *ret_state = ldap_server_unreachable();
        else if (group)
                *ret_state = json_pack("{s:b}", "there", 1);
        return 0;
}

static bool is_group(const json_t *entry)
{
        size_t i;
        const json_t *class;
        json_array_foreach (directory_values(entry, "objectclass"), i, class)
                if (strcasecmp(json_string_value(class), "groupOfNames") == 0)
                        return true;
        return false;
}

static const char *account_of(const json_t *spec)
{
        return spec_text(json_object_get(spec, "server"), "bind_dn", "the account");
}

static char *how_to_make(const json_t *spec)
{
        return str_format(
                "%s may not make the group %s: make it there (ipa group-add %s --nonposix), or put the account in a "
                "role with the permission \"System: Add Groups\"",
                account_of(spec), spec_text(spec, "name", ""), spec_text(spec, "name", ""));
}

static char *how_to_change(const json_t *spec)
{
        return str_format("%s may not change who is in the group %s: put the account in a role with the permission "
                          "\"System: Modify Group Membership\", or make it the group's member manager (ipa "
                          "group-add-member-manager %s)",
                account_of(spec), spec_text(spec, "name", ""), spec_text(spec, "name", ""));
}

/* Which fields of the form say how the directory is reached. */
static int which_field(int result, struct err **err)
{
        switch (-result) {
        case ERR_DENIED:
                return err_suffix(err, "look at identity.bind_dn and identity.bind_password_file");
        case ERR_REFUSED:
                return err_suffix(err, "look at identity.server and identity.ca");
        case ERR_UNREACHABLE:
        case ERR_TIMEOUT:
                return err_suffix(err, "look at identity.server");
        default:
                return result;
        }
}

/* The suffix is right, the account is let in, and the name is free or is a group. */
static int preflight(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        (void)recorded;
        if (ldap_server_is_ours(r->spec))
                return 0;
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        int result = ldap_server_open(ctx, r->spec, &directory, err);
        if (result < 0)
                return which_field(result, err);
        const char *base = spec_text(r->spec, "base", "");
        json_auto_t *container = NULL, *group = NULL;
        result = directory_read(directory, base, brief, &container, err);
        if (result == -ERR_NOT_FOUND)
                return err_prefix(err, "identity.suffix is wrong, or %s sees nothing there", account_of(r->spec));
        if (result == 0)
                result = find(directory, r->spec, &group, err);
        if (result < 0)
                return result;
        if (group && !is_group(group))
                return err_set(err, ERR_REFUSED, "%s is there and is no group of people", directory_dn(group));
        CLEANUP_FREE char *dn = dn_of(r->spec);
        bool may = true;
        result = group ? directory_may_write(directory, dn, "member", &may, err)
                       : directory_may_add(directory, base, "ipausergroup", "cn", &may, err);
        if (result == 0 && !may) {
                CLEANUP_FREE char *how = group ? how_to_change(r->spec) : how_to_make(r->spec);
                return err_set(err, ERR_DENIED, "%s", how);
        }
        return result;
}

static json_t *classes_of(struct directory *directory)
{
        static const char *const wanted[] = {"nestedGroup", "ipaUserGroup", "ipaObject", NULL};
        bool all = false;
        if (directory_has_classes(directory, wanted, &all, NULL) == 0 && all)
                return json_pack("[s,s,s,s,s]", "top", "groupofnames", "nestedgroup", "ipausergroup", "ipaobject");
        return json_pack("[s,s]", "top", "groupofnames");
}

static int make(struct directory *directory, const struct resource *r, bool *ret_made, struct err **err)
{
        CLEANUP_FREE char *dn = dn_of(r->spec);
        json_auto_t *attributes = json_pack("{s:o, s:s, s:s}", "objectClass", classes_of(directory), "cn",
                spec_text(r->spec, "name", ""), "description", spec_text(r->spec, "description", ""));
        json_t *members = json_object_get(r->spec, "initial_members");
        if (json_array_size(members) > 0)
                json_object_set(attributes, "member", members);
        struct err *own = NULL;
        int result = directory_add(directory, dn, attributes, &own);
        *ret_made = result == 0;
        if (result == -ERR_EXISTS) { /* somebody was faster */
                err_free(own);
                return 0;
        }
        if (result == -ERR_DENIED) {
                CLEANUP_FREE char *how = how_to_make(r->spec);
                err_prefix(&own, "%s", how);
        }
        if (own && err)
                *err = STEAL(own);
        err_free(own);
        return result;
}

/* Ours, if the journal says so; or if a run was cut off between making it and writing that down, which the description
 * shows. */
static bool made_before(const struct resource *r, const struct recorded *recorded, const json_t *group)
{
        if (!recorded)
                return false;
        if (recorded->outputs)
                return json_is_true(json_object_get(recorded->outputs, "made"));
        return !recorded->complete &&
               str_is(directory_value(group, "description"), spec_text(r->spec, "description", ""));
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        json_auto_t *group = NULL;
        int result = ldap_server_open(ctx, r->spec, &directory, err);
        if (result == 0)
                result = find(directory, r->spec, &group, err);
        if (result < 0)
                return result;
        bool made = group && made_before(r, recorded, group);
        if (!group)
                result = make(directory, r, &made, err);
        if (result < 0)
                return result;
        CLEANUP_FREE char *dn = dn_of(r->spec);
        *ret_outputs = json_pack("{s:s, s:s, s:b}", "dn", dn, "name", spec_text(r->spec, "name", ""), "made", made);
        return 0;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        bool made = recorded && json_is_true(json_object_get(recorded->outputs, "made"));
        if (ldap_server_is_ours(r->spec)) /* it is part of the directory's data, and goes or stays with them */
                return 0;
        CLEANUP_FREE char *dn = dn_of(r->spec);
        if (!made) {
                *ret_kept = str_format("group %s: somebody else made it", dn);
                return 0;
        }
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        int result = ldap_server_open(ctx, r->spec, &directory, err);
        if (result < 0)
                return result;
        struct err *own = NULL;
        result = directory_delete(directory, dn, &own);
        if (result == -ERR_DENIED) { /* who may make groups need not be allowed to remove them */
                *ret_kept = str_format("group %s: %s may not remove it: remove it there (ipa group-del %s)", dn,
                        account_of(r->spec), spec_text(r->spec, "name", ""));
                result = 0;
        }
        if (result == -ERR_NOT_FOUND)
                result = 0;
        else if (result < 0 && err)
                *err = STEAL(own);
        err_free(own);
        return result;
}

/* That we made it shows in its description. */
static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        json_auto_t *group = NULL;
        CLEANUP_ERR struct err *own = NULL;
        CLEANUP_FREE char *dn = dn_of(r->spec);
        int result = ldap_server_open(ctx, r->spec, &directory, &own);
        if (result == 0)
                result = find(directory, r->spec, &group, &own);
        if (result == -ERR_CANCELLED || !group) /* not to be reached: then the next apply looks */
                return result == -ERR_CANCELLED ? err_set(err, ERR_CANCELLED, "%s", own->message) : 0;
        bool made = str_is(directory_value(group, "description"), spec_text(r->spec, "description", ""));
        *ret_state = json_pack("{s:b}", "there", 1);
        *ret_outputs = json_pack("{s:s, s:s, s:b}", "dn", dn, "name", spec_text(r->spec, "name", ""), "made", made);
        return 0;
}

extern const struct kind kind_ldap_group;
const struct kind kind_ldap_group = {
        .name = "ldap.group",
        .retries = 5,
        .far = true,
        .check = check,
        .observe = observe,
        .compare = ldap_server_compare,
        .preflight = preflight,
        .apply = apply,
        .remove = remove_it,
        .adopt = adopt,
};
