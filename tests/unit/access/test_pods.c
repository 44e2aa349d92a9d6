/* Services of a cluster on Kubernetes against a false API server: how they do, what they wrote, whose homes go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/kube_server.h"
#include "access/claims.h"
#include "access/homes.h"
#include "access/pod_logs.h"
#include "access/reach.h"
#include "access/workload.h"
#include "base/cancel.h"
#include "base/file.h"
#include "journal/journal.h"

/* ---- what the server has ---- */

static const char *deployment;         /* of every name but "gone" */
static bool crowded;                   /* no pod finds room */
static char deleted[4][100];           /* names of claims */
static atomic_int asked_for_cluster;   /* lists of the claims of cluster "lab" */
static atomic_int deletions, followed; /* requests of logs to follow */

static const char pods[] =
        "{\"kind\": \"PodList\", \"metadata\": {\"resourceVersion\": \"9\"}, \"items\": [{\"metadata\": {\"name\": "
        "\"hub-1\", \"namespace\": \"lab\", \"uid\": \"u1\"}, \"status\": {\"startTime\": \"2026-11-21T12:00:00Z\", "
        "\"conditions\": [{\"type\": \"Ready\", \"status\": \"True\"}], \"containerStatuses\": [{\"name\": \"hub\", "
        "\"state\": {\"running\": {}}}, {\"name\": \"side\", \"restartCount\": 0, \"state\": {\"waiting\": {}}}]}}]}";

static const char waiting[] =
        "{\"kind\": \"PodList\", \"metadata\": {\"resourceVersion\": \"9\"}, \"items\": [{\"metadata\": {\"name\": "
        "\"place-0\", \"namespace\": \"lab\"}, \"status\": {\"phase\": \"Pending\", \"conditions\": [{\"type\": "
        "\"PodScheduled\", \"status\": \"False\", \"message\": \"Insufficient memory\"}]}}]}";

static const char claims[] =
        "{\"kind\": \"PersistentVolumeClaimList\", \"metadata\": {\"resourceVersion\": \"9\"}, \"items\": ["
        "{\"metadata\": {\"name\": \"claim-alice\", \"creationTimestamp\": \"2020-01-01T00:00:00Z\", \"annotations\": "
        "{\"hub.jupyter.org/username\": \"alice\"}}},"
        "{\"metadata\": {\"name\": \"claim-old\", \"creationTimestamp\": \"2020-01-01T00:00:00Z\", \"annotations\": "
        "{\"hub.jupyter.org/username\": \"caas-test-old\"}}},"
        "{\"metadata\": {\"name\": \"claim-new\", \"creationTimestamp\": \"2999-01-01T00:00:00Z\", \"annotations\": "
        "{\"hub.jupyter.org/username\": \"caas-test-new\"}}},"
        "{\"metadata\": {\"name\": \"claim-mine\", \"creationTimestamp\": \"2999-01-01T00:00:00Z\", \"annotations\": "
        "{\"hub.jupyter.org/username\": \"caas-test-mine\"}}},"
        "{\"metadata\": {\"name\": \"claim-nobody\", \"creationTimestamp\": \"2020-01-01T00:00:00Z\"}}]}";

