#include "kind/versions.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/place.h"
#include "kind/spec.h"

#define MARK         ".caas-complete"
#define HEX_DIGITS   16
#define MAPS_MAX     (16UL * 1024 * 1024)
#define VERSIONS_MAX 64

char *versions_folder(const char *path, const char digest[DIGEST_SIZE])
{
        return str_format("%s-%.*s", path, HEX_DIGITS, digest);
}

bool versions_is_complete(const char *folder)
{
        CLEANUP_FREE char *mark = file_join(folder, MARK);
        return file_exists(mark);
}

/* Where the link points, absolute; NULL if it is none. The caller frees. */
static char *target_of(const char *path)
{
        char name[4096];
        ssize_t n = readlink(path, name, sizeof name - 1);
        if (n <= 0)
                return NULL;
        name[n] = '\0';
        if (name[0] == '/')
                return str_copy(name);
        const char *slash = strrchr(path, '/');
        return str_format("%.*s/%s", (int)(slash - path), path, name);
}

json_t *versions_state(const char *path)
{
        CLEANUP_FREE char *target = target_of(path);
        if (!target || !versions_is_complete(target))
                return NULL;
        return json_pack("{s:s}", "version", strrchr(target, '/') + 1);
}

/* Is `name` "<base>-<16 hex digits>"? */
static bool is_version(const char *name, const char *base)
{
        size_t n = strlen(base);
        return strncmp(name, base, n) == 0 && name[n] == '-' && strlen(name + n + 1) == HEX_DIGITS &&
               strspn(name + n + 1, "0123456789abcdef") == HEX_DIGITS;
}

/* Does a process run a program or use a library of the folder? */
static bool in_use(const char *folder)
{
        static const char *const files[] = {"cmdline", "maps"};
        CLEANUP_FREE char *needle = str_format("%s/", folder);
        DIR *dir = opendir("/proc");
        bool found = false;
        struct dirent *entry;
        while (dir && !found && (entry = readdir(dir))) {
                long pid;
                for (size_t i = 0; i < 2 && !found && str_to_long(entry->d_name, &pid) == 0; i++) {
                        CLEANUP_FREE char *path = str_format("/proc/%ld/%s", pid, files[i]);
                        CLEANUP_FREE char *text = NULL;
                        size_t length = 0;
                        if (file_read(path, MAPS_MAX, &text, &length, NULL) == 0)
                                found = memmem(text, length, needle, strlen(needle)) != NULL;
                }
        }
        if (dir)
                closedir(dir);
        return found;
}

/* Folders of versions beside path, NULL-terminated; each and the array are the caller's. */
static char **list_versions(const char *path)
{
        const char *base = strrchr(path, '/') + 1;
        CLEANUP_FREE char *parent = str_copy_n(path, (size_t)(base - path));
        char **list = mem_zero_array(VERSIONS_MAX + 1, sizeof *list);
        size_t n = 0;
        DIR *dir = opendir(parent);
        struct dirent *entry;
        while (dir && n < VERSIONS_MAX && (entry = readdir(dir)))
                if (is_version(entry->d_name, base))
                        list[n++] = file_join(parent, entry->d_name);
        if (dir)
                closedir(dir);
        return list;
}

static int remove_versions(const char *path, const char *keep, const char *keep_too, bool even_used, struct err **err)
{
        char **list = list_versions(path);
        int result = 0;
        for (char **folder = list; *folder; folder++) {
                if (result == 0 && !str_is(*folder, keep) && !str_is(*folder, keep_too) &&
                        (even_used || !in_use(*folder)))
                        result = file_remove_tree(*folder, err);
                free(*folder);
        }
        free(list);
        return result;
}

static int point_to(const char *path, const char *folder, struct err **err)
{
        CLEANUP_FREE char *temporary = str_format("%s.link", path);
        unlink(temporary);
        if (symlink(strrchr(folder, '/') + 1, temporary) < 0 || rename(temporary, path) < 0) {
                int number = errno;
                unlink(temporary);
                return err_set_errno(err, number, "cannot link %s to %s", path, folder);
        }
        return 0;
}

int versions_switch(const char *path, const char *folder, struct err **err)
{
        CLEANUP_FREE char *before = target_of(path);
        if (!versions_is_complete(folder)) {
                CLEANUP_CLOSE int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0 || syncfs(fd) < 0) /* the mark shall not outlive a power cut that its files did not */
                        return err_set_errno(err, errno, "cannot write %s", folder);
                CLEANUP_FREE char *mark = file_join(folder, MARK);
                int result = file_write_atomic(mark, "\n", 1, 0644, (uid_t)-1, (gid_t)-1, err);
                if (result < 0)
                        return result;
        }
        if (!str_is(before, folder)) {
                int result = point_to(path, folder, err);
                if (result < 0)
                        return result;
                return remove_versions(path, folder, before, false, err);
        }
        return 0;
}

static int remove_all(const char *path, struct err **err)
{
        int result = file_remove(path, err);
        return result < 0 ? result : remove_versions(path, NULL, NULL, true, err);
}

int versions_provide(struct kind_ctx *ctx, const json_t *spec, const char digest[DIGEST_SIZE],
        int (*build)(struct kind_ctx *ctx, const json_t *spec, const char *folder, struct err **err),
        json_t **ret_outputs, struct err **err)
{
        const char *path = spec_text(spec, "path", "");
        CLEANUP_FREE char *folder = versions_folder(path, digest);
        int result = versions_is_complete(folder) ? 0 : build(ctx, spec, folder, err);
        if (result == 0)
                result = versions_switch(path, folder, err);
        if (result < 0)
                return result;
        *ret_outputs = json_pack("{s:s, s:s, s:s}", "path", path, "real", folder, "digest", digest);
        return 0;
}

int versions_forget(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded, (void)ret_kept;
        return place_path_remove(ctx, r, remove_all, err);
}
