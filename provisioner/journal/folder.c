/* The state folder: whose it is, and what of ours must be in it before the journal is opened. */
#include "journal/journal_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define MARK_HEAD "caas state folder"
#define MARK_TEXT                                                                                                      \
        MARK_HEAD "\n"                                                                                                 \
                  "Everything here is made and removed by caas. Back up journal.sqlite and key together.\n"

/* 1: nothing in it that counts ("lost+found" of a fresh disk does not), 0: something is, or an error. */
static int is_empty(const char *path, struct err **err)
{
        DIR *folder = opendir(path);
        if (!folder)
                return err_set_errno(err, errno, "%s", path);
        int empty = 1;
        errno = 0;
        for (struct dirent *entry; empty && (entry = readdir(folder));)
                if (!str_is(entry->d_name, ".") && !str_is(entry->d_name, "..") && !str_is(entry->d_name, "lost+found"))
                        empty = 0;
        int number = errno;
        closedir(folder);
        return number ? err_set_errno(err, number, "%s", path) : empty;
}

static int sync_folder(const char *path, struct err **err)
{
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return err_set_errno(err, errno, "%s", path);
        return 0;
}

/* A new file, whole on disk, or one that was there already (which is left alone). */
static int create_file(const char *folder, const char *path, mode_t mode, const char *text, struct err **err)
{
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (fd < 0)
                return errno == EEXIST ? 0 : err_set_errno(err, errno, "cannot make %s", path);
        if (fchmod(fd, mode) < 0) /* the umask took something away */
                return err_set_errno(err, errno, "cannot make %s", path);
        for (size_t left = strlen(text); left > 0;) {
                ssize_t n = write(fd, text, left);
                if (n < 0)
                        return err_set_errno(err, errno, "cannot write %s", path);
                text += n;
                left -= (size_t)n;
        }
        if (fsync(fd) < 0)
                return err_set_errno(err, errno, "cannot write %s", path);
        return sync_folder(folder, err);
}

/* A killed process may have left an empty mark: it counts. */
static int check_mark(const char *path, struct err **err)
{
        CLEANUP_FREE char *text = NULL;
        int r = file_read(path, 4096, &text, NULL, err);
        if (r < 0)
                return r;
        if (*text && !str_starts(text, MARK_HEAD))
                return err_set(err, ERR_REFUSED,
                        "%s is not a mark of caas: this folder belongs to something else; choose another with --state",
                        path);
        return 0;
}

static bool is_there(const char *path)
{
        return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int check_owner(const char *state_dir, const struct stat *st, struct err **err)
{
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return err_set(err, ERR_REFUSED,
                        "%s belongs to user %u: whoever owns the state folder owns every cluster in it; if it is yours "
                        "to decide, run: chown %u %s",
                        state_dir, (unsigned)st->st_uid, (unsigned)geteuid(), state_dir);
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return err_set(
                        err, ERR_REFUSED, "%s can be written to by others; run: chmod go-w %s", state_dir, state_dir);
        return 0;
}

/* Makes an empty folder ours. 0711: the sandboxes of users pass through it, but nobody lists it. */
static int adopt(const char *state_dir, const char *mark, struct err **err)
{
        if ((geteuid() == 0 && chown(state_dir, 0, 0) < 0) || chmod(state_dir, 0711) < 0)
                return err_set_errno(err, errno, "cannot take over %s", state_dir);
        return create_file(state_dir, mark, 0644, MARK_TEXT, err);
}

static int prepare_mark(const char *state_dir, bool create, struct err **err)
{
        struct stat st;
        if (stat(state_dir, &st) < 0) {
                if (errno != ENOENT)
                        return err_set_errno(err, errno, "%s", state_dir);
                if (!create)
                        return err_set(
                                err, ERR_NOT_FOUND, "%s does not exist: no cluster was made here yet", state_dir);
                int r = file_make_dirs(state_dir, 0711, err);
                if (r < 0)
                        return err_prefix(err, "cannot make the state folder");
                if (stat(state_dir, &st) < 0)
                        return err_set_errno(err, errno, "%s", state_dir);
        }
        if (!S_ISDIR(st.st_mode))
                return err_set(err, ERR_REFUSED, "%s is not a folder", state_dir);
        CLEANUP_FREE char *mark = file_join(state_dir, JOURNAL_MARK);
        if (is_there(mark)) {
                int r = check_owner(state_dir, &st, err);
                return r < 0 ? r : check_mark(mark, err);
        }
        int empty = is_empty(state_dir, err);
        if (empty < 0)
                return empty;
        if (!empty && is_there(mark)) /* another process was faster */
                return check_mark(mark, err);
        if (!empty)
                return err_set(err, ERR_REFUSED,
                        "%s holds files but no " JOURNAL_MARK
                        ": it belongs to something else; choose another folder with --state",
                        state_dir);
        if (!create)
                return err_set(err, ERR_NOT_FOUND, "%s is empty: no cluster was made here yet", state_dir);
        return adopt(state_dir, mark, err);
}

/* Clusters without a journal were not made by nobody: a new one would make new passwords for them. */
static int check_orphans(const char *state_dir, const char *path, const char *what, struct err **err)
{
        CLEANUP_FREE char *clusters = file_join(state_dir, "clusters");
        if (!file_exists(clusters) || is_empty(clusters, NULL) != 0)
                return 0;
        return err_set(err, ERR_CORRUPT, "%s is %s, but there are clusters in %s: bring it back from a backup", path,
                what, clusters);
}

/* Not opened here: closing a descriptor of SQLite's file would drop the locks of another connection in this process. */
static int prepare_journal(const char *state_dir, bool create, struct err **err)
{
        CLEANUP_FREE char *path = file_join(state_dir, JOURNAL_FILE);
        struct stat st;
        if (lstat(path, &st) == 0) {
                if (!S_ISREG(st.st_mode))
                        return err_set(err, ERR_REFUSED, "%s is not a regular file", path);
                if ((st.st_mode & 077) && chmod(path, 0600) < 0)
                        return err_set_errno(err, errno, "cannot take others' access away from %s", path);
                return st.st_size ? 0 : check_orphans(state_dir, path, "empty", err);
        }
        if (errno != ENOENT)
                return err_set_errno(err, errno, "%s", path);
        int r = check_orphans(state_dir, path, "gone", err);
        if (r < 0)
                return r;
        if (!create)
                return err_set(err, ERR_NOT_FOUND, "%s does not exist: no cluster was made here yet", path);
        return create_file(state_dir, path, 0600, "", err);
}

/* What to do about what the system refuses. */
static void advise(int result, struct err **err)
{
        if (result == -ERR_DENIED && geteuid() != 0)
                err_suffix(err, "run caas as root");
        else if (result == -ERR_DENIED)
                err_suffix(err, "choose another folder with --state");
        else if (result == -ERR_NO_SPACE)
                err_suffix(err, "free some and run it again");
        else if (result == -ERR_NOT_FOUND)
                err_suffix(err, "another state folder is chosen with --state");
}

int folder_prepare(const char *state_dir, bool create, struct err **err)
{
        int r = prepare_mark(state_dir, create, err);
        if (r == 0)
                r = prepare_journal(state_dir, create, err);
        if (r < 0)
                advise(r, err);
        return r;
}
