/* A Kubernetes API server, over client/http: no kubectl and no client library behind it.
 *
 * One `struct kube` serves any number of threads: each request takes a connection out of a pool and gives it back, so
 * connections (HTTP/2) are used again by whoever comes next. What is wrong with the server for a while (429, 500, 502,
 * 503, 504, refused or broken connections) is tried again with growing pauses and as the server's Retry-After says,
 * for about a minute; before the first answer of a server only for a few seconds, so that a wrong address is soon said.
 * Cancelling: raised once, pauses, watches and followed logs end; raised twice, requests on their way end, too.
 *
 * Errors of all calls: -ERR_UNREACHABLE (after the retries), -ERR_TIMEOUT, -ERR_CANCELLED, -ERR_DENIED (401, 403; the
 * message says who lacks which right), -ERR_REFUSED (certificate not trusted; conflicts), -ERR_NOT_FOUND (object, or
 * the server knows no such kind), -ERR_EXISTS, -ERR_INVALID (the server finds the object wrong; all its causes are
 * named), -ERR_BUSY (its namespace is just being deleted), -ERR_FAILED. Tokens and bodies are never traced.
 *
 * The process has to ignore SIGPIPE. */
#ifndef CAAS_CLIENT_KUBE_KUBE_H
#define CAAS_CLIENT_KUBE_KUBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"

#define KUBE_MANAGER "caas" /* the field manager of everything we write */

struct kube;
struct kubeconfig_account;

struct kube_options {
        const struct kubeconfig_account
                *account;       /* this one (kubeconfig.h), whatever else there is; NULL = see below */
        const char *kubeconfig; /* a file; NULL or "" = $KUBECONFIG (several, merged), ~/.kube/config, in-cluster */
        const char *context;    /* NULL or "" = the file's current one */
        struct cancel *cancel;  /* may be NULL; borrowed */
        int timeout_ms;         /* of one request; 0 = 30 s */
        int retry_ms;           /* go on trying for so long; 0 = 75 s; less than 0 = never again */
        struct clock *clock;    /* NULL = the system's */
};

/* Reads the configuration; no request yet. -ERR_INVALID names the file and what is wrong with it, -ERR_NOT_FOUND for a
 * file that is not there or an unknown context (those that there are are listed), -ERR_REFUSED for settings that would
 * switch verification off. */
int kube_open(const struct kube_options *options, struct kube **ret, struct err **err);
struct kube *kube_close(struct kube *kube); /* when no other thread uses it any more; accepts NULL, returns NULL */
static inline void kube_cleanup(struct kube **kube)
{
        kube_close(*kube);
}
#define CLEANUP_KUBE __attribute__((cleanup(kube_cleanup)))

/* All borrowed, never NULL. */
const char *kube_server(const struct kube *kube);    /* "https://…" */
const char *kube_context(const struct kube *kube);   /* its name; "in-cluster" */
const char *kube_namespace(const struct kube *kube); /* the context's; "default" when it names none */
const char *kube_file(const struct kube *kube);      /* where the context stands */

/* Connections opened and requests made so far (each try is one), for tests and benchmarks. */
void kube_counts(const struct kube *kube, long *ret_requests, long *ret_connections);

/* ---- objects ---- */

struct kube_ref {
        const char *api_version, *kind; /* "apps/v1", "Deployment" */
        const char *namespace; /* not looked at for kinds that have none; NULL for the others is -ERR_INVALID */
        const char *name;
};

/* Does the server know the kind, and do its objects live in namespaces? From discovery, which is remembered and read
 * again once for a kind that is not in it; stable kinds that every server has are known without asking. -ERR_NOT_FOUND.
 * ret_namespaced may be NULL. */
int kube_knows(struct kube *kube, const char *api_version, const char *kind, bool *ret_namespaced, struct err **err);

/* Connects, and asks what is asked first in any case: once, and for no longer than two seconds. What is wrong is said
 * to whoever asks next. Thread-safe. */
void kube_greet(struct kube *kube);

/* *ret is a new reference everywhere below, and may be NULL where an answer is not wanted. */
int kube_get(struct kube *kube, const struct kube_ref *ref, json_t **ret, struct err **err);

enum { KUBE_DRY_RUN = 1, KUBE_FORCE = 2, KUBE_NEW = 4, KUBE_BRIEF = 8, KUBE_METADATA = 16 };

/* Server-side apply as KUBE_MANAGER, unknown fields refused. Fields that belong to another manager and would change:
 * -ERR_REFUSED naming manager and fields, unless KUBE_FORCE. With KUBE_NEW only one that is not there yet is written,
 * and the server sees to it that nobody came in between: otherwise -ERR_EXISTS, also when an answer was lost and the
 * object is our own of the first try. With KUBE_METADATA the answer has, of the object, its metadata alone. */
int kube_apply(struct kube *kube, const json_t *object, unsigned flags, json_t **ret, struct err **err);

