/* Loading all roles for one target. */
#include "role/role.h"

#include <stdlib.h>

#include "base/mem.h"
#include "role/role_impl.h"

static void loader_clear(struct loader *loader)
{
        for (size_t i = 0; i < loader->role_count; i++)
                text_clear(&loader->role[i]);
        free(loader->role);
        for (size_t i = 0; i < loader->count; i++) {
                resource_clear(&loader->instance[i].resource);
                json_decref(loader->instance[i].for_each);
                free(loader->instance[i].need);
        }
        free(loader->instance);
        json_decref(loader->by_id);
        json_decref(loader->by_base);
        json_decref(loader->secrets);
        json_decref(loader->files);
}
#define CLEANUP_LOADER __attribute__((cleanup(loader_clear)))

static int fill_all(struct loader *loader, struct err **err)
{
        for (size_t i = 0; i < loader->count; i++) {
                int r = spec_fill(loader, &loader->instance[i], err);
                if (r == 0)
                        r = needs_resolve(loader, &loader->instance[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int role_load(const char *data_dir, const char *target, const json_t *values, struct resources *ret_resources,
        struct role_secrets *ret_secrets, struct err **err)
{
        CLEANUP_LOADER struct loader loader = {.data_dir = data_dir, .target = target, .values = values};
        __attribute__((cleanup(role_secrets_clear))) struct role_secrets secrets = {0};
        CLEANUP_RESOURCES struct resources resources = {0};
        loader.by_id = json_object();
        loader.by_base = json_object();
        loader.secrets = json_object();
        loader.files = json_object();
        int r = text_load_all(&loader, err);
        if (r == 0)
                r = secrets_load(&loader, &secrets, err);
        if (r == 0)
                r = expand_all(&loader, err);
        if (r == 0)
                r = fill_all(&loader, err);
        if (r == 0)
                r = needs_sort(&loader, &resources, err);
        if (r < 0)
                return r;
        *ret_resources = resources;
        *ret_secrets = secrets;
        resources = (struct resources){0};
        secrets = (struct role_secrets){0};
        return 0;
}
