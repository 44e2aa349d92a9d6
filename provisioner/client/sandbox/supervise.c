/* The outer half: starts bubblewrap and stands between it and the caller. */
#include "client/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define ID_MIN 1000

static bool path_valid(const char *path)
{
        if (!path || path[0] != '/' || path[1] == '\0' || strstr(path, "//") || strlen(path) > 4000)
                return false;
        CLEANUP_FREE char *ended = str_format("%s/", path);
        return !strstr(ended, "/../") && !strstr(ended, "/./") && !strchr(path, '\n');
}

static int check(const struct sandbox_spec *spec, struct err **err)
{
        if (!str_user_name(spec->user))
                return err_set(err, ERR_INVALID,
                        "not a user name: letters, digits, \"_\", \".\" and \"-\", at most 64, are allowed");
        if (spec->uid < ID_MIN || spec->gid < ID_MIN || spec->uid >= UINT32_MAX - 1 || spec->gid >= UINT32_MAX - 1)
                return err_set(
                        err, ERR_INVALID, "uid %u, gid %u: both must be at least %d", spec->uid, spec->gid, ID_MIN);
        if (!spec->argv || !spec->argv[0])
                return err_set(err, ERR_INVALID, "no command");
        struct stat st;
        if (!path_valid(spec->home) || stat(spec->home, &st) < 0 || !S_ISDIR(st.st_mode))
                return err_set(err, ERR_NOT_FOUND, "home %s is not a folder", spec->home ? spec->home : "");
        if (spec->directory && !path_valid(spec->directory))
                return err_set(err, ERR_INVALID, "not an absolute path: %s", spec->directory);
        for (size_t i = 0; i < spec->mount_count; i++) {
                const struct sandbox_mount *mount = &spec->mounts[i];
                if (!path_valid(mount->source) || !path_valid(mount->target))
                        return err_set(err, ERR_INVALID, "not an absolute path: %s, %s", mount->source, mount->target);
                if (!file_exists(mount->source))
                        return err_set(err, ERR_NOT_FOUND, "%s is not there", mount->source);
        }
        return 0;
}

/* A file without a name that a later process reads from its beginning. */
static int memory_file(const char *name, const char *data, size_t length, struct err **err)
{
        CLEANUP_CLOSE int fd = memfd_create(name, 0); /* bubblewrap and the first process inherit it */
        if (fd < 0)
                return err_set_errno(err, errno, "cannot make a file in memory");
        for (size_t done = 0; done < length;) {
                ssize_t n = write(fd, data + done, length - done);
                if (n < 0)
                        return err_set_errno(err, errno, "cannot write a file in memory");
                done += (size_t)n;
        }
        if (lseek(fd, 0, SEEK_SET) < 0)
                return err_set_errno(err, errno, "cannot rewind a file in memory");
        return file_take(&fd);
}

static int environment_file(const char *const *env, struct err **err)
{
        struct buf text = BUF_INIT(4 * 1024 * 1024);
        for (const char *const *entry = env; entry && *entry; entry++)
                buf_add(&text, *entry, strlen(*entry) + 1);
        int fd = text.truncated ? err_set(err, ERR_INVALID, "the environment is larger than 4 MiB")
                                : memory_file("environment", text.data ? text.data : "", text.length, err);
        mem_wipe_free(text.data, text.length);
        return fd;
}

static int passwd_file(const struct sandbox_spec *spec, struct err **err)
{
        CLEANUP_FREE char *text =
                str_format("%s:x:%u:%u::/home/%s:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
                        spec->user, spec->uid, spec->gid, spec->user);
        return memory_file("passwd", text, strlen(text), err);
}

static int group_file(const struct sandbox_spec *spec, struct err **err)
{
        CLEANUP_FREE char *text = str_format("%s:x:%u:\nnogroup:x:65534:\n", spec->user, spec->gid);
        return memory_file("group", text, strlen(text), err);
}

static void forwarded(sigset_t *set)
{
        sigemptyset(set);
        for (size_t i = 0; i < 6; i++)
                sigaddset(set, (const int[]){SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}[i]);
}

static void become_bubblewrap(char **words)
{
        /* The command's environment goes another way: nothing of it may reach programs that still run as root. */
        static char *const environment[] = {
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL};
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        environ = (char **)environment;
        execvp(words[0], words);
        static const char message[] = "caas-sandbox: cannot run bwrap: is the package bubblewrap installed?\n";
        if (write(STDERR_FILENO, message, sizeof message - 1) < 0)
                _exit(127);
        _exit(127);
}

static int exit_status(int status)
{
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Passes signals on until the child has ended. */
static int supervise(pid_t child, int control, int signals)
{
        for (;;) {
                struct signalfd_siginfo info;
                ssize_t n = read(signals, &info, sizeof info);
                if (n < 0 && errno != EINTR)
                        return 1;
                if (n != sizeof info)
                        continue;
                if (info.ssi_signo != SIGCHLD) {
                        unsigned char number = (unsigned char)info.ssi_signo;
                        /* full or closed: the command is ending or has got enough of them */
                        if (write(control, &number, 1) < 0)
                                continue;
                }
                int status;
                if (waitpid(child, &status, WNOHANG) == child)
                        return exit_status(status);
        }
}

int sandbox_run(const struct sandbox_spec *spec, int *ret_status, struct err **err)
{
        int r = check(spec, err);
        if (r < 0)
                return r;
        CLEANUP_CLOSE int environment = environment_file(spec->env, err);
        if (environment < 0)
                return environment;
        CLEANUP_CLOSE int passwd = passwd_file(spec, err);
        CLEANUP_CLOSE int group = passwd < 0 ? passwd : group_file(spec, err);
        if (group < 0)
                return group;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return err_set_errno(err, errno, "cannot make a pipe");
        CLEANUP_CLOSE int reader = ends[0];
        CLEANUP_CLOSE int control = ends[1];
        sigset_t handled;
        forwarded(&handled);
        sigaddset(&handled, SIGCHLD);
        sigprocmask(SIG_BLOCK, &handled, NULL);
        signal(SIGCHLD, SIG_DFL); /* a caller may have left it ignored: then there would be no status to wait for */
        signal(SIGPIPE, SIG_IGN);
        CLEANUP_CLOSE int signals = signalfd(-1, &handled, SFD_CLOEXEC);
        char **words = sandbox_words(spec, reader, environment, passwd, group);
        pid_t child = signals < 0 ? -1 : fork();
        if (child == 0) {
                fcntl(reader, F_SETFD,
                        0); /* the writing end stays with the supervisor alone: its death closes the pipe */
                become_bubblewrap(words);
        }
        r = child < 0 ? err_set_errno(err, errno, "cannot start a process") : 0;
        for (char **word = words; *word; word++)
                free(*word);
        free(words);
        if (r < 0)
                return r;
        *ret_status = supervise(child, control, signals);
        return 0;
}
