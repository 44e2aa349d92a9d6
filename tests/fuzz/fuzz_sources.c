/* What the exporter's other sources read. By the first byte: 'd' entries of the directory, 'k' objects of the API
 * server, 'b' a CronJob, 'r' what caas leaves of its runs, 't' a certificate, 'j' a journal, 'p' the state, memory and
 * groups of a process; 'v' and 'w' a control group's files, of version 2 and 1, each ended by NUL. Whatever it is, what
 * a scrape shows is well-formed, has the labels of its family's table, and no series twice. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit/exporter/samples.h"
#include "base/file.h"
#include "client/cgroup/cgroup.h"
#include "client/tls/certificate.h"
#include "exporter/groups.h"
#include "exporter/kube_read.h"
#include "exporter/processes.h"
#include "exporter/source_backup.h"
#include "exporter/source_directory.h"
#include "exporter/source_list.h"
#include "exporter/source_run.h"
#include "fuzz.h"
#include "journal/journal.h"

static char root[64];

static void clean(void)
{
        file_remove_tree(root, NULL);
}

/* Ours, in memory if there is such a place. */
static const char *folder(void)
{
        if (*root)
                return root;
        snprintf(root, sizeof root, "%s/caas-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        MUST(mkdtemp(root));
        atexit(clean);
        return root;
}

static void put(const char *path, const char *text, size_t length)
{
        FILE *file = fopen(path, "we");
        MUST(file && fwrite(text, 1, length, file) == length && fclose(file) == 0);
}

static void directory(const json_t *list)
{
        static const struct config_directory where = {.groups_base = "cn=groups,cn=accounts,dc=t,dc=internal",
                .users_group = "t_notebook_users",
                .admins_group = "t_notebook_admins"};
        struct config config = {.directory = where, .namespace_ = "t"};
        struct sample_sink *sink = sink_new(source_directory.families);
        struct members *members = members_new(&where, INT64_MAX);
        size_t i;
        json_t *entry;
        json_array_foreach (list, i, entry)
                MUST(members_add(members, entry));
        members_write(&config, members, sink);
        MUST(samples_sound(sink));
        MUST(samples_count(sink, "caas_group_members") == 2);
        MUST(samples_count(sink, "caas_user_group_info") <= 2 * json_array_size(list));
        members_free(members);
        sink_free(sink);
}

static void kube(const json_t *list)
{
        CLEANUP_KUBE_VIEW struct kube_view *view = kube_view_new();
        struct kube_reading reading = {.namespace_ = "ocean", .view = view, .sink = sink_new(KUBE_FAMILIES)};
        size_t i;
        json_t *object;
        json_array_foreach (list, i, object) {
                const char *kind = json_string_value(json_object_get(object, "kind"));
                if (str_is(kind, "Pod"))
                        kube_read_pod(&reading, object);
                else if (str_is(kind, "PersistentVolumeClaim"))
                        kube_read_claim(&reading, object);
                else if (str_is(kind, "Service"))
                        kube_read_service(&reading, object);
                else if (str_is(kind, "Node"))
                        kube_read_node(&reading, object);
        }
        kube_read_end(&reading);
        kube_view_sort(view);
        MUST(samples_sound(reading.sink));
        for (i = 0; i < view->nodes; i++) /* where our token is sent to */
                MUST(!view->node[i].url ||
                        (str_starts(view->node[i].url, "https://") && !strpbrk(view->node[i].url + 8, "/@?#\\ \r\n%")));
        for (i = 0; i < view->pods; i++)
                MUST(!view->pod[i].user == !view->pod[i].kind && kube_view_pod(view, view->pod[i].name));
        for (i = 0; i < view->claims; i++)
                MUST(view->claim[i].size >= 0 && isfinite(view->claim[i].size));
        sink_free(reading.sink);
}

static void runs(const json_t *note)
{
        struct sample_sink *sink = sink_new(source_run.families);
        json_auto_t *found = NULL;
        if (run_of_note(note, &found, NULL) == 0)
                run_write(found, sink);
        MUST(samples_sound(sink));
        sink_free(sink);
}

static void certificate(const char *text)
{
        CLEANUP_TLS_FACTS struct tls_facts facts = {0};
        CLEANUP_ERR struct err *err = NULL;
        MUST((tls_read(text, &facts, &err) < 0) == (err != NULL));
}

static void journal(const char *bytes, size_t length)
{
        CLEANUP_FREE char *path = file_join(folder(), "journal.sqlite");
        CLEANUP_ERR struct err *err = NULL;
        json_auto_t *found = NULL;
        put(path, bytes, length);
        int r = journal_look(path, "demo", &found, &err);
        MUST((r < 0) == (err != NULL) && (r < 0) == (found == NULL));
        MUST(r < 0 || json_is_array(json_object_get(found, "runs")));
}

static void process(const char *text)
{
        long long ticks = -1;
        MUST(group_process_start(text, &ticks) == (ticks >= 0));
        struct process found = {.pid = -1};
        MUST(process_parse(text, &found) == (found.pid != -1));
        MUST(process_own_pages(text) >= 0);
        MUST(!process_within(text, "caas-demo") || strstr(text, "/caas-demo/"));
}

static void group(const char *text, size_t length, bool unified)
{
        static const char *const two[] = {"memory.current", "memory.stat", "memory.max", "cpu.stat", "memory.events",
                "pids.current", "pids.max", "cpu.max", NULL};
        static const char *const one[] = {"memory.usage_in_bytes", "memory.stat", "memory.limit_in_bytes", "cpu.stat",
                "memory.oom_control", "pids.current", "pids.max", "cpu.cfs_quota_us", "cpu.cfs_period_us",
                "cpuacct.usage", NULL};
        CLEANUP_FREE char *top = str_format("%s/%s", folder(), unified ? "two" : "one");
        static const char *const controllers[] = {"memory", "cpu", "cpuacct", "pids"};
        for (size_t c = 0; c < (unified ? 1 : 4); c++) {
                CLEANUP_FREE char *hierarchy =
                        str_format("%s%s%s", top, unified ? "" : "/", unified ? "" : controllers[c]);
                CLEANUP_FREE char *mine = file_join(hierarchy, "caas-demo/jupyter-alice");
                CLEANUP_FREE char *mark = file_join(hierarchy, unified ? "cgroup.controllers" : "cgroup.procs");
                MUST(file_make_dirs(mine, 0755, NULL) == 0);
                put(mark, "cpu memory pids\n", unified ? 16 : 0);
                const char *at = text;
                for (const char *const *name = unified ? two : one; *name && at < text + length; name++) {
                        CLEANUP_FREE char *path = file_join(mine, *name);
                        size_t n = strlen(at);
                        put(path, at, n);
                        at += n + 1;
                }
        }
        const struct cgroup_paths paths = {top, "/nowhere/self", "/nowhere/systemd"};
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        struct cgroup_usage usage;
        MUST(cgroup_open(&paths, "caas-demo", &tree, NULL) == 0 && cgroup_unified(tree) == unified);
        MUST(cgroup_usage(tree, "jupyter-alice", &usage, NULL) == 0);
        MUST(usage.working_set >= 0 && usage.cpu_limit >= -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size == 0)
                return 0;
        CLEANUP_FREE char *text = str_copy_n((const char *)data + 1, size - 1);
        bool json = strchr("dkbr", *data) != NULL;
        json_auto_t *tree = json ? json_loadb(text, size - 1, JSON_REJECT_DUPLICATES, NULL) : NULL;
        double ended = 0;
        switch (*data) {
        case 'd':
                directory(tree);
                break;
        case 'k':
                kube(tree);
                break;
        case 'b':
                MUST(backup_of_job(tree, &ended, NULL) < 0 || isfinite(ended));
                break;
        case 'r':
                runs(tree);
                break;
        case 't':
                certificate(text);
                break;
        case 'j':
                journal((const char *)data + 1, size - 1);
                break;
        case 'p':
                process(text);
                break;
        case 'v':
        case 'w':
                group(text, size - 1, *data == 'v');
                break;
        default:
                break;
        }
        return 0;
}
