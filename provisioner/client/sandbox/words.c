/* What bubblewrap is told. */
#include "client/sandbox/sandbox.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define FIRST_PROCESS "/run/caas-sandbox"

struct words {
        char **item;
        size_t count, capacity;
        char **folder; /* made so far */
        size_t folder_count, folder_capacity;
};

/* What a program may read of /etc. No accounts but one, no keys, no configuration of services, no host identity. */
static const char *const ETC[] = {
        "alternatives",
        "bash.bashrc",
        "bindresvport.blacklist",
        "ca-certificates",
        "ca-certificates.conf",
        "debian_version",
        "fonts",
        "gai.conf",
        "gitconfig",
        "gss",
        "host.conf",
        "hosts",
        "ImageMagick-6",
        "ImageMagick-7",
        "inputrc",
        "issue",
        "java",
        "java-17-openjdk",
        "java-21-openjdk",
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "locale.alias",
        "locale.conf",
        "locale.gen",
        "localtime",
        "login.defs",
        "magic",
        "mailcap",
        "manpath.config",
        "mime.types",
        "nanorc",
        "networks",
        "odbc.ini",
        "odbcinst.ini",
        "OpenCL",
        "openmpi",
        "os-release",
        "papersize",
        "perl",
        "pki",
        "profile",
        "profile.d",
        "proj",
        "protocols",
        "python3",
        "python3.11",
        "python3.13",
        "R",
        "resolv.conf",
        "rpc",
        "services",
        "shells",
        "ssl",
        "terminfo",
        "texmf",
        "timezone",
        "vim",
        "wgetrc",
        "X11",
        "xdg",
        NULL,
};

