/* Clusters, runs, steps and the inventory, through every state and every kill. */
#include "scratch.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAAS_JOURNAL_TEST_ALLOWED
#include "journal/journal_test.h"

static struct resource file_resource(const char *id, const char *path)
{
        struct resource r = {
                .id = str_copy(id), .kind = str_copy("host.file"), .spec = json_pack("{s:s}", "path", path)};
        r.needs = mem_zero_array(2, sizeof *r.needs);
        r.needs[0] = str_copy("hub/directory");
        return r;
}

static struct journal *with_cluster(const char *path, int64_t *ret_run)
{
        struct journal *journal = open_journal(path);
        json_t *form = json_pack("{s:s, s:{s:f}}", "cluster", "demo", "notebook", "cpus", 0.1);
        assert_done(journal_put_cluster(journal, "demo", "host", form, 1000, err));
        assert_done(journal_run_begin(journal, "demo", "apply", 2000, ret_run, err));
        json_decref(form);
        return journal;
}

static void assert_json(json_t *got, const char *wanted)
{
        json_t *w = json_loads(wanted, JSON_DECODE_ANY, NULL);
        assert_non_null(w);
        if (!json_equal(got, w)) {
                char *text = json_dumps(got, JSON_ENCODE_ANY);
                print_error("got: %s\nwanted: %s\n", text, wanted);
                free(text);
                fail();
        }
        json_decref(w);
        json_decref(got);
}

static void clusters(void **state)
{
        struct journal *journal = open_journal(*state);
        json_t *got = NULL, *form = json_pack("{s:s, s:f}", "cluster", "demo", "cpus", 0.1);
        assert_error(journal_cluster(journal, "demo", &got, err), ERR_NOT_FOUND, "no cluster demo");
        assert_error(journal_mark_applied(journal, "demo", "1.0", 1, err), ERR_NOT_FOUND, "no cluster demo");
        assert_done(journal_put_cluster(journal, "demo", "host", form, 10, err));
        assert_done(journal_put_cluster(journal, "able", "host", form, 20, err));
        assert_done(journal_put_cluster(journal, "demo", "host", form, 30, err));
        assert_done(journal_put_drift(journal, "demo", 3, err));
        assert_done(journal_put_drift(journal, "demo", 2, err));
        assert_done(journal_mark_applied(journal, "demo", "1.0", 40, err));
        assert_done(journal_cluster(journal, "demo", &got, err));
        assert_json(got, "{\"name\":\"demo\",\"target\":\"host\",\"form\":{\"cluster\":\"demo\",\"cpus\":0.1},"
                         "\"created\":10,\"applied\":40,"
                         "\"version\":\"1.0\",\"destroyed\":null,\"drift\":2}");
        assert_done(journal_clusters(journal, &got, err));
        assert_int_equal(json_array_size(got), 2);
        assert_string_equal(json_string_value(json_object_get(json_array_get(got, 0), "name")), "able");
        json_decref(got);

        int64_t run;
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", "abc", err));
        assert_done(journal_run_begin(journal, "demo", "destroy", 50, &run, err));
        assert_done(journal_forget_cluster(journal, "demo", true, err));
        assert_done(journal_run_end(journal, run, "done", NULL, 60, err));
        assert_done(journal_cluster(journal, "demo", &got, err));
        assert_json(got, "{\"name\":\"demo\",\"target\":\"host\",\"form\":{\"cluster\":\"demo\",\"cpus\":0.1},"
                         "\"created\":10,\"applied\":null,"
                         "\"version\":null,\"destroyed\":50,\"drift\":null}");
        assert_done(journal_secret_versions(journal, "demo", &got, err));
        assert_json(got, "{\"hub/cookie\":1}");

        assert_done(journal_put_cluster(journal, "demo", "host", form, 70, err));
        assert_done(journal_cluster(journal, "demo", &got, err));
        assert_int_equal(json_integer_value(json_object_get(got, "created")), 70);
        assert_true(json_is_null(json_object_get(got, "destroyed")));
        json_decref(got);
        assert_done(journal_forget_cluster(journal, "demo", false, err));
        assert_error(journal_cluster(journal, "demo", &got, err), ERR_NOT_FOUND, "no cluster demo");
        assert_done(journal_secret_versions(journal, "demo", &got, err));
        assert_json(got, "{}");
        assert_done(journal_history(journal, "demo", 0, &got, err));
        assert_int_equal(json_array_size(got), 1);
        json_decref(got);
        json_decref(form);
        journal_close(journal);
}

