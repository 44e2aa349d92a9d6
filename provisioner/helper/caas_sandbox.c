/* caas-sandbox: runs a user's server or Dask worker under limits and apart from everything else. Run by root; it has no
 * setuid bit and wants none. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/words.h"
#include "client/cgroup/cgroup.h"
#include "client/sandbox/sandbox.h"

#define CANNOT_RUN   126 /* ours, as a shell has it; the command's own status is passed through */
#define STOP_MS      5000
#define ENV_FILE_MAX (1024 * 1024)
#define FIRST_WORD   "first-process"

static const char USAGE[] = "usage: caas-sandbox run --parent P --group NAME --memory BYTES --cpu MILLICORES --tasks N "
                            "--uid N --gid N --user NAME\n"
                            "                        --home DIR [--read-only PATH]... [--read-only-at "
                            "SOURCE:TARGET]... [--bind SOURCE:TARGET]...\n"
                            "                        [--env-file FILE|-] [--chdir DIR]\n"
                            "                        [--no-cgroup] -- COMMAND [ARGUMENT]...\n"
                            "       caas-sandbox stop --parent P --group NAME | --prefix PREFIX | --all\n"
                            "       caas-sandbox show --parent P [--group NAME | --prefix PREFIX] --json\n"
                            "An environment file holds NAME=value entries, each ended by a NUL byte. Variables that a "
                            "user chose belong there.\n";

struct options {
        const char *parent, *group, *prefix, *env_file, *home, *user, *directory;
        struct cgroup_limits limits;
        long uid, gid;
        struct sandbox_mount *mounts;
        size_t mount_count, mount_capacity;
        bool no_cgroup, json, all;
        bool entered; /* systemd started us inside the group */
        char **command;
};

static void options_clear(struct options *o)
{
        for (size_t i = 0; i < o->mount_count; i++) {
                if (o->mounts[i].target != o->mounts[i].source)
                        free((char *)o->mounts[i].target);
                free((char *)o->mounts[i].source);
        }
        free(o->mounts);
}

static void add_mount(struct options *o, char *source, char *target, bool writable)
{
        MEM_GROW(o->mounts, o->mount_count, o->mount_capacity);
        o->mounts[o->mount_count++] =
                (struct sandbox_mount){.source = source, .target = target ? target : source, .writable = writable};
}

static int take_mount(void *data, const char *name, const char *value, struct err **err)
{
        if (str_is(name, "--read-only")) {
                add_mount(data, str_copy(value), NULL, false);
                return 0;
        }
        const char *colon = strchr(value, ':');
        if (!colon || strchr(colon + 1, ':'))
                return err_set(err, ERR_USAGE, "%s: SOURCE:TARGET is wanted, not %s", name, value);
        add_mount(data, str_copy_n(value, (size_t)(colon - value)), str_copy(colon + 1), str_is(name, "--bind"));
        return 0;
}

static int parse(struct options *o, char **words, struct err **err)
{
        long memory = o->limits.memory;
        const struct word table[] = {
                {"--parent", .text = &o->parent},
                {"--group", .text = &o->group},
                {"--prefix", .text = &o->prefix},
                {"--env-file", .text = &o->env_file},
                {"--home", .text = &o->home},
                {"--user", .text = &o->user},
                {"--chdir", .text = &o->directory},
                {"--uid", .number = &o->uid},
                {"--gid", .number = &o->gid},
                {"--cpu", .number = &o->limits.cpu},
                {"--tasks", .number = &o->limits.tasks},
                {"--memory", .number = &memory},
                {"--no-cgroup", .flag = &o->no_cgroup},
                {"--json", .flag = &o->json},
                {"--all", .flag = &o->all},
                {"--entered", .flag = &o->entered},
                {"--read-only", .take = take_mount},
                {"--read-only-at", .take = take_mount},
                {"--bind", .take = take_mount},
                {0},
        };
        int r = words_read(table, words, o, &o->command, err);
        o->limits.memory = memory;
        return r;
}

static int own_path(char *buffer, size_t size, struct err **err)
{
        ssize_t n = readlink("/proc/self/exe", buffer, size - 1);
        if (n < 0)
                return err_set_errno(err, errno, "cannot find this program");
        buffer[n] = '\0';
        return 0;
}

