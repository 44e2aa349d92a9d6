/* The sources that look at files, ports and certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "../client/http_server.h"
#include "../client/must.h"
#include "base/clock.h"
#include "base/file.h"
#include "client/home/home.h"
#include "client/home/image.h"
#include "client/tls/certificate.h"
#include "exporter/source_list.h"
#include "journal/journal.h"
#include "samples.h"

static char root[64];

static int set_up(void **state)
{
        (void)state;
        snprintf(root, sizeof root, "/tmp/caas-test-sources-XXXXXX");
        assert_non_null(mkdtemp(root));
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        return file_remove_tree(root, NULL);
}

static void put(const char *name, const char *text)
{
        CLEANUP_FREE char *path = file_join(root, name);
        MUST(file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, err));
}

/* %s of the text is the folder of the test. */
static struct config *config_of(char *text)
{
        struct config *config = NULL;
        MUST(config_parse(text, strlen(text), &config, err));
        free(text);
        return config;
}

static struct sample_sink *refreshed(const struct source *source, const struct config *config, void **memory)
{
        struct sample_sink *sink = sink_new(source->families);
        assert_true(source->wanted(config));
        MUST(source->refresh(config, memory, sink, err));
        return sink;
}

static void fails(const struct source *source, const struct config *config, void **memory, const char *words)
{
        struct sample_sink *sink = sink_new(source->families);
        struct err *err = NULL;
        assert_true(source->refresh(config, memory, sink, &err) < 0);
        assert_non_null(err);
        if (!strstr(err->message, words))
                fail_msg("\"%s\" is not in \"%s\"", words, err->message);
        err_free(err);
        sink_free(sink);
}

/* ---- parts ---- */

static bool healthy(struct peer *peer, const char *request)
{
        bool well = str_starts(request, "GET /good ");
        return answer(peer, well ? "200 OK" : "503 Service Unavailable", "", "{}");
}

static void test_parts(void **state)
{
        (void)state;
        void *memory = NULL;
        struct server *server = server_start(NULL, NULL), *closed = server_start(NULL, NULL);
        int nobody = closed->port;
        server_stop(closed);
        server->custom = healthy;
        CLEANUP_CONFIG struct config *config = config_of(str_format(
                "{\"parts\": [{\"name\": \"hub\", \"url\": \"http://127.0.0.1:%d/good\"},"
                " {\"name\": \"sick\", \"url\": \"http://127.0.0.1:%d/bad\"},"
                " {\"name\": \"away\", \"url\": \"http://127.0.0.1:%d/good\"},"
                " {\"name\": \"port\", \"tcp\": \"127.0.0.1:%d\"}, {\"name\": \"none\", \"tcp\": \"127.0.0.1:%d\"}]}",
                server->port, server->port, nobody, server->port, nobody));
        for (int i = 0; i < 2; i++) {
                struct sample_sink *sink = refreshed(&source_part, config, &memory);
                assert_true(samples_have(sink, "caas_part_up{part=\"hub\"} 1"));
                assert_true(samples_have(sink, "caas_part_up{part=\"sick\"} 0"));
                assert_true(samples_have(sink, "caas_part_up{part=\"away\"} 0"));
                assert_true(samples_have(sink, "caas_part_up{part=\"port\"} 1"));
                assert_true(samples_have(sink, "caas_part_up{part=\"none\"} 0"));
                sink_free(sink);
        }
        cancel_raise(config->cancel);
        fails(&source_part, config, &memory, "cancelled");
        source_part.done(memory);
        source_part.done(NULL);
        server_stop(server);
}

/* A part that takes connections and then says nothing is down, and the others are looked at. */
static bool silent(struct peer *peer, const char *request)
{
        (void)request;
        be_slow(peer);
        return false;
}

