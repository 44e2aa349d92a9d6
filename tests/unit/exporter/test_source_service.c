/* What the cluster's own services use: on a made-up /proc, where users' servers are children of the hub; on made-up
 * control groups as systemd has them; and of real processes. */
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
#include <sys/wait.h>
#include <unistd.h>

#include "../client/must.h"
#include "base/file.h"
#include "exporter/processes.h"
#include "exporter/services.h"
#include "exporter/source_list.h"
#include "samples.h"

#define HUB 100

static char root[64];
static struct config *config;
static int runsv = -1; /* holds the hub's pipe open, as its supervisor would */

static void put(const char *path, const char *text, size_t length)
{
        CLEANUP_FREE char *full = file_join(root, path);
        CLEANUP_FREE char *folder = str_copy(full);
        *strrchr(folder, '/') = '\0';
        MUST(file_make_dirs(folder, 0755, err));
        MUST(file_write_atomic(full, text, length, 0644, (uid_t)-1, (gid_t)-1, err));
}

static void put_of(int pid, const char *name, const char *text)
{
        CLEANUP_FREE char *path = str_format("proc/%d/%s", pid, name);
        put(path, text, strlen(text));
}

/* Its name would be two more fields, and its ended children have taken a thousand seconds. */
static void put_process(int pid, int parent, int ticks, int start, const char *group)
{
        CLEANUP_FREE char *stat = str_format("%d (a) S 1 (b)) S %d %d 100 0 -1 4194560 1 1 0 0 %d 2 100000 0 20 0 1 0 "
                                             "%d 8855552 1000\n",
                pid, parent, HUB, ticks, start);
        CLEANUP_FREE char *cgroup = str_format("4:memory:%s\n1:cpu:%s\n0::/\n", group, group);
        CLEANUP_FREE char *own = str_format("task/%d/children", pid);
        put_of(pid, "stat", stat);
        put_of(pid, "statm", "9000 300 100 1 0 1 0\n");
        put_of(pid, "cgroup", cgroup);
        put_of(pid, own, "");
}

static void remove_process(int pid)
{
        CLEANUP_FREE char *path = str_format("%s/proc/%d", root, pid);
        MUST(file_remove_tree(path, err));
}

/* The hub with two threads, of which the second has a child of the hub's and a user's server, with a kernel. */
static void put_hub(int ticks)
{
        put_process(HUB, 1, ticks, 5000, "/");
        put_of(HUB, "task/101/children", "200 300 400 77777 ");
        put_process(200, HUB, 30, 6000, "/");
        put_process(300, HUB, 90000, 6000, "/process_api/caas-x/jupyter-alice");
        put_of(300, "task/300/children", "301 ");
        put_process(301, 300, 90000, 6000, "/");
        put_process(400, 1, 90000, 6000, "/"); /* it was a child a moment ago; now somebody else has this pid */
}

static void put_status(int pid, bool up)
{
        char status[20] = {[12] = (char)pid, [17] = 'u', [19] = up};
        put("service/hub/supervise/status", status, sizeof status);
}

static const struct services_paths *paths(const char *systemd)
{
        static char proc[80], cgroup[80], mark[80];
        static struct services_paths found = {proc, {cgroup, "/nowhere", mark}};
        snprintf(proc, sizeof proc, "%s/proc", root);
        snprintf(cgroup, sizeof cgroup, "%s/cgroup", root);
        snprintf(mark, sizeof mark, "%s/%s", root, systemd);
        return &found;
}

static int set_up(void **state)
{
        (void)state;
        snprintf(root, sizeof root, "/tmp/caas-test-service-XXXXXX");
        assert_non_null(mkdtemp(root));
        put_status(HUB, true);
        CLEANUP_FREE char *pipe = str_format("%s/service/hub/supervise/ok", root);
        assert_int_equal(mkfifo(pipe, 0600), 0);
        runsv = open(pipe, O_RDWR | O_CLOEXEC);
        assert_true(runsv >= 0);
        CLEANUP_FREE char *text = str_format(
                "{\"cluster\": \"x\", \"node\": \"box\", \"groups\": {\"parent\": \"caas-x\"}, \"services\": "
                "{\"folder\": \"%s/service\", \"list\": [{\"name\": \"hub\", \"component\": \"hub\"}, "
                "{\"name\": \"gateway_proxy\", \"component\": \"traefik\", \"app\": \"dask-gateway\"}]}}",
                root);
        MUST(config_parse(text, strlen(text), &config, err));
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        close(runsv);
        config = config_free(config);
        return file_remove_tree(root, NULL);
}

/* What the last look left, of a family and the hub; -1: nothing. */
static double look(void **memory)
{
        CLEANUP_GROUPS struct groups last = {0};
        struct sample_sink *sink = sink_new(source_service.families);
        MUST(source_service_look(config, paths("none"), memory, sink, err));
        assert_true(samples_sound(sink));
        assert_int_equal(samples_count(sink, "container_processes"), 1);
        sink_free(sink);
        MUST(services_last(config, &last, err));
        assert_int_equal(last.count, 1);
        return (double)last.item[0].usage.cpu_usec / 1e6 * (double)sysconf(_SC_CLK_TCK);
}

