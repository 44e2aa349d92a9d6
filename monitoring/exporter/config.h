/* exporter.json, as the monitoring role writes it. Every key may be left out: what would need it is then not there.
 * Read once, never changed: shared by all threads. */
#ifndef CAAS_EXPORTER_CONFIG_H
#define CAAS_EXPORTER_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cancel.h"
#include "base/err.h"

struct config_api {
        const char *api;   /* without "/" at the end; NULL: there is no such service */
        const char *token; /* or NULL */
};

struct config_directory {
        const char *uri; /* NULL: there is none */
        const char *ca, *bind_dn, *bind_password, *users_base, *groups_base, *users_group, *admins_group;
};

struct config_kubernetes {
        const char *api; /* "https://…" without "/" at the end; NULL: the cluster is not on Kubernetes */
        const char *ca, *token_file, *namespace_; /* the exporter's account; never NULL beside api */
        int nodes;                                /* nodes and their kubelets may be asked */
        const char *runs;                         /* ConfigMap in which caas leaves what it did, or NULL */
};

struct config_part {
        const char *name;
        const char *url; /* answers with 2xx when it is well, or NULL */
        const char *tcp; /* "host:port" that can be connected to, or NULL */
};

struct config_service {
        const char *name;      /* as runit or systemd has it */
        const char *app;       /* the label of its pod, if there were one: "jupyterhub" unless it says otherwise */
        const char *component; /* and this */
};

struct config_certificate {
        const char *name;
        const char *address; /* "host:port" that shows it, or NULL */
        const char *server;  /* the name asked for there (SNI), or NULL */
        const char *file;    /* PEM file, or NULL */
};

struct config {
        json_t *root;                            /* what the texts below belong to */
        const char *listen;                      /* "127.0.0.1:PORT", or "*:PORT"; never NULL */
        const char *cluster, *namespace_, *node; /* never NULL: the cluster's name is the default, node the host's */
        const char *token;                       /* that a scrape shows; NULL: none is asked for */
        int refresh_ms;                          /* from the end of a refresh to the next */
        int timeout_ms;        /* a source gives up a refresh after so long (the time of all its requests together) */
        struct cancel *cancel; /* raised when the exporter ends: give it to http_client_new and the like */
        struct config_api hub, gateway;
        const char *hub_database; /* on a host: path, or NULL */
        struct config_directory directory;
        struct config_kubernetes kubernetes;
        const char *groups_parent; /* or NULL */
        const char *homes_images, *homes_mounts;
        const char *accounts; /* path, or NULL */
        struct config_part *parts;
        size_t part_count;
        const char *services_folder;     /* runit's; never NULL beside services */
        struct config_service *services; /* those that this cluster may have: one that is not there is left out */
        size_t service_count;
        struct config_certificate *certificates;
        size_t certificate_count;
        const char *journal; /* path, or NULL; never beside kubernetes.runs */
        /* What says when the last backup ended: a file, or a CronJob of the namespace; NULL both: nobody makes any. */
        const char *backup_stamp, *backup_cronjob;
};

/* The file's text. -ERR_INVALID: no JSON, a key that nobody knows, or a value of the wrong type: says which. */
int config_parse(const char *text, size_t length, struct config **ret, struct err **err);
int config_load(const char *path, struct config **ret, struct err **err);
struct config *config_free(struct config *config);
static inline void config_cleanup(struct config **config)
{
        config_free(*config);
}
#define CLEANUP_CONFIG __attribute__((cleanup(config_cleanup)))

#endif
