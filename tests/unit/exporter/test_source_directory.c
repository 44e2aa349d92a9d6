/* Who is in the groups: from a real directory that has nested groups, comes late and goes away. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/directory_fixture.h"
#include "exporter/source_directory.h"
#include "exporter/source_list.h"
#include "samples.h"

#define USERS  "cn=users,cn=accounts,dc=t,dc=caas,dc=internal"
#define GROUPS "cn=groups,cn=accounts,dc=t,dc=caas,dc=internal"

static struct config *config_for(const char *uri, const char *ca, const char *password)
{
        struct config *config = NULL;
        json_auto_t *tree = json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "cluster", "t", "directory",
                "uri", uri, "ca", ca, "bind_dn", "cn=Directory Manager", "bind_password", password, "users_base", USERS,
                "groups_base", GROUPS, "users_group", "t_notebook_users", "admins_group", "t_notebook_admins");
        CLEANUP_FREE char *text = json_dumps(tree, 0);
        assert_non_null(text);
        assert_int_equal(config_parse(text, strlen(text), &config, NULL), 0);
        return config;
}

static struct sample_sink *refreshed(const struct config *config, void **kept)
{
        struct sample_sink *sink = sink_new(source_directory.families);
        assert_int_equal(source_directory.refresh(config, kept, sink, NULL), 0);
        assert_true(samples_sound(sink));
        return sink;
}

static void add_user(struct directory *root, const char *name)
{
        CLEANUP_FREE char *dn = str_format("uid=%s," USERS, name);
        json_auto_t *user = json_pack("{s:[s, s], s:s, s:s, s:s}", "objectClass", "inetOrgPerson", "nsMemberOf", "uid",
                name, "cn", name, "sn", name);
        assert_int_equal(directory_add(root, dn, user, NULL), 0);
}

static void add_member(struct directory *root, const char *group, const char *dn)
{
        CLEANUP_FREE char *to = str_format("cn=%s," GROUPS, group);
        assert_int_equal(directory_value_add(root, to, "member", dn, NULL, NULL), 0);
}

static void add_group(struct directory *root, const char *name, const char *member)
{
        CLEANUP_FREE char *dn = str_format("cn=%s," GROUPS, name);
        json_auto_t *group = json_pack("{s:[s, s, s], s:s, s:s}", "objectClass", "groupOfNames", "nestedGroup",
                "ipaUserGroup", "cn", name, "member", member);
        assert_int_equal(directory_add(root, dn, group, NULL), 0);
}

/* alice and Bob directly, carol through a group in a group, which has a ring in it; dora is in a group of no meaning.
 */
