/* Services as systemd units: /etc/systemd/system/caas-<cluster>-<name>.service, its secrets in
 * <cluster>/service/<name>/. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "client/service/service.h"
#include "client/service/systemd_text.h"

#define UNITS         "/etc/systemd/system"
#define UNIT_MAX      (1024 * 1024)
#define SNAPSHOT_MS   200 /* one question serves all services that are looked at in a row */
#define SYSTEMCTL_MS  (3 * 60 * 1000)
#define UNITS_PER_ASK 64
#define START_LINES   5

/* ---- systemctl ---- */

static int systemctl(
        const struct service_host *host, const char *const *words, struct proc_result *ret, struct err **err)
{
        const char *argv[UNITS_PER_ASK + 16] = {"systemctl", "--no-ask-password", "--no-pager"};
        size_t n = 3;
        for (; *words && n < sizeof argv / sizeof *argv - 1; words++)
                argv[n++] = *words;
        struct proc_spec spec = {.argv = argv, .timeout_ms = SYSTEMCTL_MS, .cancel = host->cancel, .new_session = true};
        return proc_must(&spec, ret, err);
}

/* What systemd said last about all of one cluster's services: {"unit": {"ActiveState": …}} as text blocks. Observing
 * many services costs one process, not one each. */
static pthread_mutex_t snapshot_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
        char *cluster, *text;
        int64_t taken_ms;
} snapshot;

static void forget_snapshot(void)
{
        pthread_mutex_lock(&snapshot_mutex);
        free(snapshot.text);
        free(snapshot.cluster);
        snapshot.text = snapshot.cluster = NULL;
        pthread_mutex_unlock(&snapshot_mutex);
}

static bool unit_is_ours(const char *file, const char *cluster)
{
        CLEANUP_FREE char *prefix = str_format("caas-%s-", cluster);
        /* names of services hold no dash: caas-demo-hub.service is not of a cluster "demo-hub" */
        return str_starts(file, prefix) && str_ends(file, ".service") && !strchr(file + strlen(prefix), '-');
}

static int ask_about_all(const struct service_host *host, char **ret_text, struct err **err)
{
        const char *words[UNITS_PER_ASK + 4] = {
                "show", "--property=Id,ActiveState,UnitFileState,MainPID,ExecMainStartTimestampMonotonic"};
        char *units[UNITS_PER_ASK];
        size_t count = 0;
        DIR *dir = opendir(UNITS);
        struct dirent *entry;
        while (dir && count < UNITS_PER_ASK && (entry = readdir(dir)))
                if (unit_is_ours(entry->d_name, host->cluster))
                        words[2 + count] = units[count] = str_copy(entry->d_name), count++;
        if (dir)
                closedir(dir);
        CLEANUP_PROC struct proc_result result = {0};
        int r = count > 0 ? systemctl(host, words, &result, err) : 0;
        while (count > 0)
                free(units[--count]);
        if (r == 0)
                *ret_text = result.output ? STEAL(result.output) : str_copy("");
        return r;
}

/* The block of one unit, "Key=value" lines; "" if systemd does not know it. The caller frees. */
static int ask_about(const struct service_host *host, const char *unit, char **ret, struct err **err)
{
        pthread_mutex_lock(&snapshot_mutex);
        int64_t now = host->clock->monotonic_ms(host->clock);
        bool fresh = snapshot.text && str_is(snapshot.cluster, host->cluster) && now - snapshot.taken_ms < SNAPSHOT_MS;
        int result = 0;
        if (!fresh) {
                char *text = NULL;
                result = ask_about_all(host, &text, err);
                if (result == 0) {
                        free(snapshot.text);
                        free(snapshot.cluster);
                        snapshot.text = text;
                        snapshot.cluster = str_copy(host->cluster);
                        snapshot.taken_ms = host->clock->monotonic_ms(host->clock);
                }
        }
        if (result == 0) {
                CLEANUP_FREE char *line = str_format("Id=%s\n", unit);
                const char *found = strstr(snapshot.text, line), *begin = found;
                while (begin && begin > snapshot.text &&
                        !(begin[-1] == '\n' && (begin - 1 == snapshot.text || begin[-2] == '\n')))
                        begin--;
                const char *end = found ? strstr(found, "\n\n") : NULL;
                *ret = found ? str_copy_n(begin, end ? (size_t)(end - begin) : strlen(begin)) : str_copy("");
        }
        pthread_mutex_unlock(&snapshot_mutex);
        return result;
}

