/* Families: what the exporter can say, as static tables beside the source that says it. `caas-exporter --families`
 * prints them all, and docs/MONITORING.md is checked against that. */
#ifndef CAAS_EXPORTER_FAMILY_H
#define CAAS_EXPORTER_FAMILY_H

enum family_type { FAMILY_GAUGE, FAMILY_COUNTER };

struct family {
        const char *name; /* as in a query, with unit and, for a counter, "_total": "caas_user_cpu_seconds_total" */
        const char *help; /* one sentence */
        enum family_type type;
        const char *unit;   /* base unit the name ends with, before "_total": "seconds", "bytes"; NULL = none */
        const char *labels; /* names of the labels, "user,kind"; NULL = none */
};

const char *family_type_name(enum family_type type); /* "gauge" */

#endif
