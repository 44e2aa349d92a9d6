/* The engine on a real journal and a fake kind: every boundary killed, resumed, converged. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#define CAAS_JOURNAL_TEST_ALLOWED
#include "../journal/power.h"
#include "engine/engine.h"
#include "fake.h"
#include "journal/journal_test.h"

static char *base;  /* a temporary folder with state/ and things/ */
static char *where; /* the state folder */
static int slept_ms;
static atomic_int slow_ms;         /* what the clock has advanced */
static const char *stored_version; /* of the caas that applied it last, as the engine is told; NULL = never applied */
static int stored_cpus;            /* of the form that was applied last; today's says 0 */

static int64_t test_now(struct clock *clock)
{
        (void)clock;
        return 1700000000000 + atomic_load(&slow_ms);
}
static int test_sleep(struct clock *clock, int64_t ms, struct cancel *cancel)
{
        (void)clock;
        slept_ms += (int)ms;
        return cancel_level(cancel) ? -ERR_CANCELLED : 0;
}
static struct clock test_clock = {test_now, test_now, test_sleep};

static int setup(void **state)
{
        (void)state;
        base = str_copy("/tmp/caas-engine-XXXXXX");
        assert_non_null(mkdtemp(base));
        where = file_join(base, "state");
        fake_folder = file_join(base, "things");
        assert_int_equal(file_make_dirs(fake_folder, 0700, NULL), 0);
        fake_kill_at = fake_points = 0;
        fake_applies = fake_fail_times = slept_ms = 0;
        fake_broken = stored_version = NULL;
        stored_cpus = 0;
        fake_hook = NULL;
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        file_remove_tree(base, NULL);
        free(base);
        free(where);
        free(fake_folder);
        return 0;
}

static void add(struct resources *list, const char *id, const char *kind, json_t *spec, const char *need)
{
        struct resource r = {str_copy(id), str_copy(kind), spec, mem_zero_array(2, sizeof *r.needs)};
        if (need)
                r.needs[0] = str_copy(need);
        resources_add(list, &r);
}

static json_t *thing(const char *name, const char *text)
{
        return json_pack("{s:s,s:s}", "name", name, "text", text);
}

/* Two versions of a cluster: one updated, one moved, one gone, one new, outputs in a chain, a secret. */
static void version_one(struct resources *list)
{
        add(list, "r/a", "fake", thing("a", "one"), NULL);
        add(list, "r/b", "fake", thing("b", "from ${r/a.path}"), NULL);
        add(list, "r/c", "fake", thing("c", "c"), "r/b");
        add(list, "r/gone", "fake", thing("gone", "gone"), "r/a");
        json_t *secret = thing("s", "");
        json_object_set_new(secret, "text", json_pack("{s:s}", MARK_SECRET, "r/secret"));
        add(list, "r/s", "fake.locked", secret, NULL);
}
static void version_two(struct resources *list)
{
        add(list, "r/a", "fake", thing("a-moved", "one"), NULL);
        add(list, "r/b", "fake", thing("b", "from ${r/a.path}"), NULL);
        add(list, "r/c", "fake", thing("c", "c2"), "r/b");
        add(list, "r/new", "fake.locked", thing("new", "new"), "r/c");
        json_t *secret = thing("s", "");
        json_object_set_new(secret, "text", json_pack("{s:s}", MARK_SECRET, "r/secret"));
        add(list, "r/s", "fake.locked", secret, NULL);
}

struct call_options {
        void (*desired)(struct resources *list); /* NULL = destroy */
        long journal_kill;                       /* the n-th write; 0 = none */
        bool after_commit;
        struct cancel *cancel;
        event_sink sink;
        void *sink_data;
        struct plan *plan_only; /* only the counts are of use afterwards */
        int64_t *ret_writes;
};

static char secret_bytes[] = "5";

