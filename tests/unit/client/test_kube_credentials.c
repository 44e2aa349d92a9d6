/* Who the Kubernetes client says it is, and whom it believes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "kube_server.h"

static int get(struct kube *kube, struct err **err)
{
        return kube_get(kube, &pod_a, NULL, err);
}

/* ---- tokens ---- */

static bool never(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return refuse_with(peer, "401 Unauthorized", "", "Unauthorized", "Unauthorized");
}

static void test_refused_tokens(void **state)
{
        (void)state;
        struct err *err = NULL;
        {
                CLEANUP_KUBE struct kube *kube = open_token(never);
                refuse(get(kube, &err), ERR_DENIED, &err, "does not accept the token of user \"u\"",
                        "expired, withdrawn");
                assert_int_equal(asked, 1);
        }
        /* {"alg":"none"} {"exp":1700000000,"s3cret":1} */
        {
                CLEANUP_KUBE struct kube *kube = open_with(NULL,
                        "      token: eyJhbGciOiJub25lIn0.eyJleHAiOjE3MDAwMDAwMDAsInMzY3JldCI6MX0.c2ln\n",
                        &(struct kube_options){0});
                refuse(get(kube, &err), ERR_DENIED, &err, "expired at 2023-11-14T22:13:20Z",
                        "sign in to the cluster again");
        }
        CLEANUP_KUBE struct kube *kube = open_with(NULL, NULL, &(struct kube_options){0});
        refuse(get(kube, &err), ERR_DENIED, &err, "neither token nor certificate", "user \"u\"");
}

static bool wants_second(struct peer *peer, const char *request, int n)
{
        (void)n;
        return strstr(request, "Bearer second\r\n") ? ok(peer, POD("a", "1")) : never(peer, request, n);
}

static void test_token_file(void **state)
{
        (void)state;
        scenario = wants_second;
        free(put(pki.folder, "token", "first\n", 0600));
        CLEANUP_KUBE struct kube *kube = open_with(NULL, "      tokenFile: token\n", &(struct kube_options){0});
        struct err *err = NULL;
        refuse(get(kube, &err), ERR_DENIED, &err, "401", "");
        free(put(pki.folder, "token", "second\n", 0600));
        assert_int_equal(get(kube, NULL), 0); /* read again after the refusal */
        free(put(pki.folder, "token", "third\n", 0600));
        assert_int_equal(get(kube, NULL), 0); /* not read each time */
        fake_now += 61000;
        refuse(get(kube, &err), ERR_DENIED, &err, "401", "");
        free(put(pki.folder, "token", "\n\n", 0600));
        fake_now += 61000;
        refuse(get(kube, &err), ERR_INVALID, &err, "not a token", "token");
}

/* ---- plugins ---- */

#define PLUGIN(more)                                                                                                   \
        "      exec:\n        apiVersion: client.authentication.k8s.io/v1\n        command: ./plugin\n"                \
        "        interactiveMode: Never\n        args: [one, \"two words\"]\n"                                         \
        "        env: [{name: PLUGIN_SAYS, value: hello}]\n        provideClusterInfo: true\n" more

static void write_plugin(const char *script)
{
        CLEANUP_FREE char *text = str_format("#!/bin/sh\ncd '%s' || exit 1\n%s\n", pki.folder, script);
        free(put(pki.folder, "plugin", text, 0700));
}

#define PRINT(status)                                                                                                  \
        "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": "       \
        "{" status "}}'"

static size_t runs(void)
{
        CLEANUP_FREE char *path = file_join(pki.folder, "runs");
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        return file_read(path, 10000, &text, &length, NULL) < 0 ? 0 : length;
}

static void forget_runs(void)
{
        CLEANUP_FREE char *path = file_join(pki.folder, "runs");
        file_remove(path, NULL);
}

