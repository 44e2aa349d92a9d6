/* Which resources' outputs a spec names. Internal to the plan. */
#ifndef CAAS_PLAN_FILL_H
#define CAAS_PLAN_FILL_H

#include <jansson.h>

#include "base/err.h"

/* Calls found() for each ${role/resource.output} in spec, as often as it stands there. */
int plan_fill_needs(const json_t *spec, void (*found)(void *data, const char *id), void *data, struct err **err);

#endif
