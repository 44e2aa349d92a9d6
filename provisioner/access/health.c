#include "access/health.h"

#include <string.h>
#include <sys/stat.h>

#include "access/access.h"
#include "access/claims.h"
#include "access/hub.h"
#include "access/membership.h"
#include "access/reach.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "client/home/home.h"
#include "kind/kind.h"

#define PYTHON        "/usr/bin/python3" /* the test needs its standard library and no more */
#define TIMEOUT_MS    (10 * 60 * 1000)
#define NOISE_MAX     4000
#define STOP_SECONDS  20
#define UNMOUNT_MS    10000
#define LEFT_BEHIND_S (60 * 60)

struct health {
        const struct health_options *options;
        json_t *row;
        json_t *hub, *identity; /* with secrets */
        char *user, *password;
        bool temporary;
        bool failed; /* a check that was not ok */
        size_t checks;
        struct buf noise; /* what the program said besides */
};

static void health_clear(struct health *health)
{
        kind_forget(health->hub);
        kind_forget(health->identity);
        json_decref(health->row);
        mem_wipe_free(health->password, health->password ? strlen(health->password) : 0);
        free(health->user);
        buf_clear(&health->noise);
}
#define CLEANUP_HEALTH __attribute__((cleanup(health_clear)))

static void tell(struct health *health, const json_t *check)
{
        health->checks++;
        if (!json_is_true(json_object_get(check, "ok")))
                health->failed = true;
        if (health->options->on_check)
                health->options->on_check(health->options->data, check);
}

static void tell_own(struct health *health, const char *name, int64_t began, const struct err *err, const char *message)
{
        struct clock *clock = clock_system();
        double seconds = (double)(clock->monotonic_ms(clock) - began) / 1000;
        json_auto_t *check = json_pack("{s:s, s:b, s:f, s:s}", "check", name, "ok", err == NULL, "seconds", seconds,
                "message", err ? err->message : message);
        if (check)
                tell(health, check);
}

/* ---- the account ---- */

static struct home_store store_of(const char *images, const char *mounts)
{
        return (struct home_store){.images = images, .mounts = mounts};
}

/* Homes of tests that were killed: they are not mounted, and an hour old. Their accounts went with a later test's. */
static void sweep_homes(const struct home_store *store)
{
        CLEANUP_HOMES struct homes homes = {0};
        struct clock *clock = clock_system();
        if (home_list(store, &homes, NULL) < 0)
                return;
        for (size_t i = 0; i < homes.count; i++) {
                struct stat st;
                CLEANUP_FREE char *image = str_format("%s/%s.xfs", store->images, homes.item[i].user);
                bool ours = str_starts(homes.item[i].user, MEMBERSHIP_TEMPORARY) && !homes.item[i].mounted;
                if (ours && stat(image, &st) == 0 && st.st_mtime + LEFT_BEHIND_S < clock->wall_ms(clock) / 1000)
                        home_delete(store, homes.item[i].user, 0, NULL);
        }
}

static int remove_claim(const struct health *health, struct err **err)
{
        struct kube_link *link = NULL;
        int r = reach_link(health->options->journal, health->options->cluster, &link, err);
        return r < 0 ? r
                     : claims_delete(
                               link, health->options->cluster, health->user, MEMBERSHIP_TEMPORARY, LEFT_BEHIND_S, err);
}

static int remove_home(const struct health *health, struct err **err)
{
        const struct health_options *o = health->options;
        if (reach_is_kubernetes(health->row))
                return remove_claim(health, err);
        CLEANUP_FREE char *images = str_format("%s/clusters/%s/homes/images", o->state_dir, o->cluster);
        CLEANUP_FREE char *mounts = str_format("%s/clusters/%s/homes/mounts", o->state_dir, o->cluster);
        struct home_store store = store_of(images, mounts);
        int r = home_unmount(&store, health->user, UNMOUNT_MS, true, err);
        if (r == 0)
                r = home_delete(&store, health->user, UNMOUNT_MS, err);
        sweep_homes(&store);
        return r;
}

/* Keeps the first error, goes on with the rest. */
static void note(struct err **first, int result, struct err *err)
{
        if (result < 0 && !*first)
                *first = err;
        else
                err_free(err);
}

/* Without the cancel flag: it may be raised already, and that is when this is needed most. Each part has its own limit.
 */
