/* A whole life of a cluster with the real journal, roles, plan, engine and kinds, but for what needs more than files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <cmocka.h>

#include "access/access.h"
#include "access/session.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"

static const char ROLE[] =
        "name: note\n"
        "secrets: [{name: note/token, bytes: 16}]\n"
        "targets:\n"
        "  host:\n"
        "    - {id: note/dir, kind: host.directory, spec: {path: \"${cluster.dir}/note\", mode: \"0755\"}}\n"
        "    - id: note/file\n"
        "      kind: host.file\n"
        "      spec: {path: \"${note/dir.path}/cpus\", mode: \"0600\", json: {cpus: \"${form.notebook.cpus}\", token: "
        "\"${secret.note/token}\"}}\n"
        "    - id: note/access\n"
        "      kind: value\n"
        "      spec: {url: \"http://${cluster.name}/\", token: \"${secret.note/token}\", text: \"a "
        "${secret.note/token} b\"}\n";

struct place {
        char root[40];
        char *state, *data, *form;
        struct session_options options;
        size_t events;
};

static void write_text(const char *path, const char *text)
{
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
}

static void count_event(void *data, const struct event *event)
{
        (void)event;
        ((struct place *)data)->events++;
}

static int setup(void **state)
{
        struct place *p = mem_zero(sizeof *p);
        strcpy(p->root, "/tmp/caas-session-XXXXXX");
        assert_non_null(mkdtemp(p->root));
        p->state = file_join(p->root, "state");
        p->data = file_join(p->root, "data");
        p->form = file_join(p->root, "form.yaml");
        CLEANUP_FREE char *role = str_format("%s/roles/note", p->data);
        CLEANUP_FREE char *file = str_format("%s/role.yaml", role);
        assert_int_equal(file_make_dirs(role, 0755, NULL), 0);
        write_text(file, ROLE);
        p->options = (struct session_options){.state_dir = p->state,
                .cache_dir = p->root,
                .data_dir = p->data,
                .libexec_dir = p->root,
                .passwd = "/dev/null",
                .version = "test",
                .on_event = count_event,
                .event_data = p};
        *state = p;
        return 0;
}

static int teardown(void **state)
{
        struct place *p = *state;
        file_remove_tree(p->root, NULL);
        free(p->state), free(p->data), free(p->form), free(p);
        return 0;
}

static void write_form(const struct place *p, const char *cpus, const char *more)
{
        CLEANUP_FREE char *text = str_format("cluster: lab\nnotebook: {cpus: %s, ram: 1, storage: 1}\n"
                                             "domain: localhost\nexternal_ip: 127.0.0.1\n%s",
                cpus, more);
        write_text(p->form, text);
}

static struct session *opened(struct place *p, enum session_mode mode)
{
        struct session *session = NULL;
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_ERR struct err *err = NULL;
        if (session_open_form(&p->options, p->form, mode, &session, &diags, &err) < 0)
                fail_msg("%s; %s", err->message, diags.count ? diags.item[0].message : "no findings");
        return session;
}

/* Plans and runs; how many changes there were. */
static size_t applied(struct place *p)
{
        CLEANUP_SESSION struct session *session = opened(p, SESSION_CHANGE);
        CLEANUP_ERR struct err *err = NULL;
        const struct plan *plan;
        if (session_plan(session, false, &plan, &err) < 0 || session_run(session, "apply", &err) < 0)
                fail_msg("%s", err->message);
        return session_changes(plan);
}

/* What the last apply found changed by others. */
static int drift(const struct place *p)
{
        struct journal *journal = NULL;
        json_auto_t *cluster = NULL;
        assert_int_equal(journal_open(p->state, false, &journal, NULL), 0);
        assert_int_equal(journal_cluster(journal, "lab", &cluster, NULL), 0);
        journal_close(journal);
        return (int)json_integer_value(json_object_get(cluster, "drift"));
}

static size_t planned(struct place *p)
{
        CLEANUP_SESSION struct session *session = opened(p, SESSION_LOOK);
        const struct plan *plan;
        assert_int_equal(session_plan(session, false, &plan, NULL), 0);
        return session_changes(plan);
}

