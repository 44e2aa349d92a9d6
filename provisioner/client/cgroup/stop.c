/* Ends groups: every process killed, the group removed. */
#include "client/cgroup/cgroup_impl.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

#define TEXT_MAX 65536
#define TICK_MS  5

static bool populated(const char *path)
{
        char text[64];
        return cgroup_get(path, "cgroup.procs", text, sizeof text) == 0 && *text;
}

/* One round of killing. The kernel does it in one stroke where it can; otherwise process by process, which ends because
 * nothing new can be started once the limit of processes is 0. */
static void kill_round(const struct cgroup_tree *tree, const char *name)
{
        CLEANUP_FREE char *path = cgroup_path(tree, CONTROLLER_MEMORY, name);
        if (tree->unified && cgroup_put(path, "cgroup.kill", "1") == 0)
                return;
        for (int i = 0; i < (tree->unified ? 1 : CONTROLLER_COUNT); i++) {
                CLEANUP_FREE char *folder = cgroup_path(tree, (enum controller)i, name);
                CLEANUP_FREE char *text = mem_zero(TEXT_MAX);
                if (!folder || cgroup_get(folder, "cgroup.procs", text, TEXT_MAX) < 0)
                        continue;
                char *save = NULL;
                for (char *word = strtok_r(text, "\n", &save); word; word = strtok_r(NULL, "\n", &save)) {
                        long pid;
                        if (str_to_long(word, &pid) == 0 && pid > 1) /* 0: a process we cannot see */
                                kill((pid_t)pid, SIGKILL);
                }
        }
}

static bool any_populated(const struct cgroup_tree *tree, const char *name)
{
        for (int i = 0; i < (tree->unified ? 1 : CONTROLLER_COUNT); i++) {
                CLEANUP_FREE char *path = cgroup_path(tree, (enum controller)i, name);
                if (path && populated(path))
                        return true;
        }
        return false;
}

/* Takes the folders away (systemd does that itself for its scopes). True once they are gone. */
static bool remove_folders(const struct cgroup_tree *tree, const char *name)
{
        bool gone = true;
        for (int i = 0; i < (tree->unified ? 1 : CONTROLLER_COUNT); i++) {
                CLEANUP_FREE char *path = cgroup_path(tree, (enum controller)i, name);
                if (!path)
                        continue;
                if (tree->placement == PLACE_SYSTEMD)
                        gone = gone && !file_exists(path);
                else if (rmdir(path) < 0 && errno != ENOENT)
                        gone = false;
        }
        return gone;
}

int cgroup_stop(struct cgroup_tree *tree, const char *name, int timeout_ms, struct err **err)
{
        if (!cgroup_name_valid(name))
                return err_set(err, ERR_INVALID, "not a name for a group");
        struct clock *clock = clock_system();
        int64_t end = clock->monotonic_ms(clock) + timeout_ms;
        CLEANUP_FREE char *pids = cgroup_path(tree, CONTROLLER_PIDS, name);
        if (pids)
                cgroup_put(pids, "pids.max", "0");
        for (;;) {
                bool left = any_populated(tree, name);
                if (left)
                        kill_round(tree, name);
                else if (remove_folders(tree, name))
                        break;
                if (clock->monotonic_ms(clock) >= end)
                        return err_set(err, ERR_TIMEOUT,
                                left ? "processes of group %s do not end" : "group %s is still there", name);
                clock->sleep_ms(clock, TICK_MS, NULL);
        }
        /* The folder of all groups goes with the last one; while others are in it this fails, as it should. */
        if (tree->placement != PLACE_SYSTEMD)
                for (int i = 0; i < (tree->unified ? 1 : CONTROLLER_COUNT); i++)
                        if (tree->folder[i])
                                rmdir(tree->folder[i]);
        return 0;
}

static int systemctl(const char *const *argv, int timeout_ms, bool must, struct err **err)
{
        struct proc_spec spec = {.argv = argv, .timeout_ms = timeout_ms, .new_session = true};
        if (must)
                return proc_must(&spec, NULL, err);
        CLEANUP_PROC struct proc_result ignored = {0};
        return proc_run(&spec, &ignored, err);
}

/* "systemctl reset-failed UNIT…" for the units of the slice, to be run once they have been killed: systemd would keep
 * those that are services as failed for ever. */
static const char **reset_command(const struct cgroup_tree *tree)
{
        size_t count = 2, capacity = 8;
        const char **words = mem_zero_array(capacity, sizeof *words);
        words[0] = str_copy("systemctl");
        words[1] = str_copy("reset-failed");
        DIR *dir = opendir(tree->folder[CONTROLLER_MEMORY]);
        for (struct dirent *entry; dir && (entry = readdir(dir));) {
                if (!str_ends(entry->d_name, ".service"))
                        continue;
                MEM_GROW(words, count, capacity);
                words[count++] = str_copy(entry->d_name);
        }
        if (dir)
                closedir(dir);
        MEM_GROW(words, count, capacity);
        words[count] = NULL;
        return words;
}

/* A slice that does not exist is stopped at once. */
static int stop_slice(const struct cgroup_tree *tree, int timeout_ms, struct err **err)
{
        const char *const kill_all[] = {"systemctl", "kill", "--signal=SIGKILL", tree->slice, NULL};
        const char *const stop[] = {"systemctl", "stop", tree->slice, NULL};
        const char **reset = reset_command(tree);
        int r = systemctl(kill_all, timeout_ms, false, err); /* fails when there is none */
        if (r == 0)
                r = systemctl(stop, timeout_ms, true, err);
        if (r == 0 && reset[2])
                r = systemctl(reset, timeout_ms, false, err); /* and when it did not fail */
        for (const char **word = reset; *word; word++)
                free((char *)*word);
        free(reset);
        return r;
}

int cgroup_stop_all(struct cgroup_tree *tree, int timeout_ms, struct err **err)
{
        char **names = NULL;
        int r = tree->placement == PLACE_SYSTEMD ? stop_slice(tree, timeout_ms, err) : 0;
        if (r == 0)
                r = cgroup_list(tree, "", &names, err);
        for (char **name = names; name && *name; name++) {
                CLEANUP_ERR struct err *one = NULL;
                int s = cgroup_stop(tree, *name, timeout_ms, &one);
                if (s < 0 && r == 0) {
                        r = s;
                        if (err)
                                *err = STEAL(one);
                }
        }
        cgroup_strv_free(names);
        return r;
}
