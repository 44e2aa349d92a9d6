/* The LDAP client against a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/ldap/directory.h"
#include "client/ldap/escape.h"
#include "client/tls/certificate.h"
#include "directory_fixture.h"

/* Says the error, for the messages are what people get. */
static void assert_fails(const struct directory_options *options, enum err_code code, const char *part)
{
        struct directory *directory = NULL;
        struct err *err = NULL;
        assert_int_equal(directory_open(options, &directory, &err), -(int)code);
        assert_null(directory);
        print_message("         %s\n", err->message);
        assert_non_null(strstr(err->message, part));
        err = err_free(err);
}

static void wrong_passwords_are_said(void **state)
{
        (void)state;
        struct directory_options options = fixture_options("cn=Directory Manager", "wrong");
        assert_fails(&options, ERR_DENIED, "does not let cn=Directory Manager in");
        options.password = "";
        assert_fails(&options, ERR_DENIED, "no password is given");
        options = fixture_options("uid=nobody,dc=nowhere", "x");
        assert_fails(&options, ERR_DENIED, "uid=nobody");
}

/* Where the certificate of a CA stands that issued nothing here. */
static char *other_ca(void)
{
        char *path = str_format("%s/other-ca.crt", fixture.state);
        struct tls_request request = {.name = "other", .days = 10, .now = 1, .ca_certificate = NULL};
        request.now = fixture.ctx.clock->wall_ms(fixture.ctx.clock) / 1000;
        CLEANUP_FREE char *certificate = NULL, *key = NULL;
        assert_int_equal(tls_issue(&request, &certificate, &key, NULL), 0);
        assert_int_equal(file_write_atomic(path, certificate, strlen(certificate), 0644, 0, 0, NULL), 0);
        return path;
}

static void a_wrong_ca_is_said(void **state)
{
        (void)state;
        CLEANUP_FREE char *path = other_ca();
        struct directory_options options = fixture_options("cn=Directory Manager", "root-secret-0123456789");
        options.ca = path;
        assert_fails(&options, ERR_REFUSED, "not the CA in");
        options.ca = ""; /* the system's, where the package ca-certificates is installed */
        if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0)
                assert_fails(&options, ERR_REFUSED, "Pangeo t");
        else
                assert_fails(&options, ERR_NOT_FOUND, "ca-certificates.crt");
        options.ca = "/nonexistent/ca.crt";
        assert_fails(&options, ERR_NOT_FOUND, "/nonexistent/ca.crt");
}

static void a_wrong_name_is_said(void **state)
{
        (void)state;
        char uri[64];
        snprintf(uri, sizeof uri, "ldaps://ip6-localhost.invalid:%d", fixture.port);
        struct directory_options options = fixture_options("cn=Directory Manager", "root-secret-0123456789");
        options.uri = uri;
        assert_fails(&options, ERR_UNREACHABLE, "ip6-localhost.invalid");
        snprintf(uri, sizeof uri, "ldaps://127.0.0.2:%d", fixture.port);
        assert_fails(&options, ERR_UNREACHABLE, "127.0.0.2");
}

static void addresses_are_checked(void **state)
{
        (void)state;
        static const char *const wrong[] = {"", "http://a", "ldapi:///", "ldap://", "ldaps:///dc=a",
                "ldaps://a/dc=b??sub", "ldap://a b", "directory.example.org", "ldaps://a:b"};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                struct directory_options options = fixture_options("cn=a", "b");
                options.uri = wrong[i];
                struct directory *directory = NULL;
                struct err *err = NULL;
                assert_int_equal(directory_open(&options, &directory, &err), -ERR_INVALID);
                err = err_free(err);
        }
}

