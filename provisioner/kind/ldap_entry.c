/* ldap.entry: entries of our own directory: its containers, its rules of access, its first accounts.
 *
 * entries is a list in the order in which they are to be made, of
 *   dn
 *   attributes   {name: value | [values]}; exactly these values, but objectClass may have more
 *   create_only  names of attributes that matter only while the entry is made: later they belong to people
 *   password     set while the entry is made, and never again
 *   token        a random password of a machine: kept as it is now, stored under a fast hash (it cannot be guessed
 * anyway)
 *
 * Entries are never removed: they stay or go with the directory they are in. */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/escape.h"
#include "client/tls/certificate.h"
#include "kind/ldap_server.h"
#include "kind/nothing.h"

static const struct spec_field fields[] = {
        {"server", SPEC_ANY, true},
        {"entries", SPEC_ANY, true},
        {0},
};
static const struct spec_field entry_fields[] = {
        {"dn", SPEC_TEXT, true},
        {"attributes", SPEC_OBJECT, true},
        {"create_only", SPEC_TEXTS, false},
        {"password", SPEC_ANY, false},
        {"token", SPEC_ANY, false},
        {0},
};

static int check(const json_t *spec, struct err **err)
{
        int r = spec_check(spec, fields, err);
        if (r == 0)
                r = ldap_server_check(spec, err);
        if (r < 0)
                return r;
        const json_t *entries = json_object_get(spec, "entries");
        if (!json_is_array(entries))
                return err_set(err, ERR_INVALID, "entries: a list is wanted");
        size_t i;
        const json_t *entry;
        json_array_foreach (entries, i, entry) {
                r = spec_check(entry, entry_fields, err);
                if (r < 0)
                        return err_prefix(err, "entries[%zu]", i);
                const json_t *dn = json_object_get(entry, "dn");
                if (!spec_is_open(dn) && !escape_is_dn(json_string_value(dn)))
                        return err_set(err, ERR_INVALID, "entries[%zu].dn: \"%s\" is no DN", i, json_string_value(dn));
        }
        return 0;
}

static bool listed(const json_t *names, const char *name)
{
        size_t i;
        const json_t *item;
        json_array_foreach (names, i, item)
                if (strcasecmp(json_string_value(item), name) == 0)
                        return true;
        return false;
}

static bool has_value(const json_t *values, const json_t *value, bool any_case)
{
        size_t i;
        const json_t *item;
        const char *text = json_string_value(value);
        json_array_foreach (values, i, item)
                if (any_case ? strcasecmp(json_string_value(item), text) == 0 : str_is(json_string_value(item), text))
                        return true;
        return false;
}

/* A list of texts, whatever stood there: one value, a number. New reference. */
static json_t *as_list(const json_t *value)
{
        json_t *list = json_array();
        size_t count = json_is_array(value) ? json_array_size(value) : 1;
        for (size_t i = 0; i < count; i++) {
                CLEANUP_FREE char *text = spec_scalar_text(json_is_array(value) ? json_array_get(value, i) : value);
                json_array_append_new(list, json_string(text));
        }
        return list;
}

static bool as_wanted(const char *name, const json_t *wanted, const json_t *there)
{
        bool classes = strcasecmp(name, "objectClass") == 0;
        size_t i;
        const json_t *value;
        json_array_foreach (wanted, i, value)
                if (!has_value(there, value, classes))
                        return false;
        return classes || json_array_size(wanted) == json_array_size(there);
}

/* The attributes of `entry` whose values are others than wanted, with the wanted ones. New reference. */
static json_t *differences(const json_t *entry, const json_t *there)
{
        json_t *different = json_object();
        const json_t *only = json_object_get(entry, "create_only");
        const char *name;
        json_t *value;
        json_object_foreach (json_object_get(entry, "attributes"), name, value) {
                json_auto_t *wanted = as_list(value);
                if (!listed(only, name) && !as_wanted(name, wanted, directory_values(there, name)))
                        json_object_set(different, name, wanted);
        }
        return different;
}

/* Operational attributes have to be asked for by name. */
static const char *const all[] = {"*", "aci", "nsSizeLimit", "nsLookThroughLimit", "nsPagedSizeLimit", "nsIdleTimeout",
        "pwdPolicySubentry", NULL};

/* A list in the order of spec, null for what is not there. */
static int find_all(struct directory *directory, const json_t *spec, json_t **ret, struct err **err)
{
        const json_t *entries = json_object_get(spec, "entries"), *entry;
        CLEANUP_FREE const char **dns = mem_zero_array(json_array_size(entries), sizeof *dns);
        size_t i;
        json_array_foreach (entries, i, entry)
                dns[i] = spec_text(entry, "dn", "");
        return directory_find_all(directory, dns, json_array_size(entries), all, ret, err);
}