static void test_plugin(void **state)
{
        (void)state;
        forget_runs();
        scenario = wants_second;
        /* the first token is refused, the next is right and good for ten minutes */
        write_plugin("[ \"$1,$2,$PLUGIN_SAYS\" = 'one,two words,hello' ] || exit 3\n"
                     "case $KUBERNETES_EXEC_INFO in *'\"server\":\"https://127.0.0.1:'*certificate-authority-data*) ;; "
                     "*) exit 4;; esac\n"
                     "printf x >>runs\n"
                     "if [ $(wc -c <runs) = 1 ]; then token=first; else token=second; fi\n"
                     "echo '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", "
                     "\"status\": {'\n"
                     "echo \"\\\"token\\\": \\\"$token\\\", \\\"expirationTimestamp\\\": \\\"$(date -u -d '+10 "
                     "minutes' +%Y-%m-%dT%H:%M:%SZ)\\\"}}\"");
        CLEANUP_KUBE struct kube *kube = open_with(NULL, PLUGIN(""), &(struct kube_options){0});
        struct err *err = NULL;
        int64_t shift = fake_now;
        fake_now = 0;
        int r = get(kube, &err);
        if (r)
                fail_msg("%s", err->message);
        assert_int_equal(runs(), 2);
        for (int i = 0; i < 5; i++)
                assert_int_equal(get(kube, NULL), 0);
        assert_int_equal(runs(), 2);
        fake_now += 585000;
        assert_int_equal(get(kube, NULL), 0);
        assert_int_equal(runs(), 2);
        fake_now += 10000; /* less than ten seconds are left */
        assert_int_equal(get(kube, NULL), 0);
        assert_int_equal(runs(), 3);
        fake_now = shift;
}

static void refuse_plugin(const char *script, int code, const char *first, const char *second)
{
        write_plugin(script);
        scenario = wants_second;
        CLEANUP_KUBE struct kube *kube =
                open_with(NULL, PLUGIN("        installHint: get it there\n"), &(struct kube_options){0});
        struct err *err = NULL;
        refuse(get(kube, &err), code, &err, first, second);
        assert_int_equal(asked, 0);
}

static void test_bad_plugins(void **state)
{
        (void)state;
        refuse_plugin(
                "echo please sign in >&2; exit 7", ERR_FAILED, "please sign in", "credential plugin of user \"u\"");
        refuse_plugin("echo s3cret", ERR_INVALID, "did not print JSON", "user \"u\"");
        refuse_plugin("echo '{}'", ERR_INVALID, "ExecCredential", "plugin");
        refuse_plugin(PRINT("\"token\": \"\""), ERR_INVALID, "neither a token nor a certificate", "");
        refuse_plugin(PRINT("\"token\": \"s3cret\\\\nX: y\""), ERR_INVALID, "line break", "");
        refuse_plugin(PRINT("\"clientCertificateData\": \"x\""), ERR_INVALID, "without its key", "");
        refuse_plugin(PRINT("\"token\": \"s3cret\", \"expirationTimestamp\": \"soon\""), ERR_INVALID, "is no time", "");
        CLEANUP_FREE char *path = file_join(pki.folder, "plugin");
        assert_int_equal(file_remove(path, NULL), 0);
        scenario = never;
        CLEANUP_KUBE struct kube *kube =
                open_with(NULL, PLUGIN("        installHint: get it there\n"), &(struct kube_options){0});
        struct err *err = NULL;
        refuse(get(kube, &err), ERR_FAILED, &err, "plugin", "get it there");
        refuse(kube_delete(kube, &pod_a, NULL, NULL, &err), ERR_FAILED, &err, "plugin",
                "get it there"); /* not "gone" */
}

static void test_bad_token_of_plugin(void **state)
{
        (void)state;
        write_plugin(PRINT("\"token\": \"first\""));
        scenario = wants_second;
        CLEANUP_KUBE struct kube *kube = open_with(NULL, PLUGIN(""), &(struct kube_options){0});
        struct err *err = NULL;
        refuse(get(kube, &err), ERR_DENIED, &err, "credential plugin ./plugin", "sign in to the cloud again");
        assert_int_equal(asked, 2); /* once more with a new one, and no further */
}

/* ---- certificates ---- */

static bool wants_certificate(struct peer *peer, const char *request, int n)
{
        (void)n;
        X509 *shown = SSL_get1_peer_certificate(peer->ssl);
        char name[100] = "nobody";
        if (shown)
                X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, sizeof name);
        X509_free(shown);
        return str_is(name, "admin") && !strstr(request, "Authorization") &&
                               strstr(request, "Impersonate-User: joe\r\n") &&
                               strstr(request, "Impersonate-Group: b\r\n")
                       ? ok(peer, POD("a", "1"))
                       : never(peer, request, n);
}

static char *certificate_user(const char *certificate, const char *key)
{
        CLEANUP_FREE char *one = base64_encode(certificate, strlen(certificate));
        CLEANUP_FREE char *other = base64_encode(key, strlen(key));
        return str_format("      client-certificate-data: %s\n      client-key-data: %s\n      as: joe\n      "
                          "as-groups: [a, b]\n",
                one, other);
}

