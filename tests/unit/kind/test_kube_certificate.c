/* kube.issuer and kube.certificate against a false API server: cert-manager that is there or not, certificates that
 * come or do not, and what is taken away. The real one is in tests/integration/kubernetes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/kube_server.h"
#include "kind/kind.h"
#include "kind/kube_server.h"
#include "plan/change.h"

extern const struct kind kind_kube_issuer, kind_kube_certificate;

#define GROUP "/apis/cert-manager.io/v1"
#define LAB   "/namespaces/lab/"

static bool installed, seen;                                 /* cert-manager; a ClusterIssuer by us */
static const char *issuer, *certificate, *requests, *secret; /* objects, or NULL */
static char deleted[500];

static bool object(struct peer *peer, const char *text)
{
        return text ? ok(peer, text) : refuse_with(peer, "404 Not Found", "", "NotFound", "not found");
}

static bool list(struct peer *peer, const char *kind, const char *item)
{
        CLEANUP_FREE char *text = str_format("{\"kind\": \"%sList\", \"apiVersion\": \"cert-manager.io/v1\", "
                                             "\"metadata\": {\"resourceVersion\": \"7\"}, \"items\": [%s]}",
                kind, item ? item : "");
        return ok(peer, text);
}

static bool delete_one(struct peer *peer, const char *what, const char **which)
{
        snprintf(deleted + strlen(deleted), sizeof deleted - strlen(deleted), "%s ", what);
        *which = NULL;
        return ok(peer, "{\"kind\": \"Status\", \"apiVersion\": \"v1\", \"status\": \"Success\"}");
}

static bool answers(struct peer *peer, const char *request)
{
        static const char kinds[] =
                "{\"kind\": \"APIResourceList\", \"resources\": ["
                "{\"name\": \"certificates\", \"kind\": \"Certificate\", \"namespaced\": true},"
                "{\"name\": \"certificaterequests\", \"kind\": \"CertificateRequest\", \"namespaced\": true},"
                "{\"name\": \"clusterissuers\", \"kind\": \"ClusterIssuer\", \"namespaced\": false}]}";
        if (str_starts(request, "GET /api/v1 "))
                return ok(peer, "{\"kind\": \"APIResourceList\", \"resources\": [{\"name\": \"secrets\", \"kind\": "
                                "\"Secret\", \"namespaced\": true}]}");
        if (str_starts(request, "GET /api/v1" LAB "secrets/web"))
                return object(peer, secret);
        if (str_starts(request, "DELETE /api/v1" LAB "secrets/web"))
                return delete_one(peer, "secret", &secret);
        if (!installed)
                return object(peer, NULL);
        if (str_starts(request, "GET " GROUP " "))
                return ok(peer, kinds);
        if (str_starts(request, "GET " GROUP "/clusterissuers/ours"))
                return seen ? object(peer, issuer) : refuse_with(peer, "403 Forbidden", "", "Forbidden", "may not");
        if (strstr(request, "watch=")) {
                usleep(200 * 1000);
                return ok(peer, "");
        }
        if (str_starts(request, "DELETE " GROUP LAB "certificates/web"))
                return delete_one(peer, "certificate", &certificate);
        if (str_starts(request, "GET " GROUP LAB "certificates/web"))
                return object(peer, certificate);
        if (str_starts(request, "GET " GROUP LAB "certificates?"))
                return list(peer, "Certificate", certificate);
        if (str_starts(request, "GET " GROUP LAB "certificaterequests"))
                return list(peer, "CertificateRequest", requests);
        return object(peer, NULL);
}

static void quiet(struct kind_ctx *ctx, const char *text)
{
        (void)ctx, (void)text;
}

enum call { PREFLIGHT, AGAIN, APPLY, REMOVE }; /* AGAIN: preflight of what was applied before */

