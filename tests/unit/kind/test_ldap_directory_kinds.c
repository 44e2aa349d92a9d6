/* directory.instance, ldap.entry, ldap.group and host.certificate, on a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../client/directory_fixture.h"
#include "client/ldap/directory.h"
#include "client/ldap/escape.h"
#include "client/tls/certificate.h"

static json_t *observe(const struct kind *kind, const struct resource *r)
{
        json_t *state = NULL;
        struct err *err = NULL;
        if (kind->observe(&fixture.ctx, r, &state, &err) < 0)
                fixture_die(r->id, err);
        return state;
}

static int apply(const struct kind *kind, const struct resource *r, const struct recorded *recorded, json_t **ret,
        struct err **err)
{
        json_auto_t *state = observe(kind, r);
        return kind->apply(&fixture.ctx, r, recorded, state, ret, err);
}

static enum action compared(
        const struct kind *kind, const struct resource *r, const struct recorded *recorded, const json_t *state)
{
        struct change change = {0};
        if (kind->compare)
                assert_int_equal(kind->compare(r, recorded, state, &change, NULL), 0);
        else
                change_default(r, recorded, state, &change);
        enum action action = change.action;
        change_clear(&change);
        return action;
}

static void entries_are_put_right_and_nothing_else(void **state)
{
        (void)state;
        struct resource r = fixture_get(&fixture, "identity/tree");
        json_auto_t *well = observe(&kind_ldap_entry, &r);
        assert_int_equal(json_object_size(json_object_get(well, "different")), 0);

        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        const char *groups = "cn=groups,cn=accounts,dc=t,dc=caas,dc=internal",
                   *admin = "uid=admin,cn=users,cn=accounts,dc=t,dc=caas,dc=internal";
        json_auto_t *spoilt = json_pack("{s:[s]}", "aci",
                "(targetattr = \"*\")(version 3.0; acl \"all\"; allow (all) userdn = \"ldap:///anyone\";)");
        assert_int_equal(directory_replace(directory, groups, spoilt, NULL), 0);
        json_auto_t *personal = json_pack("{s:s, s:s}", "cn", "Ada", "displayName", "Ada Lovelace");
        assert_int_equal(directory_replace(directory, admin, personal, NULL), 0);
        assert_int_equal(directory_password(directory, admin, "chosen-by-herself", NULL), 0);
        assert_int_equal(directory_password(directory, "uid=hub,cn=sysaccounts,cn=etc,dc=t,dc=caas,dc=internal",
                                 "changed-behind", NULL),
                0);

        json_auto_t *ill = observe(&kind_ldap_entry, &r);
        const json_t *different = json_object_get(ill, "different");
        assert_int_equal(json_object_size(different), 1);
        assert_non_null(json_object_get(different, groups));
        json_t *outputs = NULL;
        assert_int_equal(apply(&kind_ldap_entry, &r, NULL, &outputs, NULL), 0);
        json_auto_t *again = observe(&kind_ldap_entry, &r);
        assert_true(json_equal(well, again));

        json_auto_t *entry = NULL;
        assert_int_equal(directory_read(directory, admin, NULL, &entry, NULL), 0);
        assert_string_equal(directory_value(entry, "displayName"), "Ada Lovelace");
        struct directory_options options = fixture_options(admin, "chosen-by-herself");
        CLEANUP_DIRECTORY struct directory *ada = NULL, *hub = NULL;
        assert_int_equal(directory_open(&options, &ada, NULL), 0);
        options.bind_dn = "uid=hub,cn=sysaccounts,cn=etc,dc=t,dc=caas,dc=internal";
        options.password = "hub-secret-0123456789";
        assert_int_equal(directory_open(&options, &hub, NULL), 0);
        json_decref(r.spec);
}

static void a_group_of_others_is_never_touched(void **state)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        const char *dn = "cn=theirs,cn=groups,cn=accounts,dc=t,dc=caas,dc=internal",
                   *admin = "uid=admin,cn=users,cn=accounts,dc=t,dc=caas,dc=internal";
        json_auto_t *group = json_pack("{s:[s,s], s:s, s:s, s:s}", "objectClass", "top", "groupOfNames", "cn", "theirs",
                "description", "by hand", "member", admin);
        assert_int_equal(directory_add(directory, dn, group, NULL), 0);
        struct resource r = fixture_get(&fixture, "identity/users_group");
        json_object_del(json_object_get(r.spec, "server"), "embedded"); /* as FreeIPA is */
        json_object_set_new(r.spec, "name", json_string("theirs"));
        json_auto_t *there = observe(&kind_ldap_group, &r);
        assert_int_equal(compared(&kind_ldap_group, &r, NULL, there), ACTION_UPDATE);
        json_auto_t *outputs = NULL;
        assert_int_equal(apply(&kind_ldap_group, &r, NULL, &outputs, NULL), 0);
        assert_true(json_is_false(json_object_get(outputs, "made")));
        const struct recorded recorded = {.kind = "ldap.group", .spec = r.spec, .outputs = outputs, .complete = true};
        char *kept = NULL;
        assert_int_equal(kind_ldap_group.remove(&fixture.ctx, &r, &recorded, &kept, NULL), 0);
        assert_non_null(kept);
        free(kept);
        json_auto_t *entry = NULL;
        assert_int_equal(directory_read(directory, dn, NULL, &entry, NULL), 0);
        assert_string_equal(directory_value(entry, "description"), "by hand");
        assert_int_equal(json_array_size(directory_values(entry, "member")), 1);
        json_decref(r.spec);
}

