/* The types of the form's fields: is a value of one, and if not, what may have been meant? For this folder only. */
#ifndef CAAS_FORM_TYPE_H
#define CAAS_FORM_TYPE_H

#include <jansson.h>

#include "form/table.h"

/* 0 and *ret, the value as the complete form has it (new reference), or -1 with *ret_hint: more than "allowed is …",
 * for the caller to free; it may stay NULL. Not for groups and lists. */
int form_type_check(const struct form_field *field, const json_t *value, json_t **ret, char **ret_hint);

/* The same for an item of a list of names. */
int form_name_check(const json_t *value, json_t **ret, char **ret_hint);
#define FORM_NAME_ALLOWED "letters a to z, digits, dots, dashes and underscores, at most 64 of them and not only digits"

/* A value in words: `the text "x"`, "300", "a list". The caller frees. */
char *form_found(const json_t *value);

/* str_nearest, but nothing when not even half of it fits. */
const char *form_nearest(const char *word, const char *const *list);

#endif