static void test_stat(void **state)
{
        (void)state;
        struct process found = {.pid = 7};
        assert_true(process_parse("1 (x) y) R 2 3 4 0 -1 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", &found));
        assert_int_equal(found.parent, 2);
        assert_int_equal(found.session, 4);
        assert_int_equal(found.ticks, 23);
        assert_int_equal(found.start, 19);
        static const char *const none[] = {"", ")", "1 (x)", "1 (x) ", "1 (x) R", "1 (x) R 2 3 4",
                "1 (x) R 2 3 4 0 -1 6 7 8 9 10 x 12 13 14 15 16 17 18 19",
                "1 (x) R 99999999999 3 4 0 -1 6 7 8 9 10 11 12 13 14 15 16 17 18 19",
                "1 (x) R 2 3 4 0 -1 6 7 8 9 10 99999999999999999999 12 13 14 15 16 17 18 19", NULL};
        for (const char *const *text = none; *text; text++)
                if (process_parse(*text, &found))
                        fail_msg("%s", *text);
        assert_int_equal(process_own_pages("9000 300 100 1 0 1 0\n"), 200);
        assert_int_equal(process_own_pages("9000 100 300 1"), 0);
        assert_int_equal(process_own_pages("9000 -"), 0);
        assert_int_equal(process_own_pages(""), 0);
        assert_true(process_within("4:memory:/a/caas-x/jupyter-alice\n", "caas-x"));
        assert_false(process_within("4:memory:/caas-xy/jupyter-alice\n4:cpu:/caas-x\n", "caas-x"));
}

/* Users' servers are not the hub's, although they are its children; and what its ended children took is not, as that
 * would be servers again. */
static void test_users_are_left_out(void **state)
{
        (void)state;
        void *memory = NULL;
        put_hub(1000);
        assert_true(look(&memory) == 0); /* it begins with the exporter */
        put_process(HUB, 1, 1040, 5000, "/");
        put_process(200, HUB, 35, 6000, "/");
        assert_true(look(&memory) == 45);
        CLEANUP_GROUPS struct groups last = {0};
        MUST(services_last(config, &last, err));
        assert_int_equal(last.item[0].usage.tasks, 2);
        assert_int_equal(last.item[0].usage.working_set, 2 * 200 * sysconf(_SC_PAGESIZE));
        assert_true(last.item[0].created > 1000000000);
        source_service.done(memory);
}

static void test_it_does_not_fall(void **state)
{
        (void)state;
        void *memory = NULL;
        put_hub(1000);
        look(&memory);
        put_process(200, HUB, 130, 6000, "/");
        assert_true(look(&memory) == 100);
        remove_process(200);
        assert_true(look(&memory) == 100);
        put_process(200, HUB, 3, 9000, "/"); /* another of the same pid: all of it is new */
        assert_true(look(&memory) == 105);
        put_process(HUB, 1, 10, 9900, "/"); /* the hub was started anew */
        put_of(HUB, "task/100/children", "");
        put_of(HUB, "task/101/children", "");
        assert_true(look(&memory) == 117);
        source_service.done(memory);
}

static void test_what_is_not_there(void **state)
{
        (void)state;
        void *memory = NULL;
        struct sample_sink *sink = sink_new(source_service.families);
        put_hub(1000);
        put_status(HUB, false);
        REFUSED(source_service_look(config, paths("none"), &memory, sink, err), ERR_NOT_FOUND, "none of the cluster's");
        put_status(99, true); /* gone */
        REFUSED(source_service_look(config, paths("none"), &memory, sink, err), ERR_NOT_FOUND, "none of the cluster's");
        put_process(99, 1, 1, 1, "/"); /* somebody else: it leads no session */
        REFUSED(source_service_look(config, paths("none"), &memory, sink, err), ERR_NOT_FOUND, "none of the cluster's");
        put_status(HUB, true);
        MUST(source_service_look(config, paths("none"), &memory, sink, err));
        close(runsv); /* no supervisor: what it once said is of no use */
        REFUSED(source_service_look(config, paths("none"), &memory, sink, err), ERR_NOT_FOUND, "none of the cluster's");
        runsv = -1;
        cancel_raise(config->cancel);
        REFUSED(source_service_look(config, paths("none"), &memory, sink, err), ERR_CANCELLED, "cancelled");
        sink_free(sink);
        source_service.done(memory);
        source_service.done(NULL);
}

static void test_bounded(void **state)
{
        (void)state;
        CLEANUP_BUF struct buf children = BUF_INIT(65536);
        put_hub(1000);
        for (int i = 0; i < PROCESSES_MAX + 10; i++) {
                put_process(1000 + i, HUB, 1, 1, "/");
                buf_format(&children, "%d ", 1000 + i);
        }
        put_of(HUB, "task/101/children", children.data);
        CLEANUP_FREE struct process *found = NULL;
        assert_int_equal(processes_of(paths("none")->proc, HUB, "caas-x", &found), PROCESSES_MAX);
}