static int run(const struct call_options *o, struct err **err)
{
        struct journal *journal = NULL;
        struct engine *engine = NULL;
        CLEANUP_RESOURCES struct resources desired = {0};
        CLEANUP_PLAN struct plan plan = {0};
        struct role_secret secret = {.name = (char *)"r/secret", .bytes = secret_bytes[0]};
        struct role_secrets secrets = {.item = &secret, .count = 1};
        json_auto_t *form = json_pack("{s:i}", "cpus", 0);
        json_auto_t *stored = json_pack("{s:s?, s:{s:i}}", "version", stored_version, "form", "cpus", stored_cpus);
        if (o->desired)
                o->desired(&desired);
        int result = journal_open(where, true, &journal, err);
        if (result < 0)
                return result;
        if (o->journal_kill)
                journal_test_kill(journal, o->journal_kill, o->after_commit);
        const struct engine_options options = {.journal = journal,
                .cluster = "demo",
                .target = "host",
                .state_dir = where,
                .cache_dir = where,
                .data_dir = where,
                .version = "test",
                .form = o->desired ? form : NULL,
                .stored = stored,
                .desired = o->desired ? &desired : NULL,
                .secrets = o->desired ? &secrets : NULL,
                .kinds = fake_kinds,
                .clock = &test_clock,
                .cancel = o->cancel,
                .on_event = o->sink,
                .event_data = o->sink_data};
        result = engine_new(&options, &engine, err);
        if (result == 0)
                result = o->desired ? engine_plan(engine, &plan, err) : engine_plan_destroy(engine, &plan, err);
        if (result == 0 && o->plan_only) {
                *o->plan_only = plan;
                o->plan_only->step = NULL;
                o->plan_only->count = 0;
        } else if (result == 0) {
                result = engine_apply(engine, &plan, o->desired ? "apply" : "destroy", err);
        }
        if (o->ret_writes)
                *o->ret_writes = journal_test_writes(journal);
        plan_clear(&plan);
        engine_free(engine);
        journal_close(journal);
        return result;
}

static void must(void (*desired)(struct resources *list))
{
        CLEANUP_ERR struct err *err = NULL;
        if (run(&(struct call_options){.desired = desired}, &err) < 0)
                fail_msg("%s", err->message);
}

static char *content(const char *name)
{
        CLEANUP_FREE char *path = file_join(fake_folder, name);
        char *text = NULL;
        return file_read(path, 1000, &text, NULL, NULL) < 0 ? NULL : text;
}

static void expect(const char *name, const char *wanted)
{
        CLEANUP_FREE char *text = content(name);
        if (wanted ? !str_is(text, wanted) : text != NULL)
                fail_msg("%s holds %s, not %s", name, text ? text : "nothing", wanted ? wanted : "nothing");
}

static size_t things(void)
{
        size_t n = 0;
        DIR *dir = opendir(fake_folder);
        struct dirent *entry;
        while ((entry = readdir(dir)))
                n += !strchr(entry->d_name, '.'); /* a killed write may leave its temporary file */
        closedir(dir);
        return n;
}

static void expect_one(void)
{
        CLEANUP_FREE char *from_a = str_format("from %s/a", fake_folder);
        expect("a", "one");
        expect("b", from_a);
        expect("c", "c");
        expect("gone", "gone");
        assert_int_equal(things(), 5);
}
static void expect_two(void)
{
        CLEANUP_FREE char *from_a = str_format("from %s/a-moved", fake_folder);
        expect("a-moved", "one");
        expect("a", NULL);
        expect("b", from_a);
        expect("c", "c2");
        expect("gone", NULL);
        expect("new", "new");
        assert_int_equal(things(), 5);
}
static void expect_none(void)
{
        assert_int_equal(things(), 0);
}

static void expect_nothing_to_do(void (*desired)(struct resources *list))
{
        struct plan plan = {0};
        CLEANUP_ERR struct err *err = NULL;
        if (run(&(struct call_options){.desired = desired, .plan_only = &plan}, &err) < 0)
                fail_msg("%s", err->message);
        assert_int_equal(plan.create + plan.update + plan.replace + plan.remove + plan.refuse, 0);
}

