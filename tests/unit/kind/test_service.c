/* host.service and host.probe with real programs under a real runsvdir, in a folder of their own. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "client/service/family.h"
#include "client/service/runsvdir.h"
#include "client/service/supervise.h"
#include "fixture.h"

extern const struct kind kind_host_service, kind_host_probe;

#define SERVER                                                                                                         \
        "\"/usr/bin/python3\", \"-u\", \"-c\", \"import http.server,os,sys\\nprint('hello', os.environ.get('SHOWN'), " \
        "os.getuid())\\nhttp.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), "                                      \
        "http.server.SimpleHTTPRequestHandler).serve_forever()\""

static struct service_host host_of(struct fixture *f)
{
        return (struct service_host){
                .cluster = "demo", .cluster_dir = f->cluster_dir, .clock = clock_system(), .cancel = f->cancel};
}

static pid_t pid_of(struct fixture *f, const char *name)
{
        struct service_host host = host_of(f);
        struct service_status status;
        MUST(service_runit.status(&host, name, &status, err));
        return status.pid;
}

/* How many processes have the text in their arguments. */
static int count_processes(const char *text)
{
        int count = 0;
        DIR *dir = opendir("/proc");
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
                CLEANUP_FREE char *path = str_format("/proc/%s/cmdline", entry->d_name);
                CLEANUP_FREE char *data = NULL;
                size_t length = 0;
                if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
                        file_read(path, 1 << 20, &data, &length, NULL) == 0)
                        count += memmem(data, length, text, strlen(text)) != NULL;
        }
        if (dir)
                closedir(dir);
        return count;
}

static int count_runsvdirs(struct fixture *f)
{
        CLEANUP_FREE char *folder = fixture_path(f, "service");
        return count_processes(folder);
}

/* Nothing may outlive a test, also when it failed. */
static int teardown(void **state)
{
        struct fixture *f = *state;
        struct service_host host = host_of(f);
        static const char *const names[] = {"web", "two", "crash", "family"};
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                struct service s = {.name = names[i], .stop_group = true, .stop_seconds = 2};
                service_runit.remove(&host, &s, NULL);
        }
        int left = count_processes(f->cluster_dir);
        fixture_teardown(state);
        return left ? -1 : 0;
}

static char *read_path(struct fixture *f, const char *name)
{
        CLEANUP_FREE char *path = fixture_path(f, name);
        char *text = NULL;
        MUST(file_read(path, 1 << 20, &text, NULL, err));
        return text;
}

