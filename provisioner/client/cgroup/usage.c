/* What groups use, and which there are. */
#include "client/cgroup/cgroup_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

/* memory.stat is the one large file, and read once. */
static void read_memory(const char *folder, const char *droppable, const char *anonymous, struct cgroup_usage *usage)
{
        char text[16384];
        usage->working_set = usage->memory;
        if (!folder || cgroup_get(folder, "memory.stat", text, sizeof text) < 0)
                return;
        usage->working_set -= cgroup_find(text, droppable, 0);
        usage->anonymous = cgroup_find(text, anonymous, 0);
}

/* Thousandths of a processor; -1 = no limit. */
static int64_t share_of(int64_t quota, int64_t period)
{
        return quota > 0 && quota <= INT64_MAX / 1000 && period > 0 ? quota * 1000 / period : -1;
}

static void read_unified(const char *path, struct cgroup_usage *usage)
{
        char text[64] = "";
        usage->memory = cgroup_number(path, "memory.current", NULL, 0);
        read_memory(path, "inactive_file", "anon", usage);
        usage->memory_limit = cgroup_number(path, "memory.max", NULL, -1);
        usage->cpu_usec = cgroup_number(path, "cpu.stat", "usage_usec", 0);
        usage->throttled_usec = cgroup_number(path, "cpu.stat", "throttled_usec", 0);
        usage->oom_kills = cgroup_number(path, "memory.events", "oom_kill", 0);
        usage->tasks = cgroup_number(path, "pids.current", NULL, 0);
        usage->tasks_limit = cgroup_number(path, "pids.max", NULL, -1);
        long quota, period;
        usage->cpu_limit = -1;
        if (cgroup_get(path, "cpu.max", text, sizeof text) == 0 && sscanf(text, "%ld %ld", &quota, &period) == 2)
                usage->cpu_limit = share_of(quota, period);
}

static void read_hierarchies(const struct cgroup_tree *tree, const char *name, struct cgroup_usage *usage)
{
        CLEANUP_FREE char *memory = cgroup_path(tree, CONTROLLER_MEMORY, name);
        CLEANUP_FREE char *cpu = cgroup_path(tree, CONTROLLER_CPU, name);
        CLEANUP_FREE char *cpuacct = cgroup_path(tree, CONTROLLER_CPUACCT, name);
        CLEANUP_FREE char *pids = cgroup_path(tree, CONTROLLER_PIDS, name);
        usage->memory = cgroup_number(memory, "memory.usage_in_bytes", NULL, 0);
        read_memory(memory, "total_inactive_file", "total_rss", usage);
        usage->memory_limit = cgroup_number(memory, "memory.limit_in_bytes", NULL, -1);
        usage->oom_kills = cgroup_number(memory, "memory.oom_control", "oom_kill", 0);
        usage->cpu_usec = cgroup_number(cpuacct, "cpuacct.usage", NULL, 0) / 1000;
        usage->throttled_usec = cgroup_number(cpu, "cpu.stat", "throttled_time", 0) / 1000;
        usage->tasks = cgroup_number(pids, "pids.current", NULL, 0);
        usage->tasks_limit = cgroup_number(pids, "pids.max", NULL, -1);
        int64_t quota = cgroup_number(cpu, "cpu.cfs_quota_us", NULL, -1);
        int64_t period = cgroup_number(cpu, "cpu.cfs_period_us", NULL, 0);
        usage->cpu_limit = share_of(quota, period);
}

int cgroup_usage(const struct cgroup_tree *tree, const char *name, struct cgroup_usage *ret, struct err **err)
{
        if (!cgroup_name_valid(name))
                return err_set(err, ERR_INVALID, "not a name for a group");
        CLEANUP_FREE char *memory = cgroup_path(tree, CONTROLLER_MEMORY, name);
        if (!file_exists(memory))
                return err_set(err, ERR_NOT_FOUND, "there is no group %s", name);
        struct cgroup_usage usage = {0};
        if (tree->unified)
                read_unified(memory, &usage);
        else
                read_hierarchies(tree, name, &usage);
        if (usage.working_set < 0)
                usage.working_set = 0;
        *ret = usage;
        return 0;
}

char **cgroup_strv_free(char **list)
{
        for (char **item = list; item && *item; item++)
                free(*item);
        free(list);
        return NULL;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_service(const struct cgroup_tree *tree, const char *entry)
{
        return tree->placement == PLACE_SYSTEMD && str_ends(entry, ".service") && cgroup_name_valid(entry);
}

/* The name of the group an entry of the folder stands for, or NULL. The caller frees. */
static char *group_of(const struct cgroup_tree *tree, const char *entry)
{
        if (tree->placement != PLACE_SYSTEMD)
                return cgroup_name_valid(entry) ? str_copy(entry) : NULL;
        size_t skip = strlen(tree->parent) + 1, length = strlen(entry);
        if (!str_starts(entry, tree->parent) || !str_ends(entry, ".scope") || length <= skip + 6 ||
                entry[skip - 1] != '-')
                return NULL;
        return str_copy_n(entry + skip, length - skip - 6);
}

static int list_entries(
        const struct cgroup_tree *tree, const char *prefix, bool services, char ***ret_names, struct err **err)
{
        const char *folder = tree->folder[CONTROLLER_MEMORY];
        char **names = NULL;
        size_t count = 0, capacity = 0;
        DIR *dir = opendir(folder);
        if (!dir && errno != ENOENT)
                return err_set_errno(err, errno, "cannot read %s", folder);
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || is_service(tree, entry->d_name) != services)
                        continue;
                char *name = services ? str_copy(entry->d_name) : group_of(tree, entry->d_name);
                if (!name || !str_starts(name, prefix)) {
                        free(name);
                        continue;
                }
                MEM_GROW(names, count, capacity);
                names[count++] = name;
        }
        if (dir)
                closedir(dir);
        MEM_GROW(names, count, capacity);
        names[count] = NULL;
        qsort(names, count, sizeof *names, by_name);
        *ret_names = names;
        return 0;
}

int cgroup_list(const struct cgroup_tree *tree, const char *prefix, char ***ret_names, struct err **err)
{
        return list_entries(tree, prefix, false, ret_names, err);
}

int cgroup_services(const struct cgroup_tree *tree, char ***ret_names, struct err **err)
{
        return list_entries(tree, "", true, ret_names, err);
}
