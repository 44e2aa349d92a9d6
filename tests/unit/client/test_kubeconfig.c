/* Kubeconfig files: what is taken from them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/kube/kubeconfig.h"
#include "kube_files.h"

#define SERVER "https://10.0.0.1:6443"

static struct pki pki;

static int load(const char *text, const char *context, struct kubeconfig *ret, struct err **err)
{
        CLEANUP_FREE char *path = put(pki.folder, "config", text, 0600);
        return kubeconfig_load(&(struct kubeconfig_source){.file = path}, context, ret, err);
}

/* Refused with this code, and all of these (NULL-terminated) in the message; never with a secret in it. */
static void refuse(int r, int code, struct err **err, ...)
{
        CLEANUP_FREE char *text = err_text(*err);
        if (r != -code)
                fail_msg("%d instead of %d: %s", r, -code, text);
        va_list ap;
        va_start(ap, err);
        for (const char *part; (part = va_arg(ap, const char *));)
                if (!strstr(text, part))
                        fail_msg("'%s' is not in: %s", part, text);
        va_end(ap);
        assert_null(strstr(text, "s3cret"));
        *err = err_free(*err);
}

static void refuse_parts(const char *cluster, const char *user, int code, const char *first, const char *second)
{
        CLEANUP_FREE char *text = config_text(SERVER, pki.ca, cluster, user);
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        struct err *err = NULL;
        refuse(load(text, NULL, &config, &err), code, &err, first, second, pki.folder, NULL);
        assert_null(config.server);
}

static void test_token_and_data(void **state)
{
        (void)state;
        CLEANUP_FREE char *text =
                config_text(SERVER "//", pki.ca, "      tls-server-name: api\n      proxy-url: socks5://p:1\n",
                        "      token: abc\n      as: joe\n      as-groups: [a, b]\n");
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        assert_int_equal(load(text, NULL, &config, NULL), 0);
        assert_string_equal(config.server, SERVER);
        assert_string_equal(config.ca, pki.ca);
        assert_string_equal(config.context, "x");
        assert_string_equal(config.namespace, "hub");
        assert_string_equal(config.token, "abc");
        assert_string_equal(config.server_name, "api");
        assert_string_equal(config.proxy, "socks5://p:1");
        assert_string_equal(config.as, "joe");
        assert_string_equal(config.as_groups[1], "b");
        assert_null(config.as_groups[2]);
        assert_null(config.certificate);
        assert_non_null(strstr(config.ca_name, "cluster \"c\""));
}

static void test_files_beside_it(void **state)
{
        (void)state;
        CLEANUP_FREE char *sub = file_join(pki.folder, "sub");
        assert_int_equal(file_make_dirs(sub, 0700, NULL), 0);
        free(put(sub, "ca.pem", pki.ca, 0600)), free(put(sub, "me.crt", pki.client, 0600));
        free(put(sub, "me.key", pki.client_key, 0600));
        CLEANUP_FREE char *text = config_text(SERVER, NULL, "      certificate-authority: sub/ca.pem\n",
                "      client-certificate: sub/me.crt\n      client-key: sub/me.key\n      tokenFile: sub/token\n");
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        assert_int_equal(load(text, "x", &config, NULL), 0);
        assert_string_equal(config.ca, pki.ca);
        assert_string_equal(config.certificate, pki.client);
        assert_string_equal(config.key, pki.client_key);
        CLEANUP_FREE char *token = file_join(sub, "token");
        assert_string_equal(config.token_file, token);
}

static void test_data_wins_over_file(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = config_text(SERVER, pki.ca, "      certificate-authority: /nonexistent\n", NULL);
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        assert_int_equal(load(text, NULL, &config, NULL), 0);
        assert_string_equal(config.ca, pki.ca);
}

