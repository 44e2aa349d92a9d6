#include "access/session.h"

#include <stdlib.h>
#include <string.h>

#include "access/clusters.h"
#include "access/facts.h"
#include "access/greeting.h"
#include "access/kube_values.h"
#include "access/named_files.h"
#include "access/remains.h"
#include "access/runs.h"
#include "access/whose.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/engine.h"
#include "form/form.h"
#include "kind/table.h"
#include "role/role.h"

#define LOCK_WAIT_MS 500

struct session {
        struct session_options options;
        enum session_mode mode;
        char *cluster;
        json_t *form;   /* wanted */
        json_t *stored; /* the journal's row, or NULL */
        struct journal *journal;
        struct journal_lock *lock;
        struct resources desired;
        struct role_secrets secrets;
        struct greeting *greeting;
        struct kube_link *link; /* of the engine; NULL = the target is no Kubernetes */
        struct engine *engine;
        struct plan plan;
        bool planned, destroy;
};

static const char *target_of(const struct session *session)
{
        const char *target = json_string_value(json_object_get(session->form, "target"));
        return target ? target : "host";
}

/* NULL where the target is none. */
static const json_t *kubernetes_of(const struct session *session)
{
        return str_is(target_of(session), "kubernetes") ? json_object_get(session->form, "kubernetes") : NULL;
}

/* What others see of it, and what threads of it there are. */
static void end(struct session *session)
{
        kube_link_free(session->link);
        greeting_end(session->greeting, NULL, NULL);
        role_secrets_clear(&session->secrets);
        journal_unlock(session->lock);
        journal_close(session->journal);
}

void session_leave(struct session *session)
{
#ifdef __SANITIZE_ADDRESS__
        session_close(session);
#else
        end(session);
#endif
}

struct session *session_close(struct session *session)
{
        if (!session)
                return NULL;
        plan_clear(&session->plan);
        engine_free(session->engine);
        resources_clear(&session->desired);
        end(session);
        json_decref(session->form);
        json_decref(session->stored);
        free(session->cluster);
        free(session);
        return NULL;
}

const char *session_cluster(const struct session *session)
{
        return session->cluster;
}

const json_t *session_form(const struct session *session)
{
        return session->form;
}

struct journal *session_journal(const struct session *session)
{
        return session->journal;
}

static bool is_set(const json_t *stored, const char *key)
{
        return json_is_integer(json_object_get(stored, key));
}

bool session_first(const struct session *session)
{
        return !session->stored || !is_set(session->stored, "applied") || is_set(session->stored, "destroyed");
}

/* ---- the form ---- */

static int findings(const char *path, int result, const struct diags *diags, struct err **err)
{
        return err_set(err, result == -ERR_REFUSED ? ERR_REFUSED : ERR_INVALID, "%s: %zu %s; nothing was touched", path,
                diags->count, diags->count == 1 ? "error" : "errors");
}

static char *folder_of(const char *path)
{
        CLEANUP_FREE char *real = realpath(path, NULL);
        const char *slash = real ? strrchr(real, '/') : NULL;
        return slash ? str_copy_n(real, slash == real ? 1 : (size_t)(slash - real)) : str_copy(".");
}

int session_read_form(const char *path, const char *address, json_t **ret_form, struct tree **ret_tree,
        struct diags *diags, struct err **err)
{
        CLEANUP_FREE char *text = NULL, *found = NULL, *folder = NULL;
        size_t length;
        int r = file_read(path, TREE_BYTES_MAX, &text, &length, err);
        if (r == -ERR_NOT_FOUND)
                err_suffix(err, "'caas new' prints a form to fill in");
        if (r < 0)
                return r;
        if (!address) {
                found = facts_address();
                address = found;
        }
        json_t *form = NULL;
        r = form_read(text, length, &(struct form_facts){.address = address}, &form, ret_tree, diags);
        if (r < 0)
                return findings(path, r, diags, err);
        folder = folder_of(path);
        form_resolve_paths(form, folder);
        *ret_form = form;
        return 0;
}

/* ---- opening ---- */

static struct session *begin(const struct session_options *options, enum session_mode mode)
{
        struct session *session = mem_zero(sizeof *session);
        session->options = *options;
        session->mode = mode;
        if (!session->options.clock)
                session->options.clock = clock_system();
        return session;
}

