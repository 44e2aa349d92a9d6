/* Which resources there are: `when`, `unless` and `for_each`. */
#include "role/role_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/path.h"
#include "tree/subst.h"

#define SUFFIX_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define SUFFIX_MAX        100

static bool is_true(const json_t *value)
{
        switch (json_typeof(value)) {
        case JSON_TRUE:
                return true;
        case JSON_STRING:
                return json_string_length(value) > 0;
        case JSON_INTEGER:
        case JSON_REAL:
                return json_number_value(value) != 0;
        case JSON_ARRAY:
                return json_array_size(value) > 0;
        case JSON_OBJECT:
                return json_object_size(value) > 0;
        case JSON_FALSE:
        case JSON_NULL:
                break;
        }
        return false;
}

/* {"${form.identity.provider}": embedded}: every key, filled in, equals its value. */
static int all_equal(
        struct scope *scope, const struct role_text *role, const json_t *object, const char *path, struct err **err)
{
        const char *key;
        json_t *value;
        int equal = 1;
        json_object_foreach ((json_t *)object, key, value) {
                CLEANUP_FREE char *at = path_key(path, key);
                json_auto_t *wanted = NULL, *found = NULL, *text = json_string(key);
                int r = spec_subst(scope, role, value, at, false, &wanted, err);
                if (r == 0 && subst_tree(text, values_look_up, scope, false, &found, err) < 0)
                        r = text_key_at(role, at, err);
                if (r < 0)
                        return r;
                if (json_equal(text, found)) {
                        err_set(err, ERR_INVALID, "%s holds no ${…}: it would always, or never, be so", key);
                        return text_key_at(role, at, err);
                }
                if (!json_equal(found, wanted))
                        equal = 0;
        }
        return equal;
}

static int test(
        struct scope *scope, const struct role_text *role, const json_t *condition, const char *path, struct err **err)
{
        if (json_is_object(condition))
                return all_equal(scope, role, condition, path, err);
        json_auto_t *value = NULL;
        int r = spec_subst(scope, role, condition, path, false, &value, err);
        return r < 0 ? r : is_true(value);
}

int expand_condition(
        struct scope *scope, const struct role_text *role, const json_t *object, const char *path, struct err **err)
{
        const json_t *when = json_object_get(object, "when"), *unless = json_object_get(object, "unless");
        int there = 1;
        if (when) {
                CLEANUP_FREE char *at = str_format("%s.when", path);
                there = test(scope, role, when, at, err);
        }
        if (unless && there > 0) {
                CLEANUP_FREE char *at = str_format("%s.unless", path);
                int not_there = test(scope, role, unless, at, err);
                there = not_there < 0 ? not_there : !not_there;
        }
        return there;
}

/* What an item adds to the id: its name, or the item itself. */
static char *suffix_of(const json_t *each)
{
        const json_t *name = json_is_object(each) ? json_object_get(each, "name") : each;
        if (json_is_integer(name))
                return str_format("%lld", (long long)json_integer_value(name));
        const char *text = json_string_value(name);
        if (!text || !*text || *text == '.' || strlen(text) > SUFFIX_MAX ||
                strspn(text, SUFFIX_CHARACTERS) != strlen(text))
                return NULL;
        return str_copy(text);
}

static int add(struct loader *loader, struct instance *instance, json_t *numbers, const char *path, struct err **err)
{
        const json_t *other = json_object_get(loader->by_id, instance->resource.id);
        if (other) {
                const struct role_text *role = loader->instance[json_integer_value(other)].role;
                int line, column;
                CLEANUP_FREE char *first =
                        text_entry_path(loader, loader->instance[json_integer_value(other)].entry, "id");
                const char *file = text_file_of(role, first, &line, &column);
                err_set(err, ERR_INVALID, "the id %s is there twice, first in %s:%d:%d", instance->resource.id, file,
                        line, column);
                return text_at(instance->role, path, err);
        }
        json_object_set_new(loader->by_id, instance->resource.id, json_integer((json_int_t)loader->count));
        json_array_append_new(numbers, json_integer((json_int_t)loader->count));
        MEM_GROW(loader->instance, loader->count, loader->capacity);
        loader->instance[loader->count++] = *instance;
        *instance = (struct instance){0};
        return 0;
}

static void instance_cleanup(struct instance *instance)
{
        resource_clear(&instance->resource);
        json_decref(instance->for_each);
}
#define CLEANUP_INSTANCE __attribute__((cleanup(instance_cleanup)))

/* One resource, if its condition holds. list: of for_each, or NULL. */
static int expand_one(struct loader *loader, const struct role_text *role, size_t entry, json_t *list, size_t index,
        json_t *numbers, struct err **err)
{
        const json_t *text = json_array_get(role->entries, entry);
        CLEANUP_FREE char *path = text_entry_path(loader, entry, "");
        CLEANUP_FREE char *at = str_format("%s.%s", path, list ? "for_each" : "id");
        CLEANUP_INSTANCE struct instance instance = {.role = role, .entry = entry, .index = index};
        instance.for_each = json_incref(list);
        instance.each = json_array_get(list, index);
        const char *base = json_string_value(json_object_get(text, "id"));
        struct scope scope = {.loader = loader, .instance = &instance, .early = true};
        int there = expand_condition(&scope, role, text, path, err);
        if (there <= 0)
                return there;
        instance.resource.kind = str_copy(json_string_value(json_object_get(text, "kind")));
        if (!list) {
                instance.resource.id = str_copy(base);
                return add(loader, &instance, numbers, at, err);
        }
        CLEANUP_FREE char *suffix = suffix_of(instance.each);
        if (!suffix) {
                err_set(err, ERR_INVALID,
                        "item %zu has no name that an id can take: it needs a `name`, or to be one, of letters, "
                        "digits, . _ -",
                        index + 1);
                return text_at(role, at, err);
        }
        instance.resource.id = str_format("%s/%s", base, suffix);
        return add(loader, &instance, numbers, at, err);
}

static int expand_entry(struct loader *loader, const struct role_text *role, size_t entry, struct err **err)
{
        const json_t *text = json_array_get(role->entries, entry);
        const char *base = json_string_value(json_object_get(text, "id"));
        json_t *numbers = json_object_get(loader->by_base, base);
        if (!numbers) { /* the same id may stand there several times, with conditions that exclude each other */
                numbers = json_array();
                json_object_set_new(loader->by_base, base, numbers);
        }
        const json_t *for_each = json_object_get(text, "for_each");
        if (!for_each)
                return expand_one(loader, role, entry, NULL, 0, numbers, err);
        CLEANUP_FREE char *path = text_entry_path(loader, entry, "for_each");
        struct scope scope = {.loader = loader, .early = true};
        json_auto_t *list = NULL;
        int r = spec_subst(&scope, role, for_each, path, false, &list, err);
        if (r == 0 && !json_is_array(list)) {
                err_set(err, ERR_INVALID, "for_each needs a list");
                r = text_at(role, path, err);
        }
        for (size_t i = 0; r == 0 && i < json_array_size(list); i++)
                r = expand_one(loader, role, entry, list, i, numbers, err);
        return r;
}

int expand_all(struct loader *loader, struct err **err)
{
        for (size_t i = 0; i < loader->role_count; i++) {
                const struct role_text *role = &loader->role[i];
                for (size_t entry = 0; entry < json_array_size(role->entries); entry++) {
                        int r = expand_entry(loader, role, entry, err);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}
