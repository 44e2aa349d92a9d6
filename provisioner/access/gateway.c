#include "access/gateway.h"

#include "base/mem.h"
#include "base/str.h"
#include "client/http/http.h"

int gateway_clusters(const json_t *access, struct cancel *cancel, json_t **ret, struct err **err)
{
        const char *api = json_string_value(json_object_get(access, "api"));
        const char *token = json_string_value(json_object_get(access, "token"));
        if (!api || !token)
                return err_set(err, ERR_INVALID, "gateway/access has no api or no token");
        CLEANUP_HTTP struct http_client *http = http_client_new(&(struct http_options){.cancel = cancel});
        CLEANUP_FREE char *url = str_format("%s/api/v1/caas/clusters", api);
        struct http_request request = {.url = url, .token = token, .timeout_ms = 5000};
        int r = http_json(http, &request, NULL, ret, err);
        return r < 0 ? err_prefix(err, "the gateway") : 0;
}
