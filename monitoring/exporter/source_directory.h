/* Who is in the two groups; for its source and for tests. */
#ifndef CAAS_EXPORTER_SOURCE_DIRECTORY_H
#define CAAS_EXPORTER_SOURCE_DIRECTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "exporter/config.h"
#include "exporter/sink.h"

struct members;

/* until: a moment of the system clock's monotonic_ms, after which no more are taken. */
struct members *members_new(const struct config_directory *where, int64_t until);
struct members *members_free(struct members *members); /* accepts NULL, returns NULL */

/* data: struct members. entry: a user as directory_each gives it. What is no user's name, or in neither group, is left
 * out. False: it is too late. */
bool members_add(void *data, const json_t *entry);

/* Each name once. */
void members_write(const struct config *config, struct members *members, struct sample_sink *sink);

#endif
