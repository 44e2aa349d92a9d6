/* Who is in, on a real server: granted, revoked, nested, listed; accounts made and removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/directory_fixture.h"
#include "access/membership.h"
#include "client/ldap/directory.h"
#include "client/ldap/escape.h"

#define USERS   "cn=users,cn=accounts,dc=t,dc=caas,dc=internal"
#define GROUPS  "cn=groups,cn=accounts,dc=t,dc=caas,dc=internal"
#define MACHINE "uid=%s,cn=sysaccounts,cn=etc,dc=t,dc=caas,dc=internal"

#define access_object json_object_get(fixture.outputs, "identity/access")

static int try_bind(const char *name, const char *password)
{
        CLEANUP_FREE char *dn = escape_dn("uid", name, USERS);
        struct directory_options options = fixture_options(dn, password);
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        return directory_open(&options, &directory, NULL);
}

static void add_user(const char *name)
{
        const struct membership_user user = {
                .name = name, .full_name = "Some Body", .mail = "s@example.org", .password = "a-fine-password-1"};
        struct err *err = NULL;
        if (membership_user_add(access_object, &user, NULL, &err) < 0)
                fixture_die(name, err);
}

/* The user's line of the list; NULL when not in. Borrowed from *list. */
static const json_t *listed(json_t **list, const char *name)
{
        struct err *err = NULL;
        if (membership_list(access_object, 1000, list, &err) < 0)
                fixture_die("list", err);
        size_t i;
        const json_t *user;
        json_array_foreach (json_object_get(*list, "users"), i, user)
                if (str_is(json_string_value(json_object_get(user, "name")), name))
                        return user;
        return NULL;
}

static bool flag(const json_t *object, const char *key)
{
        return json_is_true(json_object_get(object, key));
}

static void accounts_get_their_own_numbers(void **state)
{
        (void)state;
        json_auto_t *one = NULL, *other = NULL;
        struct membership_user user = {
                .name = "alice", .full_name = "Alice Liddell", .mail = "alice@example.org", .password = "wonderland-1"};
        assert_int_equal(membership_user_add(access_object, &user, &one, NULL), 0);
        user.name = "bob.b-c_d";
        user.mail = user.full_name = NULL;
        assert_int_equal(membership_user_add(access_object, &user, &other, NULL), 0);
        json_int_t first = json_integer_value(json_object_get(one, "uid")),
                   second = json_integer_value(json_object_get(other, "uid"));
        assert_true(first > 200000 && first < 210000 && second > 200000 && second < 210000);
        assert_int_not_equal(first, second);
        assert_int_equal(first, json_integer_value(json_object_get(one, "gid")));
        assert_int_equal(second, json_integer_value(json_object_get(other, "gid")));
        assert_int_equal(try_bind("alice", "wonderland-1"), 0);
        struct err *err = NULL;
        assert_int_equal(membership_user_add(access_object, &user, NULL, &err), -ERR_EXISTS);
        print_message("         %s\n", err->message);
        err_free(err);
        json_auto_t *list = NULL;
        assert_null(listed(&list, "alice")); /* an account is not a member yet */
}