static struct journal_resource *only(struct journal *journal, struct journal_resources *list)
{
        journal_resources_clear(list);
        assert_done(journal_resources(journal, "demo", list, err));
        assert_int_equal(list->count, 1);
        return &list->item[0];
}

static const char *path_of(const json_t *spec)
{
        return json_string_value(json_object_get(spec, "path"));
}

static void life_of_a_resource(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run);
        struct resource first = file_resource("hub/config", "/a"), moved = file_resource("hub/config", "/b");
        struct journal_resources list = {0};
        json_t *outputs = NULL;

        assert_done(journal_step_intent(journal, run, "demo", &first, "create", NULL, 1, err));
        struct journal_resource *r = only(journal, &list);
        assert_false(r->complete);
        assert_string_equal(r->resource.kind, "host.file");
        assert_string_equal(path_of(r->resource.spec), "/a");
        assert_string_equal(path_of(r->pending), "/a");
        assert_string_equal(r->resource.needs[0], "hub/directory");
        assert_null(r->resource.needs[1]);
        assert_null(r->digest);
        assert_error(
                journal_outputs(journal, "demo", "hub/config", &outputs, err), ERR_NOT_FOUND, "no finished hub/config");

        json_t *s = json_pack("{s:s}", "digest", "d"), *o = json_pack("{s:s}", "path", "/a");
        assert_done(journal_step_applied(journal, run, "demo", first.id, "digest-a", s, o, 0, 2, err));
        r = only(journal, &list);
        assert_true(r->complete);
        assert_string_equal(r->digest, "digest-a");
        assert_null(r->pending);
        assert_null(r->pending_kind);
        assert_true(json_equal(r->state, s));
        assert_true(json_equal(r->outputs, o));
        assert_done(journal_outputs(journal, "demo", "hub/config", &outputs, err));
        assert_json(outputs, "{\"path\":\"/a\"}");

        /* The next apply is cut off: both what was and what may be are known. */
        free(moved.kind);
        moved.kind = str_copy("host.tree");
        assert_done(journal_step_intent(journal, run, "demo", &moved, "replace", "drift", 3, err));
        r = only(journal, &list);
        assert_false(r->complete);
        assert_string_equal(r->resource.kind, "host.file");
        assert_string_equal(path_of(r->resource.spec), "/a");
        assert_string_equal(r->digest, "digest-a");
        assert_true(json_equal(r->state, s));
        assert_string_equal(r->pending_kind, "host.tree");
        assert_string_equal(path_of(r->pending), "/b");
        assert_error(journal_outputs(journal, "demo", "hub/config", &outputs, err), ERR_NOT_FOUND, "no finished");
        assert_done(journal_step_failed(journal, run, "demo", "hub/config", "no such luck", 0, 4, err));
        assert_false(only(journal, &list)->complete);

        /* A removal that does not end keeps both, too. */
        assert_done(journal_step_intent(journal, run, "demo", &first, "remove", NULL, 5, err));
        r = only(journal, &list);
        assert_false(r->complete);
        assert_string_equal(path_of(r->resource.spec), "/a");
        assert_string_equal(path_of(r->pending), "/b");
        assert_done(journal_step_removed(journal, run, "demo", "hub/config", 0, 6, err));
        journal_resources_clear(&list);
        assert_done(journal_resources(journal, "demo", &list, err));
        assert_int_equal(list.count, 0);

        assert_done(journal_run_end(journal, run, "failed", "hub/config: no such luck", 7, err));
        json_t *history = NULL;
        assert_done(journal_history(journal, "demo", 1, &history, err));
        assert_json(history,
                "[{\"run\":1,\"command\":\"apply\",\"began\":2000,\"ended\":7,\"outcome\":\"failed\",\"message\":\"hub/"
                "config: no such luck\",\"steps\":["
                "{\"resource\":\"hub/"
                "config\",\"action\":\"create\",\"reason\":null,\"state\":\"done\",\"began\":1,\"ended\":2,\"message\":"
                "null},"
                "{\"resource\":\"hub/"
                "config\",\"action\":\"replace\",\"reason\":\"drift\",\"state\":\"failed\",\"began\":3,\"ended\":4,"
                "\"message\":\"no such "
                "luck\"},"
                "{\"resource\":\"hub/"
                "config\",\"action\":\"remove\",\"reason\":null,\"state\":\"done\",\"began\":5,\"ended\":6,\"message\":"
                "null}]}]");
        json_decref(s);
        json_decref(o);
        resource_clear(&first);
        resource_clear(&moved);
        journal_close(journal);
}

