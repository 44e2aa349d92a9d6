#include "client/service/runsvdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "client/service/family.h"
#include "client/service/supervise.h"

#define END_MS    10000
#define ORPHAN_MS 30000
#define POLL_MS   50
/* Its last argument is where it shows what its children complain about (see ps); having one also lets us wake it. */
#define LOG_FIELD "log: ......................................................................"

static char *services_of(const struct service_host *host)
{
        return file_join(host->cluster_dir, "service");
}

/* Is the file that we locked still the one of that name? The last one out removes it. */
static bool is_current(int fd, const char *path)
{
        struct stat ours, there;
        return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
               ours.st_dev == there.st_dev;
}

int runsvdir_lock(const struct service_host *host, struct err **err)
{
        CLEANUP_FREE char *services = services_of(host);
        CLEANUP_FREE char *path = file_join(services, ".runsvdir.lock");
        for (;;) {
                int result = file_make_dirs(services, 0755, err);
                if (result < 0)
                        return result;
                int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                if (fd < 0 && errno == ENOENT) /* somebody removed the folder just now */
                        continue;
                if (fd < 0)
                        return err_set_errno(err, errno, "cannot open %s", path);
                while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
                        ;
                if (is_current(fd, path))
                        return fd;
                close(fd);
        }
}

static char *pid_path(const struct service_host *host)
{
        return file_join(host->cluster_dir, "service/.runsvdir.pid");
}

/* The living one by its pid file, or 0. */
static pid_t recorded_pid(const struct service_host *host)
{
        CLEANUP_FREE char *path = pid_path(host);
        CLEANUP_FREE char *text = NULL;
        int pid;
        unsigned long long start;
        if (file_read(path, 128, &text, NULL, NULL) < 0 || sscanf(text, "%d %llu", &pid, &start) != 2)
                return 0;
        return start > 0 && family_start_time(pid) == start ? pid : 0;
}

/* Is it "runsvdir -P <services>"? */
static bool is_ours(long pid, const char *services)
{
        char path[64];
        snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
        CLEANUP_FREE char *text = NULL;
        size_t length = 0;
        if (file_read(path, 65536, &text, &length, NULL) < 0)
                return false;
        const char *end = text + length, *flag = text + strlen(text) + 1;
        if (!str_ends(text, "runsvdir") || flag >= end || !str_is(flag, "-P"))
                return false;
        const char *folder = flag + strlen(flag) + 1;
        return folder < end && str_is(folder, services);
}

/* One that was started just before we were killed, and whose pid was never written down. */
static pid_t search(const char *services)
{
        DIR *dir = opendir("/proc");
        pid_t found = 0;
        struct dirent *entry;
        while (dir && !found && (entry = readdir(dir))) {
                long pid;
                if (str_to_long(entry->d_name, &pid) == 0 && is_ours(pid, services))
                        found = (pid_t)pid;
        }
        if (dir)
                closedir(dir);
        return found && family_start_time(found) ? found : 0;
}

bool runsvdir_alive(const struct service_host *host)
{
        return recorded_pid(host) != 0;
}

static int write_pid(const struct service_host *host, pid_t pid, struct err **err)
{
        CLEANUP_FREE char *path = pid_path(host);
        CLEANUP_FREE char *text = str_format("%d %llu\n", (int)pid, (unsigned long long)family_start_time(pid));
        return file_write_atomic(path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1, err);
}

/* Supervisors of a runsvdir that is gone would keep ours from taking up their services. */
static int end_orphans(const struct service_host *host, const char *services, struct err **err)
{
        int64_t end = host->clock->monotonic_ms(host->clock) + ORPHAN_MS;
        for (int attempt = 0;; attempt++) {
                bool left = false;
                DIR *dir = opendir(services);
                struct dirent *entry;
                while (dir && (entry = readdir(dir))) {
                        CLEANUP_FREE char *folder = file_join(services, entry->d_name);
                        left |= entry->d_name[0] != '.' && supervise_end(folder, attempt);
                }
                if (dir)
                        closedir(dir);
                if (!left)
                        return 0;
                if (host->clock->monotonic_ms(host->clock) > end)
                        return err_set(
                                err, ERR_TIMEOUT, "services of an earlier supervisor in %s do not end", services);
                int result = service_pause(host, POLL_MS, err);
                if (result < 0)
                        return result;
        }
}

