/* host.service: a program that is kept running. The driver (systemd, runit) is chosen by the host.
 *
 * apply ends when the service answers. What a change needs, from least to most:
 *     nothing (only how we wait or stop) -> reload (only reload_revision) -> restart (anything else) */
#include <string.h>

#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "client/service/service.h"
#include "kind/place.h"
#include "kind/service_wait.h"
#include "kind/spec.h"
#include "tree/subst.h"

#define READY_SECONDS  60
#define STOP_SECONDS   10
#define RELOAD_SECONDS 60

static const struct spec_field fields[] = {
        {"name", SPEC_TEXT, true},
        {"command", SPEC_TEXTS, true},
        {"environment", SPEC_SCALARS, false},
        {"secrets", SPEC_SCALARS, false},
        {"user", SPEC_TEXT, false},
        {"group", SPEC_TEXT, false},
        {"directory", SPEC_PATH, false},
        {"revision", SPEC_ANY, false},
        {"reload", SPEC_TEXTS, false},
        {"reload_revision", SPEC_ANY, false},
        {"ready", SPEC_OBJECT, false},
        {"ready_seconds", SPEC_NUMBER, false},
        {"stop", SPEC_TEXT, false},
        {"stop_seconds", SPEC_WHOLE, false},
        {"delegate", SPEC_BOOL, false},
        {"capabilities", SPEC_TEXTS, false},
        {"limits", SPEC_OBJECT, false},
        {"restart_notice", SPEC_TEXT, false},
        {NULL, SPEC_ANY, false},
};

static const struct spec_field limit_fields[] = {{"nofile", SPEC_WHOLE, false}, {NULL, SPEC_ANY, false}};

static int check_parts(const json_t *spec, struct err **err)
{
        const json_t *ready = json_object_get(spec, "ready"), *limits = json_object_get(spec, "limits");
        if (ready && !spec_is_open(ready) && service_ready_check(ready, err) < 0)
                return err_prefix(err, "\"ready\"");
        if (limits && !spec_is_open(limits) && spec_check(limits, limit_fields, err) < 0)
                return err_prefix(err, "\"limits\"");
        return 0;
}

static int check(const json_t *spec, struct err **err)
{
        int result = spec_check(spec, fields, err);
        if (result == 0)
                result = check_parts(spec, err);
        if (result < 0)
                return result;
        const char *name = spec_text(spec, "name", "x");
        if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
                return err_set(err, ERR_INVALID, "\"name\" must be of a-z, 0-9 and _, not %s", name);
        const char *stop = spec_text(spec, "stop", "process");
        if (!str_is(stop, "process") && !str_is(stop, "group"))
                return err_set(err, ERR_INVALID, "\"stop\" must be process or group, not %s", stop);
        const json_t *command = json_object_get(spec, "command"), *first = json_array_get(command, 0);
        if (!spec_is_open(command) && !spec_is_open(first) &&
                (!json_is_string(first) || json_string_value(first)[0] != '/'))
                return err_set(err, ERR_INVALID, "\"command\" must begin with an absolute path");
        static const char *const open_to_all[] = {"command", "environment", "reload"};
        for (size_t i = 0; i < sizeof open_to_all / sizeof *open_to_all; i++)
                if (subst_has_marker(json_object_get(spec, open_to_all[i]), MARK_SECRET))
                        return err_set(err, ERR_INVALID,
                                "a secret in \"%s\" could be seen by others; \"secrets\" is its place", open_to_all[i]);
        return 0;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        const char *name = spec_text(r->spec, "name", NULL);
        if (!name) {
                *ret_state = NULL;
                return 0;
        }
        const struct service_driver *driver = service_driver();
        struct service_host host = service_host_of(ctx);
        struct service_status status;
        int result = driver->status(&host, name, &status, err);
        if (result < 0)
                return result;
        char definition[DIGEST_SIZE];
        driver->definition(&host, name, definition);
        *ret_state = status.installed ? json_pack("{s:b, s:b, s:s}", "running", status.running, "enabled",
                                                status.enabled, "definition", definition)
                                      : NULL;
        return 0;
}

enum step { STEP_NOTHING, STEP_RELOAD, STEP_RESTART, STEP_START };

static bool same_but(const json_t *a, const json_t *b, const char *const *keys)
{
        json_auto_t *x = json_copy((json_t *)a), *y = json_copy((json_t *)b);
        for (; *keys; keys++) {
                json_object_del(x, *keys);
                json_object_del(y, *keys);
        }
        return json_equal(x, y);
}

/* What has to be done to a service that is there. */
static enum step step_for(const json_t *spec, const struct recorded *recorded, const json_t *state)
{
        static const char *const harmless[] = {
                "ready", "ready_seconds", "stop", "stop_seconds", "restart_notice", NULL};
        static const char *const reloadable[] = {
                "ready", "ready_seconds", "stop", "stop_seconds", "restart_notice", "reload", "reload_revision", NULL};
        if (!state || !json_is_true(json_object_get(state, "running")))
                return STEP_START;
        if (!recorded || !recorded->complete || !recorded->spec || !recorded->state)
                return STEP_RESTART; /* cut off: it may run with the old definition */
        if (!json_equal(state, recorded->state))
                return STEP_RESTART;
        if (same_but(spec, recorded->spec, harmless))
                return STEP_NOTHING;
        bool can_reload = json_array_size(json_object_get(spec, "reload")) > 0;
        return can_reload && same_but(spec, recorded->spec, reloadable) ? STEP_RELOAD : STEP_RESTART;
}

