/* Memory. Running out of it ends the process with a message: no caller here could do better, and a half-handled
 * failure is worse than a run that the journal can take up again. */
#ifndef CAAS_BASE_MEM_H
#define CAAS_BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

void *mem_zero(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_zero_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull)); /* overflow is checked */
void *mem_resize(void *old, size_t count, size_t size) __attribute__((returns_nonnull));  /* new bytes are undefined */
void *mem_copy(const void *data, size_t size) __attribute__((malloc, returns_nonnull));

/* Overwrites before freeing: for secrets. Accepts NULL. */
void mem_wipe_free(void *data, size_t size);

/* Makes room for one more element in a growing array: doubles. */
#define MEM_GROW(array, count, capacity)                                                                               \
        do {                                                                                                           \
                if ((count) == (capacity)) {                                                                           \
                        (capacity) = (capacity) ? 2 * (capacity) : 8;                                                  \
                        (array) = mem_resize((array), (capacity), sizeof *(array));                                    \
                }                                                                                                      \
        } while (0)

static inline void mem_cleanup_free(void *pointer)
{
        free(*(void **)pointer);
}
#define CLEANUP_FREE __attribute__((cleanup(mem_cleanup_free)))

/* Takes the value out of a variable that has a cleanup. */
#define STEAL(pointer)                                                                                                 \
        ({                                                                                                             \
                __typeof__(pointer) steal_ = (pointer);                                                                \
                (pointer) = NULL;                                                                                      \
                steal_;                                                                                                \
        })

#endif
