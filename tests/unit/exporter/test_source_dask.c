/* Schedulers: what they say, and users who would like root to open something else. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/un.h>

#include "../client/http_server.h"
#include "base/clock.h"
#include "base/file.h"
#include "exporter/dask.h"
#include "exporter/source_list.h"
#include "samples.h"

#define GOOD   "9ba38a329acb4102be7bc3d24f321c8f"
#define LINK   "11111111111111111111111111111111"
#define FILE_  "22222222222222222222222222222222"
#define SILENT "33333333333333333333333333333333"
#define GONE   "44444444444444444444444444444444"

/* As a scheduler gave it, shortened. */
static const char PAGE[] = "# HELP python_gc_objects_collected_total Objects collected during gc\n"
                           "python_gc_objects_collected_total{generation=\"0\"} 26841.0\n"
                           "# HELP dask_scheduler_clients Number of clients connected\n"
                           "# TYPE dask_scheduler_clients gauge\n"
                           "dask_scheduler_clients 1.0\n"
                           "dask_scheduler_desired_workers 1.0\n"
                           "dask_scheduler_workers{state=\"idle\"} 1.0\n"
                           "dask_scheduler_workers{state=\"saturated\"} 0.0\n"
                           "dask_scheduler_workers_added_total 3.0\n"
                           "dask_scheduler_tasks{state=\"memory\"} 12.0\n"
                           "dask_scheduler_tasks{state=\"no-worker\"} 2.0\n"
                           "dask_scheduler_tasks_compute_seconds_total{task_prefix_name=\"sum\"} 1.5\n"
                           "dask_scheduler_tasks_compute_seconds_total{task_prefix_name=\"a b{c=\\\"d\\\"}\"} 2.25\n"
                           "dask_scheduler_tasks_output_bytes{task_prefix_name=\"sum\"} 1.048576e+06\n"
                           "# TYPE dask_worker_memory_bytes gauge\n"
                           "dask_worker_threads 4.0\n"
                           "dask_worker_memory_bytes{type=\"managed\"} 8e+07\n"
                           "dask_worker_memory_bytes{type=\"unmanaged\"} 1.46770944e+08\n"
                           "dask_worker_memory_bytes{type=\"spilled\"} 1.76002508e+08\n"
                           "caas_dask_worker_memory_limit_bytes 8e+08\n"
                           "caas_dask_worker_memory_fullest_ratio 0.56692736\n"
                           "dask_worker_tasks{state=\"executing\"} 2.0\n"
                           "dask_worker_tasks{state=\"long-running\"} 0.0\n"
                           "dask_worker_tasks{state=\"disk\"} 11.0\n"
                           "dask_worker_transfer_outgoing_bytes_total 4.8000028e+07\n"
                           "dask_worker_spill_bytes_total{activity=\"disk-write\"} 2.88004104e+08\n"
                           "dask_worker_spill_bytes_total{activity=\"disk-read\"} 6.4000912e+07\n"
                           "dask_worker_latency_seconds 0.02\n"
                           "dask_worker_tick_duration_maximum_seconds 1.0625\n";

static struct sample_sink *read_page(const char *text, size_t length)
{
        struct sample_sink *sink = sink_new(DASK_FAMILIES);
        struct dask_figures figures;
        dask_read(text, length, &figures);
        dask_add(&figures, "alice", GOOD, sink);
        return sink;
}

#define LABELS "user=\"alice\",dask_cluster=\"" GOOD "\""

static void known_numbers_are_taken(void **state)
{
        (void)state;
        struct sample_sink *sink = read_page(PAGE, strlen(PAGE));
        assert_true(samples_have(sink, "dask_scheduler_clients{" LABELS "} 1"));
        assert_true(samples_have(sink, "dask_scheduler_workers{" LABELS ",state=\"idle\"} 1"));
        assert_true(samples_have(sink, "dask_scheduler_workers_added_total{" LABELS "} 3"));
        assert_true(samples_have(sink, "dask_scheduler_tasks{" LABELS ",state=\"no-worker\"} 2"));
        assert_true(samples_have(sink, "dask_scheduler_tasks_compute_seconds_total{" LABELS "} 3.75"));
        assert_true(samples_have(sink, "dask_scheduler_tasks_output_bytes{" LABELS "} 1048576"));
        assert_int_equal(samples_count(sink, "dask_scheduler_workers"), 2);
        assert_true(samples_sound(sink));
        sink_free(sink);
}

