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
#include "base/clock.h"
#include "base/file.h"
#include "kind/kube_server.h"

extern const struct kind kind_kube_object;

static struct server *api;
static struct kube_link *link_;
static char folder[] = "/tmp/caas-link-XXXXXX";
static atomic_int ours, gets, writes; /* lists; objects asked for one by one; objects written */
static atomic_int spaces;             /* the namespace asked for */
static atomic_bool made, lose;        /* the namespace is there; the next answer to a write is lost */

#define KINDS                                                                                                          \
        "{\"kind\": \"APIResourceList\", \"resources\": ["                                                             \
        "{\"name\": \"namespaces\", \"kind\": \"Namespace\", \"namespaced\": false}, "                                 \
        "{\"name\": \"configmaps\", \"kind\": \"ConfigMap\", \"namespaced\": true}]}"
#define NOT_FOUND "{\"kind\": \"Status\", \"code\": 404, \"reason\": \"NotFound\", \"message\": \"not found\"}"
#define CONFLICT                                                                                                       \
        "{\"kind\": \"Status\", \"code\": 409, \"reason\": \"Conflict\", \"message\": \"Operation cannot be "          \
        "fulfilled on "                                                                                                \
        "configmaps: the object has been modified\"}"
#define OURS                                                                                                           \
        "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"data\": {\"a\": \"1\"}, \"metadata\": {\"name\": "        \
        "\"ours\", "                                                                                                   \
        "\"namespace\": \"fresh\", \"uid\": \"u2\", \"annotations\": {\"caas.pangeo.io/resource\": \"t/it\"}, "        \
        "\"labels\": "                                                                                                 \
        "{\"app.kubernetes.io/managed-by\": \"caas\", \"caas.pangeo.io/cluster\": \"t\"}}}"

#define THEIRS                                                                                                         \
        "{\"metadata\": {\"name\": \"theirs\", \"uid\": \"u1\", \"managedFields\": [{\"manager\": \"someone\"}]}}"

/* A new one is made, one that is there is out of date. */
static bool take(struct peer *peer, const char *request)
{
        bool new_ = strstr(request, "\"resourceVersion\":\"1\"") != NULL;
        writes++;
        assert_true(new_ || strstr(request, "dryRun=All") || strstr(request, "/configmaps/ours?"));
        if (lose) {
                lose = false;
                return false;
        }
        return new_ && !strstr(request, "/configmaps/a?") ? answer(peer, "409 Conflict", "", CONFLICT)
                                                          : answer(peer, "200 OK", "", OURS);
}