static void test_apply_update_destroy(void **state)
{
        (void)state;
        must(version_one);
        expect_one();
        expect_nothing_to_do(version_one);
        CLEANUP_FREE char *secret = content("s");
        must(version_two);
        expect_two();
        expect_nothing_to_do(version_two);
        CLEANUP_FREE char *same = content("s");
        assert_string_equal(secret, same);
        assert_int_equal(strlen(secret), 2 * (size_t)secret_bytes[0]);
        must(NULL);
        expect_none();
}

static void test_nothing_to_do_calls_no_kind(void **state)
{
        (void)state;
        must(version_one);
        fake_applies = 0;
        must(version_one);
        assert_int_equal(fake_applies, 0);
}

static void test_drift_is_repaired_and_only_that(void **state)
{
        (void)state;
        must(version_one);
        fake_applies = 0;
        CLEANUP_FREE char *path = file_join(fake_folder, "c");
        assert_int_equal(fake_write(path, "changed by hand", NULL), 0);
        must(version_one);
        expect_one();
        assert_int_equal(fake_applies, 1);
}

/* "update drift" and so on of the steps of the last run, one after another. */
static char *last_steps(int64_t *ret_drift)
{
        struct journal *journal;
        json_auto_t *history = NULL, *cluster = NULL;
        struct buf text = BUF_INIT(10000);
        assert_int_equal(journal_open(where, false, &journal, NULL), 0);
        assert_int_equal(journal_history(journal, "demo", 1, &history, NULL), 0);
        assert_int_equal(journal_cluster(journal, "demo", &cluster, NULL), 0);
        journal_close(journal);
        *ret_drift = json_integer_value(json_object_get(cluster, "drift"));
        size_t i;
        json_t *step;
        json_array_foreach (json_object_get(json_array_get(history, 0), "steps"), i, step) {
                const char *reason = json_string_value(json_object_get(step, "reason"));
                buf_format(&text, "%s%s %s %s", i ? ", " : "", json_string_value(json_object_get(step, "resource")),
                        json_string_value(json_object_get(step, "action")), reason ? reason : "-");
        }
        return buf_steal(&text);
}

static void expect_steps(const char *wanted, int64_t drift)
{
        int64_t found;
        CLEANUP_FREE char *text = last_steps(&found);
        assert_string_equal(text, wanted);
        assert_int_equal(found, drift);
}

static void one_thing(struct resources *list)
{
        add(list, "r/c", "fake", thing("c", "c"), NULL);
}
static void other_thing(struct resources *list)
{
        add(list, "r/c", "fake", thing("c", "other"), NULL);
}
static void no_thing(struct resources *list)
{
        add(list, "r/d", "fake", thing("d", "d"), NULL);
}

/* What stands in the history, and how many were found changed by others. */
static void test_the_journal_says_why(void **state)
{
        (void)state;
        CLEANUP_FREE char *path = file_join(fake_folder, "c");
        must(one_thing);
        expect_steps("r/c create new", 0);
        assert_int_equal(fake_write(path, "changed by hand", NULL), 0);
        must(one_thing);
        expect_steps("r/c update drift", 1);
        assert_int_equal(file_remove(path, NULL), 0);
        must(one_thing);
        expect_steps("r/c create missing", 1);
        must(other_thing);
        expect_steps("r/c update changed", 0);
        assert_int_equal(fake_write(path, "changed by hand", NULL), 0);
        must(one_thing); /* both: the form's is the reason, and it is counted */
        expect_steps("r/c update changed", 1);
        fake_broken = "r/c";
        run(&(struct call_options){.desired = other_thing}, NULL);
        fake_broken = NULL;
        must(one_thing);
        expect_steps("r/c update interrupted", 0);
        stored_version = "older";
        must(other_thing);
        expect_steps("r/c update version", 0);
        stored_version = "test";
        stored_cpus = 2;
        must(one_thing);
        expect_steps("r/c update form", 0);
        stored_version = "older";
        must(other_thing);
        expect_steps("r/c update form and version", 0);
        must(no_thing);
        expect_steps("r/d create new, r/c remove form and version", 0);
}

/* The phases that are killed at each boundary: what is there before, what is asked, what must come out. */
static const struct phase {
        const char *name;
        void (*before)(struct resources *list);
        void (*desired)(struct resources *list);
        void (*expected)(void);
} phases[] = {
        {"first apply", NULL, version_one, expect_one},
        {"update", version_one, version_two, expect_two},
        {"destroy", version_two, NULL, expect_none},
};

