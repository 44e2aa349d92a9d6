/* The plan: order, comparison, outputs, removals, circles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "plan/plan.h"
#include "tree/digest.h"

static void add(struct resources *list, const char *id, json_t *spec, const char *need)
{
        struct resource r = {str_copy(id), str_copy("fake"), spec, mem_zero_array(2, sizeof *r.needs)};
        if (need)
                r.needs[0] = str_copy(need);
        resources_add(list, &r);
}

static int compare(void *data, const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret, struct err **err)
{
        (void)data;
        (void)err;
        change_default(r, recorded, state, ret);
        return 0;
}

/* What the journal would know of a resource that was applied with this spec. */
static struct plan_known known(
        const char *id, const json_t *spec, const json_t *state, const json_t *outputs, char digest[DIGEST_SIZE])
{
        digest_tree(spec, digest);
        return (struct plan_known){.id = id,
                .recorded = {.kind = "fake",
                        .spec = spec,
                        .digest = digest,
                        .state = state,
                        .outputs = outputs,
                        .complete = true},
                .state = state};
}

static const struct plan_step *step_of(const struct plan *plan, const char *id)
{
        for (size_t i = 0; i < plan->count; i++)
                if (str_is(plan->step[i].resource.id, id))
                        return &plan->step[i];
        fail_msg("no step for %s", id);
        return NULL;
}

static size_t place_of(const struct plan *plan, const char *id)
{
        return (size_t)(step_of(plan, id) - plan->step);
}

static void test_needs_come_first(void **state)
{
        (void)state;
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "c/c", json_pack("{s:s}", "x", "${b/b.port}"), NULL); /* an output is a need */
        add(&desired, "b/b", json_object(), "a/a");
        add(&desired, "a/a", json_object(), NULL);
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make(&desired, NULL, 0, compare, NULL, &plan, NULL), 0);
        assert_int_equal(plan.create, 3);
        assert_true(place_of(&plan, "a/a") < place_of(&plan, "b/b"));
        assert_true(place_of(&plan, "b/b") < place_of(&plan, "c/c"));
        const struct plan_step *c = step_of(&plan, "c/c");
        assert_int_equal(c->after_count, 1);
        assert_string_equal(
                json_string_value(json_object_get(json_object_get(c->resource.spec, "x"), MARK_AFTER)), "b/b.port");
}

static void test_known_outputs_are_put_in_and_nothing_is_to_do(void **state)
{
        (void)state;
        json_auto_t *empty = json_object(), *outputs = json_pack("{s:i}", "port", 8001),
                    *used = json_pack("{s:i}", "x", 8001);
        json_auto_t *seen = json_pack("{s:b}", "there", 1);
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "b/b", json_pack("{s:s}", "x", "${a/a.port}"), NULL);
        add(&desired, "a/a", json_object(), NULL);
        char digest[2][DIGEST_SIZE];
        const struct plan_known all[] = {
                known("a/a", empty, seen, outputs, digest[0]), known("b/b", used, seen, NULL, digest[1])};
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make(&desired, all, 2, compare, NULL, &plan, NULL), 0);
        assert_int_equal(plan.create + plan.update + plan.replace + plan.remove + plan.refuse, 0);
        assert_int_equal(json_integer_value(json_object_get(step_of(&plan, "b/b")->resource.spec, "x")), 8001);
}