/* Killed between making a group and writing that down: it is still ours. Anybody else's with the same words is not. */
static void our_group_is_known_after_a_kill(void **state)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        struct resource r = fixture_get(&fixture, "identity/users_group");
        json_object_del(json_object_get(r.spec, "server"), "embedded");
        json_object_set_new(r.spec, "name", json_string("ours"));
        json_auto_t *nothing = observe(&kind_ldap_group, &r);
        assert_null(nothing);
        json_auto_t *first = NULL, *second = NULL, *third = NULL, *stranger = NULL;
        assert_int_equal(apply(&kind_ldap_group, &r, NULL, &first, NULL), 0);
        assert_true(json_is_true(json_object_get(first, "made")));
        const struct recorded cut = {.kind = "ldap.group", .spec = r.spec};
        assert_int_equal(apply(&kind_ldap_group, &r, &cut, &second, NULL), 0);
        assert_true(json_equal(first, second));
        const struct recorded known = {.kind = "ldap.group", .spec = r.spec, .outputs = second, .complete = true};
        assert_int_equal(apply(&kind_ldap_group, &r, &known, &third, NULL), 0);
        assert_true(json_equal(first, third));
        assert_int_equal(apply(&kind_ldap_group, &r, NULL, &stranger, NULL), 0);
        assert_true(json_is_false(json_object_get(stranger, "made")));

        const char *dn = json_string_value(json_object_get(first, "dn"));
        assert_int_equal(directory_value_add(directory, dn, "member",
                                 "uid=admin,cn=users,cn=accounts,dc=t,dc=caas,dc=internal", NULL, NULL),
                0);
        char *kept = NULL;
        struct err *err = NULL;
        /* the provisioner of our own directory may not remove groups: it stays, and that is said */
        assert_int_equal(kind_ldap_group.remove(&fixture.ctx, &r, &known, &kept, &err), 0);
        assert_non_null(strstr(kept, "uid=provisioner"));
        assert_non_null(strstr(kept, "ipa group-del ours"));
        free(kept);
        kept = NULL;
        json_t *server = json_object_get(r.spec, "server");
        json_object_set_new(server, "bind_dn", json_string("cn=Directory Manager"));
        json_object_set_new(server, "password", json_string("root-secret-0123456789"));
        assert_int_equal(kind_ldap_group.remove(&fixture.ctx, &r, &known, &kept, &err), 0);
        assert_null(kept);
        assert_int_equal(kind_ldap_group.remove(&fixture.ctx, &r, &known, &kept, &err), 0);
        json_auto_t *gone = observe(&kind_ldap_group, &r);
        assert_null(gone);
        json_decref(r.spec);
}