static void begin_phase(const struct phase *phase)
{
        file_remove_tree(where, NULL);
        file_remove_tree(fake_folder, NULL);
        assert_int_equal(file_make_dirs(fake_folder, 0700, NULL), 0);
        fake_kill_at = fake_points = 0;
        if (phase->before)
                must(phase->before);
        fake_points = 0;
}

static void end_phase(const struct phase *phase)
{
        fake_kill_at = 0;
        must(phase->desired);
        phase->expected();
        if (phase->desired)
                expect_nothing_to_do(phase->desired);
}

/* kill -9 inside a kind: a child process really ends there. */
static void test_killed_inside_every_kind_call(void **state)
{
        (void)state;
        for (size_t p = 0; p < sizeof phases / sizeof *phases; p++) {
                long killed = 0;
                for (long n = 1;; n++) {
                        begin_phase(&phases[p]);
                        pid_t pid = fork();
                        if (pid == 0) {
                                fake_kill_at = n;
                                _exit(run(&(struct call_options){.desired = phases[p].desired}, NULL) < 0 ? 1 : 0);
                        }
                        int status;
                        assert_int_equal(waitpid(pid, &status, 0), pid);
                        end_phase(&phases[p]);
                        if (WEXITSTATUS(status) != 137) {
                                assert_int_equal(WEXITSTATUS(status), 0);
                                break;
                        }
                        killed++;
                }
                assert_true(killed >= 8);
        }
}

/* Every write of the journal: lost before its commit, or made and never heard of. */
static void test_killed_at_every_write_of_the_journal(void **state)
{
        (void)state;
        for (size_t p = 0; p < sizeof phases / sizeof *phases; p++) {
                int64_t writes;
                begin_phase(&phases[p]);
                assert_int_equal(
                        run(&(struct call_options){.desired = phases[p].desired, .ret_writes = &writes}, NULL), 0);
                assert_true(writes >= 6);
                for (long n = 1; n <= writes; n++)
                        for (int after = 0; after < 2; after++) {
                                begin_phase(&phases[p]);
                                run(
                                        &(struct call_options){
                                                .desired = phases[p].desired, .journal_kill = n, .after_commit = after},
                                        NULL);
                                end_phase(&phases[p]);
                        }
        }
}

static void version_three(struct resources *list)
{
        add(list, "r/a", "fake", thing("a-third", "one"), NULL);
}

/* Cut off while something moves, and then the form says a third place: the second must not be left behind. */
static void test_killed_while_moving_then_moved_again(void **state)
{
        (void)state;
        for (long n = 1; n <= 8; n++) {
                begin_phase(&phases[1]);
                pid_t pid = fork();
                if (pid == 0) {
                        fake_kill_at = n;
                        _exit(run(&(struct call_options){.desired = version_two}, NULL) < 0 ? 1 : 0);
                }
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                must(version_three);
                expect("a-third", "one");
                assert_int_equal(things(), 1);
        }
}

static void frozen(struct resources *list)
{
        json_t *spec = thing("f", "f");
        json_object_set_new(spec, "frozen", json_true());
        add(list, "r/f", "fake", spec, NULL);
}
static void thawed(struct resources *list)
{
        add(list, "r/f", "fake", thing("f", "other"), NULL);
        add(list, "r/other", "fake", thing("other", "o"), NULL);
}

static void test_a_refused_change_touches_nothing(void **state)
{
        (void)state;
        must(frozen);
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(run(&(struct call_options){.desired = thawed}, &err), -ERR_REFUSED);
        assert_string_equal(err->message, "r/f: it is frozen\nnothing was changed");
        expect("f", "f");
        expect("other", NULL);
}

static void unfit(struct resources *list)
{
        static const char *const why[] = {NULL, "nobody answers", "the disk is full", "nobody answers"};
        for (size_t i = 0; i < 4; i++) {
                CLEANUP_FREE char *id = str_format("u/%zu", i);
                json_t *spec = thing(id + 2, "u");
                if (why[i])
                        json_object_set_new(spec, "unfit", json_string(why[i]));
                add(list, id, "fake", spec, NULL);
        }
}

