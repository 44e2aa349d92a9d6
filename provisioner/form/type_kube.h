/* Values of the types that Kubernetes has its own rules for. For this folder only. */
#ifndef CAAS_FORM_TYPE_KUBE_H
#define CAAS_FORM_TYPE_KUBE_H

#include <jansson.h>

#include "form/table.h"

/* As form_type_check, which calls it for FORM_NAME, FORM_IMAGE and FORM_REGISTRY with a text, and for FORM_LABELS and
 * FORM_NOTES with anything. */
int form_type_check_kube(const struct form_field *field, const json_t *value, json_t **ret, char **ret_hint);

#endif