/* Something that takes the connection and says nothing: the handshake has an end, too. */
static void silence_has_an_end(void **state)
{
        (void)state;
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof at;
        assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(listen(listener, 8), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
        char uri[64];
        const char *const schemes[] = {"ldaps", "ldap"};
        for (size_t i = 0; i < 2; i++) {
                snprintf(uri, sizeof uri, "%s://127.0.0.1:%d", schemes[i], ntohs(at.sin_port));
                struct directory_options options = fixture_options("cn=a", "b");
                options.uri = uri;
                options.connect_ms = options.operation_ms = 300;
                struct directory *directory = NULL;
                struct err *err = NULL;
                int r = directory_open(&options, &directory, &err); /* without an end this test would have none */
                print_message("         %s: %s\n", schemes[i], err->message);
                assert_true(r == -ERR_TIMEOUT || r == -ERR_UNREACHABLE);
                err = err_free(err);
        }
        close(listener);
}

/* A server that answers StartTLS with something else must not get a password in clear. */
static void no_tls_no_password(void **state)
{
        (void)state;
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t length = sizeof at;
        assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
        assert_int_equal(listen(listener, 8), 0);
        assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0) { /* refuses StartTLS (protocolError), then writes down whatever comes */
                static const unsigned char refusal[] = {
                        0x30, 0x0c, 0x02, 0x01, 0x01, 0x78, 0x07, 0x0a, 0x01, 0x02, 0x04, 0x00, 0x04, 0x00};
                for (int n = 0; n < 2; n++) {
                        char data[4096];
                        int fd = accept(listener, NULL, NULL);
                        ssize_t got = read(fd, data, sizeof data);
                        if (got > 0 && write(pipes[1], data, (size_t)got) == got &&
                                write(fd, refusal, sizeof refusal) > 0) {
                                got = read(fd, data, sizeof data);
                                if (got > 0 && write(pipes[1], data, (size_t)got) < 0)
                                        _exit(1);
                        }
                        close(fd);
                }
                _exit(0);
        }
        close(pipes[1]);
        char uri[64];
        snprintf(uri, sizeof uri, "ldap://127.0.0.1:%d", ntohs(at.sin_port));
        struct directory_options options = fixture_options("cn=somebody", "a-very-secret-password");
        options.uri = uri;
        options.connect_ms = options.operation_ms = 2000;
        assert_fails(&options, ERR_REFUSED, "StartTLS");
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        char seen[16384];
        size_t total = 0;
        for (ssize_t got; total < sizeof seen && (got = read(pipes[0], seen + total, sizeof seen - total)) > 0;)
                total += (size_t)got;
        close(pipes[0]);
        close(listener);
        assert_true(total > 0);
        assert_null(memmem(seen, total, "a-very-secret", 13));
}

static void the_plain_port_is_closed(void **state)
{
        (void)state;
        char uri[64];
        snprintf(uri, sizeof uri, "ldap://127.0.0.1:%d", fixture.port); /* StartTLS at a TLS port */
        struct directory_options options = fixture_options("cn=Directory Manager", "root-secret-0123456789");
        options.uri = uri;
        struct directory *directory = NULL;
        struct err *err = NULL;
        assert_true(directory_open(&options, &directory, &err) < 0);
        assert_null(directory);
        err = err_free(err);
}

static size_t seen_by(struct directory *directory)
{
        json_auto_t *entries = NULL;
        int r = directory_search(directory, "dc=t,dc=caas,dc=internal", DIRECTORY_TREE, "(objectClass=*)", NULL, 100,
                &entries, NULL, NULL);
        return r < 0 ? 0 : json_array_size(entries);
}

static void nobody_sees_nothing(void **state)
{
        (void)state;
        static const char *const names[] = {"", NULL};
        for (size_t i = 0; i < 2; i++) {
                struct directory_options options = fixture_options(names[i], names[i]);
                CLEANUP_DIRECTORY struct directory *directory = NULL;
                assert_int_equal(directory_open(&options, &directory, NULL), 0);
                assert_int_equal(seen_by(directory), 0);
        }
}

/* Who was signed in before is so no longer. */
static void somebody_becomes_nobody(void **state)
{
        (void)state;
        static const char *const names[] = {"", NULL};
        for (size_t i = 0; i < 2; i++) {
                CLEANUP_DIRECTORY struct directory *directory = fixture_root();
                assert_true(seen_by(directory) > 0);
                struct directory_options options = fixture_options(names[i], names[i]);
                CLEANUP_ERR struct err *err = NULL;
                if (directory_sign_in(directory, &options, &err) < 0)
                        fail_msg("%s", err->message);
                assert_int_equal(seen_by(directory), 0);
        }
}

