/* A plan for people. */
#ifndef CAAS_CLI_PLAN_TEXT_H
#define CAAS_CLI_PLAN_TEXT_H

#include <stdbool.h>
#include <stdio.h>

#include "plan/plan.h"

struct plan_text_options {
        bool color;
        bool full;    /* also the fields of what is made, and texts without limit */
        bool brief;   /* a few lines a step: what is known before a run begins anyway */
        bool grouped; /* what is made, by role on one line: for a first apply */
};

/* What is made, changed, replaced and removed with its fields, what it means for people, and a line that sums it up. */
void plan_text(FILE *out, const struct plan *plan, const char *cluster, const struct plan_text_options *options);

/* "12 to create, 1 to update"; "nothing to do" if there is nothing. The caller frees. */
char *plan_summary(const struct plan *plan);

/* Does it stop or remove what people may be using? */
bool plan_disturbs(const struct plan *plan);
bool plan_has_notices(const struct plan *plan);

#endif