static void the_workers_sums_are_too(void **state)
{
        (void)state;
        static const char *const said[] = {"dask_worker_threads{" LABELS "} 4",
                "dask_worker_memory_bytes{" LABELS ",type=\"managed\"} 80000000",
                "dask_worker_memory_bytes{" LABELS ",type=\"unmanaged\"} 146770944",
                "dask_worker_memory_bytes{" LABELS ",type=\"spilled\"} 176002508",
                "caas_dask_worker_memory_limit_bytes{" LABELS "} 800000000",
                "caas_dask_worker_memory_fullest_ratio{" LABELS "} 0.56692736",
                "dask_worker_tasks{" LABELS ",state=\"executing\"} 2",
                "dask_worker_tasks{" LABELS ",state=\"long-running\"} 0",
                "dask_worker_tasks{" LABELS ",state=\"disk\"} 11",
                "dask_worker_transfer_outgoing_bytes_total{" LABELS "} 48000028",
                "dask_worker_spill_bytes_total{" LABELS ",activity=\"disk-write\"} 288004104",
                "dask_worker_spill_bytes_total{" LABELS ",activity=\"disk-read\"} 64000912",
                "dask_worker_latency_seconds{" LABELS "} 0.02",
                "dask_worker_tick_duration_maximum_seconds{" LABELS "} 1.0625"};
        struct sample_sink *sink = read_page(PAGE, strlen(PAGE));
        for (size_t i = 0; i < sizeof said / sizeof *said; i++)
                assert_true(samples_have(sink, said[i]));
        assert_int_equal(samples_count(sink, "dask_worker_tasks"), 3);
        sink_free(sink);
}

/* However many workers a user makes up, and whatever a page holds: as many series as there are known figures. */
static void there_is_no_end_of_labels_to_make_up(void **state)
{
        (void)state;
        static const char *const names[] = {"dask_worker_tasks", "dask_worker_memory_bytes", "dask_worker_threads",
                "dask_worker_spill_bytes_total", "dask_scheduler_tasks"};
        CLEANUP_FREE char *text = str_format("%s", "");
        for (size_t i = 0; i < 500; i++) {
                CLEANUP_FREE char *before = text;
                text = str_format(
                        "%s%s{state=\"s%zu\"} 1\n%s{worker=\"w%zu\",type=\"managed\"} 2\n%s{type=\"%zu\"} 3\n", before,
                        names[i % 5], i, names[i % 5], i, names[i % 5], i);
        }
        struct sample_sink *sink = read_page(text, strlen(text));
        CLEANUP_FREE char *said = samples_text(sink);
        assert_string_equal(said, "");
        sink_free(sink);
}