/* Says what differs from spec: {"<dn>": "missing" | ["attribute", …]}; empty when all is well. */
static int look(struct directory *directory, const json_t *spec, void *wrong, struct err **err)
{
        size_t i;
        const json_t *entry;
        json_auto_t *found = NULL;
        int r = find_all(directory, spec, &found, err);
        if (r < 0)
                return r;
        json_array_foreach (json_object_get(spec, "entries"), i, entry) {
                const char *dn = spec_text(entry, "dn", ""), *name;
                const json_t *there = json_array_get(found, i);
                if (json_is_null(there)) {
                        json_object_set_new(wrong, dn, json_string("missing"));
                        continue;
                }
                json_auto_t *different = differences(entry, there), *names = json_array();
                json_t *values;
                json_object_foreach (different, name, values)
                        json_array_append_new(names, json_string(name));
                if (json_array_size(names) > 0)
                        json_object_set(wrong, dn, names);
        }
        return 0;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        json_auto_t *wrong = json_object();
        CLEANUP_ERR struct err *own = NULL;
        int result = ldap_server_look(ctx, r->spec, look, wrong, &own);
        if (result == -ERR_CANCELLED)
                return err_set(err, ERR_CANCELLED, "%s", own->message);
        if (result < 0) {
                *ret_state = ldap_server_unreachable();
                return 0;
        }
        size_t count = json_array_size(json_object_get(r->spec, "entries"));
        *ret_state = json_pack("{s:I, s:O}", "entries", (json_int_t)count, "different", wrong);
        return 0;
}

static int add(struct directory *directory, const json_t *entry, const char *dn, struct err **err)
{
        json_t *attributes = json_object();
        const char *name, *password = spec_text(entry, "password", NULL), *token = spec_text(entry, "token", NULL);
        json_t *value;
        json_object_foreach (json_object_get(entry, "attributes"), name, value)
                json_object_set_new(attributes, name, as_list(value));
        if (token) {
                CLEANUP_FREE char *hash = tls_hash_token(token);
                json_object_set_new(attributes, "userPassword", json_pack("[s]", hash));
        } else if (password) {
                json_object_set_new(attributes, "userPassword", json_pack("[s]", password));
        }
        int r = directory_add(directory, dn, attributes, err);
        kind_forget(attributes);
        return r;
}

/* Does the account still get in with its token? Only then is it left alone. */
static int keep_token(struct kind_ctx *ctx, struct directory *directory, const json_t *server, const json_t *entry,
        const char *dn, struct err **err)
{
        const char *token = spec_text(entry, "token", NULL);
        if (!token)
                return 0;
        CLEANUP_FREE char *uri = NULL;
        int r = ldap_server_uri(ctx, server, &uri, err);
        if (r < 0)
                return r;
        struct directory_options options = {
                .uri = uri, .ca = spec_text(server, "ca", ""), .bind_dn = dn, .password = token};
        CLEANUP_DIRECTORY struct directory *probe = NULL;
        if (directory_open(&options, &probe, NULL) == 0)
                return 0;
        CLEANUP_FREE char *hash = tls_hash_token(token);
        json_auto_t *attributes = json_pack("{s:s}", "userPassword", hash);
        return directory_replace(directory, dn, attributes, err);
}

static int put_right(
        struct kind_ctx *ctx, struct directory *directory, const json_t *server, const json_t *entry, struct err **err)
{
        const char *dn = spec_text(entry, "dn", "");
        json_auto_t *there = NULL;
        int r = directory_find(directory, dn, all, &there, err);
        if (r < 0)
                return r;
        if (!there)
                return add(directory, entry, dn, err);
        json_auto_t *different = differences(entry, there);
        json_t *classes = json_object_get(different, "objectClass");
        size_t i;
        json_t *class;
        json_array_foreach (
                directory_values(there, "objectclass"), i, class) /* others may have added some: they stay */
                if (classes && !has_value(classes, class, true))
                        json_array_append(classes, class);
        r = directory_replace(directory, dn, different, err);
        return r < 0 ? r : keep_token(ctx, directory, server, entry, dn, err);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state, (void)ret_outputs;
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        int result = ldap_server_open(ctx, r->spec, &directory, err);
        if (result < 0)
                return result;
        json_t *spec = NULL;
        result = kind_resolve(ctx, r->spec, &spec, err);
        size_t i;
        const json_t *entry;
        json_array_foreach (json_object_get(spec, "entries"), i, entry)
                if (result == 0)
                        result = put_right(ctx, directory, json_object_get(spec, "server"), entry, err);
        kind_forget(spec);
        return result;
}

static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        (void)ret_outputs;
        json_auto_t *state = NULL;
        int result = observe(ctx, r, &state, err);
        if (result == 0 && json_object_size(json_object_get(state, "different")) == 0 &&
                !json_object_get(state, "reachable"))
                *ret_state = STEAL(state);
        return result;
}

extern const struct kind kind_ldap_entry;
const struct kind kind_ldap_entry = {
        .name = "ldap.entry",
        .retries = 5,
        .far = true,
        .check = check,
        .observe = observe,
        .compare = ldap_server_compare,
        .apply = apply,
        .remove = nothing_remove,
        .adopt = adopt,
};
