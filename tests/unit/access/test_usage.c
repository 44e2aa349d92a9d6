/* Who uses how much: samples joined by user, cores from two readings, order, JSON, and the exporter asked over HTTP. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../client/http_server.h"
#include "access/exporter.h"
#include "access/usage.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-9)

static struct usage *usage_of(const char *text)
{
        struct usage *usage = usage_new(1000);
        CLEANUP_METRICS struct metrics_reader *reader = metrics_reader_new(usage_add, usage);
        CLEANUP_ERR struct err *err = NULL;
        if (metrics_feed(reader, text, strlen(text), &err) < 0 || metrics_end(reader, &err) < 0)
                fail_msg("%s", err->message);
        return usage;
}

static const struct usage_user *user_of(const struct usage *usage, const char *name)
{
        for (size_t i = 0; i < usage->users; i++)
                if (str_is(usage->user[i].name, name))
                        return &usage->user[i];
        fail_msg("no user %s", name);
        return NULL;
}

static const char full[] = "caas_source_last_success_timestamp_seconds{source=\"cgroup\"} 990.5\n"
                           "caas_source_up{source=\"cgroup\"} 1\n"
                           "caas_source_duration_seconds{source=\"cgroup\"} 0.25\n"
                           "caas_part_up{part=\"proxy\"} 0\n"
                           "caas_part_up{part=\"hub\"} 1\n"
                           "caas_user_cpu_seconds_total{user=\"alice\",kind=\"notebook\"} 100\n"
                           "caas_user_memory_bytes{user=\"alice\",kind=\"notebook\"} 1000000000\n"
                           "caas_user_memory_limit_bytes{user=\"alice\",kind=\"notebook\"} 2e9\n"
                           "caas_user_processes{kind=\"notebook\",user=\"alice\"} 7\n"
                           "caas_user_oom_kills_total{user=\"alice\",kind=\"notebook\"} 1\n"
                           "caas_user_cpu_seconds_total{user=\"alice\",kind=\"dask\"} 50\n"
                           "caas_user_memory_bytes{user=\"alice\",kind=\"dask\"} 4e9\n"
                           "caas_home_used_bytes{user=\"alice\"} 3e9\n"
                           "caas_home_size_bytes{user=\"alice\"} 1e10\n"
                           "caas_home_used_bytes{user=\"bob\"} 5e9\n"
                           "caas_server_started_timestamp_seconds{user=\"alice\",server=\"\"} 400\n"
                           "caas_server_last_activity_timestamp_seconds{user=\"alice\",server=\"\"} 900\n"
                           "caas_server_ready{user=\"alice\",server=\"\"} 1\n"
                           "caas_server_started_timestamp_seconds{user=\"carol\",server=\"\"} 995\n"
                           "caas_server_ready{user=\"carol\",server=\"\"} 0\n"
                           "caas_dask_cluster_workers{user=\"alice\",dask_cluster=\"d1\"} 3\n"
                           "caas_dask_cluster_workers{user=\"alice\",dask_cluster=\"d2\"} 2\n"
                           "caas_dask_cluster_cores{user=\"alice\",dask_cluster=\"d1\"} 6\n"
                           "caas_dask_cluster_memory_bytes{user=\"alice\",dask_cluster=\"d2\"} 8e9\n"
                           "caas_dask_cluster_started_timestamp_seconds{user=\"alice\",dask_cluster=\"d1\"} 800\n"
                           "caas_dask_user_clusters{user=\"alice\"} 2\n"
                           "caas_dask_max_cores 64\n"
                           "caas_homes_free_bytes 2e11\n"
                           "caas_drift_resources 2\n"
                           "caas_certificate_expiry_timestamp_seconds{certificate=\"public\"} 87400\n";

static void test_joining(void **state)
{
        (void)state;
        CLEANUP_USAGE struct usage *usage = usage_of(full);
        assert_int_equal(usage->users, 3);
        assert_int_equal(usage->dasks, 2);
        assert_int_equal(usage->parts, 4);
        NEAR(usage->clock, 990.5);
        const struct usage_user *alice = user_of(usage, "alice"), *bob = user_of(usage, "bob");
        NEAR(usage_user_memory(alice), 5e9);
        NEAR(alice->group[USAGE_NOTEBOOK].limit, 2e9);
        NEAR(alice->group[USAGE_NOTEBOOK].processes, 7);
        NEAR(alice->group[USAGE_DASK].cpu_seconds, 50);
        assert_true(isnan(alice->group[USAGE_DASK].limit));
        NEAR(alice->workers, 5);
        NEAR(alice->clusters, 2);
        assert_true(isnan(usage_user_cpu(alice))); /* one reading says nothing of it */
        assert_true(isnan(usage_user_memory(bob)));
        assert_true(usage_user_active(alice) && !usage_user_active(bob) && usage_user_active(user_of(usage, "carol")));
        struct usage_totals total = usage_total(usage);
        assert_int_equal(total.active, 2);
        assert_int_equal(total.servers, 2);
        assert_int_equal(total.clusters, 2);
        NEAR(total.workers, 5);
        NEAR(total.memory, 5e9);
        NEAR(total.home_used, 8e9);
        CLEANUP_FREE const struct usage_part **part = usage_parts(usage);
        assert_string_equal(part[0]->name, "proxy"); /* what is down first */
        assert_string_equal(part[1]->name, "hub");
        assert_string_equal(part[3]->name, "public");
}