static void test_silent_part(void **state)
{
        (void)state;
        void *memory = NULL;
        struct server *server = server_start(NULL, NULL);
        server->custom = silent;
        CLEANUP_CONFIG struct config *config =
                config_of(str_format("{\"parts\": [{\"name\": \"hub\", \"url\": \"http://127.0.0.1:%d/good\"},"
                                     " {\"name\": \"port\", \"tcp\": \"127.0.0.1:%d\"}]}",
                        server->port, server->port));
        config->timeout_ms = 3000;
        struct sample_sink *sink = refreshed(&source_part, config, &memory);
        assert_true(samples_have(sink, "caas_part_up{part=\"hub\"} 0"));
        assert_true(samples_have(sink, "caas_part_up{part=\"port\"} 1"));
        sink_free(sink);
        source_part.done(memory);
        server_stop(server);
}

/* ---- certificates ---- */

static int64_t issue(int days, const char *certificate_name, const char *key_name)
{
        char *certificate = NULL, *key = NULL;
        const char *const names[] = {"localhost", NULL};
        struct tls_request request = {
                .name = "test", .names = names, .days = days, .now = clock_system()->wall_ms(clock_system()) / 1000};
        MUST(tls_issue(&request, &certificate, &key, err));
        put(certificate_name, certificate);
        put(key_name, key);
        struct tls_facts facts;
        MUST(tls_read(certificate, &facts, err));
        int64_t expires = facts.expires;
        tls_facts_clear(&facts);
        free(certificate);
        free(key);
        return expires;
}

static void test_certificates(void **state)
{
        (void)state;
        void *memory = NULL;
        int64_t file = issue(10, "a.crt", "a.key"), shown = issue(20, "b.crt", "b.key");
        CLEANUP_FREE char *certificate = file_join(root, "b.crt"), *key = file_join(root, "b.key");
        struct server *server = server_start(certificate, key), *plain = server_start(NULL, NULL);
        plain->custom = silent;
        put("none.crt", "this is none");
        CLEANUP_CONFIG struct config *config = config_of(
                str_format("{\"certificates\": [{\"name\": \"ca\", \"file\": \"%s/a.crt\"},"
                           " {\"name\": \"public\", \"address\": \"127.0.0.1:%d\", \"server\": \"localhost\"},"
                           " {\"name\": \"no-tls\", \"address\": \"127.0.0.1:%d\"},"
                           " {\"name\": \"broken\", \"file\": \"%s/none.crt\"},"
                           " {\"name\": \"gone\", \"file\": \"%s/gone.crt\"}]}",
                        root, server->port, plain->port, root, root));
        config->timeout_ms = 5000;
        for (int i = 0; i < 2; i++) {
                struct sample_sink *sink = refreshed(&source_certificate, config, &memory);
                CLEANUP_FREE char *a = str_format(
                        "caas_certificate_expiry_timestamp_seconds{certificate=\"ca\"} %lld", (long long)file);
                CLEANUP_FREE char *b = str_format(
                        "caas_certificate_expiry_timestamp_seconds{certificate=\"public\"} %lld", (long long)shown);
                assert_true(samples_have(sink, a));
                assert_true(samples_have(sink, b));
                assert_int_equal(sink->block[0].samples, 2);
                sink_free(sink);
        }
        assert_int_equal(server->connections, 1); /* it is not asked every time */
        CLEANUP_FREE char *path = file_join(root, "a.crt");
        MUST(file_remove(path, err));
        struct sample_sink *sink = refreshed(&source_certificate, config, &memory);
        assert_int_equal(sink->block[0].samples, 1);
        sink_free(sink);
        source_certificate.done(memory);
        source_certificate.done(NULL);
        server_stop(server);
        server_stop(plain);
}

static void test_no_certificate(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config =
                config_of(str_format("{\"certificates\": [{\"name\": \"a\", \"file\": \"%s/gone.crt\"}]}", root));
        fails(&source_certificate, config, &memory, "gone.crt");
        source_certificate.done(memory);
        void *away = NULL; /* of several the first is named, and the others are not kept */
        CLEANUP_CONFIG struct config *several =
                config_of(str_copy("{\"certificates\": [{\"name\": \"a\", \"address\": \"127.0.0.1:1\"},"
                                   " {\"name\": \"b\", \"address\": \"127.0.0.1:2\"}]}"));
        fails(&source_certificate, several, &away, "127.0.0.1:1");
        source_certificate.done(away);
}