static void no_outputs_and_odd_text(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run);
        struct resource r = file_resource("hub/config", "/with 'quotes' and \xc3\xbc");
        assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
        assert_done(journal_step_applied(journal, run, "demo", r.id, "d", NULL, NULL, 0, 2, err));
        json_t *outputs = NULL;
        assert_done(journal_outputs(journal, "demo", "hub/config", &outputs, err));
        assert_json(outputs, "{}");
        struct journal_resources list = {0};
        struct journal_resource *item = only(journal, &list);
        assert_true(json_equal(item->resource.spec, r.spec));
        assert_null(item->state);
        assert_null(item->outputs);
        journal_resources_clear(&list);

        /* The log of a service may be in any encoding. */
        assert_done(journal_step_intent(journal, run, "demo", &r, "update", NULL, 3, err));
        assert_done(journal_step_failed(journal, run, "demo", "hub/config", "latin \xe4 one", 0, 4, err));
        json_t *history = NULL;
        assert_done(journal_history(journal, "demo", 0, &history, err));
        json_t *steps = json_object_get(json_array_get(history, 0), "steps");
        assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 1), "message")), "latin ? one");
        json_decref(history);
        resource_clear(&r);
        journal_close(journal);
}

static void failed_before_its_intent(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run);
        assert_done(journal_step_failed(journal, run, "demo", "hub/config", "cannot be looked at", 0, 3, err));
        struct journal_resources list = {0};
        assert_done(journal_resources(journal, "demo", &list, err));
        assert_int_equal(list.count, 0);
        json_t *history = NULL;
        assert_done(journal_history(journal, "demo", 0, &history, err));
        json_t *steps = json_incref(json_object_get(json_array_get(history, 0), "steps"));
        json_decref(history);
        assert_json(steps, "[{\"resource\":\"hub/"
                           "config\",\"action\":\"none\",\"reason\":null,\"state\":\"failed\",\"began\":3,\"ended\":3,"
                           "\"message\":\"cannot be looked at\"}]");
        journal_close(journal);
}

static void order_of_creation(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run);
        const char *const ids[] = {"z/1", "a/1", "m/1"};
        for (size_t i = 0; i < 3; i++) {
                struct resource r = file_resource(ids[i], "/a");
                assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
                assert_done(journal_step_applied(journal, run, "demo", r.id, "d", NULL, NULL, 0, 2, err));
                resource_clear(&r);
        }
        struct resource again = file_resource("z/1", "/b");
        assert_done(journal_step_intent(journal, run, "demo", &again, "update", NULL, 3, err));
        struct journal_resources list = {0};
        assert_done(journal_resources(journal, "demo", &list, err));
        assert_int_equal(list.count, 3);
        for (size_t i = 0; i < 3; i++)
                assert_string_equal(list.item[i].resource.id, ids[i]);
        assert_true(list.item[0].position < list.item[1].position && list.item[1].position < list.item[2].position);
        journal_resources_clear(&list);
        resource_clear(&again);
        journal_close(journal);
}

