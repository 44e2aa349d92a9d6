/* What the engine does of a plan, what it says of it, and what a failure or a cancel leaves. */
#include "engine_fixture.h"

#include <pthread.h>
#include <time.h>

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

static void test_an_event_is_json_whatever_it_says(void **state)
{
        (void)state;
        const struct event event = {.type = EVENT_NOTICE, .id = "a", .text = "caf\xe9 closed"};
        json_auto_t *json = event_to_json(&event);
        assert_string_equal(json_string_value(json_object_get(json, "text")), "caf? closed");
        assert_string_equal(json_string_value(json_object_get(json, "id")), "a");
        assert_null(json_object_get(json, "kind"));
}

static void test_a_file_with_a_secret_is_for_its_owner_alone(void **state)
{
        (void)state;
        static const mode_t others[] = {0644, 0640, 0604, 0610, 0602};
        CLEANUP_FREE char *path = file_join(base, "given");
        assert_int_equal(file_write_atomic(path, "given-secret\n", 13, 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
        secret_file = path;
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
                CLEANUP_ERR struct err *err = NULL;
                assert_int_equal(chmod(path, others[i]), 0);
                CLEANUP_FREE char *says = str_format("%s can be read by others (mode %04o)", path, (unsigned)others[i]);
                assert_int_equal(run(&(struct call_options){.desired = version_one}, &err), -ERR_REFUSED);
                assert_non_null(strstr(err->message, says));
                expect_none();
        }
        assert_int_equal(chmod(path, 0400), 0);
        must(version_one);
        CLEANUP_FREE char *secret = content("s");
        assert_string_equal(secret, "given-secret");
}

/* Who is in an apply waits there until two are at once, or patience ends, which begins with the first. */
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static int inside, most;
static long patience_ms;
static struct timespec patience_end;

static void begin_patience(void)
{
        clock_gettime(CLOCK_MONOTONIC, &patience_end);
        patience_end.tv_sec += patience_ms / 1000;
        patience_end.tv_nsec += patience_ms % 1000 * 1000000;
        patience_end.tv_sec += patience_end.tv_nsec / 1000000000;
        patience_end.tv_nsec %= 1000000000;
}

static void meet(const char *id)
{
        (void)id;
        pthread_mutex_lock(&door);
        if (most == 0)
                begin_patience();
        inside++;
        most = inside > most ? inside : most;
        pthread_cond_broadcast(&came);
        while (most < 2 && pthread_cond_clockwait(&came, &door, CLOCK_MONOTONIC, &patience_end) == 0)
                ;
        inside--;
        pthread_mutex_unlock(&door);
}

/* The most that were inside at once. */
static int met(void (*desired)(struct resources *list), long ms)
{
        inside = most = 0;
        patience_ms = ms;
        fake_hook = meet;
        must(desired);
        return most;
}

static void many_of(struct resources *list, const char *kind)
{
        for (int i = 0; i < 8; i++) {
                CLEANUP_FREE char *id = str_format("l/%d", i), *name = str_format("l%d", i);
                add(list, id, kind, thing(name, "x"), NULL);
        }
}
static void many_free(struct resources *list)
{
        many_of(list, "fake");
}
static void many_locked(struct resources *list)
{
        many_of(list, "fake.locked");
}
static void one_after_another(struct resources *list)
{
        add(list, "n/first", "fake", thing("first", "x"), NULL);
        add(list, "n/second", "fake", thing("second", "x"), "n/first");
}

static void test_steps_run_side_by_side(void **state)
{
        (void)state;
        assert_true(met(many_free, 10000) >= 2);
        assert_int_equal(things(), 8);
}

static void test_who_needs_another_waits_for_it(void **state)
{
        (void)state;
        assert_int_equal(met(one_after_another, 100), 1);
        assert_int_equal(things(), 2);
}

static void test_one_lock_one_at_a_time(void **state)
{
        (void)state;
        assert_int_equal(met(many_locked, 100), 1);
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
        const struct CMUnitTest tests[] = {
                T(test_apply_update_destroy),
                T(test_nothing_to_do_calls_no_kind),
                T(test_drift_is_repaired_and_only_that),
                T(test_the_journal_says_why),
                T(test_a_refused_change_touches_nothing),
                T(test_findings_come_first_and_once),
                T(test_what_is_worth_it_is_tried_again),
                T(test_it_gives_up_at_last),
                T(test_a_failure_stops_only_what_needs_it),
                T(test_cancel_finishes_what_runs_and_resumes),
                T(test_events_tell_the_whole_story),
                T(test_an_event_is_json_whatever_it_says),
                T(test_a_file_with_a_secret_is_for_its_owner_alone),
                T(test_steps_run_side_by_side),
                T(test_who_needs_another_waits_for_it),
                T(test_one_lock_one_at_a_time),
                T(test_the_history_says_what_happened),
        };
        return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
