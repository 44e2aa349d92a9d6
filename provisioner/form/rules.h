/* What has to hold between fields. For this folder only. */
#ifndef CAAS_FORM_RULES_H
#define CAAS_FORM_RULES_H

#include "form/values.h"
#include "tree/diag.h"
#include "tree/tree.h"

/* After the defaults were filled in. Findings go to diags; fields that are wrong by themselves are left out of it. */
void form_rules(struct tree *tree, const struct form_values *values, struct diags *diags);

/* Names of a list of mappings, as they stand in the form: no two are equal, and none is taken already. */
void form_unique_names(struct tree *tree, const struct form_field *field, const json_t *list, struct diags *diags);

#endif