/* JSON merge patch. flags: 0, or KUBE_BRIEF: whoever asks can do without, so it is tried for some seconds only. */
int kube_patch(struct kube *kube, const struct kube_ref *ref, const json_t *patch, unsigned flags, json_t **ret,
        struct err **err);

/* Also for reviews. flags: 0 or KUBE_DRY_RUN, which takes the server less than one of kube_apply. -ERR_EXISTS. */
int kube_create(struct kube *kube, const json_t *object, unsigned flags, json_t **ret, struct err **err);

/* Propagation "Foreground", "Background" or "Orphan", NULL = the kind's default. With uid only that very object:
 * -ERR_REFUSED when another of this name is there. Already gone is fine. Does not wait until it is gone. */
int kube_delete(
        struct kube *kube, const struct kube_ref *ref, const char *propagation, const char *uid, struct err **err);

/* ---- lists and watches ---- */

struct kube_list {
        const char *api_version, *kind;
        const char *namespace; /* NULL = all */
        const char *labels;    /* a selector, "a=b,c"; may be NULL */
        const char *fields;    /* "metadata.name=hub"; may be NULL */
        int page;              /* objects asked for at a time; 0 = 500 */
};

/* Calls each(data, object) for every object, with apiVersion and kind filled in; not 0 ends it (less than 0 is
 * returned, more makes 0). When a list expires between its pages (410) it begins again, and objects that were given are
 * not given again. ret_version (may be NULL): resourceVersion of the list; the caller frees. */
int kube_list(struct kube *kube, const struct kube_list *list, int (*each)(void *data, const json_t *object),
        void *data, char **ret_version, struct err **err);

/* What is there, then what changes. Calls event(data, type, object) with
 *   "ADDED"     for each object that is there at the beginning, and for new ones,
 *   "SYNC"      once, object NULL, after those of the beginning (and again after every new list),
 *   "MODIFIED"
 *   "DELETED"   the last state known, or at least apiVersion, kind and metadata's name, namespace and uid,
 * until it returns more than 0 (then 0 is returned), less than 0 (returned), or until_ms (from now; 0 = no end) has
 * passed: -ERR_TIMEOUT. Bookmarks, going on after a cut and a new list after 410 are inside: after a new list only what
 * differs from what was told is told. A server that stays away is -ERR_UNREACHABLE after the retries. */
int kube_watch(struct kube *kube, const struct kube_list *list, long until_ms,
        int (*event)(void *data, const char *type, const json_t *object), void *data, struct err **err);

/* ---- logs, rights, version ---- */

struct kube_log_options {
        long tail;     /* the last so many lines; 0 = all */
        bool follow;   /* until the container ends, line() asks to stop or it is cancelled */
        bool previous; /* of the container's run before this one */
        bool timestamps;
        long since_seconds; /* 0 = from the beginning */
        long until_ms;      /* give up following after so long: -ERR_TIMEOUT; 0 = no end */
};

/* Calls line(data, text, length) for each line, without its newline, NUL-terminated, longer ones in pieces of 64 KiB;
 * more than 0 ends it with 0, less than 0 is returned. container NULL = the only one. options may be NULL.
 * -ERR_NOT_FOUND: no such pod, or its node has removed what that run wrote. */
int kube_logs(struct kube *kube, const char *namespace, const char *pod, const char *container,
        const struct kube_log_options *options, int (*line)(void *data, const char *text, size_t length), void *data,
        struct err **err);

struct kube_permission {
        const char *verb;        /* "create" */
        const char *group;       /* "" or NULL = core */
        const char *resource;    /* "pods" */
        const char *subresource; /* "log"; may be NULL */
        const char *namespace;   /* NULL = cluster-wide, or in all namespaces */
        const char *name;        /* may be NULL */
};

/* Which of these may we do? Fills ret_allowed[count]. Several requests at a time. */
int kube_can(struct kube *kube, const struct kube_permission *list, size_t count, bool *ret_allowed, struct err **err);

/* "v1.36.3"; the caller frees. */
int kube_version(struct kube *kube, char **ret, struct err **err);

/* ---- port-forward ---- */

struct kube_forward;

/* Listens on 127.0.0.1 and carries each connection through the API server to a pod: `service` names a service (a ready
 * pod of it is chosen, anew when that one is gone; `port` is the service's) or "pod/NAME" (`port` is the pod's).
 * -ERR_NOT_FOUND: no such service or pod, or no such port; -ERR_UNREACHABLE: no pod of it is ready. */
int kube_forward_open(struct kube *kube, const char *namespace, const char *service, int port,
        struct kube_forward **ret, int *ret_local_port, struct err **err);
struct kube_forward *kube_forward_close(struct kube_forward *forward); /* ends its connections; before kube_close */
static inline void kube_forward_cleanup(struct kube_forward **forward)
{
        kube_forward_close(*forward);
}
#define CLEANUP_KUBE_FORWARD __attribute__((cleanup(kube_forward_cleanup)))

/* Why the last connection could not be carried; NULL when all went well. The caller frees. */
char *kube_forward_trouble(struct kube_forward *forward);

#endif