static void test_plan_leaves_nothing(void **state)
{
        struct place *p = *state;
        write_form(p, "1", "");
        setenv("TMPDIR", "/nonexistent", 1); /* nor is anything there while it looks: it may be killed */
        CLEANUP_SESSION struct session *session = opened(p, SESSION_LOOK);
        unsetenv("TMPDIR");
        const struct plan *plan;
        assert_int_equal(session_plan(session, false, &plan, NULL), 0);
        assert_int_equal(plan->create, 3);
        assert_true(session_first(session));
        assert_false(file_exists(p->state));
}

static void test_life(void **state)
{
        struct place *p = *state;
        write_form(p, "1", "");
        assert_int_equal(applied(p), 3);
        CLEANUP_FREE char *file = str_format("%s/clusters/lab/note/cpus", p->state);
        assert_true(file_exists(file));
        assert_int_equal(planned(p), 0);

        /* Nothing to do: nothing is written, not even a run. */
        p->events = 0;
        assert_int_equal(applied(p), 0);
        assert_true(p->events <= 2);

        /* What was changed from outside is seen, and put right. */
        write_text(file, "{}");
        assert_int_equal(planned(p), 1);
        assert_int_equal(drift(p), 0);
        assert_int_equal(applied(p), 1);
        assert_int_equal(drift(p), 1);
        assert_int_equal(planned(p), 0);
        assert_int_equal(applied(p), 0);
        assert_int_equal(drift(p), 0); /* it is as it was left */

        write_form(p, "2", "");
        assert_int_equal(applied(p), 1);
        CLEANUP_FREE char *text = NULL;
        assert_int_equal(file_read(file, 1000, &text, NULL, NULL), 0);
        assert_non_null(strstr(text, "2"));

        CLEANUP_SESSION struct session *session = NULL;
        const struct plan *plan;
        assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, NULL), 0);
        assert_int_equal(session_plan(session, true, &plan, NULL), 0);
        assert_int_equal(plan->remove, 3);
        assert_int_equal(session_run(session, "destroy", NULL), 0);
        assert_false(file_exists(file));
        session = session_close(session);

        /* Gone, but for what kept data would need; and it can come back, even with another fixed field. */
        write_form(p, "1", "port: 8443\n");
        assert_int_equal(applied(p), 3);
}

static void test_destroy_with_data_after_destroy(void **state)
{
        struct place *p = *state;
        write_form(p, "1", "");
        applied(p);
        CLEANUP_FREE char *home = str_format("%s/clusters/lab/homes/images", p->state);
        assert_int_equal(file_make_dirs(home, 0700, NULL), 0);
        for (int data = 0; data < 2; data++) {
                CLEANUP_SESSION struct session *session = NULL;
                const struct plan *plan;
                p->options.delete_data = data;
                assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, NULL), 0);
                assert_int_equal(session_plan(session, true, &plan, NULL), 0);
                assert_int_equal(session_run(session, "destroy", NULL), 0);
                assert_int_equal(file_exists(home), !data);
        }
        CLEANUP_SESSION struct session *session = NULL;
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, &err), -ERR_NOT_FOUND);
        assert_string_equal(
                err->message, "there is no cluster 'lab', and no other; another state folder is chosen with --state");
}

/* As an apply would have left a cluster on a Kubernetes that is away by now: nobody listens at that address. */
static void record_on_kubernetes(struct place *p)
{
        CLEANUP_FREE char *config = file_join(p->root, "kubeconfig"), *home = NULL;
        struct journal *journal = NULL;
        int64_t run;
        char *none[] = {NULL};
        write_text(config, "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters:\n  - {name: c, cluster: "
                           "{server: 'https://127.0.0.1:9'}}\nusers: [{name: u, user: {token: t}}]\ncontexts:\n  - "
                           "{name: x, context: {cluster: c, user: u}}\n");
        json_auto_t *form = json_pack("{s:s, s:s, s:{s:s, s:s}}", "cluster", "lab", "target", "kubernetes",
                "kubernetes", "kubeconfig", config, "namespace", "lab");
        json_auto_t *spec = json_object(), *outputs = json_pack("{s:s}", "cluster", "the-uid-of-then");
        const struct resource r = {(char *)"base/requirements", (char *)"kube.requirements", spec, none};
        assert_int_equal(journal_open(p->state, true, &journal, NULL), 0);
        assert_int_equal(journal_put_cluster(journal, "lab", "kubernetes", form, 1, NULL), 0);
        assert_int_equal(journal_run_begin(journal, "lab", "apply", 1, &run, NULL), 0);
        assert_int_equal(journal_step_intent(journal, run, "lab", &r, "create", NULL, 1, NULL), 0);
        assert_int_equal(journal_step_applied(journal, run, "lab", r.id, "d", spec, outputs, 0, 1, NULL), 0);
        assert_int_equal(journal_run_end(journal, run, "done", NULL, 2, NULL), 0);
        assert_int_equal(journal_put_secret(journal, "lab", "hub/cookie", "s3cret", NULL), 0);
        assert_int_equal(journal_mark_applied(journal, "lab", "test", 2, NULL), 0);
        journal_close(journal);
        home = str_format("%s/clusters/lab/ca", p->state);
        assert_int_equal(file_make_dirs(home, 0700, NULL), 0);
}

