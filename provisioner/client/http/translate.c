/* libcurl's errors in our words. */
#include <string.h>

#include "base/mem.h"
#include "client/http/private.h"

static const char *ca_name(const struct http_client *client)
{
        if (client->ca_name)
                return client->ca_name;
        return client->ca ? client->ca : "the system's authorities";
}

bool http_refuses_certificate(CURLcode code, const char *detail)
{
        return (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR) &&
               strstr(detail, "alert") && (strstr(detail, "certificate") || strstr(detail, "unknown ca"));
}

int http_translate(const struct exchange *exchange, CURLcode code, const char *url, struct err **err)
{
        const struct http_client *client = exchange->client;
        const char *detail = client->detail[0] ? client->detail : client->api->easy_strerror(code);
        CLEANUP_FREE char *name = http_shown(url);
        if (http_refuses_certificate(code, detail))
                return err_set(err, ERR_DENIED, "%s: the server refuses our client certificate: %s", name, detail);
        switch (code) {
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ISSUER_ERROR:
                return err_set(err, ERR_REFUSED, "%s: the server's certificate is not trusted (%s, checked against %s)",
                        name, detail, ca_name(client));
        case CURLE_SSL_CACERT_BADFILE:
                return err_set(err, ERR_INVALID, "%s: cannot use the CA %s%s: %s", name,
                        client->ca_name ? "of " : "file ", ca_name(client), detail);
        case CURLE_SSL_CERTPROBLEM:
                return err_set(err, ERR_INVALID, "%s: cannot use our client certificate: %s", name, detail);
        case CURLE_SSL_CONNECT_ERROR:
                return err_set(err, ERR_UNREACHABLE, "%s: no TLS connection: %s", name, detail);
        case CURLE_COULDNT_RESOLVE_HOST:
                return err_set(err, ERR_UNREACHABLE, "%s: the host name is not known: %s", name, detail);
        case CURLE_COULDNT_RESOLVE_PROXY:
        case CURLE_PROXY:
                return err_set(err, ERR_UNREACHABLE, "%s: no connection through the proxy: %s", name, detail);
        case CURLE_OPERATION_TIMEDOUT:
                return err_set(err, ERR_TIMEOUT, "%s: no complete answer in time: %s", name, detail);
        case CURLE_WRITE_ERROR:
                if (exchange->body.truncated)
                        return err_set(
                                err, ERR_INVALID, "%s: the answer is larger than %zu bytes", name, exchange->body.max);
                return err_set(err, ERR_FAILED, "%s: %s", name, detail);
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                return err_set(err, ERR_INVALID, "%s: not a usable address: %s", name, detail);
        case CURLE_COULDNT_CONNECT:
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_PARTIAL_FILE:
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM:
        case CURLE_WEIRD_SERVER_REPLY:
                return err_set(err, ERR_UNREACHABLE, "%s: %s", name, detail);
        default:
                return err_set(err, ERR_FAILED, "%s: %s", name, detail);
        }
}
