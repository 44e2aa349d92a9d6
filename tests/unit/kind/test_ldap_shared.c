/* While a Kubernetes cluster is planned, all who look into a directory share a connection. On a real directory, and an
 * API server that knows nothing but namespaces. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/directory_fixture.h"
#include "../client/http_server.h"
#include "kind/kube_server.h"

static struct server *api;

static bool know_namespaces(struct peer *peer, const char *request)
{
        (void)request;
        return answer(peer, "200 OK", "",
                "{\"kind\": \"APIResourceList\", \"resources\": [{\"name\": \"namespaces\", \"kind\": \"Namespace\", "
                "\"namespaced\": false}]}");
}

static void begin_look(void)
{
        struct err *err = NULL;
        if (kube_link_look(fixture.ctx.kube, "t", false, &err) < 0)
                fixture_die("look", err);
}

static int setup(void **state)
{
        int r = fixture_setup(state);
        if (r < 0)
                return r;
        api = server_start(NULL, NULL);
        api->custom = know_namespaces;
        CLEANUP_FREE char *path = file_join(fixture.state, "kubeconfig");
        CLEANUP_FREE char *text = str_format("{apiVersion: v1, kind: Config, current-context: c,"
                                             " clusters: [{name: k, cluster: {server: 'http://127.0.0.1:%d'}}],"
                                             " contexts: [{name: c, context: {cluster: k, user: u}}],"
                                             " users: [{name: u, user: {token: t}}]}\n",
                api->port);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
        json_auto_t *target = json_pack("{s:s}", "kubeconfig", path);
        fixture.ctx.kube = kube_link_new(target, NULL);
        return 0;
}

static int teardown(void **state)
{
        fixture.ctx.kube = kube_link_free(fixture.ctx.kube);
        server_stop(api);
        return fixture_teardown(state);
}

/* What observe says of a resource, its server's key changed to value if there is one. */
static json_t *look(const struct kind *kind, const char *id, const char *key, const char *value)
{
        struct resource r = fixture_get(&fixture, id);
        json_t *state = NULL;
        if (key)
                json_object_set_new(json_object_get(r.spec, "server"), key, json_string(value));
        assert_int_equal(kind->observe(&fixture.ctx, &r, &state, NULL), 0);
        json_decref(r.spec);
        return state;
}

static void assert_well(const struct kind *kind, const char *id)
{
        json_auto_t *state = look(kind, id, NULL, NULL);
        if (kind == &kind_ldap_group)
                assert_true(json_is_true(json_object_get(state, "there")));
        else /* the root's alone to see */
                assert_int_equal(json_object_size(json_object_get(state, "different")), 0);
        assert_null(json_object_get(state, "reachable"));
}

static void assert_unreachable(const char *key, const char *value)
{
        json_auto_t *state = look(&kind_ldap_group, "identity/users_group", key, value);
        assert_true(json_is_false(json_object_get(state, "reachable")));
}

static void one_connection_for_all(void **state)
{
        (void)state;
        assert_null(kube_link_shared(fixture.ctx.kube));
        assert_well(&kind_ldap_group, "identity/users_group"); /* not planning: its own */
        begin_look();
        struct kube_shared *shared = kube_link_shared(fixture.ctx.kube);
        assert_null(shared->directory);
        assert_well(&kind_ldap_group, "identity/users_group");
        struct directory *first = shared->directory;
        assert_non_null(first);
        assert_well(&kind_ldap_group, "identity/admins_group");
        assert_well(&kind_ldap_entry, "identity/tree");
        assert_well(&kind_ldap_group, "identity/users_group");
        assert_ptr_equal(shared->directory, first);
        kube_link_look_end(fixture.ctx.kube);
        assert_null(shared->directory);
        assert_null(kube_link_shared(fixture.ctx.kube));
}

/* Who is not let in leaves nobody signed in, and takes nothing from the others. */
static void a_wrong_password_is_one_resource_s(void **state)
{
        (void)state;
        begin_look();
        struct kube_shared *shared = kube_link_shared(fixture.ctx.kube);
        assert_well(&kind_ldap_entry, "identity/tree");
        assert_unreachable("password", "wrong");
        assert_null(shared->directory);
        assert_false(shared->away);
        assert_well(&kind_ldap_group, "identity/users_group");
        kube_link_look_end(fixture.ctx.kube);
}

/* Another address is another connection; one that nobody is at is waited for once. */
static void who_is_away_is_asked_once(void **state)
{
        (void)state;
        begin_look();
        struct kube_shared *shared = kube_link_shared(fixture.ctx.kube);
        assert_well(&kind_ldap_group, "identity/users_group");
        assert_unreachable("uri", "ldaps://127.0.0.1:1");
        assert_true(shared->away);
        assert_null(shared->directory);
        assert_unreachable(NULL, NULL);
        kube_link_look_end(fixture.ctx.kube);
        begin_look();
        assert_well(&kind_ldap_group, "identity/users_group");
        kube_link_look_end(fixture.ctx.kube);
}

static void *look_often(void *data)
{
        for (int i = 0; i < 20; i++) {
                assert_well(&kind_ldap_entry, "identity/tree");
                assert_well(&kind_ldap_group, data);
        }
        return NULL;
}

static void each_in_turn(void **state)
{
        (void)state;
        static char *const ids[] = {"identity/users_group", "identity/admins_group"};
        pthread_t thread[4];
        begin_look();
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&thread[i], NULL, look_often, ids[i % 2]), 0);
        for (size_t i = 0; i < 4; i++)
                pthread_join(thread[i], NULL);
        kube_link_look_end(fixture.ctx.kube);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_connection_for_all),
                cmocka_unit_test(a_wrong_password_is_one_resource_s),
                cmocka_unit_test(who_is_away_is_asked_once),
                cmocka_unit_test(each_in_turn),
        };
        fixture_first_port = 21230;
        return fixture_possible() ? cmocka_run_group_tests(tests, setup, teardown) : fixture_skip();
}
