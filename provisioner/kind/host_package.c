/* host.package: Debian packages. What is missing is installed, nothing is ever removed.
 *
 * A package must not start its own service: it would take our ports, and at the next boot again. So for the time of the
 * installation services are not started (policy-rc.d, Debian's own way), and units and init scripts that newly
 * installed packages have enabled are disabled. What was installed before stays as its owner wants it.
 *
 * `mask` names units of packages that would listen on every address. Those of a package that is not there yet are
 * masked before it is, and until it is disabled: also where this run is cut off in between, or where somebody's
 * policy-rc.d allows what ours does not, such a service never starts. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "client/service/service.h"
#include "kind/kind.h"
#include "kind/nothing.h"
#include "kind/spec.h"
#include "kind/tool.h"

#define STATUS      "/var/lib/dpkg/status"
#define STATUS_MAX  (64UL * 1024 * 1024)
#define POLICY      "/usr/sbin/policy-rc.d"
#define POLICY_TEXT "#!/bin/sh\n# caas: services of packages that are being installed are not started\nexit 101\n"
#define LOCK        "/usr/sbin" /* where that is */
#define LISTS       "/var/lib/apt/lists"
#define LISTS_OLD_S (24 * 3600)
#define APT_MS      (30 * 60 * 1000)
#define ARGS_MAX    128
#define UNIT_FOLDER "/lib/systemd/system/"
#define MASKS       "/etc/systemd/system"
#define INIT_FOLDER "/etc/init.d/"

static const struct spec_field fields[] = {
        {"packages", SPEC_TEXTS, true},
        {"mask", SPEC_TEXTS, false},
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        int result = spec_check(spec, fields, err);
        size_t i;
        json_t *item;
        if (result < 0)
                return result;
        json_array_foreach (json_object_get(spec, "packages"), i, item) {
                const char *name = json_string_value(item);
                if (name && !spec_is_open(item) &&
                        (!*name || *name == '-' ||
                                strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+.-") != strlen(name)))
                        return err_set(err, ERR_INVALID, "\"%s\" is no name of a package", name);
        }
        json_array_foreach (json_object_get(spec, "mask"), i, item) {
                const char *name = json_string_value(item);
                if (name && !spec_is_open(item) && (strchr(name, '/') || !str_ends(name, ".service")))
                        return err_set(err, ERR_INVALID, "\"%s\" is no name of a service's unit", name);
        }
        return 0;
}

/* ---- what is installed: dpkg's own file, read once as long as it does not change ---- */

static pthread_mutex_t status_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
        json_t *installed; /* {"name": true} */
        struct timespec changed;
} status_cache;

/* "Status: install ok installed": wanted, whole, there. One whose triggers are still to be run is there, too. */
static bool says_installed(const char *line, size_t n)
{
        static const char *const there[] = {"install ok installed", "hold ok installed", "install ok triggers-awaited",
                "hold ok triggers-awaited", "install ok triggers-pending", "hold ok triggers-pending"};
        if (!str_starts(line, "Status: "))
                return false;
        for (size_t i = 0; i < sizeof there / sizeof *there; i++)
                if (strlen(there[i]) == n - 8 && str_starts(line + 8, there[i]))
                        return true;
        return false;
}

static json_t *parse_status(const char *text)
{
        json_t *installed = json_object();
        char name[256] = "";
        for (const char *line = text; *line;) {
                size_t n = strcspn(line, "\n");
                if (strncmp(line, "Package: ", 9) == 0 && n - 9 < sizeof name) {
                        memcpy(name, line + 9, n - 9);
                        name[n - 9] = '\0';
                } else if (says_installed(line, n)) {
                        json_object_set_new(installed, name, json_true());
                }
                line += n + (line[n] == '\n');
        }
        return installed;
}

/* New reference. */
static int installed_packages(json_t **ret, struct err **err)
{
        struct stat st;
        pthread_mutex_lock(&status_mutex);
        int result = 0;
        bool fresh = stat(STATUS, &st) == 0 && status_cache.installed &&
                     st.st_mtim.tv_sec == status_cache.changed.tv_sec &&
                     st.st_mtim.tv_nsec == status_cache.changed.tv_nsec;
        if (!fresh) {
                CLEANUP_FREE char *text = NULL;
                result = file_read(STATUS, STATUS_MAX, &text, NULL, err);
                if (result == 0) {
                        json_decref(status_cache.installed);
                        status_cache.installed = parse_status(text);
                        status_cache.changed = st.st_mtim;
                }
        }
        if (result == 0)
                *ret = json_deep_copy(status_cache.installed);
        pthread_mutex_unlock(&status_mutex);
        return result < 0 ? err_prefix(err, "this is no Debian") : 0;
}

/* Those of the spec that are installed (or that are not). New reference. */
static int select_packages(const json_t *spec, bool there, json_t **ret, struct err **err)
{
        json_auto_t *installed = NULL, *list = json_array();
        int result = installed_packages(&installed, err);
        size_t i;
        json_t *item;
        if (result < 0)
                return result;
        json_array_foreach (json_object_get(spec, "packages"), i, item)
                if (json_is_string(item) && (json_object_get(installed, json_string_value(item)) != NULL) == there)
                        json_array_append(list, item);
        *ret = json_incref(list);
        return 0;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)ctx;
        json_auto_t *list = NULL;
        int result = select_packages(r->spec, true, &list, err);
        if (result == 0)
                *ret_state = json_array_size(list) > 0 ? json_pack("{s:O}", "installed", list) : NULL;
        return result;
}

