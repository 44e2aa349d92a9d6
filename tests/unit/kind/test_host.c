/* host.claim, host.account, host.package and host.requirements on this machine. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/proc.h"
#include "client/tls/certificate.h"
#include "fixture.h"
#include "kind/net.h"

extern const struct kind kind_host_claim, kind_host_account, kind_host_package, kind_host_requirements;

static int listen_on(int port)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(fd, 1), 0);
        return fd;
}

static int64_t number_of(const struct remembered *m, const char *name)
{
        return (int64_t)json_integer_value(json_object_get(m->outputs, name));
}

static void claims_are_free_ports_and_stay_the_same(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        int taken[8]; /* of ten ports, all but the first and the last are somebody's */
        for (int i = 0; i < 8; i++)
                taken[i] = listen_on(fixture_ports + 41 + i);
        const char *spec = "{\"scope\": \"port\", \"names\": [\"a\", \"b\"], \"first\": P40, \"last\": P49}";
        assert_int_equal(fixture_apply(f, &kind_host_claim, spec, &m), ACTION_CREATE);
        int64_t a = number_of(&m, "a"), b = number_of(&m, "b");
        assert_true((a == fixture_ports + 40 && b == fixture_ports + 49) ||
                    (b == fixture_ports + 40 && a == fixture_ports + 49));
        for (int i = 0; i < 8; i++)
                close(taken[i]);
        assert_int_equal(fixture_apply(f, &kind_host_claim, spec, &m), ACTION_NONE);

        /* a name more, a name less: the others keep theirs, also while our own service listens */
        int ours = listen_on((int)a);
        spec = "{\"scope\": \"port\", \"names\": [\"c\", \"a\"], \"first\": P40, \"last\": P49}";
        assert_int_equal(fixture_apply(f, &kind_host_claim, spec, &m), ACTION_UPDATE);
        int64_t c = number_of(&m, "c");
        assert_int_equal(number_of(&m, "a"), a);
        assert_true(c >= fixture_ports + 40 && c <= fixture_ports + 49 && c != a);

        /* killed after the claims were made, before the journal heard of it: the same numbers again */
        CLEANUP_REMEMBERED struct remembered forgotten = {0};
        fixture_apply(f, &kind_host_claim, spec, &forgotten);
        assert_int_equal(number_of(&forgotten, "c"), c);
        /* the claims lost, the journal not: the same numbers, too */
        CLEANUP_FREE char *folder = file_join(f->state, "claims");
        MUST(file_remove_tree(folder, err));
        assert_int_equal(fixture_apply(f, &kind_host_claim, spec, &m), ACTION_CREATE);
        assert_int_equal(number_of(&m, "a"), a);
        close(ours);

        free(fixture_remove(f, &kind_host_claim, &m));
        CLEANUP_FREE char *file = str_format("%s/port/%d", folder, (int)a);
        assert_false(file_exists(file));
        free(fixture_remove(f, &kind_host_claim, &m));
}

/* Killed while a claim was written: neither the file nor the one that was to become it stays. */
static void claims_leave_nothing_half_made(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec = "{\"scope\": \"port\", \"names\": [\"a\"], \"first\": P40, \"last\": P49}";
        CLEANUP_FREE char *folder = file_join(f->state, "claims/port");
        CLEANUP_FREE char *half = str_format("%s/.new demo test-it ", folder), *part = str_format("%s.Ab12Cd", half);
        CLEANUP_FREE char *others = str_format("%s/.new other test-it ", folder);
        fixture_apply(f, &kind_host_claim, spec, &m);
        for (int i = 0; i < 2; i++) {
                MUST(file_write_atomic(half, "x", 1, 0600, (uid_t)-1, (gid_t)-1, err));
                MUST(file_write_atomic(part, "x", 1, 0600, (uid_t)-1, (gid_t)-1, err));
                MUST(file_write_atomic(others, "x", 1, 0600, (uid_t)-1, (gid_t)-1, err));
                if (i == 0) {
                        spec = "{\"scope\": \"port\", \"names\": [\"a\", \"b\"], \"first\": P40, \"last\": P49}";
                        fixture_apply(f, &kind_host_claim, spec, &m);
                } else {
                        free(fixture_remove(f, &kind_host_claim, &m));
                }
                assert_false(file_exists(half));
                assert_false(file_exists(part));
                assert_true(file_exists(others));
        }
}

