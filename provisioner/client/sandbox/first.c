/* The inner half: process 1 of the sandbox. It becomes the user, starts the command, passes signals on and reaps. */
#include "client/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/sandbox/filter.h"

#define CANNOT_RUN 126
#define NOT_FOUND  127

static int fail(const char *what)
{
        fprintf(stderr, "caas-sandbox: %s: %s\n", what, strerror(errno));
        return CANNOT_RUN;
}

/* No group but the user's own, no capability in any set, no way to get one. */
static int become(uid_t uid, gid_t gid)
{
        for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
                if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
                        return -1;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return -1;
        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return -1;
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[2] = {0};
        if (syscall(SYS_capset, &header, none) < 0)
                return -1;
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* "A=b\0C=d\0" from a file in memory. *ret_entries points into *ret_text; both are the caller's. */
static int read_environment(int fd, char **ret_text, char ***ret_entries)
{
        struct stat st;
        if (fstat(fd, &st) < 0)
                return -1;
        size_t length = (size_t)st.st_size, count = 0, capacity = 0;
        CLEANUP_FREE char *text = mem_zero(length + 1);
        for (size_t done = 0; done < length;) {
                ssize_t n = pread(fd, text + done, length - done, (off_t)done);
                if (n <= 0)
                        return -1;
                done += (size_t)n;
        }
        close(fd);
        char **entries = NULL;
        for (size_t i = 0; i < length; i += strlen(text + i) + 1) {
                MEM_GROW(entries, count, capacity);
                entries[count++] = text + i;
        }
        MEM_GROW(entries, count, capacity);
        entries[count] = NULL;
        *ret_text = STEAL(text);
        *ret_entries = entries;
        return 0;
}

static void run_command(char **argv, char **environment, int control)
{
        close(control);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        for (int number = 1; number < NSIG; number++)
                signal(number, SIG_DFL);
        environ = environment;
        execvp(argv[0], argv);
        int status = errno == ENOENT ? NOT_FOUND : CANNOT_RUN;
        fprintf(stderr, "caas-sandbox: cannot run %s: %s\n", argv[0], strerror(errno));
        _exit(status);
}

/* Reaps everything that has ended. True once the command is among it. */
static bool reap(pid_t command, int *ret_status)
{
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
                if (pid == command) {
                        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                        return true;
                }
        return false;
}

/* Returns the status to exit with; whatever else still runs in here ends with process 1. */
static int watch(pid_t command, int control, int signals)
{
        struct pollfd fds[2] = {{.fd = signals, .events = POLLIN}, {.fd = control, .events = POLLIN}};
        for (int status = 0;;) {
                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        return CANNOT_RUN;
                struct signalfd_siginfo info;
                if (fds[0].revents && read(signals, &info, sizeof info) == sizeof info) {
                        if (info.ssi_signo != SIGCHLD)
                                kill(command, (int)info.ssi_signo);
                        if (reap(command, &status))
                                return status;
                }
                unsigned char number;
                ssize_t n = fds[1].revents ? read(control, &number, 1) : -1;
                if (n == 1)
                        kill(command, number);
                else if (n == 0) /* the supervisor is gone */
                        return 128 + SIGKILL;
        }
}

int sandbox_first_process(int argc, char **argv)
{
        long uid, gid, control, environment;
        if (argc < 6 || getpid() != 1 || str_to_long(argv[0], &uid) < 0 || str_to_long(argv[1], &gid) < 0 ||
                str_to_long(argv[2], &control) < 0 || str_to_long(argv[3], &environment) < 0) {
                fprintf(stderr, "caas-sandbox: this part runs inside a sandbox only\n");
                return CANNOT_RUN;
        }
        CLEANUP_FREE char *text = NULL;
        CLEANUP_FREE char **variables = NULL;
        if (read_environment((int)environment, &text, &variables) < 0)
                return fail("cannot read the environment");
        if (become((uid_t)uid, (gid_t)gid) < 0)
                return fail("cannot become the user");
        if (filter_install() < 0)
                return fail("cannot install the system call filter");
        umask(022);
        if (chdir(argv[4]) < 0)
                return fail(argv[4]);
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals < 0 || fcntl((int)control, F_SETFD, FD_CLOEXEC) < 0)
                return fail("cannot wait for signals");
        pid_t command = fork();
        if (command < 0)
                return fail("cannot start a process");
        if (command == 0)
                run_command(argv + 5, variables, (int)control);
        return watch(command, (int)control, signals);
}
