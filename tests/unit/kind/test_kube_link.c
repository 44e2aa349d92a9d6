/* What is asked of the API server, and what is known already: a false one counts. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../client/http_server.h"
#include "base/file.h"
#include "kind/kube_server.h"

static struct server *api;
static struct kube_link *link_;
static char folder[] = "/tmp/caas-link-XXXXXX";
static atomic_int lists, ours, gets; /* lists of everybody's and of our objects; objects asked for one by one */
static atomic_bool made, forbidden;  /* the namespace is there; nobody may list */

#define KINDS                                                                                                          \
        "{\"kind\": \"APIResourceList\", \"resources\": ["                                                             \
        "{\"name\": \"namespaces\", \"kind\": \"Namespace\", \"namespaced\": false}, "                                 \
        "{\"name\": \"configmaps\", \"kind\": \"ConfigMap\", \"namespaced\": true}]}"
#define NOT_FOUND "{\"kind\": \"Status\", \"code\": 404, \"reason\": \"NotFound\", \"message\": \"not found\"}"
#define FORBIDDEN "{\"kind\": \"Status\", \"code\": 403, \"reason\": \"Forbidden\", \"message\": \"not yours\"}"
#define THEIRS                                                                                                         \
        "{\"metadata\": {\"name\": \"theirs\", \"uid\": \"u1\", \"managedFields\": [{\"manager\": \"someone\"}]}}"

static bool serve_api(struct peer *peer, const char *request)
{
        if (str_starts(request, "GET /api/v1 "))
                return answer(peer, "200 OK", "", KINDS);
        if (str_starts(request, "GET /api/v1/namespaces/fresh "))
                return made ? answer(peer, "200 OK", "", "{\"metadata\": {\"name\": \"fresh\"}}")
                            : answer(peer, "404 Not Found", "", NOT_FOUND);
        if (str_starts(request, "GET /api/v1/namespaces/fresh/configmaps?")) {
                if (strstr(request, "labelSelector")) {
                        ours++;
                        return answer(peer, "200 OK", "", made ? "{\"items\": [" THEIRS "]}" : "{\"items\": []}");
                }
                lists++;
                return forbidden ? answer(peer, "403 Forbidden", "", FORBIDDEN)
                                 : answer(peer, "200 OK", "", "{\"items\": [" THEIRS "]}");
        }
        gets++;
        return strstr(request, "/theirs ") ? answer(peer, "200 OK", "", THEIRS)
                                           : answer(peer, "404 Not Found", "", NOT_FOUND);
}

static int setup(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        strcpy(folder + sizeof folder - 7, "XXXXXX");
        assert_non_null(mkdtemp(folder));
        api = server_start(NULL, NULL);
        api->custom = serve_api;
        CLEANUP_FREE char *path = file_join(folder, "kubeconfig");
        CLEANUP_FREE char *text = str_format("{apiVersion: v1, kind: Config, current-context: c,"
                                             " clusters: [{name: k, cluster: {server: 'http://127.0.0.1:%d'}}],"
                                             " contexts: [{name: c, context: {cluster: k, user: u}}],"
                                             " users: [{name: u, user: {token: t}}]}\n",
                api->port);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
        json_auto_t *target = json_pack("{s:s, s:s}", "kubeconfig", path, "namespace", "fresh");
        link_ = kube_link_new(target, NULL);
        made = forbidden = false;
        lists = ours = gets = 0;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        link_ = kube_link_free(link_);
        server_stop(api);
        return file_remove_tree(folder, NULL);
}

/* Is it there? */
static bool there(const char *name, json_t **ret)
{
        const struct kube_ref ref = {"v1", "ConfigMap", "fresh", name};
        json_auto_t *live = NULL;
        int r = kube_link_get(link_, &ref, &live, NULL);
        assert_true(r == 0 || r == -ERR_NOT_FOUND);
        if (r == 0 && ret)
                *ret = json_incref(live);
        return r == 0;
}

/* The plan of a run that makes the namespace. */
static void plan_it(bool first)
{
        assert_int_equal(kube_link_look(link_, "t", first, NULL), 0);
        assert_false(there("a", NULL));
        assert_false(there("b", NULL));
        kube_link_look_end(link_);
        assert_true(kube_link_lacks(link_, "fresh"));
        assert_int_equal(ours, first ? 0 : 1);
        assert_int_equal(gets, 0);
        made = true;
}

static void one_list_a_kind(void **state)
{
        (void)state;
        json_auto_t *theirs = NULL;
        plan_it(false);
        assert_false(there("a", NULL));
        assert_false(there("b", NULL));
        assert_true(there("theirs", &theirs));
        assert_int_equal(lists, 1);
        assert_int_equal(gets, 0);
        assert_non_null(json_object_get(json_object_get(theirs, "metadata"), "managedFields")); /* whose it is */
        assert_false(there("a", NULL)); /* the second time it is asked for */
        assert_int_equal(gets, 1);
        kube_link_wrote(link_, &(struct kube_ref){"v1", "ConfigMap", "fresh", "b"}, theirs);
        assert_true(there("b", NULL));
        assert_int_equal(gets, 1);
        assert_int_equal(lists, 1);
}

/* Others may have made something since: what a list said is believed for a moment. */
static void an_old_list_says_nothing(void **state)
{
        (void)state;
        plan_it(true);
        assert_false(there("a", NULL));
        poll(NULL, 0, 1100);
        assert_false(there("b", NULL));
        assert_true(there("theirs", NULL));
        assert_int_equal(lists, 1);
        assert_int_equal(gets, 2);
}

static void who_may_not_list_asks(void **state)
{
        (void)state;
        plan_it(true);
        forbidden = true;
        assert_false(there("a", NULL));
        assert_true(there("theirs", NULL));
        assert_int_equal(lists, 1);
        assert_int_equal(gets, 2);
}

/* In a namespace that was there each is asked for, and what others wrote is not kept while it is planned. */
static void a_namespace_that_was_there(void **state)
{
        (void)state;
        json_auto_t *theirs = NULL;
        made = true;
        assert_int_equal(kube_link_look(link_, "t", true, NULL), 0);
        assert_true(there("theirs", &theirs));
        assert_null(json_object_get(json_object_get(theirs, "metadata"), "managedFields"));
        assert_false(there("a", NULL));
        kube_link_look_end(link_);
        assert_false(kube_link_lacks(link_, "fresh"));
        assert_int_equal(gets, 1);
        assert_false(there("a", NULL));
        assert_int_equal(gets, 2);
        assert_int_equal(lists, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(one_list_a_kind, setup, teardown),
                cmocka_unit_test_setup_teardown(an_old_list_says_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(who_may_not_list_asks, setup, teardown),
                cmocka_unit_test_setup_teardown(a_namespace_that_was_there, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
