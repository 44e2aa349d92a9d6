/* Findings about a text, gathered so that all of them are reported in one go, in order of line. */
#ifndef CAAS_TREE_DIAG_H
#define CAAS_TREE_DIAG_H

#include <stdbool.h>
#include <stddef.h>

/* More findings than anybody reads; beyond it they are dropped and the last one says so. */
#define DIAGS_MAX 500

struct diag {
        int line, column; /* from 1; 0 = the file as a whole */
        char *message;
};
struct diags {
        struct diag *item;
        size_t count, capacity;
};
void diags_add(struct diags *diags, int line, int column, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
void diags_sort(struct diags *diags); /* by line and column; stable */
void diags_clear(struct diags *diags);
#define CLEANUP_DIAGS __attribute__((cleanup(diags_clear)))

/* Nothing more is taken: whoever looks for findings may stop looking. */
bool diags_full(const struct diags *diags);

/* `"text"` for a message: one line, control characters escaped, cut after 60 characters. The caller frees. */
char *diag_quote(const char *text);

#endif