static bool serve_api(struct peer *peer, const char *request)
{
        if (str_starts(request, "GET /api/v1 "))
                return answer(peer, "200 OK", "", KINDS);
        spaces += str_starts(request, "GET /api/v1/namespaces/fresh ");
        if (str_starts(request, "GET /api/v1/namespaces/fresh "))
                return made ? answer(peer, "200 OK", "", "{\"metadata\": {\"name\": \"fresh\"}}")
                            : answer(peer, "404 Not Found", "", NOT_FOUND);
        if (str_starts(request, "GET /api/v1/namespaces/fresh/configmaps?")) {
                assert_non_null(strstr(request, "labelSelector"));
                ours++;
                return answer(peer, "200 OK", "", made ? "{\"items\": [" THEIRS "]}" : "{\"items\": []}");
        }
        if (str_starts(request, "PATCH "))
                return take(peer, request);
        gets++;
        return strstr(request, "/theirs ") ? answer(peer, "200 OK", "", THEIRS)
               : strstr(request, "/ours ") ? answer(peer, "200 OK", "", OURS)
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
        made = lose = false;
        ours = gets = writes = spaces = 0;
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

static bool space_is_there(void)
{
        const struct kube_ref ref = {"v1", "Namespace", NULL, "fresh"};
        int r = kube_link_get(link_, &ref, NULL, NULL);
        assert_true(r == 0 || r == -ERR_NOT_FOUND);
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

/* What comes in meanwhile shows when it is written. */
static void nothing_is_asked_for_at_first(void **state)
{
        (void)state;
        json_auto_t *theirs = NULL;
        plan_it(false);
        assert_false(there("a", NULL));
        assert_false(there("theirs", NULL));
        assert_int_equal(gets, 0);
        assert_true(there("theirs", &theirs)); /* the second time it is asked for */
        assert_false(there("a", NULL));
        assert_int_equal(gets, 2);
        kube_link_wrote(link_, &(struct kube_ref){"v1", "ConfigMap", "fresh", "b"}, theirs);
        assert_true(there("b", NULL));
        assert_int_equal(gets, 2);
}

/* Nor is the namespace itself asked for again by who looks at it to plan and to make it. */
static void the_namespace_is_asked_for_once(void **state)
{
        (void)state;
        assert_int_equal(kube_link_look(link_, "t", true, NULL), 0);
        assert_false(space_is_there());
        kube_link_look_end(link_);
        assert_false(space_is_there());
        assert_int_equal(spaces, 1);
        made = true;
        assert_true(space_is_there());
        assert_int_equal(spaces, 2);
        assert_int_equal(gets, 0);
}

/* Writes a ConfigMap that was not there when it was looked at. */
static int write_it(const char *name, json_t **ret_outputs, struct err **err)
{
        struct kind_ctx ctx = {.cluster = "t", .kube = link_, .clock = clock_system()};
        json_auto_t *spec = json_pack("{s:{s:s, s:s, s:{s:s}, s:{s:s}}}", "object", "apiVersion", "v1", "kind",
                "ConfigMap", "metadata", "name", name, "data", "a", "1");
        const struct resource r = {.id = (char *)"t/it", .kind = (char *)"kube.object", .spec = spec};
        return kind_kube_object.apply(&ctx, &r, NULL, NULL, ret_outputs, err);
}

static void nobody_is_overwritten(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        json_auto_t *outputs = NULL;
        plan_it(true);
        assert_int_equal(write_it("theirs", &outputs, &err), -ERR_REFUSED);
        if (!strstr(err->message, "is there already and belongs to somebody else (made with someone)"))
                fail_msg("%s", err->message);
        assert_null(outputs);
        assert_int_equal(writes, 2); /* the second as a dry run */
        assert_int_equal(gets, 1);
}

static void a_new_one_is_written_at_once(void **state)
{
        (void)state;
        json_auto_t *outputs = NULL;
        plan_it(true);
        assert_int_equal(write_it("a", &outputs, NULL), 0);
        assert_true(json_is_true(json_object_get(outputs, "made")));
        assert_int_equal(writes, 1);
        assert_int_equal(gets, 0);
}

/* The first try made it, and we were not told. */
static void a_lost_answer_is_no_stranger(void **state)
{
        (void)state;
        json_auto_t *outputs = NULL;
        plan_it(true);
        lose = true;
        assert_int_equal(write_it("ours", &outputs, NULL), 0);
        assert_true(json_is_true(json_object_get(outputs, "made")));
        assert_int_equal(writes, 3); /* lost, out of date, and as one that is there */
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
        assert_int_equal(theirs->refcount, 1); /* the lists do not keep what was looked at */
        assert_false(there("a", NULL));
        kube_link_look_end(link_);
        assert_false(kube_link_lacks(link_, "fresh"));
        assert_int_equal(gets, 1);
        assert_false(there("a", NULL));
        assert_int_equal(gets, 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(nothing_is_asked_for_at_first, setup, teardown),
                cmocka_unit_test_setup_teardown(the_namespace_is_asked_for_once, setup, teardown),
                cmocka_unit_test_setup_teardown(nobody_is_overwritten, setup, teardown),
                cmocka_unit_test_setup_teardown(a_new_one_is_written_at_once, setup, teardown),
                cmocka_unit_test_setup_teardown(a_lost_answer_is_no_stranger, setup, teardown),
                cmocka_unit_test_setup_teardown(a_namespace_that_was_there, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
