/* exporter.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "../client/must.h"
#include "exporter/accounts.h"
#include "exporter/address.h"
#include "exporter/config.h"

static void test_minimal(void **state)
{
        (void)state;
        CLEANUP_CONFIG struct config *config = NULL;
        MUST(config_parse("{}", 2, &config, err));
        assert_true(str_starts(config->listen, "127.0.0.1:"));
        assert_string_equal(config->cluster, "");
        assert_string_equal(config->namespace_, "");
        assert_true(config->node && *config->node);
        assert_null(config->token);
        assert_int_equal(config->refresh_ms, 15000);
        assert_null(config->hub.api);
        assert_null(config->gateway.api);
        assert_null(config->directory.uri);
        assert_null(config->groups_parent);
        assert_null(config->homes_images);
        assert_null(config->journal);
        assert_int_equal(config->part_count, 0);
        assert_int_equal(config->certificate_count, 0);
        assert_non_null(config->cancel);
}

static const char FULL[] =
        "{\"listen\": \"[::1]:9000\", \"cluster\": \"demo\", \"node\": \"box\", \"token\": \"t\", \"refresh_seconds\": "
        "2,"
        " \"hub\": {\"api\": \"http://127.0.0.1:1/hub/api\", \"token\": \"h\", \"database\": \"/d/hub.sqlite\"},"
        " \"gateway\": {\"api\": \"http://g\"},"
        " \"directory\": {\"uri\": \"ldaps://d\", \"users_group\": \"u\", \"admins_group\": \"a\"},"
        " \"groups\": {\"parent\": \"caas-demo\"}, \"homes\": {\"images\": \"/i\", \"mounts\": \"/m\"},"
        " \"accounts\": \"/users.json\", \"journal\": \"/j\", \"services\": {\"folder\": \"/s\", \"list\": ["
        "{\"name\": \"hub\", \"component\": \"hub\"}, {\"name\": \"g_p\", \"component\": \"t\", \"app\": \"g\"}]},"
        " \"parts\": [{\"name\": \"hub\", \"url\": \"http://x\"}, {}, {\"name\": \"proxy\", \"tcp\": \"127.0.0.1:5\"}],"
        " \"certificates\": [{\"name\": \"ca\", \"file\": \"/ca\"}, {}, {\"name\": \"p\", \"address\": \"h:1\","
        " \"server\": \"s\"}]}";

static void test_full(void **state)
{
        (void)state;
        CLEANUP_CONFIG struct config *config = NULL;
        MUST(config_parse(FULL, strlen(FULL), &config, err));
        assert_string_equal(config->namespace_, "demo");
        assert_string_equal(config->node, "box");
        assert_string_equal(config->hub.token, "h");
        assert_null(config->gateway.token);
        assert_string_equal(config->hub_database, "/d/hub.sqlite");
        assert_string_equal(config->directory.admins_group, "a");
        assert_null(config->directory.ca);
        assert_string_equal(config->groups_parent, "caas-demo");
        assert_string_equal(config->homes_mounts, "/m");
        assert_int_equal(config->refresh_ms, 2000);
        assert_int_equal(config->part_count, 2);
        assert_string_equal(config->parts[1].tcp, "127.0.0.1:5");
        assert_string_equal(config->services_folder, "/s");
        assert_int_equal(config->service_count, 2);
        assert_string_equal(config->services[0].app, "jupyterhub");
        assert_string_equal(config->services[1].app, "g");
        assert_int_equal(config->certificate_count, 2);
        assert_string_equal(config->certificates[1].server, "s");
}

static void refused(const char *text, const char *words)
{
        struct config *config = NULL;
        struct err *err = NULL;
        assert_int_equal(config_parse(text, strlen(text), &config, &err), -ERR_INVALID);
        assert_null(config);
        if (!strstr(err->message, words))
                fail_msg("%s: \"%s\" is not in \"%s\"", text, words, err->message);
        err_free(err);
        assert_int_equal(config_parse(text, strlen(text), &config, NULL), -ERR_INVALID);
}

static void test_refused(void **state)
{
        (void)state;
        refused("", "line");
        refused("{", "line 1");
        refused("[]", "object");
        refused("{\"tokn\": \"x\"}", "tokn");
        refused("{\"token\": 1}", "string");
        refused("{\"token\": \"\"}", "token is empty");
        refused("{\"token\": \"a\", \"token\": \"b\"}", "duplicate");
        refused("{\"listen\": \"127.0.0.1\"}", "HOST:PORT");
        refused("{\"refresh_seconds\": 0}", "refresh_seconds");
        refused("{\"refresh_seconds\": 1e99}", "refresh_seconds");
        refused("{\"hub\": 1}", "hub");
        refused("{\"hub\": {\"api\": \"http://x/\"}}", "slash");
        refused("{\"hub\": {\"password\": \"x\"}}", "password");
        refused("{\"hub\": {\"database\": 1}}", "hub");
        refused("{\"gateway\": {\"database\": \"/d\"}}", "database");
        refused("{\"directory\": {\"url\": \"x\"}}", "directory");
        refused("{\"homes\": {\"image\": \"/i\"}}", "homes");
        refused("{\"parts\": {}}", "list");
        refused("{\"parts\": [1]}", "parts");
        refused("{\"parts\": [{\"name\": \"a\"}]}", "url or tcp");
        refused("{\"parts\": [{\"name\": \"a\", \"tcp\": \"b\"}]}", "parts: a");
        refused("{\"parts\": [{\"name\": \"a\", \"url\": \"b\"}, {\"name\": \"a\", \"url\": \"c\"}]}", "twice");
        refused("{\"services\": {\"list\": []}}", "services");
        refused("{\"services\": {\"folder\": \"/s\", \"list\": {}}}", "list");
        refused("{\"services\": {\"folder\": \"/s\", \"list\": [{\"name\": \"a\"}]}}", "services.list");
        refused("{\"services\": {\"folder\": \"/s\", \"list\": [{\"name\": \"../a\", \"component\": \"b\"}]}}",
                "no name");
        refused("{\"services\": {\"folder\": \"/s\", \"list\": [{\"name\": \"a\", \"component\": \"b\"}, "
                "{\"name\": \"a\", \"component\": \"c\"}]}}",
                "twice");
        refused("{\"backup\": \"/b\"}", "backup");
        refused("{\"backup\": {\"file\": \"/b\"}}", "file");
        refused("{\"backup\": {\"stamp\": \"b\"}}", "absolute");
        refused("{\"backup\": {\"stamp\": \"/b\", \"cronjob\": \"b\"}}", "not both");
        refused("{\"backup\": {\"cronjob\": \"b\"}}", "Kubernetes");
        refused("{\"certificates\": [{\"name\": \"a\"}]}", "address or file");
        refused("{\"certificates\": [{}, 3]}", "certificates");
        refused("{\"certificates\": [{\"name\": \"a\", \"file\": \"f\", \"address\": \"h:1\"}]}", "address or file");
}

static void splits(const char *address, const char *host, const char *port)
{
        CLEANUP_FREE char *h = NULL, *p = NULL;
        MUST(address_split(address, &h, &p, err));
        assert_string_equal(h, host);
        assert_string_equal(p, port);
}

static void test_addresses(void **state)
{
        (void)state;
        splits("127.0.0.1:80", "127.0.0.1", "80");
        splits("[::1]:443", "::1", "443");
        splits("name:65535", "name", "65535");
        static const char *const bad[] = {
                "", ":", ":80", "x", "x:", "x:0", "x:65536", "x:-1", "x: 1", "x:1a", "::1:80", "[]:1", "::1", NULL};
        for (const char *const *address = bad; *address; address++) {
                char *h = NULL, *p = NULL;
                assert_int_equal(address_split(*address, &h, &p, NULL), -ERR_INVALID);
        }
}

static void test_accounts(void **state)
{
        (void)state;
        static const char text[] =
                "{\"bob\": {\"uid\": 60002, \"gid\": 1}, \"alice\": {\"uid\": 60001},"
                " \"root\": {\"uid\": 0}, \"text\": {\"uid\": \"1\"}, \"none\": 7, \"../x\": {\"uid\": 9},"
                " \"big\": {\"uid\": 4294967296}}";
        CLEANUP_ACCOUNTS struct accounts accounts = {0};
        MUST(accounts_parse(text, strlen(text), &accounts, err));
        assert_int_equal(accounts.count, 2);
        assert_string_equal(accounts_user(&accounts, 60001), "alice");
        assert_string_equal(accounts_user(&accounts, 60002), "bob");
        assert_null(accounts_user(&accounts, 0));
        assert_null(accounts_user(&accounts, 9));
        struct accounts none = {0};
        assert_int_equal(accounts_parse("{", 1, &none, NULL), -ERR_INVALID);
        MUST(accounts_load(NULL, &none, err));
        MUST(accounts_load("/nowhere/users.json", &none, err));
        assert_int_equal(none.count, 0);
        assert_null(accounts_user(&none, 1));
}

static void test_kubernetes(void **state)
{
        (void)state;
        static const char good[] =
                "{\"cluster\": \"demo\", \"kubernetes\": {\"api\": \"https://k:6443\", \"ca\": \"/ca\","
                " \"token_file\": \"/token\", \"namespace\": \"ocean\", \"nodes\": true}}";
        static const struct {
                const char *text, *words;
        } wrong[] = {
                {"{\"kubernetes\": {}}", "kubernetes: "},
                {"{\"kubernetes\": {\"api\": \"http://k\", \"ca\": \"/c\", \"token_file\": \"/t\", \"namespace\": "
                 "\"o\"}}",
                        "kubernetes.api"},
                {"{\"kubernetes\": {\"api\": \"https://k/\", \"ca\": \"/c\", \"token_file\": \"/t\", \"namespace\": "
                 "\"o\"}}",
                        "kubernetes.api"},
                {"{\"kubernetes\": {\"api\": \"https://k\", \"ca\": \"/c\", \"token_file\": \"/t\", \"namespace\": "
                 "\"\"}}",
                        "kubernetes.namespace"},
                {"{\"kubernetes\": {\"api\": \"https://k\", \"ca\": \"/c\", \"token_file\": \"/t\", \"namespace\": "
                 "\"o\", \"nodes\": 1}}",
                        "kubernetes: "},
                {"{\"kubernetes\": {\"api\": \"https://k\", \"ca\": \"/c\", \"token_file\": \"/t\", \"namespace\": "
                 "\"o\", \"runs\": \"\"}}",
                        "kubernetes.runs"},
                {"{\"journal\": \"/j\", \"kubernetes\": {\"api\": \"https://k\", \"ca\": \"/c\", \"token_file\": "
                 "\"/t\", \"namespace\": \"o\", \"runs\": \"r\"}}",
                        "kubernetes.runs"},
                {"{\"groups\": {\"parent\": \"caas-x\"}, \"kubernetes\": {\"api\": \"https://k\", \"ca\": \"/c\","
                 " \"token_file\": \"/t\", \"namespace\": \"o\"}}",
                        "of a host"},
                {"{\"services\": {\"folder\": \"/s\", \"list\": []}, \"kubernetes\": {\"api\": \"https://k\", \"ca\": "
                 "\"/c\", \"token_file\": \"/t\", \"namespace\": \"o\"}}",
                        "of a host"},
        };
        CLEANUP_CONFIG struct config *config = NULL;
        MUST(config_parse(good, strlen(good), &config, err));
        assert_string_equal(config->kubernetes.api, "https://k:6443");
        assert_string_equal(config->namespace_, "ocean");
        assert_true(config->kubernetes.nodes);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                struct config *none = NULL;
                REFUSED(config_parse(wrong[i].text, strlen(wrong[i].text), &none, err), ERR_INVALID, wrong[i].words);
                assert_null(none);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_minimal),
                cmocka_unit_test(test_full),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_addresses),
                cmocka_unit_test(test_accounts),
                cmocka_unit_test(test_kubernetes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