static void claims_end(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_claim,
                "{\"scope\": \"port\", \"names\": [\"a\", \"b\", \"c\"], \"first\": P50, \"last\": P51}", &m);
        CLEANUP_FREE char *expected =
                str_format("no port from %d to %d is free for c", fixture_ports + 50, fixture_ports + 51);
        assert_string_equal(message, expected);
        CLEANUP_FREE char *range = fixture_refused(
                f, &kind_host_claim, "{\"scope\": \"port\", \"names\": [], \"first\": 5, \"last\": 4}", &m);
        assert_non_null(strstr(range, "no range"));
}

static void ranges_of_ids_leave_accounts_alone(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        /* root has id 0, daemon 1: the first range without an account is far behind them */
        assert_int_equal(
                fixture_apply(f, &kind_host_claim,
                        "{\"scope\": \"uid\", \"names\": [\"first\"], \"first\": 1, \"last\": 99999, \"step\": 10000}",
                        &m),
                ACTION_CREATE);
        assert_true(number_of(&m, "first") >= 10001);
        assert_int_equal((number_of(&m, "first") - 1) % 10000, 0);
}

/* Several processes, each of a cluster of its own, claim at once: nobody gets what another has. */
static void processes_claim_apart(void **state)
{
        struct fixture *f = *state;
        enum { PROCESSES = 4, NAMES = 5 };
        pid_t pids[PROCESSES];
        for (int i = 0; i < PROCESSES; i++) {
                pids[i] = fork();
                assert_true(pids[i] >= 0);
                if (pids[i] > 0)
                        continue;
                CLEANUP_FREE char *cluster = str_format("c%d", i);
                f->ctx.cluster = cluster;
                struct remembered m = {0};
                fixture_apply(f, &kind_host_claim,
                        "{\"scope\": \"port\", \"names\": [\"a\", \"b\", \"c\", \"d\", \"e\"], \"first\": P60, "
                        "\"last\": P79}",
                        &m);
                _exit(json_object_size(m.outputs) == NAMES ? 0 : 1);
        }
        for (int i = 0; i < PROCESSES; i++) {
                int status = -1;
                waitpid(pids[i], &status, 0);
                assert_int_equal(status, 0);
        }
        bool seen[PROCESSES * NAMES] = {false};
        for (int port = fixture_ports + 60; port < fixture_ports + 80; port++) {
                CLEANUP_FREE char *path = str_format("%s/claims/port/%d", f->state, port);
                CLEANUP_FREE char *text = NULL;
                MUST(file_read(path, 4096, &text, NULL, err)); /* all twenty, each with a whole text */
                int cluster;
                char name;
                assert_int_equal(sscanf(text, "c%d test/it %c\n", &cluster, &name), 2);
                assert_false(seen[cluster * NAMES + name - 'a']);
                seen[cluster * NAMES + name - 'a'] = true;
        }
}

static void account_is_ours_or_left_alone(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0}, root = {0};
        CLEANUP_FREE char *name = str_format("caas-test-%d", (int)getpid());
        CLEANUP_FREE char *spec =
                str_format("{\"name\": \"%s\", \"home\": \"D/proxy\", \"comment\": \"Pangeo: proxies\"}", name);
        assert_int_equal(fixture_apply(f, &kind_host_account, spec, &m), ACTION_CREATE);
        assert_true(number_of(&m, "uid") > 0);
        assert_string_equal(json_string_value(json_object_get(m.outputs, "name")), name);
        assert_int_equal(fixture_apply(f, &kind_host_account, spec, &m), ACTION_NONE);

        /* another cluster's use of it is no right to remove it */
        f->ctx.cluster = "dem";
        free(fixture_remove(f, &kind_host_account, &m));
        f->ctx.cluster = "demo";
        assert_int_equal(fixture_apply(f, &kind_host_account, spec, &m), ACTION_NONE);
        free(fixture_remove(f, &kind_host_account, &m));
        CLEANUP_FREE char *line = str_format("\n%s:", name);
        CLEANUP_FREE char *passwd = NULL;
        MUST(file_read("/etc/passwd", 1 << 20, &passwd, NULL, err));
        assert_null(strstr(passwd, line));
        free(fixture_remove(f, &kind_host_account, &m)); /* again */

        /* there before us: used, never removed */
        assert_int_equal(fixture_apply(f, &kind_host_account, "{\"name\": \"daemon\"}", &root), ACTION_UPDATE);
        free(fixture_remove(f, &kind_host_account, &root));
        CLEANUP_FREE char *after = NULL;
        MUST(file_read("/etc/passwd", 1 << 20, &after, NULL, err));
        assert_non_null(strstr(after, "\ndaemon:"));
        remembered_clear(&root);
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_account, "{\"name\": \"-x\"}", &root);
        assert_non_null(strstr(message, "no name for an account"));
}

