/* What the API server said last, as far as the source that asks the nodes' kubelets (source_kubelet.c) wants it, and
 * Prometheus, which finds the node exporters by it (targets.c). */
#ifndef CAAS_EXPORTER_KUBE_VIEW_H
#define CAAS_EXPORTER_KUBE_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "exporter/config.h"

struct view_pod {
        char *name;
        char *node;          /* NULL: it has none yet */
        char *user;          /* NULL: it is no user's */
        const char *kind;    /* "notebook" or "dask"; NULL with user */
        const char *purpose; /* "user", "scheduler", "worker"; NULL with user */
        double created;      /* seconds since 1970; 0 = not known */
};

/* A container that ended because its memory was not enough. */
struct view_kill {
        char *name; /* what the container runtime calls it, of that start of it */
        char *user;
        const char *kind; /* as of its pod */
};

struct view_claim {
        char *name;
        char *user;  /* NULL: it is no user's home */
        double size; /* bytes; 0 = not bound yet */
};

struct view_node {
        char *name;
        char *url; /* of its kubelet, "https://10.0.0.7:10250" */
};

/* A node exporter that runs, and stays. */
struct view_target {
        char *node;
        char *address; /* "10.0.0.7:9100" */
};

/* Not to be changed once it is published. */
struct kube_view {
        struct view_pod *pod; /* each list but the last two by name, after kube_view_sort() */
        struct view_claim *claim;
        struct view_node *node;
        struct view_kill *kill;
        struct view_target *target;
        size_t pods, claims, nodes, kills, targets, pod_room, claim_room, node_room, kill_room, target_room;
};
struct kube_view *kube_view_new(void);
void kube_view_sort(struct kube_view *view);
struct kube_view *kube_view_unref(struct kube_view *view); /* accepts NULL, returns NULL */
static inline void kube_view_cleanup(struct kube_view **view)
{
        kube_view_unref(*view);
}
#define CLEANUP_KUBE_VIEW __attribute__((cleanup(kube_view_cleanup)))

/* NULL: there is none of this name. */
const struct view_pod *kube_view_pod(const struct kube_view *view, const char *name);
const struct view_claim *kube_view_claim(const struct kube_view *view, const char *name);

/* Leaves it for kube_view_last, instead of the one before; the caller's reference goes with it. Thread-safe. */
void kube_view_publish(struct kube_view *view);

/* The one published last, a new reference; NULL: there is none, or it is stale. Thread-safe. */
struct kube_view *kube_view_last(const struct config *config);

#endif
