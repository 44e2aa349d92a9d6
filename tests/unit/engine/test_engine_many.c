/* More steps than threads: their intents share transactions, and what is on the disk comes before what is done or told.
 */
#include "engine_fixture.h"

static struct cancel *to_raise;

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

#define TURNS 3
static void in_turns(struct resources *list)
{
        many(list);
        for (int i = 0; i < MANY; i++)
                json_object_set_new(list->item[i].spec, "turn", json_integer(i % TURNS));
}

static int turn_now;
static void whose_turn(const char *id)
{
        int turn = atoi(strchr(id, '/') + 1) % TURNS;
        if (turn < turn_now)
                fail_msg("%s comes after one whose turn is %d", id, turn_now);
        turn_now = turn;
}

/* Of what is ready at once. Removals have none: they go in the reverse order of their needs. */
static void test_those_whose_turn_is_earlier_go_first(void **state)
{
        (void)state;
        many_text = "one";
        fake_hook = whose_turn;
        turn_now = 0;
        assert_int_equal(run(&(struct call_options){.desired = in_turns, .threads = 1}, NULL), 0);
        fake_hook = NULL;
        assert_int_equal(turn_now, TURNS - 1);
        assert_int_equal(things(), MANY);
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

int main(void)
{
        signal(SIGPIPE, SIG_IGN);
        const struct CMUnitTest tests[] = {
                T(test_those_whose_turn_is_earlier_go_first),
                T(test_stopped_with_intents_ahead),
                T(test_many_share_a_transaction),
                T(test_what_was_seen_long_ago_is_looked_at_again),
                T(test_the_disk_comes_first),
                T(test_a_broken_disk_is_a_failure),
        };
        return cmocka_run_group_tests_name("engine, many steps", tests, NULL, NULL);
}