static void test_what_is_passed_over(void **state)
{
        (void)state;
        CLEANUP_FREE char *name = str_format("%0300d", 1);
        CLEANUP_FREE char *text = str_format("caas_home_used_bytes 1\ncaas_home_used_bytes{user=\"\"} 1\n"
                                             "caas_home_used_bytes{user=\"%s\"} 1\nnode_load1 3\n"
                                             "caas_user_memory_bytes{user=\"a\",kind=\"other\"} 1\n"
                                             "caas_user_memory_bytes{user=\"a\"} 1\ncaas_new_figure{user=\"a\"} 1\n",
                name);
        CLEANUP_USAGE struct usage *usage = usage_of(text);
        assert_int_equal(usage->users, 0);
        assert_int_equal(usage->parts, 0);
        CLEANUP_USAGE struct usage *odd = usage_of("caas_user_memory_bytes{user=\"a\",kind=\"dask\"} NaN\n"
                                                   "caas_home_used_bytes{user=\"a\"} -5\n"
                                                   "caas_home_size_bytes{user=\"a\"} +Inf\n");
        assert_true(isnan(usage_user_memory(&odd->user[0])) && isnan(odd->user[0].home_used) &&
                    isnan(odd->user[0].home_size));
}

static void test_no_more_rows_than_there_is_room_for(void **state)
{
        (void)state;
        CLEANUP_USAGE struct usage *usage = usage_new(1000);
        for (int i = 0; i < USAGE_ROWS_MAX + 10; i++) {
                char name[20];
                snprintf(name, sizeof name, "u%d", i);
                struct metrics_sample sample = {
                        .name = "caas_home_used_bytes", .label = {{"user", name}}, .labels = 1, .value = 1};
                usage_add(usage, &sample);
        }
        assert_int_equal(usage->users, USAGE_ROWS_MAX);
        assert_int_equal(usage->dropped, 10);
}

static struct usage *counted_by(const char *source, double clock, double notebook, double dask)
{
        CLEANUP_FREE char *text = str_format("caas_source_last_success_timestamp_seconds{source=\"%s\"} %g\n"
                                             "caas_source_last_success_timestamp_seconds{source=\"hub\"} 7\n"
                                             "caas_user_cpu_seconds_total{user=\"a\",kind=\"notebook\"} %g\n"
                                             "caas_user_cpu_seconds_total{user=\"a\",kind=\"dask\"} %g\n",
                source, clock, notebook, dask);
        return usage_of(text);
}

static struct usage *counted(double clock, double notebook, double dask)
{
        return counted_by("cgroup", clock, notebook, dask);
}

static void test_cores_on_kubernetes(void **state)
{
        (void)state;
        CLEANUP_USAGE struct usage *first = counted_by("kubelet", 100, 10, 500),
                                   *second = counted_by("kubelet", 110, 15, 540);
        usage_rates(second, first);
        NEAR(second->user[0].group[USAGE_NOTEBOOK].cpu, 0.5);
        NEAR(second->rate_seconds, 10);
}