/* Debian's /usr merge: these are links into /usr, on older systems folders. */
static const char *const TOP[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", NULL};

static void add(struct words *words, ...) __attribute__((sentinel));
static void add(struct words *words, ...)
{
        va_list ap;
        va_start(ap, words);
        for (const char *word; (word = va_arg(ap, const char *));) {
                MEM_GROW(words->item, words->count, words->capacity);
                words->item[words->count++] = str_copy(word);
        }
        va_end(ap);
}

/* Makes a folder and those above it, 0755: bubblewrap itself would make them for root alone. */
static void add_folder(struct words *words, const char *path)
{
        for (size_t i = 0; i < words->folder_count; i++)
                if (str_is(words->folder[i], path))
                        return;
        CLEANUP_FREE char *above = str_copy(path);
        char *slash = strrchr(above, '/');
        if (slash && slash != above) {
                *slash = '\0';
                add_folder(words, above);
        }
        MEM_GROW(words->folder, words->folder_count, words->folder_capacity);
        words->folder[words->folder_count++] = str_copy(path);
        if (!str_is(path, "/usr") && !str_starts(path, "/usr/")) /* is there, and read-only */
                add(words, "--perms", "0755", "--dir", path, NULL);
}

static void add_folder_of(struct words *words, const char *path)
{
        CLEANUP_FREE char *above = str_copy(path);
        char *slash = strrchr(above, '/');
        if (slash && slash != above) {
                *slash = '\0';
                add_folder(words, above);
        }
}

static void add_scratch(struct words *words, const char *path, const char *mode, int64_t bytes)
{
        add_folder_of(words, path);
        CLEANUP_FREE char *size = str_format("%" PRId64, bytes);
        if (bytes > 0)
                add(words, "--size", size, NULL);
        add(words, "--perms", mode, "--tmpfs", path, NULL);
}

static void add_base(struct words *words, int64_t scratch)
{
        add(words, "--ro-bind", "/usr", "/usr", NULL);
        for (const char *const *path = TOP; *path; path++) {
                struct stat st;
                char target[PATH_MAX];
                if (lstat(*path, &st) < 0)
                        continue;
                ssize_t n = S_ISLNK(st.st_mode) ? readlink(*path, target, sizeof target - 1) : -1;
                if (n > 0) {
                        target[n] = '\0';
                        add(words, "--symlink", target, *path, NULL);
                } else {
                        add(words, "--ro-bind", *path, *path, NULL);
                }
        }
        add(words, "--proc", "/proc", "--dev", "/dev", NULL);
        add_scratch(words, "/dev/shm", "1777", scratch);
        add_scratch(words, "/tmp", "1777", scratch);
        add_scratch(words, "/var/tmp", "1777", scratch);
        add_scratch(words, "/run", "0755", 0);
        add_folder(words, "/sys/devices/system");
        add(words, "--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu", NULL);
        add_folder(words, "/var/cache");
        add(words, "--ro-bind-try", "/var/cache/fontconfig", "/var/cache/fontconfig", NULL);
}

static void add_etc(struct words *words, int passwd, int group)
{
        add_scratch(words, "/etc", "0755", 1024 * 1024);
        for (const char *const *name = ETC; *name; name++) {
                CLEANUP_FREE char *path = file_join("/etc", *name);
                if (file_exists(path)) /* a dangling link is not there either */
                        add(words, "--ro-bind", path, path, NULL);
        }
        CLEANUP_FREE char *users = str_format("%d", passwd);
        CLEANUP_FREE char *groups = str_format("%d", group);
        add(words, "--perms", "0644", "--file", users, "/etc/passwd", NULL);
        add(words, "--perms", "0644", "--file", groups, "/etc/group", NULL);
        add(words, "--symlink", "/proc/self/mounts", "/etc/mtab", "--remount-ro", "/etc", NULL);
}

/* A link (an environment that is switched by one) stays a link inside, and what it points to is there too: programs
 * have either path written into them. */
static void add_mount(struct words *words, const struct sandbox_mount *mount)
{
        CLEANUP_FREE char *real = realpath(mount->source, NULL);
        const char *option = mount->writable ? "--bind" : "--ro-bind";
        if (real && str_is(mount->source, mount->target) && !str_is(real, mount->source)) {
                add_folder_of(words, real);
                add_folder_of(words, mount->target);
                add(words, option, real, real, "--symlink", real, mount->target, NULL);
                return;
        }
        add_folder_of(words, mount->target);
        add(words, option, mount->source, mount->target, NULL);
}

char **sandbox_words(const struct sandbox_spec *spec, int control, int environment, int passwd, int group)
{
        struct words words = {0};
        add(&words, "bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--new-session",
                NULL);
        add(&words, "--die-with-parent", "--as-pid-1", NULL); /* the parent is the supervisor, not the hub */
        /* just enough for the first process to become the user; it then drops these too */
        add(&words, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add",
                "CAP_SETPCAP", NULL);
        add_base(&words, spec->memory / 2);
        add_etc(&words, passwd, group);
        CLEANUP_FREE char *home = str_format("/home/%s", spec->user);
        add_folder(&words, "/home");
        add(&words, "--bind", spec->home, home, NULL);
        for (size_t i = 0; i < spec->mount_count; i++)
                add_mount(&words, &spec->mounts[i]);
        add(&words, "--ro-bind", spec->program, FIRST_PROCESS, "--chdir", "/", "--", FIRST_PROCESS, spec->first_word,
                NULL);
        CLEANUP_FREE char *uid = str_format("%u", spec->uid), *gid = str_format("%u", spec->gid);
        CLEANUP_FREE char *pipe = str_format("%d", control), *env = str_format("%d", environment);
        add(&words, uid, gid, pipe, env, spec->directory ? spec->directory : home, NULL);
        for (const char *const *word = spec->argv; *word; word++)
                add(&words, *word, NULL);
        for (size_t i = 0; i < words.folder_count; i++)
                free(words.folder[i]);
        free(words.folder);
        MEM_GROW(words.item, words.count, words.capacity);
        words.item[words.count] = NULL;
        return words.item;
}
