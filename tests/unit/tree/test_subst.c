/* Placeholders: values keep their types, nothing that is put in is read again, markers pass through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/subst.h"

/* Looks names up in an object; "keep" and "keep.…" stay; "not.there" fails. */
static int lookup(void *data, const char *name, json_t **ret, struct err **err)
{
        json_t *value = json_object_get(data, name);
        if (str_starts(name, "keep"))
                return SUBST_KEEP;
        if (!value)
                return err_set(err, ERR_NOT_FOUND, "there is no such value");
        *ret = json_incref(value);
        return SUBST_VALUE;
}

static const char values[] =
        "{\"n\": 5, \"f\": 0.1, \"yes\": true, \"no\": false, \"null\": null, \"s\": \"text\", \"empty\": \"\","
        " \"list\": [1, \"${n}\"], \"map\": {\"k\": \"${n}\"}, \"evil\": \"${n}\", \"dollar\": \"$\", \"brace\": "
        "\"{n}\","
        " \"secret\": {\"$secret\": \"hub/x\"}, \"after\": {\"$after\": \"a/b.c\"}, \"escaped\": \"$${n}\","
        " \"join\": {\"$join\": [\"u:${n}@\", {\"$secret\": \"p\"}]}, \"a/b-c.d_e\": \"path\"}";

/* Substitutes in a tree given as JSON; the answer as compact JSON, "error: …" if it failed. */
static char *run(const char *tree, bool more_passes)
{
        json_auto_t *data = json_loads(values, 0, NULL), *root = json_loads(tree, JSON_DECODE_ANY, NULL),
                    *result = NULL;
        CLEANUP_ERR struct err *err = NULL, *again = NULL;
        assert_non_null(data);
        assert_non_null(root);
        int rc = subst_tree(root, lookup, data, more_passes, &result, &err);
        json_auto_t *same = json_loads(tree, JSON_DECODE_ANY, NULL), *shared = NULL;
        assert_true(json_equal(root, same));
        assert_int_equal(subst_tree_shared(root, lookup, data, more_passes, &shared, &again), rc);
        assert_true(json_equal(root, same));
        assert_true(rc < 0 ? !shared : json_equal(shared, result));
        if (rc < 0) {
                assert_null(result);
                return str_format("error: %s", err->message);
        }
        char *text = json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY);
        char *copy = str_copy(text);
        free(text);
        return copy;
}

static void expect(const char *tree, bool more_passes, const char *wanted)
{
        CLEANUP_FREE char *actual = run(tree, more_passes);
        assert_string_equal(actual, wanted);
}

static void test_whole_placeholder_keeps_its_type(void **state)
{
        (void)state;
        expect("[\"${n}\", \"${f}\", \"${yes}\", \"${null}\", \"${s}\", \"${empty}\"]", false,
                "[5,0.10000000000000001,true,null,\"text\",\"\"]");
        expect("{\"a\": {\"b\": \"${list}\"}}", false, "{\"a\":{\"b\":[1,\"${n}\"]}}");
        expect("\"${a/b-c.d_e}\"", false, "\"path\"");
}

static void test_inside_text(void **state)
{
        (void)state;
        expect("\"n=${n} f=${f} ${yes}/${no} <${empty}>${s}\"", false, "\"n=5 f=0.1 true/false <>text\"");
        expect("\"$ $n {n} $} ${s}$\"", false, "\"$ $n {n} $} text$\"");
        expect("\"$${n} $$${n} ${n}\"", false, "\"${n} $${n} 5\"");
}

static void test_keys_are_not_touched(void **state)
{
        (void)state;
        expect("{\"${n}\": \"${n}\"}", false, "{\"${n}\":5}");
}

static void test_nothing_is_read_again(void **state)
{
        (void)state;
        expect("[\"${evil}\", \"x${evil}\", \"${dollar}${brace}\", \"${dollar}{n}\", \"${escaped}!\"]", false,
                "[\"${n}\",\"x${n}\",\"${n}\",\"${n}\",\"$${n}!\"]");
}

/* First pass with more to come, second pass without: as if it had been one. */
static void two_passes(const char *tree, const char *wanted)
{
        CLEANUP_FREE char *between = run(tree, true);
        expect(between, false, wanted);
}

