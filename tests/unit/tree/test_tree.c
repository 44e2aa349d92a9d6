/* Trees: limits, paths, files, findings, comparing, laying over, digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "tree/diff.h"
#include "tree/digest.h"
#include "tree/merge.h"
#include "tree/number.h"
#include "tree/path.h"
#include "tree/share.h"
#include "tree/tree.h"

/* ---- limits ---- */

static int parse(const char *text, size_t length, struct diags *diags)
{
        struct tree *tree = NULL;
        int rc = tree_parse(text, length, &tree, diags);
        assert_true((rc < 0) == (tree == NULL));
        tree_free(tree);
        return rc;
}

/* A text of `count` times `piece` between the two ends. */
static char *repeat(const char *begin, const char *piece, size_t count, const char *end)
{
        struct buf buf = BUF_INIT(4 * TREE_BYTES_MAX);
        buf_str(&buf, begin);
        for (size_t i = 0; i < count; i++)
                buf_str(&buf, piece);
        buf_str(&buf, end);
        return buf_steal(&buf);
}

static void test_size(void **state)
{
        (void)state;
        CLEANUP_DIAGS struct diags diags = {0};
        char *text = mem_zero(TREE_BYTES_MAX + 2);
        memset(text, ' ', TREE_BYTES_MAX + 1);
        assert_int_equal(parse(text, TREE_BYTES_MAX, &diags), 0);
        assert_int_equal(parse(text, TREE_BYTES_MAX + 1, &diags), -ERR_INVALID);
        assert_int_equal(diags.item[0].line, 0);
        free(text);
}

static void test_count(void **state)
{
        (void)state;
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_FREE char *fits = repeat("[0", ",0", TREE_NODES_MAX - 2, "]");
        CLEANUP_FREE char *over = repeat("[0", ",0", TREE_NODES_MAX - 1, "]");
        assert_int_equal(parse(fits, strlen(fits), &diags), 0);
        assert_int_equal(parse(over, strlen(over), &diags), -ERR_INVALID);
        assert_int_equal(diags.count, 1);
}

static void test_depth(void **state)
{
        (void)state;
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_FREE char *open = repeat("", "[", TREE_DEPTH_MAX, "");
        CLEANUP_FREE char *fits = repeat(open, "]", TREE_DEPTH_MAX, "");
        CLEANUP_FREE char *over = repeat("", "[", TREE_DEPTH_MAX + 1, "");
        assert_int_equal(parse(fits, strlen(fits), &diags), 0);
        assert_int_equal(parse(over, strlen(over), &diags), -ERR_INVALID);
}

/* Large texts of every kind that could make a reader slow: it is enough that they end (the runner has a time-out). */
static void test_large_texts(void **state)
{
        (void)state;
        static const char *const pieces[][3] = {{"[", "[", ""}, {"", "- ", ""}, {"", "a: ", ""}, {"", "? ", ""},
                {"", "&a ", "x"}, {"\"", "x", "\""}, {"\"", "\\n", "\""}, {"", "x ", ""}, {"", "#\n", ""},
                {"", "\n", ""}, {"", "a: 1\n", ""}, {"", "- &a 1\n- *a\n", ""}, {"a: |\n", " x\n", ""}, {"", "\t", ""},
                {"", "*a ", ""}, {"{", "a: 1, ", "}"}, {"", "1", ""}, {"0.", "1", ""}, {"", "---\n", ""},
                {"{", "? a : b, ", "}"}, {"", "!!str ", ""}, {"", "\xc3\xa4", ""}};
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
                CLEANUP_DIAGS struct diags diags = {0};
                size_t count = (TREE_BYTES_MAX - 4) / strlen(pieces[i][1]);
                CLEANUP_FREE char *text = repeat(pieces[i][0], pieces[i][1], count, pieces[i][2]);
                parse(text, strlen(text), &diags);
        }
}

