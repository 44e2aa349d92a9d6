/* What a power cut leaves of the journal. */
#include "power.h"

static struct journal *begin(const char *folder, int64_t *ret_run)
{
        power_begin(folder);
        struct journal *journal = open_journal(power.state);
        json_t *form = json_pack("{s:s}", "cluster", "demo");
        assert_done(journal_put_cluster(journal, "demo", "host", form, 1, err));
        assert_done(journal_run_begin(journal, "demo", "apply", 2, ret_run, err));
        json_decref(form);
        return journal;
}

static void end(struct journal *journal)
{
        journal_close(journal);
        power_end();
}

static struct resource some(const char *id)
{
        return (struct resource){
                .id = str_copy(id), .kind = str_copy("host.file"), .spec = json_pack("{s:s}", "path", "/a")};
}

/* A call that has returned is on the disk; of outcomes that is said by journal_sync, or by the next call. */
static void each_call_is_there(void **state)
{
        int64_t run;
        struct journal *journal = begin(*state, &run);
        for (int i = 0; i < 20; i++) {
                char *id = str_format("hub/%d", i);
                struct resource r = some(id);
                assert_int_equal(power_found(id), -1);
                assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
                assert_int_equal(power_found(id), 0);
                assert_done(journal_step_applied(journal, run, "demo", r.id, "d", NULL, NULL, 0, 2, err));
                assert_int_equal(power_found(id), 0);
                if (i % 3)
                        assert_done(journal_sync(journal, err));
                else
                        assert_done(journal_put_drift(journal, "demo", i, err));
                assert_int_equal(power_found(id), 1);
                if (i % 2) {
                        assert_done(journal_step_intent(journal, run, "demo", &r, "remove", NULL, 1, err));
                        assert_int_equal(power_found(id), 0);
                        assert_done(journal_step_removed(journal, run, "demo", id, 0, 2, err));
                        assert_done(journal_sync(journal, err));
                        assert_int_equal(power_found(id), -1);
                }
                resource_clear(&r);
                free(id);
        }
        end(journal);
}

#define THREADS 8
#define STEPS   40

struct worker {
        struct journal *journal;
        int64_t run;
        int number, failures;
};

static void *work(void *data)
{
        struct worker *worker = data;
        for (int i = 0; i < STEPS; i++) {
                char *id = str_format("hub/%d-%d", worker->number, i);
                struct resource r = some(id);
                if (journal_step_intent(worker->journal, worker->run, "demo", &r, "create", NULL, 1, NULL) < 0 ||
                        journal_step_applied(worker->journal, worker->run, "demo", r.id, "d", NULL, NULL, 0, 2, NULL) <
                                0)
                        worker->failures++;
                resource_clear(&r);
                free(id);
        }
        return NULL;
}

static int work_all(struct journal *journal, int64_t run)
{
        pthread_t thread[THREADS];
        struct worker worker[THREADS];
        int failures = 0;
        for (int i = 0; i < THREADS; i++) {
                worker[i] = (struct worker){.journal = journal, .run = run, .number = i};
                assert_int_equal(pthread_create(&thread[i], NULL, work, &worker[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
                pthread_join(thread[i], NULL);
                failures += worker[i].failures;
        }
        return failures;
}

/* Threads share syncs, and what each was told is there, also after the log has been started anew (1,000 pages). */
static void threads_share_syncs(void **state)
{
        int64_t run;
        struct journal *journal = begin(*state, &run);
        atomic_store(&power.slow_us, 2000);
        atomic_store(&power.syncs, 0);
        assert_int_equal(work_all(journal, run), 0);
        assert_done(journal_sync(journal, err));
        int syncs = atomic_load(&power.syncs);
        atomic_store(&power.slow_us, 0);
        assert_in_range(syncs, 1, THREADS * STEPS);
        for (int i = 0; i < THREADS; i++) {
                char *id = str_format("hub/%d-%d", i, STEPS - 1);
                assert_int_equal(power_found(id), 1);
                free(id);
        }
        end(journal);
}

/* Many intents, one sync; what of them was withdrawn is as it was before. */
static void many_intents_share_a_sync(void **state)
{
        int64_t run;
        struct journal *journal = begin(*state, &run);
        struct resource r[3] = {some("hub/a"), some("hub/b"), some("hub/c")};
        struct journal_intent intent[3];
        assert_done(journal_step_intent(journal, run, "demo", &r[0], "create", NULL, 1, err));
        assert_done(journal_step_applied(journal, run, "demo", r[0].id, "d", NULL, NULL, 0, 2, err));
        for (int i = 0; i < 3; i++)
                intent[i] = (struct journal_intent){.resource = &r[i], .action = "update", .known = i == 0};
        atomic_store(&power.syncs, 0);
        assert_done(journal_steps_intend(journal, run, "demo", intent, 3, 3, err));
        assert_int_equal(atomic_load(&power.syncs), 1);
        assert_int_equal(power_found("hub/a"), 0);
        assert_int_equal(power_found("hub/c"), 0);
        assert_done(journal_steps_withdraw(journal, run, "demo", intent, 2, err));
        assert_int_equal(power_found("hub/a"), 1);
        assert_int_equal(power_found("hub/b"), -1);
        assert_int_equal(power_found("hub/c"), 0);
        intent[0].action = "remove";
        assert_done(journal_steps_intend(journal, run, "demo", intent, 1, 3, err));
        assert_int_equal(power_found("hub/a"), 0);
        assert_done(journal_steps_withdraw(journal, run, "demo", intent, 1, err));
        assert_int_equal(power_found("hub/a"), 1);

        json_t *history = NULL; /* one that does not exist: none of them */
        struct resource nowhere = some("hub/d");
        intent[0].resource = &nowhere;
        assert_error(journal_steps_intend(journal, 999, "demo", intent, 2, 3, err), ERR_INVALID, "FOREIGN KEY");
        assert_done(journal_history(journal, "demo", 0, &history, err));
        assert_int_equal(json_array_size(json_object_get(json_array_get(history, 0), "steps")), 2);
        json_decref(history);
        resource_clear(&nowhere);
        for (int i = 0; i < 3; i++)
                resource_clear(&r[i]);
        end(journal);
}

/* A sync that failed is not made up for by a later one: nobody is told that something is done from then on. */
static void broken_disk(void **state)
{
        int64_t run;
        struct journal *journal = begin(*state, &run);
        struct resource r = some("hub/a");
        assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
        atomic_store(&power.broken, true);
        assert_done(journal_step_applied(journal, run, "demo", r.id, "d", NULL, NULL, 0, 2, err));
        assert_error(journal_sync(journal, err), ERR_IO, "onto the disk");
        assert_int_equal(power_found("hub/a"), 0);
        atomic_store(&power.broken, false);
        assert_error(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err), ERR_IO, "onto the disk");
        assert_int_equal(work_all(journal, run), THREADS * STEPS);
        resource_clear(&r);
        end(journal);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(each_call_is_there),
                scratch_test(threads_share_syncs),
                scratch_test(many_intents_share_a_sync),
                scratch_test(broken_disk),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
