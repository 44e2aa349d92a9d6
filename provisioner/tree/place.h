/* Inside of a struct tree, for this folder only: the places of the nodes, a tree of the same shape as the values. */
#ifndef CAAS_TREE_PLACE_H
#define CAAS_TREE_PLACE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct place;

struct place_entry {
        char *key;        /* NULL for an item of a list */
        int line, column; /* of the key */
        struct place *value;
};

/* Unchanging once it is made, and then shared by all aliases of its node. There is one for every value of every file:
 * narrow, as nodes, bytes and depth are bounded far below (tree.h). */
struct place {
        struct place_entry *entry; /* of objects: sorted by key; of lists: in order */
        unsigned count, capacity;
        unsigned references;
        int line, column;
        unsigned nodes, bytes; /* of it and all below it, aliases expanded */
        unsigned short height;
        bool suspect; /* a finding was made about this value: it is not to be trusted */
};

struct tree {
        json_t *root;
        struct place *place;
};

struct place *place_new(int line, int column);
struct place *place_use(struct place *place); /* one reference more */
struct place *place_free(struct place *place);

/* Takes `value`; copies `key`. */
void place_add(struct place *place, const char *key, int line, int column, struct place *value);

/* Call once after the last place_add: gives back what is too much, and sorts the entries of an object. */
void place_end(struct place *place);

/* NULL if there is none. Only after place_end. */
const struct place_entry *place_find(const struct place *place, const char *key);

#endif