static int compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        place_compare(r, recorded, state, "name", ret_change);
        if (ret_change->action == ACTION_UPDATE && recorded && recorded->complete && state &&
                !json_is_true(json_object_get(state, "running"))) {
                free(ret_change->reason);
                ret_change->reason = str_copy("not running");
        }
        const char *notice = spec_text(r->spec, "restart_notice", NULL);
        if (notice && ret_change->action == ACTION_UPDATE && step_for(r->spec, recorded, state) == STEP_RESTART)
                ret_change->notice = str_copy(notice);
        return 0;
}

/* What struct service borrows. */
struct parts {
        char **command, **env, **secrets, **capabilities, **reload;
};

static void parts_clear(struct parts *parts)
{
        spec_free_texts(parts->command);
        spec_free_texts(parts->env);
        spec_free_texts(parts->secrets);
        spec_free_texts(parts->capabilities);
        spec_free_texts(parts->reload);
}
#define CLEANUP_PARTS __attribute__((cleanup(parts_clear)))

static void read_spec(const json_t *spec, struct parts *parts, struct service *ret)
{
        *parts = (struct parts){.command = spec_texts(spec, "command"),
                .env = spec_assignments(json_object_get(spec, "environment")),
                .secrets = spec_assignments(json_object_get(spec, "secrets")),
                .capabilities = spec_texts(spec, "capabilities"),
                .reload = spec_texts(spec, "reload")};
        *ret = (struct service){.name = spec_text(spec, "name", ""),
                .command = (const char *const *)parts->command,
                .env = (const char *const *)parts->env,
                .secrets = (const char *const *)parts->secrets,
                .capabilities = (const char *const *)parts->capabilities,
                .user = spec_text(spec, "user", NULL),
                .group = spec_text(spec, "group", NULL),
                .directory = spec_text(spec, "directory", NULL),
                .stop_group = str_is(spec_text(spec, "stop", "process"), "group"),
                .stop_seconds = (int)spec_whole(spec, "stop_seconds", STOP_SECONDS),
                .delegate = spec_bool(spec, "delegate", false),
                .nofile = (long)spec_whole(json_object_get(spec, "limits"), "nofile", 0)};
}

/* The reload command gets the service's own environment. */
static int reload(struct kind_ctx *ctx, const struct service *service, char **command, struct err **err)
{
        size_t n = 0, count = 0;
        while (service->env[n])
                n++;
        while (service->secrets[count])
                count++;
        CLEANUP_FREE const char **env = mem_zero_array(n + count + 1, sizeof *env);
        memcpy(env, service->env, n * sizeof *env);
        memcpy(env + n, service->secrets, count * sizeof *env);
        struct proc_spec spec = {.argv = (const char *const *)command,
                .env = env,
                .clean_env = true,
                .directory = service->directory,
                .timeout_ms = RELOAD_SECONDS * 1000,
                .cancel = ctx->cancel,
                .new_session = true};
        int result = proc_must(&spec, NULL, err);
        return result < 0 ? err_prefix(err, "cannot reload service %s", service->name) : 0;
}

/* Takes the step. *begun is set to when the new program can have begun to write to its log. */
static int take(struct kind_ctx *ctx, const struct service_driver *driver, const struct service *service,
        char **reload_command, const json_t *ready, enum step step, int64_t *begun, struct err **err)
{
        struct service_host host = service_host_of(ctx);
        *begun = ctx->clock->wall_ms(ctx->clock);
        if (step == STEP_NOTHING)
                return 0;
        static const char *const doing[] = {"", "reloading", "restarting", "starting"};
        kind_progress(ctx, "%s %s", doing[step], service->name);
        if (step == STEP_RELOAD)
                return reload(ctx, service, reload_command, err);
        /* to start means to stop first as well: it may be one that keeps ending and coming back with what it had */
        int result = driver->stop(&host, service, err);
        if (result == 0 && ready)
                result = service_check_place(&host, service->name, ready, err);
        *begun = ctx->clock->wall_ms(ctx->clock);
        return result < 0 ? result : driver->start(&host, service, err);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        const struct service_driver *driver = service_driver();
        struct service_host host = service_host_of(ctx);
        json_t *resolved = NULL;
        int result = kind_resolve(ctx, r->spec, &resolved, err);
        if (result < 0)
                return result;
        CLEANUP_PARTS struct parts parts = {0};
        struct service service;
        read_spec(resolved, &parts, &service);
        const json_t *ready = json_object_get(resolved, "ready");
        enum step step = step_for(r->spec, recorded, state);
        int64_t begun = 0;
        result = driver->install(&host, &service, err);
        if (result == 0)
                result = take(ctx, driver, &service, parts.reload, ready, step, &begun, err);
        if (result == 0 && (ready || step == STEP_START || step == STEP_RESTART))
                result = service_wait_ready(ctx, driver, &host, service.name, ready,
                        spec_number(resolved, "ready_seconds", READY_SECONDS), begun, err);
        if (result == 0)
                *ret_outputs = json_pack("{s:s}", "name", service.name);
        kind_forget(resolved);
        return result;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded, (void)ret_kept;
        struct service_host host = service_host_of(ctx);
        CLEANUP_PARTS struct parts parts = {0};
        struct service service;
        read_spec(r->spec, &parts, &service);
        if (!*service.name)
                return 0;
        kind_progress(ctx, "stopping %s", service.name);
        return service_driver()->remove(&host, &service, err);
}

extern const struct kind kind_host_service;
const struct kind kind_host_service = {
        .name = "host.service",
        .check = check,
        .observe = observe,
        .compare = compare,
        .apply = apply,
        .remove = remove_it,
};
