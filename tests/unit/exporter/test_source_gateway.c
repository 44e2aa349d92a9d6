/* Dask clusters, from a gateway's answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "exporter/source_gateway.h"
#include "exporter/source_list.h"
#include "samples.h"

static struct sample_sink *read_answer(const char *text, int expected)
{
        struct sample_sink *sink = sink_new(source_gateway.families);
        json_auto_t *tree = json_loads(text, JSON_DECODE_ANY, NULL);
        CLEANUP_ERR struct err *err = NULL;
        assert_non_null(tree);
        assert_int_equal(gateway_add(tree, sink, &err), expected);
        return sink;
}

/* As a gateway gave it; names shortened. */
static const char REAL[] =
        "{\"clusters\": [{\"name\": \"9ba3\", \"user\": \"alice\", \"environment\": \"pangeo\", \"workers_wanted\": 1,"
        " \"worker_cpus\": 1.0, \"worker_memory\": 1000000000, \"cpus\": 2.0, \"memory\": 2000000000, "
        "\"idle_seconds\": 19.5,"
        " \"status\": \"running\", \"workers\": 1, \"workers_running\": 1, \"started\": 1795295724.86},"
        " {\"name\": \"77aa\", \"user\": \"alice\", \"cpus\": 1.0, \"memory\": 1000000000, \"idle_seconds\": null,"
        " \"status\": \"pending\", \"workers\": 0, \"workers_running\": 0, \"started\": 1795295730}],"
        " \"users\": {\"alice\": {\"cpus\": 3.0, \"memory\": 3000000000}}, \"maximum\": {\"cpus\": 4.0, \"memory\": "
        "6000000000}}";

static void clusters_and_their_owners(void **state)
{
        (void)state;
        struct sample_sink *sink = read_answer(REAL, 0);
        assert_true(samples_have(sink, "caas_dask_cluster_workers{user=\"alice\",dask_cluster=\"9ba3\"} 1"));
        assert_true(samples_have(sink, "caas_dask_cluster_cores{user=\"alice\",dask_cluster=\"9ba3\"} 2"));
        assert_true(
                samples_have(sink, "caas_dask_cluster_memory_bytes{user=\"alice\",dask_cluster=\"9ba3\"} 2000000000"));
        assert_true(samples_have(sink,
                "caas_dask_cluster_started_timestamp_seconds{user=\"alice\",dask_cluster=\"9ba3\"} 1795295724.86"));
        assert_true(samples_have(sink, "caas_dask_cluster_idle_seconds{user=\"alice\",dask_cluster=\"9ba3\"} 19.5"));
        assert_int_equal(samples_count(sink, "caas_dask_cluster_idle_seconds"), 1); /* the other does not say */
        assert_true(samples_have(sink, "caas_dask_user_clusters{user=\"alice\"} 2"));
        assert_true(samples_have(sink, "caas_dask_user_cores{user=\"alice\"} 3"));
        assert_true(samples_have(sink, "caas_dask_user_memory_bytes{user=\"alice\"} 3000000000"));
        assert_true(samples_have(sink, "caas_dask_max_cores 4"));
        assert_true(samples_have(sink, "caas_dask_max_memory_bytes 6000000000"));
        assert_true(samples_sound(sink));
        sink_free(sink);
}

static void nothing_runs(void **state)
{
        (void)state;
        struct sample_sink *sink =
                read_answer("{\"clusters\": [], \"users\": {}, \"maximum\": {\"cpus\": 4, \"memory\": 6}}", 0);
        assert_int_equal(samples_count(sink, "caas_dask_user_clusters"), 0);
        assert_true(samples_have(sink, "caas_dask_max_cores 4"));
        sink_free(sink);
}

static void answers_that_make_no_sense(void **state)
{
        (void)state;
        static const char *const wrong[] = {"{}", "[]", "{\"clusters\": {}, \"users\": {}, \"maximum\": {}}",
                "{\"clusters\": [], \"users\": [], \"maximum\": {}}", "{\"clusters\": [], \"users\": {}}"};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
                sink_free(read_answer(wrong[i], -ERR_INVALID));
        struct sample_sink *sink =
                read_answer("{\"clusters\": [null, 3, {}, {\"name\": \"a\"}, {\"name\": \"b\", \"user\": \"u\\\"x\", "
                            "\"workers\": -1, "
                            "\"cpus\": \"2\", \"memory\": true}, {\"name\": \"b\", \"user\": \"v\", \"workers\": 3}],"
                            " \"users\": {\"u\": 3, \"v\": {\"cpus\": null}}, \"maximum\": {\"cpus\": {}}}",
                        0);
        assert_true(samples_have(sink, "caas_dask_user_clusters{user=\"u\\\"x\"} 1"));
        assert_int_equal(samples_count(sink, "caas_dask_cluster_workers"), 0);
        assert_int_equal(samples_count(sink, "caas_dask_max_cores"), 0);
        assert_true(samples_sound(sink));
        sink_free(sink);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(clusters_and_their_owners),
                cmocka_unit_test(nothing_runs),
                cmocka_unit_test(answers_that_make_no_sense),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
