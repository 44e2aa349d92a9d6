#include "tree/place.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

struct place *place_new(int line, int column)
{
        struct place *place = mem_zero(sizeof *place);
        *place = (struct place){.references = 1, .line = line, .column = column, .nodes = 1, .height = 1};
        return place;
}

struct place *place_use(struct place *place)
{
        place->references++;
        return place;
}

struct place *place_free(struct place *place)
{
        if (!place || --place->references > 0)
                return NULL;
        for (size_t i = 0; i < place->count; i++) {
                free(place->entry[i].key);
                place_free(place->entry[i].value);
        }
        free(place->entry);
        free(place);
        return NULL;
}

void place_add(struct place *place, const char *key, int line, int column, struct place *value)
{
        MEM_GROW(place->entry, place->count, place->capacity);
        place->entry[place->count++] =
                (struct place_entry){.key = key ? str_copy(key) : NULL, .line = line, .column = column, .value = value};
        place->nodes += value->nodes;
        place->bytes += value->bytes + (key ? (unsigned)strlen(key) : 0);
        if (place->height <= value->height)
                place->height = (unsigned short)(value->height + 1);
}

static int by_key(const void *a, const void *b)
{
        return strcmp(((const struct place_entry *)a)->key, ((const struct place_entry *)b)->key);
}

void place_end(struct place *place)
{
        if (place->count < place->capacity) {
                place->entry = mem_resize(place->entry, place->count, sizeof *place->entry);
                place->capacity = place->count;
        }
        if (place->count > 1 && place->entry[0].key)
                qsort(place->entry, place->count, sizeof *place->entry, by_key);
}

const struct place_entry *place_find(const struct place *place, const char *key)
{
        struct place_entry wanted = {.key = (char *)key};
        if (place->count == 0 || !place->entry[0].key)
                return NULL;
        return bsearch(&wanted, place->entry, place->count, sizeof wanted, by_key);
}
