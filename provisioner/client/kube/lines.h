/* A stream of bytes cut into lines. */
#ifndef CAAS_CLIENT_KUBE_LINES_H
#define CAAS_CLIENT_KUBE_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
        size_t max;  /* bytes of a line */
        bool pieces; /* longer ones are given in pieces; otherwise they are an error */
        /* Without the newline, NUL-terminated. Not 0 ends it. */
        int (*line)(void *data, const char *text, size_t length);
        void *data;
        char *held;
        size_t length, capacity;
};
void lines_clear(struct lines *lines);
#define CLEANUP_LINES __attribute__((cleanup(lines_clear)))

/* 0, what line() returned when not 0, or -ERR_INVALID for a line that is too long. Not to be fed after that. */
int lines_feed(struct lines *lines, const char *bytes, size_t length);

/* What stands after the last newline, if anything, is a line, too. */
int lines_end(struct lines *lines);

#endif