static int call(const struct kind *kind, enum call what, const char *spec, struct err **err)
{
        CLEANUP_FREE char *url = server_url(api), *config = config_text(url, pki.ca, NULL, "      token: s3cret\n");
        CLEANUP_FREE char *path = put(pki.folder, "config", config, 0600);
        json_auto_t *target = json_pack("{s:s, s:s}", "kubeconfig", path, "namespace", "lab");
        struct kube_link *link = kube_link_new(target, NULL);
        struct kind_ctx ctx = {.cluster = "lab", .kube = link, .clock = &fake_clock, .progress = quiet};
        struct resource resource = {
                .id = (char *)"proxy/x", .kind = (char *)kind->name, .spec = json_loads(spec, 0, NULL)};
        struct recorded recorded = {.kind = kind->name};
        json_t *outputs = NULL;
        char *kept = NULL;
        int r = kind->check(resource.spec, err);
        if (r == 0 && what == APPLY)
                r = kind->apply(&ctx, &resource, NULL, NULL, &outputs, err);
        else if (r == 0 && what == REMOVE)
                r = kind->remove(&ctx, &resource, &recorded, &kept, err);
        else if (r == 0)
                r = kind->preflight(&ctx, &resource, what == AGAIN ? &recorded : NULL, err);
        assert_int_equal(r < 0, *err != NULL);
        json_decref(resource.spec);
        kube_link_free(link);
        return r;
}

#define ISSUER "{\"name\": \"ours\", \"certificate\": \"web\"}"
#define WEB    "{\"name\": \"web\", \"issuer\": \"ours\", \"domain\": \"hub.example\", \"seconds\": 1}"

static void well(const struct kind *kind, enum call what, const char *spec)
{
        CLEANUP_ERR struct err *err = NULL;
        if (call(kind, what, spec, &err) < 0)
                fail_msg("%s", err->message);
}

static void badly(const struct kind *kind, enum call what, int code, const char *one, const char *other)
{
        CLEANUP_ERR struct err *err = NULL;
        int r = call(kind, what, kind == &kind_kube_issuer ? ISSUER : WEB, &err);
        refuse(r, code, &err, one, other);
}

static void test_what_has_to_be_there(void **state)
{
        (void)state;
        installed = false;
        badly(&kind_kube_issuer, PREFLIGHT, ERR_INVALID, "cert-manager is not installed", "tls.mode");
        installed = seen = true;
        issuer = NULL;
        badly(&kind_kube_issuer, PREFLIGHT, ERR_INVALID, "there is no ClusterIssuer ours", "kubernetes.cert_issuer");
        badly(&kind_kube_issuer, AGAIN, ERR_INVALID, "there is no ClusterIssuer ours", "kubernetes.cert_issuer");
        issuer = "{\"apiVersion\": \"cert-manager.io/v1\", \"kind\": \"ClusterIssuer\", \"metadata\": {\"name\": "
                 "\"ours\"}, \"status\": {\"conditions\": [{\"type\": \"Ready\", \"status\": \"False\", \"reason\": "
                 "\"ErrRegister\", \"message\": \"no such account\"}]}}";
        badly(&kind_kube_issuer, PREFLIGHT, ERR_INVALID, "ClusterIssuer ours is not ready", "no such account");
        /* A cluster that has its certificate can be changed all the same. */
        well(&kind_kube_issuer, AGAIN, ISSUER);
        seen = false;
        well(&kind_kube_issuer, PREFLIGHT, ISSUER);
        seen = true;
        issuer = NULL;
        well(&kind_kube_issuer, PREFLIGHT, "{\"name\": \"\", \"certificate\": \"web\"}");
}

#define CERTIFICATE(issuer, domain, ready, issuing)                                                                    \
        "{\"apiVersion\": \"cert-manager.io/v1\", \"kind\": \"Certificate\", \"metadata\": {\"name\": \"web\", "       \
        "\"namespace\": \"lab\", \"uid\": \"u\", \"generation\": 2, \"resourceVersion\": \"5\", \"labels\": "          \
        "{\"app.kubernetes.io/managed-by\": \"caas\", \"caas.pangeo.io/cluster\": \"lab\"}}, \"spec\": "               \
        "{\"issuerRef\": "                                                                                             \
        "{\"name\": \"" issuer "\"}, \"dnsNames\": [\"" domain "\"]}, \"status\": {\"conditions\": [{\"type\": "       \
        "\"Ready\", " ready "}, {\"type\": \"Issuing\", " issuing "}]}}"
#define GOOD "\"status\": \"True\", \"observedGeneration\": 2, \"message\": \"up to date\""
#define OLD  "\"status\": \"True\", \"observedGeneration\": 1, \"message\": \"up to date\""
#define NOT_YET                                                                                                        \
        "\"status\": \"False\", \"observedGeneration\": 2, \"reason\": \"DoesNotExist\", \"message\": \"no Secret\""