/* ---- runs ---- */

static void one_run(struct journal *journal, const char *cluster, const char *command, int64_t began, int64_t ended,
        const char *outcome)
{
        int64_t run;
        MUST(journal_run_begin(journal, cluster, command, began, &run, err));
        if (outcome)
                MUST(journal_run_end(journal, run, outcome, NULL, ended, err));
}

static void test_runs(void **state)
{
        (void)state;
        void *memory = NULL;
        struct journal *journal = NULL;
        CLEANUP_FREE char *folder = file_join(root, "st%te?#");
        CLEANUP_FREE char *log = str_format("%s/journal.sqlite-wal", folder);
        CLEANUP_CONFIG struct config *config =
                config_of(str_format("{\"cluster\": \"demo\", \"journal\": \"%s/journal.sqlite\"}", folder));
        fails(&source_run, config, &memory, "does not exist");
        MUST(journal_open(folder, true, &journal, err));
        one_run(journal, "demo", "apply", 1000, 5500, "done");
        one_run(journal, "demo", "apply", 7000, 8000, "failed");
        one_run(journal, "demo", "grow", 9000, 9000, "done");
        one_run(journal, "other", "destroy", 9000, 9000, "done");
        one_run(journal, "demo", "apply", 9500, 0, NULL); /* is running */
        /* while a run has it open, and ... */
        struct sample_sink *sink = refreshed(&source_run, config, &memory);
        assert_true(samples_have(sink, "caas_run_last_timestamp_seconds{command=\"apply\"} 8"));
        assert_true(samples_have(sink, "caas_run_last_duration_seconds{command=\"apply\"} 1"));
        assert_true(samples_have(sink, "caas_run_last_success{command=\"apply\"} 0"));
        assert_true(samples_have(sink, "caas_run_last_success{command=\"grow\"} 1"));
        assert_int_equal(sink->block[0].samples, 2);
        assert_int_equal(sink->block[3].samples, 0); /* drift: no apply has looked yet */
        sink_free(sink);
        /* ... once nobody has: then nothing is left beside it */
        one_run(journal, "demo", "apply", 10000, 12500, "done");
        json_auto_t *form = json_object();
        MUST(journal_put_cluster(journal, "demo", "host", form, 1, err));
        MUST(journal_put_drift(journal, "demo", 3, err));
        journal_close(journal);
        assert_false(file_exists(log));
        sink = refreshed(&source_run, config, &memory);
        assert_true(samples_have(sink, "caas_run_last_timestamp_seconds{command=\"apply\"} 12.5"));
        assert_true(samples_have(sink, "caas_run_last_duration_seconds{command=\"apply\"} 2.5"));
        assert_true(samples_have(sink, "caas_run_last_success{command=\"apply\"} 1"));
        assert_true(samples_have(sink, "caas_drift_resources 3"));
        sink_free(sink);
        assert_false(file_exists(log));
        CLEANUP_FREE char *path = file_join(folder, "journal.sqlite");
        MUST(file_write_atomic(path, "no database at all", 18, 0600, (uid_t)-1, (gid_t)-1, err));
        fails(&source_run, config, &memory, "journal.sqlite");
        source_run.done(memory);
        source_run.done(NULL);
}

/* Reading goes on in the middle of somebody's transaction, and that transaction goes on, too. */
static void test_writer(void **state)
{
        (void)state;
        struct journal *journal = NULL;
        json_t *found = NULL, *runs;
        CLEANUP_FREE char *path = file_join(root, "j/journal.sqlite"), *folder = file_join(root, "j");
        MUST(journal_open(folder, true, &journal, err));
        int64_t run;
        for (int i = 0; i < 50; i++) {
                MUST(journal_run_begin(journal, "demo", "apply", i * 10, &run, err));
                MUST(journal_look(path, "demo", &found, err));
                json_decref(found);
                MUST(journal_run_end(journal, run, "done", NULL, i * 10 + 5, err));
                MUST(journal_look(path, "demo", &found, err));
                runs = json_object_get(found, "runs");
                assert_int_equal(json_integer_value(json_object_get(json_array_get(runs, 0), "ended")), i * 10 + 5);
                json_decref(found);
        }
        journal_close(journal);
}