/* All that can be found is, and before anything is done, even what would have been fine. */
static void test_findings_come_first_and_once(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(run(&(struct call_options){.desired = unfit}, &err), -ERR_INVALID);
        assert_string_equal(err->message, "u/1: nobody answers\nu/2: the disk is full\nnothing was changed");
        assert_int_equal(fake_applies, 0);
        expect("0", NULL);
}

static void test_what_is_worth_it_is_tried_again(void **state)
{
        (void)state;
        fake_fail_times = 2;
        must(frozen);
        expect("f", "f");
        assert_int_equal(fake_applies, 3);
        assert_int_equal(slept_ms, 1000 + 2000);
}

static void test_it_gives_up_at_last(void **state)
{
        (void)state;
        fake_fail_times = 3;
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(run(&(struct call_options){.desired = frozen}, &err), -ERR_FAILED);
        assert_non_null(strstr(err->message, "r/f: nobody answers"));
}

static void test_a_failure_stops_only_what_needs_it(void **state)
{
        (void)state;
        must(version_one);
        fake_broken = "r/c";
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(run(&(struct call_options){.desired = version_two}, &err), -ERR_FAILED);
        assert_non_null(strstr(err->message, "r/c: it is broken"));
        expect("a-moved", "one");
        expect("new", NULL);    /* needs r/c */
        expect("gone", "gone"); /* nothing is removed from a cluster that is not well */
        fake_broken = NULL;
        must(version_two);
        expect_two();
}

static struct cancel *to_raise;
static void raise_in_first(const char *id)
{
        if (str_is(id, "r/a"))
                cancel_raise(to_raise);
}

static void test_cancel_finishes_what_runs_and_resumes(void **state)
{
        (void)state;
        to_raise = cancel_new();
        fake_hook = raise_in_first;
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(run(&(struct call_options){.desired = version_one, .cancel = to_raise}, &err), -ERR_CANCELLED);
        expect("a", "one"); /* was running: finished */
        expect("b", NULL);
        cancel_free(to_raise);
        fake_hook = NULL;
        must(version_one);
        expect_one();
}

/* So many that are ready at once that intents are written for more of them than there are threads. */
#define MANY 60
static const char *many_text;
static void many(struct resources *list)
{
        for (int i = 0; i < MANY; i++) {
                CLEANUP_FREE char *id = str_format("m/%02d", i), *name = str_format("m%02d", i);
                add(list, id, "fake", thing(name, many_text), NULL);
        }
}

static void raise_soon(const char *id)
{
        (void)id;
        if (__atomic_load_n(&fake_applies, __ATOMIC_SEQ_CST) == 10)
                cancel_raise(to_raise);
}

/* Complete ones and others in the inventory, and steps of the last run that are not done. */
static void count_rows(size_t *ret_complete, size_t *ret_others, size_t *ret_open)
{
        struct journal *journal;
        struct journal_resources list = {0};
        json_auto_t *history = NULL;
        assert_int_equal(journal_open(where, false, &journal, NULL), 0);
        assert_int_equal(journal_resources(journal, "demo", &list, NULL), 0);
        assert_int_equal(journal_history(journal, "demo", 1, &history, NULL), 0);
        journal_close(journal);
        *ret_complete = *ret_others = *ret_open = 0;
        for (size_t i = 0; i < list.count; i++)
                ++*(list.item[i].complete ? ret_complete : ret_others);
        journal_resources_clear(&list);
        size_t i;
        json_t *step;
        json_array_foreach (json_object_get(json_array_get(history, 0), "steps"), i, step)
                *ret_open += !str_is(json_string_value(json_object_get(step, "state")), "done");
}

