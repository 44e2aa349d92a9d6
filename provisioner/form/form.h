/* The form: checks what somebody filled in against the one table of fields (form/table.c) and fills in the defaults.
 * Pure. */
#ifndef CAAS_FORM_FORM_H
#define CAAS_FORM_FORM_H

#include <jansson.h>

#include "base/err.h"
#include "tree/diag.h"
#include "tree/tree.h"

/* What the machine says, for defaults that depend on it. */
struct form_facts {
        const char *address; /* of the default route; NULL = there is none (loopback is used) */
};

/* 0 and the complete form (all fields with their defaults, nested objects: form.notebook.cpus, form.tls.mode …), or
 * -ERR_INVALID with every finding in diags, in order of line.
 *
 * In the complete form nothing is missing: texts that were left out and have no default are "", lists []. Names of
 * hosts are in lower case, addresses in their one usual form, paths as they were written. Beside the fields it has
 * dask.worker.largest_cpus and dask.worker.largest_ram: what a user may ask for in a worker. Fields of other targets
 * than the form's (the block "kubernetes") are not in it. On Kubernetes domain and external_ip are "" where they come
 * from the balancer. */
int form_check(struct tree *tree, const struct form_facts *facts, json_t **ret_form, struct diags *diags);

/* Text to complete form: findings of syntax and of the form together, in order of line. ret_tree (may be NULL) is for
 * form_check_update. -ERR_INVALID with findings. */
int form_read(const char *text, size_t length, const struct form_facts *facts, json_t **ret_form,
        struct tree **ret_tree, struct diags *diags);

/* Fields that are fixed or may only grow, against the form applied last: findings to diags, -ERR_REFUSED if any. */
int form_check_update(const json_t *old_form, const json_t *new_form, struct tree *tree, struct diags *diags);

/* Puts the folder before every relative path in a complete form (in place). Reads nothing. */
void form_resolve_paths(json_t *form, const char *folder);

/* The files that a complete form names and that have to be there: [{"path": "tls.key", "file": …}]; new reference. */
json_t *form_files(const json_t *form);

/* The commented template that `caas new` prints, with the fields of one target ("host", "kubernetes"). `cluster` may be
 * NULL. The caller frees. */
char *form_template(const char *cluster, const char *target);

/* What is wrong with the name of a cluster, in words that say what it may be; NULL: nothing. The caller frees. */
char *form_cluster_problem(const char *name);

/* The targets that there are, NULL-terminated. Static. */
const char *const *form_targets(void);

/* The JSON Schema (draft 2020-12) of the form; new reference. */
json_t *form_schema(void);

/* The table of fields in Markdown, for the documentation. The caller frees. */
char *form_markdown(void);

#endif