static int open_journal(struct session *session, struct err **err)
{
        bool change = session->mode == SESSION_CHANGE;
        CLEANUP_ERR struct err *fault = NULL;
        int r = journal_open(session->options.state_dir, change, &session->journal, &fault);
        if (r == -ERR_NOT_FOUND && !change)
                return journal_open_blank(&session->journal, err); /* a look before the first apply */
        if (r < 0 && err)
                *err = STEAL(fault);
        return r;
}

static int take_lock(struct session *session, const char *command, struct err **err)
{
        const struct session_options *o = &session->options;
        for (bool said = false;; said = true) {
                CLEANUP_ERR struct err *fault = NULL;
                int r = journal_lock(session->journal, session->cluster, command, &session->lock, &fault);
                if (r == -ERR_BUSY && o->wait) {
                        if (!said && o->on_wait)
                                o->on_wait(o->event_data, fault->message);
                        r = o->clock->sleep_ms(o->clock, LOCK_WAIT_MS, o->cancel);
                        if (r < 0)
                                return err_set(err, ERR_CANCELLED, "stopped while waiting: %s", fault->message);
                        continue;
                }
                if (r < 0 && err)
                        *err = STEAL(fault);
                return r;
        }
}

static int read_stored(struct session *session, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = journal_cluster(session->journal, session->cluster, &session->stored, &fault);
        if (r < 0 && r != -ERR_NOT_FOUND) {
                if (err)
                        *err = STEAL(fault);
                return r;
        }
        return 0;
}

/* What ${…} may name in a role. */
static json_t *role_values(const struct session *session)
{
        const struct session_options *o = &session->options;
        CLEANUP_FREE char *dir = str_format("%s/clusters/%s", o->state_dir, session->cluster);
        return json_pack("{s:O, s:{s:s, s:s, s:s}, s:{s:s}, s:{s:s, s:s, s:s}, s:{s:b}}", "form", session->form,
                "cluster", "name", session->cluster, "dir", dir, "cache", o->cache_dir, "state", "dir", o->state_dir,
                "caas", "libexec", o->libexec_dir, "version", o->version, "data", o->data_dir, "host", "systemd",
                (int)facts_systemd());
}

static int add_kube_values(const struct session *session, json_t *values, struct err **err)
{
        json_t *kube = NULL;
        if (!kubernetes_of(session))
                return 0;
        int r = kube_values(session->options.data_dir, session->cluster, session->form, &kube, err);
        return r < 0 ? r : json_object_set_new(values, "kubernetes", kube);
}

static int make_engine(struct session *session, bool destroy, struct err **err)
{
        const struct session_options *o = &session->options;
        if (!destroy) {
                json_auto_t *values = role_values(session);
                int r = add_kube_values(session, values, err);
                if (r == 0)
                        r = role_load(
                                o->data_dir, target_of(session), values, &session->desired, &session->secrets, err);
                if (r < 0)
                        return r;
        }
        session->link = greeting_end(STEAL(session->greeting), kubernetes_of(session), o->cancel);
        struct engine_options engine = {
                .journal = session->journal,
                .cluster = session->cluster,
                .target = target_of(session),
                .state_dir = o->state_dir,
                .cache_dir = o->cache_dir,
                .data_dir = o->data_dir,
                .version = o->version,
                .form = destroy ? NULL : session->form,
                .stored = session->stored,
                .target_form = json_object_get(session->form, target_of(session)),
                .kube = session->link,
                .desired = destroy ? NULL : &session->desired,
                .secrets = destroy ? NULL : &session->secrets,
                .kinds = kind_table,
                .clock = o->clock,
                .cancel = o->cancel,
                .on_event = o->on_event,
                .event_data = o->event_data,
                .delete_data = o->delete_data,
                .force_conflicts = o->force_conflicts,
        };
        int r = engine_new(&engine, &session->engine, err);
        resources_clear(&session->desired); /* it has copies */
        return r;
}

/* The address that was found at the first apply stays the default, whatever the machine says today: it is a fixed
 * field. */
static const char *known_address(const struct session *session)
{
        if (!session->stored || is_set(session->stored, "destroyed"))
                return NULL;
        return json_string_value(json_object_get(json_object_get(session->stored, "form"), "external_ip"));
}

