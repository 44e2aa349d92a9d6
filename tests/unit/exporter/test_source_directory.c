/* Who is in the groups: from a real directory that has nested groups, comes late and goes away. */
#include <setjmp.h>
#include <stdarg.h>
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
        json_auto_t *tree = json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "cluster", "t", "directory",
                "uri", uri, "ca", ca, "bind_dn", "cn=Directory Manager", "bind_password", password, "groups_base",
                GROUPS, "users_group", "t_notebook_users", "admins_group", "t_notebook_admins");
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

static void members_are_counted(void **state)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *root = fixture_root();
        static const char *const members[] = {
                "uid=alice," USERS, "uid=Bob," USERS, GROUPS, "cn=t_notebook_admins," GROUPS};
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
                assert_int_equal(
                        directory_value_add(root, "cn=t_notebook_users," GROUPS, "member", members[i], NULL, NULL), 0);
        struct config *config = config_for(fixture_value(&fixture, "identity/access.uri"),
                fixture_value(&fixture, "identity/access.ca"), "root-secret-0123456789");
        void *kept = NULL;
        for (int round = 0; round < 2; round++) { /* the second time over the same connection */
                struct sample_sink *sink = refreshed(config, &kept);
                assert_true(samples_have(sink, "caas_directory_up 1"));
                assert_int_equal(samples_count(sink, "caas_directory_search_duration_seconds"), 1);
                assert_true(samples_have(sink, "caas_user_group_info{user=\"alice\",group=\"users\"} 1"));
                assert_true(samples_have(sink, "caas_user_group_info{user=\"bob\",group=\"users\"} 1"));
                assert_true(samples_have(sink, "caas_user_group_info{user=\"admin\",group=\"admins\"} 1"));
                assert_true(samples_have(sink, "caas_group_members{group=\"users\"} 2"));
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

static void names_that_are_none(void **state)
{
        (void)state;
        struct config *config = config_for("ldaps://a", "", "");
        json_auto_t *entries = json_loads(
                "[{\"dn\": \"cn=T_Notebook_Users,x\", \"attributes\": {\"cn\": [\"T_Notebook_Users\"], \"member\": "
                "[\"\", "
                "\"no dn\", \"uid=a b,x=y\", \"uid=../x,x=y\", \"cn=a,x=y\", \"uid=A,x=y\", \"uid=a,x=z\"]}},"
                " {}, {\"dn\": \"cn=other,x\", \"attributes\": {\"cn\": [\"other\"], \"member\": [\"uid=z,x=y\"]}}]",
                0, NULL);
        struct sample_sink *sink = sink_new(source_directory.families);
        assert_non_null(entries);
        directory_add_groups(config, entries, sink);
        assert_true(samples_have(sink, "caas_group_members{group=\"users\"} 1"));
        assert_true(samples_have(sink, "caas_user_group_info{user=\"a\",group=\"users\"} 1"));
        assert_int_equal(samples_count(sink, "caas_group_members"), 1);
        assert_true(samples_sound(sink));
        sink_free(sink);
        config_free(config);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_that_are_none), cmocka_unit_test(members_are_counted),
                cmocka_unit_test(a_directory_that_is_away_is_a_figure),
                cmocka_unit_test(what_was_known_stays_for_a_while), /* the last: it stops the directory */
        };
        return FIXTURE_RUN(tests, 21180);
}
