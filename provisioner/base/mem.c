#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *must(void *data)
{
        if (!data) {
                static const char text[] = "caas: out of memory\n";
                ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
                (void)ignored;
                abort();
        }
        return data;
}

void *mem_zero(size_t size)
{
        return must(calloc(1, size ? size : 1));
}

void *mem_zero_array(size_t count, size_t size)
{
        return must(calloc(count ? count : 1, size ? size : 1));
}

void *mem_resize(void *old, size_t count, size_t size)
{
        return must(reallocarray(old, count ? count : 1, size ? size : 1));
}

void *mem_copy(const void *data, size_t size)
{
        void *copy = must(malloc(size ? size : 1));
        if (size)
                memcpy(copy, data, size);
        return copy;
}

void mem_wipe_free(void *data, size_t size)
{
        if (!data)
                return;
        explicit_bzero(data, size);
        free(data);
}
