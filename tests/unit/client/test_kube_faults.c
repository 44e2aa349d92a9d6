/* Single requests of the Kubernetes client against a server that does everything wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/kube/private.h"
#include "kube_server.h"

static int get(struct kube *kube, struct err **err)
{
        json_auto_t *object = NULL;
        int r = kube_get(kube, &pod_a, &object, err);
        if (r == 0)
                assert_string_equal(
                        json_string_value(json_object_get(json_object_get(object, "metadata"), "name")), "a");
        return r;
}

static int apply(struct kube *kube, unsigned flags, struct err **err)
{
        json_auto_t *object = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "Pod", "metadata",
                "name", "a", "namespace", "hub");
        return kube_apply(kube, object, flags, NULL, err);
}

static bool busy_twice(struct peer *peer, const char *request, int n)
{
        if (!strstr(request, "Authorization: Bearer s3cret"))
                return refuse_with(peer, "401 Unauthorized", "", "Unauthorized", "who");
        if (n < 2)
                return answer(peer, n ? "500 Internal Server Error" : "503 Service Unavailable", "", "<html>");
        return ok(peer, POD("a", "1"));
}

static void test_retries(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(busy_twice);
        assert_int_equal(get(kube, NULL), 0);
        assert_int_equal(asked, 3);
        assert_true(fake_slept > 200 && fake_slept < 2000);
        long requests, connections;
        kube_counts(kube, &requests, &connections);
        assert_int_equal(requests, 4);
        assert_int_equal(connections, 1);
}

static bool ask_to_wait(struct peer *peer, const char *request, int n)
{
        (void)request;
        if (n == 0)
                return refuse_with(peer, "429 Too Many Requests", "Retry-After: 7\r\n", "TooManyRequests", "slowly");
        if (n == 1)
                return ok(peer, POD("a", "1"));
        return refuse_with(
                peer, "429 Too Many Requests", "Retry-After: 1000\r\n", "TooManyRequests", "much too slowly");
}

static void test_retry_after(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(ask_to_wait);
        struct err *err = NULL;
        assert_int_equal(get(kube, NULL), 0);
        assert_true(fake_slept >= 7000 && fake_slept < 9000);
        refuse(get(kube, &err), ERR_UNREACHABLE, &err, "429", "much too slowly");
        assert_true(fake_slept < 9000); /* no use in waiting when it asks for longer than we have */
}

static bool always_500(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return refuse_with(peer, "500 Internal Server Error", "", "InternalError", "failed calling webhook \\\"x\\\"");
}

static bool always_503(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return answer(peer, "503 Service Unavailable", "", "");
}

static void test_gives_up(void **state)
{
        (void)state;
        struct err *err = NULL;
        {
                CLEANUP_KUBE struct kube *kube = open_token(always_500);
                refuse(get(kube, &err), ERR_FAILED, &err, "500", "failed calling webhook \"x\"");
                assert_true(fake_slept > 20000 && fake_slept < 30000);
        }
        CLEANUP_KUBE struct kube *kube = open_token(always_503);
        refuse(get(kube, &err), ERR_UNREACHABLE, &err, "503", "cannot read Pod hub/a");
        assert_true(fake_slept > 70000 && fake_slept < 80000);
        assert_true(asked < 30);
}

static bool count_creations(struct peer *peer, const char *request, int n)
{
        (void)n;
        assert_non_null(strstr(request, "fieldManager=caas"));
        return answer(peer, "504 Gateway Timeout", "", "");
}

static void test_once(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(count_creations);
        struct err *err = NULL;
        json_auto_t *generated = json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "v1", "kind", "Pod", "metadata",
                "generateName", "a-", "namespace", "hub");
        refuse(kube_create(kube, generated, 0, NULL, &err), ERR_UNREACHABLE, &err, "504", "create Pod");
        assert_int_equal(asked, 1);
        refuse(apply(kube, 0, &err), ERR_UNREACHABLE, &err, "504", "apply Pod hub/a");
        assert_true(asked > 5);
}

