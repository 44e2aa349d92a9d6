/* host.requirements: what this machine must have before anything is changed. Everything that is missing is said at
 * once. There is nothing to apply, and its state never changes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/tls/explain.h"
#include "kind/kind.h"
#include "kind/net.h"
#include "kind/nothing.h"
#include "kind/spec.h"

#define GB           1000000000.0
#define TEXT_MAX     (64 * 1024)
#define MOUNTS_MAX   (4 * 1024 * 1024)
#define LOOP_CONTROL "/dev/loop-control"

static const struct spec_field fields[] = {
        {"domain", SPEC_TEXT, false},
        {"address", SPEC_TEXT, false},
        {"port", SPEC_WHOLE, false},
        {"http_port", SPEC_WHOLE, false},
        {"disk_gb", SPEC_NUMBER, false},
        {"memory_gb", SPEC_NUMBER, false},
        {"root", SPEC_BOOL, false},
        {"homes", SPEC_BOOL, false},  /* loop devices for users' homes */
        {"limits", SPEC_BOOL, false}, /* control groups for memory, CPU and processes */
        {"programs", SPEC_TEXTS, false},
        {"self_check", SPEC_ANY, false},
        {"certificate", SPEC_TEXT, false}, /* for the domain, PEM */
        {"certificate_path", SPEC_PATH, false},
        {"copy", SPEC_PATH, false}, /* its key, of which the spec has the digest alone */
        {"copy_digest", SPEC_TEXT, false},
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        return spec_check(spec, fields, err);
}

/* ---- findings, a line each ---- */

static void add(struct buf *findings, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct buf *findings, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *text = str_vformat(format, ap);
        va_end(ap);
        buf_format(findings, "%s%s", findings->length ? "\n" : "", text);
}

static void check_domain(const json_t *spec, struct buf *findings)
{
        const char *domain = spec_text(spec, "domain", NULL), *address = spec_text(spec, "address", NULL);
        CLEANUP_ERR struct err *why = NULL;
        if (domain && address && net_check_name(domain, address, &why) < 0)
                add(findings, "%s", why->message);
}

/* A port is ours already when the journal says that we asked for it before. */
static void check_port(const json_t *spec, const struct recorded *recorded, const char *key, struct buf *findings)
{
        int64_t port = spec_whole(spec, key, 0);
        if (port < 1 || port > 65535)
                return;
        if (recorded && recorded->spec && spec_whole(recorded->spec, key, 0) == port)
                return;
        if (!net_port_is_free((int)port))
                add(findings,
                        "port %lld is in use by another program (`ss -ltnp 'sport = :%lld'` says which): end it, or "
                        "choose "
                        "another port",
                        (long long)port, (long long)port);
}

/* Free bytes for us where path is, or will be. */
static double free_space(const char *path)
{
        CLEANUP_FREE char *folder = str_copy(path);
        struct statvfs fs;
        while (statvfs(folder, &fs) < 0) {
                char *slash = strrchr(folder, '/');
                if (!slash || slash == folder)
                        return statvfs("/", &fs) < 0 ? -1 : (double)fs.f_bavail * (double)fs.f_frsize;
                *slash = '\0';
        }
        return (double)fs.f_bavail * (double)fs.f_frsize;
}

static double memory_line(const char *text, const char *name)
{
        const char *line = strstr(text, name);
        unsigned long long kilobytes;
        return line && sscanf(line + strlen(name), ": %llu kB", &kilobytes) == 1 ? (double)kilobytes * 1024 : -1;
}

/* Only before the first apply: afterwards what is used is used by us. */
static void check_sizes(const struct kind_ctx *ctx, const json_t *spec, struct buf *findings)
{
        double disk = spec_number(spec, "disk_gb", 0), memory = spec_number(spec, "memory_gb", 0);
        double space = free_space(ctx->state_dir);
        if (space >= 0 && space < disk * GB)
                add(findings,
                        "%.1f GB are free for the state folder %s, and %g GB are needed: free some, or choose another "
                        "folder with --state",
                        space / GB, ctx->state_dir, disk);
        CLEANUP_FREE char *text = NULL;
        if (memory <= 0 || file_read("/proc/meminfo", TEXT_MAX, &text, NULL, NULL) < 0)
                return;
        double total = memory_line(text, "MemTotal"), available = memory_line(text, "MemAvailable");
        if (total >= 0 && total < memory * GB)
                add(findings, "this machine has %.1f GB of memory, and %g GB are needed", total / GB, memory);
        else if (available >= 0 && available < memory * GB)
                add(findings, "%.1f GB of memory are available, and %g GB are needed: end what uses the rest",
                        available / GB, memory);
}

