/* Services under runit, where systemd is not the first process.
 *
 * <cluster>/service/<name>/ {run, finish, secrets, log/run, supervise/ (runsv's)} and <cluster>/log/<name>/ (svlogd's).
 * A new folder is finished beside and then renamed in; one that goes is renamed to ".gone-<name>", which runsvdir does
 * not see, and emptied once its runsv has ended. A run that was cut off is taken up from either. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/service/family.h"
#include "client/service/runit_text.h"
#include "client/service/runsvdir.h"
#include "client/service/service.h"
#include "client/service/supervise.h"

#define POLL_MS     50
#define TAKE_UP_MS  15000 /* runsvdir looks every 5 s where it cannot be woken */
#define KILL_MS     5000
#define LOG_CONFIG  "s1000000\nn5\n" /* 1 MB each, 5 old ones */
#define LOG_MAX     (4 * 1024 * 1024)
#define SCRIPT_MAX  (1024 * 1024)
#define STAMP_BYTES 26 /* "2026-11-21_14:03:22.12345 " */

static char *folder_of(const struct service_host *host, const char *name)
{
        return str_format("%s/service/%s", host->cluster_dir, name);
}

static char *log_folder_of(const struct service_host *host, const char *name)
{
        return str_format("%s/log/%s", host->cluster_dir, name);
}

/* ---- writing ---- */

static int write_in(const char *folder, const char *name, const char *text, mode_t mode, struct err **err)
{
        CLEANUP_FREE char *path = file_join(folder, name);
        if (!text)
                return file_remove(path, err);
        return file_write_atomic(path, text, strlen(text), mode, (uid_t)-1, (gid_t)-1, err);
}

static int write_log_part(const struct service_host *host, const char *folder, const char *name, struct err **err)
{
        CLEANUP_FREE char *log = log_folder_of(host, name);
        CLEANUP_FREE char *part = file_join(folder, "log");
        CLEANUP_FREE char *script = runit_log_text(log);
        int result = file_make_dirs(log, 0750, err);
        if (result == 0 &&
                chmod(log, 0750) < 0) /* svlogd makes its files readable to all: the folder is what keeps them */
                result = err_set_errno(err, errno, "cannot change the mode of %s", log);
        if (result == 0)
                result = write_in(log, "config", LOG_CONFIG, 0640, err);
        if (result == 0)
                result = file_make_dirs(part, 0700, err);
        return result < 0 ? result : write_in(part, "run", script, 0755, err);
}

static int write_all_of(
        const struct service_host *host, const struct service *service, const char *folder, struct err **err)
{
        CLEANUP_FREE char *final = folder_of(host, service->name);
        CLEANUP_FREE char *finish = runit_finish_text(service);
        CLEANUP_FREE char *run = NULL;
        char *secrets = NULL;
        int result = service_env_file(service->secrets, &secrets, err);
        if (result < 0)
                return result;
        result = runit_run_text(host->cluster, service, final, &run, err);
        if (result == 0)
                result = write_in(folder, "secrets", secrets, 0600, err);
        mem_wipe_free(secrets, strlen(secrets));
        if (result == 0)
                result = write_in(folder, "finish", finish, 0755, err);
        if (result == 0)
                result = write_log_part(host, folder, service->name, err);
        return result < 0 ? result : write_in(folder, "run", run, 0755, err);
}

static int finish_removal(const struct service_host *host, const char *name, struct err **err);

/* An empty folder out of runsvdir's sight. Under the lock, so that the last service that goes does not take it along.
 */
static int make_fresh(const struct service_host *host, const char *name, const char *fresh, struct err **err)
{
        CLEANUP_CLOSE int lock = runsvdir_lock(host, err);
        if (lock < 0)
                return lock;
        int result = finish_removal(host, name, err);
        if (result == 0)
                result = file_remove_tree(fresh, err);
        return result < 0 ? result : file_make_dirs(fresh, 0700, err);
}

static int runit_install(const struct service_host *host, const struct service *service, struct err **err)
{
        CLEANUP_FREE char *folder = folder_of(host, service->name);
        if (file_exists(folder))
                return write_all_of(host, service, folder, err);
        CLEANUP_FREE char *hidden = str_format(".new-%s", service->name);
        CLEANUP_FREE char *fresh = folder_of(host, hidden);
        int result = make_fresh(host, service->name, fresh, err);
        return result < 0 ? result : write_all_of(host, service, fresh, err);
}

/* ---- starting and stopping ---- */

