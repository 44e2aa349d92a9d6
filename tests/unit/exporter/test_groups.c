/* Control groups as figures of users: what names say, and counters that never fall. On a tree of plain files that looks
 * like version 2 or version 1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "../client/must.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/groups.h"
#include "exporter/sink_impl.h"
#include "exporter/source_list.h"
#include "exporter/write.h"

static char root[64];

static void put(const char *path, const char *text)
{
        CLEANUP_FREE char *full = file_join(root, path);
        CLEANUP_FREE char *folder = str_copy(full);
        *strrchr(folder, '/') = '\0';
        MUST(file_make_dirs(folder, 0755, err));
        MUST(file_write_atomic(full, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1, err));
}

static void put_number(const char *group, const char *file, const char *format, long long number)
{
        CLEANUP_FREE char *path = str_format("top/caas-x/%s/%s", group, file);
        CLEANUP_BUF struct buf text = BUF_INIT(256);
        buf_str(&text, format);
        buf_format(&text, "%lld\n", number);
        put(path, text.data);
}

static void put_group(const char *group, long long memory, long long cpu_usec, long long kills)
{
        put_number(group, "memory.current", "", memory);
        put_number(group, "memory.stat", "anon 3000\ninactive_file ", 1000);
        put_number(group, "memory.max", "", 64000000);
        put_number(group, "memory.events", "oom 9\noom_kill ", kills);
        put_number(group, "cpu.stat", "usage_usec ", cpu_usec);
        put_number(group, "pids.current", "", 5);
        CLEANUP_FREE char *procs = str_format("top/caas-x/%s/cgroup.procs", group);
        CLEANUP_FREE char *own = str_format("%d\n", (int)getpid());
        put(procs, own);
}

static void remove_group(const char *group)
{
        CLEANUP_FREE char *path = str_format("%s/top/caas-x/%s", root, group);
        MUST(file_remove_tree(path, err));
}

static struct config *config_of(const char *accounts)
{
        struct config *config = NULL;
        CLEANUP_FREE char *text = str_format("{\"cluster\": \"x\", \"node\": \"box\", \"accounts\": \"%s/%s\","
                                             " \"groups\": {\"parent\": \"caas-x\"}}",
                root, accounts);
        MUST(config_parse(text, strlen(text), &config, err));
        return config;
}

static const struct cgroup_paths *paths(void)
{
        static char top[80], self[80], none[80];
        snprintf(top, sizeof top, "%s/top", root);
        snprintf(self, sizeof self, "%s/self", root);
        snprintf(none, sizeof none, "%s/none", root);
        static struct cgroup_paths found = {top, self, none};
        return &found;
}

static int set_up(void **state)
{
        (void)state;
        snprintf(root, sizeof root, "/tmp/caas-test-groups-XXXXXX");
        assert_non_null(mkdtemp(root));
        put("top/cgroup.controllers", "cpu memory pids\n");
        put("self", "0::/\n");
        CLEANUP_FREE char *accounts = str_format("{\"bob\": {\"uid\": %d}}", geteuid() ? (int)geteuid() : 1);
        put("users.json", accounts);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        return file_remove_tree(root, NULL);
}

/* ---- names ---- */

static void parses(const char *name, const char *user, const char *pod, const char *container, const char *cluster)
{
        struct group group = {0};
        struct groups list = {.item = mem_zero(sizeof group), .count = 1};
        assert_true(group_parse(name, "demo", &group));
        assert_string_equal(group.name, name);
        assert_true(user ? str_is(group.user, user) : !group.user);
        assert_string_equal(group.pod, pod);
        assert_string_equal(group.container, container);
        assert_true(cluster ? str_is(group.dask_cluster, cluster) : !group.dask_cluster);
        assert_string_equal(group.kind, cluster ? "dask" : "notebook");
        list.item[0] = group;
        groups_clear(&list);
}

static void test_names(void **state)
{
        (void)state;
        parses("jupyter-alice", "alice", "jupyter-alice", "notebook", NULL);
        parses("jupyter-alice--work", "alice", "jupyter-alice--work", "notebook", NULL);
        parses("jupyter-a.b-c", "a.b-c", "jupyter-a.b-c", "notebook", NULL);
        parses("caas-demo-jupyter_alice.service", "alice", "jupyter-alice", "notebook", NULL);
        parses("dask-0f3e-scheduler", NULL, "dask-scheduler-0f3e", "dask-scheduler", "0f3e");
        parses("dask-0f3e-worker-a1", NULL, "dask-worker-0f3e-a1", "dask-worker", "0f3e");
        static const char *const none[] = {"", "x", "jupyter", "jupyter-", "jupyter-1x", "caas-other-jupyter_a.service",
                "caas-demo-jupyter_.service", "dask-", "dask--scheduler", "dask-0f3e", "dask-0f3e-worker-",
                "dask-0f3e-other", "home", NULL};
        for (const char *const *name = none; *name; name++) {
                struct group group;
                if (group_parse(*name, "demo", &group))
                        fail_msg("%s", *name);
        }
}

/* ---- figures ---- */

static char *look(struct config *config, void **memory)
{
        struct sample_sink *sink = sink_new(source_cgroup.families);
        MUST(source_cgroup_look(config, paths(), memory, sink, err));
        char *text = scrape_text(sink, false);
        sink_free(sink);
        return text;
}

