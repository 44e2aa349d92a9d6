/* Finds out which control groups this machine has and where ours stand. */
#include "client/cgroup/cgroup_impl.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static const char *const CONTROLLERS[CONTROLLER_COUNT] = {"memory", "cpu", "cpuacct", "pids"};
static const char *const ENABLE[] = {"+memory", "+cpu", "+pids", NULL};
static const struct cgroup_paths MACHINE = {"/sys/fs/cgroup", "/proc/self/cgroup", "/run/systemd/system"};

#define SYSTEM_SLICE      "system.slice"
#define NAME_MAX_LENGTH   128
#define PARENT_MAX_LENGTH 48

bool cgroup_name_valid(const char *name)
{
        if (!name || !(isalnum((unsigned char)*name) || *name == '_') || strlen(name) > NAME_MAX_LENGTH)
                return false;
        for (const char *c = name; *c; c++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c))
                        return false;
        return true;
}

/* A DNS label: then "_" is free to stand for "-" in the name of the slice, where "-" would mean "child of". */
static bool parent_valid(const char *parent)
{
        size_t length = parent ? strlen(parent) : 0;
        if (length == 0 || length > PARENT_MAX_LENGTH || !islower((unsigned char)parent[0]) ||
                parent[length - 1] == '-')
                return false;
        return strspn(parent, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

bool cgroup_by_systemd(const struct cgroup_tree *tree)
{
        return tree->placement == PLACE_SYSTEMD;
}

bool cgroup_unified(const struct cgroup_tree *tree)
{
        return tree->unified;
}

char *cgroup_path(const struct cgroup_tree *tree, enum controller controller, const char *name)
{
        const char *folder = tree->folder[controller];
        if (!folder)
                return NULL;
        if (tree->placement == PLACE_SYSTEMD && !str_ends(name, ".service"))
                return str_format("%s/%s-%s.scope", folder, tree->parent, name);
        return str_format("%s/%s", folder, name);
}

char *cgroup_folder(const struct cgroup_tree *tree, const char *controller, const char *name)
{
        for (int i = 0; i < CONTROLLER_COUNT; i++)
                if (str_is(CONTROLLERS[i], controller))
                        return cgroup_path(tree, (enum controller)i, name);
        return NULL;
}

struct cgroup_tree *cgroup_close(struct cgroup_tree *tree)
{
        if (!tree)
                return NULL;
        for (int i = 0; i < CONTROLLER_COUNT; i++)
                free(tree->folder[i]);
        free(tree->parent);
        free(tree->slice);
        free(tree->top);
        free(tree);
        return NULL;
}

/* The caller's own group: "0::/path" for version 2 (controller ""), "4:cpu,cpuacct:/path" for version 1. NULL if there
 * is no such line. The caller frees. */
static char *own_group(const struct cgroup_paths *paths, const char *controller)
{
        CLEANUP_FREE char *text = NULL;
        if (file_read(paths->self, 65536, &text, NULL, NULL) < 0)
                return NULL;
        char *lines = NULL;
        for (char *line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
                char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
                if (!path || path[1] != '/' || strstr(path, "..")) /* outside of our view of the tree: of no use */
                        continue;
                *path++ = '\0';
                bool found = names[1] == '\0' && *controller == '\0';
                char *words = NULL;
                for (char *name = strtok_r(names + 1, ",", &words); name; name = strtok_r(NULL, ",", &words))
                        found = found || str_is(name, controller);
                if (found)
                        return str_copy(path);
        }
        return NULL;
}

char *cgroup_own_folder(const struct cgroup_paths *paths, const char *controller, bool *ret_unified)
{
        if (!paths)
                paths = &MACHINE;
        CLEANUP_FREE char *mark = file_join(paths->root, "cgroup.controllers");
        bool unified = file_exists(mark);
        CLEANUP_FREE char *own = own_group(paths, unified ? "" : controller);
        if (ret_unified)
                *ret_unified = unified;
        if (!own || str_is(own, "/"))
                return NULL;
        return unified ? str_format("%s%s", paths->root, own) : str_format("%s/%s%s", paths->root, controller, own);
}

int64_t cgroup_folder_memory(const char *folder)
{
        int64_t bytes = cgroup_number(folder, "memory.max", NULL, -2);
        return bytes == -2 ? cgroup_number(folder, "memory.limit_in_bytes", NULL, -1) : bytes;
}

static bool delegated(const char *folder)
{
        char value[8];
        return getxattr(folder, "trusted.delegate", value, sizeof value) > 0 ||
               getxattr(folder, "user.delegate", value, sizeof value) > 0;
}

static bool has_controllers(const char *folder)
{
        char text[512];
        if (cgroup_get(folder, "cgroup.controllers", text, sizeof text) < 0)
                return false;
        bool memory = false, cpu = false;
        char *save = NULL;
        for (char *word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
                memory = memory || str_is(word, "memory");
                cpu = cpu || str_is(word, "cpu");
        }
        return memory && cpu;
}

static char *slice_name(const char *parent)
{
        char *name = str_format("%s.slice", parent);
        char *dash = strchr(name, '-');
        for (char *c = dash ? dash + 1 : name; *c; c++)
                if (*c == '-')
                        *c = '_';
        return name;
}

/* "caas-demo.slice" stands in "caas.slice". */
static char *slice_path(const char *slice)
{
        const char *dash = strchr(slice, '-');
        if (!dash)
                return str_copy(slice);
        return str_format("%.*s.slice/%s", (int)(dash - slice), slice, slice);
}

static void place_unified(const struct cgroup_paths *paths, struct cgroup_tree *tree)
{
        tree->unified = true;
        CLEANUP_FREE char *below = NULL;
        if (tree->placement == PLACE_SYSTEMD) {
                tree->top = str_copy(paths->root);
                below = slice_path(tree->slice);
        } else {
                CLEANUP_FREE char *own = own_group(paths, "");
                if (!own)
                        own = str_copy("/");
                size_t length = strlen(own);
                if (str_ends(own, "/main"))
                        own[length - 5] = '\0';
                CLEANUP_FREE char *unit = str_format("%s%s", paths->root, str_is(own, "/") ? "" : own);
                if (delegated(unit) || !has_controllers(paths->root) || access(paths->root, W_OK) < 0)
                        tree->placement = PLACE_OWN;
                tree->top = tree->placement == PLACE_OWN ? STEAL(unit) : str_copy(paths->root);
                below = str_copy(tree->parent);
        }
        for (int i = 0; i < CONTROLLER_COUNT; i++)
                tree->folder[i] = file_join(tree->top, below);
}

static void place_hierarchies(const struct cgroup_paths *paths, const char *below, struct cgroup_tree *tree)
{
        for (int i = 0; i < CONTROLLER_COUNT; i++) {
                CLEANUP_FREE char *top = file_join(paths->root, CONTROLLERS[i]);
                CLEANUP_FREE char *mark = file_join(top, "cgroup.procs"); /* else an empty folder, nothing mounted */
                if (file_exists(mark))
                        tree->folder[i] = file_join(top, below);
        }
}

int cgroup_open(const struct cgroup_paths *paths, const char *parent, struct cgroup_tree **ret, struct err **err)
{
        if (!paths)
                paths = &MACHINE;
        if (!parent_valid(parent))
                return err_set(err, ERR_INVALID,
                        "parent group must be small letters, digits and dashes, beginning with a letter");
        CLEANUP_CGROUP struct cgroup_tree *tree = mem_zero(sizeof *tree);
        tree->parent = str_copy(parent);
        tree->slice = slice_name(parent);
        tree->enable = ENABLE;
        tree->placement = file_exists(paths->systemd) ? PLACE_SYSTEMD : PLACE_TOP;
        CLEANUP_FREE char *mark = file_join(paths->root, "cgroup.controllers");
        CLEANUP_FREE char *below = tree->placement == PLACE_SYSTEMD ? slice_path(tree->slice) : str_copy(parent);
        if (file_exists(mark))
                place_unified(paths, tree);
        else
                place_hierarchies(paths, below, tree);
        const char *missing = NULL;
        if (tree->unified && !has_controllers(tree->top))
                missing = "memory and cpu";
        else if (!tree->folder[CONTROLLER_MEMORY])
                missing = "memory";
        else if (!tree->folder[CONTROLLER_CPU])
                missing = "cpu";
        if (missing)
                return err_set(err, ERR_REFUSED,
                        "no limits are possible here: control group controllers missing below %s: %s. Nothing runs "
                        "without limits; "
                        "mount them, or enable them for this container",
                        tree->unified ? tree->top : paths->root, missing);
        *ret = STEAL(tree);
        return 0;
}

int cgroup_open_system(const struct cgroup_paths *paths, struct cgroup_tree **ret, struct err **err)
{
        if (!paths)
                paths = &MACHINE;
        CLEANUP_CGROUP struct cgroup_tree *tree = mem_zero(sizeof *tree);
        CLEANUP_FREE char *mark = file_join(paths->root, "cgroup.controllers");
        tree->placement = PLACE_SYSTEMD;
        tree->unified = file_exists(mark);
        for (int i = 0; tree->unified && i < CONTROLLER_COUNT; i++)
                tree->folder[i] = file_join(paths->root, SYSTEM_SLICE);
        if (!tree->unified)
                place_hierarchies(paths, SYSTEM_SLICE, tree);
        if (!tree->folder[CONTROLLER_MEMORY])
                return err_set(err, ERR_REFUSED, "memory of services is not counted below %s", paths->root);
        *ret = STEAL(tree);
        return 0;
}