static void test_nested_anchors_cost_no_memory(void **state)
{
        (void)state;
        CLEANUP_DIAGS struct diags diags = {0};
        CLEANUP_BUF struct buf buf = BUF_INIT(TREE_BYTES_MAX);
        for (int i = 0; i < 60; i++)
                buf_format(&buf, "&a%d [", i);
        buf_str(&buf, "[]");
        for (int i = 0; i < 90000; i++)
                buf_str(&buf, ",[]");
        for (int i = 0; i < 60; i++)
                buf_str(&buf, "]");
        assert_int_equal(parse(buf.data, buf.length, &diags), 0);
}

/* ---- after a finding that leaves the structure sound ---- */

static void test_parse_all(void **state)
{
        (void)state;
        static const char text[] = "a: 1e400\nb: 2\nb: 3\nc: [!x y, {d: .nan}]\n";
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        assert_int_equal(tree_parse_all(text, sizeof text - 1, &tree, &diags), -ERR_INVALID);
        assert_non_null(tree);
        assert_int_equal(diags.count, 4);
        assert_true(tree_suspect(tree, "a"));
        assert_true(json_is_null(tree_get(tree_root(tree), "a")));
        assert_false(tree_suspect(tree, "b"));
        assert_int_equal(json_integer_value(tree_get(tree_root(tree), "b")), 2);
        assert_true(tree_suspect(tree, "c[0]"));
        assert_true(tree_suspect(tree, "c[1].d"));
        assert_false(tree_suspect(tree, "c"));
        assert_false(tree_suspect(tree, "no.such"));
        tree_free(tree);
        struct tree *untouched = NULL;
        assert_int_equal(tree_parse_all("a: [", 4, &untouched, &diags), -ERR_INVALID);
        assert_null(untouched);
}

static void test_aliases_are_independent(void **state)
{
        (void)state;
        static const char text[] = "a: &a {x: [1]}\nb: *a\n";
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        assert_int_equal(tree_parse(text, sizeof text - 1, &tree, &diags), 0);
        json_array_append_new(tree_get(tree_root(tree), "b.x"), json_integer(2));
        assert_int_equal(json_array_size(tree_get(tree_root(tree), "a.x")), 1);
        tree_free(tree);
}

/* ---- paths ---- */

static void test_paths(void **state)
{
        (void)state;
        static const char *const keys[] = {"a", "a.b", "", "[", "]", "x\"y", "\\", "\\\"", "a b", "ä", "a[0]", "0"};
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
                for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
                        CLEANUP_FREE char *first = path_key("", keys[i]);
                        CLEANUP_FREE char *second = path_item(first, 17);
                        CLEANUP_FREE char *third = path_key(second, keys[k]);
                        json_auto_t *list = json_array(), *root = json_object();
                        for (int n = 0; n < 17; n++)
                                json_array_append_new(list, json_null());
                        json_array_append_new(list, json_pack("{s:i}", keys[k], 7));
                        json_object_set(root, keys[i], list);
                        assert_int_equal(json_integer_value(tree_get(root, third)), 7);
                        CLEANUP_FREE char *above = path_parent(third);
                        assert_string_equal(above, second);
                        CLEANUP_FREE char *above_that = path_parent(above);
                        assert_string_equal(above_that, first);
                        CLEANUP_FREE char *top = path_parent(above_that);
                        assert_string_equal(top, "");
                        assert_null(path_parent(top));
                }
        }
}

