#include "exporter/groups.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/accounts.h"
#include "exporter/processes.h"
#include "exporter/source.h"

#define PROCS_MAX 65536
#define STAT_MAX  4096
#define START_AT  19 /* fields between the state, which is the first after the name, and the start time */

/* What sources share: pods.c wants what those of control groups and of services have just read, and the former what the
 * latter has. */
static pthread_mutex_t last_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct left {
        struct groups groups;
        int64_t ms; /* when; 0 = never */
} of_users, of_services;

static void group_clear(struct group *group)
{
        free(group->name);
        free(group->user);
        free(group->pod);
        free(group->dask_cluster);
        *group = (struct group){0};
}

void groups_clear(struct groups *groups)
{
        for (size_t i = 0; i < groups->count; i++)
                group_clear(&groups->item[i]);
        free(groups->item);
        *groups = (struct groups){0};
}

static char *copy_or_null(const char *text)
{
        return text ? str_copy(text) : NULL;
}

static void copy(const struct groups *from, struct groups *to)
{
        *to = (struct groups){.count = from->count, .capacity = from->count};
        to->item = mem_zero_array(from->count + 1, sizeof *to->item);
        for (size_t i = 0; i < from->count; i++) {
                to->item[i] = from->item[i];
                to->item[i].name = str_copy(from->item[i].name);
                to->item[i].user = copy_or_null(from->item[i].user);
                to->item[i].pod = str_copy(from->item[i].pod);
                to->item[i].dask_cluster = copy_or_null(from->item[i].dask_cluster);
        }
}

static void publish(struct left *left, const struct groups *groups)
{
        struct groups fresh, old;
        copy(groups, &fresh);
        pthread_mutex_lock(&last_mutex);
        old = left->groups;
        *left = (struct left){fresh, clock_system()->monotonic_ms(clock_system())};
        pthread_mutex_unlock(&last_mutex);
        groups_clear(&old);
}

static bool take(const struct left *left, const struct config *config, struct groups *ret)
{
        int64_t now = clock_system()->monotonic_ms(clock_system());
        pthread_mutex_lock(&last_mutex);
        bool known = left->ms && now - left->ms <= (int64_t)SOURCE_STALE * config->refresh_ms + config->timeout_ms;
        if (known)
                copy(&left->groups, ret);
        pthread_mutex_unlock(&last_mutex);
        return known;
}

void groups_publish(const struct groups *groups)
{
        publish(&of_users, groups);
}

int groups_last(const struct config *config, struct groups *ret, struct err **err)
{
        return take(&of_users, config, ret)
                       ? 0
                       : err_set(err, ERR_NOT_FOUND, "the control groups were not looked at lately");
}

void services_publish(const struct groups *groups)
{
        publish(&of_services, groups);
}

int services_last(const struct config *config, struct groups *ret, struct err **err)
{
        return take(&of_services, config, ret) ? 0
                                               : err_set(err, ERR_NOT_FOUND, "the services were not looked at lately");
}

/* "jupyter-alice" or "jupyter-alice--work"; as a service "caas-demo-jupyter_alice.service". The rest, or NULL. */
static char *server_of(const char *name, const char *cluster)
{
        CLEANUP_FREE char *unit = str_format("caas-%s-jupyter_", cluster);
        if (str_starts(name, "jupyter-"))
                return str_copy(name + strlen("jupyter-"));
        if (!str_starts(name, unit) || !str_ends(name, ".service"))
                return NULL;
        return str_copy_n(name + strlen(unit), strlen(name) - strlen(unit) - strlen(".service"));
}

bool group_parse(const char *name, const char *cluster, struct group *ret)
{
        CLEANUP_FREE char *server = server_of(name, cluster);
        if (server) {
                char *user = str_copy(server), *dashes = strstr(user, "--");
                if (dashes)
                        *dashes = '\0';
                *ret = (struct group){.name = str_copy(name),
                        .user = user,
                        .kind = "notebook",
                        .pod = str_format("jupyter-%s", server),
                        .container = "notebook",
                        .app = "jupyterhub",
                        .component = "singleuser-server"};
                if (str_user_name(user))
                        return true;
                group_clear(ret);
                return false;
        }
        const char *id = str_starts(name, "dask-") ? name + strlen("dask-") : "", *dash = strchr(id, '-');
        if (!dash || dash == id)
                return false;
        CLEANUP_FREE char *cluster_id = str_copy_n(id, (size_t)(dash - id));
        if (str_is(dash, "-scheduler"))
                *ret = (struct group){
                        .pod = str_format("dask-scheduler-%s", cluster_id), .container = "dask-scheduler"};
        else if (str_starts(dash, "-worker-") && dash[strlen("-worker-")])
                *ret = (struct group){.pod = str_format("dask-worker-%s-%s", cluster_id, dash + strlen("-worker-")),
                        .container = "dask-worker"};
        else
                return false;
        ret->name = str_copy(name);
        ret->kind = "dask";
        ret->app = "dask-gateway";
        ret->component = ret->container;
        ret->dask_cluster = STEAL(cluster_id);
        return true;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct group *)a)->name, ((const struct group *)b)->name);
}

