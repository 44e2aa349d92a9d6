/* Makes groups, gives them limits, puts processes in. */
#include "client/cgroup/cgroup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define PERIOD_USEC  100000L
#define MEMORY_MIN   (16LL * 1024 * 1024)
#define CPU_MIN      10 /* the kernel's least quota is 1 ms of a period */
#define CPU_MAX      1000000
#define TASKS_MIN    8
#define TASKS_MAX    4000000
#define TEXT_MAX     65536
#define UNLIMITED    (INT64_MAX / 2) /* version 1 shows "no limit" as the largest multiple of a page */
#define EVACUATE_MAX 16
#define CREATE_TRIES 4

int cgroup_put(const char *folder, const char *file, const char *value)
{
        CLEANUP_FREE char *path = file_join(folder, file);
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -1;
        size_t length = strlen(value);
        ssize_t n = write(fd, value, length);
        return n == (ssize_t)length ? 0 : -1;
}

int cgroup_get(const char *folder, const char *file, char *buffer, size_t size)
{
        CLEANUP_FREE char *path = file_join(folder, file);
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -1;
        size_t length = 0;
        for (ssize_t n; length + 1 < size; length += (size_t)n) {
                n = read(fd, buffer + length, size - length - 1);
                if (n < 0)
                        return -1;
                if (n == 0)
                        break;
        }
        buffer[length] = '\0';
        return 0;
}

static int64_t parse_number(const char *text, int64_t missing)
{
        char *end;
        if (strncmp(text, "max", 3) == 0)
                return -1;
        errno = 0;
        long long value = strtoll(text, &end, 10);
        if (end == text)
                return missing;
        return errno || value > UNLIMITED || value < 0 ? -1 : value;
}

int64_t cgroup_find(const char *text, const char *key, int64_t missing)
{
        size_t length = strlen(key);
        for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
                if (strncmp(line, key, length) == 0 && line[length] == ' ')
                        return parse_number(line + length + 1, missing);
        return missing;
}

int64_t cgroup_number(const char *folder, const char *file, const char *key, int64_t missing)
{
        char text[16384];
        if (!folder || cgroup_get(folder, file, text, sizeof text) < 0)
                return missing;
        return key ? cgroup_find(text, key, missing) : parse_number(text, missing);
}

int cgroup_move_all(const char *from, const char *to)
{
        for (int round = 0; round < EVACUATE_MAX; round++) {
                CLEANUP_FREE char *text = mem_zero(TEXT_MAX);
                if (cgroup_get(from, "cgroup.procs", text, TEXT_MAX) < 0)
                        return -1;
                if (!*text)
                        return 0;
                char *save = NULL;
                for (char *pid = strtok_r(text, "\n", &save); pid; pid = strtok_r(NULL, "\n", &save))
                        if (cgroup_put(to, "cgroup.procs", pid) < 0 && errno != ESRCH)
                                return -1;
        }
        errno = EBUSY;
        return -1;
}

/* Lets the children of a group of version 2 have memory, cpu and pids. A group that holds processes itself may not do
 * that (EBUSY) unless it is the machine's own root: they move to a leaf beside our folder then. */
static int enable_children(const char *folder, const char *const *wanted, bool may_move, struct err **err)
{
        for (size_t i = 0; wanted[i]; i++) {
                int r = cgroup_put(folder, "cgroup.subtree_control", wanted[i]);
                if (r < 0 && errno == EBUSY && may_move) {
                        CLEANUP_FREE char *leaf = file_join(folder, "main");
                        if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
                                return err_set_errno(err, errno, "cannot make control group %s", leaf);
                        if (cgroup_move_all(folder, leaf) < 0)
                                return err_set_errno(err, errno, "cannot move processes to control group %s", leaf);
                        r = cgroup_put(folder, "cgroup.subtree_control", wanted[i]);
                }
                bool needed = i < 2; /* without pids the others still hold */
                if (r < 0 && needed)
                        return err_set(err, ERR_REFUSED,
                                "cannot enable the %s controller below %s: %s. Nothing runs without limits",
                                wanted[i] + 1, folder, strerror(errno));
        }
        return 0;
}

