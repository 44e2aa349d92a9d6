/* The lock of a cluster: flock on <state>/lock/<cluster>. The kernel lets go of it when its holder dies; what is
 * written in the file says who that is and is believed only while the lock is held. Close-on-exec: a daemon that a run
 * starts does not take it along. The file is never removed: a lock on a removed file would exclude nobody. */
#include "journal/journal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "journal/journal_impl.h"

#define NAME_MAX_LENGTH 63

struct journal_lock {
        int fd;
};

/* The name becomes a file name: only what the form allows. */
static bool is_name(const char *name)
{
        size_t n = strlen(name);
        if (n == 0 || n > NAME_MAX_LENGTH || !islower((unsigned char)name[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) && name[i] != '-')
                        return false;
        return true;
}

static void format_since(time_t since, char *text, size_t size)
{
        struct tm then, today;
        time_t now = time(NULL);
        if (!localtime_r(&since, &then) || !localtime_r(&now, &today)) {
                text[0] = '\0';
                return;
        }
        bool same_day = then.tm_yday == today.tm_yday && then.tm_year == today.tm_year;
        if (strftime(text, size, same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &then) == 0)
                text[0] = '\0';
}

/* The holder may be about to write its name: then it stays unnamed. */
static int busy(int fd, const char *cluster, struct err **err)
{
        char text[1024], since[64];
        ssize_t n = pread(fd, text, sizeof text, 0);
        json_auto_t *holder = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
        json_int_t pid, when;
        const char *command;
        if (!holder || json_unpack(holder, "{s:I, s:s, s:I}", "pid", &pid, "command", &command, "since", &when) < 0)
                return err_set(err, ERR_BUSY, "cluster %s is being changed by another process", cluster);
        format_since((time_t)when, since, sizeof since);
        return err_set(err, ERR_BUSY, "cluster %s is being changed by process %lld (%s, since %s)", cluster,
                (long long)pid, command, since);
}

static int write_holder(int fd, const char *path, const char *command, struct err **err)
{
        json_auto_t *holder = json_pack(
                "{s:I, s:s, s:I}", "pid", (json_int_t)getpid(), "command", command, "since", (json_int_t)time(NULL));
        CLEANUP_FREE char *text = holder ? json_dumps(holder, JSON_COMPACT) : NULL;
        if (!text)
                return err_set(err, ERR_INVALID, "the command is not UTF-8");
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
                return err_set_errno(err, errno ? errno : ENOSPC, "cannot write %s", path);
        return 0;
}

/* Out of the hands of its cleanup. */
static int take(int *fd)
{
        int taken = *fd;
        *fd = -1;
        return taken;
}

int journal_lock(
        struct journal *journal, const char *cluster, const char *command, struct journal_lock **ret, struct err **err)
{
        if (!is_name(cluster))
                return err_set(err, ERR_INVALID, "'%s' is no name of a cluster", cluster);
        CLEANUP_FREE char *folder = file_join(journal->state_dir, "lock");
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return err_set_errno(err, errno, "cannot make %s", folder);
        CLEANUP_FREE char *path = file_join(folder, cluster);
        CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_set_errno(err, errno, "cannot open %s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? busy(fd, cluster, err)
                                            : err_set_errno(err, errno, "cannot lock %s", path);
        errno = 0;
        int r = write_holder(fd, path, command, err);
        if (r < 0)
                return r;
        struct journal_lock *lock = mem_zero(sizeof *lock);
        lock->fd = take(&fd);
        *ret = lock;
        return 0;
}

struct journal_lock *journal_unlock(struct journal_lock *lock)
{
        if (!lock)
                return NULL;
        if (ftruncate(lock->fd, 0) < 0) {
                /* only the name of a holder that is none any more stays behind: nobody believes it without a lock */
        }
        close(lock->fd);
        free(lock);
        return NULL;
}