static void has(const char *text, const char *words)
{
        if (!strstr(text, words))
                fail_msg("\"%s\" is not in \"%s\"", words, text);
}

static void test_figures(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = config_of("users.json");
        put_group("jupyter-alice", 5000, 7000000, 2);
        CLEANUP_FREE char *first = look(config, &memory);
        /* what was before the exporter is not counted a second time */
        has(first, "\ncaas_user_cpu_seconds_total{user=\"alice\",kind=\"notebook\"} 0\n");
        has(first, "\ncaas_user_oom_kills_total{user=\"alice\",kind=\"notebook\"} 0\n");
        has(first, "\ncaas_user_memory_bytes{user=\"alice\",kind=\"notebook\"} 4000\n");
        has(first, "\ncaas_user_memory_limit_bytes{user=\"alice\",kind=\"notebook\"} 64000000\n");
        has(first, "\ncaas_user_processes{user=\"alice\",kind=\"notebook\"} 5\n");
        has(first, "\ncontainer_cpu_usage_seconds_total{namespace=\"x\",pod=\"jupyter-alice\",container=\"notebook\","
                   "node=\"box\",name=\"jupyter-alice\"} 7\n");
        has(first, "\ncontainer_memory_rss{namespace=\"x\",pod=\"jupyter-alice\",container=\"notebook\",node=\"box\","
                   "name=\"jupyter-alice\"} 3000\n");
        put_group("jupyter-alice", 5000, 8500000, 3);
        put_group("jupyter-alice--work", 500, 250000, 1); /* new: all of it counts; less memory than can be dropped */
        CLEANUP_FREE char *second = look(config, &memory);
        has(second, "\ncaas_user_cpu_seconds_total{user=\"alice\",kind=\"notebook\"} 1.75\n");
        has(second, "\ncaas_user_oom_kills_total{user=\"alice\",kind=\"notebook\"} 2\n");
        has(second, "\ncaas_user_memory_bytes{user=\"alice\",kind=\"notebook\"} 4000\n");
        has(second, "\ncaas_user_processes{user=\"alice\",kind=\"notebook\"} 10\n");
        remove_group("jupyter-alice--work");
        CLEANUP_FREE char *third = look(config, &memory);
        has(third, "\ncaas_user_cpu_seconds_total{user=\"alice\",kind=\"notebook\"} 1.75\n"); /* it does not fall */
        remove_group("jupyter-alice");
        CLEANUP_FREE char *gone = look(config, &memory);
        assert_null(strstr(gone, "alice"));
        put_group("jupyter-alice", 5000, 250000, 0); /* another one of the same name */
        CLEANUP_FREE char *again = look(config, &memory);
        has(again, "\ncaas_user_cpu_seconds_total{user=\"alice\",kind=\"notebook\"} 2\n");
        has(again, "\ncaas_user_oom_kills_total{user=\"alice\",kind=\"notebook\"} 2\n");
        source_cgroup.done(memory);
}

/* Whose a Dask group is is known by the uid of its processes. */
static void test_dask(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = config_of("users.json");
        put_group("dask-0f-scheduler", 2000, 1, 0);
        put_group("dask-0f-worker-1", 3000, 1, 0);
        CLEANUP_FREE char *text = look(config, &memory);
        has(text, "\ncontainer_memory_working_set_bytes{namespace=\"x\",pod=\"dask-worker-0f-1\","
                  "container=\"dask-worker\",node=\"box\",name=\"dask-0f-worker-1\","
                  "k8s_dask_org_node_purpose=\"worker\"} 2000\n");
        if (geteuid())
                has(text, "\ncaas_user_memory_bytes{user=\"bob\",kind=\"dask\"} 3000\n");
        else
                assert_null(strstr(text, "bob")); /* root's processes are nobody's */
        CLEANUP_GROUPS struct groups last = {0};
        MUST(groups_last(config, &last, err));
        assert_int_equal(last.count, 2);
        assert_string_equal(last.item[0].pod, "dask-scheduler-0f");
        assert_true(last.item[0].created > 1000000000);
        source_cgroup.done(memory);
}

static void test_trouble(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_CONFIG struct config *config = config_of("users.json");
        CLEANUP_FREE char *none = look(config, &memory); /* no server has run yet: there is no folder */
        assert_string_equal(none, "");
        put("users.json", "{");
        put_group("dask-0f-scheduler", 2000, 1, 0);
        struct sample_sink *sink = sink_new(source_cgroup.families);
        REFUSED(source_cgroup_look(config, paths(), &memory, sink, err), ERR_INVALID, "users.json");
        sink_free(sink);
        put("top/cgroup.controllers", "\n");
        sink = sink_new(source_cgroup.families);
        REFUSED(source_cgroup_look(config, paths(), &memory, sink, err), ERR_REFUSED, "controllers missing");
        sink_free(sink);
        source_cgroup.done(memory);
        source_cgroup.done(NULL);
}

static void test_unwanted(void **state)
{
        (void)state;
        CLEANUP_CONFIG struct config *config = NULL;
        MUST(config_parse("{}", 2, &config, err));
        for (const struct source *const *source = SOURCES; *source; source++)
                if ((*source)->wanted(config))
                        fail_msg("%s is wanted although nothing was said of it", (*source)->name);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test_setup_teardown(test_figures, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_dask, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_trouble, set_up, tear_down),
                cmocka_unit_test(test_unwanted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
