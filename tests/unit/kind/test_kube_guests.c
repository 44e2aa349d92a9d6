/* A namespace of ours goes with all that is in it, and a definition with all that is of it: only when that is known,
 * and nobody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/kube_server.h"
#include "kind/kind.h"
#include "kind/kube_remove.h"

static const char *denied, *there; /* plurals: may not be listed; has one of somebody else's */
static bool speaks_of_things;      /* the definition of ours is there, and in use */
static atomic_int deletions;

static bool core_or_none(struct peer *peer, const char *request)
{
        static const char core[] =
                "{\"kind\": \"APIResourceList\", \"resources\": ["
                "{\"name\": \"namespaces\", \"kind\": \"Namespace\", \"namespaced\": false},"
                "{\"name\": \"secrets\", \"kind\": \"Secret\", \"namespaced\": true},"
                "{\"name\": \"persistentvolumeclaims\", \"kind\": \"PersistentVolumeClaim\", \"namespaced\": true},"
                "{\"name\": \"podtemplates\", \"kind\": \"PodTemplate\", \"namespaced\": true},"
                "{\"name\": \"replicationcontrollers\", \"kind\": \"ReplicationController\", \"namespaced\": true}]}";
        static const char definitions[] = "{\"kind\": \"APIResourceList\", \"resources\": [{\"name\": "
                                          "\"customresourcedefinitions\", \"kind\": \"CustomResourceDefinition\", "
                                          "\"namespaced\": false}]}";
        if (str_starts(request, "GET /api/v1 "))
                return ok(peer, core);
        static const char things[] = "{\"kind\": \"APIResourceList\", \"resources\": [{\"name\": \"things\", "
                                     "\"kind\": \"Thing\", \"namespaced\": true}]}";
        static const char apps[] = "{\"kind\": \"APIResourceList\", \"resources\": [{\"name\": \"deployments\", "
                                   "\"kind\": \"Deployment\", \"namespaced\": true}]}";
        if (str_starts(request, "GET /apis/apiextensions.k8s.io/v1 "))
                return ok(peer, definitions);
        if (speaks_of_things && str_starts(request, "GET /apis/example.org/v1 "))
                return ok(peer, things);
        if (speaks_of_things && str_starts(request, "GET /apis/apps/v1 "))
                return ok(peer, apps);
        return refuse_with(peer, "404 Not Found", "", "NotFound", "the server could not find it");
}

static bool is_list(const char *request, const char *plural)
{
        const char *path = strstr(request, "/namespaces/lab/");
        path = path ? path + strlen("/namespaces/lab/") : strstr(request, "/customresourcedefinitions");
        path += path && *path == '/';
        return path && plural && str_starts(path, plural) && strchr(" ?", path[strlen(plural)]);
}

static bool answers(struct peer *peer, const char *request)
{
        static const char ours[] =
                "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"lab\", \"uid\": \"u\", "
                "\"labels\": {\"app.kubernetes.io/managed-by\": \"caas\", \"caas.pangeo.io/cluster\": \"lab\"}}}";
        static const char one[] =
                "{\"metadata\": {\"resourceVersion\": \"9\"}, \"items\": [{\"metadata\": {\"name\": \"theirs\"}}]}";
        if (str_starts(request, "DELETE /api/v1/namespaces/lab")) {
                deletions++;
                return ok(peer, "{\"kind\": \"Status\", \"status\": \"Success\"}");
        }
        if (str_starts(request, "GET /api/v1/namespaces/lab "))
                return deletions ? core_or_none(peer, "") : ok(peer, ours);
        if (is_list(request, denied))
                return refuse_with(peer, "403 Forbidden", "", "Forbidden", "caas cannot list that");
        if (is_list(request, there))
                return ok(peer, one);
        if (strstr(request, "/namespaces/lab/") || strstr(request, "/customresourcedefinitions") ||
                strstr(request, "/namespaces?"))
                return ok(peer, "{\"metadata\": {\"resourceVersion\": \"9\"}, \"items\": []}");
        return core_or_none(peer, request);
}

static void quiet(struct kind_ctx *ctx, const char *text)
{
        (void)ctx, (void)text;
}

/* What is said of a namespace that stays; NULL: it was deleted. The caller frees. */
static char *removed(const char *may_not_list, const char *somebodys)
{
        static const struct kube_ref lab = {.api_version = "v1", .kind = "Namespace", .name = "lab"};
        struct kind_ctx ctx = {.cluster = "lab", .clock = &fake_clock, .progress = quiet, .delete_data = true};
        denied = may_not_list;
        there = somebodys;
        deletions = 0;
        CLEANUP_KUBE struct kube *kube = open_token(NULL);
        api->custom = answers;
        CLEANUP_ERR struct err *err = NULL;
        char *kept = NULL;
        if (kube_remove(&ctx, kube, &lab, true, &kept, &err) < 0)
                fail_msg("%s", err->message);
        assert_int_equal(deletions, kept ? 0 : 1);
        return kept;
}

static void an_empty_one_goes(void **state)
{
        (void)state;
        assert_null(removed(NULL, NULL));
}

static void what_others_made_stays(void **state)
{
        (void)state;
        static const char *const plurals[] = {
                "replicationcontrollers", "podtemplates", "jobs", "persistentvolumeclaims"};
        for (size_t i = 0; i < sizeof plurals / sizeof *plurals; i++) {
                CLEANUP_FREE char *kept = removed(NULL, plurals[i]);
                assert_non_null(kept);
                assert_non_null(strstr(kept, "namespace lab: there is more in it ("));
                assert_non_null(strstr(kept, "/theirs)"));
        }
}