static void faults_are_found_before(void **state)
{
        (void)state;
        CLEANUP_FREE char *other = str_format("%s/other-ca.crt", fixture.state), *certificate = NULL, *key = NULL;
        struct tls_request request = {.name = "other", .days = 10, .now = time(NULL)};
        assert_int_equal(tls_issue(&request, &certificate, &key, NULL), 0);
        assert_int_equal(file_write_atomic(other, certificate, strlen(certificate), 0644, 0, 0, NULL), 0);
        const struct {
                const char *key, *value, *part;
                bool of_server;
                enum err_code code;
        } cases[] = {
                {"base", "cn=groups,cn=accounts,dc=wrong", "identity.suffix", false, ERR_NOT_FOUND},
                {"password", "wrong", "identity.bind_password_file", true, ERR_DENIED},
                {"bind_dn", "uid=hub,cn=sysaccounts,cn=etc,dc=t,dc=caas,dc=internal", "does not let", true, ERR_DENIED},
                {"ca", other, "identity.server and identity.ca", true, ERR_REFUSED},
                {"uri", "ldaps://127.0.0.1:1", "Connection refused; look at identity.server", true, ERR_UNREACHABLE},
                {"name", "t_notebook_users", NULL, false, 0},
                {"name", "free_to_make", NULL, false, 0},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct resource r = fixture_get(&fixture, "identity/users_group");
                json_t *server = json_object_get(r.spec, "server");
                json_object_del(server, "embedded");
                json_object_set_new(cases[i].of_server ? server : r.spec, cases[i].key, json_string(cases[i].value));
                struct err *err = NULL;
                int result = kind_ldap_group.preflight(&fixture.ctx, &r, NULL, &err);
                assert_int_equal(result, -(int)cases[i].code);
                if (err)
                        print_message("         %s\n", err->message);
                if (cases[i].part)
                        assert_non_null(strstr(err->message, cases[i].part));
                err_free(err);
                json_decref(r.spec);
        }
        struct resource r = fixture_get(&fixture, "identity/users_group"); /* somebody who may only read */
        json_t *server = json_object_get(r.spec, "server");
        json_object_del(server, "embedded");
        json_object_set_new(server, "bind_dn", json_string("uid=hub,cn=sysaccounts,cn=etc,dc=t,dc=caas,dc=internal"));
        json_object_set_new(server, "password", json_string("hub-secret-0123456789"));
        const char *const names[] = {"t_notebook_users", "not_there_yet"};
        for (size_t i = 0; i < 2; i++) {
                struct err *err = NULL;
                json_object_set_new(r.spec, "name", json_string(names[i]));
                assert_int_equal(kind_ldap_group.preflight(&fixture.ctx, &r, NULL, &err), -ERR_DENIED);
                print_message("         %s\n", err->message);
                assert_non_null(strstr(err->message, i ? "ipa group-add not_there_yet" : "Modify Group Membership"));
                err_free(err);
        }
        json_decref(r.spec);
}

/* A form that repairs an address must not fail for the old one. */
static void an_absent_directory_stops_no_plan(void **state)
{
        (void)state;
        const char *const ids[] = {"identity/tree", "identity/users_group"};
        const struct kind *const kinds[] = {&kind_ldap_entry, &kind_ldap_group};
        for (size_t i = 0; i < 2; i++) {
                struct resource r = fixture_get(&fixture, ids[i]);
                json_object_set_new(json_object_get(r.spec, "server"), "uri", json_string("ldaps://127.0.0.1:1"));
                json_auto_t *seen = observe(kinds[i], &r), *before = json_pack("{s:b}", "there", 1);
                const struct recorded recorded = {
                        .kind = r.kind, .spec = r.spec, .state = before, .digest = "", .complete = true};
                assert_int_equal(compared(kinds[i], &r, NULL, seen), ACTION_CREATE);
                assert_int_equal(compared(kinds[i], &r, &recorded, seen), ACTION_UPDATE);
                json_t *outputs = NULL;
                struct err *err = NULL;
                assert_int_equal(kinds[i]->apply(&fixture.ctx, &r, &recorded, seen, &outputs, &err), -ERR_UNREACHABLE);
                err_free(err);
                json_decref(r.spec);
        }
}