static int wait_for_supervisor(const struct service_host *host, const char *folder, struct err **err)
{
        int64_t end = host->clock->monotonic_ms(host->clock) + TAKE_UP_MS;
        for (int i = 0; !supervise_alive(folder); i++) {
                if (host->clock->monotonic_ms(host->clock) > end)
                        return err_set(err, ERR_TIMEOUT, "runsvdir does not take up %s", folder);
                if (i % 10 == 0)
                        runsvdir_poke(host);
                int result = service_pause(host, POLL_MS, err);
                if (result < 0)
                        return result;
        }
        return 0;
}

/* Shows the folder to a living runsvdir. The lock is held no longer than that: services of one cluster start side by
 * side. */
static int show_to_supervisor(const struct service_host *host, const char *fresh, const char *folder, struct err **err)
{
        CLEANUP_CLOSE int lock = runsvdir_lock(host, err);
        if (lock < 0)
                return lock;
        if (!file_exists(folder) && rename(fresh, folder) < 0)
                return err_set_errno(err, errno, "cannot make %s", folder);
        return runsvdir_ensure(host, err);
}

static int runit_start(const struct service_host *host, const struct service *service, struct err **err)
{
        CLEANUP_FREE char *folder = folder_of(host, service->name);
        CLEANUP_FREE char *hidden = str_format(".new-%s", service->name);
        CLEANUP_FREE char *fresh = folder_of(host, hidden);
        int result = show_to_supervisor(host, fresh, folder, err);
        if (result == 0)
                result = wait_for_supervisor(host, folder, err);
        if (result == 0 && !supervise_send(folder, 'u'))
                result = err_set(err, ERR_FAILED, "the supervisor of %s does not listen", service->name);
        return result;
}

/* Waits until the program is down; false when time is over. */
static int wait_down(const struct service_host *host, const char *folder, int64_t ms, bool *ret_down, struct err **err)
{
        int64_t end = host->clock->monotonic_ms(host->clock) + ms;
        struct supervise_status s;
        for (;;) {
                *ret_down = !supervise_alive(folder) || !supervise_read(folder, &s) || s.pid == 0;
                if (*ret_down || host->clock->monotonic_ms(host->clock) >= end)
                        return 0;
                int result = service_pause(host, POLL_MS, err);
                if (result < 0)
                        return result;
        }
}

/* Children in sessions of their own are not reached by the finish script. */
static int end_family(const struct service_host *host, const struct family *family, struct err **err)
{
        int64_t end = host->clock->monotonic_ms(host->clock) + KILL_MS;
        for (int i = 0; family_signal(family, i == 0 ? SIGTERM : 0, 0) > 0; i++) {
                if (host->clock->monotonic_ms(host->clock) > end) {
                        family_signal(family, SIGKILL, 0);
                        return 0;
                }
                int result = service_pause(host, POLL_MS, err);
                if (result < 0)
                        return result;
        }
        return 0;
}

/* command: d (stay down) or x (and the supervisor ends, too). */
static int bring_down(const struct service_host *host, const struct service *service, const char *folder, char command,
        struct err **err)
{
        CLEANUP_FAMILY struct family family = {0};
        struct supervise_status s;
        if (service->stop_group && supervise_read(folder, &s))
                family_collect(&family, s.pid);
        if (!supervise_send(folder, command))
                return 0; /* no supervisor, nothing of it runs */
        bool down = false;
        int result =
                wait_down(host, folder, (service->stop_seconds > 0 ? service->stop_seconds : 10) * 1000LL, &down, err);
        if (result == 0 && !down) {
                supervise_send(folder, 'k');
                result = wait_down(host, folder, KILL_MS, &down, err);
        }
        if (result == 0 && !down)
                result = err_set(err, ERR_TIMEOUT, "service %s does not end, not even when killed", service->name);
        return result < 0 ? result : end_family(host, &family, err);
}

static int runit_stop(const struct service_host *host, const struct service *service, struct err **err)
{
        CLEANUP_FREE char *folder = folder_of(host, service->name);
        return bring_down(host, service, folder, 'd', err);
}

/* ---- looking ---- */

static int runit_status(const struct service_host *host, const char *name, struct service_status *ret, struct err **err)
{
        (void)err;
        CLEANUP_FREE char *folder = folder_of(host, name);
        CLEANUP_FREE char *run = file_join(folder, "run");
        struct service_status status = {.installed = file_exists(run)};
        struct supervise_status s;
        if (status.installed && supervise_alive(folder) && supervise_read(folder, &s)) {
                status.running = s.up;
                status.enabled = s.wanted && runsvdir_alive(host);
                status.pid = s.up ? s.pid : 0;
                status.incarnation = s.since;
        }
        *ret = status;
        return 0;
}

