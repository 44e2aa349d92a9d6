#include "kind/ldap_server.h"

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_server.h"

static const struct spec_field fields[] = {
        {"uri", SPEC_TEXT, true},
        {"ca", SPEC_STRING, false},
        {"bind_dn", SPEC_TEXT, true},
        {"password", SPEC_ANY, true},
        {"embedded", SPEC_BOOL, false},
        {"forward", SPEC_OBJECT, false},
        {0},
};

static const struct spec_field forward_fields[] = {
        {"service", SPEC_TEXT, true},
        {"port", SPEC_WHOLE, true},
        {"namespace", SPEC_TEXT, false},
        {0},
};

int ldap_server_check(const json_t *spec, struct err **err)
{
        const json_t *server = json_object_get(spec, "server");
        if (spec_is_open(server))
                return 0;
        int r = spec_check(server, fields, err);
        const json_t *forward = json_object_get(server, "forward");
        if (r == 0 && forward && !json_is_null(forward) && !spec_is_open(forward))
                r = spec_check(forward, forward_fields, err);
        return r < 0 ? err_prefix(err, "server") : 0;
}

int ldap_server_uri(struct kind_ctx *ctx, const json_t *server, char **ret_uri, struct err **err)
{
        const json_t *forward = json_object_get(server, "forward");
        const char *uri = spec_text(server, "uri", "");
        if (!json_is_object(forward)) {
                *ret_uri = str_copy(uri);
                return 0;
        }
        int port = 0;
        int r = kube_link_forward(ctx->kube, spec_text(forward, "namespace", NULL), spec_text(forward, "service", ""),
                (int)spec_whole(forward, "port", 0), &port, err);
        if (r < 0)
                return err_prefix(err, "cannot reach the directory");
        *ret_uri = str_format("%s://127.0.0.1:%d", str_starts(uri, "ldap://") ? "ldap" : "ldaps", port);
        return 0;
}

int ldap_server_open(struct kind_ctx *ctx, const json_t *spec, struct directory **ret, struct err **err)
{
        json_t *server = NULL;
        int r = kind_resolve(ctx, json_object_get(spec, "server"), &server, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *uri = NULL;
        r = ldap_server_uri(ctx, server, &uri, err);
        struct directory_options options = {
                .uri = uri,
                .ca = spec_text(server, "ca", ""),
                .bind_dn = spec_text(server, "bind_dn", ""),
                .password = spec_text(server, "password", ""),
        };
        if (r == 0)
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