static void test_form_change_and_drift_are_told_apart(void **state)
{
        (void)state;
        json_auto_t *old = json_pack("{s:i}", "size", 1), *seen = json_pack("{s:s}", "mode", "0644"),
                    *other = json_pack("{s:s}", "mode", "0777");
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "a/changed", json_pack("{s:i}", "size", 2), NULL);
        add(&desired, "a/drifted", json_pack("{s:i}", "size", 1), NULL);
        add(&desired, "a/gone", json_pack("{s:i}", "size", 1), NULL);
        char digest[3][DIGEST_SIZE];
        struct plan_known all[] = {known("a/changed", old, seen, NULL, digest[0]),
                known("a/drifted", old, seen, NULL, digest[1]), known("a/gone", old, seen, NULL, digest[2])};
        all[1].state = other;
        all[2].state = NULL;
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make(&desired, all, 3, compare, NULL, &plan, NULL), 0);
        assert_int_equal(plan.update, 2);
        assert_int_equal(plan.create, 1);
        const struct plan_step *changed = step_of(&plan, "a/changed"), *drifted = step_of(&plan, "a/drifted");
        assert_string_equal(changed->change.reason, "changed");
        assert_string_equal(
                json_string_value(json_object_get(json_array_get(changed->change.fields, 0), "path")), "size");
        assert_string_equal(drifted->change.reason, "drift");
        assert_true(json_is_true(json_object_get(json_array_get(drifted->change.fields, 0), "drift")));
        assert_string_equal(step_of(&plan, "a/gone")->change.reason, "missing");
}

static void test_interrupted_is_applied_again(void **state)
{
        (void)state;
        json_auto_t *spec = json_object(), *seen = json_object();
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "a/a", json_object(), NULL);
        char digest[DIGEST_SIZE];
        struct plan_known all[] = {known("a/a", spec, seen, NULL, digest)};
        all[0].recorded.complete = false;
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make(&desired, all, 1, compare, NULL, &plan, NULL), 0);
        assert_string_equal(step_of(&plan, "a/a")->change.reason, "interrupted");
}

static void test_removals_go_backwards(void **state)
{
        (void)state;
        json_auto_t *spec = json_object();
        char digest[3][DIGEST_SIZE];
        char *needs_a[] = {(char *)"a/a", NULL}, *needs_b[] = {(char *)"b/b", NULL};
        struct plan_known all[] = {known("a/a", spec, spec, NULL, digest[0]), known("b/b", spec, spec, NULL, digest[1]),
                known("c/c", spec, spec, NULL, digest[2])};
        all[1].needs = needs_a;
        all[2].needs = needs_b;
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make_removal(all, 3, &plan, NULL), 0);
        assert_int_equal(plan.remove, 3);
        assert_true(place_of(&plan, "c/c") < place_of(&plan, "b/b"));
        assert_true(place_of(&plan, "b/b") < place_of(&plan, "a/a"));
        assert_int_equal(step_of(&plan, "a/a")->after_count, 1);
}

static void test_no_longer_wanted_is_removed(void **state)
{
        (void)state;
        json_auto_t *spec = json_object();
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "a/a", json_object(), NULL);
        char digest[2][DIGEST_SIZE];
        const struct plan_known all[] = {
                known("a/a", spec, spec, NULL, digest[0]), known("old/x", spec, spec, NULL, digest[1])};
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make(&desired, all, 2, compare, NULL, &plan, NULL), 0);
        assert_int_equal(plan.remove, 1);
        assert_int_equal(step_of(&plan, "old/x")->change.action, ACTION_REMOVE);
}

static void expect_error(struct resources *desired, const char *text)
{
        CLEANUP_ERR struct err *err = NULL;
        struct plan plan = {0};
        assert_int_equal(plan_make(desired, NULL, 0, compare, NULL, &plan, &err), -ERR_INVALID);
        if (!strstr(err->message, text))
                fail_msg("\"%s\" does not say \"%s\"", err->message, text);
        assert_null(plan.step);
}

static void test_a_circle_is_said_by_its_ids(void **state)
{
        (void)state;
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "z/first", json_object(), "a/a");
        add(&desired, "a/a", json_object(), "b/b");
        add(&desired, "b/b", json_pack("{s:s}", "x", "${c/c.y}"), NULL);
        add(&desired, "c/c", json_object(), "a/a");
        expect_error(&desired, "a/a needs b/b needs c/c needs a/a");
}

static void test_a_need_that_does_not_exist(void **state)
{
        (void)state;
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "a/a", json_pack("{s:s}", "x", "${no/such.y}"), NULL);
        expect_error(&desired, "a/a needs no/such, which does not exist");
}