/* What was not begun is as if nobody had thought of it. */
static void test_stopped_with_intents_ahead(void **state)
{
        (void)state;
        size_t complete, others, open;
        for (int k = 0; k < 2; k++) {
                many_text = k == 0 ? "one" : "two"; /* made, then changed */
                to_raise = cancel_new();
                fake_applies = 0;
                fake_hook = raise_soon;
                assert_int_equal(
                        run(&(struct call_options){.desired = many, .cancel = to_raise}, NULL), -ERR_CANCELLED);
                cancel_free(to_raise);
                fake_hook = NULL;
                assert_in_range(fake_applies, 10, MANY - 1);
                count_rows(&complete, &others, &open);
                assert_int_equal(others, 0);
                assert_int_equal(open, 0);
                assert_int_equal(complete, k == 0 ? fake_applies : MANY);
                int before = fake_applies;
                must(many);
                assert_int_equal(fake_applies, MANY);
                assert_true(fake_applies > before);
                expect_nothing_to_do(many);
        }
}

static void test_many_share_a_transaction(void **state)
{
        (void)state;
        int64_t writes;
        many_text = "one";
        assert_int_equal(run(&(struct call_options){.desired = many, .ret_writes = &writes}, NULL), 0);
        assert_in_range(writes, MANY, MANY + 20); /* an outcome each, and few for all intents */
        assert_int_equal(things(), MANY);
}

/* The first apply takes long, and somebody makes a thing meanwhile that is wanted later. */
static void somebody_is_faster(const char *id)
{
        CLEANUP_FREE char *path = file_join(fake_folder, "m12");
        (void)id;
        if (atomic_fetch_add(&slow_ms, 60000) == 0)
                assert_int_equal(fake_write(path, "somebody's", NULL), 0);
}

static void test_what_was_seen_long_ago_is_looked_at_again(void **state)
{
        (void)state;
        struct journal *journal;
        json_auto_t *history = NULL;
        many_text = "one";
        fake_hook = somebody_is_faster;
        must(many);
        atomic_store(&slow_ms, 0);
        assert_int_equal(journal_open(where, false, &journal, NULL), 0);
        assert_int_equal(journal_history(journal, "demo", 1, &history, NULL), 0);
        journal_close(journal);
        json_t *steps = json_object_get(json_array_get(history, 0), "steps"), *step;
        size_t i, seen = 0;
        assert_int_equal(json_array_size(steps), MANY); /* intents that were withdrawn are not there twice */
        json_array_foreach (steps, i, step)
                seen += str_is(json_string_value(json_object_get(step, "resource")), "m/12") &&
                        str_is(json_string_value(json_object_get(step, "reason")), "there already");
        assert_int_equal(seen, 1);
        expect_nothing_to_do(many);
}

static atomic_int undone, untold;
static void look_at_disk(const char *id)
{
        if (power_found(id) < 0)
                atomic_fetch_add(&undone, 1);
}

static void look_when_told(void *data, const struct event *event)
{
        (void)data;
        if (event->type == EVENT_STEP_DONE && power_found(event->id) != 1)
                atomic_fetch_add(&untold, 1);
}

/* Nothing is touched before its intent is on the disk, and nobody is told of what is not there. */
static void test_the_disk_comes_first(void **state)
{
        (void)state;
        power_begin(base);
        many_text = "one";
        atomic_store(&undone, 0);
        atomic_store(&untold, 0);
        fake_hook = look_at_disk;
        int result = run(&(struct call_options){.desired = many, .sink = look_when_told}, NULL);
        power_end();
        assert_int_equal(result, 0);
        assert_int_equal(things(), MANY);
        assert_int_equal(atomic_load(&undone), 0);
        assert_int_equal(atomic_load(&untold), 0);
}

static void break_disk(const char *id)
{
        (void)id;
        atomic_store(&power.broken, true);
}

static void count_done(void *data, const struct event *event)
{
        *(size_t *)data += event->type == EVENT_STEP_DONE;
}

/* The disk does not take outcomes any more: nothing is called done. */
static void test_a_broken_disk_is_a_failure(void **state)
{
        (void)state;
        size_t done = 0;
        CLEANUP_ERR struct err *err = NULL;
        power_begin(base);
        many_text = "one";
        fake_hook = break_disk;
        int result = run(&(struct call_options){.desired = many, .sink = count_done, .sink_data = &done}, &err);
        atomic_store(&power.broken, false);
        power_end();
        assert_int_equal(result, -ERR_FAILED);
        assert_int_equal(done, 0);
        assert_non_null(strstr(err->message, "onto the disk"));
        fake_hook = NULL;
        must(many);
        assert_int_equal(things(), MANY);
}