static int make_folders(struct cgroup_tree *tree, const char *name, struct err **err)
{
        for (int i = 0; i < (tree->unified ? 1 : CONTROLLER_COUNT); i++) {
                const char *folder = tree->folder[i];
                CLEANUP_FREE char *path = cgroup_path(tree, (enum controller)i, name);
                if (!path)
                        continue;
                /* a stop of the last group may be taking the folder away under our hands: make it again */
                for (int try = 0;; try++) {
                        if (tree->unified && enable_children(tree->top, tree->enable, true, err) < 0)
                                return err_prefix(err, "control group %s", name);
                        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                                return err_set_errno(err, errno, "cannot make control group %s", folder);
                        CLEANUP_ERR struct err *cause = NULL;
                        int r = tree->unified ? enable_children(folder, tree->enable, false, &cause) : 0;
                        if (r == 0 && (mkdir(path, 0755) == 0 || errno == EEXIST))
                                break;
                        if (try < CREATE_TRIES && !file_exists(folder))
                                continue;
                        if (r < 0) {
                                if (err)
                                        *err = STEAL(cause);
                                return r;
                        }
                        return err_set_errno(err, errno, "cannot make control group %s", path);
                }
        }
        return 0;
}

/* One limit that must hold. */
static int must_put(const char *folder, const char *file, const char *value, struct err **err)
{
        if (cgroup_put(folder, file, value) == 0)
                return 0;
        if (errno == EBUSY)
                return err_set(err, ERR_BUSY, "cannot lower %s of %s to %s: more is in use", file, folder, value);
        return err_set(err, ERR_REFUSED, "cannot set %s of %s to %s: %s. Nothing runs without limits", file, folder,
                value, strerror(errno));
}

static int limit_hierarchies(
        const struct cgroup_tree *tree, const char *name, const struct cgroup_limits *limits, struct err **err)
{
        CLEANUP_FREE char *memory = cgroup_path(tree, CONTROLLER_MEMORY, name);
        CLEANUP_FREE char *cpu = cgroup_path(tree, CONTROLLER_CPU, name);
        CLEANUP_FREE char *pids = cgroup_path(tree, CONTROLLER_PIDS, name);
        CLEANUP_FREE char *bytes = str_format("%" PRId64, limits->memory);
        CLEANUP_FREE char *quota = str_format("%ld", limits->cpu * (PERIOD_USEC / 1000));
        CLEANUP_FREE char *tasks = str_format("%ld", limits->tasks);
        CLEANUP_FREE char *period = str_format("%ld", PERIOD_USEC);
        /* memory may never exceed memory plus swap: lift that one first, so that the limit can go up as well as down.
         * Kernels without swap accounting have no such file, and then no swap is charged that we could forbid. */
        bool swap = cgroup_number(memory, "memory.memsw.limit_in_bytes", NULL, -2) != -2;
        if (swap)
                cgroup_put(memory, "memory.memsw.limit_in_bytes", "-1");
        if (must_put(memory, "memory.limit_in_bytes", bytes, err) < 0)
                return err_prefix(err, "memory limit");
        if (swap && must_put(memory, "memory.memsw.limit_in_bytes", bytes, err) < 0)
                return err_prefix(err, "memory limit");
        if (must_put(cpu, "cpu.cfs_period_us", period, err) < 0 || must_put(cpu, "cpu.cfs_quota_us", quota, err) < 0)
                return err_prefix(err, "processor limit");
        return pids ? must_put(pids, "pids.max", tasks, err) : 0;
}