bool group_process_start(const char *stat, long long *ret)
{
        const char *at = strrchr(stat, ')'); /* the name before it may hold anything */
        for (int i = 0; at && i <= START_AT; i++)
                at = strchr(at + 1, ' ');
        if (!at || at[1] < '0' || at[1] > '9')
                return false;
        *ret = strtoll(at + 1, NULL, 10);
        return true;
}

/* When a process began, in seconds since 1970; 0 = it is not there any more. */
static int64_t began(long pid)
{
        char text[STAT_MAX];
        CLEANUP_FREE char *folder = str_format("/proc/%ld", pid);
        CLEANUP_FREE char *path = file_join(folder, "stat");
        FILE *file = fopen(path, "re");
        size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
        if (file)
                fclose(file);
        text[n] = '\0';
        long long start;
        return group_process_start(text, &start) ? process_began((uint64_t)start) : 0;
}

/* From the group's processes: when the first began, and whose they are. caas-sandbox itself, which is root's, stands
 * before the user's. */
static void ask_processes(const char *folder, const struct accounts *accounts, struct group *group)
{
        CLEANUP_FREE char *path = file_join(folder, "cgroup.procs");
        CLEANUP_FREE char *text = mem_zero(PROCS_MAX);
        FILE *file = fopen(path, "re");
        size_t n = file ? fread(text, 1, PROCS_MAX - 1, file) : 0;
        if (file)
                fclose(file);
        text[n] = '\0';
        char *save = NULL;
        for (char *word = strtok_r(text, "\n", &save); word; word = strtok_r(NULL, "\n", &save)) {
                long pid;
                if (str_to_long(word, &pid) < 0 || pid < 1)
                        continue;
                int64_t start = group->created ? 0 : began(pid);
                if (start)
                        group->created = start;
                if (group->user && group->created)
                        return;
                struct stat st;
                CLEANUP_FREE char *process = str_format("/proc/%ld", pid);
                if (!group->user && stat(process, &st) == 0)
                        group->user = copy_or_null(accounts_user(accounts, st.st_uid));
        }
}

static void recall(struct group *group, const struct groups *old)
{
        const struct group *found =
                old->count ? bsearch(group, old->item, old->count, sizeof *old->item, by_name) : NULL;
        if (!found || found->inode != group->inode)
                return;
        group->created = found->created;
        if (!group->user)
                group->user = copy_or_null(found->user);
}

static int read_list(const struct cgroup_tree *tree, char **names, const char *cluster, const struct groups *old,
        const struct config *config, struct groups *groups, struct err **err)
{
        CLEANUP_ACCOUNTS struct accounts accounts = {0};
        bool asked = false;
        for (; *names; names++) {
                struct group group;
                if (!group_parse(*names, cluster, &group))
                        continue;
                if (cgroup_usage(tree, *names, &group.usage, NULL) < 0) {
                        group_clear(&group);
                        continue;
                }
                CLEANUP_FREE char *folder = cgroup_folder(tree, "memory", *names);
                struct stat st = {0};
                if (stat(folder, &st) == 0)
                        group.inode = st.st_ino;
                recall(&group, old);
                if (!group.user || !group.created) {
                        int r = asked ? 0 : accounts_load(config->accounts, &accounts, err);
                        if (r < 0) {
                                group_clear(&group);
                                return r;
                        }
                        asked = true;
                        ask_processes(folder, &accounts, &group);
                }
                MEM_GROW(groups->item, groups->count, groups->capacity);
                groups->item[groups->count++] = group;
        }
        return 0;
}

int groups_read(const struct config *config, const struct cgroup_paths *paths, const struct groups *old,
        struct groups *ret, struct err **err)
{
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        CLEANUP_GROUPS struct groups groups = {0};
        char **names = NULL, **services = NULL;
        int r = cgroup_open(paths, config->groups_parent, &tree, err);
        if (r == 0)
                r = cgroup_list(tree, "", &names, err);
        if (r == 0)
                r = cgroup_services(tree, &services, err);
        if (r == 0)
                r = read_list(tree, names, config->cluster, old, config, &groups, err);
        if (r == 0)
                r = read_list(tree, services, config->cluster, old, config, &groups, err);
        cgroup_strv_free(names);
        cgroup_strv_free(services);
        if (r < 0)
                return r;
        if (groups.count)
                qsort(groups.item, groups.count, sizeof *groups.item, by_name);
        *ret = groups;
        groups = (struct groups){0};
        return 0;
}
