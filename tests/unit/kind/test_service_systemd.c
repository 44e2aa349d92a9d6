/* host.service under a real systemd. Where it is not the first process there is nothing to test here: the integration
 * suite runs this program in a machine where it is. */
#include <signal.h>
#include <stdlib.h>

#include "client/service/family.h"
#include "client/service/service.h"
#include "fixture.h"

extern const struct kind kind_host_service;

#define SERVER                                                                                                         \
        "\"/usr/bin/python3\", \"-u\", \"-c\", \"import http.server,os,sys\\nprint('hello', "                          \
        "os.environ.get('SHOWN'))\\n"                                                                                  \
        "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), "                                                     \
        "http.server.SimpleHTTPRequestHandler).serve_forever()\""

static struct service_host host_of(struct fixture *f)
{
        return (struct service_host){
                .cluster = f->ctx.cluster, .cluster_dir = f->cluster_dir, .clock = clock_system(), .cancel = f->cancel};
}

static struct service_status status_of(struct fixture *f, const char *name)
{
        struct service_host host = host_of(f);
        struct service_status status;
        MUST(service_systemd.status(&host, name, &status, err));
        return status;
}

static int setup(void **state)
{
        fixture_setup(state);
        struct fixture *f = *state;
        f->ctx.cluster = "unittest";
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        struct service_host host = host_of(f);
        static const char *const names[] = {"web", "crash", "missing", "family"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                struct service s = {.name = names[i]};
                service_systemd.remove(&host, &s, NULL);
        }
        return fixture_teardown(state);
}

static void assert_in_environment(pid_t pid, const char *assignment)
{
        CLEANUP_FREE char *path = str_format("/proc/%d/environ", (int)pid);
        CLEANUP_FREE char *data = NULL;
        size_t length = 0;
        MUST(file_read(path, 1 << 20, &data, &length, err));
        if (!memmem(data, length, assignment, strlen(assignment) + 1))
                fail_msg("%s is not in its environment", assignment);
}

static void service_lives(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec =
                "{\"name\": \"web\", \"command\": [" SERVER ", P01], \"directory\": \"D/\","
                " \"environment\": {\"SHOWN\": \"a'b\\\"c $X 50%n\"}, \"ready\": {\"tcp\": \"127.0.0.1:P01\"},"
                " \"secrets\": {\"TOKEN\": {\"$secret\": \"hub/token\"}}, \"limits\": {\"nofile\": 512}}";
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_CREATE);
        struct service_status first = status_of(f, "web");
        assert_true(first.running && first.enabled);
        assert_in_environment(first.pid, "TOKEN=" SECRET);
        assert_in_environment(first.pid, "SHOWN=a'b\"c $X 50%n");
        CLEANUP_FREE char *unit = NULL;
        MUST(file_read("/etc/systemd/system/caas-unittest-web.service", 1 << 20, &unit, NULL, err));
        assert_null(strstr(unit, "s3cret"));
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_NONE);

        /* it dies: it comes back, and that is no drift */
        assert_int_equal(kill(first.pid, SIGKILL), 0);
        struct service_status second = {0};
        for (int i = 0; i < 100 && (!second.running || second.pid == first.pid); i++) {
                usleep(100000);
                second = status_of(f, "web");
        }
        assert_true(second.running && second.pid != first.pid && second.incarnation != first.incarnation);
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_NONE);

        /* another user, then stopped by hand: drift */
        spec = "{\"name\": \"web\", \"command\": [" SERVER ", P01], \"directory\": \"D/\", \"user\": \"daemon\","
               " \"capabilities\": [\"CAP_NET_BIND_SERVICE\"], \"ready\": {\"tcp\": \"127.0.0.1:P01\"}}";
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_UPDATE);
        struct service_host host = host_of(f);
        struct service service = {.name = "web"};
        CLEANUP_FREE char *log = service_systemd.log_tail(&host, "web", 5, 0);
        assert_non_null(strstr(log, "  hello "));
        MUST(service_systemd.stop(&host, &service, err));
        assert_false(status_of(f, "web").running);
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_UPDATE);

        pid_t last = status_of(f, "web").pid;
        free(fixture_remove(f, &kind_host_service, &m));
        assert_int_equal(family_start_time(last), 0);
        assert_false(is_there(f, "service"));
        assert_false(file_exists("/etc/systemd/system/caas-unittest-web.service"));
        free(fixture_remove(f, &kind_host_service, &m)); /* again */
}

static void failures_say_why(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_FREE char *crash = fixture_refused(f, &kind_host_service,
                "{\"name\": \"crash\", \"command\": [\"/bin/sh\", \"-c\", \"echo cannot open the thing >&2; exit 3\"],"
                " \"ready\": {\"tcp\": \"127.0.0.1:P02\"}}",
                &m);
        /* systemd itself may have seen the end before it told that the program was entered */
        assert_true(strstr(crash, "keeps ending") || strstr(crash, "does not start"));
        assert_non_null(strstr(crash, "\n  cannot open the thing"));
        CLEANUP_FREE char *missing = fixture_refused(
                f, &kind_host_service, "{\"name\": \"missing\", \"command\": [\"/no/such/program\"]}", &m);
        assert_non_null(strstr(missing, "does not start"));
        assert_non_null(strstr(missing, "/no/such/program"));
}

/* Its child stands in a session of its own, as users' servers do. */
static bool child_survives(struct fixture *f, const char *stop)
{
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_FREE char *spec =
                str_format("{\"name\": \"family\", \"directory\": \"D/\", \"stop\": \"%s\", \"command\": "
                           "[\"/bin/sh\", \"-c\", \"setsid sleep 1002 & sleep 0.3; echo $! > child;"
                           " exec sleep 1003\"]}",
                        stop);
        fixture_apply(f, &kind_host_service, spec, &m);
        CLEANUP_FREE char *path = fixture_path(f, "child");
        CLEANUP_FREE char *text = NULL;
        MUST(file_read(path, 64, &text, NULL, err));
        free(fixture_remove(f, &kind_host_service, &m));
        pid_t child = atoi(text);
        bool alive = family_start_time(child) != 0;
        if (alive)
                kill(child, SIGKILL);
        return alive;
}

static void stopping_reaches_whom_it_should(void **state)
{
        struct fixture *f = *state;
        assert_true(child_survives(f, "process"));
        assert_false(child_survives(f, "group"));
}

int main(void)
{
        if (service_driver() != &service_systemd || geteuid() != 0) {
                printf("skip: services of systemd: it is not the first process here, or this is not root\n");
                return 0;
        }
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {T(service_lives), T(failures_say_why), T(stopping_reaches_whom_it_should)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