static int limit_unified(
        const struct cgroup_tree *tree, const char *name, const struct cgroup_limits *limits, struct err **err)
{
        CLEANUP_FREE char *path = cgroup_path(tree, CONTROLLER_MEMORY, name);
        CLEANUP_FREE char *bytes = str_format("%" PRId64, limits->memory);
        CLEANUP_FREE char *quota = str_format("%ld %ld", limits->cpu * (PERIOD_USEC / 1000), PERIOD_USEC);
        CLEANUP_FREE char *tasks = str_format("%ld", limits->tasks);
        if (must_put(path, "memory.max", bytes, err) < 0)
                return err_prefix(err, "memory limit");
        if (cgroup_put(path, "memory.swap.max", "0") < 0 && errno != ENOENT)
                return err_set_errno(err, errno, "cannot forbid swap in %s", path);
        /* the kernel that grew too large dies, the server that holds the user's session lives */
        if (cgroup_put(path, "memory.oom.group", "0") < 0 && errno != ENOENT)
                return err_set_errno(err, errno, "cannot set memory.oom.group of %s", path);
        if (must_put(path, "cpu.max", quota, err) < 0)
                return err_prefix(err, "processor limit");
        if (cgroup_put(path, "pids.max", tasks) < 0 && errno != ENOENT)
                return err_set_errno(err, errno, "cannot limit processes of %s", path);
        return 0;
}

int cgroup_check(const char *name, const struct cgroup_limits *limits, struct err **err)
{
        if (!cgroup_name_valid(name))
                return err_set(err, ERR_INVALID, "not a name for a group");
        if (limits->memory < MEMORY_MIN || limits->memory > UNLIMITED)
                return err_set(err, ERR_INVALID, "memory of %" PRId64 " bytes: at least %lld are needed",
                        limits->memory, MEMORY_MIN);
        if (limits->cpu < CPU_MIN || limits->cpu > CPU_MAX)
                return err_set(err, ERR_INVALID, "%ld thousandths of a processor: %d to %d are allowed", limits->cpu,
                        CPU_MIN, CPU_MAX);
        if (limits->tasks < TASKS_MIN || limits->tasks > TASKS_MAX)
                return err_set(
                        err, ERR_INVALID, "%ld processes: %d to %d are allowed", limits->tasks, TASKS_MIN, TASKS_MAX);
        return 0;
}

int cgroup_create(struct cgroup_tree *tree, const char *name, const struct cgroup_limits *limits, struct err **err)
{
        int r = cgroup_check(name, limits, err);
        if (r < 0)
                return r;
        if (tree->placement == PLACE_SYSTEMD)
                return err_set(err, ERR_REFUSED, "control groups are made by systemd here");
        r = make_folders(tree, name, err);
        if (r < 0)
                return r;
        r = tree->unified ? limit_unified(tree, name, limits, err) : limit_hierarchies(tree, name, limits, err);
        return r < 0 ? r : cgroup_verify(tree, name, limits, err);
}

int cgroup_verify(
        const struct cgroup_tree *tree, const char *name, const struct cgroup_limits *limits, struct err **err)
{
        int r = cgroup_check(name, limits, err);
        if (r < 0)
                return r;
        struct cgroup_usage now;
        r = cgroup_usage(tree, name, &now, err);
        if (r < 0)
                return r;
        /* the kernel rounds memory down to pages and shows processors in microseconds of a period */
        if (now.memory_limit < 0 || now.memory_limit > limits->memory)
                return err_set(err, ERR_REFUSED,
                        "the memory limit of group %s does not hold (%" PRId64 " instead of %" PRId64 ")", name,
                        now.memory_limit, limits->memory);
        if (now.cpu_limit < 0 || now.cpu_limit > limits->cpu + 10)
                return err_set(err, ERR_REFUSED,
                        "the processor limit of group %s does not hold (%" PRId64 " instead of %ld)", name,
                        now.cpu_limit, limits->cpu);
        return 0;
}

int cgroup_enter(struct cgroup_tree *tree, const char *name, pid_t pid, struct err **err)
{
        if (!cgroup_name_valid(name))
                return err_set(err, ERR_INVALID, "not a name for a group");
        CLEANUP_FREE char *text = str_format("%d", (int)pid);
        for (int i = 0; i < (tree->unified ? 1 : CONTROLLER_COUNT); i++) {
                CLEANUP_FREE char *path = cgroup_path(tree, (enum controller)i, name);
                if (path && cgroup_put(path, "cgroup.procs", text) < 0)
                        return err_set_errno(err, errno, "cannot enter control group %s", path);
        }
        return 0;
}