static void test_nothing_is_read_in_the_next_pass(void **state)
{
        (void)state;
        two_passes("[\"${evil}\", \"x${evil}\", \"${dollar}${brace}\", \"${dollar}{n}\", \"${escaped}!\", \"$${n}\"]",
                "[\"${n}\",\"x${n}\",\"${n}\",\"${n}\",\"$${n}!\",\"${n}\"]");
        two_passes("[\"${list}\", \"${map}\"]", "[[1,\"${n}\"],{\"k\":\"${n}\"}]");
        two_passes("\"${join}${evil}\"", "{\"$join\":[\"u:${n}@\",{\"$secret\":\"p\"},\"${n}\"]}");
        two_passes("\"${join}\"", "{\"$join\":[\"u:${n}@\",{\"$secret\":\"p\"}]}");
}

static void test_kept_placeholders_stay(void **state)
{
        (void)state;
        expect("[\"${keep}\", \"a${keep.x}b${n}\", \"$${n}\"]", true, "[\"${keep}\",\"a${keep.x}b5\",\"$${n}\"]");
        expect("[\"${keep}\", \"a${keep.x}b${n}\", \"$${n}\"]", false, "[\"${keep}\",\"a${keep.x}b5\",\"${n}\"]");
        /* a dollar put in before one that stays must not make an escape of it */
        expect("\"${dollar}${keep}\"", true, "{\"$join\":[\"$\",\"${keep}\"]}");
}

static void test_join_of_texts_becomes_a_text(void **state)
{
        (void)state;
        expect("{\"$join\": [\"$\", \"${n}\", \"-${s}\"]}", false, "\"$5-text\"");
        expect("{\"$join\": [\"${secret}\", \"!\"]}", false, "{\"$join\":[{\"$secret\":\"hub/x\"},\"!\"]}");
}

static void test_markers(void **state)
{
        (void)state;
        expect("\"${secret}\"", false, "{\"$secret\":\"hub/x\"}");
        expect("\"ldap://u:${secret}@${s}\"", false, "{\"$join\":[\"ldap://u:\",{\"$secret\":\"hub/x\"},\"@text\"]}");
        expect("\"${after}${secret}\"", false, "{\"$join\":[{\"$after\":\"a/b.c\"},{\"$secret\":\"hub/x\"}]}");
        expect("\"<${join}>\"", false, "{\"$join\":[\"<u:${n}@\",{\"$secret\":\"p\"},\">\"]}");
        json_auto_t *tree = json_loads("{\"a\": [{\"b\": {\"$secret\": \"x\"}}]}", 0, NULL);
        assert_true(subst_has_marker(tree, NULL));
        assert_true(subst_has_marker(tree, "$secret"));
        assert_false(subst_has_marker(tree, "$after"));
        assert_false(subst_is_marker(tree));
        assert_false(subst_is_marker(NULL));
}

static void test_errors_say_where(void **state)
{
        (void)state;
        expect("{\"a\": [{\"b.c\": \"x ${not.there}\"}]}", false,
                "error: a[0][\"b.c\"]: ${not.there}: there is no such value");
        expect("\"${not.there}\"", false, "error: ${not.there}: there is no such value");
        expect("{\"a\": \"x${null}\"}", false, "error: a: ${null} is null: it cannot stand inside a text");
        expect("{\"a\": \"x${list}\"}", false, "error: a: ${list} is a list: it cannot stand inside a text");
        expect("{\"a\": \"x${map}\"}", false, "error: a: ${map} is a mapping: it cannot stand inside a text");
        expect("\"${n\"", false, "error: ${n: the placeholder is not closed (write $${ for a literal ${)");
        static const char *const malformed[] = {
                "${}", "${ n}", "${n }", "${a b}", "${n:-x}", "${ä}", "x${", "${n${s}}", "${a$b}"};
        for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
                json_auto_t *text = json_string(malformed[i]), *result = NULL;
                CLEANUP_ERR struct err *err = NULL;
                assert_int_equal(subst_tree(text, lookup, NULL, false, &result, &err), -ERR_INVALID);
                assert_true(str_utf8(err->message, strlen(err->message), NULL));
        }
}