static void test_insecure(void **state)
{
        (void)state;
        refuse_parts("      insecure-skip-tls-verify: true\n", "      token: s3cret\n", ERR_REFUSED,
                "insecure-skip-tls-verify", "certificate-authority-data");
        refuse_parts("      insecure-skip-tls-verify: \"yes\"\n", NULL, ERR_REFUSED, "insecure-skip-tls-verify", "CA");
        CLEANUP_FREE char *text = config_text(SERVER, pki.ca, "      insecure-skip-tls-verify: false\n", NULL);
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        assert_int_equal(load(text, NULL, &config, NULL), 0);
}

static void test_plain(void **state)
{
        (void)state;
        struct err *err = NULL;
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        CLEANUP_FREE char *far = config_text("http://10.0.0.1:8080", NULL, NULL, NULL);
        refuse(load(far, NULL, &config, &err), ERR_REFUSED, &err, "in clear", NULL);
        CLEANUP_FREE char *tricky = config_text("http://localhost.example.org", NULL, NULL, NULL);
        refuse(load(tricky, NULL, &config, &err), ERR_REFUSED, &err, "in clear", NULL);
        CLEANUP_FREE char *near = config_text("http://127.0.0.1:8001", NULL, NULL, NULL);
        assert_int_equal(load(near, NULL, &config, NULL), 0);
        static const char *const wrong[] = {
                "ftp://x", "https://", "https://user:pass@x", "https://x/?a=b", "\"\"", "[1]", "x:6443"};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                CLEANUP_FREE char *text = config_text(wrong[i], NULL, NULL, NULL);
                CLEANUP_KUBECONFIG struct kubeconfig none = {0};
                refuse(load(text, NULL, &none, &err), ERR_INVALID, &err, "server", NULL);
        }
}

