/* Kubeconfig files: which server, which authorities, who we are. */
#ifndef CAAS_CLIENT_KUBE_KUBECONFIG_H
#define CAAS_CLIENT_KUBE_KUBECONFIG_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "tree/tree.h"

#define KUBECONFIG_FILE_MAX (1024UL * 1024)

struct kubeconfig {
        char *file;    /* where the context stands */
        char *context; /* its name */
        char *cluster, *user;
        char *namespace;
        char *server;              /* without a slash at its end */
        char *ca;                  /* PEM text; NULL = the system's authorities */
        char *ca_name;             /* for messages; NULL with ca */
        char *server_name, *proxy; /* or NULL */
        char *token;               /* who we are: any of these may be NULL */
        char *token_file;          /* read again now and then */
        char *certificate, *key;   /* PEM texts, both or none */
        char *as;                  /* act as somebody else */
        char **as_groups;          /* NULL-terminated, or NULL */
        json_t *exec;              /* a credential plugin, as it stands in the file (checked) */
        char *folder;              /* of the user's file: what a plugin's relative path begins at */
};
void kubeconfig_clear(struct kubeconfig *config);
#define CLEANUP_KUBECONFIG __attribute__((cleanup(kubeconfig_clear)))

/* Where to look, so that tests can say. NULL = not set. */
struct kubeconfig_source {
        const char *file;    /* this one and no other */
        const char *list;    /* $KUBECONFIG: files separated by colons; missing ones are skipped */
        const char *home;    /* for ~/.kube/config and "~/…" */
        const char *host;    /* $KUBERNETES_SERVICE_HOST */
        const char *port;    /* $KUBERNETES_SERVICE_PORT */
        const char *account; /* folder of a pod's service account */
};
struct kubeconfig_source kubeconfig_source(const char *file); /* from the environment; borrows */

int kubeconfig_load(
        const struct kubeconfig_source *source, const char *context, struct kubeconfig *ret, struct err **err);

/* A service account, by its files. */
struct kubeconfig_account {
        const char *server;    /* "https://kubernetes.default.svc" */
        const char *ca;        /* PEM file */
        const char *token;     /* file; read again now and then, since the kubelet renews it */
        const char *namespace; /* NULL = "default" */
};
int kubeconfig_account(const struct kubeconfig_account *account, struct kubeconfig *ret, struct err **err);

/* One read file. */
struct kubeconfig_file {
        char *path;
        struct tree *tree;
};

/* The files' context of this name (NULL = the current one); the first file that has something wins. Reads the files
 * that they name. */
int kubeconfig_choose(const struct kubeconfig_file *files, size_t count, const char *context, struct kubeconfig *ret,
        struct err **err);

#endif