/* The value of "key=" in a block; the caller frees. */
static char *property(const char *block, const char *key)
{
        CLEANUP_FREE char *begin = str_format("%s=", key);
        for (const char *line = block; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
                if (str_starts(line, begin))
                        return str_copy_n(line + strlen(begin), strcspn(line + strlen(begin), "\n"));
        return str_copy("");
}

static int act(const struct service_host *host, const char *verb, const char *unit, struct err **err)
{
        const char *words[] = {verb, unit, NULL};
        int result = systemctl(host, words, NULL, err);
        forget_snapshot();
        return result;
}

/* ---- the driver ---- */

static char *unit_path(const struct service_host *host, const char *name)
{
        CLEANUP_FREE char *unit = systemd_unit_name(host->cluster, name);
        return file_join(UNITS, unit);
}

/* The environment file, or none. */
static int write_secrets(const char *path, const struct service *service, struct err **err)
{
        if (!service->secrets || !*service->secrets)
                return file_remove(path, err);
        char *text = NULL;
        int result = service_env_file(service->secrets, &text, err);
        if (result < 0)
                return result;
        size_t length = strlen(text);
        result = file_write_atomic(path, text, length, 0600, (uid_t)-1, (gid_t)-1, err);
        mem_wipe_free(text, length);
        return result;
}

static int systemd_install(const struct service_host *host, const struct service *service, struct err **err)
{
        CLEANUP_FREE char *path = unit_path(host, service->name);
        CLEANUP_FREE char *folder = str_format("%s/service/%s", host->cluster_dir, service->name);
        CLEANUP_FREE char *secrets = file_join(folder, "secrets");
        CLEANUP_FREE char *unit = NULL;
        bool secret = service->secrets && *service->secrets;
        int result = systemd_unit_text(host->cluster, service, secret ? secrets : NULL, &unit, err);
        if (result == 0)
                result = file_make_dirs(folder, 0700, err);
        if (result == 0)
                result = write_secrets(secrets, service, err);
        if (result == 0)
                result = file_write_atomic(path, unit, strlen(unit), 0644, (uid_t)-1, (gid_t)-1, err);
        const char *reload[] = {"daemon-reload", NULL};
        if (result == 0)
                result = systemctl(host, reload, NULL, err);
        forget_snapshot();
        return result;
}

/* The last lines of the journal that match `own`, and those of root that match `about` (NULL: none); indented by two.
 */
static char *journal_tail(
        const struct service_host *host, const char *own, const char *about, int lines, int64_t since_wall_ms)
{
        CLEANUP_FREE char *count = str_format("--lines=%d", lines);
        CLEANUP_FREE char *since = str_format("--since=@%lld", (long long)(since_wall_ms / 1000));
        const char *argv[] = {"journalctl", "--quiet", "--no-pager", "--output=cat", count, since, own,
                about ? "+" : NULL, about, "_UID=0", NULL};
        struct proc_spec spec = {.argv = argv, .timeout_ms = 10000, .cancel = host->cancel, .new_session = true};
        CLEANUP_PROC struct proc_result result = {0};
        if (proc_run(&spec, &result, NULL) < 0 || result.status != 0)
                return str_copy("");
        CLEANUP_BUF struct buf out = BUF_INIT(16 * 1024);
        for (const char *line = result.output; *line;) {
                size_t n = strcspn(line, "\n");
                buf_format(&out, "%s  %.*s", out.length ? "\n" : "", (int)n, line);
                line += n + (line[n] == '\n');
        }
        return buf_steal(&out);
}

static char *systemd_log_tail(const struct service_host *host, const char *name, int lines, int64_t since_wall_ms)
{
        CLEANUP_FREE char *unit = systemd_unit_name(host->cluster, name);
        CLEANUP_FREE char *own = str_format("_SYSTEMD_UNIT=%s", unit);
        CLEANUP_FREE char *about = str_format("UNIT=%s", unit);
        /* What was said just before the end may be on its way to the journal yet. */
        const char *sync[] = {"journalctl", "--sync", NULL};
        struct proc_spec spec = {.argv = sync, .timeout_ms = 10000, .cancel = host->cancel, .new_session = true};
        CLEANUP_PROC struct proc_result synced = {0};
        proc_run(&spec, &synced, NULL);
        CLEANUP_FREE char *text = journal_tail(host, own, NULL, lines, since_wall_ms);
        /* One that wrote nothing, or was never entered: what systemd says of it. Whose line it is, journald looks up
         * when it reads it: of a process that has ended by then it knows the user alone, so --unit would leave such
         * lines out. */
        return *text ? STEAL(text) : journal_tail(host, own, about, lines, since_wall_ms);
}

/* systemctl only says where to look: say what stands there. */
static int explain(const struct service_host *host, const char *name, int64_t begun, int result, struct err **err)
{
        if (result != -ERR_FAILED || !err)
                return result;
        CLEANUP_FREE char *log = systemd_log_tail(host, name, START_LINES, begun);
        if (*log) {
                *err = err_free(*err);
                result = err_set(err, ERR_FAILED, "service %s does not start:\n%s", name, log);
        }
        return result;
}

static int systemd_start(const struct service_host *host, const struct service *service, struct err **err)
{
        CLEANUP_FREE char *unit = systemd_unit_name(host->cluster, service->name);
        const char *reset[] = {"reset-failed", unit, NULL}; /* an earlier failure does not count */
        systemctl(host, reset, NULL, NULL);
        int result = act(host, "enable", unit, err);
        if (result < 0)
                return result;
        int64_t begun = host->clock->wall_ms(host->clock);
        return explain(host, service->name, begun, act(host, "start", unit, err), err);
}

static int systemd_stop(const struct service_host *host, const struct service *service, struct err **err)
{
        CLEANUP_FREE char *path = unit_path(host, service->name);
        CLEANUP_FREE char *unit = systemd_unit_name(host->cluster, service->name);
        return file_exists(path) ? act(host, "stop", unit, err) : 0;
}

static int systemd_status(
        const struct service_host *host, const char *name, struct service_status *ret, struct err **err)
{
        CLEANUP_FREE char *path = unit_path(host, name);
        if (!file_exists(path)) {
                *ret = (struct service_status){0};
                return 0;
        }
        CLEANUP_FREE char *unit = systemd_unit_name(host->cluster, name);
        CLEANUP_FREE char *block = NULL;
        int result = ask_about(host, unit, &block, err);
        if (result < 0)
                return result;
        CLEANUP_FREE char *active = property(block, "ActiveState");
        CLEANUP_FREE char *enabled = property(block, "UnitFileState");
        CLEANUP_FREE char *pid = property(block, "MainPID");
        CLEANUP_FREE char *since = property(block, "ExecMainStartTimestampMonotonic");
        struct service_status status = {.installed = true,
                .enabled = str_is(enabled, "enabled"),
                .running = str_is(active, "active") || str_is(active, "reloading"),
                .failed = str_is(active, "failed")};
        long number = 0;
        if (status.running && str_to_long(pid, &number) == 0)
                status.pid = (pid_t)number;
        status.incarnation = strtoull(since, NULL, 10);
        *ret = status;
        return 0;
}

static int systemd_remove(const struct service_host *host, const struct service *service, struct err **err)
{
        CLEANUP_FREE char *unit = systemd_unit_name(host->cluster, service->name);
        CLEANUP_FREE char *path = unit_path(host, service->name);
        CLEANUP_FREE char *folder = str_format("%s/service/%s", host->cluster_dir, service->name);
        int result = 0;
        if (file_exists(path)) {
                result = act(host, "stop", unit, err);
                if (result == 0)
                        result = act(host, "disable", unit, err);
                if (result == 0)
                        result = file_remove(path, err);
                const char *reset[] = {"reset-failed", unit, NULL};
                systemctl(host, reset, NULL, NULL);
                const char *reload[] = {"daemon-reload", NULL};
                if (result == 0)
                        result = systemctl(host, reload, NULL, err);
                forget_snapshot();
        }
        if (result == 0)
                result = file_remove_tree(folder, err);
        CLEANUP_FREE char *services = file_join(host->cluster_dir, "service");
        rmdir(services); /* with the last one */
        return result;
}

static void systemd_definition(const struct service_host *host, const char *name, char ret[DIGEST_SIZE])
{
        CLEANUP_FREE char *path = unit_path(host, name);
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        ret[0] = '\0';
        if (file_read(path, UNIT_MAX, &text, &length, NULL) == 0)
                digest_bytes(text, length, ret);
}

const struct service_driver service_systemd = {
        .name = "systemd",
        .install = systemd_install,
        .start = systemd_start,
        .stop = systemd_stop,
        .status = systemd_status,
        .remove = systemd_remove,
        .definition = systemd_definition,
        .log_tail = systemd_log_tail,
};