static void check_root(const json_t *spec, struct buf *findings)
{
        static const struct {
                int number;
                const char *name, *what_for;
        } needed[] = {
                {CAP_CHOWN, "CAP_CHOWN", "files of users"},
                {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "files of users"},
                {CAP_FOWNER, "CAP_FOWNER", "files of users"},
                {CAP_KILL, "CAP_KILL", "ending users' servers"},
                {CAP_SETGID, "CAP_SETGID", "starting users' servers"},
                {CAP_SETUID, "CAP_SETUID", "starting users' servers"},
                {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", "ports below 1024"},
                {CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "mounting homes"},
        };
        if (!spec_bool(spec, "root", false))
                return;
        if (geteuid() != 0) {
                add(findings, "this must be run as root (sudo caas …)");
                return;
        }
        CLEANUP_FREE char *text = NULL;
        const char *line =
                file_read("/proc/self/status", TEXT_MAX, &text, NULL, NULL) < 0 ? NULL : strstr(text, "\nCapEff:");
        unsigned long long effective;
        if (!line || sscanf(line, "\nCapEff: %llx", &effective) != 1)
                return;
        for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
                if (!(effective >> needed[i].number & 1))
                        add(findings, "root lacks %s here (for %s): a container needs it granted", needed[i].name,
                                needed[i].what_for);
}

static void check_homes(const json_t *spec, struct buf *findings)
{
        if (!spec_bool(spec, "homes", false))
                return;
        CLEANUP_CLOSE int fd = open(LOOP_CONTROL, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                add(findings,
                        "loop devices, which homes are mounted with, cannot be had: %s: %s (`modprobe loop`; in a "
                        "container "
                        "give it the device)",
                        LOOP_CONTROL, strerrordesc_np(errno));
}

static bool has_word(const char *list, const char *word)
{
        size_t n = strlen(word);
        for (const char *p = list; (p = strstr(p, word)); p += n)
                if ((p == list || strchr(", \n", p[-1])) && (p[n] == '\0' || strchr(", \n", p[n])))
                        return true;
        return false;
}

/* Is there a control group hierarchy with this controller that can be written to? Version 1 or 2. */
static bool has_controller(const char *mounts, const char *controller)
{
        CLEANUP_FREE char *copy = str_copy(mounts);
        char *rest = NULL;
        for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char folder[512], type[64], options[1024];
                if (sscanf(line, "%*s %511s %63s %1023s", folder, type, options) != 3 || !has_word(options, "rw"))
                        continue;
                if (str_is(type, "cgroup") && has_word(options, controller))
                        return true;
                if (!str_is(type, "cgroup2"))
                        continue;
                CLEANUP_FREE char *path = file_join(folder, "cgroup.controllers");
                CLEANUP_FREE char *list = NULL;
                if (file_read(path, TEXT_MAX, &list, NULL, NULL) == 0 && has_word(list, controller))
                        return true;
        }
        return false;
}

static void check_limits(const json_t *spec, struct buf *findings)
{
        static const char *const controllers[] = {"memory", "cpu", "pids"};
        CLEANUP_FREE char *mounts = NULL;
        if (!spec_bool(spec, "limits", false) || file_read("/proc/self/mounts", MOUNTS_MAX, &mounts, NULL, NULL) < 0)
                return;
        for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++)
                if (!has_controller(mounts, controllers[i]))
                        add(findings,
                                "the control group controller \"%s\", which holds users to their sizes, is not there "
                                "or "
                                "read-only",
                                controllers[i]);
}

static void check_programs(const json_t *spec, struct buf *findings)
{
        static const char *const folders[] = {
                "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};
        char **programs = spec_texts(spec, "programs");
        for (char **program = programs; *program; program++) {
                bool found = (*program)[0] == '/' && access(*program, X_OK) == 0;
                for (size_t i = 0; i < sizeof folders / sizeof *folders && !found; i++) {
                        CLEANUP_FREE char *path = file_join(folders[i], *program);
                        found = (*program)[0] != '/' && access(path, X_OK) == 0;
                }
                if (!found)
                        add(findings, "the program %s is not installed", *program);
        }
        spec_free_texts(programs);
}

/* A certificate that was given, with its key: before it takes the place of one that is good. */
static void check_certificate(const struct kind_ctx *ctx, const json_t *spec, struct buf *findings)
{
        const char *certificate = spec_text(spec, "certificate", NULL), *key_path = spec_text(spec, "copy", NULL);
        if (!certificate || !key_path)
                return;
        char *key = NULL;
        size_t length = 0;
        CLEANUP_ERR struct err *err = NULL;
        if (file_read(key_path, TEXT_MAX, &key, &length, &err) < 0) {
                add(findings, "%s", err->message);
                return;
        }
        CLEANUP_FREE char *why = tls_explain_pair(
                certificate, key, spec_text(spec, "domain", ""), ctx->clock->wall_ms(ctx->clock) / 1000);
        mem_wipe_free(key, length);
        if (why)
                add(findings, "the certificate %s cannot be used: %s (key: %s)",
                        spec_text(spec, "certificate_path", "in the form"), why, key_path);
}

static int preflight(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        CLEANUP_BUF struct buf findings = BUF_INIT(TEXT_MAX);
        kind_progress(ctx, "looking at this machine");
        check_root(r->spec, &findings);
        check_domain(r->spec, &findings);
        check_port(r->spec, recorded, "port", &findings);
        check_port(r->spec, recorded, "http_port", &findings);
        if (!recorded)
                check_sizes(ctx, r->spec, &findings);
        check_homes(r->spec, &findings);
        check_limits(r->spec, &findings);
        check_programs(r->spec, &findings);
        check_certificate(ctx, r->spec, &findings);
        return findings.length ? err_set(err, ERR_INVALID, "%s", findings.data) : 0;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)ctx, (void)r, (void)recorded, (void)state, (void)ret_outputs, (void)err;
        return 0;
}

extern const struct kind kind_host_requirements;
const struct kind kind_host_requirements = {
        .name = "host.requirements",
        .check = check,
        .observe = nothing_observe,
        .compare = nothing_compare,
        .preflight = preflight,
        .apply = apply,
        .remove = nothing_remove,
};