static void test_an_id_twice(void **state)
{
        (void)state;
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "a/a", json_object(), NULL);
        add(&desired, "a/a", json_object(), NULL);
        expect_error(&desired, "a/a is there twice");
}

static void test_an_output_that_does_not_exist(void **state)
{
        (void)state;
        json_auto_t *spec = json_object();
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "a/a", json_object(), NULL);
        add(&desired, "b/b", json_pack("{s:s}", "x", "${a/a.nothing}"), NULL);
        char digest[DIGEST_SIZE];
        const struct plan_known all[] = {known("a/a", spec, spec, spec, digest)};
        CLEANUP_ERR struct err *err = NULL;
        struct plan plan = {0};
        assert_int_equal(plan_make(&desired, all, 1, compare, NULL, &plan, &err), -ERR_INVALID);
        assert_non_null(strstr(err->message, "a/a has no output nothing"));
}

static void test_what_could_not_be_looked_at(void **state)
{
        (void)state;
        json_auto_t *spec = json_object();
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "a/a", json_object(), NULL);
        char digest[DIGEST_SIZE];
        struct plan_known all[] = {known("a/a", spec, spec, NULL, digest)};
        all[0].state = NULL;
        all[0].unseen = "the server is down";
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make(&desired, all, 1, compare, NULL, &plan, NULL), 0);
        assert_int_equal(plan.update, 1);
        assert_string_equal(step_of(&plan, "a/a")->change.reason, "the server is down");
}

static void test_secrets_never_show(void **state)
{
        (void)state;
        json_auto_t *old = json_pack("{s:{s:s,s:i}}", "password", MARK_SECRET, "hub/x", "version", 1),
                    *seen = json_object();
        CLEANUP_RESOURCES struct resources desired = {0};
        add(&desired, "a/a", json_pack("{s:{s:s,s:i}}", "password", MARK_SECRET, "hub/x", "version", 2), NULL);
        char digest[DIGEST_SIZE];
        const struct plan_known all[] = {known("a/a", old, seen, NULL, digest)};
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make(&desired, all, 1, compare, NULL, &plan, NULL), 0);
        assert_int_equal(plan.update, 1);
        json_auto_t *shown = plan_to_json(&plan, false);
        char *text = json_dumps(shown, 0);
        assert_non_null(strstr(text, "(secret)"));
        assert_null(strstr(text, "$secret"));
        free(text);
}

static void test_ten_thousand_in_a_row(void **state)
{
        (void)state;
        CLEANUP_RESOURCES struct resources desired = {0};
        for (int i = 0; i < 10000; i++) {
                CLEANUP_FREE char *id = str_format("r/%d", i), *need = i ? str_format("r/%d", i - 1) : NULL;
                add(&desired, id, json_object(), need);
        }
        CLEANUP_PLAN struct plan plan = {0};
        assert_int_equal(plan_make(&desired, NULL, 0, compare, NULL, &plan, NULL), 0);
        assert_string_equal(plan.step[9999].resource.id, "r/9999");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_needs_come_first),
                cmocka_unit_test(test_known_outputs_are_put_in_and_nothing_is_to_do),
                cmocka_unit_test(test_form_change_and_drift_are_told_apart),
                cmocka_unit_test(test_interrupted_is_applied_again),
                cmocka_unit_test(test_removals_go_backwards),
                cmocka_unit_test(test_no_longer_wanted_is_removed),
                cmocka_unit_test(test_a_circle_is_said_by_its_ids),
                cmocka_unit_test(test_a_need_that_does_not_exist),
                cmocka_unit_test(test_an_id_twice),
                cmocka_unit_test(test_an_output_that_does_not_exist),
                cmocka_unit_test(test_what_could_not_be_looked_at),
                cmocka_unit_test(test_secrets_never_show),
                cmocka_unit_test(test_ten_thousand_in_a_row),
        };
        return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