static void specs_are_checked(void **state)
{
        (void)state;
        static const struct {
                const struct kind *kind;
                const char *id, *key;
        } cases[] = {
                {&kind_ldap_entry, "identity/tree", "entries"},
                {&kind_ldap_group, "identity/users_group", "base"},
                {&kind_ldap_group, "identity/users_group", "server"},
                {&kind_directory_instance, "identity/instance", "port"},
                {&kind_host_certificate, "identity/certificate", "ca_key"},
                {&kind_host_certificate, "identity/ca", "type"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct resource r = fixture_get(&fixture, cases[i].id);
                struct err *err = NULL;
                assert_int_equal(cases[i].kind->check(r.spec, &err), 0);
                json_object_del(r.spec, cases[i].key);
                assert_int_equal(cases[i].kind->check(r.spec, &err), -ERR_INVALID);
                err_free(err);
                json_decref(r.spec);
        }
}

/* Made once, kept when all is right, made anew when its CA or its names change or a file is lost. */
static void certificates_are_renewed_when_they_must(void **state)
{
        (void)state;
        struct resource ca = fixture_get(&fixture, "identity/ca"), r = fixture_get(&fixture, "identity/certificate");
        CLEANUP_FREE char *ca_path = str_format("%s/second/ca.crt", fixture.cluster),
                          *ca_key = str_format("%s/second/ca.key", fixture.cluster);
        CLEANUP_FREE char *path = str_format("%s/second/s.crt", fixture.cluster),
                          *key = str_format("%s/second/s.key", fixture.cluster);
        json_object_set_new(ca.spec, "certificate", json_string(ca_path));
        json_object_set_new(ca.spec, "key", json_string(ca_key));
        json_object_set_new(r.spec, "certificate", json_string(path));
        json_object_set_new(r.spec, "key", json_string(key));
        json_object_set_new(r.spec, "ca_certificate", json_string(ca_path));
        json_object_set_new(r.spec, "ca_key", json_string(ca_key));
        json_object_set_new(r.spec, "key_mode", json_string("0640"));
        json_auto_t *ca_one = NULL, *one = NULL, *same = NULL, *names = NULL, *lost = NULL, *ca_two = NULL,
                    *signed_anew = NULL;
        struct err *err = NULL;
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &one, &err), -ERR_NOT_FOUND); /* no CA yet */
        err = err_free(err);
        assert_int_equal(apply(&kind_host_certificate, &ca, NULL, &ca_one, NULL), 0);
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &one, NULL), 0);
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &same, NULL), 0);
        assert_true(json_equal(one, same));
        struct stat st;
        assert_int_equal(stat(key, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(stat(ca_key, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);

        json_object_set_new(r.spec, "names", json_pack("[s]", "other.example.org"));
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &names, NULL), 0);
        assert_false(json_equal(one, names));
        assert_int_equal(unlink(key), 0);
        json_auto_t *without = observe(&kind_host_certificate, &r);
        assert_true(json_is_false(json_object_get(without, "complete")));
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &lost, NULL), 0);
        assert_false(json_equal(names, lost));
        assert_int_equal(unlink(ca_path), 0);
        assert_int_equal(apply(&kind_host_certificate, &ca, NULL, &ca_two, NULL), 0);
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &signed_anew, NULL), 0);
        assert_false(json_equal(lost, signed_anew));
        CLEANUP_FREE char *certificate = NULL, *authority = NULL;
        assert_int_equal(file_read(path, 65536, &certificate, NULL, NULL), 0);
        assert_int_equal(file_read(ca_path, 65536, &authority, NULL, NULL), 0);
        assert_true(tls_signed_by(certificate, authority));
        char *kept = NULL;
        assert_int_equal(kind_host_certificate.remove(&fixture.ctx, &r, NULL, &kept, NULL), 0);
        json_auto_t *gone = observe(&kind_host_certificate, &r);
        assert_null(gone);
        json_decref(ca.spec);
        json_decref(r.spec);
}

static int64_t late_ms; /* added to the time of day */
static int64_t late_wall(struct clock *clock)
{
        (void)clock;
        return clock_system()->wall_ms(clock_system()) + late_ms;
}

static void certificates_wear_out(void **state)
{
        (void)state;
        struct resource r = fixture_get(&fixture, "identity/certificate");
        CLEANUP_FREE char *path = str_format("%s/third.crt", fixture.cluster),
                          *key = str_format("%s/third.key", fixture.cluster);
        json_object_set_new(r.spec, "certificate", json_string(path));
        json_object_set_new(r.spec, "key", json_string(key));
        json_object_set_new(r.spec, "days", json_integer(90));
        struct clock clock = *clock_system();
        clock.wall_ms = late_wall;
        fixture.ctx.clock = &clock;
        json_auto_t *one = NULL, *still = NULL, *renewed = NULL;
        late_ms = 0;
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &one, NULL), 0);
        late_ms = (int64_t)55 * 24 * 3600 * 1000;
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &still, NULL), 0);
        assert_true(json_equal(one, still));
        late_ms = (int64_t)65 * 24 * 3600 * 1000;
        json_auto_t *worn = observe(&kind_host_certificate, &r);
        assert_true(json_is_true(json_object_get(worn, "worn")));
        assert_int_equal(apply(&kind_host_certificate, &r, NULL, &renewed, NULL), 0);
        assert_false(json_equal(one, renewed));
        fixture.ctx.clock = clock_system();
        json_decref(r.spec);
}

