/* Paths of nodes: "notebook.cpus", "profiles[2].name", "" for the root; a key that is empty or holds a dot, a bracket,
 * a quotation mark or a backslash is written ["a.b"], with \" and \\ inside. */
#ifndef CAAS_TREE_PATH_H
#define CAAS_TREE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* The path of a member or item of the node at `path`. The caller frees. */
char *path_key(const char *path, const char *key);
char *path_item(const char *path, size_t index);

/* Where a walk stands, on the walker's stack: a path costs nothing until somebody asks for it. */
struct path_frame {
        const struct path_frame *above; /* NULL in the root */
        const char *key;                /* NULL for an item of a list */
        size_t index;
};
char *path_of(const struct path_frame *frame); /* the caller frees */

struct path_step {
        char *key;    /* NULL for an item of a list; owned */
        size_t index; /* of the item */
};

/* Takes the first step off *path. 1 and a step (path_step_clear it), 0 at the end, -1 if the path is malformed. */
int path_next(const char **path, struct path_step *ret);
void path_step_clear(struct path_step *step);
#define CLEANUP_PATH_STEP __attribute__((cleanup(path_step_clear)))

/* The path of the parent of a node; NULL for the root or a malformed path. The caller frees. */
char *path_parent(const char *path);

#endif
