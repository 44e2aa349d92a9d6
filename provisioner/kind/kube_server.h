/* The Kubernetes API server that a cluster's form names: one connection pool and one set of port-forwards for all
 * kinds and threads of a run. */
#ifndef CAAS_KIND_KUBE_SERVER_H
#define CAAS_KIND_KUBE_SERVER_H

#include <jansson.h>
#include <pthread.h>

#include "base/cancel.h"
#include "base/err.h"
#include "client/kube/kube.h"
#include "client/ldap/directory.h"
#include "kind/kind.h"

struct kube_link;

/* target: the form's block, {kubeconfig, context, namespace, …}; it is copied. Nothing is read or opened before the
 * first use, so this cannot fail. */
struct kube_link *kube_link_new(const json_t *target, struct cancel *cancel);
struct kube_link *kube_link_free(struct kube_link *link); /* closes what is open; accepts NULL, returns NULL */

/* Is it what kube_link_new would make of this? false for link NULL. */
bool kube_link_leads(const struct kube_link *link, const json_t *target);

/* Borrowed, opened at the first call. Thread-safe. link NULL: -ERR_INVALID (the form's target is no Kubernetes). */
int kube_link_open(struct kube_link *link, struct kube **ret, struct err **err);

/* The form's namespace; "default" if it names none. Borrowed. */
const char *kube_link_namespace(const struct kube_link *link);

/* Between these two, kube_link_get answers from lists that are read once; the engine plans in between. From one thread.
 * The first also asks the server something that is needed anyway: one that cannot be reached, or does not know us, is
 * said once and soon. first: nothing was made yet, so that its namespace may well be missing. 0 for link NULL. */
int kube_link_look(struct kube_link *link, const char *cluster, bool first, struct err **err);
void kube_link_look_end(struct kube_link *link);

/* Meanwhile, who looks into a directory does it over one connection, each in turn: where it is inside the cluster, a
 * further one goes through API server and kubelet and costs more than what is asked over it. */
struct kube_shared {
        pthread_mutex_t mutex;       /* held by whoever uses it */
        struct directory *directory; /* or NULL */
        char *uri;                   /* that it leads to */
        json_t *server;              /* as whom, and what it trusts: the "server" of a spec, its secrets as markers */
        bool away;                   /* it did not answer: nobody waits for it again */
};
/* NULL outside of these two, and for link NULL. Borrowed. */
struct kube_shared *kube_link_shared(struct kube_link *link);

/* Was the namespace not there when that was? Then whatever would be in it need not be tried out. */
bool kube_link_lacks(const struct kube_link *link, const char *namespace);

/* What the server answered to a write: the next kube_link_get of it, and only that one, takes it for what is there. */
void kube_link_wrote(struct kube_link *link, const struct kube_ref *ref, json_t *live);

/* Is the server there, and does it know us? 0 for link NULL. */
int kube_link_ping(struct kube_link *link, struct err **err);

/* Opens it and has the server asked beforehand, beside something else: kube_greet. */
void kube_link_greet(struct kube_link *link);

/* As kube_get. Thread-safe. */
int kube_link_get(struct kube_link *link, const struct kube_ref *ref, json_t **ret, struct err **err);

/* A port on 127.0.0.1 that leads to the service's port, through the API server; kept open until the link is freed, and
 * shared. namespace NULL = the form's. Thread-safe. */
int kube_link_forward(struct kube_link *link, const char *namespace, const char *service, int port, int *ret_local_port,
        struct err **err);

/* The same three for a kind: with what its context names. */
int kube_of(struct kind_ctx *ctx, struct kube **ret, struct err **err);
const char *kube_namespace_of(const struct kind_ctx *ctx);

#endif