static void entries_come_and_go(void **state)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        const char *base = "cn=users,cn=accounts,dc=t,dc=caas,dc=internal";
        CLEANUP_FREE char *dn = escape_dn("cn", "odd, (name)* \\ +x", base);
        json_auto_t *attributes = json_pack("{s:[s,s], s:s, s:s, s:[s,s]}", "objectClass", "top", "person", "cn",
                "odd, (name)* \\ +x", "sn", "Od\xc3\xa9", "description", "one", "two");
        assert_int_equal(directory_add(directory, dn, attributes, NULL), 0);
        struct err *err = NULL;
        assert_int_equal(directory_add(directory, dn, attributes, &err), -ERR_EXISTS);
        err = err_free(err);
        json_auto_t *entry = NULL;
        assert_int_equal(directory_read(directory, dn, NULL, &entry, NULL), 0);
        assert_string_equal(directory_value(entry, "SN"), "Od\xc3\xa9");
        assert_int_equal(json_array_size(directory_values(entry, "description")), 2);
        assert_true(escape_same_dn(directory_dn(entry), dn));

        CLEANUP_FREE char *value = escape_filter_value("odd, (name)* \\ +x"), *filter = str_format("(cn=%s)", value);
        json_auto_t *found = NULL;
        assert_int_equal(directory_search(directory, base, DIRECTORY_ONE, filter, NULL, 10, &found, NULL, NULL), 0);
        assert_int_equal(json_array_size(found), 1);

        bool changed = false;
        assert_int_equal(directory_value_add(directory, dn, "description", "three", &changed, NULL), 0);
        assert_true(changed);
        assert_int_equal(directory_value_add(directory, dn, "description", "three", &changed, NULL), 0);
        assert_false(changed);
        assert_int_equal(directory_value_remove(directory, dn, "description", "three", &changed, NULL), 0);
        assert_true(changed);
        assert_int_equal(directory_value_remove(directory, dn, "description", "three", &changed, NULL), 0);
        assert_false(changed);

        json_auto_t *replace = json_pack("{s:s, s:[]}", "sn", "Other", "description");
        assert_int_equal(directory_replace(directory, dn, replace, NULL), 0);
        json_auto_t *again = NULL;
        assert_int_equal(directory_read(directory, dn, NULL, &again, NULL), 0);
        assert_string_equal(directory_value(again, "sn"), "Other");
        assert_null(directory_values(again, "description"));

        assert_int_equal(directory_delete(directory, dn, NULL), 0);
        assert_int_equal(directory_delete(directory, dn, &err), -ERR_NOT_FOUND);
        err = err_free(err);
}

/* More than are sent together; what is not there is null, in its place. */
static void many_are_found_at_once(void **state)
{
        (void)state;
        enum { COUNT = 75 };
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        const char *base = "cn=users,cn=accounts,dc=t,dc=caas,dc=internal", *dns[COUNT];
        char dn[COUNT][100];
        static const char *const wanted[] = {"sn", NULL};
        json_auto_t *found = NULL, *alone = NULL;
        struct err *err = NULL;
        for (int i = 0; i < COUNT; i++) {
                snprintf(dn[i], sizeof dn[i], "cn=at once %d,%s", i, base);
                dns[i] = dn[i];
                json_auto_t *person = json_pack("{s:s, s:s}", "objectClass", "person", "sn", dn[i]);
                if (i % 3)
                        assert_int_equal(directory_add(directory, dn[i], person, NULL), 0);
        }
        assert_int_equal(directory_find_all(directory, dns, COUNT, wanted, &found, NULL), 0);
        assert_int_equal(json_array_size(found), COUNT);
        for (size_t i = 0; i < COUNT; i++) {
                const json_t *entry = json_array_get(found, i);
                assert_int_equal(json_is_null(entry), i % 3 == 0);
                if (i % 3)
                        assert_string_equal(directory_value(entry, "sn"), dn[i]);
        }
        /* A fault of one of them is said with its name, and leaves nothing behind on the connection. */
        dns[40] = "no DN at all";
        json_t *none = NULL;
        assert_int_equal(directory_find_all(directory, dns, COUNT, wanted, &none, &err), -ERR_INVALID);
        assert_non_null(strstr(err->message, "no DN at all"));
        assert_null(none);
        err = err_free(err);
        assert_int_equal(directory_read(directory, dn[1], wanted, &alone, NULL), 0);
        assert_string_equal(directory_value(alone, "sn"), dn[1]);
        json_auto_t *nothing = NULL;
        assert_int_equal(directory_find_all(directory, dns, 0, wanted, &nothing, NULL), 0);
        assert_int_equal(json_array_size(nothing), 0);
        for (int i = 0; i < COUNT; i++)
                if (i % 3)
                        assert_int_equal(directory_delete(directory, dn[i], NULL), 0);
}

