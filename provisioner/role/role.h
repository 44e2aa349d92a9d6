/* Roles: what to install, as data. roles/<name>/role.yaml lists the resources of a role for each target; this loads
 * them, puts the form's values in and yields resources in the order of their needs. Pure but for reading the role's own
 * files. */
#ifndef CAAS_ROLE_ROLE_H
#define CAAS_ROLE_ROLE_H

#include <jansson.h>

#include "base/err.h"
#include "role/resource.h"

/* A secret that a role wants: made at random unless it comes from a file. */
struct role_secret {
        char *name;   /* "hub/cookie" */
        int bytes;    /* of randomness, default 32; written as hex */
        char *format; /* "hex" (default), "password" (letters and digits, `bytes` of them) */
        char *file;   /* read from here instead (a 0600 file), or NULL */
};
struct role_secrets {
        struct role_secret *item;
        size_t count, capacity;
};
void role_secrets_clear(struct role_secrets *secrets);

/* Loads every role of data_dir/roles for the target and yields the resources and secrets of the cluster, each resource
 * after what it needs. Needs are those of the text and the resources whose outputs the spec names.
 *
 * A target's entries may stand in a file beside role.yaml: `targets: {kubernetes: {file: kubernetes.yaml}}`; that file
 * is `targets: {kubernetes: […]}`.
 *
 * values: what ${…} may name: {"form": …, "cluster": {"name", "dir", "cache"}, "state": {"dir"}, "caas": {"libexec",
 * "version", "data"}, "host": {"systemd": bool, …}}. ${secret.NAME} becomes a secret marker (no version yet);
 * ${role/resource.output} stays for the plan, and so does "$${". Inside a resource with for_each, ${each} and ${each.…}
 * are the item and ${index} its number from 0; they may stand in needs, when and unless, too.
 *
 * The same id (or secret) may be declared several times if at most one of them is there, by their `when` and `unless`.
 *
 * Files: `source: FILE` (of the role's folder, taken as it is) and `template: FILE` (of templates/<target>/, filled)
 * become `content`; `sources: FOLDER` becomes `files`, and so does `sources: {NAME: FOLDER or [FOLDER, …], …}`, each
 * folder below its name; `copy: /path` gets `copy_digest`. As the value of another key than `json`, {source: …},
 * {template: …}, {sources: …} or {file: /path} becomes the text itself: `requirements: {source: lock.txt}`, and {yaml:
 * FILE} (of the role's folder, filled) the tree that stands there: so two targets can share one. Further down, and in
 * such a tree, they are refused.
 *
 * -ERR_INVALID with file:line:column for a fault in a role or template; -ERR_NOT_FOUND for a missing file. Pure but for
 * reading those files; may be called from any thread. */
int role_load(const char *data_dir, const char *target, const json_t *values, struct resources *ret_resources,
        struct role_secrets *ret_secrets, struct err **err);

#endif
