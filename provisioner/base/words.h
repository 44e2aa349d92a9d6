/* The arguments of a small program: "--name value" and "--flag". */
#ifndef CAAS_BASE_WORDS_H
#define CAAS_BASE_WORDS_H

#include <stdbool.h>

#include "base/err.h"

/* One option; one of the four says what becomes of it. A table ends with a name of NULL. */
struct word {
        const char *name;
        const char **text; /* the value, borrowed */
        long *number;      /* not negative */
        bool *flag;        /* has no value */
        int (*take)(void *data, const char *name, const char *value, struct err **err);
};

/* Reads words (NULL-terminated) into where table points. ret_rest: what follows "--", not touched without one; NULL:
 * there must be none. -ERR_USAGE, and what take says. */
int words_read(const struct word *table, char **words, void *data, char ***ret_rest, struct err **err);

#endif
