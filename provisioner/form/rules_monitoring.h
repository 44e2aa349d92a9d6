/* What has to hold between the fields of monitoring. For this folder only. */
#ifndef CAAS_FORM_RULES_MONITORING_H
#define CAAS_FORM_RULES_MONITORING_H

#include "form/values.h"
#include "tree/diag.h"
#include "tree/tree.h"

void form_rules_monitoring(struct tree *tree, const struct form_values *values, struct diags *diags);

#endif