static void test_bad_parts(void **state)
{
        (void)state;
        refuse_parts(NULL, "      username: joe\n      password: s3cret\n", ERR_INVALID, "was removed", "user \"u\"");
        refuse_parts(NULL, "      auth-provider: {name: gcp}\n", ERR_INVALID, "auth-provider", "plugin");
        refuse_parts(NULL, "      token: [s3cret]\n", ERR_INVALID, "token must be a text", ":");
        refuse_parts(NULL, "      token: \"s3cret\\r\\nX: y\"\n", ERR_INVALID, "line break", "token");
        refuse_parts(NULL, "      client-certificate-data: Zm9v\n", ERR_INVALID, "client-certificate-data", "not PEM");
        refuse_parts(NULL, "      client-key-data: \"s3cret!\"\n", ERR_INVALID, "client-key-data", "not base64");
        refuse_parts(NULL, "      client-key: /nonexistent/key\n", ERR_NOT_FOUND, "/nonexistent/key", "client-key");
        refuse_parts("      proxy-url: ftp://x\n", NULL, ERR_INVALID, "proxy-url", "socks5");
        refuse_parts("      tls-server-name: \"a/b\"\n", NULL, ERR_INVALID, "tls-server-name", "host name");
        refuse_parts(NULL, "      as-groups: [a]\n", ERR_INVALID, "as-groups", "as");
        CLEANUP_FREE char *encoded = base64_encode(pki.client, strlen(pki.client));
        CLEANUP_FREE char *alone = str_format("      client-certificate-data: %s\n", encoded);
        refuse_parts(NULL, alone, ERR_INVALID, "go together", "key is missing");
        static const char locked[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n";
        CLEANUP_FREE char *key = base64_encode(locked, sizeof locked - 1);
        CLEANUP_FREE char *both = str_format("%s      client-key-data: %s\n", alone, key);
        refuse_parts(NULL, both, ERR_INVALID, "encrypted", "user \"u\"");
}

static void test_bad_plugins(void **state)
{
        (void)state;
        refuse_parts(NULL, "      exec: {apiVersion: client.authentication.k8s.io/v1}\n", ERR_INVALID,
                "needs a command", "u");
        refuse_parts(NULL, "      exec: {command: aws, apiVersion: client.authentication.k8s.io/v1alpha1}\n",
                ERR_INVALID, "v1alpha1", "update");
        refuse_parts(NULL,
                "      exec: {command: a, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always}\n",
                ERR_INVALID, "terminal", "a");
        refuse_parts(NULL, "      exec: {command: a, apiVersion: client.authentication.k8s.io/v1, args: [1]}\n",
                ERR_INVALID, "exec.args", "texts");
        refuse_parts(NULL, "      exec: {command: a, apiVersion: client.authentication.k8s.io/v1, env: [{name: A}]}\n",
                ERR_INVALID, "exec.env", "value");
}

static void test_places(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = config_text(SERVER, NULL, "      insecure-skip-tls-verify: true\n", NULL);
        CLEANUP_FREE char *where = str_format("%s/config:9:7: cluster \"c\"", pki.folder);
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        struct err *err = NULL;
        refuse(load(text, NULL, &config, &err), ERR_REFUSED, &err, where, NULL);
        CLEANUP_FREE char *syntax = str_format("%s/config:2:", pki.folder);
        refuse(load("a: b\n\tc: [", NULL, &config, &err), ERR_INVALID, &err, syntax, NULL);
        refuse(load("[1]", NULL, &config, &err), ERR_INVALID, &err, "not a kubeconfig", NULL);
}

static void test_contexts(void **state)
{
        (void)state;
        static const char text[] = "clusters: [{name: c, cluster: {server: 'https://c'}}]\n"
                                   "users: []\n"
                                   "contexts:\n- {name: production, context: {cluster: c}}\n"
                                   "- {name: test, context: {cluster: d}}\n"
                                   "- {name: third, context: {cluster: c, user: nobody}}\n"
                                   "- {name: broken, context: 1}\n- 7\n";
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        struct err *err = NULL;
        refuse(load(text, NULL, &config, &err), ERR_NOT_FOUND, &err, "no current context", "production, test", NULL);
        refuse(load(text, "prodution", &config, &err), ERR_NOT_FOUND, &err, "no context \"prodution\"",
                "did you mean \"production\"?", "there are: production, test, third", NULL);
        refuse(load(text, "test", &config, &err), ERR_INVALID, &err, "names the cluster \"d\"", "there are: c", NULL);
        refuse(load(text, "third", &config, &err), ERR_INVALID, &err, "names the user \"nobody\"", "none", NULL);
        refuse(load(text, "broken", &config, &err), ERR_NOT_FOUND, &err, "no context \"broken\"", NULL);
        refuse(load("", NULL, &config, &err), ERR_NOT_FOUND, &err, "no current context", "none", NULL);
        assert_int_equal(load(text, "production", &config, NULL), 0);
        assert_string_equal(config.namespace, "default");
        assert_null(config.user);
}

static void test_merge(void **state)
{
        (void)state;
        CLEANUP_FREE char *one = put(pki.folder, "one",
                "current-context: x\nclusters: [{name: c, cluster: {server: 'https://one'}}]\nusers: []\n", 0600);
        CLEANUP_FREE char *two = put(pki.folder, "two",
                "current-context: y\nclusters: [{name: c, cluster: {server: 'https://two'}}]\n"
                "contexts: [{name: x, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n",
                0600);
        CLEANUP_FREE char *list = str_format("%s:/nonexistent:%s::", one, two);
        CLEANUP_KUBECONFIG struct kubeconfig config = {0};
        struct kubeconfig_source source = {.list = list, .home = "/nonexistent"};
        assert_int_equal(kubeconfig_load(&source, NULL, &config, NULL), 0);
        assert_string_equal(config.server, "https://one");
        assert_string_equal(config.token, "t");
        assert_string_equal(config.file, two);
        struct err *err = NULL;
        source.list = "/nonexistent:/neither";
        refuse(kubeconfig_load(&source, NULL, &config, &err), ERR_NOT_FOUND, &err, "$KUBECONFIG", "/neither", NULL);
        source = (struct kubeconfig_source){.file = "/nonexistent"};
        refuse(kubeconfig_load(&source, NULL, &config, &err), ERR_NOT_FOUND, &err, "/nonexistent", NULL);
}

static void test_home_and_pod(void **state)
{
        (void)state;
        CLEANUP_FREE char *folder = file_join(pki.folder, ".kube");
        CLEANUP_FREE char *account = file_join(pki.folder, "account");
        assert_int_equal(file_make_dirs(folder, 0700, NULL), 0);
        assert_int_equal(file_make_dirs(account, 0700, NULL), 0);
        struct err *err = NULL;
        struct kubeconfig_source source = {.home = pki.folder, .host = "10.96.0.1", .port = "443", .account = account};
        {
                CLEANUP_KUBECONFIG struct kubeconfig config = {0};
                refuse(kubeconfig_load(&source, NULL, &config, &err), ERR_NOT_FOUND, &err, "no kubeconfig",
                        "kubernetes.kubeconfig", NULL);
        }
        free(put(account, "token", "abc\n", 0600)), free(put(account, "ca.crt", pki.ca, 0600));
        free(put(account, "namespace", "hub\n", 0600));
        {
                CLEANUP_KUBECONFIG struct kubeconfig config = {0};
                assert_int_equal(kubeconfig_load(&source, NULL, &config, NULL), 0);
                assert_string_equal(config.server, "https://10.96.0.1:443");
                assert_string_equal(config.namespace, "hub");
                assert_string_equal(config.ca, pki.ca);
                CLEANUP_FREE char *token = file_join(account, "token");
                assert_string_equal(config.token_file, token); /* which is read again, as the kubelet renews it */
                refuse(kubeconfig_load(&source, "prod", &config, &err), ERR_NOT_FOUND, &err, "prod", NULL);
        }
        source.host = "fd00::1";
        {
                CLEANUP_KUBECONFIG struct kubeconfig config = {0};
                assert_int_equal(kubeconfig_load(&source, NULL, &config, NULL), 0);
                assert_string_equal(config.server, "https://[fd00::1]:443");
        }
        CLEANUP_FREE char *text = config_text(SERVER, pki.ca, NULL, NULL);
        free(put(folder, "config", text, 0600));
        for (int i = 0; i < 2; i++) {
                CLEANUP_KUBECONFIG struct kubeconfig config = {0};
                source.file = i ? "~/.kube/config" : NULL;
                assert_int_equal(kubeconfig_load(&source, NULL, &config, NULL), 0);
                assert_string_equal(config.server, SERVER);
        }
}

static void test_base64(void **state)
{
        (void)state;
        static const struct {
                const char *text, *data;
        } good[] = {{"", ""}, {"Zg==", "f"}, {"Zm8=", "fo"}, {"Zm9v", "foo"}, {"Zm9v\nYg==\r\n", "foob"}};
        static const char *const bad[] = {
                "Z", "Zg", "Zg=", "Zg===", "=", "====", "Zg==Zg==", "Z=g=", "Zm9v!", "Zm 9v", "Zm9_"};
        char *data;
        size_t length;
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
                assert_int_equal(base64_decode(good[i].text, strlen(good[i].text), &data, &length), 0);
                assert_string_equal(data, good[i].data);
                assert_int_equal(length, strlen(good[i].data));
                free(data);
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &data, &length), -1);
        for (size_t n = 0; n < sizeof SERVER; n++) {
                CLEANUP_FREE char *text = base64_encode(SERVER, n);
                assert_int_equal(base64_decode(text, strlen(text), &data, &length), 0);
                assert_int_equal(length, n);
                assert_int_equal(memcmp(data, SERVER, n), 0);
                free(data);
        }
}

static int set_up(void **state)
{
        (void)state;
        pki_make(&pki, "127.0.0.1");
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        pki_clear(&pki);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_token_and_data),
                cmocka_unit_test(test_files_beside_it),
                cmocka_unit_test(test_data_wins_over_file),
                cmocka_unit_test(test_insecure),
                cmocka_unit_test(test_plain),
                cmocka_unit_test(test_bad_parts),
                cmocka_unit_test(test_bad_plugins),
                cmocka_unit_test(test_places),
                cmocka_unit_test(test_contexts),
                cmocka_unit_test(test_merge),
                cmocka_unit_test(test_home_and_pod),
                cmocka_unit_test(test_base64),
        };
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
