/* The hub of a cluster, over its REST interface. */
#ifndef CAAS_ACCESS_HUB_H
#define CAAS_ACCESS_HUB_H

#include <jansson.h>

#include "base/cancel.h"
#include "base/err.h"

/* `access` everywhere: what access_read gave for "hub"; borrowed during the call. */

/* Everybody the hub knows: {"alice": {"admin": bool, "last_activity": "2026-…Z" or null, "server": null or {"started",
 * "last_activity", "ready": bool, "pending": text or null}}}. New reference. */
int hub_users(const json_t *access, struct cancel *cancel, json_t **ret, struct err **err);

/* Stops the user's server and waits at most `seconds` until it is gone. A user or server that is not there is fine. */
int hub_stop_server(const json_t *access, struct cancel *cancel, const char *user, int seconds, struct err **err);

/* Ends the user's servers, Dask clusters, sessions and tokens. *ret is the hub's report: {"user", "servers",
 * "clusters", "tokens" (how many of each), "errors": [texts], "complete": bool, …}; complete is false where something
 * could not be ended, and errors say what. */
int hub_revoke(const json_t *access, struct cancel *cancel, const char *user, json_t **ret, struct err **err);

/* The same, where nothing may be left: what could not be ended is -ERR_PARTIAL, which says what it is. */
int hub_revoke_all(const json_t *access, struct cancel *cancel, const char *user, struct err **err);

/* Forgets the user (not the home). Not being there is fine. */
int hub_delete_user(const json_t *access, struct cancel *cancel, const char *user, struct err **err);

#endif