static int check_against_stored(struct session *session, const char *path, struct diags *diags, struct err **err)
{
        struct tree *tree = NULL;
        json_decref(session->form);
        session->form = NULL;
        int r = session_read_form(path, known_address(session), &session->form, &tree, diags, err);
        if (r < 0)
                return r;
        if (!str_is(json_string_value(json_object_get(session->form, "cluster")), session->cluster)) {
                r = err_set(err, ERR_INVALID, "%s changed while it was read", path);
        } else {
                if (session->stored && !is_set(session->stored, "destroyed"))
                        r = form_check_update(json_object_get(session->stored, "form"), session->form, tree, diags);
                int files = named_files_check(session->form, tree, diags);
                if (r == 0)
                        r = files;
                diags_sort(diags);
                if (r < 0)
                        r = findings(path, r, diags, err);
        }
        tree_free(tree);
        return r;
}

int session_open_form(const struct session_options *options, const char *path, enum session_mode mode,
        struct session **ret, struct diags *diags, struct err **err)
{
        CLEANUP_SESSION struct session *session = begin(options, mode);
        int r = session_read_form(path, NULL, &session->form, NULL, diags, err);
        if (r < 0)
                return r;
        session->cluster = str_copy(json_string_value(json_object_get(session->form, "cluster")));
        session->greeting = greeting_begin(kubernetes_of(session), options->cancel);
        r = open_journal(session, err);
        if (r == 0 && mode == SESSION_CHANGE)
                r = take_lock(session, "apply", err);
        if (r == 0)
                r = read_stored(session, err);
        if (r == 0)
                r = check_against_stored(session, path, diags, err);
        if (r < 0)
                return r;
        *ret = STEAL(session);
        return 0;
}

/* Looks before it takes the lock, which a name that is wrong shall not have, and again after it: whoever held the lock
 * may have changed the form, or ended the cluster. */
static int find_and_lock(struct session *session, struct err **err)
{
        json_auto_t *before = NULL;
        int r = clusters_find(session->journal, session->cluster, &before, err);
        if (r == 0 && session->mode == SESSION_CHANGE)
                r = take_lock(session, "destroy", err);
        return r < 0 ? r : clusters_find(session->journal, session->cluster, &session->stored, err);
}

int session_open_cluster(const struct session_options *options, const char *cluster, enum session_mode mode,
        struct session **ret, struct err **err)
{
        CLEANUP_SESSION struct session *session = begin(options, mode);
        session->cluster = str_copy(cluster);
        int r = journal_open(options->state_dir, false, &session->journal, err);
        if (r == 0)
                r = find_and_lock(session, err);
        if (r < 0)
                return r;
        session->form = json_incref(json_object_get(session->stored, "form"));
        *ret = STEAL(session);
        return 0;
}

/* ---- planning and running ---- */

static struct whose whose_of(const struct session *session)
{
        return (struct whose){.journal = session->journal,
                .cluster = session->cluster,
                .form = session->form,
                .link = session->engine ? session->link : NULL,
                .cancel = session->options.cancel};
}

/* Whether it is ours that would be changed. One that is not in the journal yet, or no more, has left nothing that runs.
 */
static int check_whose(const struct session *session, bool destroy, struct err **err)
{
        const struct session_options *o = &session->options;
        struct whose whose = whose_of(session);
        int r = session->stored ? whose_kubernetes(&whose, err) : 0;
        if (r < 0 || destroy || (session->stored && !is_set(session->stored, "destroyed")))
                return r;
        return str_is(target_of(session), "host")
                       ? whose_host_name(o->passwd ? o->passwd : "/etc/passwd", o->state_dir, session->cluster, err)
                       : whose_name(&whose, err);
}

int session_plan(struct session *session, bool destroy, const struct plan **ret, struct err **err)
{
        if (!session->planned) {
                int r = session->engine ? 0 : make_engine(session, destroy, err);
                if (r == 0)
                        r = check_whose(session, destroy, err);
                if (r == 0)
                        r = destroy ? engine_plan_destroy(session->engine, &session->plan, err)
                                    : engine_plan(session->engine, &session->plan, err);
                if (r < 0)
                        return r;
                session->planned = true;
                session->destroy = destroy;
        }
        *ret = &session->plan;
        return 0;
}

