/* What the exporter of a cluster on Kubernetes is told, by a real journal to an API server that keeps one ConfigMap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <signal.h>

#include "../client/http_server.h"
#include "../client/must.h"
#include "access/runs.h"
#include "base/file.h"

static struct server *api;
static struct kube_link *link_;
static struct journal *journal;
static char folder[] = "/tmp/caas-runs-XXXXXX";
static const char *_Atomic status;
static json_t *told; /* the data of the ConfigMap; while nobody asks */

static bool serve_api(struct peer *peer, const char *request)
{
        static const char path[] = "PATCH /api/v1/namespaces/ocean/configmaps/monitoring-runs?fieldManager=caas&";
        if (str_starts(request, "GET /api/v1 "))
                return answer(peer, "200 OK", "",
                        "{\"kind\": \"APIResourceList\", \"resources\": [{\"name\": \"configmaps\", "
                        "\"kind\": \"ConfigMap\", \"namespaced\": true}]}");
        assert_true(str_starts(request, path));
        assert_non_null(strstr(request, "application/merge-patch+json"));
        if (!str_is(status, "200 OK"))
                return answer(peer, status, "", "{\"kind\": \"Status\", \"message\": \"so it is\"}");
        json_decref(told);
        told = json_loads(strstr(request, "\r\n\r\n"), 0, NULL);
        return answer(peer, "200 OK", "", "{\"kind\": \"ConfigMap\"}");
}

static int setup(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        strcpy(folder + sizeof folder - 7, "XXXXXX");
        assert_non_null(mkdtemp(folder));
        api = server_start(NULL, NULL);
        api->custom = serve_api;
        status = "200 OK";
        CLEANUP_FREE char *path = file_join(folder, "kubeconfig"), *place = file_join(folder, "state");
        CLEANUP_FREE char *text = str_format("{apiVersion: v1, kind: Config, current-context: c,"
                                             " clusters: [{name: k, cluster: {server: 'http://127.0.0.1:%d'}}],"
                                             " contexts: [{name: c, context: {cluster: k, user: u}}],"
                                             " users: [{name: u, user: {token: t}}]}\n",
                api->port);
        MUST(file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, err));
        json_auto_t *target = json_pack("{s:s, s:s}", "kubeconfig", path, "namespace", "ocean");
        link_ = kube_link_new(target, NULL);
        MUST(journal_open(place, true, &journal, err));
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        link_ = kube_link_free(link_);
        journal = journal_close(journal);
        server_stop(api);
        json_decref(told);
        told = NULL;
        return file_remove_tree(folder, NULL);
}

static void one_run(const char *command, int64_t began, int64_t ended, const char *outcome)
{
        int64_t run;
        MUST(journal_run_begin(journal, "demo", command, began, &run, err));
        MUST(journal_run_end(journal, run, outcome, "with a secret in its words", ended, err));
}

static int tell(bool enabled, struct err **err)
{
        json_auto_t *form = json_pack("{s:{s:b}}", "monitoring", "enabled", (int)enabled);
        return runs_tell(journal, "demo", form, link_, err);
}

static void test_it_is_told_what_the_journal_knows(void **state)
{
        (void)state;
        json_auto_t *form = json_object();
        MUST(journal_put_cluster(journal, "demo", "kubernetes", form, 1, err));
        one_run("apply", 1000, 2500, "done");
        one_run("apply", 3000, 4500, "failed");
        MUST(tell(true, err));
        json_t *data = json_object_get(told, "data");
        assert_int_equal(json_object_size(told), 1);
        assert_int_equal(json_object_size(data), 1);
        assert_string_equal(json_string_value(json_object_get(data, "runs.json")),
                "{\"runs\":[{\"command\":\"apply\",\"began\":3000,\"ended\":4500,\"outcome\":\"failed\"}],\"drift\":"
                "null}");
        one_run("destroy", 5000, 6000, "cancelled");
        MUST(journal_put_drift(journal, "demo", 2, err));
        MUST(tell(true, err));
        json_auto_t *runs =
                json_loads(json_string_value(json_object_get(json_object_get(told, "data"), "runs.json")), 0, NULL);
        assert_int_equal(json_array_size(json_object_get(runs, "runs")), 2);
        assert_int_equal(json_integer_value(json_object_get(runs, "drift")), 2);
}

static void test_who_is_not_watched_is_not_told(void **state)
{
        (void)state;
        json_auto_t *empty = json_object(), *form = json_pack("{s:{s:b}}", "monitoring", "enabled", 1);
        MUST(tell(false, err));
        MUST(runs_tell(journal, "demo", empty, link_, err));
        MUST(runs_tell(journal, "demo", form, NULL, err)); /* on a host the exporter reads the journal */
        assert_int_equal(api->requests, 0);
}

static void test_what_goes_wrong(void **state)
{
        (void)state;
        one_run("apply", 1000, 2500, "failed");
        status = "404 Not Found"; /* it had not come to that */
        MUST(tell(true, err));
        status = "403 Forbidden";
        REFUSED(tell(true, err), ERR_DENIED, "monitoring-runs");
        assert_int_equal(tell(true, NULL), -ERR_DENIED);
        assert_null(told);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                T(test_it_is_told_what_the_journal_knows),
                T(test_who_is_not_watched_is_not_told),
                T(test_what_goes_wrong),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