static void test_a_cluster_whose_kubernetes_is_gone(void **state)
{
        struct place *p = *state;
        CLEANUP_SESSION struct session *session = NULL;
        CLEANUP_ERR struct err *err = NULL, *none = NULL;
        CLEANUP_FREE char *why = NULL, *dir = str_format("%s/clusters/lab", p->state);
        record_on_kubernetes(p);
        assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, NULL), 0);
        if (session_gone(session, &why, &err) < 0)
                fail_msg("%s", err->message);
        assert_non_null(strstr(why, "127.0.0.1:9"));
        assert_int_equal(session_forget(session, NULL), 0);
        assert_false(file_exists(dir));
        json_auto_t *runs = NULL;
        char *secret = NULL;
        struct journal *journal = session_journal(session);
        assert_int_equal(journal_secret(journal, "lab", "hub/cookie", &secret, NULL), -ERR_NOT_FOUND);
        assert_int_equal(journal_history(journal, "lab", 0, &runs, NULL), 0);
        assert_string_equal(json_string_value(json_object_get(json_array_get(runs, 0), "command")), "forget");
        assert_string_equal(json_string_value(json_object_get(json_array_get(runs, 0), "outcome")), "done");
        session = session_close(session);
        assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, &none), -ERR_NOT_FOUND);
}

/* A kubeconfig that may not be read is no API server that refuses. */
static void test_a_kubeconfig_that_is_somebody_elses(void **state)
{
        struct place *p = *state;
        CLEANUP_SESSION struct session *session = NULL;
        CLEANUP_ERR struct err *err = NULL;
        CLEANUP_FREE char *why = NULL;
        record_on_kubernetes(p);
        assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, NULL), 0);
        setfsuid(65534); /* the folder is root's */
        int r = session_gone(session, &why, &err);
        setfsuid(0);
        assert_int_equal(r, 0);
        assert_non_null(strstr(why, "kubeconfig"));
}

static void test_what_is_on_this_machine_is_not_forgotten(void **state)
{
        struct place *p = *state;
        CLEANUP_SESSION struct session *session = NULL;
        CLEANUP_ERR struct err *err = NULL;
        CLEANUP_FREE char *why = NULL;
        write_form(p, "1", "");
        applied(p);
        assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, NULL), 0);
        assert_int_equal(session_gone(session, &why, &err), -ERR_INVALID);
        assert_non_null(strstr(err->message, "without --forget"));
}

static int open_result(struct place *p, enum session_mode mode, char **ret_finding, struct err **err)
{
        CLEANUP_SESSION struct session *session = NULL;
        CLEANUP_DIAGS struct diags diags = {0};
        int r = session_open_form(&p->options, p->form, mode, &session, &diags, err);
        *ret_finding = diags.count ? str_format("%d: %s", diags.item[0].line, diags.item[0].message) : NULL;
        return r;
}

static void test_refused_forms_change_nothing(void **state)
{
        struct place *p = *state;
        CLEANUP_FREE char *finding = NULL, *fixed = NULL;
        CLEANUP_ERR struct err *err = NULL, *late = NULL;
        write_form(p, "many", "");
        assert_int_equal(open_result(p, SESSION_CHANGE, &finding, &err), -ERR_INVALID);
        assert_true(str_starts(finding, "2: notebook.cpus: "));
        assert_true(str_ends(err->message, "form.yaml: 1 error; nothing was touched"));
        assert_false(file_exists(p->state));

        write_form(p, "1", "");
        applied(p);
        write_form(p, "1", "identity: {provider: embedded, admins: [admin]}\nwildcard_dns: example.org\n");
        assert_int_equal(open_result(p, SESSION_CHANGE, &fixed, &late), -ERR_REFUSED);
        assert_non_null(strstr(fixed, "wildcard_dns"));
        write_form(p, "1", "");
        assert_int_equal(planned(p), 0);
}