static void test_cores(void **state)
{
        (void)state;
        CLEANUP_USAGE struct usage *first = counted(100, 10, 500), *second = counted(110, 15, 540),
                                   *same = counted(110, 15, 540), *anew = counted(120, 3, 540),
                                   *back = counted(90, 1, 1), *fresh = usage_of(full);
        usage_rates(second, first);
        NEAR(second->user[0].group[USAGE_NOTEBOOK].cpu, 0.5);
        NEAR(second->user[0].group[USAGE_DASK].cpu, 4);
        NEAR(usage_user_cpu(&second->user[0]), 4.5);
        NEAR(second->rate_seconds, 10);
        usage_rates(same, second); /* not measured again: what was known still holds */
        NEAR(usage_user_cpu(&same->user[0]), 4.5);
        NEAR(same->rate_seconds, 10);
        usage_rates(anew, same); /* the server was started anew */
        NEAR(anew->user[0].group[USAGE_NOTEBOOK].cpu, 0.3);
        NEAR(anew->user[0].group[USAGE_DASK].cpu, 0);
        usage_rates(back, anew); /* the exporter's clock was set */
        assert_true(isnan(usage_user_cpu(&back->user[0])) && isnan(back->rate_seconds));
        usage_rates(fresh, first); /* nobody of these was there before */
        assert_true(isnan(usage_user_cpu(user_of(fresh, "alice"))));
        CLEANUP_USAGE struct usage *silent = usage_of("caas_part_up{part=\"hub\"} 1\n");
        usage_rates(silent, first);
        assert_true(isnan(silent->rate_seconds));
}

static void expect_users(const struct usage *usage, enum usage_sort by, bool reverse, const char *expected)
{
        CLEANUP_FREE const struct usage_user **user = usage_users(usage, by, reverse);
        CLEANUP_BUF struct buf names = BUF_INIT(1000);
        for (size_t i = 0; i < usage->users; i++)
                buf_format(&names, "%s%s", i ? " " : "", user[i]->name);
        assert_string_equal(names.data, expected);
}

static void test_order(void **state)
{
        (void)state;
        CLEANUP_USAGE struct usage *usage = usage_of("caas_user_memory_bytes{user=\"b\",kind=\"dask\"} 5\n"
                                                     "caas_user_memory_bytes{user=\"d\",kind=\"notebook\"} 9\n"
                                                     "caas_user_memory_bytes{user=\"a\",kind=\"notebook\"} 5\n"
                                                     "caas_home_used_bytes{user=\"c\"} 7\n"
                                                     "caas_home_used_bytes{user=\"a\"} 3\n"
                                                     "caas_dask_cluster_workers{user=\"a\",dask_cluster=\"y\"} 1\n"
                                                     "caas_dask_cluster_workers{user=\"b\",dask_cluster=\"x\"} 4\n"
                                                     "caas_dask_cluster_cores{user=\"a\",dask_cluster=\"y\"} 9\n");
        expect_users(usage, USAGE_BY_MEMORY, false, "d a b c"); /* not known: last */
        expect_users(usage, USAGE_BY_MEMORY, true, "a b d c");
        expect_users(usage, USAGE_BY_USER, false, "a b c d");
        expect_users(usage, USAGE_BY_USER, true, "d c b a");
        expect_users(usage, USAGE_BY_HOME, false, "c a b d");
        expect_users(usage, USAGE_BY_DASK, false, "b a c d");
        expect_users(usage, USAGE_BY_CPU, false, "a b c d");
        static const struct {
                enum usage_sort by;
                const char *first;
        } dasks[] = {{USAGE_BY_DASK, "x"}, {USAGE_BY_CPU, "y"}, {USAGE_BY_USER, "y"}, {USAGE_BY_MEMORY, "y"}};
        for (size_t i = 0; i < sizeof dasks / sizeof *dasks; i++) {
                CLEANUP_FREE const struct usage_dask **dask = usage_dasks(usage, dasks[i].by, false);
                assert_string_equal(dask[0]->name, dasks[i].first);
        }
        /* The order is another one's, and the rates still find their users. */
        expect_users(usage, USAGE_BY_HOME, true, "a c b d");
        CLEANUP_USAGE struct usage *first = counted(100, 1, 1), *second = counted(101, 2, 1);
        CLEANUP_FREE const struct usage_user **sorted = usage_users(first, USAGE_BY_CPU, false);
        assert_ptr_equal(sorted[0], &first->user[0]);
        usage_rates(second, first);
        NEAR(usage_user_cpu(&second->user[0]), 1);
}

