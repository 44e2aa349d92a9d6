/* Finding the roles and checking their texts: names, keys and types, before anything is filled in. */
#include "role/role_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

void text_clear(struct role_text *role)
{
        free(role->name);
        free(role->folder);
        free(role->path);
        tree_free(role->tree);
        free(role->target_path);
        tree_free(role->target_tree);
        *role = (struct role_text){0};
}

/* Only the entries of the loaded target may stand in a file of their own, and of targets nothing else is looked at. */
static bool in_target_file(const struct role_text *role, const char *path)
{
        return role->target_tree && str_starts(path, "targets.");
}

const char *text_file_of(const struct role_text *role, const char *path, int *ret_line, int *ret_column)
{
        bool own = in_target_file(role, path);
        tree_place(own ? role->target_tree : role->tree, path, ret_line, ret_column);
        return own ? role->target_path : role->path;
}

int text_at(const struct role_text *role, const char *path, struct err **err)
{
        int line, column;
        const char *file = text_file_of(role, path, &line, &column);
        return err_at(err, file, line, column);
}

int text_key_at(const struct role_text *role, const char *path, struct err **err)
{
        int line, column;
        bool own = in_target_file(role, path);
        tree_key_place(own ? role->target_tree : role->tree, path, &line, &column);
        return err_at(err, own ? role->target_path : role->path, line, column);
}

char *text_entry_path(const struct loader *loader, size_t entry, const char *below)
{
        return str_format("targets.%s[%zu]%s%s", loader->target, entry, *below ? "." : "", below);
}

/* ---- checking ---- */

struct field {
        const char *key;
        json_type type; /* JSON_NULL: any */
        bool required;
};

static const char *type_text(json_type type)
{
        switch (type) {
        case JSON_OBJECT:
                return "a mapping";
        case JSON_ARRAY:
                return "a list";
        case JSON_STRING:
                return "a text";
        case JSON_INTEGER:
        case JSON_REAL:
                return "a number";
        case JSON_TRUE:
        case JSON_FALSE:
                return "true or false";
        case JSON_NULL:
                break;
        }
        return "nothing";
}

static char *below(const char *path, const char *key)
{
        return str_format("%s%s%s", path, *path ? "." : "", key);
}

static int unknown_key(
        const struct role_text *role, const char *path, const char *key, const struct field *fields, struct err **err)
{
        json_auto_t *known = json_object();
        for (; fields->key; fields++)
                json_object_set_new(known, fields->key, json_true());
        CLEANUP_FREE char *hint = values_suggest(key, known);
        CLEANUP_FREE char *at = below(path, key);
        err_set(err, ERR_INVALID, "unknown key %s%s", key, hint);
        return text_key_at(role, at, err);
}

/* Is the node at path an object with these fields and no others? */
static int check_fields(const struct role_text *role, const json_t *object, const char *path,
        const struct field *fields, struct err **err)
{
        if (!json_is_object(object)) {
                err_set(err, ERR_INVALID, "a mapping is expected here, not %s", type_text(json_typeof(object)));
                return text_at(role, path, err);
        }
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)object, key, value) {
                const struct field *field = fields;
                while (field->key && !str_is(field->key, key))
                        field++;
                if (!field->key)
                        return unknown_key(role, path, key, fields, err);
                if (field->type != JSON_NULL && json_typeof(value) != field->type) {
                        CLEANUP_FREE char *at = below(path, key);
                        err_set(err, ERR_INVALID, "%s has to be %s, not %s", key, type_text(field->type),
                                type_text(json_typeof(value)));
                        return text_at(role, at, err);
                }
        }
        for (; fields->key; fields++)
                if (fields->required && !json_object_get(object, fields->key)) {
                        err_set(err, ERR_INVALID, "%s is missing", fields->key);
                        return text_at(role, path, err);
                }
        return 0;
}

/* "<role>/<name>". No dot: what follows one in ${role/name.output} is the output. */
static int check_id(const struct role_text *role, const char *id, const char *path, struct err **err)
{
        size_t length = strlen(role->name);
        const char *name = id + length + 1;
        if (!str_starts(id, role->name) || id[length] != '/')
                err_set(err, ERR_INVALID, "%s: in role %s a name begins with %s/", id, role->name, role->name);
        else if (!*name || strspn(name, LOWER UPPER DIGITS "_-") != strlen(name))
                err_set(err, ERR_INVALID, "%s: after %s/ come letters, digits, _ and - only", id, role->name);
        else
                return 0;
        return text_at(role, path, err);
}

static int check_needs(const struct role_text *role, const json_t *entry, const char *path, struct err **err)
{
        size_t i;
        json_t *need;
        json_array_foreach (json_object_get(entry, "needs"), i, need) {
                if (json_is_string(need))
                        continue;
                CLEANUP_FREE char *at = str_format("%s.needs[%zu]", path, i);
                err_set(err, ERR_INVALID, "a need is the id of a resource, not %s", type_text(json_typeof(need)));
                return text_at(role, at, err);
        }
        return 0;
}