int session_adopt(struct session *session, struct adopted *ret, struct err **err)
{
        int r = make_engine(session, false, err);
        return r < 0 ? r : engine_adopt(session->engine, ret, err);
}

size_t session_changes(const struct plan *plan)
{
        return plan->create + plan->update + plan->replace + plan->remove + plan->refuse;
}

static void tell_kept(void *data, const char *text)
{
        struct session *session = data;
        struct event event = {.type = EVENT_KEPT, .cluster = session->cluster, .id = session->cluster, .text = text};
        if (session->options.on_event)
                session->options.on_event(session->options.event_data, &event);
}

/* `destroy --delete-data` also takes what an earlier `destroy` kept: by then no resource stands for it any more. */
static int remove_remains(struct session *session, struct err **err)
{
        CLEANUP_FREE char *dir = str_format("%s/clusters/%s", session->options.state_dir, session->cluster);
        int r = 0;
        if (kubernetes_of(session))
                r = remains_delete(
                        session->cluster, kubernetes_of(session), session->options.cancel, tell_kept, session, err);
        if (r == 0)
                r = file_remove_tree(dir, err);
        return r < 0 ? err_prefix(err, "removing the data that was kept") : 0;
}

/* A cluster that cannot be told is none the worse for it: it is told with the next run. */
static void tell_runs(struct session *session)
{
        CLEANUP_ERR struct err *err = NULL;
        if (runs_tell(session->journal, session->cluster, session->form, session->link, &err) == 0 ||
                err->code == ERR_CANCELLED)
                return;
        CLEANUP_FREE char *text =
                str_format("the dashboards do not know of this run before the next: %s", err->message);
        struct event event = {.type = EVENT_NOTICE, .cluster = session->cluster, .id = "monitoring/runs", .text = text};
        event.wall_ms = session->options.clock->wall_ms(session->options.clock);
        if (session->options.on_event)
                session->options.on_event(session->options.event_data, &event);
}

static int carry_out(struct session *session, const char *command, struct err **err)
{
        int r = 0;
        if (!session->destroy || session_changes(&session->plan)) {
                r = engine_apply(session->engine, &session->plan, command, err);
                bool ran = r == 0 || r == -ERR_FAILED || r == -ERR_CANCELLED, gone = r == 0 && session->destroy;
                if (ran && !gone)
                        tell_runs(session);
        }
        if (r == 0 && session->destroy && session->options.delete_data)
                r = remove_remains(session, err);
        if (r == 0 && session->destroy)
                r = journal_forget_cluster(session->journal, session->cluster, !session->options.delete_data, err);
        return r;
}

int session_run(struct session *session, const char *command, struct err **err)
{
        bool unchanged = session_changes(&session->plan) == 0 && !session_first(session) &&
                         json_equal(session->form, json_object_get(session->stored, "form"));
        if (!unchanged || session->destroy)
                return carry_out(session, command, err);
        /* nothing is written, but that what was drift is none any more */
        if (json_integer_value(json_object_get(session->stored, "drift")) <= 0)
                return 0;
        int r = journal_put_drift(session->journal, session->cluster, 0, err);
        if (r == 0)
                tell_runs(session);
        return r;
}

/* ---- forgetting ---- */

int session_gone(const struct session *session, char **ret_why, struct err **err)
{
        struct whose whose = whose_of(session);
        return whose_gone(&whose, ret_why, err);
}

int session_forget(struct session *session, struct err **err)
{
        const struct session_options *o = &session->options;
        CLEANUP_FREE char *dir = str_format("%s/clusters/%s", o->state_dir, session->cluster);
        int64_t run = 0, now = o->clock->wall_ms(o->clock);
        int r = journal_runs_close_dead(session->journal, session->cluster, now, err);
        if (r == 0)
                r = journal_run_begin(session->journal, session->cluster, "forget", now, &run, err);
        if (r == 0)
                r = file_remove_tree(dir, err);
        if (r == 0)
                r = journal_forget_cluster(session->journal, session->cluster, false, err);
        return r < 0 ? r : journal_run_end(session->journal, run, "done", NULL, o->clock->wall_ms(o->clock), err);
}