static void installed_packages_need_nothing(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec = "{\"packages\": [\"bash\", \"dpkg\"]}";
        assert_int_equal(
                fixture_apply(f, &kind_host_package, spec, &m), ACTION_UPDATE); /* there already: taken note of */
        assert_int_equal(fixture_apply(f, &kind_host_package, spec, &m), ACTION_NONE);

        CLEANUP_RESOURCE struct resource r =
                fixture_resource(f, &kind_host_package, "{\"packages\": [\"bash\", \"no-such-package\"]}");
        json_auto_t *seen = NULL;
        MUST(kind_host_package.observe(&f->ctx, &r, &seen, err));
        assert_int_equal(json_array_size(json_object_get(seen, "installed")), 1);
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_package, "{\"packages\": [\"-x\"]}", &m);
        assert_non_null(strstr(message, "no name of a package"));
}

static atomic_bool given_back;

static void *give_back(void *fd)
{
        usleep(300000);
        given_back = true;
        flock(*(int *)fd, LOCK_UN);
        return NULL;
}

/* One run's policy for services is not another's to take away. */
static void runs_install_one_after_the_other(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_CLOSE int other = open("/usr/sbin", O_RDONLY | O_CLOEXEC);
        pthread_t thread;
        assert_int_equal(flock(other, LOCK_EX), 0);
        assert_int_equal(pthread_create(&thread, NULL, give_back, &other), 0);
        assert_int_equal(fixture_apply(f, &kind_host_package, "{\"packages\": [\"bash\"]}", &m), ACTION_UPDATE);
        assert_true(given_back);
        pthread_join(thread, NULL);
}

#define UNIT "caas-test-of-a-package.service"
#define MASK "/etc/systemd/system/" UNIT

/* In apt's place: notes what it finds, and does what the test wants. */
static void put_apt(const struct fixture *f, const char *what)
{
        CLEANUP_FREE char *folder = file_join(f->state, "bin");
        CLEANUP_FREE char *path = file_join(folder, "apt-get");
        CLEANUP_FREE char *text =
                str_format("#!/bin/sh\nreadlink " MASK " >%s/seen\ncat /usr/sbin/policy-rc.d >>%s/seen\n"
                           "echo \"$*\" >>%s/seen\n%s\n",
                        f->state, f->state, f->state, what);
        CLEANUP_FREE char *search = str_format("%s:/usr/sbin:/usr/bin:/sbin:/bin", folder);
        MUST(file_make_dirs(folder, 0755, err));
        MUST(file_write_atomic(path, text, strlen(text), 0755, (uid_t)-1, (gid_t)-1, err));
        assert_int_equal(setenv("PATH", search, 1), 0);
}

static char *seen_by_apt(const struct fixture *f)
{
        CLEANUP_FREE char *path = file_join(f->state, "seen");
        char *text = NULL;
        MUST(file_read(path, 65536, &text, NULL, err));
        return text;
}

static bool is_link(const char *path)
{
        char target[64];
        return readlink(path, target, sizeof target) > 0;
}