/* Becomes "systemd-run … caas-sandbox run --entered <the same words>". Returns only on failure. */
static int enter_by_systemd(const struct cgroup_tree *tree, const struct options *o, char **argv, struct err **err)
{
        char self[4096];
        int r = cgroup_check(o->group, &o->limits, err);
        if (r == 0)
                r = own_path(self, sizeof self, err);
        if (r < 0)
                return r;
        char **front = cgroup_scope_command(tree, o->group, &o->limits);
        size_t n = 0, rest = 0;
        while (front[n])
                n++;
        while (argv[rest])
                rest++;
        char **words = mem_zero_array(n + rest + 4, sizeof *words);
        memcpy(words, front, n * sizeof *words);
        words[n] = self;
        words[n + 1] = argv[0]; /* "run" */
        words[n + 2] = (char *)"--entered";
        memcpy(words + n + 3, argv + 1, (rest - 1) * sizeof *words);
        execvp(words[0], words);
        int number = errno;
        free(words);
        cgroup_strv_free(front);
        return err_set_errno(err, number, "cannot run systemd-run");
}

static int enter_group(struct cgroup_tree *tree, const struct options *o, char **argv, struct err **err)
{
        if (cgroup_by_systemd(tree))
                return o->entered ? cgroup_verify(tree, o->group, &o->limits, err)
                                  : enter_by_systemd(tree, o, argv, err);
        int r = cgroup_create(tree, o->group, &o->limits, err);
        return r < 0 ? r : cgroup_enter(tree, o->group, getpid(), err);
}

/* Lets programs inside see their own limits where they look for them (Dask, joblib, Java …). tree is NULL when somebody
 * else made the group we are in. */
static void show_group(struct options *o, const struct cgroup_tree *tree)
{
        static const char *const controllers[] = {"memory", "cpu", "cpuacct", "pids"};
        bool unified = tree && cgroup_unified(tree);
        for (size_t i = 0; i < (unified ? 1 : sizeof controllers / sizeof *controllers); i++) {
                char *folder = tree ? cgroup_folder(tree, controllers[i], o->group)
                                    : cgroup_own_folder(NULL, controllers[i], &unified);
                if (!folder || !file_exists(folder)) {
                        free(folder);
                        continue;
                }
                if (!tree && i == 0)
                        o->limits.memory = cgroup_folder_memory(folder);
                add_mount(o, folder,
                        unified ? str_copy("/sys/fs/cgroup") : str_format("/sys/fs/cgroup/%s", controllers[i]), false);
        }
}

/* *ret_list points into *ret_text; both are the caller's. */
static int read_env_file(const char *path, char **ret_text, const char ***ret_list, struct err **err)
{
        char *text = NULL;
        size_t length = 0, count = 0, capacity = 0;
        if (str_is(path, "-"))
                path = "/dev/stdin";
        FILE *file = fopen(path, "re");
        if (!file)
                return err_set_errno(err, errno, "cannot open %s", path);
        text = mem_zero(ENV_FILE_MAX + 2);
        length = fread(text, 1, ENV_FILE_MAX + 1, file);
        bool bad = ferror(file);
        fclose(file);
        if (bad || length > ENV_FILE_MAX) {
                mem_wipe_free(text, length);
                return err_set(err, ERR_INVALID, bad ? "cannot read %s" : "%s is larger than 1 MiB", path);
        }
        const char **list = NULL;
        for (size_t i = 0; i < length; i += strlen(text + i) + 1) {
                MEM_GROW(list, count, capacity);
                list[count++] = text + i;
        }
        MEM_GROW(list, count, capacity);
        list[count] = NULL;
        *ret_text = text;
        *ret_list = list;
        return 0;
}

static int run_inside(struct options *o, int *ret_status, struct err **err)
{
        char self[4096];
        CLEANUP_FREE char *text = NULL;
        CLEANUP_FREE const char **extra = NULL;
        if (own_path(self, sizeof self, err) < 0)
                return -ERR_IO;
        int r = o->env_file ? read_env_file(o->env_file, &text, &extra, err) : 0;
        if (r < 0)
                return r;
        char **env = sandbox_env((const char *const *)environ, extra, o->user);
        struct sandbox_spec spec = {
                .user = o->user,
                .uid = (uid_t)o->uid,
                .gid = (gid_t)o->gid,
                .home = o->home,
                .directory = o->directory,
                .mounts = o->mounts,
                .mount_count = o->mount_count,
                .memory = o->limits.memory > 0 ? o->limits.memory : 0,
                .env = (const char *const *)env,
                .argv = (const char *const *)o->command,
                .program = self,
                .first_word = FIRST_WORD,
        };
        r = sandbox_run(&spec, ret_status, err);
        sandbox_env_free(env);
        return r;
}

