#include "kind/ldap_server.h"

static const struct spec_field fields[] = {
        {"uri", SPEC_TEXT, true},
        {"ca", SPEC_STRING, false},
        {"bind_dn", SPEC_TEXT, true},
        {"password", SPEC_ANY, true},
        {"embedded", SPEC_BOOL, false},
        {0},
};

int ldap_server_check(const json_t *spec, struct err **err)
{
        const json_t *server = json_object_get(spec, "server");
        if (spec_is_open(server))
                return 0;
        int r = spec_check(server, fields, err);
        return r < 0 ? err_prefix(err, "server") : 0;
}

int ldap_server_open(struct kind_ctx *ctx, const json_t *spec, struct directory **ret, struct err **err)
{
        json_t *server = NULL;
        int r = kind_resolve(ctx, json_object_get(spec, "server"), &server, err);
        if (r < 0)
                return r;
        struct directory_options options = {
                .uri = spec_text(server, "uri", ""),
                .ca = spec_text(server, "ca", ""),
                .bind_dn = spec_text(server, "bind_dn", ""),
                .password = spec_text(server, "password", ""),
        };
        r = directory_open(&options, ret, err);
        kind_forget(server);
        return r;
}

bool ldap_server_is_ours(const json_t *spec)
{
        return spec_bool(json_object_get(spec, "server"), "embedded", false);
}

json_t *ldap_server_unreachable(void)
{
        return json_pack("{s:b}", "reachable", 0);
}

int ldap_server_compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        bool nothing = !recorded && json_is_false(json_object_get(state, "reachable"));
        change_default(r, recorded, nothing ? NULL : state, ret_change);
        return 0;
}