static void service_lives(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec = "{\"name\": \"web\", \"command\": [" SERVER ", P01], \"directory\": \"D/\","
                           " \"environment\": {\"SHOWN\": \"a'b\\\"c $X\"}, \"secrets\": {\"TOKEN\": {\"$secret\": "
                           "\"hub/token\"}},"
                           " \"ready\": {\"http\": \"http://127.0.0.1:P01/\"}, \"revision\": [\"1\"],"
                           " \"limits\": {\"nofile\": 512}, \"stop_seconds\": 3}";
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_CREATE);
        pid_t first = pid_of(f, "web");
        assert_true(first > 0);

        /* the secret is in its environment, not in its arguments, the scripts or the log */
        CLEANUP_FREE char *environ_path = str_format("/proc/%d/environ", (int)first);
        CLEANUP_FREE char *environment = NULL;
        size_t length = 0;
        MUST(file_read(environ_path, 1 << 20, &environment, &length, err));
        assert_non_null(memmem(environment, length, "TOKEN=" SECRET, strlen("TOKEN=" SECRET) + 1));
        assert_null(memmem(environment, length, "TEST_LEAK", strlen("TEST_LEAK")));
        CLEANUP_FREE char *run = read_path(f, "service/web/run");
        assert_null(strstr(run, "s3cret"));
        assert_mode(f, "service/web/secrets", 0600);
        assert_mode(f, "service/web", 0700);
        assert_mode(f, "log/web", 0750);
        CLEANUP_FREE char *log = read_path(f, "log/web/current");
        assert_non_null(strstr(log, "hello a'b\"c $X 0"));
        CLEANUP_FREE char *limits_path = str_format("/proc/%d/limits", (int)first);
        CLEANUP_FREE char *limits = NULL;
        MUST(file_read(limits_path, 1 << 20, &limits, NULL, err));
        assert_non_null(strstr(limits, "Max open files            512"));

        /* nothing to do touches nothing; how we wait and stop is no reason to restart */
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_NONE);
        assert_int_equal(pid_of(f, "web"), first);
        spec = "{\"name\": \"web\", \"command\": [" SERVER ", P01], \"directory\": \"D/\","
               " \"environment\": {\"SHOWN\": \"a'b\\\"c $X\"}, \"secrets\": {\"TOKEN\": {\"$secret\": \"hub/token\"}},"
               " \"ready\": {\"tcp\": \"127.0.0.1:P01\"}, \"revision\": [\"1\"],"
               " \"limits\": {\"nofile\": 512}, \"stop_seconds\": 2}";
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_UPDATE);
        assert_int_equal(pid_of(f, "web"), first);

        /* another revision restarts */
        spec = "{\"name\": \"web\", \"command\": [" SERVER ", P01], \"directory\": \"D/\","
               " \"environment\": {\"SHOWN\": \"a'b\\\"c $X\"}, \"secrets\": {\"TOKEN\": {\"$secret\": \"hub/token\"}},"
               " \"ready\": {\"tcp\": \"127.0.0.1:P01\"}, \"revision\": [\"2\"],"
               " \"limits\": {\"nofile\": 512}, \"stop_seconds\": 2}";
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_UPDATE);
        pid_t second = pid_of(f, "web");
        assert_true(second > 0 && second != first);

        /* stopped by hand: drift, and it comes back */
        struct service_host host = host_of(f);
        struct service s = {.name = "web", .stop_seconds = 2};
        MUST(service_runit.stop(&host, &s, err));
        assert_int_equal(pid_of(f, "web"), 0);
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_UPDATE);
        assert_true(pid_of(f, "web") > 0);

        /* tampered with: drift, too */
        put(f, "service/web/run", "#!/bin/sh\nexec sleep 1000\n");
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_UPDATE);
        CLEANUP_FREE char *healed = read_path(f, "service/web/run");
        assert_non_null(strstr(healed, "python3"));

        free(fixture_remove(f, &kind_host_service, &m));
        assert_false(is_there(f, "service"));
        assert_false(is_there(f, "log/web"));
        assert_false(is_there(f, "service/.runsvdir.pid"));
        assert_false(runsvdir_alive(&host));
        free(fixture_remove(f, &kind_host_service, &m)); /* again */
}

static void service_reloads(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
#define RELOADED(revision, reload_revision)                                                                            \
        "{\"name\": \"web\", \"command\": [\"/bin/sleep\", \"1000\"], \"environment\": {\"A\": 5}, \"revision\": "     \
        "[\"" revision "\"],"                                                                                          \
        " \"reload\": [\"/bin/sh\", \"-c\", \"echo reloaded $A >> reloads\"], \"directory\": \"D/\","                  \
        " \"restart_notice\": \"people notice\", \"reload_revision\": \"" reload_revision "\"}"
        fixture_apply(f, &kind_host_service, RELOADED("1", "1"), &m);
        pid_t first = pid_of(f, "web");
        assert_false(is_there(f, "reloads"));
        fixture_apply(f, &kind_host_service, RELOADED("1", "2"), &m);
        assert_int_equal(pid_of(f, "web"), first);
        assert_content(f, "reloads", "reloaded 5\n");

        CLEANUP_RESOURCE struct resource r = fixture_resource(f, &kind_host_service, RELOADED("2", "3"));
        json_auto_t *seen = NULL;
        struct change change = {0};
        MUST(kind_host_service.observe(&f->ctx, &r, &seen, err));
        MUST(kind_host_service.compare(&r, &m.recorded, seen, &change, err));
        assert_string_equal(change.notice, "people notice");
        change_clear(&change);
        fixture_apply(f, &kind_host_service, RELOADED("2", "3"), &m);
        assert_int_not_equal(pid_of(f, "web"), first);
        assert_content(f, "reloads", "reloaded 5\n");

        /* cut off inside: nobody knows which definition it runs with */
        pid_t second = pid_of(f, "web");
        m.recorded.complete = false;
        fixture_apply(f, &kind_host_service, RELOADED("2", "3"), &m);
        assert_int_not_equal(pid_of(f, "web"), second);
        free(fixture_remove(f, &kind_host_service, &m));
}