static void test_client_certificate(void **state)
{
        (void)state;
        scenario = wants_certificate;
        CLEANUP_FREE char *user = certificate_user(pki.client, pki.client_key);
        struct err *err = NULL;
        {
                CLEANUP_KUBE struct kube *kube = open_with(NULL, user, &(struct kube_options){0});
                int r = get(kube, &err);
                if (r)
                        fail_msg("%s", err->message);
        }
        CLEANUP_FREE char *mixed = certificate_user(pki.client, pki.server_key);
        CLEANUP_KUBE struct kube *kube = open_with(NULL, mixed, &(struct kube_options){0});
        refuse(get(kube, &err), ERR_INVALID, &err, "client certificate", "v1");
}

static int take_none(int good, X509_STORE_CTX *context)
{
        (void)good, (void)context;
        return 0;
}

static void refused_certificate(bool abrupt)
{
        scenario = wants_certificate;
        struct server *usual = api;
        api = server_start(pki.server_path, pki.server_key_path);
        api->custom = route;
        api->abrupt = abrupt;
        SSL_CTX_set_verify(api->tls, SSL_VERIFY_PEER, take_none);
        CLEANUP_FREE char *user = certificate_user(pki.client, pki.client_key);
        struct kube *kube = open_with(NULL, user, &(struct kube_options){0});
        struct err *err = NULL;
        refuse(get(kube, &err), ERR_DENIED, &err, "refuses our client certificate", "127.0.0.1");
        kube_close(kube);
        server_stop(api);
        api = usual;
}

static void test_refused_certificate(void **state)
{
        (void)state;
        refused_certificate(false);
        refused_certificate(true); /* the alert is lost */
}

static void test_expired_certificate(void **state)
{
        (void)state;
        char *certificate, *key;
        issue("old", "old", pki.ca, pki.ca_key, -30L * 86400, &certificate, &key);
        CLEANUP_FREE char *user = certificate_user(certificate, key);
        free(certificate), free(key);
        scenario = never;
        CLEANUP_KUBE struct kube *kube = open_with(NULL, user, &(struct kube_options){0});
        struct err *err = NULL;
        refuse(get(kube, &err), ERR_DENIED, &err, "the client certificate of user \"u\"", "expired at 20");
}

/* The plugin's certificate changes: connections of the old one are not used again. */
static bool tell_key(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        X509 *shown = SSL_get1_peer_certificate(peer->ssl);
        char name[100] = "nobody";
        if (shown)
                X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name, sizeof name);
        X509_free(shown);
        CLEANUP_FREE char *body = str_format("{\"name\": \"%s\"}", name);
        return ok(peer, body);
}

static char *shown_name(struct kube *kube)
{
        json_auto_t *object = NULL;
        assert_int_equal(kube_get(kube, &pod_a, &object, NULL), 0);
        return str_copy(json_string_value(json_object_get(object, "name")));
}

static void test_plugin_certificate(void **state)
{
        (void)state;
        char *certificate, *key;
        issue("second", "x", pki.ca, pki.ca_key, 0, &certificate, &key);
        json_auto_t *one = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "apiVersion", "client.authentication.k8s.io/v1",
                "kind", "ExecCredential", "status", "clientCertificateData", pki.client, "clientKeyData",
                pki.client_key, "expirationTimestamp", "2001-01-01T00:00:00.5+01:00");
        json_auto_t *two = json_deep_copy(one);
        json_object_update_new(json_object_get(two, "status"),
                json_pack("{s:s, s:s}", "clientCertificateData", certificate, "clientKeyData", key));
        CLEANUP_FREE char *one_text = json_dumps(one, 0);
        CLEANUP_FREE char *two_text = json_dumps(two, 0);
        free(put(pki.folder, "one.json", one_text, 0600)), free(put(pki.folder, "two.json", two_text, 0600));
        free(certificate), free(key);
        forget_runs();
        write_plugin("printf x >>runs; if [ $(wc -c <runs) -lt 4 ]; then cat one.json; else cat two.json; fi");
        scenario = tell_key;
        CLEANUP_KUBE struct kube *kube = open_with(NULL, PLUGIN(""), &(struct kube_options){0});
        CLEANUP_FREE char *first = shown_name(kube); /* kinds and object: two runs, as it has expired each time */
        CLEANUP_FREE char *again = shown_name(kube);
        CLEANUP_FREE char *changed = shown_name(kube);
        assert_string_equal(first, "admin");
        assert_string_equal(again, "admin");
        assert_string_equal(changed, "second");
        long requests, connections;
        kube_counts(kube, &requests, &connections);
        assert_int_equal(connections, 2);
}

