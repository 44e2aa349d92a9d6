/* Questions to the cluster's own services, all within the time of one refresh. */
#ifndef CAAS_EXPORTER_API_H
#define CAAS_EXPORTER_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/http/http.h"
#include "exporter/config.h"

struct api {
        const struct config_api *where;
        const char *name; /* "the hub", for messages */
        struct http_client *http;
        int64_t until; /* monotonic */
};

/* Keeps its connections in *state, an http_client, from one refresh to the next; api_done() frees it. */
struct api api_begin(const struct config *config, const struct config_api *where, const char *name, void **state);
void api_done(void *state);

/* GET path ("users?limit=1", below where->api). accept: media type, or NULL for JSON. *ret is an object, new reference;
 * an answer that is none is -ERR_INVALID. Errors as of http_json, and -ERR_TIMEOUT once the refresh has no time left.
 */
int api_get(struct api *api, const char *path, const char *accept, json_t **ret, struct err **err);

/* "2026-11-21T14:03:22.5Z" as seconds since 1970; false: it is no such text. */
bool api_time(const json_t *text, double *ret);

/* A number that is finite and not negative; false: something else, or not there. */
bool api_number(const json_t *object, const char *key, double *ret);

#endif