/* "keeps ending": after the time it may take to become ready it would say that nobody answers. */
static void crash_is_told_at_once_with_the_log(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0}, other = {0};
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_service,
                "{\"name\": \"crash\", \"command\": [\"/bin/sh\", \"-c\", \"echo cannot open the thing >&2; exit 3\"],"
                " \"ready\": {\"tcp\": \"127.0.0.1:P02\"}, \"ready_seconds\": 300}",
                &m);
        assert_non_null(strstr(message, "keeps ending"));
        assert_non_null(strstr(message, "  cannot open the thing"));

        /* what an earlier start left in the log is not told */
        CLEANUP_FREE char *log = fixture_path(f, "log/two");
        MUST(file_make_dirs(log, 0700, err));
        put(f, "log/two/current", "2020-01-01_00:00:00.00000 out of paper\n");
        CLEANUP_FREE char *missing = fixture_refused(f, &kind_host_service,
                "{\"name\": \"two\", \"command\": [\"/no/such/program\"], \"ready_seconds\": 300}", &other);
        assert_non_null(strstr(missing, "/no/such/program"));
        assert_null(strstr(missing, "out of paper"));
}

static void silence_is_told_after_its_time(void **state)
{
        struct fixture *f = *state;
        /* on a busy machine a shell may need longer than that until it has said anything */
        static const char *const seconds[] = {"1.2", "10", "60"};
        for (size_t i = 0; i < 3; i++) {
                CLEANUP_REMEMBERED struct remembered m = {0};
                CLEANUP_FREE char *spec = str_format(
                        "{\"name\": \"two\", \"command\": [\"/bin/sh\", \"-c\", \"echo thinking; exec sleep 1000\"],"
                        " \"ready\": {\"tcp\": \"127.0.0.1:P03\"}, \"ready_seconds\": %s}",
                        seconds[i]);
                f->progress_lines = 0;
                CLEANUP_FREE char *message = fixture_refused(f, &kind_host_service, spec, &m);
                if (strstr(message, "does not answer at 127.0.0.1:") && strstr(message, "  thinking") &&
                        f->progress_lines > 1)
                        return;
        }
        fail_msg("it does not say where nobody answers, with the log");
}

static void stranger_does_not_pass_for_it(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered web = {0}, two = {0};
        fixture_apply(f, &kind_host_service,
                "{\"name\": \"web\", \"command\": [" SERVER ", P07], \"ready\": {\"tcp\": \"127.0.0.1:P07\"}}", &web);
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_service,
                "{\"name\": \"two\", \"command\": [" SERVER ", P07], \"ready\": {\"tcp\": \"127.0.0.1:P07\"}}", &two);
        assert_non_null(strstr(message, "another program answers at 127.0.0.1:"));
        assert_int_equal(pid_of(f, "two"), 0);
        free(fixture_remove(f, &kind_host_service, &web));
        fixture_apply(f, &kind_host_service,
                "{\"name\": \"two\", \"command\": [" SERVER ", P07], \"ready\": {\"tcp\": \"127.0.0.1:P07\"}}", &two);
        free(fixture_remove(f, &kind_host_service, &two));
        remembered_clear(&two);
}

