/* What needs what: ids to resources, and the order that follows. */
#include "role/role_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

void needs_add(struct loader *loader, struct instance *instance, size_t other)
{
        size_t self = (size_t)(instance - loader->instance);
        if (other == self || loader->instance[other].seen == self + 1)
                return;
        loader->instance[other].seen = self + 1;
        MEM_GROW(instance->need, instance->need_count, instance->need_capacity);
        instance->need[instance->need_count++] = other;
}

/* "hub/env/pangeo" -> "hub/env"; NULL for an id without an item. The caller frees. */
static char *base_of(const char *id)
{
        const char *first = strchr(id, '/'), *last = strrchr(id, '/');
        return first && last != first ? str_copy_n(id, (size_t)(last - id)) : NULL;
}

static int unknown(const struct loader *loader, const char *id, struct err **err)
{
        CLEANUP_FREE char *hint = values_suggest(id, loader->by_base);
        return err_set(err, ERR_INVALID, "no role has %s for target %s%s", id, loader->target, hint);
}

int needs_add_output(struct loader *loader, struct instance *instance, const char *id, struct err **err)
{
        const json_t *number = json_object_get(loader->by_id, id), *numbers = json_object_get(loader->by_base, id);
        if (number) {
                size_t other = (size_t)json_integer_value(number);
                if (&loader->instance[other] == instance)
                        return err_set(err, ERR_INVALID, "a resource cannot use its own output");
                needs_add(loader, instance, other);
                return 0;
        }
        if (json_array_size(numbers) > 0) {
                size_t first = (size_t)json_integer_value(json_array_get(numbers, 0));
                return err_set(err, ERR_INVALID, "%s has a for_each: name one of its items, as %s", id,
                        loader->instance[first].resource.id);
        }
        CLEANUP_FREE char *base = base_of(id);
        if (numbers || (base && json_object_get(loader->by_base, base)))
                return err_set(err, ERR_INVALID, "%s is left out by its condition: nothing of it can be used", id);
        return unknown(loader, id, err);
}

static const struct role_text *find_role(const struct loader *loader, const char *name, size_t length)
{
        for (size_t i = 0; i < loader->role_count; i++)
                if (strlen(loader->role[i].name) == length && strncmp(loader->role[i].name, name, length) == 0)
                        return &loader->role[i];
        return NULL;
}

static int add_all_of_role(struct loader *loader, struct instance *instance, const char *need, struct err **err)
{
        const struct role_text *role = find_role(loader, need, strlen(need) - strlen("/*"));
        if (!role)
                return err_set(err, ERR_INVALID, "%s: there is no such role", need);
        for (size_t i = 0; i < loader->count; i++)
                if (loader->instance[i].role == role)
                        needs_add(loader, instance, i);
        return 0;
}

static int add_need(struct loader *loader, struct instance *instance, const char *need, struct err **err)
{
        if (str_is(need, instance->resource.id))
                return err_set(err, ERR_INVALID, "%s needs itself", need);
        if (str_ends(need, "/*"))
                return add_all_of_role(loader, instance, need, err);
        const json_t *number = json_object_get(loader->by_id, need), *numbers = json_object_get(loader->by_base, need);
        if (number)
                needs_add(loader, instance, (size_t)json_integer_value(number));
        size_t i;
        json_t *item;
        json_array_foreach (numbers, i, item)
                needs_add(loader, instance, (size_t)json_integer_value(item));
        if (number || numbers)
                return 0; /* an empty list: left out, and so is the need */
        CLEANUP_FREE char *base = base_of(need);
        return base && json_object_get(loader->by_base, base) ? 0 : unknown(loader, need, err);
}

int needs_resolve(struct loader *loader, struct instance *instance, struct err **err)
{
        const struct role_text *role = instance->role;
        const json_t *needs = json_object_get(json_array_get(role->entries, instance->entry), "needs");
        struct scope scope = {.loader = loader, .instance = instance, .early = true};
        size_t i;
        json_t *text;
        json_array_foreach (needs, i, text) {
                CLEANUP_FREE char *below = str_format("needs[%zu]", i);
                CLEANUP_FREE char *path = text_entry_path(loader, instance->entry, below);
                json_auto_t *need = NULL;
                int r = spec_subst(&scope, role, text, path, false, &need, err);
                if (r == 0 && !json_is_string(need))
                        r = err_set(err, ERR_INVALID, "a need is the id of a resource");
                if (r == 0)
                        r = add_need(loader, instance, json_string_value(need), err);
                if (r < 0) {
                        text_at(role, path, err);
                        return err_prefix(err, "%s", instance->resource.id);
                }
        }
        instance->resource.needs = mem_zero_array(instance->need_count + 1, sizeof *instance->resource.needs);
        for (size_t k = 0; k < instance->need_count; k++)
                instance->resource.needs[k] = str_copy(loader->instance[instance->need[k]].resource.id);
        return 0;
}

/* ---- order ---- */

enum { MARK_NEW, MARK_OPEN, MARK_DONE };

struct visit {
        size_t instance, next; /* the need to look at next */
};

static int circle(const struct loader *loader, const struct visit *stack, size_t depth, size_t again, struct err **err)
{
        CLEANUP_BUF struct buf text = BUF_INIT(4096);
        size_t begin = depth;
        while (stack[begin - 1].instance != again)
                begin--;
        for (size_t i = begin - 1; i < depth; i++)
                buf_format(&text, "%s -> ", loader->instance[stack[i].instance].resource.id);
        buf_str(&text, loader->instance[again].resource.id);
        const struct instance *first = &loader->instance[again];
        CLEANUP_FREE char *path = text_entry_path(loader, first->entry, "id");
        err_set(err, ERR_INVALID, "these need each other: %s", text.data);
        return text_at(first->role, path, err);
}

/* Depth first, on a stack of its own: a chain may be as long as there are resources. */
static int visit(
        struct loader *loader, size_t root, struct visit *stack, size_t *order, size_t *count, struct err **err)
{
        size_t depth = 0;
        if (loader->instance[root].mark == MARK_DONE)
                return 0;
        loader->instance[root].mark = MARK_OPEN;
        stack[depth++] = (struct visit){.instance = root};
        while (depth > 0) {
                struct visit *top = &stack[depth - 1];
                struct instance *instance = &loader->instance[top->instance];
                if (top->next == instance->need_count) {
                        instance->mark = MARK_DONE;
                        order[(*count)++] = top->instance;
                        depth--;
                        continue;
                }
                size_t need = instance->need[top->next++];
                if (loader->instance[need].mark == MARK_OPEN)
                        return circle(loader, stack, depth, need, err);
                if (loader->instance[need].mark == MARK_NEW) {
                        loader->instance[need].mark = MARK_OPEN;
                        stack[depth++] = (struct visit){.instance = need};
                }
        }
        return 0;
}

int needs_sort(struct loader *loader, struct resources *ret, struct err **err)
{
        CLEANUP_FREE size_t *order = mem_zero_array(loader->count, sizeof *order);
        CLEANUP_FREE struct visit *stack = mem_zero_array(loader->count, sizeof *stack);
        size_t count = 0;
        for (size_t i = 0; i < loader->count; i++) {
                int r = visit(loader, i, stack, order, &count, err);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < count; i++)
                resources_add(ret, &loader->instance[order[i]].resource);
        return 0;
}
