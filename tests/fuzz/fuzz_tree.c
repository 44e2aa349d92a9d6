/* Any bytes: no crash, findings exactly when refused, every node has a place, and what was read can be written and read
 * again. */
#include "base/mem.h"
#include "base/str.h"
#include "tree/diff.h"
#include "tree/digest.h"
#include "tree/merge.h"
#include "tree/path.h"
#include "tree/tree.h"
#include "fuzz.h"

static size_t nodes;

static void look(struct tree *tree, const json_t *node, const struct path_frame *at, int depth)
{
        const char *key;
        json_t *item;
        size_t i;
        int line, column;
        nodes++;
        MUST(depth <= TREE_DEPTH_MAX);
        if (nodes < 200) { /* paths from the root: enough of them */
                CLEANUP_FREE char *path = path_of(at);
                tree_place(tree, path, &line, &column);
                MUST(line > 0 && column > 0);
                tree_key_place(tree, path, &line, &column);
                MUST(line > 0 && column > 0);
                MUST(tree_get(tree_root(tree), path) == node);
        }
        json_object_foreach ((json_t *)node, key, item) {
                struct path_frame below = {.above = at, .key = key};
                look(tree, item, &below, depth + 1);
        }
        json_array_foreach ((json_t *)node, i, item) {
                struct path_frame below = {.above = at, .index = i};
                look(tree, item, &below, depth + 1);
        }
}

static void round_trip(struct tree *tree)
{
        CLEANUP_FREE char *yaml = tree_to_yaml(tree_root(tree));
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *again = NULL;
        if (strlen(yaml) > TREE_BYTES_MAX)
                return;
        if (tree_parse(yaml, strlen(yaml), &again, &diags) < 0) {
                fprintf(stderr, "%s\n%s\n", yaml, diags.item[0].message);
                abort();
        }
        MUST(json_equal(tree_root(tree), tree_root(again)));
        char a[DIGEST_SIZE], b[DIGEST_SIZE];
        digest_tree(tree_root(tree), a);
        digest_tree(tree_root(again), b);
        MUST(strcmp(a, b) == 0);
        json_auto_t *changes = diff_trees(tree_root(tree), tree_root(again));
        MUST(json_array_size(changes) == 0);
        json_auto_t *merged = merge_trees(tree_root(tree), tree_root(again));
        MUST(json_equal(merged, tree_root(tree)));
        tree_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        int rc = tree_parse((const char *)data, size, &tree, &diags);
        MUST((rc < 0) == (diags.count > 0));
        MUST((rc < 0) == (tree == NULL));
        diags_sort(&diags);
        for (size_t i = 0; i < diags.count; i++)
                MUST(str_utf8(diags.item[i].message, strlen(diags.item[i].message), NULL));
        if (tree) {
                struct path_frame root = {0};
                nodes = 0;
                look(tree, tree_root(tree), &root, 1);
                MUST(nodes <= TREE_NODES_MAX);
                round_trip(tree);
        }
        tree_free(tree);
        return 0;
}
