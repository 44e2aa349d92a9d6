/* The files that a form names: looked at before anything is done with it. */
#ifndef CAAS_ACCESS_NAMED_FILES_H
#define CAAS_ACCESS_NAMED_FILES_H

#include <jansson.h>

#include "tree/diag.h"
#include "tree/tree.h"

/* A finding for each that cannot be opened, or is no file, at its place in the form; -ERR_INVALID if there is any. form
 * is complete, its paths are absolute. */
int named_files_check(const json_t *form, struct tree *tree, struct diags *diags);

#endif
