/* Amounts as Kubernetes writes them. Pure. */
#ifndef CAAS_CLIENT_KUBE_AMOUNT_H
#define CAAS_CLIENT_KUBE_AMOUNT_H

#include <jansson.h>

/* "500m", "1Gi", "2e3", 2: the number it stands for; NAN if it is none. */
double kube_amount(const json_t *value);

#endif