static bool lives(const char *text)
{
        long pid;
        CLEANUP_FREE char *copy = str_copy(text);
        assert_int_equal(str_to_long(str_trim(copy), &pid), 0);
        return family_start_time((pid_t)pid) != 0;
}

/* Its children: one like any other, one in a session of its own, as users' servers are. */
#define FAMILY(stop)                                                                                                   \
        "{\"name\": \"family\", \"directory\": \"D/\", \"stop\": \"" stop "\", \"stop_seconds\": 2, \"command\": "     \
        "[\"/bin/sh\", \"-c\", \"sleep 1001 & echo $! > plain; setsid sleep 1002 & sleep 0.3; echo $! > apart;"        \
        " exec sleep 1003\"]}"

static void stopping_a_process_leaves_its_children(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_service, FAMILY("process"), &m);
        CLEANUP_FREE char *plain = read_path(f, "plain");
        CLEANUP_FREE char *apart = read_path(f, "apart");
        free(fixture_remove(f, &kind_host_service, &m));
        assert_true(lives(plain));
        assert_true(lives(apart));
        kill(atoi(plain), SIGKILL);
        kill(atoi(apart), SIGKILL);
}

static void stopping_a_group_leaves_nobody(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_service, FAMILY("group"), &m);
        CLEANUP_FREE char *plain = read_path(f, "plain");
        CLEANUP_FREE char *apart = read_path(f, "apart");
        assert_true(lives(plain));
        free(fixture_remove(f, &kind_host_service, &m));
        assert_false(lives(plain));
        assert_false(lives(apart));
}

static void stubborn_service_is_killed(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_service,
                "{\"name\": \"web\", \"stop_seconds\": 1, \"command\": [\"/bin/sh\", \"-c\","
                " \"trap '' TERM; while :; do sleep 1; done\"]}",
                &m);
        pid_t pid = pid_of(f, "web");
        free(fixture_remove(f, &kind_host_service, &m));
        assert_int_equal(family_start_time(pid), 0);
}

struct applier {
        struct fixture *f;
        const char *spec;
        struct remembered m;
        char *message;
};

static void *apply_in_thread(void *data)
{
        struct applier *a = data;
        struct resource r = fixture_resource(a->f, &kind_host_service, a->spec);
        struct err *err = NULL;
        if (fixture_run(a->f, &kind_host_service, &r, &a->m, &err) < 0)
                a->message = str_copy(err ? err->message : "no message");
        err_free(err);
        fixture_resource_clear(&r);
        return NULL;
}

static void services_start_side_by_side(void **state)
{
        struct fixture *f = *state;
        struct applier a[2] = {{.f = f, .spec = "{\"name\": \"web\", \"command\": [\"/bin/sleep\", \"1000\"]}"},
                {.f = f, .spec = "{\"name\": \"two\", \"command\": [\"/bin/sleep\", \"1000\"]}"}};
        pthread_t thread[2];
        int64_t begun = clock_system()->monotonic_ms(clock_system());
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&thread[i], NULL, apply_in_thread, &a[i]), 0);
        for (size_t i = 0; i < 2; i++)
                pthread_join(thread[i], NULL);
        if (getenv("TEST_VERBOSE"))
                fprintf(stderr, "  two services up after %lld ms\n",
                        (long long)(clock_system()->monotonic_ms(clock_system()) - begun));
        for (size_t i = 0; i < 2; i++)
                if (a[i].message)
                        fail_msg("%s", a[i].message);
        assert_int_equal(count_runsvdirs(f), 1);
        for (size_t i = 0; i < 2; i++) {
                free(fixture_remove(f, &kind_host_service, &a[i].m));
                remembered_clear(&a[i].m);
        }
        assert_false(is_there(f, "service"));
}