#define BUSY "\"status\": \"True\", \"observedGeneration\": 2, \"reason\": \"DoesNotExist\", \"message\": \"issuing\""
#define FAILED                                                                                                         \
        "\"status\": \"False\", \"observedGeneration\": 2, \"reason\": \"Failed\", \"message\": \"the order is "       \
        "invalid\""

static void test_a_certificate_is_waited_for(void **state)
{
        (void)state;
        installed = true;
        certificate = CERTIFICATE("ours", "hub.example", GOOD, BUSY);
        well(&kind_kube_certificate, APPLY, WEB);
        certificate = NULL;
        badly(&kind_kube_certificate, APPLY, ERR_TIMEOUT, "lab/web", "does its controller run?");
        /* Of another issuer or name than the Ingress has now, or not looked at since. */
        certificate = CERTIFICATE("theirs", "hub.example", GOOD, BUSY);
        badly(&kind_kube_certificate, APPLY, ERR_TIMEOUT, "lab/web", "has not taken up");
        certificate = CERTIFICATE("ours", "old.example", GOOD, BUSY);
        badly(&kind_kube_certificate, APPLY, ERR_TIMEOUT, "lab/web", "has not taken up");
        certificate = CERTIFICATE("ours", "hub.example", OLD, BUSY);
        badly(&kind_kube_certificate, APPLY, ERR_TIMEOUT, "lab/web", "has not begun");
        certificate = CERTIFICATE("ours", "hub.example", NOT_YET, BUSY);
        requests = "{\"metadata\": {\"name\": \"web-1\", \"annotations\": {\"cert-manager.io/certificate-name\": "
                   "\"web\"}}, \"status\": {\"conditions\": [{\"type\": \"Ready\", \"status\": \"False\", \"message\": "
                   "\"ClusterIssuer ours not found\"}]}}";
        badly(&kind_kube_certificate, APPLY, ERR_TIMEOUT, "no Secret", "its request: ClusterIssuer ours not found");
        certificate = CERTIFICATE("ours", "hub.example", NOT_YET, FAILED);
        badly(&kind_kube_certificate, APPLY, ERR_FAILED, "the order is invalid", "apply again");
        requests = NULL;
}

#define SECRET(whose)                                                                                                  \
        "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"web\", \"namespace\": \"lab\", "    \
        "\"uid\": \"v\", \"annotations\": {\"cert-manager.io/certificate-name\": \"" whose "\"}}}"

static void test_what_it_has_made_is_taken_away(void **state)
{
        (void)state;
        installed = true;
        certificate = CERTIFICATE("ours", "hub.example", GOOD, BUSY);
        secret = SECRET("web");
        *deleted = '\0';
        well(&kind_kube_issuer, REMOVE, ISSUER);
        assert_string_equal(deleted, "certificate secret ");
        well(&kind_kube_issuer, REMOVE, ISSUER); /* again */
        /* cert-manager itself may be gone by then. */
        installed = false;
        secret = SECRET("web");
        well(&kind_kube_issuer, REMOVE, ISSUER);
        assert_string_equal(deleted, "certificate secret secret ");
        /* Somebody else's stays. */
        secret = SECRET("other");
        well(&kind_kube_issuer, REMOVE, ISSUER);
        assert_string_equal(deleted, "certificate secret secret ");
        /* So does what a Certificate of that name has made which is not of this cluster. */
        installed = true;
        certificate = "{\"apiVersion\": \"cert-manager.io/v1\", \"kind\": \"Certificate\", \"metadata\": {\"name\": "
                      "\"web\", \"namespace\": \"lab\", \"uid\": \"w\"}}";
        secret = SECRET("web");
        well(&kind_kube_issuer, REMOVE, ISSUER);
        assert_string_equal(deleted, "certificate secret secret ");
}

static int start(void **state)
{
        int r = fixture_start(state);
        api->custom = answers;
        return r;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_has_to_be_there),
                cmocka_unit_test(test_a_certificate_is_waited_for),
                cmocka_unit_test(test_what_it_has_made_is_taken_away),
        };
        return cmocka_run_group_tests_name("kube.issuer, kube.certificate", tests, start, fixture_end);
}