static bool plain(struct peer *peer, const char *body)
{
        CLEANUP_FREE char *text = str_format(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
        return peer_send(peer, text, strlen(text));
}

static bool serve_logs(struct peer *peer, const char *request)
{
        if (!strstr(request, "follow=true"))
                return plain(peer, "2026-11-21T12:00:03.5Z three\n2026-11-21T12:00:01.123456789Z one\n"
                                   "2026-11-21T12:00:03.25Z two\nno stamp\n");
        int n = followed++;
        return plain(
                peer, n == 0 ? "2026-11-21T12:00:03.25Z two\n2026-11-21T12:00:03.5Z three\n2026-11-21T12:00:04Z four\n"
                             : "2026-11-21T12:00:04Z four\n2026-11-21T12:00:05Z five\n");
}

/* A pod of more containers than are followed. Their logs do not end; the third look ends it all. */
static const char *many;
static struct cancel *after_many;
static atomic_int looks;

static char *pod_of_many(size_t count)
{
        CLEANUP_BUF struct buf text = BUF_INIT(100000);
        buf_str(&text, "{\"kind\": \"List\", \"metadata\": {\"resourceVersion\": \"9\"}, \"items\": [{\"metadata\": "
                       "{\"name\": \"hub-1\", \"uid\": \"u\"}, \"status\": {\"containerStatuses\": [");
        for (size_t i = 0; i < count; i++)
                buf_format(&text, "%s{\"name\": \"c%zu\", \"state\": {\"running\": {}}}", i ? ", " : "", i);
        buf_str(&text, "]}}]}");
        return buf_steal(&text);
}

/* Nothing is written, and it does not end. */
static bool begin_log(struct peer *peer)
{
        static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
        struct pollfd wait = {.fd = peer->fd, .events = POLLIN};
        for (bool open = peer_send(peer, head, sizeof head - 1); open && !peer->server->ending;)
                open = poll(&wait, 1, 50) == 0;
        return false;
}

static bool serve_many(struct peer *peer, const char *request)
{
        if (strstr(request, "/log?") && strstr(request, "follow=true"))
                return begin_log(peer);
        if (strstr(request, "/log?"))
                return plain(peer, "");
        if (++looks == 3)
                cancel_raise(after_many);
        return ok(peer, many);
}

static bool routes(struct peer *peer, const char *request)
{
        if (many && strstr(request, "/pods"))
                return serve_many(peer, request);
        static const char core[] =
                "{\"kind\": \"APIResourceList\", \"resources\": [{\"name\": \"pods\", \"kind\": \"Pod\", "
                "\"namespaced\": true}, {\"name\": \"persistentvolumeclaims\", \"kind\": \"PersistentVolumeClaim\", "
                "\"namespaced\": true}, {\"name\": \"events\", \"kind\": \"Event\", \"namespaced\": true}]}";
        static const char apps[] =
                "{\"kind\": \"APIResourceList\", \"resources\": [{\"name\": \"deployments\", "
                "\"kind\": \"Deployment\", \"namespaced\": true}, {\"name\": \"replicasets\", \"kind\": "
                "\"ReplicaSet\", \"namespaced\": true}]}";
        if (str_starts(request, "GET /api/v1 "))
                return ok(peer, core);
        if (str_starts(request, "GET /apis/apps/v1 "))
                return ok(peer, apps);
        if (strstr(request, "/deployments/gone "))
                return refuse_with(peer, "404 Not Found", "", "NotFound", "not found");
        if (strstr(request, "/deployments/"))
                return ok(peer, deployment);
        if (strstr(request, "/log?"))
                return serve_logs(peer, request);
        if (str_starts(request, "DELETE ")) {
                const char *name = strstr(request, "claims/") + strlen("claims/");
                int n = deletions++;
                snprintf(deleted[n % 4], sizeof deleted[0], "%.*s", (int)strcspn(name, " ?"), name);
                return ok(peer, "{\"kind\": \"Status\", \"status\": \"Success\"}");
        }
        if (strstr(request, "persistentvolumeclaims")) {
                asked_for_cluster += strstr(request, "release%3Dlab") != NULL;
                return ok(peer, claims);
        }
        if (strstr(request, "/pods"))
                return ok(peer, crowded ? waiting : pods);
        return ok(peer, "{\"kind\": \"List\", \"metadata\": {\"resourceVersion\": \"9\"}, \"items\": []}");
}

static struct kube_link *link_open(struct cancel *cancel)
{
        CLEANUP_FREE char *url = server_url(api);
        CLEANUP_FREE char *config = config_text(url, pki.ca, NULL, "      token: s3cret\n");
        CLEANUP_FREE char *path = put(pki.folder, "config", config, 0600);
        json_auto_t *target = json_pack("{s:s, s:s}", "kubeconfig", path, "namespace", "lab");
        api->custom = routes;
        return kube_link_new(target, cancel);
}

/* ---- status ---- */

#define DEPLOYMENT(replicas, ready)                                                                                    \
        "{\"apiVersion\": \"apps/v1\", \"kind\": \"Deployment\", \"metadata\": {\"name\": \"hub\", \"namespace\": "    \
        "\"lab\", \"generation\": 1}, \"spec\": {\"replicas\": " replicas                                              \
        ", \"selector\": {\"matchLabels\": {\"component\": \"hub\"}}}, \"status\": {\"observedGeneration\": 1, "       \
        "\"readyReplicas\": " ready "}}"

static bool waited_for = true; /* by an apply */

static json_t *status_of(const char *kind, const char *name, const char *trouble)
{
        struct kube_link *link = link_open(NULL);
        struct journal_resource r = {.resource = {.id = (char *)"hub/service", .kind = (char *)"kube.object"}};
        r.resource.spec = json_pack(
                "{s:b, s:{s:s, s:{s:s}}}", "wait", (int)waited_for, "object", "kind", kind, "metadata", "name", name);
        assert_int_equal(workload_is(&r), str_is(kind, "Deployment"));
        json_t *status = workload_is(&r) ? workload_status(link, &r, "hub", trouble) : NULL;
        json_decref(r.resource.spec);
        kube_link_free(link);
        return status;
}

static void expect(const char *name, const char *trouble, bool running, const char *ready, const char *message)
{
        json_auto_t *status = status_of("Deployment", name, trouble);
        CLEANUP_FREE char *found = json_dumps(json_object_get(status, "ready"), JSON_ENCODE_ANY);
        const char *said = json_string_value(json_object_get(status, "message"));
        assert_int_equal(json_is_true(json_object_get(status, "running")), running);
        assert_string_equal(found, ready);
        if (message ? !said || !strstr(said, message) : said != NULL)
                fail_msg("'%s' is not in '%s'", message, said);
}

static void test_status(void **state)
{
        (void)state;
        deployment = DEPLOYMENT("1", "1");
        expect("hub", NULL, true, "true", NULL);
        json_auto_t *status = status_of("Deployment", "hub", NULL);
        assert_int_equal(json_integer_value(json_object_get(status, "since")), 1795262400000);
        deployment = DEPLOYMENT("3", "1");
        expect("hub", NULL, true, "false", "1 of 3 pods ready");
        deployment = DEPLOYMENT("1", "0");
        expect("hub", NULL, false, "false", "0 of 1 pods ready");
        deployment = DEPLOYMENT("0", "0");
        expect("hub", NULL, false, "null", "scaled down");
        expect("gone", NULL, false, "null", "not there");
        expect("hub", "cannot be reached", false, "null", "cannot be reached");
        assert_null(status_of("Service", "hub", NULL));
}

/* Places that are held free give way to users, and nothing is wrong then. */
static void test_without_room(void **state)
{
        (void)state;
        deployment = DEPLOYMENT("1", "0");
        crowded = true;
        expect("hub", NULL, false, "false", "Insufficient memory");
        waited_for = false;
        expect("places", NULL, true, "null", "Insufficient memory");
        crowded = false;
        expect("places", NULL, false, "false", "0 of 1 pods ready");
        waited_for = true;
}

/* ---- logs ---- */

struct shown {
        struct buf text;
        struct cancel *cancel;
};

static void show(void *data, const struct log_line *line)
{
        struct shown *shown = data;
        buf_format(&shown->text, "%s|%.*s|%.*s\n", line->name, (int)line->stamp_length, line->stamp,
                (int)line->text_length, line->text);
        if (shown->cancel && strncmp(line->text, "five", line->text_length) == 0)
                cancel_raise(shown->cancel);
}

static void test_logs_come_by_time(void **state)
{
        (void)state;
        deployment = DEPLOYMENT("1", "1");
        struct shown shown = {.text = BUF_INIT(10000)};
        struct kube_link *link = link_open(NULL);
        json_auto_t *services = json_pack(
                "[{s:s, s:s}, {s:s, s:s}]", "name", "hub", "kind", "Deployment", "name", "gone", "kind", "Deployment");
        assert_int_equal(pod_logs_show(link, services, 3, NULL, show, &shown, NULL), 0);
        assert_string_equal(shown.text.data, "hub|2026-11-21_12:00:03.25000|two\nhub|2026-11-21_12:00:03.50000|three\n"
                                             "hub||no stamp\n");
        buf_clear(&shown.text);
        kube_link_free(link);
}

static void test_logs_are_followed_without_gap_or_repetition(void **state)
{
        (void)state;
        struct cancel *cancel = cancel_new();
        struct shown shown = {.text = BUF_INIT(10000), .cancel = cancel};
        struct kube_link *link = link_open(cancel);
        json_auto_t *services = json_pack("[{s:s, s:s}]", "name", "hub", "kind", "Deployment");
        followed = 0;
        assert_int_equal(pod_logs_show(link, services, 2, cancel, show, &shown, NULL), 0);
        const char *five = strstr(shown.text.data, "five"), *four = strstr(shown.text.data, "four");
        assert_true(four && five && four < five);
        assert_null(strstr(four + 1, "four"));
        assert_null(strstr(five + 1, "five"));
        buf_clear(&shown.text);
        kube_link_free(link);
        cancel_free(cancel);
}

static void test_who_is_not_followed_is_said(void **state)
{
        (void)state;
        CLEANUP_FREE char *pod = pod_of_many(66);
        struct cancel *cancel = cancel_new();
        struct shown shown = {.text = BUF_INIT(10000)};
        struct kube_link *link = link_open(cancel);
        json_auto_t *services = json_pack("[{s:s, s:s}]", "name", "hub", "kind", "Deployment");
        many = pod;
        after_many = cancel;
        looks = 0;
        assert_int_equal(pod_logs_show(link, services, 2, cancel, show, &shown, NULL), 0);
        many = NULL;
        assert_string_equal(shown.text.data, "hub||caas: 64 containers are followed at most: c64 of pod hub-1, and "
                                             "others, are not; name a service to follow its own alone\n");
        buf_clear(&shown.text);
        kube_link_free(link);
        cancel_free(cancel);
}

/* ---- homes ---- */

static void test_claims_of_tests_go_and_no_others(void **state)
{
        (void)state;
        struct kube_link *link = link_open(NULL);
        deletions = 0;
        assert_int_equal(claims_delete(link, "lab", "caas-test-mine", "caas-test-", 3600, NULL), 0);
        assert_int_equal(deletions, 2);
        assert_string_equal(deleted[0], "claim-old");
        assert_string_equal(deleted[1], "claim-mine");
        kube_link_free(link);
}

static void test_claims_of_one_user(void **state)
{
        (void)state;
        struct kube_link *link = link_open(NULL);
        json_auto_t *alices = NULL, *nobodys = NULL;
        deletions = asked_for_cluster = 0;
        assert_int_equal(claims_of(link, "lab", "alice", &alices, NULL), 0);
        assert_int_equal(claims_of(link, "lab", "bob", &nobodys, NULL), 0);
        assert_int_equal(json_array_size(alices), 1);
        assert_string_equal(json_string_value(json_array_get(alices, 0)), "claim-alice");
        assert_int_equal(json_array_size(nobodys), 0);
        assert_int_equal(deletions, 0);
        assert_int_equal(claims_delete(link, "lab", "alice", NULL, 0, NULL), 0);
        assert_int_equal(deletions, 1);
        assert_string_equal(deleted[0], "claim-alice");
        assert_int_equal(asked_for_cluster, 3);
        kube_link_free(link);
}

/* What `user remove` does about the home. */
static void test_home_of_one_user(void **state)
{
        (void)state;
        char folder[] = "/tmp/caas-homes-XXXXXX";
        assert_non_null(mkdtemp(folder));
        CLEANUP_FREE char *url = server_url(api), *config = config_text(url, pki.ca, NULL, "      token: s3cret\n");
        CLEANUP_FREE char *path = put(pki.folder, "config", config, 0600), *found = NULL, *none = NULL;
        json_auto_t *form = json_pack("{s:{s:s, s:s}}", "kubernetes", "kubeconfig", path, "namespace", "lab");
        json_auto_t *row = NULL;
        struct journal *journal = NULL;
        assert_int_equal(journal_open(folder, true, &journal, NULL), 0);
        assert_int_equal(journal_put_cluster(journal, "lab", "kubernetes", form, 1, NULL), 0);
        assert_int_equal(journal_cluster(journal, "lab", &row, NULL), 0);
        api->custom = routes;
        const struct homes_place place = {journal, folder, row};
        assert_int_equal(homes_find(&place, "alice", &found, NULL), 0);
        assert_string_equal(found, "claim-alice");
        assert_int_equal(homes_find(&place, "caas", &none, NULL), 0); /* is no beginning of another's name */
        assert_null(none);
        deletions = 0;
        assert_int_equal(homes_delete(&place, "alice", NULL), 0);
        assert_int_equal(deletions, 1);
        assert_string_equal(deleted[0], "claim-alice");
        reach_close();
        journal_close(journal);
        file_remove_tree(folder, NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_status),
                cmocka_unit_test(test_without_room),
                cmocka_unit_test(test_logs_come_by_time),
                cmocka_unit_test(test_logs_are_followed_without_gap_or_repetition),
                cmocka_unit_test(test_who_is_not_followed_is_said),
                cmocka_unit_test(test_claims_of_tests_go_and_no_others),
                cmocka_unit_test(test_claims_of_one_user),
                cmocka_unit_test(test_home_of_one_user),
        };
        return cmocka_run_group_tests_name("services on Kubernetes", tests, fixture_start, fixture_end);
}
