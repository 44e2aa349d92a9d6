/* The cluster that a command is about. */
#ifndef CAAS_CLI_CLUSTER_H
#define CAAS_CLI_CLUSTER_H

#include <jansson.h>

#include "cli/cli.h"
#include "journal/journal.h"

struct cluster {
        const char *name; /* borrowed from the command line */
        struct journal *journal;
        json_t *row, *identity, *hub; /* identity and hub hold secrets */
};
void cluster_clear(struct cluster *cluster);
#define CLEANUP_CLUSTER __attribute__((cleanup(cluster_clear)))

/* Opens the journal and finds the first operand's cluster, which must not be destroyed. ret must be zeroed. */
int cluster_open(const struct cli *cli, struct cluster *ret, struct err **err);

/* Also how to reach its directory (and hub). */
int cluster_open_identity(const struct cli *cli, struct cluster *ret, struct err **err);
int cluster_open_hub(struct cluster *cluster, struct err **err);

/* The operands after the first, NULL-terminated. The caller frees the array. */
const char **cluster_operands(const struct cli *cli);

#endif