static void lost_supervisor_is_replaced(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec = "{\"name\": \"web\", \"command\": [\"/bin/sleep\", \"1000\"], \"stop_seconds\": 2}";
        fixture_apply(f, &kind_host_service, spec, &m);
        CLEANUP_FREE char *text = read_path(f, "service/.runsvdir.pid");
        uint64_t begun = family_start_time(atoi(text));
        assert_int_equal(kill(atoi(text), SIGKILL), 0);
        for (int i = 0; i < 100 && family_start_time(atoi(text)) == begun; i++)
                usleep(10000);
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_UPDATE);
        assert_int_equal(fixture_apply(f, &kind_host_service, spec, &m), ACTION_NONE);

        /* killed between starting it and writing its pid down: it is found, there is no second one */
        CLEANUP_FREE char *path = fixture_path(f, "service/.runsvdir.pid");
        unlink(path);
        fixture_apply(f, &kind_host_service, spec, &m);
        assert_int_equal(count_runsvdirs(f), 1);
        free(fixture_remove(f, &kind_host_service, &m));
}

static void removal_is_taken_up_again(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_service, "{\"name\": \"web\", \"command\": [\"/bin/sleep\", \"1000\"]}", &m);
        pid_t pid = pid_of(f, "web");
        CLEANUP_FREE char *folder = fixture_path(f, "service/web");
        CLEANUP_FREE char *gone = fixture_path(f, "service/.gone-web");
        assert_int_equal(rename(folder, gone), 0); /* cut off right here */
        free(fixture_remove(f, &kind_host_service, &m));
        assert_int_equal(family_start_time(pid), 0);
        assert_false(is_there(f, "service"));
}

static void user_and_capabilities(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_service,
                "{\"name\": \"web\", \"user\": \"daemon\", \"capabilities\": [\"CAP_NET_BIND_SERVICE\"], \"command\": "
                "[\"/bin/sleep\", \"1000\"]}",
                &m);
        CLEANUP_FREE char *path = str_format("/proc/%d/status", (int)pid_of(f, "web"));
        CLEANUP_FREE char *text = NULL;
        MUST(file_read(path, 65536, &text, NULL, err));
        static const char *const lines[] = {"\nUid:\t1\t1\t1\t1\n", "\nCapEff:\t0000000000000400\n",
                "\nCapBnd:\t0000000000000400\n", "\nNoNewPrivs:\t1\n"};
        for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
                if (!strstr(text, lines[i]))
                        fail_msg("missing %s in %s", lines[i], text);
        free(fixture_remove(f, &kind_host_service, &m));
}

/* How many files its log has; none may be larger than max. */
static size_t log_files(struct fixture *f, const char *name, off_t max)
{
        CLEANUP_FREE char *folder = fixture_path(f, name);
        size_t count = 0;
        DIR *dir = opendir(folder);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir));) {
                struct stat st;
                if (!str_is(entry->d_name, "current") && entry->d_name[0] != '@')
                        continue;
                assert_int_equal(fstatat(dirfd(dir), entry->d_name, &st, 0), 0);
                if (st.st_size > max)
                        fail_msg("%s has %lld bytes", entry->d_name, (long long)st.st_size);
                count++;
        }
        closedir(dir);
        return count;
}

/* Eight megabytes and then "done": five files of one megabyte that are full, and the one that is written to. */
static void logs_have_a_bound(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_service,
                "{\"name\": \"web\", \"command\": [\"/bin/sh\", \"-c\","
                " \"seq -f %0900.0f 9000; echo done; exec sleep 1000\"]}",
                &m);
        bool done = false;
        for (int i = 0; i < 600 && !done; i++) {
                struct service_host host = host_of(f);
                CLEANUP_FREE char *last = service_runit.log_tail(&host, "web", 1, 0);
                done = str_is(last, "  done");
                if (!done)
                        usleep(50000);
        }
        assert_true(done);
        assert_int_equal(log_files(f, "log/web", 1010000), 6);
        free(fixture_remove(f, &kind_host_service, &m));
}