/* What nobody waits for for long. */
static void test_brief(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(always_503);
        struct err *err = NULL;
        const struct kube_ref ref = {"v1", "Pod", "hub", "a"};
        json_auto_t *patch = json_pack("{s:{}}", "metadata");
        refuse(kube_patch(kube, &ref, patch, KUBE_BRIEF, NULL, &err), ERR_UNREACHABLE, &err, "503", "change Pod hub/a");
        assert_true(fake_slept > 5000 && fake_slept <= 10000);
        refuse(kube_patch(kube, &ref, patch, 0, NULL, &err), ERR_UNREACHABLE, &err, "503", "change Pod hub/a");
        assert_true(fake_slept > 75000);
}

static bool cut_first(struct peer *peer, const char *request, int n)
{
        (void)request;
        if (n == 0) {
                peer_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind", 46);
                return false;
        }
        return n == 1 ? false : ok(peer, POD("a", "1"));
}

static bool half_json(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return ok(peer, "{\"kind\": \"Pod\", ");
}

static bool huge(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        be_huge(peer, true);
        return false;
}

static bool slow(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        be_slow(peer);
        return false;
}

static void test_broken_answers(void **state)
{
        (void)state;
        struct err *err = NULL;
        {
                CLEANUP_KUBE struct kube *kube = open_token(cut_first);
                assert_int_equal(get(kube, NULL), 0);
        }
        {
                CLEANUP_KUBE struct kube *kube = open_token(half_json);
                refuse(get(kube, &err), ERR_FAILED, &err, "no JSON", "127.0.0.1");
        }
        {
                CLEANUP_KUBE struct kube *kube = open_token(huge);
                refuse(get(kube, &err), ERR_INVALID, &err, "larger than", "read Pod hub/a");
        }
        scenario = slow;
        CLEANUP_KUBE struct kube *kube =
                open_with(NULL, "      token: s3cret\n", &(struct kube_options){.timeout_ms = 300, .retry_ms = -1});
        refuse(get(kube, &err), ERR_TIMEOUT, &err, "in time", "read Pod hub/a");
}

static void test_nobody_there(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = config_text("https://127.0.0.1:1", pki.ca, NULL, NULL);
        CLEANUP_FREE char *path = put(pki.folder, "nobody", text, 0600);
        CLEANUP_KUBE struct kube *kube = NULL;
        struct err *err = NULL;
        assert_int_equal(kube_open(&(struct kube_options){.kubeconfig = path, .clock = &fake_clock}, &kube, NULL), 0);
        fake_slept = 0;
        char *version = NULL;
        refuse(kube_version(kube, &version, &err), ERR_UNREACHABLE, &err,
                "cannot reach the API server of context \"x\"", path);
        assert_true(fake_slept > 2000 && fake_slept < 6000); /* a wrong address is said soon */
}

static bool refusals(struct peer *peer, const char *request, int n)
{
        static const char conflict[] =
                "{\"kind\": \"Status\", \"code\": 409, \"reason\": \"Conflict\", \"message\": \"Apply failed\", "
                "\"details\": {\"causes\": ["
                "{\"reason\": \"FieldManagerConflict\", \"message\": \"conflict with \\\"kubectl\\\" using apps/v1\", "
                "\"field\": \".spec.replicas\"},"
                "{\"reason\": \"FieldManagerConflict\", \"message\": \"conflict with \\\"helm\\\"\", \"field\": "
                "\".a\"},"
                "{\"reason\": \"FieldManagerConflict\", \"message\": \"conflict with \\\"kubectl\\\"\", \"field\": "
                "\".b\"}]}}";
        static const char terminating[] =
                "{\"kind\": \"Status\", \"code\": 403, \"reason\": \"Forbidden\", \"message\": \"forbidden\", "
                "\"details\": {\"causes\": [{\"reason\": \"NamespaceTerminating\"}]}}";
        (void)request;
        switch (n) {
        case 0:
                return answer(peer, "409 Conflict", "", conflict);
        case 1:
                return answer(peer, "403 Forbidden", "", terminating);
        case 2:
                return refuse_with(peer, "403 Forbidden", "", "Forbidden", "pods is forbidden: User u cannot patch");
        case 3:
                return refuse_with(peer, "422 Unprocessable Entity", "", "Invalid", "spec.x: unknown\\nfield");
        case 4:
                return refuse_with(peer, "409 Conflict", "", "AlreadyExists", "pods a already exists");
        case 5:
                return refuse_with(peer, "400 Bad Request", "", "BadRequest", "strict decoding error");
        default:
                return refuse_with(peer, "404 Not Found", "", "NotFound", "pods a not found");
        }
}