static void misuse(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run);
        struct resource r = file_resource("hub/config", "/a");
        assert_error(journal_step_applied(journal, run, "demo", r.id, "d", NULL, NULL, 0, 1, err), ERR_INVALID,
                "no step under way");
        assert_error(
                journal_step_removed(journal, run, "demo", "hub/config", 0, 1, err), ERR_INVALID, "no step under way");
        assert_error(journal_step_intent(journal, 999, "demo", &r, "create", NULL, 1, err), ERR_INVALID, "FOREIGN KEY");
        assert_error(
                journal_step_intent(journal, run, "nowhere", &r, "create", NULL, 1, err), ERR_INVALID, "FOREIGN KEY");
        assert_error(journal_run_end(journal, 999, "done", NULL, 1, err), ERR_NOT_FOUND, "no run 999");
        struct journal_resources list = {0};
        assert_done(journal_resources(journal, "demo", &list, err));
        assert_int_equal(list.count, 0);
        journal_resources_clear(&list);
        resource_clear(&r);
        journal_close(journal);
}

static void dead_runs(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run);
        struct resource r = file_resource("hub/config", "/a");
        assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
        journal_close(journal); /* and never a word again */

        journal = open_journal(*state);
        assert_done(journal_runs_close_dead(journal, "other", 8, err));
        assert_done(journal_runs_close_dead(journal, "demo", 9, err));
        json_t *history = NULL;
        assert_done(journal_history(journal, "demo", 0, &history, err));
        assert_json(history,
                "[{\"run\":1,\"command\":\"apply\",\"began\":2000,\"ended\":9,\"outcome\":\"interrupted\","
                "\"message\":null,\"steps\":["
                "{\"resource\":\"hub/"
                "config\",\"action\":\"create\",\"reason\":null,\"state\":\"interrupted\",\"began\":1,\"ended\":9,"
                "\"message\":null}]}]");
        resource_clear(&r);
        journal_close(journal);
}

static void history_is_bounded(void **state)
{
        struct journal *journal = open_journal(*state);
        int64_t run = 0, other;
        assert_done(journal_run_begin(journal, "other", "apply", 1, &other, err));
        for (int i = 0; i < JOURNAL_RUNS_KEPT + 5; i++)
                assert_done(journal_run_begin(journal, "demo", "apply", i, &run, err));
        json_t *history = NULL;
        assert_done(journal_history(journal, "demo", 0, &history, err));
        assert_int_equal(json_array_size(history), JOURNAL_RUNS_KEPT);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(history, 0), "run")), run);
        json_decref(history);
        assert_done(journal_history(journal, "demo", 3, &history, err));
        assert_int_equal(json_array_size(history), 3);
        json_decref(history);
        assert_done(journal_history(journal, "other", 0, &history, err));
        assert_int_equal(json_array_size(history), 1);
        json_decref(history);
        journal_close(journal);
}

static int story(struct journal *journal)
{
        struct resource r = file_resource("hub/config", "/a");
        json_t *form = json_object();
        int64_t run = 0;
        int result = journal_put_cluster(journal, "demo", "host", form, 1, NULL);
        if (result == 0)
                result = journal_run_begin(journal, "demo", "apply", 2, &run, NULL);
        if (result == 0)
                result = journal_step_intent(journal, run, "demo", &r, "create", NULL, 3, NULL);
        if (result == 0)
                result = journal_step_applied(journal, run, "demo", r.id, "d", NULL, NULL, 0, 4, NULL);
        if (result == 0)
                result = journal_run_end(journal, run, "done", NULL, 5, NULL);
        resource_clear(&r);
        json_decref(form);
        return result;
}