static void cancel_ends_the_wait(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        cancel_raise(f->cancel);
        cancel_raise(f->cancel);
        CLEANUP_RESOURCE struct resource r =
                fixture_resource(f, &kind_host_probe, "{\"tcp\": \"127.0.0.1:P04\", \"seconds\": 60}");
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(fixture_run(f, &kind_host_probe, &r, &m, &err), -ERR_CANCELLED);
}

static void probe_says_what_it_got(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0}, p = {0};
        CLEANUP_FREE char *refused =
                fixture_refused(f, &kind_host_probe, "{\"tcp\": \"127.0.0.1:P05\", \"seconds\": 0.3}", &m);
        assert_non_null(strstr(refused, " did not answer within"));
        fixture_apply(f, &kind_host_service,
                "{\"name\": \"web\", \"command\": [" SERVER ", P06], \"ready\": {\"tcp\": \"127.0.0.1:P06\"}}", &m);
        assert_int_equal(fixture_apply(f, &kind_host_probe,
                                 "{\"http\": \"http://127.0.0.1:P06/\", \"contains\": \"listing\"}", &p),
                ACTION_CREATE);
        assert_int_equal(fixture_apply(f, &kind_host_probe,
                                 "{\"http\": \"http://127.0.0.1:P06/\", \"contains\": \"listing\"}", &p),
                ACTION_NONE);
        CLEANUP_FREE char *status =
                fixture_refused(f, &kind_host_probe, "{\"http\": \"http://127.0.0.1:P06/no\", \"seconds\": 0.3}", &p);
        assert_non_null(strstr(status, "answers with status 404, not 200"));
        free(fixture_remove(f, &kind_host_service, &m));
        remembered_clear(&p);
}

static void bad_specs(void **state)
{
        struct fixture *f = *state;
        static const struct {
                const char *spec, *says;
        } cases[] = {
                {"{\"name\": \"a-b\", \"command\": [\"/x\"]}", "must be of a-z"},
                {"{\"name\": \"a\", \"command\": [\"x\"]}", "absolute path"},
                {"{\"name\": \"a\", \"command\": []}", "absolute path"},
                {"{\"name\": \"a\", \"command\": [\"/x\", {\"$secret\": \"hub/token\"}]}", "\"secrets\" is its place"},
                {"{\"name\": \"a\", \"command\": [\"/x\"], \"environment\": {\"T\": {\"$secret\": \"hub/token\"}}}",
                        "\"secrets\" is its place"},
                {"{\"name\": \"a\", \"command\": [\"/x\"], \"stop\": \"all\"}", "process or group"},
                {"{\"name\": \"a\", \"command\": [\"/x\"], \"ready\": {}}", "exactly one of http and tcp"},
                {"{\"name\": \"a\", \"command\": [\"/x\"], \"limits\": {\"nofiles\": 1}}", "did you mean \"nofile\""},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_REMEMBERED struct remembered m = {0};
                CLEANUP_FREE char *message = fixture_refused(f, &kind_host_service, cases[i].spec, &m);
                if (!strstr(message, cases[i].says))
                        fail_msg("%s: %s", cases[i].spec, message);
        }
}

int main(void)
{
        if (file_exists("/run/systemd/system") || !file_exists("/usr/bin/runsvdir")) {
                printf("skip: runit services: systemd is the first process here, or runit is not installed\n");
                return 0;
        }
        setenv("TEST_LEAK", "an operator's environment", 1);
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, teardown)
        const struct CMUnitTest tests[] = {
                T(service_lives),
                T(service_reloads),
                T(crash_is_told_at_once_with_the_log),
                T(silence_is_told_after_its_time),
                T(stranger_does_not_pass_for_it),
                T(stopping_a_process_leaves_its_children),
                T(stopping_a_group_leaves_nobody),
                T(stubborn_service_is_killed),
                T(services_start_side_by_side),
                T(lost_supervisor_is_replaced),
                T(removal_is_taken_up_again),
                T(user_and_capabilities),
                T(logs_have_a_bound),
                T(cancel_ends_the_wait),
                T(probe_says_what_it_got),
                T(bad_specs),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