/* All of them at once, where the form names them. */
static void test_named_files(void **state)
{
        struct place *p = *state;
        CLEANUP_FREE char *good = file_join(p->root, "good");
        write_text(good, "x");
        write_form(p, "1",
                "tls:\n  mode: files\n  certificate: none.pem\n  key: data\n"
                "monitoring: {backup_stamp: not-yet}\n"
                "environments:\n  - {name: a, description: x, lock: good}\n  - name: b\n    description: y\n    lock: "
                "nolock.txt\n");
        for (enum session_mode mode = SESSION_LOOK; mode <= SESSION_CHANGE; mode++) {
                CLEANUP_SESSION struct session *session = NULL;
                CLEANUP_DIAGS struct diags diags = {0};
                CLEANUP_ERR struct err *err = NULL;
                assert_int_equal(session_open_form(&p->options, p->form, mode, &session, &diags, &err), -ERR_INVALID);
                assert_true(str_ends(err->message, "form.yaml: 3 errors; nothing was touched"));
                static const struct {
                        int line, column;
                        const char *begin, *end;
                } wanted[] = {{7, 16, "tls.certificate: cannot open /", "/none.pem: No such file or directory"},
                        {8, 8, "tls.key: /", "/data is a folder: write the file in it that is meant"},
                        {14, 11, "environments[1].lock: cannot open /", "/nolock.txt: No such file or directory"}};
                for (size_t i = 0; i < 3; i++) {
                        assert_int_equal(diags.item[i].line, wanted[i].line);
                        assert_int_equal(diags.item[i].column, wanted[i].column);
                        assert_true(str_starts(diags.item[i].message, wanted[i].begin));
                        assert_true(str_ends(diags.item[i].message, wanted[i].end));
                }
        }
}

static void test_lock(void **state)
{
        struct place *p = *state;
        write_form(p, "1", "");
        CLEANUP_SESSION struct session *first = opened(p, SESSION_CHANGE);
        assert_non_null(first);
        CLEANUP_FREE char *finding = NULL;
        CLEANUP_ERR struct err *err = NULL, *waited = NULL;
        assert_int_equal(open_result(p, SESSION_CHANGE, &finding, &err), -ERR_BUSY);
        assert_non_null(strstr(err->message, "apply"));
        assert_int_equal(planned(p), 3); /* looking is always possible */

        struct cancel *cancel = cancel_new();
        cancel_raise(cancel);
        p->options.wait = true;
        p->options.cancel = cancel;
        CLEANUP_FREE char *other = NULL;
        assert_int_equal(open_result(p, SESSION_CHANGE, &other, &waited), -ERR_CANCELLED);
        cancel_free(cancel);
}

/* The run of somebody else that holds the lock, and what it does before it ends. */
struct other {
        struct journal *journal;
        struct journal_lock *lock;
        bool forget;
        size_t waits;
};

static void end_other(void *data, const char *message)
{
        struct other *other = data;
        assert_non_null(strstr(message, "lab"));
        other->waits++;
        json_auto_t *form = json_pack("{s:s, s:s, s:s}", "cluster", "lab", "target", "host", "domain", "new.example");
        if (other->forget)
                assert_int_equal(journal_forget_cluster(other->journal, "lab", false, NULL), 0);
        else
                assert_int_equal(journal_put_cluster(other->journal, "lab", "host", form, 3, NULL), 0);
        other->lock = journal_unlock(other->lock);
}

static int no_sleep(struct clock *clock, int64_t ms, struct cancel *cancel)
{
        (void)clock, (void)ms, (void)cancel;
        return 0;
}

