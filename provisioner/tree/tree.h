/* YAML or JSON text as a jansson tree that knows line and column of every node.
 *
 * YAML 1.2 core schema: plain scalars are null, true/false, integers, floats or strings ("yes" is a string); quoted
 * ones are strings. Anchors, aliases and merge keys (<<) work within bounds; a node brought in by one keeps the place
 * where it was written. Refused, with a place: tags, duplicate keys, tabs, NaN and infinities, numbers out of range,
 * keys that are no strings, a second document, bytes that are not UTF-8, more than TREE_NODES_MAX nodes after
 * expansion, deeper than TREE_DEPTH_MAX, more than TREE_BYTES_MAX bytes. */
#ifndef CAAS_TREE_TREE_H
#define CAAS_TREE_TREE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "tree/diag.h"

#define TREE_BYTES_MAX (1024 * 1024)
#define TREE_DEPTH_MAX 64
#define TREE_NODES_MAX 100000

struct tree; /* the root and the places */

/* All findings of syntax go to diags. 0 with *ret_tree, or -ERR_INVALID with at least one finding and *ret_tree
 * untouched. The text of an empty document is a null root. */
int tree_parse(const char *text, size_t length, struct tree **ret_tree, struct diags *diags);

/* The same for a checker that wants to go on looking after a finding that leaves the structure sound (a duplicate key,
 * a number out of range, a tag): -ERR_INVALID, but *ret_tree is set, with null where a value could not be understood.
 * After a fault of syntax *ret_tree is untouched. */
int tree_parse_all(const char *text, size_t length, struct tree **ret_tree, struct diags *diags);

/* Was there a finding about this very value? Then a second one would only confuse. */
bool tree_suspect(const struct tree *tree, const char *path);

/* Reads a file and parses it; every finding is put into *err as lines "file:line:column: message" (err's own file is
 * then NULL). For files of ours (role.yaml), where one error is enough to say. */
int tree_load(const char *path, struct tree **ret_tree, struct err **err);

json_t *tree_root(struct tree *tree); /* borrowed */
struct tree *tree_free(struct tree *tree);

/* Where a node stands. Paths as "notebook.cpus", "profiles[2].name", "" for the root; a key with a dot or bracket in it
 * is written ["a.b"] (tree/path.h makes them). Key: where the key stands (the value itself for items of lists). 0,0 if
 * there is no such node. */
void tree_place(const struct tree *tree, const char *path, int *ret_line, int *ret_column);
void tree_key_place(const struct tree *tree, const char *path, int *ret_line, int *ret_column);

/* The node at a path, or NULL. Borrowed. */
json_t *tree_get(const json_t *root, const char *path);

/* Writes a tree as YAML that tree_parse reads back to an equal tree. The caller frees. */
char *tree_to_yaml(const json_t *root);

#endif
