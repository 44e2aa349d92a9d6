/* What the files of this folder share. */
#ifndef CAAS_CLIENT_KUBE_PRIVATE_H
#define CAAS_CLIENT_KUBE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/str.h"
#include "client/http/http.h"
#include "client/kube/kube.h"
#include "client/kube/kubeconfig.h"

#define KUBE_IDLE_MAX 16 /* connections kept for later */
#define KUBE_FEW      3  /* so many are opened without waiting for one that comes back */

/* What is shown to the server now. */
struct credential {
        char *token; /* or NULL */
        char *certificate, *key;
        int64_t good_until_ms; /* wall clock; then it is made anew */
        bool made;
        unsigned generation; /* counts changes of the certificate: connections belong to one */
};

struct kube {
        struct kubeconfig config;
        struct cancel *cancel;
        struct clock *clock;
        int timeout_ms, retry_ms;
        atomic_long requests, connections;
        atomic_bool answered; /* the server has been heard of */

        pthread_mutex_t pool_lock;
        struct kube_pool {
                pthread_cond_t given; /* a connection came back */
                size_t open;          /* connections of it, wherever they are */
                size_t busy;          /* those out of the pool, without those of streams */
                struct idle {
                        struct http_client *client;
                        unsigned generation;
                } idle[KUBE_IDLE_MAX];
                size_t idle_count;
        } asking, sending;
        int patience_ms; /* how long to wait for one to come back, when some are there, before another is opened */

        pthread_mutex_t credential_lock;
        struct credential credential;

        pthread_mutex_t discovery_lock;
        json_t *discovery; /* api_version: {kind: {plural, namespaced}} */
};

/* ---- credential.c ---- */

/* The token to show (NULL: none; the caller wipes and frees) and what connections must belong to. Runs the plugin when
 * what it gave has expired. Thread-safe. */
int kube_credential(struct kube *kube, char **ret_token, unsigned *ret_generation, struct err **err);

/* The server said 401 to this token: may another be had? Then the next kube_credential makes it. */
bool kube_credential_renew(struct kube *kube, const char *refused);

/* Why the server may have said 401, and what to do; the caller frees. */
char *kube_credential_explain(struct kube *kube);

void kube_credential_clear(struct credential *credential);

/* Fills options from the configuration; borrows. Holds credential_lock until kube_options_done. */
void kube_http_options(struct kube *kube, struct http_options *options);
void kube_http_options_done(struct kube *kube);

/* The plugin's answer. */
int kube_plugin_run(struct kube *kube, struct credential *ret, struct err **err);

/* ---- request.c ---- */

struct kube_request {
        const char *method; /* NULL = GET */
        const char *path;   /* "/api/v1/…?…" */
        const char *what;   /* "get Deployment hub/hub", for messages */
        const char *type;   /* of the body; NULL = application/json */
        const char *accept; /* NULL = application/json */
        const char *body;
        size_t length;
        size_t max_bytes;  /* of the answer; 0 = 16 MiB */
        int timeout_ms;    /* 0 = the client's */
        bool once;         /* not to be sent again when it may have been executed */
        bool calm;         /* no retries at all: the caller has its own */
        bool stream;       /* one that lasts: cancelled by the first raise */
        const bool *begun; /* no other try once this is true; may be NULL */
        int (*on_body)(void *data, const char *bytes, size_t length);
        void *data;
        int64_t end_ms;     /* monotonic: no pause goes beyond it; 0 = no end */
        const char *forced; /* path to take after a conflict with ourselves; may be NULL */
};

/* 0 = an answer with a status that is not worth another try; of status 300 and above as well. */
int kube_send(struct kube *kube, const struct kube_request *request, struct http_response *ret, struct err **err);

/* kube_send, statuses of 300 and above as errors, the answer as JSON (ret may be NULL). */
int kube_ask(struct kube *kube, const struct kube_request *request, json_t **ret, struct err **err);

/* ---- pool.c ---- */

void kube_pools_open(struct kube *kube);
void kube_pools_close(struct kube *kube); /* none is in use any more */

struct kube_connection {
        struct http_client *client;
        struct kube_pool *pool;
        unsigned generation;
        bool stream;
};

/* A connection for the request, of this generation of credentials: one that is kept, or a new one. Nobody else has it
 * until kube_pool_give. Thread-safe, both. */
void kube_pool_take(
        struct kube *kube, const struct kube_request *request, unsigned generation, struct kube_connection *ret);
void kube_pool_give(struct kube *kube, struct kube_connection *connection);

/* ---- retry.c ---- */

struct retry {
        int tries;
        int64_t began_ms; /* monotonic */
};

/* Milliseconds to wait before the next try, or -1 when it is time to give up. limit_ms: how long to go on in all.
 * retry_after: seconds that the server asked for, 0 = none. random: any number. */
int64_t retry_pause(struct retry *retry, int64_t now_ms, int64_t limit_ms, long retry_after, unsigned random);

/* Waits, with jitter. 0; -1 = give up; -ERR_CANCELLED with *err. */
int retry_wait(struct kube *kube, struct retry *retry, int64_t limit_ms, long retry_after, struct err **err);

/* ---- status.c ---- */

/* A 500 that is about the object: server-side apply says so for fields that its schema does not have. */
bool kube_status_wrong_object(const struct http_response *response);

/* Is it a conflict with nobody but ourselves (with what kube_patch wrote)? */
bool kube_status_own_conflict(const struct http_response *response);

/* The error of an answer of status 300 and above. */
int kube_status_error(struct kube *kube, const char *what, const struct http_response *response, struct err **err);

/* ---- discovery.c ---- */

/* "/apis/apps/v1/namespaces/hub/deployments/hub", a leading part of it without name. Namespace NULL for a kind that has
 * them: of all. The caller frees. */
int kube_path(struct kube *kube, const char *api_version, const char *kind, const char *namespace, const char *name,
        char **ret, struct err **err);

/* "?" or "&" and key=value, escaped. */
void kube_query(struct buf *path, const char *key, const char *value);

/* "Deployment hub/hub"; the caller frees. */
char *kube_name_of(const struct kube_ref *ref);

#define KUBE_PATH_MAX 8192

#endif