/* ---- installing ---- */

static void show(void *data, const char *line)
{
        if (str_starts(line, "Get:") || str_starts(line, "Unpacking ") || str_starts(line, "Setting up "))
                kind_progress(data, "apt: %.100s", line);
}

static int run_packager(struct kind_ctx *ctx, const char *const *argv, struct err **err)
{
        const char *env[] = {"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", NULL};
        struct proc_spec spec = {.argv = argv,
                .env = env,
                .timeout_ms = APT_MS,
                .cancel = ctx->cancel,
                .on_line = show,
                .data = ctx,
                .new_session = true};
        return proc_must(&spec, NULL, err);
}

/* apt refuses everything until what a power cut, a kill or somebody else's run has left half done is finished. */
static int finish_and_run(struct kind_ctx *ctx, const char *const *argv, struct err **err)
{
        static const char *const finish[] = {"dpkg", "--force-confdef", "--force-confold", "--configure", "-a", NULL};
        CLEANUP_ERR struct err *first = NULL;
        int result = run_packager(ctx, argv, &first);
        if (result == 0)
                return 0;
        if (!strstr(first->message, "dpkg --configure -a"))
                return err_set(err, first->code, "%s", first->message);
        kind_progress(ctx, "dpkg was interrupted: finishing what it had begun");
        result = run_packager(ctx, finish, err);
        return result < 0 ? result : run_packager(ctx, argv, err);
}

static int apt(struct kind_ctx *ctx, const char *const *words, struct err **err)
{
        /* Configuration that somebody has written where a package would put its own stays. */
        static const char *const options[] = {"apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o",
                "Dpkg::Use-Pty=0", "-o", "DPkg::Options::=--force-confdef", "-o", "DPkg::Options::=--force-confold"};
        const char *argv[ARGS_MAX + sizeof options / sizeof *options + 1] = {NULL};
        memcpy(argv, options, sizeof options);
        for (size_t i = 0; i < ARGS_MAX && words[i]; i++)
                argv[sizeof options / sizeof *options + i] = words[i];
        return finish_and_run(ctx, argv, err);
}

static int install(struct kind_ctx *ctx, const json_t *missing, struct err **err)
{
        const char *words[ARGS_MAX + 1] = {"install", "--no-install-recommends"};
        size_t n = 2, i;
        json_t *item;
        json_array_foreach ((json_t *)missing, i, item)
                if (n < ARGS_MAX)
                        words[n++] = json_string_value(item);
        return apt(ctx, words, err);
}

static bool lists_are_old(void)
{
        struct stat st;
        return stat(LISTS "/partial", &st) < 0 || time(NULL) - st.st_mtime > LISTS_OLD_S;
}

static int update_and_install(struct kind_ctx *ctx, const json_t *missing, struct err **err)
{
        static const char *const update[] = {"update", NULL};
        bool updated = lists_are_old();
        int result = updated ? apt(ctx, update, err) : 0;
        CLEANUP_ERR struct err *first = NULL;
        if (result == 0)
                result = install(ctx, missing, updated ? err : &first);
        if (result == 0 || updated || result == -ERR_CANCELLED)
                return first ? err_set(err, first->code, "%s", first->message) : result;
        result = apt(ctx, update, err); /* lists that name files which are gone by now */
        return result < 0 ? result : install(ctx, missing, err);
}

/* ---- keeping their services from starting ---- */

static bool policy_is_ours(void)
{
        CLEANUP_FREE char *text = NULL;
        return file_read(POLICY, 65536, &text, NULL, NULL) == 0 && str_is(text, POLICY_TEXT);
}

static int hold_services(bool *ret_held, struct err **err)
{
        if (file_exists(POLICY) && !policy_is_ours()) { /* somebody else has decided that already */
                *ret_held = false;
                return 0;
        }
        *ret_held = true;
        return file_write_atomic(POLICY, POLICY_TEXT, strlen(POLICY_TEXT), 0755, (uid_t)-1, (gid_t)-1, err);
}

static bool is_mask(const char *path)
{
        char target[sizeof "/dev/null"];
        ssize_t length = readlink(path, target, sizeof target);
        return length == sizeof target - 1 && memcmp(target, "/dev/null", sizeof target - 1) == 0;
}

/* Does a package have a unit of this name here? */
static bool is_installed(const char *unit)
{
        CLEANUP_FREE char *merged = str_format("/usr%s%s", UNIT_FOLDER, unit);
        return file_exists(merged) || file_exists(merged + strlen("/usr"));
}