static void test_long_names(void **state)
{
        (void)state;
        char text[300] = "${keep";
        memset(text + 6, 'x', 196);
        memcpy(text + 202, "}", 2);
        json_auto_t *result = NULL;
        assert_int_equal(subst_text(text, lookup, NULL, true, &result, NULL), 0);
        memcpy(text + 202, "x}", 3);
        json_t *none = NULL;
        assert_int_equal(subst_text(text, lookup, NULL, true, &none, NULL), -ERR_INVALID);
        assert_null(none);
}

static void test_text_is_always_a_text(void **state)
{
        (void)state;
        json_auto_t *data = json_loads(values, 0, NULL), *number = NULL, *secret = NULL;
        assert_int_equal(subst_text("${n}", lookup, data, false, &number, NULL), 0);
        assert_string_equal(json_string_value(number), "5");
        assert_int_equal(subst_text("${secret}", lookup, data, false, &secret, NULL), 0);
        assert_int_equal(json_array_size(json_object_get(secret, "$join")), 1);
}

static void test_result_is_bounded(void **state)
{
        (void)state;
        char *large = mem_zero(1024 * 1024 + 1);
        memset(large, 'x', 1024 * 1024);
        json_auto_t *data = json_object(), *result = NULL;
        json_object_set_new(data, "large", json_string(large));
        CLEANUP_BUF struct buf text = BUF_INIT(10000);
        CLEANUP_ERR struct err *err = NULL;
        for (int i = 0; i < 17; i++)
                buf_str(&text, "${large}");
        assert_int_equal(subst_text(text.data, lookup, data, false, &result, &err), -ERR_INVALID);
        assert_string_equal(err->message, "the text grows beyond 16 MiB");
        free(large);
}

/* What nothing was put into is one memory, if that was asked for, and otherwise a tree of its own. */
static void test_what_stays_is_shared(void **state)
{
        (void)state;
        static const char text[] = "{\"a\": {\"b\": [1, {}]}, \"c\": [\"${n}\", {\"d\": \"x\"}, []], \"e\": \"y\"}";
        json_auto_t *data = json_loads(values, 0, NULL), *root = json_loads(text, 0, NULL), *shared = NULL, *own = NULL;
        assert_int_equal(subst_tree_shared(root, lookup, data, false, &shared, NULL), 0);
        assert_int_equal(subst_tree(root, lookup, data, false, &own, NULL), 0);
        assert_true(json_equal(shared, own));
        const json_t *list = json_object_get(root, "c"), *new_list = json_object_get(shared, "c");
        assert_ptr_equal(json_object_get(shared, "a"), json_object_get(root, "a"));
        assert_ptr_not_equal(new_list, list);
        assert_ptr_equal(json_array_get(new_list, 1), json_array_get(list, 1));
        json_object_set_new(json_object_get(own, "a"), "b", json_null());
        json_object_clear(json_array_get(json_object_get(own, "c"), 1));
        json_array_append_new(json_array_get(json_object_get(own, "c"), 2), json_true());
        json_auto_t *same = json_loads(text, 0, NULL), *nothing = NULL;
        assert_true(json_equal(root, same));
        assert_int_equal(subst_tree_shared(json_object_get(root, "a"), lookup, data, false, &nothing, NULL), 0);
        assert_ptr_equal(nothing, json_object_get(root, "a"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_stays_is_shared),
                cmocka_unit_test(test_whole_placeholder_keeps_its_type),
                cmocka_unit_test(test_inside_text),
                cmocka_unit_test(test_keys_are_not_touched),
                cmocka_unit_test(test_nothing_is_read_again),
                cmocka_unit_test(test_nothing_is_read_in_the_next_pass),
                cmocka_unit_test(test_kept_placeholders_stay),
                cmocka_unit_test(test_join_of_texts_becomes_a_text),
                cmocka_unit_test(test_markers),
                cmocka_unit_test(test_errors_say_where),
                cmocka_unit_test(test_long_names),
                cmocka_unit_test(test_text_is_always_a_text),
                cmocka_unit_test(test_result_is_bounded),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