static void test_malformed_paths(void **state)
{
        (void)state;
        static const char *const malformed[] = {".", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[0", "[\"a]", "[\"a\"",
                "a[0]b", "a.[0]", "a[-1]", "a[99999999999999999999999]", "[\"a\\\"]"};
        json_auto_t *root = json_pack("{s:[i]}", "a", 1);
        for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
                assert_null(tree_get(root, malformed[i]));
                assert_null(path_parent(malformed[i]));
        }
        assert_ptr_equal(tree_get(root, ""), root);
        assert_null(tree_get(root, "a[1]"));
        assert_null(tree_get(root, "a.b"));
        assert_null(tree_get(NULL, "a"));
}

/* ---- files ---- */

static void test_load(void **state)
{
        (void)state;
        char folder[] = "/tmp/caas-test-XXXXXX";
        assert_non_null(mkdtemp(folder));
        CLEANUP_FREE char *path = file_join(folder, "role.yaml");
        struct tree *tree = NULL;
        CLEANUP_ERR struct err *missing = NULL;
        assert_int_equal(tree_load(path, &tree, &missing), -ERR_NOT_FOUND);
        assert_int_equal(file_write_atomic(path, "a: 1\na: 2\nb: .nan\n", 18, 0644, (uid_t)-1, (gid_t)-1, NULL), 0);
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(tree_load(path, &tree, &err), -ERR_INVALID);
        assert_null(tree);
        assert_null(err->file);
        CLEANUP_FREE char *wanted =
                str_format("%s:2:1: a: stands here twice: the first is in line 1\n%s:3:4: b: .nan is no finite number",
                        path, path);
        assert_string_equal(err->message, wanted);
        assert_int_equal(file_write_atomic(path, "a: [1]\n", 7, 0644, (uid_t)-1, (gid_t)-1, NULL), 0);
        assert_int_equal(tree_load(path, &tree, NULL), 0);
        assert_int_equal(json_integer_value(tree_get(tree_root(tree), "a[0]")), 1);
        tree_free(tree);
        file_remove_tree(folder, NULL);
}

/* ---- findings ---- */

static void test_findings_are_sorted_and_stable(void **state)
{
        (void)state;
        CLEANUP_DIAGS struct diags diags = {0};
        static const int places[][2] = {{3, 1}, {1, 5}, {1, 2}, {0, 0}, {3, 1}, {1, 5}, {2, 9}};
        for (int i = 0; i < 7; i++)
                diags_add(&diags, places[i][0], places[i][1], "%d", i);
        diags_sort(&diags);
        static const char *const order[] = {"3", "2", "1", "5", "6", "0", "4"};
        for (size_t i = 0; i < 7; i++)
                assert_string_equal(diags.item[i].message, order[i]);
}

static void test_quoting(void **state)
{
        (void)state;
        static const char *const pairs[][2] = {{"", "\"\""}, {"a\"\\b", "\"a\\\"\\\\b\""},
                {"x\ny\tz\x1b", "\"x\\ny\\x09z\\x1b\""}, {"ä€😀", "\"ä€😀\""}, {"\xc2\x9b\xe2\x80\xae", "\"??\""},
                {"a\xef\xbb\xbf"
                 "b\xe2\x80\x8b\xc2\xad\xe2\x81\xa0",
                        "\"a?b???\""},
                {"\xc2\xa0\xe2\x80\xa6\xef\xbb\xbe", "\"\xc2\xa0\xe2\x80\xa6\xef\xbb\xbe\""}};
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
                CLEANUP_FREE char *quoted = diag_quote(pairs[i][0]);
                assert_string_equal(quoted, pairs[i][1]);
        }
        char text[201] = {0};
        memset(text, 'x', 200);
        CLEANUP_FREE char *cut = diag_quote(text);
        assert_int_equal(strlen(cut), 60 + 2 + strlen("…"));
}

/* ---- comparing, laying over, digests ---- */

static json_t *json(const char *text)
{
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        return value;
}

static void expect_diff(const char *old, const char *new_, const char *wanted)
{
        json_auto_t *a = old ? json(old) : NULL, *b = new_ ? json(new_) : NULL, *changes = diff_trees(a, b);
        char *text = json_dumps(changes, JSON_COMPACT);
        assert_string_equal(text, wanted);
        free(text);
}

