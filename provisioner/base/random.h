/* Random bytes from the kernel, for keys and tokens. */
#ifndef CAAS_BASE_RANDOM_H
#define CAAS_BASE_RANDOM_H

#include <stddef.h>

void random_bytes(void *data, size_t length);                    /* ends the process if the kernel has none to give */
char *random_hex(size_t bytes) __attribute__((returns_nonnull)); /* 2 * bytes characters; the caller frees */
char *random_password(size_t length)
        __attribute__((returns_nonnull)); /* letters and digits without 0 O 1 l I; the caller frees */

#endif
