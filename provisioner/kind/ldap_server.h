/* The "server" of ldap.entry and ldap.group: {uri, ca, bind_dn, password, embedded,
 * forward: {service, port, namespace}}. With `forward` the directory is inside the Kubernetes cluster and is reached
 * through the API server; the host of uri then becomes 127.0.0.1, which its certificate has to name (libldap takes
 * another name for "localhost"). */
#ifndef CAAS_KIND_LDAP_SERVER_H
#define CAAS_KIND_LDAP_SERVER_H

#include "client/ldap/directory.h"
#include "kind/kind.h"
#include "kind/spec.h"

/* Pure. -ERR_INVALID. */
int ldap_server_check(const json_t *spec, struct err **err);

/* Where `server` is reached from here: its uri, or a port of this machine that leads to it. The caller frees. */
int ldap_server_uri(struct kind_ctx *ctx, const json_t *server, char **ret_uri, struct err **err);

/* Opens a connection; server's secrets are resolved on the way and forgotten again. */
int ldap_server_open(struct kind_ctx *ctx, const json_t *spec, struct directory **ret, struct err **err);

/* What is asked of it; called again, with another connection, when that broke before there was an answer: it changes
 * nothing but *data, and there only when it succeeds. */
typedef int ldap_ask(struct directory *directory, const json_t *spec, void *data, struct err **err);

/* To look: ask's result over a connection to the server of spec, or why there is none. For a cluster on Kubernetes,
 * where a connection goes through more than the directory, one that cannot be had or breaks (-ERR_UNREACHABLE,
 * -ERR_TIMEOUT) is made anew for some seconds. While such a cluster is planned there is one connection for all, which
 * one resource after the other uses, and a directory that stayed away is not waited for again. -ERR_CANCELLED. */
int ldap_server_look(struct kind_ctx *ctx, const json_t *spec, ldap_ask *ask, void *data, struct err **err);

/* Is it a directory that this cluster runs itself? Then it may be down before an apply, and that is no reason to stop.
 */
bool ldap_server_is_ours(const json_t *spec);

/* What observe says when the directory cannot be asked: a form that repairs that must not fail for it. New reference.
 */
json_t *ldap_server_unreachable(void);

/* The common rule; not recorded and not reachable means that it is to be made. */
int ldap_server_compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err);

#endif