static void people(void)
{
        CLEANUP_DIRECTORY struct directory *root = fixture_root();
        static const char *const names[] = {"alice", "Bob", "carol", "dora"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                add_user(root, names[i]);
        add_member(root, "t_notebook_users", "uid=alice," USERS);
        add_member(root, "t_notebook_users", "uid=bob," USERS);
        add_group(root, "team", "uid=carol," USERS);
        add_group(root, "teams", "cn=team," GROUPS);
        add_group(root, "others", "uid=dora," USERS);
        add_member(root, "team", "cn=teams," GROUPS);
        add_member(root, "t_notebook_users", "cn=teams," GROUPS);
}

static void members_are_counted(void **state)
{
        (void)state;
        people();
        struct config *config = config_for(fixture_value(&fixture, "identity/access.uri"),
                fixture_value(&fixture, "identity/access.ca"), "root-secret-0123456789");
        void *kept = NULL;
        for (int round = 0; round < 2; round++) { /* the second time over the same connection */
                struct sample_sink *sink = refreshed(config, &kept);
                assert_true(samples_have(sink, "caas_directory_up 1"));
                assert_int_equal(samples_count(sink, "caas_directory_search_duration_seconds"), 1);
                assert_true(samples_have(sink, "caas_user_group_info{user=\"alice\",group=\"users\"} 1"));
                assert_true(samples_have(sink, "caas_user_group_info{user=\"bob\",group=\"users\"} 1"));
                assert_true(samples_have(sink, "caas_user_group_info{user=\"carol\",group=\"users\"} 1"));
                assert_true(samples_have(sink, "caas_user_group_info{user=\"admin\",group=\"admins\"} 1"));
                assert_true(samples_have(sink, "caas_group_members{group=\"users\"} 3"));
                assert_true(samples_have(sink,
                        "jupyterhub_user_group_info{namespace=\"t\",usergroup=\"t_notebook_users\",username=\"bob\","
                        "username_escaped=\"bob\",username_safe=\"bob\"} 1"));
                sink_free(sink);
        }
        source_directory.done(kept);
        config_free(config);
}

static void a_directory_that_is_away_is_a_figure(void **state)
{
        (void)state;
        struct config *there = config_for(fixture_value(&fixture, "identity/access.uri"),
                fixture_value(&fixture, "identity/access.ca"), "root-secret-0123456789");
        struct config *away = config_for("ldaps://127.0.0.1:1", fixture_value(&fixture, "identity/access.ca"), "x");
        void *kept = NULL;
        struct sample_sink *sink = refreshed(away, &kept);
        assert_true(samples_have(sink, "caas_directory_up 0"));
        assert_int_equal(samples_count(sink, "caas_group_members"), 0); /* not known is not nobody */
        sink_free(sink);
        sink_free(refreshed(there, &kept));
        source_directory.done(kept);

        struct config *denied = config_for(
                fixture_value(&fixture, "identity/access.uri"), fixture_value(&fixture, "identity/access.ca"), "wrong");
        kept = NULL;
        sink = refreshed(denied, &kept);
        assert_true(samples_have(sink, "caas_directory_up 0"));
        sink_free(sink);
        source_directory.done(kept);
        config_free(denied);
        config_free(there);
        config_free(away);
}

static void what_was_known_stays_for_a_while(void **state)
{
        (void)state;
        struct config *config = config_for(fixture_value(&fixture, "identity/access.uri"),
                fixture_value(&fixture, "identity/access.ca"), "root-secret-0123456789");
        void *kept = NULL;
        sink_free(refreshed(config, &kept));
        fixture_stop(&fixture);
        for (int round = 0; round <= SOURCE_STALE; round++) {
                struct sample_sink *sink = refreshed(config, &kept);
                assert_true(samples_have(sink, "caas_directory_up 0"));
                assert_int_equal(samples_count(sink, "caas_directory_search_duration_seconds"), 0);
                assert_int_equal(samples_count(sink, "caas_group_members"), round < SOURCE_STALE ? 2 : 0);
                sink_free(sink);
        }
        source_directory.done(kept);
        config_free(config);
}

/* ---- between the exporter and the directory: what passes on what both say, as long as it is let ---- */

struct between {
        int listener, port;
        pthread_t thread;
        atomic_int connections;
        atomic_bool stalled, cut, ending; /* cut: the connection that is there is ended */
};

static int connect_to(int port)
{
        struct sockaddr_in to = {
                .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
}

static bool pass(int from, int to)
{
        char data[16384];
        ssize_t n = read(from, data, sizeof data);
        return n > 0 && write(to, data, (size_t)n) == n;
}

static void *pass_on(void *data)
{
        struct between *b = data;
        while (!b->ending) {
                struct pollfd p[2] = {{.fd = b->listener, .events = POLLIN}};
                if (poll(p, 1, 20) <= 0)
                        continue;
                int near = accept(b->listener, NULL, NULL), far = connect_to(fixture.port);
                b->connections++;
                b->cut = false;
                for (bool open = far >= 0; open && !b->cut && !b->ending;) {
                        p[0] = (struct pollfd){.fd = near, .events = POLLIN};
                        p[1] = (struct pollfd){.fd = far, .events = POLLIN};
                        if (b->stalled)
                                usleep(5000);
                        else if (poll(p, 2, 20) > 0)
                                open = (!p[0].revents || pass(near, far)) && (!p[1].revents || pass(far, near));
                }
                close(near);
                close(far);
        }
        return NULL;
}

static void between_begin(struct between *b)
{
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof at;
        b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(b->listener, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(listen(b->listener, 5), 0);
        assert_int_equal(getsockname(b->listener, (struct sockaddr *)&at, &length), 0);
        b->port = ntohs(at.sin_port);
        assert_int_equal(pthread_create(&b->thread, NULL, pass_on, b), 0);
}

static bool is_up(const struct config *config, void **kept)
{
        struct sample_sink *sink = refreshed(config, kept);
        bool up = samples_have(sink, "caas_directory_up 1");
        sink_free(sink);
        return up;
}

/* A connection that was ended is made anew, and one over which nothing comes is not: not before the next refresh. */
static void a_slow_directory_is_asked_once(void **state)
{
        (void)state;
        struct between between = {.listener = -1};
        between_begin(&between);
        CLEANUP_FREE char *uri = str_format("ldaps://127.0.0.1:%d", between.port);
        const struct directory_options options = fixture_options("cn=Directory Manager", "");
        struct config *config = config_for(uri, options.ca, "root-secret-0123456789");
        void *kept = NULL;
        assert_true(is_up(config, &kept));
        assert_int_equal(between.connections, 1);
        between.cut = true;
        assert_true(is_up(config, &kept));
        assert_int_equal(between.connections, 2);
        between.stalled = true;
        assert_false(is_up(config, &kept));
        between.stalled = false;
        between.cut = true; /* a second one would wait behind it, and be counted now */
        assert_true(is_up(config, &kept));
        assert_int_equal(between.connections, 3);
        source_directory.done(kept);
        between.ending = true;
        pthread_join(between.thread, NULL);
        close(between.listener);
        config_free(config);
}

static void add_entries(struct members *members)
{
#define U "CN=T_Notebook_Users, cn=Groups,cn=accounts,dc=t,dc=caas,dc=internal"
#define A "cn=t_notebook_admins," GROUPS
        static const struct {
                const char *dn, *group, *other, *uid;
        } given[] = {
                {"", "x", "", "a"},
                {"no dn", U, "", "../x"},
                {"uid=a b,x=y", U, "", "z"},
                {"uid=../x,x=y", U, "", "z"},
                {"cn=b,x=y", U, "no dn", "B"},
                {"uid=A,x=y", "cn=other," GROUPS, U, "z"},
                {"uid=a,x=z", A, U, "a"},
                {"uid=z,x=z", "cn=other," GROUPS, "cn=t_notebook_users,cn=groups", "z"},
        };
        for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
                json_auto_t *entry = json_pack("{s:s, s:{s:[s, s], s:[s, s]}}", "dn", given[i].dn, "attributes",
                        "memberof", given[i].group, given[i].other, "uid", given[i].uid, "c");
                assert_true(members_add(members, entry));
        }
        json_auto_t *nothing = json_object(), *strange = json_pack("{s:{s:[i, n]}}", "attributes", "memberof", 1);
        assert_true(members_add(members, nothing));
        assert_true(members_add(members, strange));
        struct members *late = members_new(&(struct config_directory){.groups_base = GROUPS}, 0);
        assert_false(members_add(late, nothing));
        members_free(late);
}

static void names_that_are_none(void **state)
{
        (void)state;
        struct config *config = config_for("ldaps://a", "", "");
        struct sample_sink *sink = sink_new(source_directory.families);
        struct members *members = members_new(&config->directory, INT64_MAX);
        add_entries(members);
        members_write(config, members, sink);
        assert_true(samples_have(sink, "caas_group_members{group=\"users\"} 2"));
        assert_true(samples_have(sink, "caas_group_members{group=\"admins\"} 1"));
        assert_true(samples_have(sink, "caas_user_group_info{user=\"a\",group=\"users\"} 1"));
        assert_true(samples_have(sink, "caas_user_group_info{user=\"a\",group=\"admins\"} 1"));
        assert_true(samples_have(sink, "caas_user_group_info{user=\"b\",group=\"users\"} 1"));
        assert_int_equal(samples_count(sink, "caas_user_group_info"), 3);
        assert_true(samples_sound(sink));
        sink_free(sink);
        members_free(members);
        config_free(config);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_that_are_none), cmocka_unit_test(members_are_counted),
                cmocka_unit_test(a_directory_that_is_away_is_a_figure),
                cmocka_unit_test(a_slow_directory_is_asked_once),
                cmocka_unit_test(what_was_known_stays_for_a_while), /* the last: it stops the directory */
        };
        return FIXTURE_RUN(tests, 21180);
}