static void hostile_accounts_are_refused(void **state)
{
        (void)state;
        static const struct membership_user users[] = {
                {"", NULL, NULL, "a-fine-password-1"},
                {"Alice", NULL, NULL, "a-fine-password-1"},
                {"1a", NULL, NULL, "a-fine-password-1"},
                {"-a", NULL, NULL, "a-fine-password-1"},
                {"a b", NULL, NULL, "a-fine-password-1"},
                {"a,cn=x", NULL, NULL, "a-fine-password-1"},
                {"a/../b", NULL, NULL, "a-fine-password-1"},
                {"a*", NULL, NULL, "a-fine-password-1"},
                {"root", NULL, NULL, "a-fine-password-1"},
                {"\xc3\xa9ve", NULL, NULL, "a-fine-password-1"},
                {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL, "a-fine-password-1"},
                {"caas-test-bob", NULL, NULL, "a-fine-password-1"},
                {"x", "", NULL, "a-fine-password-1"},
                {"x", "a\nb", NULL, "a-fine-password-1"},
                {"x", "\xff", NULL, "a-fine-password-1"},
                {"x", NULL, "no mail", "a-fine-password-1"},
                {"x", NULL, "nomail", "a-fine-password-1"},
                {"x", NULL, NULL, "short"},
                {"x", NULL, NULL, ""},
                {"x", NULL, NULL, "with\nnewline"},
                {"x", NULL, NULL, "\xff\xff\xff\xff\xff\xff\xff\xff"},
        };
        for (size_t i = 0; i < sizeof users / sizeof *users; i++) {
                struct err *err = NULL;
                assert_int_equal(membership_user_add(access_object, &users[i], NULL, &err), -ERR_INVALID);
                err_free(err);
        }
        assert_true(membership_name_ok("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
        assert_true(membership_name_ok("_x"));
}

static void grant_and_revoke_can_be_repeated(void **state)
{
        (void)state;
        add_user("carol"), add_user("dave");
        const char *const names[] = {"carol", "dave", NULL}, *const carol[] = {"carol", NULL};
        json_auto_t *one = NULL, *again = NULL, *admin = NULL, *list = NULL, *out = NULL, *out_again = NULL,
                    *after = NULL;
        assert_int_equal(membership_grant(access_object, names, false, &one, NULL), 0);
        assert_int_equal(json_array_size(one), 2);
        assert_true(flag(json_array_get(one, 0), "changed"));
        assert_int_equal(membership_grant(access_object, names, false, &again, NULL), 0);
        assert_false(flag(json_array_get(again, 0), "changed"));
        assert_int_equal(membership_grant(access_object, carol, true, &admin, NULL), 0);
        const json_t *user = listed(&list, "carol");
        assert_non_null(user);
        assert_true(flag(user, "member") && flag(user, "admin") && !flag(user, "locked"));
        assert_string_equal(json_string_value(json_object_get(user, "full_name")), "Some Body");
        assert_string_equal(json_string_value(json_object_get(user, "mail")), "s@example.org");
        assert_int_equal(json_array_size(json_object_get(user, "via")), 0);
        assert_int_equal(membership_revoke(access_object, names, &out, NULL), 0);
        assert_true(flag(json_array_get(out, 0), "changed"));
        assert_int_equal(membership_revoke(access_object, names, &out_again, NULL), 0);
        assert_false(flag(json_array_get(out_again, 1), "changed"));
        assert_null(listed(&after, "carol"));
}

static void unknown_users_let_nobody_in(void **state)
{
        (void)state;
        add_user("erin");
        const char *const names[] = {"erin", "ghost", "spook", NULL};
        json_t *results = NULL;
        struct err *err = NULL;
        assert_int_equal(membership_grant(access_object, names, false, &results, &err), -ERR_NOT_FOUND);
        assert_null(results);
        print_message("         %s\n", err->message);
        assert_non_null(strstr(err->message, "ghost, spook"));
        err = err_free(err);
        json_auto_t *list = NULL, *out = NULL;
        assert_null(listed(&list, "erin"));
        static const char *const odd[] = {"", "*", "a)(uid=*", "erin,cn=x", "a b", "-x"};
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
                const char *const one[] = {odd[i], NULL};
                assert_int_equal(membership_grant(access_object, one, false, &results, &err), -ERR_INVALID);
                err = err_free(err);
                assert_int_equal(membership_revoke(access_object, one, &results, &err), -ERR_INVALID);
                err = err_free(err);
        }
        const char *const ghost[] = {"ghost", NULL}; /* somebody the directory has forgotten can still be taken out */
        assert_int_equal(membership_revoke(access_object, ghost, &out, NULL), 0);
}

/* Staged and preserved users stand elsewhere in the tree and are nobody. */
static void staged_users_are_nobody(void **state)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        json_auto_t *container = json_pack("{s:[s,s], s:s}", "objectClass", "top", "nsContainer", "cn", "staged users");
        const char *base = "cn=staged users,dc=t,dc=caas,dc=internal";
        assert_int_equal(directory_add(directory, base, container, NULL), 0);
        json_auto_t *person = json_pack("{s:[s,s,s], s:s, s:s, s:s, s:s, s:s, s:s}", "objectClass", "inetOrgPerson",
                "inetUser", "posixAccount", "uid", "stage", "cn", "S", "sn", "S", "uidNumber", "5", "gidNumber", "5",
                "homeDirectory", "/home/stage");
        assert_int_equal(
                directory_add(directory, "uid=stage,cn=staged users,dc=t,dc=caas,dc=internal", person, NULL), 0);
        const char *const names[] = {"stage", NULL};
        json_t *results = NULL;
        struct err *err = NULL;
        assert_int_equal(membership_grant(access_object, names, false, &results, &err), -ERR_NOT_FOUND);
        err_free(err);
}