static void test_refusals(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(refusals);
        struct err *err = NULL;
        refuse(apply(kube, 0, &err), ERR_REFUSED, &err, "\"kubectl\" owns .spec.replicas, .b; \"helm\" owns .a",
                "--force-conflicts");
        refuse(apply(kube, 0, &err), ERR_BUSY, &err, "just being deleted", "Pod hub/a");
        refuse(apply(kube, 0, &err), ERR_DENIED, &err, "User u cannot patch", "Pod hub/a");
        refuse(apply(kube, 0, &err), ERR_INVALID, &err, "spec.x: unknown field", "Pod hub/a");
        refuse(apply(kube, 0, &err), ERR_EXISTS, &err, "already exists", "Pod hub/a");
        refuse(apply(kube, 0, &err), ERR_INVALID, &err, "strict decoding error", "Pod hub/a");
        refuse(get(kube, &err), ERR_NOT_FOUND, &err, "not found", "read Pod hub/a");
        assert_int_equal(kube_delete(kube, &pod_a, "Foreground", NULL, NULL), 0);
        assert_int_equal(fake_slept, 0);
}

#define DRY_RUN_PATH "a?fieldManager=caas&fieldValidation=Ignore&force=true&dryRun=All"
#define DELETE_BODY                                                                                                    \
        "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":\"Background\","                      \
        "\"preconditions\":{\"uid\":\"u-1\"}}"

static bool check_requests(struct peer *peer, const char *request, int n)
{
        static const char *const wanted[] = {("PATCH /api/v1/namespaces/hub/pods/" DRY_RUN_PATH " HTTP/1.1\r\n"),
                "DELETE /api/v1/namespaces/hub/pods/a HTTP/1.1\r\n", "GET /api/v1/namespaces/a%2F.. HTTP/1.1\r\n"};
        static const char *const inside[] = {
                "Content-Type: application/apply-patch+yaml", (DELETE_BODY), "Accept: application/json"};
        if (n >= 3 || !str_starts(request, wanted[n]) || !strstr(request, inside[n])) {
                fprintf(stderr, "%s\n", request);
                return refuse_with(peer, "400 Bad Request", "", "BadRequest", "not what the test wants");
        }
        return ok(peer, POD("a", "1"));
}

static void test_requests(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(check_requests);
        assert_int_equal(apply(kube, KUBE_DRY_RUN | KUBE_FORCE, NULL), 0);
        assert_int_equal(kube_delete(kube, &pod_a, "Background", "u-1", NULL), 0);
        struct kube_ref odd = {.api_version = "v1", .kind = "Namespace", .namespace = "ignored", .name = "a/.."};
        assert_int_equal(kube_get(kube, &odd, NULL, NULL), 0);
        struct err *err = NULL;
        odd = (struct kube_ref){.api_version = "v1", .kind = "Pod", .name = "a"};
        refuse(kube_get(kube, &odd, NULL, &err), ERR_INVALID, &err, "which namespace", "Pod a");
        odd.name = "..";
        refuse(kube_get(kube, &odd, NULL, &err), ERR_INVALID, &err, "without a name", "Pod");
        odd = (struct kube_ref){.api_version = "v1/../x", .kind = "Pod", .name = "a"};
        refuse(kube_get(kube, &odd, NULL, &err), ERR_INVALID, &err, "apiVersion", "v1/../x");
        odd = (struct kube_ref){
                .api_version = "gateway.dask.org/v1", .kind = "DaskCluster", .namespace = "a", .name = "a"};
        refuse(kube_get(kube, &odd, NULL, &err), ERR_NOT_FOUND, &err, "no kind DaskCluster",
                "CustomResourceDefinition");
        assert_int_equal(kube_delete(kube, &odd, NULL, NULL, NULL), 0);
        bool namespaced = false;
        assert_int_equal(kube_knows(kube, "v1", "Pod", &namespaced, NULL), 0);
        assert_true(namespaced);
        assert_int_equal(kube_knows(kube, "v1", "Namespace", &namespaced, NULL), 0);
        assert_false(namespaced);
        assert_int_equal(asked, 3);
}