/* Borrowed, until the next call. */
static const char *dse_folder(void)
{
        static char path[256];
        CLEANUP_FREE char *config = str_format("%s/directory/instance.json", fixture.cluster);
        json_auto_t *tree = json_load_file(config, 0, NULL);
        snprintf(path, sizeof path, "%s/directory/%s", fixture.cluster,
                json_string_value(json_object_get(tree, "config")));
        return path;
}

/* A new certificate and a new root password come in with a restart; the data stay. Then destroy, and destroy with the
 * data. */
static void the_instance_lives_through_changes(void **state)
{
        (void)state;
        const struct kind *kind = &kind_directory_instance;
        struct resource r = fixture_get(&fixture, "identity/instance"),
                        service = fixture_get(&fixture, "identity/service");
        struct resource certificate = fixture_get(&fixture, "identity/certificate");
        json_auto_t *before = observe(kind, &r), *same = NULL, *other = NULL, *renewed = NULL;
        assert_int_equal(apply(kind, &r, NULL, &same, NULL), 0);
        json_auto_t *after = observe(kind, &r);
        assert_true(json_equal(before, after));
        assert_true(json_equal(same, json_object_get(fixture.outputs, "identity/instance")));

        json_object_set_new(
                certificate.spec, "names", json_pack("[s,s,s]", "127.0.0.1", "localhost", "more.example.org"));
        assert_int_equal(apply(&kind_host_certificate, &certificate, NULL, &renewed, NULL), 0);
        json_object_set(r.spec, "fingerprint", json_object_get(renewed, "fingerprint"));
        json_object_set_new(r.spec, "root_password", json_string("another-root-password"));
        assert_int_equal(apply(kind, &r, NULL, &other, NULL), 0);
        assert_string_not_equal(json_string_value(json_object_get(same, "digest")),
                json_string_value(json_object_get(other, "digest")));
        fixture_stop(&fixture);
        int64_t start = clock_system()->monotonic_ms(clock_system());
        assert_true(fixture_start(&fixture, service.spec));
        print_message("         started in %d ms\n", (int)(clock_system()->monotonic_ms(clock_system()) - start));
        struct directory_options options = fixture_options("cn=Directory Manager", "root-secret-0123456789");
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        assert_int_equal(directory_open(&options, &directory, NULL), -ERR_DENIED);
        options.password = "another-root-password";
        assert_int_equal(directory_open(&options, &directory, NULL), 0);
        json_auto_t *admin = NULL;
        assert_int_equal(directory_read(directory, "uid=admin,cn=users,cn=accounts,dc=t,dc=caas,dc=internal", NULL,
                                 &admin, NULL),
                0);

        fixture_stop(&fixture);
        char *kept = NULL;
        assert_int_equal(kind->remove(&fixture.ctx, &r, NULL, &kept, NULL), 0);
        assert_non_null(strstr(kept, "/directory"));
        free(STEAL(kept));
        json_auto_t *still = observe(kind, &r);
        assert_non_null(still);

        /* What is kept is root's, as the account's number may become somebody's; the next apply gives it back. */
        CLEANUP_FREE char *dse = str_format("%s/dse.ldif", dse_folder());
        struct stat st;
        assert_int_equal(stat(dse, &st), 0);
        assert_int_equal(st.st_uid, 0);
        json_auto_t *anew = NULL;
        assert_int_equal(apply(kind, &r, NULL, &anew, NULL), 0);
        assert_int_equal(stat(dse, &st), 0);
        assert_int_equal(st.st_uid, getpwnam("dirsrv")->pw_uid);
        assert_true(fixture_start(&fixture, service.spec));
        directory = directory_close(directory);
        assert_int_equal(directory_open(&options, &directory, NULL), 0);
        fixture_stop(&fixture);

        fixture.ctx.delete_data = true;
        assert_int_equal(kind->remove(&fixture.ctx, &r, NULL, &kept, NULL), 0);
        assert_null(kept);
        json_auto_t *gone = observe(kind, &r);
        assert_null(gone);
        json_decref(r.spec), json_decref(service.spec), json_decref(certificate.spec);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(faults_are_found_before),
                cmocka_unit_test(entries_are_put_right_and_nothing_else),
                cmocka_unit_test(a_group_of_others_is_never_touched),
                cmocka_unit_test(our_group_is_known_after_a_kill),
                cmocka_unit_test(an_absent_directory_stops_no_plan),
                cmocka_unit_test(specs_are_checked),
                cmocka_unit_test(certificates_are_renewed_when_they_must),
                cmocka_unit_test(certificates_wear_out),
                cmocka_unit_test(the_instance_lives_through_changes),
        };
        return FIXTURE_RUN(tests, 21130);
}