/* ---- the server's ---- */

static bool fine(struct peer *peer, const char *request, int n)
{
        (void)n;
        CLEANUP_FREE char *host = str_format("Host: 127.0.0.1:%d\r\n", api->port);
        return strcasestr(request, host) ? ok(peer, POD("a", "1")) : never(peer, request, n);
}

static void test_other_ca(void **state)
{
        (void)state;
        char *right = pki.ca;
        pki.ca = pki.other_ca;
        scenario = fine;
        CLEANUP_KUBE struct kube *kube = open_with(NULL, NULL, &(struct kube_options){0});
        pki.ca = right;
        struct err *err = NULL;
        CLEANUP_FREE char *name = str_format("the CA of cluster \"c\" in %s/config", pki.folder);
        refuse(get(kube, &err), ERR_REFUSED, &err, "certificate is not trusted", name);
        assert_int_equal(fake_slept, 0);
}

static void test_server_name(void **state)
{
        (void)state;
        struct err *err = NULL;
        scenario = fine;
        {
                CLEANUP_KUBE struct kube *kube =
                        open_with("      tls-server-name: api.example\n", NULL, &(struct kube_options){0});
                refuse(get(kube, &err), ERR_REFUSED, &err, "certificate is not trusted", "api.example");
        }
        char *certificate, *key;
        issue("server", "api.example", pki.ca, pki.ca_key, 0, &certificate, &key);
        CLEANUP_FREE char *certificate_path = put(pki.folder, "named.crt", certificate, 0600);
        CLEANUP_FREE char *key_path = put(pki.folder, "named.key", key, 0600);
        free(certificate), free(key);
        struct server *usual = api;
        api = server_start(certificate_path, key_path);
        api->custom = route;
        {
                CLEANUP_KUBE struct kube *kube =
                        open_with("      tls-server-name: api.example\n", NULL, &(struct kube_options){0});
                int r = get(kube, &err);
                if (r)
                        fail_msg("%s", err->message);
        }
        server_stop(api);
        api = usual;
}

static bool proxy_answer(struct peer *peer, const char *request)
{
        CLEANUP_FREE char *wanted = str_format("CONNECT 127.0.0.1:%d HTTP/1.1\r\n", api->port);
        peer->server->custom = NULL; /* seen */
        return answer(peer, str_starts(request, wanted) ? "502 Bad Gateway" : "500 Odd", "", "");
}

static void test_proxy(void **state)
{
        (void)state;
        scenario = fine;
        struct server *proxy = server_start(NULL, NULL);
        proxy->custom = proxy_answer;
        CLEANUP_FREE char *line = str_format("      proxy-url: http://127.0.0.1:%d\n", proxy->port);
        CLEANUP_KUBE struct kube *kube = open_with(line, NULL, &(struct kube_options){.retry_ms = -1});
        struct err *err = NULL;
        int r = get(kube, &err);
        assert_true(r < 0 && strstr(err->message, "502"));
        err_free(err);
        assert_null(proxy->custom);
        kube = kube_close(kube);
        server_stop(proxy);
}

static int take_any(int good, X509_STORE_CTX *context)
{
        (void)good, (void)context;
        return 1;
}

static int start(void **state)
{
        fixture_start(state);
        SSL_CTX_set_verify(api->tls, SSL_VERIFY_PEER, take_any); /* asks for a certificate */
        SSL_CTX_set_session_cache_mode(api->tls, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_session_id_context(api->tls, (const unsigned char *)"test", 4);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused_tokens),
                cmocka_unit_test(test_token_file),
                cmocka_unit_test(test_plugin),
                cmocka_unit_test(test_bad_plugins),
                cmocka_unit_test(test_bad_token_of_plugin),
                cmocka_unit_test(test_client_certificate),
                cmocka_unit_test(test_refused_certificate),
                cmocka_unit_test(test_expired_certificate),
                cmocka_unit_test(test_plugin_certificate),
                cmocka_unit_test(test_other_ca),
                cmocka_unit_test(test_server_name),
                cmocka_unit_test(test_proxy),
        };
        return cmocka_run_group_tests(tests, start, fixture_end);
}