static void rules_of_the_server_are_said(void **state)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        json_auto_t *incomplete = json_pack("{s:s, s:s}", "objectClass", "person", "cn", "x");
        struct err *err = NULL;
        assert_int_equal(directory_add(directory, "cn=x,dc=t,dc=caas,dc=internal", incomplete, &err), -ERR_INVALID);
        print_message("         %s\n", err->message);
        assert_non_null(strstr(err->message, "schema"));
        err = err_free(err);
        json_auto_t *number = json_pack("{s:i}", "cn", 3);
        assert_int_equal(directory_add(directory, "cn=x,dc=t", number, &err), -ERR_INVALID);
        err = err_free(err);
        json_auto_t *entries = NULL;
        assert_int_equal(
                directory_search(directory, "dc=other", DIRECTORY_TREE, "(cn=*)", NULL, 10, &entries, NULL, &err),
                -ERR_NOT_FOUND);
        err = err_free(err);
        assert_int_equal(directory_search(directory, "dc=t,dc=caas,dc=internal", DIRECTORY_TREE, "(((", NULL, 10,
                                 &entries, NULL, &err),
                -ERR_INVALID);
        err = err_free(err);
        bool has = false;
        const char *const ipa[] = {"nestedGroup", "ipaUserGroup", "ipaObject", NULL}, *const not_there[] = {
                                                                                              "nestedGroup",
                                                                                              "noSuchClass", NULL};
        assert_int_equal(directory_has_classes(directory, ipa, &has, NULL), 0);
        assert_true(has);
        assert_int_equal(directory_has_classes(directory, not_there, &has, NULL), 0);
        assert_false(has);
}

struct seen {
        size_t count, enough;
};

static bool see(void *data, const json_t *entry)
{
        struct seen *seen = data;
        assert_non_null(directory_value(entry, "cn"));
        return ++seen->count < seen->enough;
}

static void each_is_seen_once(struct directory *directory, size_t many)
{
        const char *base = "cn=many,dc=t,dc=caas,dc=internal", *all = "(objectClass=person)";
        static const char *const wanted[] = {"cn", NULL};
        struct seen seen = {.enough = SIZE_MAX}, enough = {.enough = 7}, none = {0};
        struct err *err = NULL;
        assert_int_equal(directory_each(directory, base, DIRECTORY_ONE, all, wanted, see, &seen, NULL), 0);
        assert_int_equal(seen.count, many);
        assert_int_equal(directory_each(directory, base, DIRECTORY_ONE, all, wanted, see, &enough, NULL), 0);
        assert_int_equal(enough.count, 7);
        assert_int_equal(directory_each(directory, base, DIRECTORY_ONE, "(cn=nobody)", wanted, see, &none, NULL), 0);
        assert_int_equal(directory_each(directory, "cn=no,dc=t,dc=caas,dc=internal", DIRECTORY_ONE, all, wanted, see,
                                 &none, &err),
                -ERR_NOT_FOUND);
        assert_int_equal(none.count, 0);
        err_free(err);
}

static void long_lists_come_in_pages(void **state)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *directory = fixture_root();
        const int many = 603;
        json_auto_t *container = json_pack("{s:[s,s], s:s}", "objectClass", "top", "nsContainer", "cn", "many");
        assert_int_equal(directory_add(directory, "cn=many,dc=t,dc=caas,dc=internal", container, NULL), 0);
        for (int i = 0; i < many; i++) {
                CLEANUP_FREE char *name = str_format("p%04d", i),
                                  *dn = escape_dn("cn", name, "cn=many,dc=t,dc=caas,dc=internal");
                json_auto_t *person = json_pack("{s:s, s:s, s:s}", "objectClass", "person", "cn", name, "sn", name);
                assert_int_equal(directory_add(directory, dn, person, NULL), 0);
        }
        static const char *const wanted[] = {"cn", NULL};
        const struct {
                size_t max, count;
                bool more;
        } cases[] = {{5000, 603, false}, {603, 603, false}, {602, 602, true}, {500, 500, true}, {501, 501, true},
                {1, 1, true}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_auto_t *entries = NULL;
                bool more = !cases[i].more;
                assert_int_equal(directory_search(directory, "cn=many,dc=t,dc=caas,dc=internal", DIRECTORY_ONE,
                                         "(objectClass=person)", wanted, cases[i].max, &entries, &more, NULL),
                        0);
                assert_int_equal(json_array_size(entries), cases[i].count);
                assert_int_equal(more, cases[i].more);
        }
        each_is_seen_once(directory, (size_t)many);
}