static void test_diff(void **state)
{
        (void)state;
        expect_diff("{\"a\": 1}", "{\"a\": 1}", "[]");
        expect_diff("{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", "[]");
        expect_diff("{\"b\": 1, \"a\": {\"x\": [1, 2]}}", "{\"b\": 2, \"a\": {\"x\": [1, 3, 4]}, \"c\": null}",
                "[{\"path\":\"a.x[1]\",\"old\":2,\"new\":3},{\"path\":\"a.x[2]\",\"new\":4},{\"path\":\"b\",\"old\":1,"
                "\"new\":2},"
                "{\"path\":\"c\",\"new\":null}]");
        expect_diff("{\"a\": [1, 2]}", "{\"a\": {}}", "[{\"path\":\"a\",\"old\":[1,2],\"new\":{}}]");
        expect_diff("{\"a\": 1}", "{\"a\": 1.0}", "[{\"path\":\"a\",\"old\":1,\"new\":1.0}]");
        expect_diff(NULL, "{\"a.b\": {\"c\": 1}}", "[{\"path\":\"[\\\"a.b\\\"]\",\"new\":{\"c\":1}}]");
        expect_diff("{\"a\": 1}", NULL, "[{\"path\":\"a\",\"old\":1}]");
        expect_diff(NULL, NULL, "[]");
        expect_diff("1", "2", "[{\"path\":\"\",\"old\":1,\"new\":2}]");
        /* ten comes after nine */
        expect_diff("[0,1,2,3,4,5,6,7,8,9,0]", "[0,1,2,3,4,5,6,7,8,0,1]",
                "[{\"path\":\"[9]\",\"old\":9,\"new\":0},{\"path\":\"[10]\",\"old\":0,\"new\":1}]");
}

static void test_diff_hides_secrets(void **state)
{
        (void)state;
        expect_diff("{\"a\": {\"$secret\": \"x\", \"version\": 1}}", "{\"a\": {\"$secret\": \"x\", \"version\": 2}}",
                "[{\"path\":\"a\",\"old\":\"(secret)\",\"new\":\"(secret)\"}]");
        expect_diff("{}", "{\"a\": [{\"p\": {\"$secret\": \"x\"}, \"q\": {\"$after\": \"y/z.a\"}}]}",
                "[{\"path\":\"a\",\"new\":[{\"p\":\"(secret)\",\"q\":\"(known after apply)\"}]}]");
        expect_diff("{\"a\": \"old\"}",
                "{\"a\": {\"$join\": [\"u:\", {\"$secret\": \"x\"}, \"@\", {\"$after\": \"h/i.j\"}, 5]}}",
                "[{\"path\":\"a\",\"old\":\"old\",\"new\":\"u:(secret)@(known after apply)5\"}]");
        expect_diff("{\"a\": {\"$join\": [\"a\", {\"$secret\": \"x\"}]}}",
                "{\"a\": {\"$join\": [\"a\", {\"$secret\": \"x\"}]}}", "[]");
}

static void expect_merge(const char *base, const char *over, const char *wanted)
{
        json_auto_t *a = json(base), *b = json(over), *a_before = json(base), *b_before = json(over);
        json_auto_t *merged = merge_trees(a, b), *expected = json(wanted);
        assert_true(json_equal(merged, expected));
        assert_true(json_equal(a, a_before) && json_equal(b, b_before));
}

static void test_merge(void **state)
{
        (void)state;
        expect_merge("{\"a\": {\"x\": 1, \"y\": 2}, \"b\": [1]}",
                "{\"a\": {\"y\": 3, \"z\": 4}, \"b\": [2, 3], \"c\": null}",
                "{\"a\": {\"x\": 1, \"y\": 3, \"z\": 4}, \"b\": [2, 3], \"c\": null}");
        expect_merge("{\"a\": {\"x\": 1}}", "{\"a\": 5}", "{\"a\": 5}");
        expect_merge("{\"a\": 5}", "{\"a\": {\"x\": 1}}", "{\"a\": {\"x\": 1}}");
        expect_merge("[1]", "{}", "{}");
        /* markers are values, not mappings */
        expect_merge("{\"a\": {\"$secret\": \"x\", \"version\": 1}}", "{\"a\": {\"$after\": \"y\"}}",
                "{\"a\": {\"$after\": \"y\"}}");
        expect_merge("{\"a\": {\"x\": 1}}", "{\"a\": {\"$secret\": \"y\"}}", "{\"a\": {\"$secret\": \"y\"}}");
        json_auto_t *only = json("{\"a\": 1}"), *left = merge_trees(only, NULL), *right = merge_trees(NULL, only);
        assert_true(json_equal(left, only) && json_equal(right, only));
}