/* ---- backups ---- */

static struct config *backup_config(const char *path)
{
        return config_of(str_format("{\"backup\": {\"stamp\": \"%s\"}}", path));
}

static void touch(const char *path, time_t when)
{
        const struct timespec times[] = {{.tv_sec = when}, {.tv_sec = when}};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void says(const struct config *config, void **memory, const char *line)
{
        struct sample_sink *sink = refreshed(&source_backup, config, memory);
        CLEANUP_FREE char *text = samples_text(sink);
        if (!samples_have(sink, line))
                fail_msg("%s is not in %s", line, text);
        sink_free(sink);
}

static void test_backup(void **state)
{
        (void)state;
        void *memory = NULL;
        time_t now = (time_t)(clock_system()->wall_ms(clock_system()) / 1000);
        CLEANUP_FREE char *path = file_join(root, "stamp");
        CLEANUP_CONFIG struct config *none = backup_config(""), *config = backup_config(path),
                                     *folder = backup_config(root), *below = backup_config("/dev/null/stamp");
        assert_false(source_backup.wanted(none)); /* a form that says nothing of backups: nothing is said of them */
        says(config, &memory, "caas_backup_last_success_timestamp_seconds 0");
        put("stamp", "");
        touch(path, 1795306230);
        says(config, &memory, "caas_backup_last_success_timestamp_seconds 1795306230");
        touch(path, -5); /* before 1970 */
        says(config, &memory, "caas_backup_last_success_timestamp_seconds 0");
        touch(path, now + 600);
        CLEANUP_FREE char *soon = str_format("caas_backup_last_success_timestamp_seconds %lld", (long long)now + 600);
        says(config, &memory, soon);
        touch(path, now + 86400);
        fails(&source_backup, config, &memory, "from now");
        fails(&source_backup, folder, &memory, "is no file");
        fails(&source_backup, below, &memory, "cannot look at");
        source_backup.done(memory);
        source_backup.done(NULL);
}

/* ---- homes ---- */

static void test_homes(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config =
                config_of(str_format("{\"cluster\": \"demo\", \"node\": \"box\","
                                     " \"homes\": {\"images\": \"%s\", \"mounts\": \"%s/mounts\"}}",
                        root, root));
        put("alice.xfs", "no file system"); /* one that is just being made, or damaged: nothing is said of it */
        put("notes.txt", "");
        struct sample_sink *sink = refreshed(&source_home, config, &memory);
        CLEANUP_FREE char *text = samples_text(sink);
        assert_null(strstr(text, "alice"));
        assert_non_null(strstr(text, "caas_homes_images_bytes 0\n"));
        assert_non_null(strstr(text, "caas_homes_free_bytes "));
        assert_null(strstr(text, "caas_homes_free_bytes 0\n"));
        assert_int_equal(samples_count(sink, "kubelet_volume_stats_capacity_bytes"), 0);
        assert_true(samples_sound(sink));
        sink_free(sink);
        source_home.done(memory);
        source_home.done(NULL);
        memory = NULL;
        CLEANUP_CONFIG struct config *away =
                config_of(str_copy("{\"homes\": {\"images\": \"/nowhere/images\", \"mounts\": \"/nowhere/m\"}}"));
        fails(&source_home, away, &memory, "/nowhere/images");
        source_home.done(memory);
}

/* The figure of exactly this series. */
static double figure(const struct sample_sink *sink, const char *series)
{
        CLEANUP_FREE char *all = samples_text(sink), *framed = str_format("\n%s", all),
                          *wanted = str_format("\n%s ", series);
        const char *found = strstr(framed, wanted);
        if (!found)
                fail_msg("no %s in\n%s", series, all);
        return found ? strtod(found + strlen(wanted), NULL) : -1;
}

/* As Kubernetes' dashboards ask for them: the disk of all homes, and that of the hub's database. */
static void test_volumes(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = config_of(str_format(
                "{\"cluster\": \"demo\", \"node\": \"box\", \"homes\": {\"images\": \"%s\", \"mounts\": \"%s/m\"},"
                " \"hub\": {\"database\": \"%s/hub.sqlite\"}}",
                root, root, root));
        struct sample_sink *sink = refreshed(&source_home, config, &memory);
        assert_int_equal(samples_count(sink, "kubelet_volume_stats_capacity_bytes"), 0); /* it has not begun yet */
        sink_free(sink);
        put("hub.sqlite", "");
        sink = refreshed(&source_home, config, &memory);
        assert_true(samples_sound(sink));
        static const char shared[] =
                "{namespace=\"demo\",mountpoint=\"/shared-volume\",component=\"shared-volume-metrics\"}";
        static const char hub[] = "{namespace=\"demo\",persistentvolumeclaim=\"hub-db-dir\",node=\"box\"}";
        CLEANUP_FREE char *shared_free = str_format("node_filesystem_avail_bytes%s", shared),
                          *shared_size = str_format("node_filesystem_size_bytes%s", shared),
                          *hub_free = str_format("kubelet_volume_stats_available_bytes%s", hub),
                          *hub_used = str_format("kubelet_volume_stats_used_bytes%s", hub),
                          *hub_size = str_format("kubelet_volume_stats_capacity_bytes%s", hub);
        struct statvfs disk;
        assert_int_equal(statvfs(root, &disk), 0);
        double size = (double)disk.f_blocks * (double)disk.f_frsize;
        assert_true(figure(sink, shared_size) == size && figure(sink, hub_size) == size);
        assert_true(figure(sink, shared_free) == figure(sink, "caas_homes_free_bytes"));
        assert_true(figure(sink, shared_free) > 0 && figure(sink, shared_free) <= size);
        /* Here they are one disk; who writes to it meanwhile may do so between the two looks. */
        for (int tries = 0; figure(sink, hub_free) != figure(sink, shared_free) && tries < 100; tries++) {
                sink_free(sink);
                sink = refreshed(&source_home, config, &memory);
        }
        assert_true(figure(sink, hub_free) == figure(sink, shared_free));
        assert_true(figure(sink, hub_used) > 0 && figure(sink, hub_used) + figure(sink, hub_free) <= size);
        sink_free(sink);
        source_home.done(memory);
}

/* A home that is not in use is said as it last was. */
static void test_home_at_rest(void **state)
{
        (void)state;
        struct homes *last = mem_zero(sizeof *last);
        void *memory = last;
        CLEANUP_CONFIG struct config *config = config_of(str_format(
                "{\"cluster\": \"demo\", \"homes\": {\"images\": \"%s\", \"mounts\": \"%s/m\"}}", root, root));
        const struct home_store store = {.images = root, .mounts = root};
        MUST(image_make(&store, "alice", HOME_BYTES_MIN, err));
        MUST(image_make(&store, "bob", HOME_BYTES_MIN, err));
        last->item = mem_zero(sizeof *last->item);
        last->count = last->capacity = 1;
        last->item[0] = (struct home_info){.user = str_copy("alice"), .used = 4096, .entries = 12};
        struct sample_sink *sink = refreshed(&source_home, config, &memory);
        assert_true(samples_have(sink, "dirsize_entries_count{namespace=\"demo\",directory=\"alice\"} 12"));
        assert_true(samples_have(sink, "dirsize_total_size_bytes{namespace=\"demo\",directory=\"alice\"} 4096"));
        assert_int_equal(samples_count(sink, "dirsize_entries_count"), 1); /* Bob's was never seen open */
        assert_int_equal(samples_count(sink, "dirsize_total_size_bytes"), 2);
        assert_true(samples_sound(sink));
        sink_free(sink);
        source_home.done(memory);
}

int main(void)
{
        signal(SIGPIPE, SIG_IGN); /* clients leave in the middle of what our servers say */
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parts),
                cmocka_unit_test(test_silent_part),
                cmocka_unit_test_setup_teardown(test_certificates, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_certificate, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_runs, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_writer, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_backup, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_homes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_volumes, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_home_at_rest, set_up, tear_down),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