/* What the accounts of the role may do, and what not. */
static void accounts_have_few_rights(void **state)
{
        (void)state;
        const char *groups = "cn=groups,cn=accounts,dc=t,dc=caas,dc=internal",
                   *admin = "uid=admin,cn=users,cn=accounts,dc=t,dc=caas,dc=internal";
        const char *users_group = fixture_value(&fixture, "identity/users_group.dn");
        struct directory_options options =
                fixture_options("uid=hub,cn=sysaccounts,cn=etc,dc=t,dc=caas,dc=internal", "hub-secret-0123456789");
        CLEANUP_DIRECTORY struct directory *hub = NULL, *provisioner = NULL, *person = NULL;
        assert_int_equal(directory_open(&options, &hub, NULL), 0);
        options = fixture_options(
                "uid=provisioner,cn=sysaccounts,cn=etc,dc=t,dc=caas,dc=internal", "provisioner-secret-0123456789");
        assert_int_equal(directory_open(&options, &provisioner, NULL), 0);
        options = fixture_options(admin, "admin-secret-0123456789");
        assert_int_equal(directory_open(&options, &person, NULL), 0);

        json_auto_t *entry = NULL, *group = json_pack("{s:[s,s,s,s,s], s:s}", "objectClass", "top", "groupofnames",
                                           "nestedgroup", "ipausergroup", "ipaobject", "cn", "extra");
        const char *const wanted[] = {"*", "memberOf", "userPassword", NULL};
        assert_int_equal(directory_read(hub, admin, wanted, &entry, NULL), 0);
        assert_null(directory_value(entry, "userPassword"));
        assert_string_equal(directory_value(entry, "memberOf"), fixture_value(&fixture, "identity/admins_group.dn"));
        assert_string_equal(directory_value(entry, "uidNumber"), "200000");
        assert_string_equal(directory_value(entry, "gidNumber"), "200000");
        assert_int_equal(directory_value_add(hub, users_group, "member", admin, NULL, NULL), -ERR_DENIED);
        CLEANUP_FREE char *extra = escape_dn("cn", "extra", groups),
                          *elsewhere = str_format("cn=extra,cn=etc,%s", "dc=t,dc=caas,dc=internal");
        assert_int_equal(directory_add(hub, extra, group, NULL), -ERR_DENIED);
        assert_int_equal(directory_password(hub, admin, "another-password", NULL), -ERR_DENIED);

        bool may = false;
        assert_int_equal(directory_may_add(provisioner, groups, "ipausergroup", "cn", &may, NULL), 0);
        assert_true(may);
        assert_int_equal(directory_may_write(provisioner, users_group, "member", &may, NULL), 0);
        assert_true(may);
        assert_int_equal(directory_may_write(provisioner, users_group, "description", &may, NULL), 0);
        assert_false(may);
        assert_int_equal(directory_may_add(hub, groups, "ipausergroup", "cn", &may, NULL), 0);
        assert_false(may);
        assert_int_equal(directory_may_write(hub, users_group, "member", &may, NULL), 0);
        assert_false(may);

        assert_int_equal(directory_add(provisioner, elsewhere, group, NULL), -ERR_DENIED);
        assert_int_equal(directory_add(provisioner, extra, group, NULL), 0);
        assert_int_equal(directory_value_add(provisioner, extra, "member", admin, NULL, NULL), 0);
        assert_int_equal(directory_value_add(provisioner, extra, "description", "x", NULL, NULL), -ERR_DENIED);
        assert_int_equal(directory_delete(provisioner, extra, NULL), -ERR_DENIED);
        assert_int_equal(directory_value_add(provisioner, admin, "description", "x", NULL, NULL), -ERR_DENIED);
        assert_int_equal(directory_password(provisioner, admin, "another-password", NULL), -ERR_DENIED);

        assert_int_equal(directory_value_add(person, users_group, "member", admin, NULL, NULL), -ERR_DENIED);
        assert_int_equal(directory_password(person, admin, "short", NULL), -ERR_INVALID);
        assert_int_equal(directory_password(person, admin, "another-password", NULL), 0);
        options = fixture_options(admin, "another-password");
        CLEANUP_DIRECTORY struct directory *again = NULL;
        assert_int_equal(directory_open(&options, &again, NULL), 0);
}