/* What is there after a kill at each write: all that came before it, and nothing after. */
static void killed_at_every_write(void **state)
{
        for (int at = 1; at <= 5; at++) {
                for (int after = 0; after <= 1; after++) {
                        char *path = str_format("%s/%d-%d", (char *)*state, at, after);
                        struct journal *journal = open_journal(path);
                        journal_test_kill(journal, at, after != 0);
                        assert_int_equal(story(journal), -ERR_CANCELLED);
                        json_t *list = NULL;
                        assert_error(journal_clusters(journal, &list, err), ERR_CANCELLED, "killed");
                        assert_int_equal(journal_test_writes(journal), at);
                        journal_close(journal);

                        journal = open_journal(path);
                        int kept = after ? at : at - 1; /* how many writes were kept */
                        struct journal_resources resources = {0};
                        assert_done(journal_resources(journal, "demo", &resources, err));
                        assert_int_equal(resources.count, kept >= 3);
                        if (kept >= 3)
                                assert_int_equal(resources.item[0].complete, kept >= 4);
                        journal_resources_clear(&resources);
                        assert_done(journal_history(journal, "demo", 0, &list, err));
                        assert_int_equal(json_array_size(list), kept >= 2);
                        if (kept >= 2)
                                assert_int_equal(
                                        json_is_null(json_object_get(json_array_get(list, 0), "ended")), kept < 5);
                        json_decref(list);
                        assert_int_equal(story(journal), 0);
                        journal_close(journal);
                        free(path);
                }
        }
}

/* kill -9 in earnest: what the child was told is done, is there. */
static void really_killed(void **state)
{
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        int64_t run;
        journal_close(with_cluster(*state, &run));
        pid_t pid = fork();
        if (pid == 0) {
                struct journal *journal = open_journal(*state);
                for (uint32_t i = 0;; i++) {
                        char id[32];
                        snprintf(id, sizeof id, "hub/%u", i);
                        struct resource r = file_resource(id, "/a");
                        if (journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, NULL) < 0 ||
                                write(pipes[1], &i, sizeof i) < 0)
                                _exit(1);
                        resource_clear(&r);
                }
        }
        uint32_t last = 0;
        while (last < 40)
                assert_int_equal(read(pipes[0], &last, sizeof last), sizeof last);
        kill(pid, SIGKILL);
        close(pipes[1]);
        while (read(pipes[0], &last, sizeof last) == sizeof last)
                ;
        int status;
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));
        close(pipes[0]);
        struct journal *journal = open_journal(*state);
        struct journal_resources list = {0};
        assert_done(journal_resources(journal, "demo", &list, err));
        assert_true(list.count >= last + 1 && list.count <= last + 2);
        journal_resources_clear(&list);
        journal_close(journal);
}

struct worker {
        struct journal *journal;
        int64_t run;
        int number, failures;
};

static void *work(void *data)
{
        struct worker *worker = data;
        for (int i = 0; i < 25; i++) {
                char id[32];
                snprintf(id, sizeof id, "hub/%d-%d", worker->number, i);
                struct resource r = file_resource(id, "/a");
                json_t *outputs = NULL;
                if (journal_step_intent(worker->journal, worker->run, "demo", &r, "create", NULL, 1, NULL) < 0 ||
                        journal_step_applied(worker->journal, worker->run, "demo", r.id, "d", NULL, NULL, 0, 2, NULL) <
                                0 ||
                        journal_outputs(worker->journal, "demo", id, &outputs, NULL) < 0)
                        worker->failures++;
                json_decref(outputs);
                resource_clear(&r);
        }
        return NULL;
}