static void nested_members_are_listed_and_said_on_revoke(void **state)
{
        (void)state;
        add_user("frank");
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        json_auto_t *team = json_pack("{s:[s,s,s,s,s], s:s, s:s}", "objectClass", "top", "groupofnames", "nestedgroup",
                "ipausergroup", "ipaobject", "cn", "team", "member", "uid=frank," USERS);
        assert_int_equal(directory_add(directory, "cn=team," GROUPS, team, NULL), 0);
        const char *users_group = fixture_value(&fixture, "identity/users_group.dn");
        assert_int_equal(directory_value_add(directory, users_group, "member", "cn=team," GROUPS, NULL, NULL), 0);
        json_auto_t *list = NULL, *out = NULL, *locked_list = NULL,
                    *locked = json_pack("{s:s}", "nsAccountLock", "TRUE");
        const json_t *user = listed(&list, "frank");
        assert_non_null(user);
        assert_true(flag(user, "member"));
        assert_string_equal(json_string_value(json_array_get(json_object_get(user, "via"), 0)), "team");
        const char *const names[] = {"frank", NULL};
        assert_int_equal(membership_revoke(access_object, names, &out, NULL), 0);
        assert_false(flag(json_array_get(out, 0), "changed"));
        assert_string_equal(
                json_string_value(json_array_get(json_object_get(json_array_get(out, 0), "via"), 0)), "team");
        assert_int_equal(directory_replace(directory, "uid=frank," USERS, locked, NULL), 0);
        assert_true(flag(listed(&locked_list, "frank"), "locked"));
}

static bool is_in(const char *name)
{
        bool in = false;
        struct err *err = NULL;
        if (membership_is_in(access_object, name, &in, &err) < 0)
                fixture_die(name, err);
        return in;
}

/* A home is deleted of nobody who is in. */
static void who_is_in_is_known(void **state)
{
        (void)state;
        const char *const users[] = {"heidi", NULL}, *const admins[] = {"ivan", NULL};
        json_auto_t *out = NULL, *other = NULL, *gone = NULL;
        add_user("heidi");
        add_user("ivan");
        assert_false(is_in("heidi"));
        assert_false(is_in("nobody-at-all"));
        assert_int_equal(membership_grant(access_object, users, false, &out, NULL), 0);
        assert_int_equal(membership_grant(access_object, admins, true, &other, NULL), 0);
        assert_true(is_in("heidi"));
        assert_true(is_in("ivan"));
        assert_true(is_in("frank")); /* by way of another group, and locked */
        assert_int_equal(membership_revoke(access_object, users, &gone, NULL), 0);
        assert_false(is_in("heidi"));
        assert_true(is_in("ivan"));
}

static void lists_have_an_end(void **state)
{
        (void)state;
        json_auto_t *list = NULL;
        assert_int_equal(membership_list(access_object, 1, &list, NULL), 0);
        assert_int_equal(json_array_size(json_object_get(list, "users")), 1);
        assert_true(flag(list, "more"));
}

static void passwords_change_and_accounts_go(void **state)
{
        (void)state;
        add_user("grace");
        const char *const names[] = {"grace", NULL};
        json_auto_t *in = NULL, *list = NULL, *after = NULL;
        assert_int_equal(membership_grant(access_object, names, false, &in, NULL), 0);
        assert_int_equal(membership_user_passwd(access_object, "grace", "another-password-2", NULL), 0);
        assert_int_equal(try_bind("grace", "a-fine-password-1"), -ERR_DENIED);
        assert_int_equal(try_bind("grace", "another-password-2"), 0);
        assert_non_null(listed(&list, "grace"));
        assert_int_equal(membership_user_remove(access_object, "grace", NULL), 0);
        assert_null(listed(&after, "grace"));
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        json_auto_t *group = NULL;
        assert_int_equal(
                directory_read(directory, fixture_value(&fixture, "identity/users_group.dn"), NULL, &group, NULL), 0);
        size_t i;
        const json_t *member;
        json_array_foreach (directory_values(group, "member"), i, member) /* referential integrity */
                assert_null(strstr(json_string_value(member), "uid=grace,"));
        struct err *err = NULL;
        assert_int_equal(membership_user_remove(access_object, "grace", &err), -ERR_NOT_FOUND);
        err = err_free(err);
        assert_int_equal(membership_user_passwd(access_object, "grace", "another-password-2", &err), -ERR_NOT_FOUND);
        err = err_free(err);
        assert_int_equal(membership_user_remove(access_object, "admin", &err), -ERR_REFUSED);
        print_message("         %s\n", err->message);
        err = err_free(err);
        assert_int_equal(membership_user_passwd(access_object, "alice", "short", &err), -ERR_INVALID);
        err_free(err);
}

static void a_temporary_account_leaves_nothing(void **state)
{
        (void)state;
        char *name = NULL, *password = NULL;
        json_auto_t *list = NULL, *after = NULL;
        assert_int_equal(membership_temporary(access_object, &name, &password, NULL), 0);
        assert_int_equal(try_bind(name, password), 0);
        assert_non_null(listed(&list, name));
        assert_int_equal(membership_user_remove(access_object, name, NULL), 0);
        assert_null(listed(&after, name));
        free(name);
        mem_wipe_free(password, strlen(password));
}