static void locked_accounts_are_said(void **state)
{
        (void)state;
        CLEANUP_DIRECTORY struct directory *root = fixture_root();
        const char *dn = "uid=locked,cn=users,cn=accounts,dc=t,dc=caas,dc=internal";
        json_auto_t *person =
                json_pack("{s:[s,s], s:s, s:s, s:s, s:s, s:s}", "objectClass", "inetOrgPerson", "inetUser", "uid",
                        "locked", "cn", "L", "sn", "L", "userPassword", "a-good-password", "nsAccountLock", "TRUE");
        assert_int_equal(directory_add(root, dn, person, NULL), 0);
        struct directory_options options = fixture_options(dn, "a-good-password");
        assert_fails(&options, ERR_DENIED, "locked");
        options.password = "wrong-password";
        assert_fails(&options, ERR_DENIED, "locked");
}

/* The server again, as it was but for a port without TLS, as others' servers have one. Returns that. */
static int open_plain_port(void)
{
        static const char closed[] = "\"nsslapd-port\": 0,";
        const char *path = fixture_value(&fixture, "identity/helper.path");
        CLEANUP_FREE char *text = NULL;
        int port = fixture.port + 1;
        while (fixture_try(port, false) < 0)
                port++;
        assert_int_equal(file_read(path, 1024 * 1024, &text, NULL, NULL), 0);
        const char *at = strstr(text, closed);
        assert_non_null(at);
        CLEANUP_FREE char *opened =
                str_format("%.*s\"nsslapd-port\": %d,%s", (int)(at - text), text, port, at + sizeof closed - 1);
        assert_int_equal(file_write_atomic(path, opened, strlen(opened), 0755, 0, 0, NULL), 0);
        struct resource service = fixture_get(&fixture, "identity/service");
        fixture_stop(&fixture);
        assert_true(fixture_start(&fixture, service.spec));
        assert_true(fixture_wait(&fixture, port));
        json_decref(service.spec);
        return port;
}

/* The server itself lets nobody in whose password comes in clear (nsslapd-require-secure-binds). */
static void a_plain_port_becomes_tls(void **state)
{
        (void)state;
        CLEANUP_FREE char *uri = str_format("ldap://127.0.0.1:%d", open_plain_port()), *path = other_ca();
        struct directory_options options = fixture_options("cn=Directory Manager", "root-secret-0123456789");
        options.uri = uri;
        CLEANUP_DIRECTORY struct directory *directory = NULL;
        CLEANUP_ERR struct err *err = NULL;
        if (directory_open(&options, &directory, &err) < 0)
                fail_msg("%s", err->message);
        assert_true(seen_by(directory) > 0);
        options.ca = path;
        assert_fails(&options, ERR_REFUSED, "not the CA in");
        options.ca = fixture_value(&fixture, "identity/access.ca");
        options.password = "wrong";
        assert_fails(&options, ERR_DENIED, "does not let cn=Directory Manager in");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(wrong_passwords_are_said),
                cmocka_unit_test(a_wrong_ca_is_said),
                cmocka_unit_test(a_wrong_name_is_said),
                cmocka_unit_test(addresses_are_checked),
                cmocka_unit_test(silence_has_an_end),
                cmocka_unit_test(no_tls_no_password),
                cmocka_unit_test(the_plain_port_is_closed),
                cmocka_unit_test(nobody_sees_nothing),
                cmocka_unit_test(somebody_becomes_nobody),
                cmocka_unit_test(entries_come_and_go),
                cmocka_unit_test(many_are_found_at_once),
                cmocka_unit_test(rules_of_the_server_are_said),
                cmocka_unit_test(long_lists_come_in_pages),
                cmocka_unit_test(accounts_have_few_rights),
                cmocka_unit_test(locked_accounts_are_said),
                cmocka_unit_test(a_plain_port_becomes_tls),
        };
        return FIXTURE_RUN(tests, 21110);
}