struct seen {
        size_t begun, ended, failed;
        char text[4000];
};
static void see(void *data, const struct event *event)
{
        struct seen *seen = data;
        seen->begun += event->type == EVENT_STEP_BEGIN;
        seen->ended += event->type == EVENT_STEP_DONE;
        json_t *json = event_to_json(event);
        char *line = json_dumps(json, JSON_COMPACT);
        strncat(seen->text, line, sizeof seen->text - strlen(seen->text) - 1);
        free(line);
        json_decref(json);
}

static void test_events_tell_the_whole_story(void **state)
{
        (void)state;
        struct seen seen = {0};
        assert_int_equal(run(&(struct call_options){.desired = version_one, .sink = see, .sink_data = &seen}, NULL), 0);
        assert_int_equal(seen.begun, 5);
        assert_int_equal(seen.ended, 5);
        assert_non_null(strstr(seen.text, "\"event\":\"run_begin\""));
        assert_non_null(strstr(seen.text, "\"event\":\"run_end\""));
        CLEANUP_FREE char *secret = content("s");
        assert_null(strstr(seen.text, secret));
}

static _Atomic int inside, most;
static void count_inside(const char *id)
{
        if (!str_starts(id, "l/"))
                return;
        int now = ++inside;
        if (now > most)
                most = now;
        usleep(3000);
        inside--;
}
static void many_locked(struct resources *list)
{
        for (int i = 0; i < 8; i++) {
                CLEANUP_FREE char *id = str_format("l/%d", i), *name = str_format("l%d", i);
                add(list, id, "fake.locked", thing(name, "x"), NULL);
        }
}

static void test_one_lock_one_at_a_time(void **state)
{
        (void)state;
        inside = most = 0;
        fake_hook = count_inside;
        must(many_locked);
        assert_int_equal(most, 1);
        assert_int_equal(things(), 8);
}

static void test_the_history_says_what_happened(void **state)
{
        (void)state;
        must(version_one);
        fake_broken = "r/c";
        run(&(struct call_options){.desired = version_two}, NULL);
        struct journal *journal;
        json_auto_t *history = NULL;
        assert_int_equal(journal_open(where, false, &journal, NULL), 0);
        assert_int_equal(journal_history(journal, "demo", 10, &history, NULL), 0);
        journal_close(journal);
        assert_int_equal(json_array_size(history), 2);
        assert_string_equal(json_string_value(json_object_get(json_array_get(history, 0), "outcome")), "failed");
        assert_string_equal(json_string_value(json_object_get(json_array_get(history, 1), "outcome")), "done");
}

int main(void)
{
        signal(SIGPIPE, SIG_IGN);
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        const struct CMUnitTest tests[] = {
                T(test_apply_update_destroy),
                T(test_nothing_to_do_calls_no_kind),
                T(test_drift_is_repaired_and_only_that),
                T(test_the_journal_says_why),
                T(test_killed_inside_every_kind_call),
                T(test_killed_at_every_write_of_the_journal),
                T(test_killed_while_moving_then_moved_again),
                T(test_a_refused_change_touches_nothing),
                T(test_findings_come_first_and_once),
                T(test_what_is_worth_it_is_tried_again),
                T(test_it_gives_up_at_last),
                T(test_a_failure_stops_only_what_needs_it),
                T(test_cancel_finishes_what_runs_and_resumes),
                T(test_stopped_with_intents_ahead),
                T(test_many_share_a_transaction),
                T(test_what_was_seen_long_ago_is_looked_at_again),
                T(test_the_disk_comes_first),
                T(test_a_broken_disk_is_a_failure),
                T(test_events_tell_the_whole_story),
                T(test_one_lock_one_at_a_time),
                T(test_the_history_says_what_happened),
        };
        return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