static void test_json(void **state)
{
        (void)state;
        CLEANUP_USAGE struct usage *usage = usage_of(full);
        json_auto_t *document = usage_to_json(usage, "lab", USAGE_BY_HOME), *wanted = NULL;
        const json_t *users = json_object_get(document, "users");
        assert_string_equal(json_string_value(json_object_get(json_array_get(users, 0), "user")), "bob");
        wanted = json_loads("{\"user\": \"alice\", \"cpu\": null, \"memory_bytes\": 5000000000, \"server\": "
                            "{\"ready\": true, \"started\": \"1970-01-01T00:06:40Z\", \"last_activity\": "
                            "\"1970-01-01T00:15:00Z\"}, \"notebook\": {\"cpu\": null, \"memory_bytes\": 1000000000, "
                            "\"memory_limit_bytes\": 2000000000, \"processes\": 7, \"oom_kills\": 1}, \"dask\": "
                            "{\"cpu\": null, \"memory_bytes\": 4000000000, \"memory_limit_bytes\": null, "
                            "\"processes\": null, \"oom_kills\": null, \"clusters\": 2, \"workers\": 5}, \"home\": "
                            "{\"used_bytes\": 3000000000, \"size_bytes\": 10000000000}}",
                0, NULL);
        assert_non_null(wanted);
        assert_true(json_equal(json_array_get(users, 1), wanted));
        assert_true(json_is_null(json_object_get(json_array_get(users, 0), "server")));
        CLEANUP_FREE char *text = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
        static const char *const parts[] = {"\"cluster\":\"lab\"", "\"time\":\"1970-01-01T00:16:40Z\"",
                "\"cpu_seconds\":null", "\"drift_resources\":2", "{\"part\":\"proxy\",\"up\":false}",
                "{\"duration_seconds\":0.25,\"last_success\":\"1970-01-01T00:16:30Z\",\"source\":\"cgroup\",\"up\":"
                "true}",
                "{\"certificate\":\"public\",\"expires\":\"1970-01-02T00:16:40Z\"}",
                "{\"cores\":6,\"dask_cluster\":\"d1\",\"idle_seconds\":null,\"memory_bytes\":null,"
                "\"started\":\"1970-01-01T00:13:20Z\",\"user\":\"alice\",\"workers\":3}"};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
                if (!strstr(text, parts[i]))
                        fail_msg("no %s in %s", parts[i], text);
}

/* ---- the exporter ---- */

static struct server *server;

static bool exporter(struct peer *peer, const char *request)
{
        if (!strstr(request, "Authorization: Bearer s3cret\r\n"))
                return answer(peer, "401 Unauthorized", "", "no");
        if (str_starts(request, "GET /metrics "))
                return answer(peer, "200 OK", "", full);
        if (str_starts(request, "GET /cut "))
                return answer(peer, "200 OK", "", "caas_part_up{part=\"hub\"} 1\ncaas_pa");
        if (str_starts(request, "GET /html "))
                return answer(peer, "200 OK", "", "<html>\n");
        if (str_starts(request, "GET /other "))
                return answer(peer, "200 OK", "", "node_load1 1\n");
        return answer(peer, "503 Service Unavailable", "", "caas_part_up{part=\"hub\"} 1\n");
}

static void test_exporter(void **state)
{
        (void)state;
        static const struct {
                const char *path, *token;
                int result;
                const char *message;
        } cases[] = {
                {"metrics", "s3cret", 0, NULL},
                {"metrics", "wrong", -ERR_DENIED, "the exporter: it wants another token (status 401)"},
                {"cut", "s3cret", -ERR_INVALID, "the exporter: the metrics end inside line 2"},
                {"html", "s3cret", -ERR_INVALID, "the exporter: line 1 of the metrics: no metric's name"},
                {"other", "s3cret", -ERR_INVALID, "with no metrics of a cluster"},
                {"gone", "s3cret", -ERR_FAILED, "the exporter: status 503"},
        };
        CLEANUP_HTTP struct http_client *http = http_client_new(NULL);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_FREE char *url = str_format("http://127.0.0.1:%d/%s", server->port, cases[i].path);
                json_auto_t *access = json_pack("{s:s, s:s}", "metrics", url, "token", cases[i].token);
                CLEANUP_USAGE struct usage *usage = NULL;
                CLEANUP_ERR struct err *err = NULL;
                int r = exporter_read(http, access, &usage, &err);
                if (r != cases[i].result || (r < 0 && !strstr(err->message, cases[i].message)))
                        fail_msg("%s: %d %s", cases[i].path, r, err ? err->message : "");
                assert_true((usage != NULL) == (r == 0));
                if (usage)
                        assert_int_equal(usage->users, 3);
        }
        json_auto_t *nothing = json_object();
        struct usage *none = NULL;
        assert_int_equal(exporter_read(http, nothing, &none, NULL), -ERR_INVALID);
}

static int setup(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        server = server_start(NULL, NULL);
        server->custom = exporter;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        server_stop(server);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_joining),
                cmocka_unit_test(test_what_is_passed_over),
                cmocka_unit_test(test_no_more_rows_than_there_is_room_for),
                cmocka_unit_test(test_cores),
                cmocka_unit_test(test_cores_on_kubernetes),
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_json),
                cmocka_unit_test(test_exporter),
        };
        return cmocka_run_group_tests(tests, setup, teardown);
}
