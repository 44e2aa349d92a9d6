/* What an exporter says of a small cluster with some trouble, for the tests of `caas top`. */
#ifndef CAAS_TESTS_UNIT_CLI_TOP_METRICS_H
#define CAAS_TESTS_UNIT_CLI_TOP_METRICS_H

static const char metrics[] =
        "caas_source_last_success_timestamp_seconds{source=\"cgroup\"} 995\n"
        "caas_source_up{source=\"gateway\"} 0\n"
        "caas_part_up{part=\"hub\"} 1\n"
        "caas_part_up{part=\"proxy\"} 0\n"
        "caas_user_cpu_seconds_total{user=\"alice\",kind=\"notebook\"} 10\n"
        "caas_user_memory_bytes{user=\"alice\",kind=\"notebook\"} 1920000000\n"
        "caas_user_memory_limit_bytes{user=\"alice\",kind=\"notebook\"} 2e9\n"
        "caas_server_started_timestamp_seconds{user=\"alice\",server=\"\"} 400\n"
        "caas_dask_cluster_workers{user=\"alice\",dask_cluster=\"0123456789abcdef0123456789abcdef\"} 3\n"
        "caas_dask_cluster_cores{user=\"alice\",dask_cluster=\"0123456789abcdef0123456789abcdef\"} 6\n"
        "caas_dask_max_cores 64\n"
        "caas_home_used_bytes{user=\"alice\"} 9.5e9\n"
        "caas_home_size_bytes{user=\"alice\"} 1e10\n"
        "caas_home_used_bytes{user=\"\x1b[2J\xc3\xa9vil\\nname\"} 1e6\n"
        "caas_home_used_bytes{user=\"\xe5\x90\x8d\xe5\x89\x8d\xe5\x90\x8d\xe5\x89\x8d\xe5\x90\x8d\xe5\x89\x8d\"} 2e6\n"
        "caas_homes_free_bytes 2.1e11\n"
        "caas_drift_resources 2\n"
        "caas_certificate_expiry_timestamp_seconds{certificate=\"public\"} 87400\n";

#endif