static void expect_digests(const char *a, const char *b, bool equal)
{
        char first[DIGEST_SIZE], second[DIGEST_SIZE];
        json_auto_t *x = json(a), *y = json(b);
        digest_tree(x, first);
        digest_tree(y, second);
        assert_int_equal(strlen(first), DIGEST_SIZE - 1);
        assert_int_equal(strcmp(first, second) == 0, equal);
}

static void test_share(void **state)
{
        (void)state;
        static const char mine[] =
                "{\"same\": {\"b\": [1, {\"x\": \"y\"}], \"a\": \"text\"}, \"own\": [1, \"two\", 4], \"alone\": 1}";
        static const char theirs[] = "{\"own\": [1, \"two\", 3, 4], \"same\": {\"a\": \"text\", \"b\": [1, {\"x\": "
                                     "\"y\"}]}, \"alone\": \"1\"}";
        json_auto_t *tree = json(mine), *copy = json(mine), *with = json(theirs), *before = json(theirs);
        share_trees(tree, with);
        assert_true(json_equal(tree, copy));
        assert_true(json_equal(with, before));
        assert_ptr_equal(json_object_get(tree, "same"), json_object_get(with, "same"));
        json_t *list = json_object_get(tree, "own"), *other = json_object_get(with, "own");
        assert_ptr_not_equal(list, other);
        assert_ptr_equal(json_array_get(list, 1), json_array_get(other, 1));
        assert_ptr_not_equal(json_array_get(list, 2), json_array_get(other, 2));
        share_trees(tree, NULL);
        share_trees(NULL, with);
        share_trees(list, with);
        assert_true(json_equal(tree, copy));
}

static void test_digest(void **state)
{
        (void)state;
        char digest[DIGEST_SIZE];
        digest_bytes("abc", 3, digest);
        assert_string_equal(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        digest_bytes(NULL, 0, digest);
        assert_string_equal(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        /* sha256 of {"a":1,"b":[2,null]} */
        json_auto_t *tree = json("{\"b\": [2, null], \"a\": 1}");
        digest_tree(tree, digest);
        char by_hand[DIGEST_SIZE];
        digest_bytes("{\"a\":1,\"b\":[2,null]}", 20, by_hand);
        assert_string_equal(digest, by_hand);
        expect_digests("{\"a\": 1, \"b\": 2}", "{\"b\": 2, \"a\": 1}", true);
        expect_digests("{\"a\": 1}", "{\"a\": 1.0}", false);
        expect_digests("[1, 2]", "[2, 1]", false);
        expect_digests("\"1\"", "1", false);
}

static void test_number_texts(void **state)
{
        (void)state;
        static const struct {
                double value;
                const char *text;
        } reals[] = {{0.1, "0.1"}, {1, "1.0"}, {1e20, "1e+20"}, {-2.5, "-2.5"}, {1.0 / 3, "0.3333333333333333"},
                {0, "0.0"}, {5e-324, "4.94065645841247e-324"}, {1.7976931348623157e308, "1.7976931348623157e+308"}};
        for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
                json_auto_t *value = json_real(reals[i].value);
                CLEANUP_FREE char *text = scalar_text(value);
                assert_string_equal(text, reals[i].text);
        }
        json_auto_t *list = json_array();
        assert_null(scalar_text(list));
        assert_null(scalar_text(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_size),
                cmocka_unit_test(test_count),
                cmocka_unit_test(test_depth),
                cmocka_unit_test(test_large_texts),
                cmocka_unit_test(test_nested_anchors_cost_no_memory),
                cmocka_unit_test(test_parse_all),
                cmocka_unit_test(test_aliases_are_independent),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_malformed_paths),
                cmocka_unit_test(test_load),
                cmocka_unit_test(test_findings_are_sorted_and_stable),
                cmocka_unit_test(test_quoting),
                cmocka_unit_test(test_diff),
                cmocka_unit_test(test_diff_hides_secrets),
                cmocka_unit_test(test_merge),
                cmocka_unit_test(test_share),
                cmocka_unit_test(test_digest),
                cmocka_unit_test(test_number_texts),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
