#include "client/service/family.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

struct process {
        pid_t pid, parent, session;
        uint64_t start;
        char state;
};

static bool read_process(pid_t pid, struct process *ret)
{
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        CLEANUP_FREE char *text = NULL;
        if (file_read(path, 8192, &text, NULL, NULL) < 0)
                return false;
        /* the name in brackets may hold anything, brackets included */
        const char *rest = strrchr(text, ')');
        int parent, group, session;
        unsigned long long start;
        char state;
        if (!rest || sscanf(rest + 1, " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                             &state, &parent, &group, &session, &start) != 5)
                return false;
        *ret = (struct process){.pid = pid, .parent = parent, .session = session, .start = start, .state = state};
        return true;
}

uint64_t family_start_time(pid_t pid)
{
        struct process p;
        return pid > 0 && read_process(pid, &p) && p.state != 'Z' && p.state != 'X' ? p.start : 0;
}

static size_t all_processes(struct process **ret)
{
        struct process *list = NULL;
        size_t count = 0, capacity = 0;
        DIR *dir = opendir("/proc");
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
                long pid;
                struct process p;
                if (str_to_long(entry->d_name, &pid) < 0 || !read_process((pid_t)pid, &p))
                        continue;
                MEM_GROW(list, count, capacity);
                list[count++] = p;
        }
        if (dir)
                closedir(dir);
        *ret = list;
        return count;
}

static bool has(const struct family *family, pid_t pid)
{
        for (size_t i = 0; i < family->count; i++)
                if (family->member[i].pid == pid)
                        return true;
        return false;
}

void family_collect(struct family *family, pid_t pid)
{
        if (pid <= 0)
                return;
        CLEANUP_FREE struct process *list = NULL;
        size_t count = all_processes(&list);
        bool grown = true;
        while (grown) { /* a child may stand before its parent in the list */
                grown = false;
                for (size_t i = 0; i < count; i++) {
                        const struct process *p = &list[i];
                        if (p->pid != pid && p->session != pid && !has(family, p->parent))
                                continue;
                        if (has(family, p->pid))
                                continue;
                        MEM_GROW(family->member, family->count, family->capacity);
                        family->member[family->count++] = (struct member){p->pid, p->start};
                        grown = true;
                }
        }
}

size_t family_signal(const struct family *family, int number, pid_t except)
{
        size_t alive = 0;
        for (size_t i = 0; i < family->count; i++) {
                const struct member *m = &family->member[i];
                if (m->pid == except || family_start_time(m->pid) != m->start)
                        continue;
                alive++;
                if (number)
                        kill(m->pid, number);
        }
        return alive;
}

void family_clear(struct family *family)
{
        free(family->member);
        *family = (struct family){0};
}