static void clean_up(struct health *health)
{
        struct clock *clock = clock_system();
        int64_t began = clock->monotonic_ms(clock);
        CLEANUP_ERR struct err *first = NULL;
        struct err *err = NULL;
        if (!health->temporary) {
                note(&first, hub_stop_server(health->hub, NULL, health->user, STOP_SECONDS, &err), err);
                if (first)
                        tell_own(health, "leave", began, first, NULL);
                return;
        }
        note(&first, hub_revoke_all(health->hub, NULL, health->user, &err), err);
        err = NULL;
        note(&first, membership_user_remove(health->identity, health->user, &err), err);
        err = NULL;
        note(&first, hub_delete_user(health->hub, NULL, health->user, &err), err);
        err = NULL;
        note(&first, remove_home(health, &err), err);
        tell_own(health, "leave", began, first, "the account, its home and all it ran are gone");
}

static int make_account(struct health *health, struct err **err)
{
        const struct health_options *o = health->options;
        struct clock *clock = clock_system();
        int64_t began = clock->monotonic_ms(clock);
        if (o->user) {
                health->user = str_copy(o->user);
                health->password = str_copy(o->password);
                return 0;
        }
        int r = membership_temporary(health->identity, &health->user, &health->password, err);
        if (r < 0)
                return err_prefix(err, "cannot make a temporary account");
        health->temporary = true;
        tell_own(health, "account", began, NULL, "a temporary account is in the directory and in the group of users");
        return 0;
}

/* ---- the program ---- */

static void on_line(void *data, const char *line)
{
        struct health *health = data;
        json_auto_t *check = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_string(json_object_get(check, "check")))
                tell(health, check);
        else
                buf_format(&health->noise, "%s\n", line);
}

static char *program_input(const struct health *health)
{
        const struct health_options *o = health->options;
        json_auto_t *input = json_pack("{s:O, s:O, s:s, s:s, s:i}", "url", json_object_get(health->hub, "url"), "ca",
                json_object_get(health->hub, "ca"), "user", health->user, "password", health->password, "workers",
                o->workers);
        /* A name that was made of the balancer's address needs no DNS to be tested. */
        const char *connect = json_string_value(json_object_get(health->hub, "connect"));
        const char *address = o->address ? o->address : connect;
        const json_t *dask = json_object_get(json_object_get(health->row, "form"), "dask");
        if (input && address && *address)
                json_object_set_new(input, "address", json_string(address));
        if (input && dask)
                json_object_set_new(input, "dask", json_deep_copy(dask));
        return input ? json_dumps(input, JSON_COMPACT) : NULL;
}

static int run_program(struct health *health, struct err **err)
{
        const char *python = json_string_value(json_object_get(health->hub, "python"));
        const char *program = json_string_value(json_object_get(health->hub, "health"));
        char *input = program_input(health);
        if (!python)
                python = PYTHON;
        if (!program || !input) {
                mem_wipe_free(input, input ? strlen(input) : 0);
                return err_set(err, ERR_INVALID, "hub/access has no url or health");
        }
        const char *const argv[] = {python, "-u", program, NULL};
        struct proc_spec spec = {
                .argv = argv,
                .clean_env = true,
                .input = input,
                .input_length = strlen(input),
                .timeout_ms = TIMEOUT_MS,
                .cancel = health->options->cancel,
                .on_line = on_line,
                .data = health,
                .new_session = true,
        };
        CLEANUP_PROC struct proc_result result = {0};
        int r = proc_run(&spec, &result, err);
        mem_wipe_free(input, strlen(input));
        if (r == -ERR_CANCELLED && err) {
                *err = err_free(*err);
                return err_set(err, ERR_CANCELLED, "the test was stopped");
        }
        if (r < 0)
                return r;
        if (result.status != 0 && !health->failed)
                return err_set(err, ERR_FAILED, "the test program ended with status %d: %s", result.status,
                        health->noise.length ? str_trim(health->noise.data) : "it said nothing");
        return 0;
}

int health_run(const struct health_options *options, bool *ret_ok, struct err **err)
{
        CLEANUP_HEALTH struct health health = {.options = options, .noise = BUF_INIT(NOISE_MAX)};
        int r = journal_cluster(options->journal, options->cluster, &health.row, err);
        if (r == 0)
                r = access_read(options->journal, options->cluster, "hub", &health.hub, err);
        if (r == 0)
                r = access_read(options->journal, options->cluster, "identity", &health.identity, err);
        if (r == 0 && !options->user && !json_is_true(json_object_get(health.identity, "embedded")))
                r = err_set(
                        err, ERR_REFUSED, "the accounts of %s are not ours to make: say who tests", options->cluster);
        if (r == 0)
                r = make_account(&health, err);
        if (r < 0)
                return r;
        r = run_program(&health, err);
        clean_up(&health);
        if (r == 0)
                *ret_ok = !health.failed;
        return r;
}