static int check_entry(const struct role_text *role, const json_t *entry, const char *path, struct err **err)
{
        static const struct field fields[] = {
                {"id", JSON_STRING, true},
                {"kind", JSON_STRING, true},
                {"spec", JSON_OBJECT, true},
                {"needs", JSON_ARRAY, false},
                {"when", JSON_NULL, false},
                {"unless", JSON_NULL, false},
                {"for_each", JSON_NULL, false},
                {0},
        };
        int r = check_fields(role, entry, path, fields, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *id_path = below(path, "id");
        r = check_id(role, json_string_value(json_object_get(entry, "id")), id_path, err);
        return r < 0 ? r : check_needs(role, entry, path, err);
}

static int check_secret(const struct role_text *role, const json_t *secret, const char *path, struct err **err)
{
        static const struct field fields[] = {
                {"name", JSON_STRING, true},
                {"bytes", JSON_INTEGER, false},
                {"format", JSON_STRING, false},
                {"file", JSON_STRING, false},
                {"when", JSON_NULL, false},
                {"unless", JSON_NULL, false},
                {0},
        };
        int r = check_fields(role, secret, path, fields, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *name_path = below(path, "name");
        return check_id(role, json_string_value(json_object_get(secret, "name")), name_path, err);
}

/* Each item of a list with the check for it. */
static int check_list(const struct role_text *role, const json_t *list, const char *path,
        int (*check)(const struct role_text *role, const json_t *item, const char *path, struct err **err),
        struct err **err)
{
        if (list && !json_is_array(list)) {
                err_set(err, ERR_INVALID, "a list is expected here, not %s", type_text(json_typeof(list)));
                return text_at(role, path, err);
        }
        size_t i;
        json_t *item;
        json_array_foreach (list, i, item) {
                CLEANUP_FREE char *at = str_format("%s[%zu]", path, i);
                int r = check(role, item, at, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* `kubernetes: {file: kubernetes.yaml}`: the entries stand there, as `targets: {kubernetes: […]}`. */
static int load_target_file(const struct loader *loader, struct role_text *role, const char *path, struct err **err)
{
        static const struct field reference[] = {{"file", JSON_STRING, true}, {0}};
        static const struct field fields[] = {{"targets", JSON_OBJECT, true}, {0}};
        int r = check_fields(role, role->entries, path, reference, err);
        if (r < 0)
                return r;
        const char *name = json_string_value(json_object_get(role->entries, "file"));
        role->entries = NULL;
        if (strchr(name, '/') || *name == '.' || !*name) {
                err_set(err, ERR_INVALID, "%s is no file of the role's own folder", *name ? name : "an empty name");
                return text_at(role, path, err);
        }
        CLEANUP_FREE char *file = file_join(role->folder, name);
        r = tree_load(file, &role->target_tree, err);
        if (r < 0)
                return r;
        role->target_path = STEAL(file);
        const json_t *root = tree_root(role->target_tree);
        const struct role_text whole = {.path = role->target_path, .tree = role->target_tree};
        r = check_fields(&whole, root, "", fields, err);
        if (r < 0)
                return r;
        role->entries = json_object_get(json_object_get(root, "targets"), loader->target);
        return 0;
}

/* Nothing looks at them again, and they are half of what roles say. */
static void forget_other_targets(const struct loader *loader, json_t *targets)
{
        const char *target;
        json_t *entries;
        void *next;
        json_object_foreach_safe (targets, next, target, entries)
                if (!str_is(target, loader->target))
                        json_object_del(targets, target);
}

/* Sections of other targets are checked when those targets are loaded: they may be newer than this caas. */
static int check_role(const struct loader *loader, struct role_text *role, struct err **err)
{
        static const struct field fields[] = {
                {"name", JSON_STRING, true},
                {"description", JSON_STRING, false},
                {"secrets", JSON_ARRAY, false},
                {"targets", JSON_OBJECT, true},
                {0},
        };
        const json_t *root = tree_root(role->tree);
        int r = check_fields(role, root, "", fields, err);
        if (r < 0)
                return r;
        const char *name = json_string_value(json_object_get(root, "name"));
        if (!str_is(name, role->name)) {
                err_set(err, ERR_INVALID, "the role is named %s but lives in the folder %s", name, role->name);
                return text_at(role, "name", err);
        }
        forget_other_targets(loader, json_object_get(root, "targets"));
        role->entries = json_object_get(json_object_get(root, "targets"), loader->target);
        CLEANUP_FREE char *path = str_format("targets.%s", loader->target);
        if (json_is_object(role->entries))
                r = load_target_file(loader, role, path, err);
        if (r == 0)
                r = check_list(role, role->entries, path, check_entry, err);
        return r < 0 ? r : check_list(role, json_object_get(root, "secrets"), "secrets", check_secret, err);
}

/* ---- finding ---- */

static int load_role(struct loader *loader, const char *folder, const char *name, struct err **err)
{
        CLEANUP_FREE char *role_folder = file_join(folder, name);
        CLEANUP_FREE char *path = file_join(role_folder, "role.yaml");
        if (!file_exists(path))
                return 0;
        if (strspn(name, LOWER DIGITS "-") != strlen(name))
                return err_set(err, ERR_INVALID, "%s: a role's name has small letters, digits and - only", path);
        struct tree *tree;
        int r = tree_load(path, &tree, err);
        if (r < 0)
                return r;
        MEM_GROW(loader->role, loader->role_count, loader->role_capacity);
        struct role_text *role = &loader->role[loader->role_count++];
        *role = (struct role_text){
                .name = str_copy(name), .folder = STEAL(role_folder), .path = STEAL(path), .tree = tree};
        return check_role(loader, role, err);
}

static int visible(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b) /* in every locale */
{
        return strcmp((*a)->d_name, (*b)->d_name);
}

int text_load_all(struct loader *loader, struct err **err)
{
        CLEANUP_FREE char *folder = file_join(loader->data_dir, "roles");
        struct dirent **names;
        int count = scandir(folder, &names, visible, by_name), r = 0;
        if (count < 0)
                return err_set_errno(
                        err, errno, "cannot read the roles in %s (CAAS_DATA names the folder that holds them)", folder);
        for (int i = 0; i < count; i++) {
                if (r == 0)
                        r = load_role(loader, folder, names[i]->d_name, err);
                free(names[i]);
        }
        free(names);
        return r;
}
