/* Findings about a text, gathered so that all of them are reported in one go, in order of line. */
#ifndef CAAS_TREE_DIAG_H
#define CAAS_TREE_DIAG_H

#include <stddef.h>

struct diag {
        int line, column; /* from 1; 0 = the file as a whole */
        char *message;
};
struct diags {
        struct diag *item;
        size_t count, capacity;
};
void diags_add(struct diags *diags, int line, int column, const char *format, ...) __attribute__((format(printf, 4, 5)));
void diags_sort(struct diags *diags); /* by line and column; stable */
void diags_clear(struct diags *diags);
#define CLEANUP_DIAGS __attribute__((cleanup(diags_clear)))

#endif
