/* kube.entry against a false API server: addresses that come, or do not, and names that lead there, or do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/kube_server.h"
#include "kind/kind.h"
#include "kind/kube_server.h"
#include "plan/change.h"

extern const struct kind kind_kube_entry;

static const char *service_status = "{}", *service_ports = "[]"; /* what the server has */
static bool service_there = true;
static int still_pending; /* so often the balancer has no address yet */
static int busy;          /* so many lists are refused for longer than a look lasts */

static bool services(struct peer *peer, const char *request, int n)
{
        (void)n;
        CLEANUP_FREE char *object = str_format(
                "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"proxy-public\", "
                "\"namespace\": \"lab\", \"uid\": \"u\", \"resourceVersion\": \"5\"}, \"spec\": {\"ports\": %s}, "
                "\"status\": {\"loadBalancer\": %s}}",
                service_ports, still_pending > 0 ? "{}" : service_status);
        still_pending--;
        if (str_starts(request, "GET /api/v1/namespaces/lab/services/proxy-public"))
                return service_there ? ok(peer, object)
                                     : refuse_with(peer, "404 Not Found", "", "NotFound", "not found");
        if (strstr(request, "watch=")) {
                usleep(200 * 1000);
                return ok(peer, "");
        }
        if (busy > 0) {
                busy--;
                return refuse_with(peer, "429 Too Many Requests", "Retry-After: 5\r\n", "TooManyRequests", "slowly");
        }
        CLEANUP_FREE char *list = str_format("{\"kind\": \"ServiceList\", \"apiVersion\": \"v1\", \"metadata\": "
                                             "{\"resourceVersion\": \"7\"}, \"items\": [%s]}",
                service_there ? object : "");
        return ok(peer, list);
}

static void quiet(struct kind_ctx *ctx, const char *text)
{
        (void)ctx, (void)text;
}

/* Runs apply with a spec (JSON with ' for "); the outputs, or NULL with *err. */
static json_t *entry(const char *text, struct err **err)
{
        CLEANUP_FREE char *json = str_copy(text), *url = server_url(api);
        for (char *c = json; *c; c++)
                *c = *c == '\'' ? '"' : *c;
        CLEANUP_FREE char *config = config_text(url, pki.ca, NULL, "      token: s3cret\n");
        CLEANUP_FREE char *path = put(pki.folder, "config", config, 0600);
        json_auto_t *target = json_pack("{s:s, s:s}", "kubeconfig", path, "namespace", "lab");
        struct kube_link *link = kube_link_new(target, NULL);
        struct kind_ctx ctx = {.cluster = "lab", .kube = link, .clock = &fake_clock, .progress = quiet};
        struct resource resource = {
                .id = (char *)"proxy/entry", .kind = (char *)"kube.entry", .spec = json_loads(json, 0, NULL)};
        json_t *outputs = NULL;
        assert_non_null(resource.spec);
        scenario = services;
        int r = kind_kube_entry.check(resource.spec, err);
        if (r == 0)
                r = kind_kube_entry.apply(&ctx, &resource, NULL, NULL, &outputs, err);
        assert_int_equal(r < 0, *err != NULL);
        json_decref(resource.spec);
        kube_link_free(link);
        return outputs;
}

static void expect(const char *spec, const char *key, const char *value)
{
        CLEANUP_ERR struct err *err = NULL;
        json_auto_t *outputs = entry(spec, &err);
        if (err)
                fail_msg("%s", err->message);
        assert_string_equal(json_string_value(json_object_get(outputs, key)), value);
}

static void expect_error(const char *spec, enum err_code code, const char *one, const char *other)
{
        CLEANUP_ERR struct err *err = NULL;
        json_auto_t *outputs = entry(spec, &err);
        assert_null(outputs);
        if (err->code != code || !strstr(err->message, one) || !strstr(err->message, other))
                fail_msg("%d: %s", (int)err->code, err->message);
}

#define BALANCER "'entry': 'loadbalancer', 'service': 'proxy-public', 'wildcard_dns': 'sslip.io', 'seconds': 1"

static void test_a_name_is_made_of_the_address(void **state)
{
        (void)state;
        service_status = "{\"ingress\": [{\"ip\": \"10.97.0.3\"}]}";
        expect("{" BALANCER ", 'domain': '', 'port': 443}", "domain", "pangeo.10-97-0-3.sslip.io");
        expect("{" BALANCER ", 'domain': '', 'port': 443}", "url", "https://pangeo.10-97-0-3.sslip.io/");
        expect("{" BALANCER ", 'domain': '', 'port': 8443}", "origin", "https://pangeo.10-97-0-3.sslip.io:8443");
        expect("{" BALANCER ", 'domain': ''}", "connect", "10.97.0.3");
        expect("{" BALANCER ", 'domain': ''}", "address", "10.97.0.3");
        service_status = "{\"ingress\": [{\"hostname\": \"lb.cloud.example\"}]}";
        expect("{" BALANCER ", 'domain': ''}", "domain", "lb.cloud.example");
        service_status = "{\"ingress\": [{\"hostname\": \"lb.cloud.example\"}, {\"ip\": \"2001:db8::7\"}]}";
        expect("{" BALANCER ", 'domain': ''}", "domain", "pangeo.2001-db8--7.sslip.io");
}

