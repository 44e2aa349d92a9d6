/* What the files of the role loader share. Private to this folder.
 *
 * Loading goes: find and check every role.yaml (text.c) → decide which resources are there, one for each item of a
 * for_each (expand.c) → fill their specs (spec.c with values.c for ${…} and content.c for files) → resolve their needs
 * and put them in order (needs.c). */
#ifndef CAAS_ROLE_ROLE_IMPL_H
#define CAAS_ROLE_ROLE_IMPL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "role/resource.h"
#include "role/role.h"
#include "tree/tree.h"

/* One roles/<name>/role.yaml. */
struct role_text {
        char *name, *folder, *path;
        struct tree *tree;
        char *target_path;        /* where the target's own file is, or NULL: its entries stand in role.yaml */
        struct tree *target_tree; /* `targets: {<target>: {file: …}}` */
        const json_t *entries;    /* targets.<target>, or NULL; borrowed from one of the trees */
};

/* A resource that is there: an entry of a role.yaml, or one item of it. */
struct instance {
        const struct role_text *role;
        size_t entry;       /* number in role->entries */
        const json_t *each; /* the item of for_each, or NULL; borrowed from for_each */
        json_t *for_each;   /* the list it comes from, or NULL; owned */
        size_t index;
        struct resource resource;
        size_t *need, need_count, need_capacity; /* numbers of instances */
        size_t seen;                             /* 1 + the instance that needed this one last: against double needs */
        int mark;                                /* of the walk that puts them in order */
};

struct loader {
        const char *data_dir, *target;
        const json_t *values;
        struct role_text *role;
        size_t role_count, role_capacity;
        struct instance *instance;
        size_t count, capacity;
        json_t *by_id;   /* {"hub/env/pangeo": number of the instance} */
        json_t *by_base; /* {"hub/env": [numbers]}: every id that stands in a text; the list is empty if `when` left it
                            out */
        json_t *secrets; /* {"hub/cookie": is it there} */
        json_t *files;   /* what was read already: {"path": "text" or {files}} */
};

/* ---- text.c ---- */
int text_load_all(struct loader *loader, struct err **err);
void text_clear(struct role_text *role);
/* Gives *err the place of a node of a role.yaml, or of the target's own file for a path below targets. Returns -code.
 */
int text_at(const struct role_text *role, const char *path, struct err **err);
int text_key_at(const struct role_text *role, const char *path, struct err **err);
/* The file that path stands in, borrowed, and where in it. */
const char *text_file_of(const struct role_text *role, const char *path, int *ret_line, int *ret_column);
/* "targets.host[3]" or "targets.host[3].spec.path"; the caller frees. */
char *text_entry_path(const struct loader *loader, size_t entry, const char *below);

/* ---- values.c ---- */
struct scope {
        struct loader *loader;
        struct instance *instance; /* NULL outside of for_each */
        bool early;                /* `when`, `for_each` and the like: no secrets, no outputs */
};
/* A subst_lookup with a struct scope. Outputs of other resources stay for the plan and become needs. */
int values_look_up(void *scope, const char *name, json_t **ret, struct err **err);
/* " (did you mean x?)" or "". The caller frees. */
char *values_suggest(const char *word, const json_t *keys);

/* ---- expand.c ---- */
int expand_all(struct loader *loader, struct err **err);
/* 1: there, 0: left out, or an error with its place. path: of the object that has `when` and `unless` in it. */
int expand_condition(
        struct scope *scope, const struct role_text *role, const json_t *object, const char *path, struct err **err);

/* ---- spec.c ---- */
int spec_fill(struct loader *loader, struct instance *instance, struct err **err);
/* Fills a tree that stands at `path` of a role.yaml; errors have the place of the scalar. */
int spec_subst(struct scope *scope, const struct role_text *role, const json_t *tree, const char *path,
        bool more_passes, json_t **ret, struct err **err);

/* ---- content.c ---- */
/* Replaces source, template, sources and copy of a filled spec by what is in the files. path: of the spec. */
int content_inline(struct scope *scope, const struct role_text *role, json_t *spec, const char *path, struct err **err);

/* Refuses {source: …} and the like deeper in the text of a spec than content_inline looks: it would be installed as it
 * is written. Of the text, not of the filled spec: a form's values may well look like that. */
int content_check(const struct role_text *role, const json_t *text, const char *path, struct err **err);

/* ---- needs.c ---- */
void needs_add(struct loader *loader, struct instance *instance, size_t other);
/* Adds the need for one id of a placeholder. */
int needs_add_output(struct loader *loader, struct instance *instance, const char *id, struct err **err);
int needs_resolve(struct loader *loader, struct instance *instance, struct err **err);
/* Moves the resources out of the instances, in an order in which each comes after what it needs. */
int needs_sort(struct loader *loader, struct resources *ret, struct err **err);

/* ---- secrets.c ---- */
int secrets_load(struct loader *loader, struct role_secrets *ret, struct err **err);

#endif
