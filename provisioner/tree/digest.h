/* The canonical digest of a tree: SHA-256 over compact JSON with sorted keys; equal trees, equal digest. 1 and 1.0
 * differ in text and so in digest. */
#ifndef CAAS_TREE_DIGEST_H
#define CAAS_TREE_DIGEST_H

#include <jansson.h>
#include <stddef.h>

#define DIGEST_SIZE 65 /* 64 hex characters and NUL */

void digest_tree(const json_t *tree, char ret[DIGEST_SIZE]);
void digest_bytes(const void *data, size_t length, char ret[DIGEST_SIZE]);

#endif
