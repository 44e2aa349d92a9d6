/* The keys of marker objects: they stand in a tree in place of a value that is not there (yet). See role/resource.h. */
#ifndef CAAS_TREE_MARK_H
#define CAAS_TREE_MARK_H

#define MARK_SECRET "$secret"
#define MARK_AFTER  "$after"
#define MARK_JOIN   "$join"

#endif
