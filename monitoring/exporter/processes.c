/* The processes of one service. They are found from the first one downwards, by the kernel's lists of children: a walk
 * through all of /proc would cost as much as the users of the machine have processes. */
#include "exporter/processes.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define FILE_MAX      (1024 * 1024) /* the hub's list of children has all servers in it */
#define LOOKS_MAX     16384         /* processes looked at for one service, users' included, which are left out */
#define THREADS_MAX   1024
#define NUMBER_MAX    (UINT64_C(1) << 48)
#define FIELD_PARENT  4 /* as in proc(5) */
#define FIELD_SESSION 6
#define FIELD_USER    14
#define FIELD_SYSTEM  15
#define FIELD_START   22

/* Fields of the stat file after the state are numbers, some less than zero. */
static bool number(const char **at, uint64_t *ret)
{
        bool negative = **at == '-';
        const char *c = *at + negative;
        uint64_t value = 0;
        if (*c < '0' || *c > '9')
                return false;
        for (; *c >= '0' && *c <= '9'; c++)
                if ((value = value * 10 + (uint64_t)(*c - '0')) > NUMBER_MAX)
                        return false;
        *at = c;
        *ret = negative ? 0 : value;
        return true;
}

static bool next_number(const char **at, uint64_t *ret)
{
        if (**at != ' ')
                return false;
        ++*at;
        return number(at, ret);
}

bool process_parse(const char *stat, struct process *ret)
{
        const char *at = strrchr(stat, ')'); /* the name before it may hold anything */
        uint64_t field[FIELD_START + 1] = {0};
        if (!at || at[1] != ' ' || !at[2])
                return false;
        at += 3;
        for (int i = FIELD_PARENT; i <= FIELD_START; i++)
                if (!next_number(&at, &field[i]))
                        return false;
        if (field[FIELD_PARENT] > INT_MAX || field[FIELD_SESSION] > INT_MAX)
                return false;
        *ret = (struct process){.parent = (pid_t)field[FIELD_PARENT],
                .session = (pid_t)field[FIELD_SESSION],
                .ticks = field[FIELD_USER] + field[FIELD_SYSTEM],
                .start = field[FIELD_START]};
        return true;
}

int64_t process_own_pages(const char *statm)
{
        uint64_t size, resident, shared;
        const char *at = statm;
        if (!number(&at, &size) || !next_number(&at, &resident) || !next_number(&at, &shared))
                return 0;
        return resident > shared ? (int64_t)(resident - shared) : 0;
}

bool process_within(const char *cgroup, const char *parent)
{
        CLEANUP_FREE char *folder = str_format("/%s/", parent);
        return strstr(cgroup, folder) != NULL;
}

int64_t process_began(uint64_t start)
{
        long ticks = sysconf(_SC_CLK_TCK);
        struct timespec up, now;
        if (ticks <= 0 || clock_gettime(CLOCK_BOOTTIME, &up) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0)
                return 0;
        return (int64_t)now.tv_sec - ((int64_t)up.tv_sec - (int64_t)(start / (uint64_t)ticks));
}

/* NULL: it is not there any more. The caller frees. */
static char *read_of(const char *proc, pid_t pid, const char *name)
{
        CLEANUP_FREE char *path = str_format("%s/%d/%s", proc, (int)pid, name);
        char *text = NULL;
        return file_read(path, FILE_MAX, &text, NULL, NULL) < 0 ? NULL : text;
}

struct pids {
        pid_t *item, *parent;
        size_t count, capacity, parents;
};

static void pids_add(struct pids *list, pid_t pid, pid_t parent)
{
        if (list->count == LOOKS_MAX)
                return;
        MEM_GROW(list->parent, list->count, list->parents);
        MEM_GROW(list->item, list->count, list->capacity);
        list->parent[list->count] = parent;
        list->item[list->count++] = pid;
}

/* Each thread has the list of those that it has started. */
static void add_children(const char *proc, pid_t pid, struct pids *list)
{
        CLEANUP_FREE char *path = str_format("%s/%d/task", proc, (int)pid);
        DIR *threads = opendir(path);
        struct dirent *thread;
        for (int n = 0; threads && n < THREADS_MAX && (thread = readdir(threads)); n++) {
                long id;
                if (str_to_long(thread->d_name, &id) < 0)
                        continue;
                CLEANUP_FREE char *name = str_format("task/%ld/children", id);
                CLEANUP_FREE char *text = read_of(proc, pid, name);
                char *save = NULL;
                for (char *word = text ? strtok_r(text, " \n", &save) : NULL; word;
                        word = strtok_r(NULL, " \n", &save)) {
                        long child;
                        if (str_to_long(word, &child) == 0 && child > 0 && child <= INT_MAX)
                                pids_add(list, (pid_t)child, pid);
                }
        }
        if (threads)
                closedir(threads);
}

/* False: it is gone, another's child by now, or a user's. */
static bool look_at(const char *proc, pid_t pid, pid_t parent, const char *apart, struct process *ret)
{
        CLEANUP_FREE char *group = read_of(proc, pid, "cgroup");
        CLEANUP_FREE char *stat = group && !(apart && process_within(group, apart)) ? read_of(proc, pid, "stat") : NULL;
        if (!stat || !process_parse(stat, ret) || (parent ? ret->parent != parent : ret->session != pid))
                return false;
        CLEANUP_FREE char *statm = read_of(proc, pid, "statm");
        ret->pid = pid;
        ret->memory = statm ? process_own_pages(statm) * sysconf(_SC_PAGESIZE) : 0;
        return true;
}

size_t processes_of(const char *proc, pid_t first, const char *apart, struct process **ret)
{
        struct pids list = {0};
        struct process *found = mem_zero_array(PROCESSES_MAX, sizeof *found);
        size_t count = 0;
        pids_add(&list, first, 0);
        for (size_t i = 0; i < list.count && count < PROCESSES_MAX; i++) {
                if (!look_at(proc, list.item[i], list.parent[i], apart, &found[count]))
                        continue;
                count++;
                add_children(proc, list.item[i], &list);
        }
        free(list.item);
        free(list.parent);
        *ret = found;
        return count;
}