static void test_a_given_name_has_to_lead_there(void **state)
{
        (void)state;
        service_status = "{\"ingress\": [{\"ip\": \"127.0.0.1\"}]}";
        expect("{" BALANCER ", 'domain': 'localhost', 'port': 443}", "url", "https://localhost/");
        expect("{" BALANCER ", 'domain': 'localhost'}", "connect", "");
        /* One of several is enough: of IPv4 or of IPv6. */
        service_status = "{\"ingress\": [{\"ip\": \"2001:db8::7\"}, {\"ip\": \"127.0.0.1\"}]}";
        expect("{" BALANCER ", 'domain': 'localhost'}", "address", "2001:db8::7");
        service_status = "{\"ingress\": [{\"ip\": \"2001:db8::7\"}, {\"ip\": \"192.0.2.7\"}]}";
        expect_error("{" BALANCER ", 'domain': 'localhost'}", ERR_INVALID, "127.0.0.1", "2001:db8::7");
        service_status = "{\"ingress\": [{\"ip\": \"192.0.2.7\"}]}";
        expect_error("{" BALANCER ", 'domain': 'localhost'}", ERR_INVALID, "127.0.0.1", "192.0.2.7");
        expect_error("{" BALANCER ", 'domain': 'nowhere.invalid'}", ERR_INVALID, "does not resolve", "192.0.2.7");
}

static void test_an_address_that_does_not_come(void **state)
{
        (void)state;
        service_status = "{}";
        expect_error("{" BALANCER ", 'domain': ''}", ERR_TIMEOUT, "lab/proxy-public", "ingress or nodeport");
        service_there = false;
        expect_error("{" BALANCER ", 'domain': ''}", ERR_TIMEOUT, "lab/proxy-public", "no address");
        service_there = true;
}

static void test_an_address_is_waited_for(void **state)
{
        (void)state;
        service_status = "{\"ingress\": [{\"ip\": \"127.0.0.1\"}]}";
        still_pending = 3;
        expect("{'entry': 'loadbalancer', 'service': 'proxy-public', 'domain': 'localhost', 'seconds': 60}", "address",
                "127.0.0.1");
        assert_true(still_pending < 0);
}

static void test_a_server_with_too_much_to_do(void **state)
{
        (void)state;
        service_status = "{\"ingress\": [{\"ip\": \"127.0.0.1\"}]}";
        busy = 3;
        expect("{'entry': 'loadbalancer', 'service': 'proxy-public', 'domain': 'localhost', 'seconds': 60}", "address",
                "127.0.0.1");
        assert_int_equal(busy, 0);
}

static void test_an_address_other_than_the_one_asked_for(void **state)
{
        (void)state;
        service_status = "{\"ingress\": [{\"ip\": \"10.97.0.3\"}]}";
        expect_error("{" BALANCER ", 'domain': '', 'external_ip': '10.97.0.4'}", ERR_INVALID, "10.97.0.4", "10.97.0.3");
        expect("{" BALANCER ", 'domain': '', 'external_ip': '10.97.0.3'}", "address", "10.97.0.3");
        service_status = "{\"ingress\": [{\"ip\": \"10.97.0.3\"}, {\"ip\": \"2001:db8:0::7\"}]}";
        expect("{" BALANCER ", 'domain': '', 'external_ip': '2001:DB8::7'}", "domain", "pangeo.2001-db8--7.sslip.io");
        expect_error("{" BALANCER ", 'domain': '', 'external_ip': '2001:db8::8'}", ERR_INVALID, "db8::8", "10.97.0.3");
}

#define NODEPORT "'entry': 'nodeport', 'service': 'proxy-public', 'seconds': 1"

static void test_a_node_port(void **state)
{
        (void)state;
        service_status = "{}";
        service_ports = "[{\"name\": \"http\", \"nodePort\": 30080}, {\"name\": \"https\", \"nodePort\": 30443}]";
        CLEANUP_ERR struct err *err = NULL;
        json_auto_t *outputs = entry("{" NODEPORT ", 'domain': 'localhost'}", &err);
        assert_int_equal(json_integer_value(json_object_get(outputs, "node_port")), 30443);
        expect("{" NODEPORT ", 'domain': 'localhost'}", "address", "");
        expect("{" NODEPORT ", 'domain': '', 'external_ip': '192.0.2.9', 'wildcard_dns': 'nip.io'}", "domain",
                "pangeo.192-0-2-9.nip.io");
        expect_error("{" NODEPORT ", 'domain': 'nowhere.invalid'}", ERR_INVALID, "does not resolve", "the proxy");
        service_ports = "[]";
        expect_error("{" NODEPORT ", 'domain': 'localhost'}", ERR_TIMEOUT, "no node port", "lab/proxy-public");
}

static void test_specs_that_cannot_be(void **state)
{
        (void)state;
        expect_error("{'entry': 'loadbalancer', 'domain': ''}", ERR_INVALID, "service", "ingress");
        expect_error("{" BALANCER ", 'domain': '', 'prot': 1}", ERR_INVALID, "prot", "port");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_name_is_made_of_the_address),
                cmocka_unit_test(test_a_given_name_has_to_lead_there),
                cmocka_unit_test(test_an_address_that_does_not_come),
                cmocka_unit_test(test_an_address_is_waited_for),
                cmocka_unit_test(test_a_server_with_too_much_to_do),
                cmocka_unit_test(test_an_address_other_than_the_one_asked_for),
                cmocka_unit_test(test_a_node_port),
                cmocka_unit_test(test_specs_that_cannot_be),
        };
        return cmocka_run_group_tests_name("kube.entry", tests, fixture_start, fixture_end);
}