/* Ten wrong passwords and the account takes none for a while; that is no lock that ends what somebody has here, and the
 * machines' own accounts take any number. */
static void guessing_is_slow_and_locks_nobody_out_for_good(void **state)
{
        (void)state;
        add_user("mallory");
        for (int i = 0; i < 10; i++)
                assert_int_equal(try_bind("mallory", "a-wrong-password"), -ERR_DENIED);
        assert_int_equal(try_bind("mallory", "a-fine-password-1"), -ERR_DENIED);
        static const char *const wanted[] = {"nsAccountLock", "accountUnlockTime", NULL};
        CLEANUP_DIRECTORY struct directory *directory = fixture_root(), *hub = NULL;
        json_auto_t *locked = NULL;
        assert_int_equal(directory_read(directory, "uid=mallory," USERS, wanted, &locked, NULL), 0);
        assert_null(directory_value(locked, "nsAccountLock"));
        assert_non_null(directory_value(locked, "accountUnlockTime"));
        const char *names[] = {"mallory", NULL};
        json_auto_t *granted = NULL, *list = NULL;
        assert_int_equal(membership_grant(access_object, names, false, &granted, NULL), 0);
        assert_false(flag(listed(&list, "mallory"), "locked"));

        static const char *const machines[] = {"hub", "provisioner"};
        for (size_t m = 0; m < 2; m++) {
                CLEANUP_FREE char *dn = str_format(MACHINE, machines[m]),
                                  *password = str_format("%s-secret-0123456789", machines[m]);
                struct directory_options options = fixture_options(dn, "a-wrong-password");
                for (int i = 0; i < 12; i++)
                        assert_int_equal(directory_open(&options, &hub, NULL), -ERR_DENIED);
                options.password = password;
                hub = directory_close(hub);
                assert_int_equal(directory_open(&options, &hub, NULL), 0);
                json_auto_t *seen = NULL;
                directory_read(hub, "uid=mallory," USERS, wanted, &seen, NULL);
                assert_int_equal(m == 0, directory_value(seen, "accountUnlockTime") != NULL); /* for the hub's page */
        }
        struct directory_options manager = fixture_options("cn=Directory Manager", "a-wrong-password");
        for (int i = 0; i < 12; i++)
                assert_int_equal(directory_open(&manager, &hub, NULL), -ERR_DENIED);
        directory_close(fixture_root());

        /* A new password from an administrator opens it at once. */
        assert_int_equal(membership_user_passwd(access_object, "mallory", "another-password-2", NULL), 0);
        assert_int_equal(try_bind("mallory", "another-password-2"), 0);
}

static void accounts_of_others_are_refused(void **state)
{
        (void)state;
        json_auto_t *other = json_deep_copy(access_object);
        json_object_set_new(other, "embedded", json_false());
        const struct membership_user user = {.name = "x", .password = "a-fine-password-1"};
        struct err *err = NULL;
        assert_int_equal(membership_user_add(other, &user, NULL, &err), -ERR_REFUSED);
        print_message("         %s\n", err->message);
        err = err_free(err);
        assert_int_equal(membership_user_passwd(other, "alice", "a-fine-password-1", &err), -ERR_REFUSED);
        err = err_free(err);
        assert_int_equal(membership_user_remove(other, "alice", &err), -ERR_REFUSED);
        err = err_free(err);
        char *name = NULL, *password = NULL;
        assert_int_equal(membership_temporary(other, &name, &password, &err), -ERR_REFUSED);
        err = err_free(err);
        json_object_set_new(other, "uri", json_string("ldaps://127.0.0.1:1"));
        json_t *list = NULL;
        assert_int_equal(membership_list(other, 10, &list, &err), -ERR_UNREACHABLE);
        err_free(err);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(accounts_get_their_own_numbers),
                cmocka_unit_test(hostile_accounts_are_refused),
                cmocka_unit_test(grant_and_revoke_can_be_repeated),
                cmocka_unit_test(unknown_users_let_nobody_in),
                cmocka_unit_test(staged_users_are_nobody),
                cmocka_unit_test(nested_members_are_listed_and_said_on_revoke),
                cmocka_unit_test(who_is_in_is_known),
                cmocka_unit_test(lists_have_an_end),
                cmocka_unit_test(passwords_change_and_accounts_go),
                cmocka_unit_test(a_temporary_account_leaves_nothing),
                cmocka_unit_test(guessing_is_slow_and_locks_nobody_out_for_good),
                cmocka_unit_test(accounts_of_others_are_refused),
        };
        return FIXTURE_RUN(tests, 21150);
}
