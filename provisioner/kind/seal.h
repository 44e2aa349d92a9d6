/* Digests of content that may be secret. */
#ifndef CAAS_KIND_SEAL_H
#define CAAS_KIND_SEAL_H

#include <stddef.h>

#include "tree/digest.h"

/* SHA-256 of data. With a state folder (the data is secret) the folder's master key goes in as well: what is written
 * down can then not be used to try out passwords. The same data gives the same digest as long as the key is the same.
 * Thread-safe. */
void seal_digest(const char *state_dir, const void *data, size_t length, char ret[DIGEST_SIZE]);

#endif