/* A mask is a link like systemd's own, made by hand: it shall be there before the unit is, and also where systemd is
 * not PID 1, or not yet. What is there already is its owner's. ret_ours: which were masked here. */
static int mask_units(const json_t *spec, json_t *ret_ours, struct err **err)
{
        size_t i;
        json_t *item;
        json_array_foreach (json_object_get(spec, "mask"), i, item) {
                CLEANUP_FREE char *path = file_join(MASKS, json_string_value(item));
                if (is_installed(json_string_value(item)))
                        continue;
                int result = file_make_dirs(MASKS, 0755, err);
                if (result < 0)
                        return result;
                if (symlink("/dev/null", path) == 0)
                        json_array_append(ret_ours, item);
                else if (errno != EEXIST)
                        return err_set_errno(err, errno, "cannot mask %s", json_string_value(item));
        }
        return 0;
}

/* disabled: those whose package is there have been. Otherwise their masks stay. */
static void unmask_units(const json_t *ours, bool disabled)
{
        size_t i;
        json_t *item;
        json_array_foreach ((json_t *)ours, i, item) {
                CLEANUP_FREE char *path = file_join(MASKS, json_string_value(item));
                if ((disabled || !is_installed(json_string_value(item))) && is_mask(path))
                        unlink(path);
        }
}

static void run_quietly(struct kind_ctx *ctx, const char *const *argv)
{
        struct proc_spec spec = {.argv = argv, .timeout_ms = 60000, .cancel = ctx->cancel, .new_session = true};
        CLEANUP_PROC struct proc_result result = {0};
        proc_run(&spec, &result, NULL); /* one that cannot be disabled was not enabled */
}

/* One of the same name that somebody has written stands above the package's, and goes on as it is. */
static bool is_administrators(const char *unit)
{
        CLEANUP_FREE char *path = file_join(MASKS, unit);
        CLEANUP_FREE char *local = file_join("/usr/local/lib/systemd/system", unit);
        return (file_exists(path) && !is_mask(path)) || file_exists(local);
}

/* Disables the unit or the init script a line of a package's list names, if it is one and not a template. */
static void disable_service(struct kind_ctx *ctx, const char *file, bool systemd)
{
        const char *folder = strstr(file, UNIT_FOLDER);
        const char *unit = folder ? folder + strlen(UNIT_FOLDER) : NULL;
        if (systemd && unit && !strchr(unit, '/') && !strchr(unit, '@') && str_ends(unit, ".service") &&
                !is_administrators(unit))
                run_quietly(ctx, (const char *[]){"systemctl", "disable", "--now", "--quiet", unit, NULL});
        if (!systemd && str_starts(file, INIT_FOLDER))
                run_quietly(ctx, (const char *[]){"update-rc.d", file + strlen(INIT_FOLDER), "disable", NULL});
}

static void disable_services(struct kind_ctx *ctx, const json_t *packages)
{
        size_t i;
        json_t *item;
        bool systemd = service_driver() == &service_systemd;
        json_array_foreach ((json_t *)packages, i, item) {
                CLEANUP_FREE char *path = str_format("/var/lib/dpkg/info/%s.list", json_string_value(item));
                CLEANUP_FREE char *text = NULL;
                if (file_read(path, STATUS_MAX, &text, NULL, NULL) < 0)
                        continue;
                char *rest = NULL;
                for (char *file = strtok_r(text, "\n", &rest); file; file = strtok_r(NULL, "\n", &rest))
                        disable_service(ctx, file, systemd);
        }
}

/* Installs what is missing, so that nothing of it runs, now or after the next boot. */
static int install_quietly(struct kind_ctx *ctx, const json_t *spec, const json_t *missing, struct err **err)
{
        json_auto_t *masked = json_array();
        bool held = false;
        int result = mask_units(spec, masked, err);
        if (result == 0)
                result = hold_services(&held, err);
        if (result < 0)
                return result;
        result = update_and_install(ctx, missing, err);
        if (result == 0)
                disable_services(ctx, missing);
        unmask_units(masked, result == 0);
        if (held) {
                int removed = file_remove(POLICY, result < 0 ? NULL : err);
                result = result < 0 ? result : removed;
        }
        return result;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state, (void)ret_outputs;
        json_auto_t *missing = NULL;
        /* Also against the runs of other clusters: what they keep services from starting with would be taken away. */
        CLEANUP_CLOSE int lock = tool_lock(ctx, LOCK, err);
        if (lock < 0)
                return lock;
        int result = select_packages(r->spec, false, &missing, err);
        if (result == 0 && policy_is_ours())
                result = file_remove(POLICY, err); /* of a run that was cut off */
        if (result < 0 || json_array_size(missing) == 0)
                return result;
        return install_quietly(ctx, r->spec, missing, err);
}

extern const struct kind kind_host_package;
const struct kind kind_host_package = {
        .name = "host.package",
        .lock = "apt",
        .retries = 1,
        .check = check,
        .observe = observe,
        .apply = apply,
        .remove = nothing_remove, /* packages stay: somebody else may have come to rely on them */
};