/* While a package is installed, its units are masked; before and after they are not. */
static void services_of_packages_never_start(void **state)
{
        struct fixture *f = *state;
        const char *spec = "{\"packages\": [\"bash\", \"caas-no-such-package\"], \"mask\": [\"" UNIT "\"]}";
        CLEANUP_FREE char *path = str_copy(getenv("PATH"));
        CLEANUP_REMEMBERED struct remembered m = {0};
        bool given = file_exists("/usr/sbin/policy-rc.d"); /* somebody's own, as images have it: that counts then */
        put_apt(f, "exit 0");
        assert_int_equal(fixture_apply(f, &kind_host_package, spec, &m), ACTION_UPDATE);
        CLEANUP_FREE char *seen = seen_by_apt(f);
        assert_true(str_starts(seen, "/dev/null\n#!/bin/sh\n"));
        assert_non_null(strstr(seen, "exit 101"));
        assert_non_null(strstr(seen, "--force-confold install --no-install-recommends caas-no-such-package\n"));
        assert_false(is_link(MASK));
        assert_true(file_exists("/usr/sbin/policy-rc.d") == given);

        /* it failed, and the unit is not there: nothing is left */
        put_apt(f, "exit 1");
        CLEANUP_REMEMBERED struct remembered failed = {0};
        free(fixture_refused(f, &kind_host_package, spec, &failed));
        assert_false(is_link(MASK));
        assert_true(file_exists("/usr/sbin/policy-rc.d") == given);

        /* somebody's own unit of that name, or mask, is theirs */
        put_apt(f, "exit 0");
        assert_int_equal(symlink("/dev/null", MASK), 0);
        CLEANUP_REMEMBERED struct remembered again = {0};
        fixture_apply(f, &kind_host_package, spec, &again);
        assert_true(is_link(MASK));
        assert_int_equal(unlink(MASK), 0);
        setenv("PATH", path, 1);
        CLEANUP_FREE char *message =
                fixture_refused(f, &kind_host_package, "{\"packages\": [], \"mask\": [\"../x.service\"]}", &again);
        assert_non_null(strstr(message, "no name of a service's unit"));
}

static void what_dpkg_has_left_half_done_is_finished(void **state)
{
        struct fixture *f = *state;
        const char *spec = "{\"packages\": [\"caas-no-such-package\"]}";
        CLEANUP_FREE char *path = str_copy(getenv("PATH"));
        CLEANUP_FREE char *dpkg = file_join(f->state, "bin/dpkg");
        CLEANUP_FREE char *whole = file_join(f->state, "whole");
        CLEANUP_FREE char *text = str_format("#!/bin/sh\necho \"$*\" >%s\n", whole);
        CLEANUP_FREE char *refuse =
                str_format("[ ! -e %s ] || exit 0\necho \"E: dpkg was interrupted, you must "
                           "manually run 'dpkg --configure -a' to correct the problem.\" >&2\nexit 100",
                        whole);
        put_apt(f, refuse);
        MUST(file_write_atomic(dpkg, text, strlen(text), 0755, (uid_t)-1, (gid_t)-1, err));
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_package, spec, &m);
        setenv("PATH", path, 1);
        CLEANUP_FREE char *finished = NULL, *seen = seen_by_apt(f);
        MUST(file_read(whole, 4096, &finished, NULL, err));
        assert_string_equal(finished, "--force-confdef --force-confold --configure -a\n");
        assert_non_null(strstr(seen, "install --no-install-recommends caas-no-such-package\n"));
}

static void requirements_name_everything_at_once(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        int taken = listen_on(fixture_ports + 90);
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_requirements,
                "{\"domain\": \"localhost\", \"address\": \"192.0.2.1\", \"port\": P90, \"http_port\": P91,"
                " \"disk_gb\": 100000000, \"memory_gb\": 1000000, \"root\": true, \"programs\": [\"sh\", "
                "\"no-such-program\"]}",
                &m);
        static const char *const parts[] = {"domain localhost resolves to ", "not to external_ip 192.0.2.1",
                " is in use by another program", "GB are free for the state folder", "GB of memory",
                "the program no-such-program is not installed"};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
                if (!strstr(message, parts[i]))
                        fail_msg("%s is missing in:\n%s", parts[i], message);
        const char *one = strstr(message, "\nport ");
        assert_non_null(one);
        assert_null(strstr(one + 1, "\nport ")); /* the other one is free */
        assert_null(strstr(message, "program sh"));

        CLEANUP_FREE char *unknown = fixture_refused(
                f, &kind_host_requirements, "{\"domain\": \"no-such-host.invalid\", \"address\": \"192.0.2.1\"}", &m);
        assert_non_null(strstr(unknown, "domain no-such-host.invalid does not resolve"));

        /* what is right is accepted; once applied, our own service may hold the port */
        close(taken);
        const char *spec = "{\"domain\": \"localhost\", \"address\": \"127.0.0.1\", \"port\": P90, \"disk_gb\": 0.001,"
                           " \"memory_gb\": 0.001, \"programs\": [\"sh\", \"/bin/ls\"]}";
        assert_int_equal(fixture_apply(f, &kind_host_requirements, spec, &m), ACTION_CREATE);
        assert_int_equal(fixture_apply(f, &kind_host_requirements, spec, &m), ACTION_NONE);
        taken = listen_on(fixture_ports + 90);
        spec = "{\"domain\": \"localhost\", \"address\": \"127.0.0.1\", \"port\": P90, \"disk_gb\": 100000000}";
        assert_int_equal(fixture_apply(f, &kind_host_requirements, spec, &m), ACTION_UPDATE);
        close(taken);
}

