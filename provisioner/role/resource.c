#include "role/resource.h"

#include <stdlib.h>

#include "base/mem.h"

void resource_clear(struct resource *resource)
{
        free(resource->id);
        free(resource->kind);
        json_decref(resource->spec);
        for (char **need = resource->needs; need && *need; need++)
                free(*need);
        free(resource->needs);
        *resource = (struct resource){0};
}

void resources_add(struct resources *list, struct resource *resource)
{
        MEM_GROW(list->item, list->count, list->capacity);
        list->item[list->count++] = *resource;
        *resource = (struct resource){0};
}

void resources_clear(struct resources *list)
{
        for (size_t i = 0; i < list->count; i++)
                resource_clear(&list->item[i]);
        free(list->item);
        *list = (struct resources){0};
}