/* It rescans when the folder's time differs from what it saw last, but sleeps a second when that is too recent: an old
 * time that was never there before is seen at once. */
static void age(const char *services)
{
        struct stat st;
        if (stat(services, &st) < 0)
                return;
        time_t now = time(NULL);
        struct timespec times[2] = {
                {.tv_nsec = UTIME_OMIT}, {.tv_sec = st.st_mtime < now - 60 ? st.st_mtime - 1 : now - 60, .tv_nsec = 0}};
        utimensat(AT_FDCWD, services, times, 0);
}

static int start(const struct service_host *host, const char *services, struct err **err)
{
        int result = end_orphans(host, services, err);
        if (result < 0)
                return result;
        /* A clean environment: services get what their definition says, not what the shell of the operator had. */
        const char *argv[] = {"/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8", "HOME=/root", "/usr/bin/runsvdir", "-P", services, LOG_FIELD, NULL};
        CLEANUP_FREE char *log = file_join(host->cluster_dir, "service/.runsvdir.log");
        pid_t pid = 0;
        age(services);
        result = proc_daemon(argv, NULL, "/", log, &pid, err);
        if (result < 0)
                return err_prefix(err, "cannot start runsvdir");
        return write_pid(host, pid, err);
}

int runsvdir_ensure(const struct service_host *host, struct err **err)
{
        if (recorded_pid(host))
                return 0;
        CLEANUP_FREE char *services = services_of(host);
        int result = file_make_dirs(services, 0755, err);
        if (result < 0)
                return result;
        pid_t running = search(services);
        return running ? write_pid(host, running, err) : start(host, services, err);
}

void runsvdir_poke(const struct service_host *host)
{
        CLEANUP_FREE char *services = services_of(host);
        age(services);
        pid_t pid = recorded_pid(host);
        char path[64], target[64];
        snprintf(path, sizeof path, "/proc/%d/fd/2", (int)pid);
        ssize_t n = pid ? readlink(path, target, sizeof target - 1) : -1;
        if (n < 0)
                return;
        target[n] = '\0';
        if (!str_starts(target, "pipe:")) /* it waits on this pipe of its own: a byte wakes it */
                return;
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        ssize_t ignored = fd >= 0 ? write(fd, ".", 1) : 0;
        (void)ignored;
}

static bool has_services(const char *services)
{
        DIR *dir = opendir(services);
        bool found = false;
        struct dirent *entry;
        while (dir && !found && (entry = readdir(dir)))
                found = entry->d_name[0] != '.' || str_starts(entry->d_name, ".new-"); /* about to be shown */
        if (dir)
                closedir(dir);
        return found;
}

int runsvdir_end_if_idle(const struct service_host *host, struct err **err)
{
        CLEANUP_FREE char *services = services_of(host);
        if (has_services(services))
                return 0;
        pid_t pid = recorded_pid(host);
        if (!pid)
                pid = search(services);
        uint64_t begun = family_start_time(pid);
        int64_t end = host->clock->monotonic_ms(host->clock) + END_MS;
        if (pid && begun)
                kill(pid, SIGHUP); /* to it this means: end your supervisors, then yourself */
        while (pid && begun && family_start_time(pid) == begun) {
                int result = service_pause(host, POLL_MS, err);
                if (result < 0)
                        return result;
                if (host->clock->monotonic_ms(host->clock) > end)
                        return err_set(err, ERR_TIMEOUT, "runsvdir (process %d) does not end", (int)pid);
        }
        return file_remove_tree(services, err);
}
