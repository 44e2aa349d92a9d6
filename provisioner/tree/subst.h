/* ${…} in a parsed tree. A scalar that is exactly one placeholder becomes the value with its type; inside longer text
 * the value's text is put in. Keys are not touched. "$${" gives a literal "${". Nothing that was put in is looked at
 * again, so a value cannot inject a placeholder.
 *
 * Grammar: ${name} with name of [A-Za-z0-9_./-]+, at most 200 characters. An unclosed or malformed placeholder is an
 * error.
 *
 * The lookup answers SUBST_VALUE with a new reference, SUBST_KEEP (the placeholder stays as it is, for a later pass; a
 * "$${" stays, too, when `keep` is asked for below), or fails. A value that is a marker (an object with one of the keys
 * of role/resource.h: "$secret", "$after") inside longer text makes the string a {"$join": […]} marker. Other objects,
 * arrays and null inside longer text are an error. */
#ifndef CAAS_TREE_SUBST_H
#define CAAS_TREE_SUBST_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

enum subst_answer { SUBST_VALUE, SUBST_KEEP };

/* Returns an answer, or a negative error. *ret is set (new reference) with SUBST_VALUE only. */
typedef int (*subst_lookup)(void *data, const char *name, json_t **ret, struct err **err);

/* *ret is a new tree. more_passes: leave "$${" alone because another pass follows. Errors say the path of the scalar.
 */
int subst_tree(const json_t *tree, subst_lookup lookup, void *data, bool more_passes, json_t **ret, struct err **err);

/* The same, but what no placeholder stands in is the very node of `tree`, one reference more: the result is not to be
 * changed. */
int subst_tree_shared(
        const json_t *tree, subst_lookup lookup, void *data, bool more_passes, json_t **ret, struct err **err);

/* The same for one piece of text; the answer is a string or a {"$join"} marker. */
int subst_text(const char *text, subst_lookup lookup, void *data, bool more_passes, json_t **ret, struct err **err);

/* Is it a marker? Which? */
bool subst_is_marker(const json_t *value);
bool subst_has_marker(const json_t *tree, const char *key); /* anywhere in it; key NULL = any marker */

#endif