/* The fixture reads "D/" and "P12" as folder and port, and they may stand in base64 as well. The caller frees. */
static char *as_it_is(const json_t *spec)
{
        CLEANUP_FREE char *text = json_dumps(spec, 0);
        struct buf out = BUF_INIT(65536);
        for (const char *p = text; *p; p++)
                if (*p == 'D' || *p == 'P')
                        buf_format(&out, "\\u%04x", (unsigned)*p);
                else
                        buf_add(&out, p, 1);
        return buf_steal(&out);
}

static void a_given_certificate_is_looked_at_first(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        char *certificates[2] = {0}, *keys[2] = {0};
        CLEANUP_FREE char *path = file_join(f->state, "given.key");
        for (int i = 0; i < 2; i++) {
                struct tls_request request = {.name = "hub.example.org", .days = 9, .now = time(NULL)};
                MUST(tls_issue(&request, &certificates[i], &keys[i], err));
        }
        MUST(file_write_atomic(path, keys[1], strlen(keys[1]), 0600, (uid_t)-1, (gid_t)-1, err));
        char *specs[2];
        for (int i = 0; i < 2; i++) {
                json_auto_t *spec = json_pack("{s:s, s:s, s:s, s:s, s:s}", "domain", "hub.example.org", "certificate",
                        certificates[i], "certificate_path", "/etc/ssl/given.pem", "copy", path, "copy_digest", "x");
                specs[i] = as_it_is(spec);
        }
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_requirements, specs[0], &m);
        assert_non_null(strstr(message, "the certificate /etc/ssl/given.pem cannot be used: its key does not match"));
        assert_non_null(strstr(message, path));
        assert_int_equal(fixture_apply(f, &kind_host_requirements, specs[1], &m), ACTION_CREATE);
        MUST(file_remove(path, err));
        CLEANUP_FREE char *gone = fixture_refused(f, &kind_host_requirements, specs[0], &m);
        assert_non_null(strstr(gone, path));
        for (int i = 0; i < 2; i++)
                free(specs[i]), free(certificates[i]), free(keys[i]);
}

static void ports_and_names(void **state)
{
        (void)state;
        assert_true(net_port_is_free(fixture_ports + 95));
        int fd = listen_on(fixture_ports + 95);
        assert_false(net_port_is_free(fixture_ports + 95));
        close(fd);
        assert_true(net_port_is_free(fixture_ports + 95));
        assert_int_equal(net_check_name("127.0.0.1", "127.0.0.1", NULL), 0);
        assert_int_equal(net_check_name("::1", "0:0::1", NULL), 0);
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(net_check_name("localhost", "somewhere", &err), -ERR_INVALID);
        assert_non_null(strstr(err->message, "no IP address"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(claims_are_free_ports_and_stay_the_same),
                T(claims_leave_nothing_half_made),
                T(claims_end),
                T(ranges_of_ids_leave_accounts_alone),
                T(processes_claim_apart),
                T(account_is_ours_or_left_alone),
                T(installed_packages_need_nothing),
                T(runs_install_one_after_the_other),
                T(what_dpkg_has_left_half_done_is_finished),
                T(services_of_packages_never_start),
                T(requirements_name_everything_at_once),
                T(a_given_certificate_is_looked_at_first),
                T(ports_and_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