/* Threads of one journal, and a second journal beside it as another process would have. */
static void threads(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run), *reader = open_journal(*state);
        pthread_t thread[4];
        struct worker worker[4];
        for (int i = 0; i < 4; i++) {
                worker[i] = (struct worker){.journal = i == 3 ? reader : journal, .run = run, .number = i};
                assert_int_equal(pthread_create(&thread[i], NULL, work, &worker[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
                pthread_join(thread[i], NULL);
                assert_int_equal(worker[i].failures, 0);
        }
        struct journal_resources list = {0};
        assert_done(journal_resources(reader, "demo", &list, err));
        assert_int_equal(list.count, 100);
        for (size_t i = 1; i < list.count; i++)
                assert_true(list.item[i].position > list.item[i - 1].position);
        journal_resources_clear(&list);
        journal_close(reader);
        journal_close(journal);
}

/* Several calls as one: all of it or nothing, also where a failure in the middle was not passed on. */
static void one_transaction(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run);
        struct resource r = file_resource("hub/config", "/a");
        struct journal_resources list = {0};
        json_t *cluster = NULL;
        int64_t writes = journal_test_writes(journal);
        assert_done(journal_begin(journal, err));
        assert_done(journal_put_drift(journal, "demo", 5, err));
        assert_done(journal_cluster(journal, "demo", &cluster, err)); /* reads what was just written */
        assert_int_equal(json_integer_value(json_object_get(cluster, "drift")), 5);
        json_decref(cluster);
        assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
        assert_done(journal_end(journal, 0, err));
        assert_int_equal(journal_test_writes(journal), writes + 1);
        assert_done(journal_resources(journal, "demo", &list, err));
        assert_int_equal(list.count, 1);

        for (int passed_on = 0; passed_on < 2; passed_on++) {
                assert_done(journal_begin(journal, err));
                assert_done(journal_put_drift(journal, "demo", 6, err));
                assert_error(journal_mark_applied(journal, "nowhere", "1", 1, err), ERR_NOT_FOUND, "nowhere");
                if (passed_on)
                        assert_int_equal(journal_end(journal, -ERR_NOT_FOUND, NULL), -ERR_NOT_FOUND);
                else
                        assert_error(journal_end(journal, 0, err), ERR_FAILED, "a part of it failed");
                assert_done(journal_cluster(journal, "demo", &cluster, err));
                assert_int_equal(json_integer_value(json_object_get(cluster, "drift")), 5);
                json_decref(cluster);
        }
        assert_done(journal_put_drift(journal, "demo", 7, err)); /* and it goes on */
        journal_resources_clear(&list);
        resource_clear(&r);
        journal_close(journal);
}

static void damaged_row(void **state)
{
        int64_t run;
        struct journal *journal = with_cluster(*state, &run);
        struct resource r = file_resource("hub/config", "/a");
        assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
        sqlite3 *db;
        char *path = file_join(*state, "journal.sqlite");
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "UPDATE resource SET pending_spec = '{'", NULL, NULL, NULL), SQLITE_OK);
        struct journal_resources list = {0};
        assert_error(journal_resources(journal, "demo", &list, err), ERR_CORRUPT, "no JSON in column pending_spec");
        assert_int_equal(list.count, 0);
        assert_int_equal(sqlite3_exec(db, "DELETE FROM resource", NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_done(journal_resources(journal, "demo", &list, err)); /* the failure left no transaction open */
        free(path);
        resource_clear(&r);
        journal_close(journal);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(clusters),
                scratch_test(life_of_a_resource),
                scratch_test(no_outputs_and_odd_text),
                scratch_test(failed_before_its_intent),
                scratch_test(order_of_creation),
                scratch_test(misuse),
                scratch_test(dead_runs),
                scratch_test(history_is_bounded),
                scratch_test(killed_at_every_write),
                scratch_test(really_killed),
                scratch_test(threads),
                scratch_test(one_transaction),
                scratch_test(damaged_row),
        };
        return cmocka_run_group_tests_name("journal/steps", tests, NULL, NULL);
}
