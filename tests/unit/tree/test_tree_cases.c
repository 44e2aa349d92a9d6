/* tests/cases/tree: the values of a text with all their places, or everything that is wrong with it. */
#include "cases.h"

#include "tree/number.h"
#include "tree/path.h"

static void list_places(struct tree *tree, const json_t *node, const char *path, json_t *places)
{
        int line, column, key_line, key_column;
        tree_place(tree, path, &line, &column);
        tree_key_place(tree, path, &key_line, &key_column);
        assert_ptr_equal(tree_get(tree_root(tree), path), node);
        CLEANUP_FREE char *text = str_format("%d:%d key %d:%d", line, column, key_line, key_column);
        json_object_set_new(places, path, json_string(text));
        const char *key;
        json_t *item;
        size_t i;
        json_object_foreach ((json_t *)node, key, item) {
                CLEANUP_FREE char *below = path_key(path, key);
                list_places(tree, item, below, places);
        }
        json_array_foreach ((json_t *)node, i, item) {
                CLEANUP_FREE char *below = path_item(path, i);
                list_places(tree, item, below, places);
        }
}

/* Written as YAML and read again, it is the same. */
static void must_round_trip(const json_t *root)
{
        CLEANUP_FREE char *yaml = tree_to_yaml(root);
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *again = NULL;
        if (tree_parse(yaml, strlen(yaml), &again, &diags) < 0)
                fail_msg("cannot be read back: %s\n%s", diags.item[0].message, yaml);
        assert_true(json_equal(root, tree_root(again)));
        tree_free(again);
}

static struct case_result run(const char *folder, const char *text, size_t length)
{
        (void)folder;
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        int rc = tree_parse(text, length, &tree, &diags);
        diags_sort(&diags);
        if (rc < 0) {
                assert_int_equal(rc, -ERR_INVALID);
                assert_null(tree);
                assert_true(diags.count > 0);
                return (struct case_result){.error = cases_findings(&diags)};
        }
        assert_int_equal(diags.count, 0);
        must_round_trip(tree_root(tree));
        json_auto_t *result = json_object();
        json_t *places = json_object();
        json_object_set(result, "value", tree_root(tree));
        json_object_set_new(result, "places", places);
        list_places(tree, tree_root(tree), "", places);
        tree_free(tree);
        char *output = json_dumps(result, JSON_INDENT(2));
        char *with_newline = str_format("%s\n", output);
        free(output);
        return (struct case_result){.output = with_newline};
}

int main(void)
{
        return cases_main("tree", 40, run);
}