static void nothing_else_is(void **state)
{
        (void)state;
        static const char *const wrong[] = {"", "\n\n", "dask_scheduler_clients", "dask_scheduler_clients ",
                "dask_scheduler_clients NaN", "dask_scheduler_clients +Inf", "dask_scheduler_clients -1",
                "dask_scheduler_clients 1e999", "dask_scheduler_clients 0x10z",
                "dask_scheduler_clients{user=\"bob\"} 1", "dask_scheduler_clients{state=\"idle\"} 1",
                "dask_scheduler_tasks 5", "dask_scheduler_tasks{state=\"made up\"} 5",
                "dask_scheduler_tasks{state=\"memory\",user=\"bob\"} 5", "dask_scheduler_tasks{state=\"memory} 5",
                "dask_scheduler_tasks{state=\"memory\\\"} 5", "caas_part_up{part=\"hub\"} 0",
                "dask_scheduler_clientsx 4", " dask_scheduler_clients 4", "dask_worker_threads{worker=\"tls://a\"} 2",
                "dask_worker_memory_bytes 5", "dask_worker_memory_bytes{state=\"managed\"} 5",
                "dask_worker_memory_bytes{type=\"managed\" } 5", "dask_worker_memory_bytes{type=\"managed\"}5",
                "dask_worker_memory_bytes{type=\"managed\"", "dask_worker_memory_bytes{type=\"managed2\"} 5",
                "dask_worker_tasks{state=\"forgotten\"} 5", "dask_worker_tasks{type=\"memory\"} 5",
                "dask_worker_spill_bytes_total{activity=\"pickle\"} 1", "caas_dask_worker_memory_fullest_ratio NaN",
                "dask_worker_latency_seconds -1", "dask_worker_latency_seconds{state=\"ready\"} 1"};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                struct sample_sink *sink = read_page(wrong[i], strlen(wrong[i]));
                CLEANUP_FREE char *text = samples_text(sink);
                assert_string_equal(text, "");
                sink_free(sink);
        }
        static const char nul[] = "dask_scheduler_clients 5\0 6\ndask_scheduler_desired_workers 2";
        struct sample_sink *sink = read_page(nul, sizeof nul - 1);
        assert_true(samples_have(sink, "dask_scheduler_desired_workers{" LABELS "} 2"));
        sink_free(sink);
}

static void the_same_again_does_not_come_twice(void **state)
{
        (void)state;
        static const char text[] =
                "dask_scheduler_clients 1\ndask_scheduler_clients 2\n"
                "dask_scheduler_tasks{state=\"memory\"} 1\ndask_scheduler_tasks{state=\"memory\"} 2\n";
        struct sample_sink *sink = read_page(text, strlen(text));
        assert_true(samples_have(sink, "dask_scheduler_clients{" LABELS "} 2"));
        assert_true(samples_sound(sink));
        sink_free(sink);
}

/* ---- sockets in homes ---- */

static char folder[] = "/tmp/caas-dask-XXXXXX";
static struct server *gateway, *scheduler;
static struct config *config;
static int silent = -1;

static bool clusters(struct peer *peer, const char *request)
{
        static const char *const names[] = {SILENT, GOOD, LINK, FILE_, GONE, "../../../etc", GOOD};
        json_auto_t *list = json_array();
        if (!strstr(request, "Authorization: token s3cret\r\n"))
                return answer(peer, "401 Unauthorized", "", "");
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                json_array_append_new(list, json_pack("{s:s, s:s}", "name", names[i], "user", "alice"));
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", LINK, "user", "../alice"));
        json_array_append_new(
                list, json_pack("{s:s, s:s}", "name", "55555555555555555555555555555555", "user", "mallory"));
        json_auto_t *said = json_pack("{s:O, s:{}, s:{}}", "clusters", list, "users", "maximum");
        CLEANUP_FREE char *text = json_dumps(said, 0);
        return answer(peer, "200 OK", "", text);
}

static bool metrics(struct peer *peer, const char *request)
{
        return str_starts(request, "GET /metrics HTTP/1.1\r\n") ? answer(peer, "200 OK", "", PAGE)
                                                                : answer(peer, "404 Not Found", "", "");
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0);
        return fd;
}

static char *in_home(const char *user, const char *name)
{
        return str_format("%s/mounts/%s/.local/share/dask-gateway/%s", folder, user, name);
}