/* What waited for the lock goes on with what the one before left, not with what it read before. */
static void test_wait(void **state)
{
        struct place *p = *state;
        write_form(p, "1", "");
        applied(p);
        struct clock clock = *clock_system();
        clock.sleep_ms = no_sleep;
        struct other other = {0};
        assert_int_equal(journal_open(p->state, true, &other.journal, NULL), 0);
        p->options.clock = &clock;
        p->options.wait = true;
        p->options.on_event = NULL;
        p->options.on_wait = end_other;
        p->options.event_data = &other;

        assert_int_equal(journal_lock(other.journal, "lab", "apply", &other.lock, NULL), 0);
        CLEANUP_SESSION struct session *session = NULL;
        assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, NULL), 0);
        assert_int_equal(other.waits, 1);
        assert_string_equal(json_string_value(json_object_get(session_form(session), "domain")), "new.example");
        session = session_close(session);

        other.forget = true;
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(journal_lock(other.journal, "lab", "destroy", &other.lock, NULL), 0);
        assert_int_equal(session_open_cluster(&p->options, "lab", SESSION_CHANGE, &session, &err), -ERR_NOT_FOUND);
        assert_int_equal(other.waits, 2);
        assert_true(str_starts(err->message, "there is no cluster 'lab'"));
        journal_close(other.journal);
}

static void test_access_resolves_secrets(void **state)
{
        struct place *p = *state;
        write_form(p, "1", "");
        applied(p);
        struct journal *journal = NULL;
        assert_int_equal(journal_open(p->state, false, &journal, NULL), 0);
        char *token = NULL;
        assert_int_equal(journal_secret(journal, "lab", "note/token", &token, NULL), 0);
        json_t *shown = NULL, *full = NULL, *none = NULL;
        assert_int_equal(access_peek(journal, "lab", "note", &shown, NULL), 0);
        CLEANUP_FREE char *text = json_dumps(shown, 0);
        assert_null(strstr(text, token));
        assert_int_equal(access_read(journal, "lab", "note", &full, NULL), 0);
        assert_string_equal(json_string_value(json_object_get(full, "token")), token);
        CLEANUP_FREE char *joined = str_format("a %s b", token);
        assert_string_equal(json_string_value(json_object_get(full, "text")), joined);
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(access_read(journal, "lab", "hub", &none, &err), -ERR_NOT_FOUND);
        assert_string_equal(err->message, "the hub of lab is not ready: apply its form first");
        json_decref(shown);
        kind_forget(full);
        mem_wipe_free(token, strlen(token));
        journal_close(journal);
}

static void test_somebody_elses_folder(void **state)
{
        struct place *p = *state;
        write_form(p, "1", "");
        assert_int_equal(file_make_dirs(p->state, 0755, NULL), 0);
        CLEANUP_FREE char *precious = file_join(p->state, "precious");
        write_text(precious, "x");
        CLEANUP_FREE char *finding = NULL, *again = NULL;
        assert_int_equal(open_result(p, SESSION_CHANGE, &finding, NULL), -ERR_REFUSED);
        assert_int_equal(open_result(p, SESSION_LOOK, &again, NULL), -ERR_REFUSED);
        assert_true(file_exists(precious));
}

/* Another state folder of this host has a cluster of that name. */
static void test_a_name_of_another_state_folder(void **state)
{
        struct place *p = *state;
        write_form(p, "1", "");
        CLEANUP_FREE char *passwd = file_join(p->root, "passwd"), *theirs = file_join(p->root, "theirs/clusters/lab");
        CLEANUP_FREE char *line = str_format("caas-proxy-1:x:1:1:caas lab proxies:%s/proxy:/bin/false\n", theirs);
        write_text(passwd, line);
        assert_int_equal(file_make_dirs(theirs, 0755, NULL), 0);
        p->options.passwd = passwd;
        for (enum session_mode mode = SESSION_LOOK; mode <= SESSION_CHANGE; mode++) {
                CLEANUP_SESSION struct session *session = opened(p, mode);
                CLEANUP_ERR struct err *err = NULL;
                const struct plan *plan;
                assert_int_equal(session_plan(session, false, &plan, &err), -ERR_REFUSED);
                assert_non_null(strstr(err->message, "choose another name, or give --state"));
        }
        p->options.passwd = "/dev/null";
        assert_int_equal(applied(p), 3);
        p->options.passwd = passwd;
        assert_int_equal(planned(p), 0); /* what is ours already stays so */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_plan_leaves_nothing),
                T(test_life),
                T(test_destroy_with_data_after_destroy),
                T(test_a_cluster_whose_kubernetes_is_gone),
                T(test_a_kubeconfig_that_is_somebody_elses),
                T(test_what_is_on_this_machine_is_not_forgotten),
                T(test_refused_forms_change_nothing),
                T(test_named_files),
                T(test_lock),
                T(test_wait),
                T(test_access_resolves_secrets),
                T(test_somebody_elses_folder),
                T(test_a_name_of_another_state_folder),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