static void test_cancelled(void **state)
{
        (void)state;
        struct cancel *cancel = cancel_new();
        scenario = always_503;
        struct kube *kube = open_with(NULL, NULL, &(struct kube_options){.cancel = cancel});
        cancel_raise(cancel);
        struct err *err = NULL;
        refuse(get(kube, &err), ERR_CANCELLED, &err, "cancelled", ""); /* what runs is finished, not tried again */
        assert_int_equal(asked, 1);
        cancel_raise(cancel);
        refuse(get(kube, &err), ERR_CANCELLED, &err, "cancelled", "");
        assert_int_equal(asked, 1);
        kube_close(kube);
        cancel_free(cancel);
}

static bool just_answer(struct peer *peer, const char *request, int n)
{
        (void)request, (void)n;
        return ok(peer, POD("a", "1"));
}

struct asking {
        struct kube *kube;
        int times;
};

static void *ask_often(void *data)
{
        const struct asking *asking = data;
        for (int i = 0; i < asking->times; i++)
                if (get(asking->kube, NULL) < 0)
                        return "failed";
        return NULL;
}

/* Stable kinds are known; of others the server is asked, once a group if it has them. */
static void test_standing_kinds(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(just_answer);
        struct err *err = NULL;
        bool inside = false, outside = true;
        assert_int_equal(kube_knows(kube, "apps/v1", "Deployment", &inside, NULL), 0);
        assert_int_equal(kube_knows(kube, "storage.k8s.io/v1", "StorageClass", &outside, NULL), 0);
        assert_true(inside && !outside);
        long requests, connections;
        kube_counts(kube, &requests, &connections);
        assert_int_equal(requests, 0);
        refuse(kube_knows(kube, "apps/v1", "Thing", NULL, &err), ERR_NOT_FOUND, &err, "no kind Thing of apps/v1", "");
        kube_counts(kube, &requests, &connections);
        assert_int_equal(requests, 1);
}

/* What a greeting has asked is not asked again. To a server that is away it is one try, of which nobody hears. */
static void test_greeting(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(just_answer);
        struct err *err = NULL;
        long requests, connections;
        kube_greet(kube);
        assert_int_equal(kube_knows(kube, "v1", "Pod", NULL, NULL), 0);
        kube_counts(kube, &requests, &connections);
        assert_int_equal(requests, 1);
        CLEANUP_KUBE struct kube *away = open_token(just_answer);
        free(away->config.server);
        away->config.server = str_copy("https://127.0.0.1:1");
        kube_greet(away);
        kube_counts(away, &requests, &connections);
        assert_int_equal(requests, 1);
        refuse(kube_knows(away, "v1", "Pod", NULL, &err), ERR_UNREACHABLE, &err, "look up the kinds of v1", "");
        kube_counts(away, &requests, &connections);
        assert_true(requests > 2);
}

/* Several share few connections as long as these come back soon, and then each gets its own. */
static bool answer_late(struct peer *peer, const char *request, int n)
{
        poll(NULL, 0, 200);
        return just_answer(peer, request, n);
}

