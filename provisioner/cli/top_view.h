/* The picture that `caas top` draws: made of text alone, so that it can be looked at without a terminal. */
#ifndef CAAS_CLI_TOP_VIEW_H
#define CAAS_CLI_TOP_VIEW_H

#include "cli/top_table.h"

/* What the keys change. */
struct top_view {
        enum top_page page;
        enum usage_sort by;
        bool reverse;
        size_t first; /* row at the top; put right where it is too far */
        bool color;
};

struct top_scene {
        const char *cluster;
        const struct usage *usage;
        const char *problem; /* why there is nothing newer; NULL = all is well */
        double now;          /* seconds since 1970 */
        long interval;       /* seconds */
};

/* At most `rows` lines parted by '\n', each at most `columns` wide; colours are all the escapes there are. *ret_page is
 * how many rows of the table are seen. The caller frees. */
char *top_picture(struct top_view *view, const struct top_scene *scene, size_t columns, size_t rows, size_t *ret_page);

/* All pages, one below the other, as wide as they are, without any escape. The caller frees. */
char *top_text(const struct top_scene *scene, enum usage_sort by);

const char *top_sort_name(enum usage_sort by); /* "memory" */

#endif