static int command_run(struct options *o, char **argv, int *ret_status, struct err **err)
{
        if (!str_user_name(o->user))
                return err_set(
                        err, ERR_INVALID, "--user: letters, digits, \"_\", \".\" and \"-\", at most 64, are allowed");
        if (!o->command || !o->command[0])
                return err_set(err, ERR_USAGE, "no command after --");
        if (o->uid > UINT32_MAX - 2L || o->gid > UINT32_MAX - 2L)
                return err_set(err, ERR_INVALID, "--uid or --gid is out of range");
        if (geteuid() != 0)
                return err_set(err, ERR_DENIED, "only root can do this");
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        if (!o->no_cgroup) {
                if (!cgroup_name_valid(o->group))
                        return err_set(err, ERR_INVALID, "--group: not a name for a group");
                int r = cgroup_open(NULL, o->parent, &tree, err);
                /* whatever a run of that name has left behind would share its limits with the new one */
                if (r == 0 && !o->entered)
                        r = cgroup_stop(tree, o->group, STOP_MS, err);
                if (r == 0)
                        r = enter_group(tree, o, argv, err);
                if (r < 0)
                        return err_prefix(err, "group %s", o->group);
        }
        show_group(o, tree);
        return run_inside(o, ret_status, err);
}

static int command_stop(const struct options *o, struct err **err)
{
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        if (!!o->group + !!o->prefix + o->all != 1)
                return err_set(err, ERR_USAGE, "stop needs --group NAME, --prefix PREFIX or --all");
        int r = cgroup_open(NULL, o->parent, &tree, err);
        if (r < 0)
                return r;
        if (o->group)
                return cgroup_stop(tree, o->group, STOP_MS, err);
        if (o->all)
                return cgroup_stop_all(tree, STOP_MS, err);
        char **names;
        r = cgroup_list(tree, o->prefix, &names, err);
        if (r < 0)
                return r;
        for (char **name = names; *name; name++) {
                CLEANUP_ERR struct err *one = NULL; /* go on with the others, report the first */
                int s = cgroup_stop(tree, *name, STOP_MS, &one);
                if (s < 0 && r == 0) {
                        r = s;
                        if (err)
                                *err = STEAL(one);
                }
        }
        cgroup_strv_free(names);
        return r;
}

static void print_group(const char *name, const struct cgroup_usage *u, bool first)
{
        printf("%s\n  {\"name\": \"%s\", \"memory\": %" PRId64 ", \"working_set\": %" PRId64
               ", \"memory_limit\": %" PRId64 ", \"cpu_usec\": %" PRId64 ", \"cpu_limit\": %" PRId64
               ", \"throttled_usec\": %" PRId64 ", \"oom_kills\": %" PRId64 ", \"tasks\": %" PRId64
               ", \"tasks_limit\": %" PRId64 "}",
                first ? "" : ",", name, u->memory, u->working_set, u->memory_limit, u->cpu_usec, u->cpu_limit,
                u->throttled_usec, u->oom_kills, u->tasks, u->tasks_limit);
}

static int command_show(const struct options *o, struct err **err)
{
        CLEANUP_CGROUP struct cgroup_tree *tree = NULL;
        int r = cgroup_open(NULL, o->parent, &tree, err);
        if (r < 0)
                return r;
        struct cgroup_usage usage;
        if (o->group) {
                r = cgroup_usage(tree, o->group, &usage, err);
                if (r < 0)
                        return r;
                printf("[");
                print_group(o->group, &usage, true);
                printf("\n]\n");
                return 0;
        }
        char **names;
        r = cgroup_list(tree, o->prefix ? o->prefix : "", &names, err);
        if (r < 0)
                return r;
        bool first = true;
        printf("[");
        for (char **name = names; *name; name++) {
                if (cgroup_usage(tree, *name, &usage, NULL) < 0)
                        continue; /* ended meanwhile */
                print_group(*name, &usage, first);
                first = false;
        }
        printf(first ? "]\n" : "\n]\n");
        cgroup_strv_free(names);
        return 0;
}

int main(int argc, char **argv)
{
        if (argc > 2 && str_is(argv[1], FIRST_WORD))
                return sandbox_first_process(argc - 2, argv + 2);
        CLEANUP_ERR struct err *err = NULL;
        struct options options = {0};
        int status = 0, r = argc < 2 ? err_set(&err, ERR_USAGE, "run, stop or show?") : parse(&options, argv + 2, &err);
        if (r < 0)
                ;
        else if (str_is(argv[1], "run"))
                r = command_run(&options, argv + 1, &status, &err);
        else if (str_is(argv[1], "stop"))
                r = command_stop(&options, &err);
        else if (str_is(argv[1], "show"))
                r = command_show(&options, &err);
        else
                r = err_set(&err, ERR_USAGE, "unknown command %s", argv[1]);
        options_clear(&options);
        if (r == 0)
                return status;
        CLEANUP_FREE char *text = err_text(err);
        fprintf(stderr, "caas-sandbox: %s\n%s", text, r == -ERR_USAGE ? USAGE : "");
        if (r == -ERR_USAGE)
                return 64;
        return argc > 1 && str_is(argv[1], "run") ? CANNOT_RUN : 1;
}
