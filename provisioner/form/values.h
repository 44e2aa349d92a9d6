/* The values of a form while it is checked: one slot for each row of the table. For this folder only. */
#ifndef CAAS_FORM_VALUES_H
#define CAAS_FORM_VALUES_H

#include "form/form.h"
#include "form/table.h"

enum form_state { FORM_ABSENT, FORM_GIVEN, FORM_BAD, FORM_STANDARD };

struct form_values {
        const struct form_facts *facts;
        json_t *value[FORM_FIELDS_MAX]; /* owned; NULL unless given and right, or filled in */
        enum form_state state[FORM_FIELDS_MAX];
};

void form_values_clear(struct form_values *values);
#define CLEANUP_VALUES __attribute__((cleanup(form_values_clear)))

/* What stands at a path, borrowed; NULL if nothing (yet) or something wrong. */
const json_t *form_value(const struct form_values *values, const char *path);
const char *form_text(const struct form_values *values, const char *path);

/* Was something written there that is wrong, so that nothing may be concluded from it? */
bool form_is_bad(const struct form_values *values, const char *path);
bool form_is_given(const struct form_values *values, const char *path);

#endif