static void what_cannot_be_seen_stays(void **state)
{
        (void)state;
        static const char *const plurals[] = {"jobs", "secrets", "customresourcedefinitions"};
        for (size_t i = 0; i < sizeof plurals / sizeof *plurals; i++) {
                CLEANUP_FREE char *kept = removed(plurals[i], NULL);
                assert_non_null(kept);
                assert_non_null(strstr(kept, "namespace lab: what else is in it is not known ("));
                assert_non_null(strstr(kept, "caas cannot list that"));
        }
        CLEANUP_FREE char *both = removed("jobs", "podtemplates");
        assert_non_null(strstr(both, "there is more in it (PodTemplate/theirs)"));
}

/* ---- a definition: who else uses it is looked for in all namespaces ---- */

static bool elsewhere(const char *request, const char *plural)
{
        CLEANUP_FREE char *of_things = str_format("GET /apis/example.org/v1/%s?", plural),
                          *of_apps = str_format("GET /apis/apps/v1/%s?", plural);
        return str_starts(request, of_things) || str_starts(request, of_apps);
}

static bool answers_of_things(struct peer *peer, const char *request)
{
        static const char ours[] =
                "{\"apiVersion\": \"apiextensions.k8s.io/v1\", \"kind\": \"CustomResourceDefinition\", \"metadata\": "
                "{\"name\": \"things.example.org\", \"uid\": \"u\", \"labels\": {\"app.kubernetes.io/managed-by\": "
                "\"caas\", \"caas.pangeo.io/cluster\": \"lab\"}}, \"spec\": {\"group\": \"example.org\", \"scope\": "
                "\"Namespaced\", \"names\": {\"kind\": \"Thing\", \"plural\": \"things\"}, \"versions\": [{\"name\": "
                "\"v1\", \"served\": true}]}}";
        static const char one[] = "{\"metadata\": {\"resourceVersion\": \"9\"}, \"items\": [{\"metadata\": "
                                  "{\"name\": \"x\", \"namespace\": \"theirs\"}}]}";
        static const char definition[] = "/customresourcedefinitions/things.example.org";
        if (str_starts(request, "DELETE ") && strstr(request, definition)) {
                deletions++;
                return ok(peer, "{\"kind\": \"Status\", \"status\": \"Success\"}");
        }
        if (strstr(request, definition))
                return deletions ? core_or_none(peer, "") : ok(peer, ours);
        if (denied && elsewhere(request, denied))
                return refuse_with(peer, "403 Forbidden", "", "Forbidden", "caas cannot list that");
        if (there && elsewhere(request, there))
                return ok(peer, one);
        if (elsewhere(request, "things") || elsewhere(request, "deployments"))
                return ok(peer, "{\"metadata\": {\"resourceVersion\": \"9\"}, \"items\": []}");
        return core_or_none(peer, request);
}

/* What is said of a definition that stays; NULL: it was deleted. The caller frees. */
static char *removed_definition(const char *may_not_list, const char *somebodys)
{
        static const struct kube_ref things = {.api_version = "apiextensions.k8s.io/v1",
                .kind = "CustomResourceDefinition",
                .name = "things.example.org"};
        struct kind_ctx ctx = {.cluster = "lab", .clock = &fake_clock, .progress = quiet};
        denied = may_not_list;
        there = somebodys;
        deletions = 0;
        speaks_of_things = true;
        CLEANUP_KUBE struct kube *kube = open_token(NULL);
        api->custom = answers_of_things;
        CLEANUP_ERR struct err *err = NULL;
        char *kept = NULL;
        if (kube_remove(&ctx, kube, &things, false, &kept, &err) < 0)
                fail_msg("%s", err->message);
        speaks_of_things = false;
        assert_int_equal(deletions, kept ? 0 : 1);
        return kept;
}

static void a_definition_that_others_use_stays(void **state)
{
        (void)state;
        static const char *const plurals[] = {"things", "deployments"}; /* theirs, or of another cluster of ours */
        assert_null(removed_definition(NULL, NULL));
        for (size_t i = 0; i < 2; i++) {
                CLEANUP_FREE char *kept = removed_definition(NULL, plurals[i]);
                assert_string_equal(kept, "customResourceDefinition things.example.org: it is used in theirs");
        }
}

/* Nothing of the rights that an apply asks for lets an account look into other namespaces. */
static void a_definition_whose_users_cannot_be_seen_stays(void **state)
{
        (void)state;
        static const char *const plurals[] = {"things", "deployments"};
        for (size_t i = 0; i < 2; i++) {
                CLEANUP_FREE char *kept = removed_definition(plurals[i], NULL);
                assert_non_null(kept);
                assert_non_null(
                        strstr(kept, "customResourceDefinition things.example.org: who else uses it is not known ("));
                assert_non_null(strstr(kept, "caas cannot list that"));
                assert_non_null(strstr(kept, "kubectl delete crd things.example.org deletes it"));
        }
        CLEANUP_FREE char *both = removed_definition("things", "deployments");
        assert_string_equal(both, "customResourceDefinition things.example.org: it is used in theirs");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_empty_one_goes),
                cmocka_unit_test(what_others_made_stays),
                cmocka_unit_test(what_cannot_be_seen_stays),
                cmocka_unit_test(a_definition_that_others_use_stays),
                cmocka_unit_test(a_definition_whose_users_cannot_be_seen_stays),
        };
        return cmocka_run_group_tests_name("guests of a namespace", tests, fixture_start, fixture_end);
}