static void test_connections(void **state)
{
        (void)state;
        static const struct {
                bool (*answers)(struct peer *peer, const char *request, int n);
                int patience_ms, times;
                bool few;
        } cases[] = {{just_answer, 60000, 25, true}, {answer_late, 1, 1, false}};
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
                CLEANUP_KUBE struct kube *kube = open_token(cases[c].answers);
                kube->patience_ms = cases[c].patience_ms;
                assert_int_equal(kube_knows(kube, "v1", "Pod", NULL, NULL), 0);
                struct asking asking = {kube, cases[c].times};
                pthread_t thread[8];
                for (int i = 0; i < 8; i++)
                        pthread_create(&thread[i], NULL, ask_often, &asking);
                for (int i = 0; i < 8; i++) {
                        void *said;
                        pthread_join(thread[i], &said);
                        assert_null(said);
                }
                long requests, connections;
                kube_counts(kube, &requests, &connections);
                assert_int_equal(requests, 1 + 8 * cases[c].times); /* the kinds were asked for once */
                assert_int_equal(connections <= KUBE_FEW, cases[c].few);
        }
}

static bool allow_some(struct peer *peer, const char *request, int n)
{
        (void)n;
        if (!str_starts(request, "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews "))
                return false;
        return answer(peer, "201 Created", "",
                strstr(request, "\"resource\":\"secrets\"") ? "{\"status\": {\"allowed\": false}}"
                                                            : "{\"status\": {\"allowed\": true}}");
}

static void test_rights(void **state)
{
        (void)state;
        CLEANUP_KUBE struct kube *kube = open_token(allow_some);
        struct kube_permission list[40];
        bool allowed[40] = {0};
        for (int i = 0; i < 40; i++)
                list[i] = (struct kube_permission){
                        .verb = "get", .resource = i % 3 ? "pods" : "secrets", .namespace = "hub"};
        assert_int_equal(kube_can(kube, list, 40, allowed, NULL), 0);
        for (int i = 0; i < 40; i++)
                assert_int_equal(allowed[i], i % 3 != 0);
        assert_int_equal(asked, 40);
        scenario = always_500;
        struct err *err = NULL;
        refuse(kube_can(kube, list, 40, allowed, &err), ERR_FAILED, &err, "500", "rights");
        assert_int_equal(kube_can(kube, list, 0, allowed, NULL), 0);
}

static void test_pauses(void **state)
{
        (void)state;
        for (unsigned random = 0; random < 2000; random += 333) {
                struct retry retry = {.began_ms = 1000};
                int64_t now = 1000, most = 0;
                for (int64_t pause; (pause = retry_pause(&retry, now, 75000, 0, random)) >= 0; now += pause) {
                        assert_true(pause > 0 && pause <= 12000 && retry.tries < 40);
                        most = pause > most ? pause : most;
                }
                assert_int_equal(now, 76000); /* to the end and not beyond it */
                assert_true(most >= 4000);
                retry = (struct retry){.began_ms = 1000};
                int64_t asked_for = retry_pause(&retry, 1000, 75000, 5, random);
                assert_true(asked_for >= 5000 && asked_for < 5250);
                assert_int_equal(retry_pause(&retry, 2000, 75000, 75, random), -1);
                assert_int_equal(retry_pause(&retry, 76000, 75000, 0, random), -1);
                assert_int_equal(retry_pause(&retry, 1000, 0, 0, random), -1);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_pauses),
                cmocka_unit_test(test_retries),
                cmocka_unit_test(test_retry_after),
                cmocka_unit_test(test_gives_up),
                cmocka_unit_test(test_once),
                cmocka_unit_test(test_brief),
                cmocka_unit_test(test_broken_answers),
                cmocka_unit_test(test_nobody_there),
                cmocka_unit_test(test_refusals),
                cmocka_unit_test(test_requests),
                cmocka_unit_test(test_cancelled),
                cmocka_unit_test(test_standing_kinds),
                cmocka_unit_test(test_greeting),
                cmocka_unit_test(test_connections),
                cmocka_unit_test(test_rights),
        };
        return cmocka_run_group_tests(tests, fixture_start, fixture_end);
}