static int setup(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        assert_non_null(mkdtemp(folder));
        CLEANUP_FREE char *home = in_home("alice", ""), *good = in_home("alice", GOOD ".sock");
        CLEANUP_FREE char *link_ = in_home("alice", LINK ".sock"), *file = in_home("alice", FILE_ ".sock");
        CLEANUP_FREE char *quiet = in_home("alice", SILENT ".sock"), *mallory = str_format("%s/mounts/mallory", folder);
        assert_int_equal(file_make_dirs(home, 0700, NULL), 0);
        scheduler = mem_zero(sizeof *scheduler);
        scheduler->custom = metrics;
        scheduler->fd = listen_at(good);
        pthread_create(&scheduler->thread, NULL, serve, scheduler);
        silent = listen_at(quiet); /* takes connections, and nobody answers */
        /* A link to a socket that answers, a file, and a home that is a link to somebody else's. */
        assert_int_equal(symlink(good, link_), 0);
        assert_int_equal(file_write_atomic(file, "x", 1, 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
        assert_int_equal(symlink("alice", mallory), 0);
        CLEANUP_FREE char *planted = in_home("alice", "55555555555555555555555555555555.sock");
        assert_int_equal(link(good, planted), 0);
        gateway = server_start(NULL, NULL);
        gateway->custom = clusters;
        CLEANUP_FREE char *text = str_format("{\"gateway\": {\"api\": \"http://127.0.0.1:%d\", \"token\": \"s3cret\"}, "
                                             "\"homes\": {\"mounts\": \"%s/mounts\"}}",
                gateway->port, folder);
        assert_int_equal(config_parse(text, strlen(text), &config, NULL), 0);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        server_stop(gateway);
        server_stop(scheduler);
        close(silent);
        config_free(config);
        return file_remove_tree(folder, NULL);
}

static void only_sockets_in_homes_are_asked(void **state)
{
        (void)state;
        struct sample_sink *sink = sink_new(source_dask.families);
        void *kept = NULL;
        CLEANUP_ERR struct err *err = NULL;
        assert_true(source_dask.wanted(config));
        assert_int_equal(source_dask.refresh(config, &kept, sink, &err), 0);
        assert_true(samples_have(sink, "caas_dask_scheduler_up{user=\"alice\",dask_cluster=\"" GOOD "\"} 1"));
        assert_true(samples_have(sink, "dask_scheduler_clients{" LABELS "} 1"));
        static const char *const away[] = {LINK, FILE_, SILENT, GONE};
        for (size_t i = 0; i < sizeof away / sizeof *away; i++) {
                CLEANUP_FREE char *line =
                        str_format("caas_dask_scheduler_up{user=\"alice\",dask_cluster=\"%s\"} 0", away[i]);
                assert_true(samples_have(sink, line));
        }
        assert_true(samples_have(
                sink, "caas_dask_scheduler_up{user=\"mallory\",dask_cluster=\"55555555555555555555555555555555\"} 0"));
        assert_int_equal(samples_count(sink, "caas_dask_scheduler_up"), 6);
        assert_int_equal(samples_count(sink, "dask_scheduler_clients"), 1);
        assert_true(samples_sound(sink));
        sink_free(sink);
        source_dask.done(kept);
}

/* It had its second the first time; from then on it gets what the others leave. */
static void who_does_not_answer_comes_last(void **state)
{
        (void)state;
        void *kept = NULL;
        for (int round = 0; round < 2; round++) {
                struct sample_sink *sink = sink_new(source_dask.families);
                config->timeout_ms = round == 0 ? 60000 : 1000; /* no more than the second of one that says nothing */
                assert_int_equal(source_dask.refresh(config, &kept, sink, NULL), 0);
                assert_true(samples_have(sink, "caas_dask_scheduler_up{user=\"alice\",dask_cluster=\"" GOOD "\"} 1"));
                sink_free(sink);
        }
        config->timeout_ms = 60000;
        source_dask.done(kept);
}

/* ---- in pods ---- */

#define NOSECRET "66666666666666666666666666666666"
#define WRONG    "77777777777777777777777777777777"

static struct server *pod;

static bool told(struct peer *peer, const char *request)
{
        (void)request;
        CLEANUP_FREE char *url = str_format("http://127.0.0.1:%d/metrics", pod->port);
        json_auto_t *said = json_pack("{s:[{s:s, s:s, s:{s:s, s:s}}, {s:s, s:s, s:n}, {s:s, s:s, s:{s:s, s:s}},"
                                      " {s:s, s:s, s:{s:s, s:s}}, {s:s, s:s, s:{s:s, s:s}},"
                                      " {s:s, s:s, s:{s:s, s:s}}]}",
                "clusters", "name", "ocean." GOOD, "user", "alice", "metrics", "url", url, "secret", "opens", "name",
                "ocean." NOSECRET, "user", "alice", "metrics", "name", "ocean." WRONG, "user", "alice", "metrics",
                "url", url, "secret", "opens\r\nX-Other: 1", "name", "other." GOOD, "user", "alice", "metrics", "url",
                url, "secret", "opens", "name", GOOD, "user", "alice", "metrics", "url", url, "secret", "opens", "name",
                "ocean." GONE, "user", "alice", "metrics", "url", "file:///etc/passwd", "secret", "opens");
        assert_non_null(said);
        CLEANUP_FREE char *text = json_dumps(said, 0);
        return answer(peer, "200 OK", "", text);
}

static bool guarded(struct peer *peer, const char *request)
{
        bool good = str_starts(request, "GET /metrics HTTP/1.1\r\n") &&
                    strstr(request, "\r\nX-Caas-Dashboard: opens\r\n") && !strstr(request, "Authorization");
        return good ? answer(peer, "200 OK", "", PAGE) : answer(peer, "403 Forbidden", "", PAGE);
}

static void in_pods_they_are_asked_with_their_secret(void **state)
{
        (void)state;
        struct server *said = server_start(NULL, NULL);
        struct config *kube = NULL;
        void *kept = NULL;
        pod = server_start(NULL, NULL);
        pod->custom = guarded;
        said->custom = told;
        CLEANUP_FREE char *text = str_format(
                "{\"gateway\": {\"api\": \"http://127.0.0.1:%d\", \"token\": \"s3cret\"}, \"kubernetes\": {\"api\":"
                " \"https://k\", \"ca\": \"/c\", \"token_file\": \"/t\", \"namespace\": \"ocean\"}}",
                said->port);
        assert_int_equal(config_parse(text, strlen(text), &kube, NULL), 0);
        assert_true(source_dask.wanted(kube));
        struct sample_sink *sink = sink_new(source_dask.families);
        assert_int_equal(source_dask.refresh(kube, &kept, sink, NULL), 0);
        assert_true(samples_have(sink, "caas_dask_scheduler_up{user=\"alice\",dask_cluster=\"ocean." GOOD "\"} 1"));
        assert_true(samples_have(sink, "dask_scheduler_clients{user=\"alice\",dask_cluster=\"ocean." GOOD "\"} 1"));
        static const char *const away[] = {NOSECRET, WRONG, GONE};
        for (size_t i = 0; i < sizeof away / sizeof *away; i++) {
                CLEANUP_FREE char *line =
                        str_format("caas_dask_scheduler_up{user=\"alice\",dask_cluster=\"ocean.%s\"} 0", away[i]);
                assert_true(samples_have(sink, line));
        }
        assert_int_equal(samples_count(sink, "caas_dask_scheduler_up"), 4); /* of our namespace only */
        assert_int_equal(samples_count(sink, "dask_scheduler_clients"), 1);
        sink_free(sink);
        source_dask.done(kept);
        config_free(kube);
        server_stop(said);
        server_stop(pod);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(known_numbers_are_taken),
                cmocka_unit_test(the_workers_sums_are_too),
                cmocka_unit_test(there_is_no_end_of_labels_to_make_up),
                cmocka_unit_test(nothing_else_is),
                cmocka_unit_test(the_same_again_does_not_come_twice),
                cmocka_unit_test(only_sockets_in_homes_are_asked),
                cmocka_unit_test(who_does_not_answer_comes_last),
                cmocka_unit_test(in_pods_they_are_asked_with_their_secret),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
