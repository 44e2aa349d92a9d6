/* Markers (role/resource.h) replaced by what they stand for. */
#ifndef CAAS_KIND_MARKS_H
#define CAAS_KIND_MARKS_H

#include <jansson.h>

#include "base/err.h"

/* The value of a secret, a new text that only the caller holds. */
typedef int (*marks_secret)(void *data, const char *name, json_t **ret, struct err **err);

/* A copy of the tree, to be changed and in the end wiped by kind_forget(). It shares with it the scalars that hold no
 * secret, which are as large as the files that they are. -ERR_NOT_FOUND for an output that is not known yet, and what
 * `secret` says. */
int marks_resolve(const json_t *tree, marks_secret secret, void *data, json_t **ret, struct err **err);

#endif
