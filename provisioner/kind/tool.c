#include "kind/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "client/service/service.h"
#include "kind/versions.h"
#include "tree/digest.h"

#define TOOL_MS   (45 * 60 * 1000) /* a slow line and a gigabyte */
#define ARGS_MAX  32
#define LOCK_MS   200
#define LINE_SHOW 120

struct shown {
        struct kind_ctx *ctx;
        const char *what;
};

static void show(void *data, const char *line)
{
        const struct shown *s = data;
        while (*line == ' ')
                line++;
        if (*line)
                kind_progress(s->ctx, "%s: %.*s", s->what, LINE_SHOW, line);
}

int tool_run(struct kind_ctx *ctx, const char *what, const char *directory, const char *const *env,
        const char *const *argv, struct err **err)
{
        /* everybody on this machine shall be able to read what is installed, whatever umask the operator has */
        const char *words[ARGS_MAX + 5] = {"/bin/sh", "-c", "umask 022; exec \"$@\"", "sh"};
        for (size_t i = 0; i < ARGS_MAX && argv[i]; i++)
                words[4 + i] = argv[i];
        struct shown shown = {ctx, what};
        struct proc_spec spec = {.argv = words,
                .env = env,
                .directory = directory ? directory : "/",
                .timeout_ms = TOOL_MS,
                .cancel = ctx->cancel,
                .on_line = show,
                .data = &shown,
                .die_with_us = true, /* the next run begins afresh and must not meet the last one's programs */
                .new_session = true};
        CLEANUP_PROC struct proc_result result = {0};
        int r = proc_run(&spec, &result, err);
        if (r < 0)
                return err_prefix(err, "cannot install %s", what);
        if (result.status == 0)
                return 0;
        const char *said = *str_trim(result.error) ? str_trim(result.error) : str_trim(result.output);
        size_t n = strlen(said);
        return err_set(err, ERR_FAILED, "cannot install %s: %s ended with status %d: %s", what, argv[0], result.status,
                n > 2000 ? said + n - 2000 : said);
}

int tool_lock(struct kind_ctx *ctx, const char *path, struct err **err)
{
        struct service_host host = {
                .cluster = ctx->cluster, .cluster_dir = ctx->cluster_dir, .clock = ctx->clock, .cancel = ctx->cancel};
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return err_set_errno(err, errno, "cannot open %s", path);
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                int result = errno == EWOULDBLOCK || errno == EINTR ? service_pause(&host, LOCK_MS, err)
                                                                    : err_set_errno(err, errno, "cannot lock %s", path);
                if (result < 0) {
                        close(fd);
                        return result;
                }
        }
        return fd;
}

static int install_uv(
        struct kind_ctx *ctx, const char *python, const char *requirements, const char *folder, struct err **err)
{
        CLEANUP_FREE char *list = file_join(folder, "requirements.txt");
        CLEANUP_FREE char *pip_python = file_join(folder, "bin/python");
        const char *env[] = {"PIP_DISABLE_PIP_VERSION_CHECK=1", "PYTHONPATH=", "PYTHONHOME=", NULL};
        const char *make[] = {python, "-m", "venv", "--clear", folder, NULL};
        const char *fill[] = {pip_python, "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes",
                "--no-compile", "-r", list, NULL};
        kind_progress(ctx, "installing uv");
        int result = tool_run(ctx, "uv", NULL, env, make, err);
        if (result == 0)
                result = file_write_atomic(list, requirements, strlen(requirements), 0644, (uid_t)-1, (gid_t)-1, err);
        return result < 0 ? result : tool_run(ctx, "uv", NULL, env, fill, err);
}

int tool_uv(struct kind_ctx *ctx, const char *python, const char *requirements, char **ret_uv, struct err **err)
{
        CLEANUP_FREE char *tools = file_join(ctx->cache_dir, "tools");
        CLEANUP_FREE char *path = file_join(tools, "uv");
        CLEANUP_FREE char *lock_path = file_join(tools, "lock");
        CLEANUP_FREE char *both = str_format("%s\n%s", python, requirements);
        char digest[DIGEST_SIZE];
        digest_bytes(both, strlen(both), digest);
        CLEANUP_FREE char *folder = versions_folder(path, digest);
        int result = file_make_dirs(tools, 0755, err);
        if (result < 0)
                return result;
        CLEANUP_CLOSE int lock = tool_lock(ctx, lock_path, err);
        if (lock < 0)
                return lock;
        if (!versions_is_complete(folder))
                result = install_uv(ctx, python, requirements, folder, err);
        if (result == 0)
                result = versions_switch(path, folder, err);
        if (result == 0)
                *ret_uv = file_join(folder, "bin/uv");
        return result;
}