static void runit_definition(const struct service_host *host, const char *name, char ret[DIGEST_SIZE])
{
        static const char *const parts[] = {"run", "finish", "log/run"};
        CLEANUP_FREE char *folder = folder_of(host, name);
        CLEANUP_BUF struct buf all = BUF_INIT(3 * SCRIPT_MAX);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                CLEANUP_FREE char *path = file_join(folder, parts[i]);
                CLEANUP_FREE char *text = NULL;
                if (file_read(path, SCRIPT_MAX, &text, NULL, NULL) == 0)
                        buf_format(&all, "%s\n%s\n", parts[i], text);
        }
        ret[0] = '\0';
        if (all.length > 0)
                digest_bytes(all.data, all.length, ret);
}

/* "2026-11-21_14:03:22.123": how svlogd begins a line, so that it can be compared as text. */
static void stamp(int64_t wall_ms, char ret[40])
{
        char seconds[32];
        clock_format(wall_ms, seconds);
        seconds[10] = '_';
        snprintf(ret, 40, "%.19s.%03d", seconds, (int)(wall_ms % 1000));
}

static char *runit_log_tail(const struct service_host *host, const char *name, int lines, int64_t since_wall_ms)
{
        CLEANUP_FREE char *folder = log_folder_of(host, name);
        CLEANUP_FREE char *path = file_join(folder, "current");
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        if (file_read(path, LOG_MAX, &text, &length, NULL) < 0)
                return str_copy("");
        char since[40] = "";
        if (since_wall_ms > 0)
                stamp(since_wall_ms, since);
        for (size_t i = 0; i < length; i++)
                if (!text[i]) /* svlogd keeps it as it comes; the lines after it are the ones that matter */
                        text[i] = '?';
        const char *begin = text + length;
        for (int found = 0; begin > text && found < lines;) {
                const char *line = begin - 1; /* the newline, or the last character of a line cut off */
                while (line > text && line[-1] != '\n')
                        line--;
                if (*line >= '0' && *line <= '9' && strncmp(line, since, strlen(since)) < 0)
                        break;
                begin = line;
                found++;
        }
        CLEANUP_BUF struct buf out = BUF_INIT(16 * 1024);
        for (const char *line = begin; *line;) {
                size_t n = strcspn(line, "\n");
                bool stamped = n > STAMP_BYTES && line[STAMP_BYTES - 1] == ' ';
                buf_format(&out, "%s  %.*s", out.length ? "\n" : "", (int)(stamped ? n - STAMP_BYTES : n),
                        stamped ? line + STAMP_BYTES : line);
                line += n + (line[n] == '\n');
        }
        return buf_steal(&out);
}

/* ---- removing ---- */

/* Takes up a removal from wherever it was cut off: the folder is out of runsvdir's sight already. */
static int finish_removal(const struct service_host *host, const char *name, struct err **err)
{
        CLEANUP_FREE char *hidden = str_format(".gone-%s", name);
        CLEANUP_FREE char *gone = folder_of(host, hidden);
        int64_t end = host->clock->monotonic_ms(host->clock) + TAKE_UP_MS;
        for (int i = 0; supervise_alive(gone); i++) {
                supervise_end(gone, i);
                if (host->clock->monotonic_ms(host->clock) > end)
                        return err_set(err, ERR_TIMEOUT, "the supervisor of %s does not end", name);
                int result = service_pause(host, POLL_MS, err);
                if (result < 0)
                        return result;
        }
        return file_remove_tree(gone, err);
}

static int runit_remove(const struct service_host *host, const struct service *service, struct err **err)
{
        CLEANUP_FREE char *folder = folder_of(host, service->name);
        CLEANUP_FREE char *hidden = str_format(".gone-%s", service->name);
        CLEANUP_FREE char *gone = folder_of(host, hidden);
        CLEANUP_FREE char *unborn = str_format("%s/service/.new-%s", host->cluster_dir, service->name);
        CLEANUP_FREE char *log = log_folder_of(host, service->name);
        if (!file_exists(host->cluster_dir))
                return 0;
        int result = bring_down(host, service, folder, 'd', err);
        if (result < 0)
                return result;
        CLEANUP_CLOSE int lock = runsvdir_lock(host, err);
        if (lock < 0)
                return lock;
        result = finish_removal(host, service->name, err);
        if (result == 0 && rename(folder, gone) < 0 && errno != ENOENT)
                result = err_set_errno(err, errno, "cannot remove %s", folder);
        if (result == 0)
                result = finish_removal(host, service->name, err);
        if (result == 0)
                result = file_remove_tree(unborn, err);
        if (result == 0)
                result = file_remove_tree(log, err);
        return result < 0 ? result : runsvdir_end_if_idle(host, err);
}

const struct service_driver service_runit = {
        .name = "runit",
        .install = runit_install,
        .start = runit_start,
        .stop = runit_stop,
        .status = runit_status,
        .remove = runit_remove,
        .definition = runit_definition,
        .log_tail = runit_log_tail,
};
