/* While a Kubernetes cluster is planned, all who look into a directory share a connection. On a real directory, and an
 * API server that knows nothing but namespaces. */
#include <poll.h>
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

/* ---- a clock that nobody waits for ---- */

static atomic_llong slept;

static int64_t fake_monotonic(struct clock *clock)
{
        (void)clock;
        return clock_system()->monotonic_ms(clock_system()) + slept;
}

static int fake_sleep(struct clock *clock, int64_t ms, struct cancel *cancel)
{
        (void)clock;
        slept += ms;
        return cancel_level(cancel) ? -ERR_CANCELLED : 0;
}

static struct clock fake_clock = {.monotonic_ms = fake_monotonic, .sleep_ms = fake_sleep};

/* ---- a network between us and the directory, which breaks connections off ---- */

static int network = -1, network_port;
static atomic_int cuts;      /* so many connections are still to be broken off ... */
static atomic_int cut_after; /* ... once so many bytes have come from the directory */
static atomic_int opened, carried;

static bool pass_on(int from, int to, char *piece, ssize_t n)
{
        return n > 0 && recv(from, piece, (size_t)n, 0) == n && send(to, piece, (size_t)n, MSG_NOSIGNAL) == n;
}

/* What would be more than may come is held back. */
static bool carry_once(int client, int there, int *came)
{
        char piece[4096];
        struct pollfd p[] = {{.fd = client, .events = POLLIN}, {.fd = there, .events = POLLIN}};
        if (poll(p, 2, 20) <= 0)
                return true;
        if (!p[1].revents)
                return pass_on(client, there, piece, recv(client, piece, sizeof piece, MSG_PEEK));
        ssize_t n = recv(there, piece, sizeof piece, MSG_PEEK);
        *came += (int)n;
        return (cuts > 0 && *came > cut_after) || pass_on(there, client, piece, n);
}

static void *carry(void *data)
{
        int client = (int)(intptr_t)data, there = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), came = 0;
        struct sockaddr_in to = {.sin_family = AF_INET,
                .sin_port = htons((uint16_t)fixture.port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        bool good = connect(there, (struct sockaddr *)&to, sizeof to) == 0;
        while (good && (cuts <= 0 || came < cut_after))
                good = carry_once(client, there, &came);
        if (good)
                cuts--;
        struct linger none = {.l_onoff = 1};
        setsockopt(client, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        close(client);
        close(there);
        carried--;
        return NULL;
}

static void *between(void *data)
{
        (void)data;
        for (;;) {
                int client = accept(network, NULL, NULL);
                if (client < 0)
                        return NULL;
                opened++;
                carried++;
                pthread_t thread;
                pthread_create(&thread, NULL, carry, (void *)(intptr_t)client);
                pthread_detach(thread);
        }
}

static pthread_t network_thread;

static void begin_network(void)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof address;
        network = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(network, (struct sockaddr *)&address, length) < 0 || listen(network, 16) < 0 ||
                getsockname(network, (struct sockaddr *)&address, &length) < 0)
                abort();
        network_port = ntohs(address.sin_port);
        pthread_create(&network_thread, NULL, between, NULL);
}

/* Those that come next are broken off, after so many bytes. */
static void break_off(int count, int bytes)
{
        for (int i = 0; i < 500 && carried; i++) /* of before; one of them would take the place of another */
                poll(NULL, 0, 10);
        slept = opened = 0;
        cut_after = bytes;
        cuts = count;
}

static void end_network(void)
{
        shutdown(network, SHUT_RDWR);
        pthread_join(network_thread, NULL);
        close(network);
}

/* ---- */

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
        fixture.ctx.clock = &fake_clock;
        begin_network();
        return 0;
}

static int teardown(void **state)
{
        end_network();
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
        slept = 0;
        assert_unreachable("password", "wrong");
        assert_int_equal(slept, 0); /* an answer it is */
        assert_null(shared->directory);
        assert_false(shared->away);
        assert_well(&kind_ldap_group, "identity/users_group");
        kube_link_look_end(fixture.ctx.kube);
}

/* A look that goes through the network. */
static void assert_well_through(const struct kind *kind, const char *id)
{
        CLEANUP_FREE char *uri = str_format("ldaps://127.0.0.1:%d", network_port);
        json_auto_t *state = look(kind, id, "uri", uri);
        assert_null(json_object_get(state, "reachable"));
        assert_true(
                json_is_true(json_object_get(state, "there")) || json_is_object(json_object_get(state, "different")));
}

/* Refused in the handshake, in the middle of it, while it signs in, while it answers, and between two looks. */
static void what_breaks_off_is_asked_again(void **state)
{
        (void)state;
        static const int bytes[] = {0, 1, 1500, 3000};
        for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
                begin_look();
                break_off(3, bytes[i]);
                assert_well_through(&kind_ldap_group, "identity/users_group");
                assert_well_through(&kind_ldap_entry, "identity/tree");
                assert_true(slept >= 200 && opened >= 4);
                assert_false(kube_link_shared(fixture.ctx.kube)->away);
                int before = opened;
                cut_after = 0;
                cuts = 1; /* the one that is there */
                poll(NULL, 0, 100);
                assert_well_through(&kind_ldap_group, "identity/admins_group");
                assert_int_equal(opened, before + 1);
                kube_link_look_end(fixture.ctx.kube);
        }
}

/* While it is applied each has a connection of its own; it is no other network for that. */
static void nor_is_it_drift_in_a_run(void **state)
{
        (void)state;
        break_off(2, 1500);
        assert_null(kube_link_shared(fixture.ctx.kube));
        assert_well_through(&kind_ldap_group, "identity/users_group");
        assert_true(opened >= 3);
}

/* But not for ever, and not by everybody again. */
static void what_breaks_off_always_is_away(void **state)
{
        (void)state;
        CLEANUP_FREE char *uri = str_format("ldaps://127.0.0.1:%d", network_port);
        begin_look();
        break_off(1000, 0);
        assert_unreachable("uri", uri);
        assert_true(slept > 5000 && slept <= 10000);
        assert_true(kube_link_shared(fixture.ctx.kube)->away);
        int before = opened;
        assert_unreachable("uri", uri);
        assert_int_equal(opened, before);
        cuts = 0;
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
                cmocka_unit_test(what_breaks_off_is_asked_again),
                cmocka_unit_test(nor_is_it_drift_in_a_run),
                cmocka_unit_test(what_breaks_off_always_is_away),
        };
        fixture_first_port = 21230;
        return fixture_possible() ? cmocka_run_group_tests(tests, setup, teardown) : fixture_skip();
}