static void test_systemd(void **state)
{
        (void)state;
        void *memory = NULL;
        static const char folder[] = "cgroup/system.slice/caas-x-gateway_proxy.service/";
        static const char *const files[][2] = {{"memory.current", "5000\n"},
                {"memory.stat", "anon 3000\ninactive_file 1000\n"}, {"cpu.stat", "usage_usec 2500000\n"},
                {"memory.events", "oom_kill 1\n"}, {"pids.current", "7\n"}};
        put("systemd/mark", "", 0);
        put("cgroup/cgroup.controllers", "cpu memory\n", 11);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
                CLEANUP_FREE char *path = str_format("%s%s", folder, files[i][0]);
                put(path, files[i][1], strlen(files[i][1]));
        }
        struct sample_sink *sink = sink_new(source_service.families), *said = sink_new(source_cgroup.families),
                           *pods = sink_new(source_pod.families);
        MUST(source_service_look(config, paths("systemd"), &memory, sink, err));
        assert_true(samples_have(sink, "container_processes{namespace=\"x\",pod=\"gateway-proxy\",container="
                                       "\"traefik\",node=\"box\",name=\"gateway_proxy\"} 7"));
        source_service.done(memory);
        memory = NULL;
        MUST(source_cgroup_look(config, &paths("none")->cgroup, &memory, said, err));
        assert_true(samples_have(said,
                "container_cpu_usage_seconds_total{namespace=\"x\",pod=\"gateway-proxy\",container=\"traefik\",node="
                "\"box\",name=\"gateway_proxy\"} 2.5"));
        assert_true(samples_have(said,
                "container_memory_working_set_bytes{namespace=\"x\",pod=\"gateway-proxy\",container=\"traefik\",node="
                "\"box\",name=\"gateway_proxy\",hub_jupyter_org_node_purpose=\"core\"} 4000"));
        assert_int_equal(samples_count(said, "container_spec_memory_limit_bytes"), 0);
        assert_int_equal(samples_count(said, "caas_user_memory_bytes"), 0);
        source_cgroup.done(memory);
        memory = NULL;
        MUST(source_pod.refresh(config, &memory, pods, err));
        assert_true(samples_have(pods,
                "kube_pod_labels{namespace=\"x\",pod=\"gateway-proxy\",label_app=\"dask-gateway\",label_component="
                "\"traefik\",label_app_kubernetes_io_component=\"traefik\"} 1"));
        assert_int_equal(samples_count(pods, "kube_pod_container_resource_limits"), 0);
        sink_free(sink);
        sink_free(said);
        sink_free(pods);
}

/* Version 1 counts processors only for those who ask for that. */
static void test_systemd_of_version_1(void **state)
{
        (void)state;
        void *memory = NULL;
        CLEANUP_GROUPS struct groups last = {0};
        struct sample_sink *sink = sink_new(source_service.families);
        put("systemd/mark", "", 0);
        REFUSED(source_service_look(config, paths("systemd"), &memory, sink, err), ERR_REFUSED, "not counted below");
        put("cgroup/memory/cgroup.procs", "", 0);
        put("cgroup/memory/system.slice/caas-x-hub.service/memory.usage_in_bytes", "7000\n", 5);
        put("cgroup/memory/system.slice/caas-x-hub.service/memory.stat", "total_inactive_file 1000\n", 25);
        MUST(source_service_look(config, paths("systemd"), &memory, sink, err));
        MUST(services_last(config, &last, err));
        assert_int_equal(last.count, 1);
        assert_string_equal(last.item[0].pod, "hub");
        assert_int_equal(last.item[0].usage.working_set, 6000);
        assert_int_equal(last.item[0].usage.cpu_usec, -1);
        sink_free(sink);
        source_service.done(memory);
}

/* The kernel's own lists of children: of a process that leads a session, with a child. */
static void test_real_processes(void **state)
{
        (void)state;
        int ready[2];
        char byte;
        assert_int_equal(pipe(ready), 0);
        pid_t leader = fork();
        if (leader == 0) {
                setsid();
                pid_t child = fork();
                if (child > 0 && write(ready[1], "x", 1) < 0)
                        _exit(1);
                for (;;)
                        pause();
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        CLEANUP_FREE struct process *found = NULL;
        CLEANUP_FREE struct process *none = NULL;
        size_t count = processes_of("/proc", leader, "caas-x", &found);
        size_t others = processes_of("/proc", count == 2 ? found[1].pid : leader, "caas-x", &none);
        kill(-leader, SIGKILL);
        waitpid(leader, NULL, 0);
        close(ready[0]);
        close(ready[1]);
        assert_int_equal(count, 2);
        assert_int_equal(found[1].parent, leader);
        assert_true(found[0].memory > 0 && found[0].memory < (1 << 30));
        assert_int_equal(others, 0); /* the child leads no session */
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stat),
                cmocka_unit_test_setup_teardown(test_users_are_left_out, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_it_does_not_fall, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_what_is_not_there, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bounded, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_systemd, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_systemd_of_version_1, set_up, tear_down),
                cmocka_unit_test(test_real_processes),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
