/* What `caas top` shows of a reading, as tables: which columns there are, and how a figure is written. */
#ifndef CAAS_CLI_TOP_TABLE_H
#define CAAS_CLI_TOP_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "access/usage.h"
#include "cli/cli.h"

#define TOP_CELL 40 /* room for a figure */

/* "-" for what is not known. Both return text. */
const char *top_bytes(double bytes, char text[TOP_CELL]); /* "0 B", "512 kB", "1.92 GB", "31.0 GB": 10^9 bytes a GB */
const char *top_cores(double cores, char text[TOP_CELL]); /* "0.53", "12.4", "128" */
const char *top_count(double count, char text[TOP_CELL]); /* "7" */
const char *top_percent(double part, double of, char text[TOP_CELL]); /* "62%" */
const char *top_span(double seconds, char text[TOP_CELL]);            /* "45s", "12m", "2h05m", "3d04h", "400d" */

enum top_page { TOP_USERS, TOP_DASK, TOP_PARTS, TOP_PAGES };

struct top_cell {
        char text[TOP_CELL];
        enum style style;
};

#define TOP_COLUMNS_MAX 12
struct top_column {
        const char *heading;
        bool left; /* aligned so; figures are to the right */
        size_t width;
        int rank; /* the higher, the sooner it is left out where there is no room for all */
        void (*figure)(const void *row, double now, struct top_cell *ret);
};

/* A page: the names, then columns; row is a struct usage_user, usage_dask or usage_part. */
struct top_page_info {
        const char *title, *name; /* of the page, heading of the names */
        const struct top_column *column;
        size_t columns;                        /* TOP_COLUMNS_MAX at most */
        const char *(*label)(const void *row); /* the name, as it came from outside */
        bool (*faint)(const void *row);
        const char *nothing; /* said when there is no row */
};
extern const struct top_page_info top_pages[TOP_PAGES];

/* The page's rows in order; the caller frees the array. */
const void **top_rows(
        const struct usage *usage, enum top_page page, enum usage_sort by, bool reverse, size_t *ret_count);

#endif
