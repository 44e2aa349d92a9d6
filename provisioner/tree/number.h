/* Plain scalars: what they mean, and how they are written. */
#ifndef CAAS_TREE_NUMBER_H
#define CAAS_TREE_NUMBER_H

#include <jansson.h>
#include <locale.h>
#include <stddef.h>

/* The value of an unquoted scalar by YAML's 1.2 core schema; locale is "C", for the decimal point. 0 with a new
 * reference, or -1 with *ret_problem set to what is wrong with a number ("is out of range …"); static text. */
int scalar_resolve(const char *text, size_t length, locale_t locale, json_t **ret, const char **ret_problem);

/* The text of a string, number or boolean, numbers in the shortest form that reads back to the same value. NULL for
 * others (and for NULL). The caller frees. */
char *scalar_text(const json_t *value);

#endif
