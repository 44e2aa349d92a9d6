/* What has to hold between the fields of a Kubernetes target. For this folder only. */
#ifndef CAAS_FORM_RULES_KUBE_H
#define CAAS_FORM_RULES_KUBE_H

#include "form/values.h"
#include "tree/diag.h"
#include "tree/tree.h"

/* As form_rules, which calls it. */
void form_rules_kube(struct tree *tree, const struct form_values *values, struct diags *diags);

#endif
