/* What a kubelet says of the containers and volumes of one namespace. It is read as it comes; what is kept of it is
 * bounded, whatever it says. */
#ifndef CAAS_EXPORTER_KUBELET_FIGURES_H
#define CAAS_EXPORTER_KUBELET_FIGURES_H

#include <stddef.h>

#include "client/prometheus/metrics.h"

#define KUBELET_CONTAINERS_MAX 1000 /* of a node; a kubelet runs 110 pods, unless it is told otherwise */
#define KUBELET_VOLUMES_MAX    1000

enum kubelet_value {
        KUBELET_CPU,         /* seconds so far */
        KUBELET_WORKING_SET, /* bytes */
        KUBELET_RSS,         /* bytes */
        KUBELET_OOM,         /* kills so far */
        KUBELET_LIMIT,       /* bytes; 0 = none */
        KUBELET_THREADS,
        KUBELET_VALUES,
};

struct kubelet_container {
        char *pod, *container, *name;      /* name: what the container runtime calls it, of this start of it */
        double value[KUBELET_VALUES];      /* NAN: it does not say */
        double counted_cpu, counted_kills; /* what of it has been counted for its user; NAN: not decided yet */
        unsigned missed;                   /* readings in a row that did not have it: then it says nothing */
};

struct kubelet_volume {
        char *claim;
        double used, capacity, available; /* bytes; NAN: it does not say */
};

struct kubelet_figures {
        struct kubelet_container *container; /* by pod, container and name after kubelet_figures_sort() */
        struct kubelet_volume *volume;       /* by claim after it */
        size_t containers, volumes, container_room, volume_room;
        size_t last_container, last_volume; /* found last: lists come in the same order again and again */
        size_t effort;                      /* comparisons so far */
};
void kubelet_figures_clear(struct kubelet_figures *figures);
void kubelet_figures_sort(struct kubelet_figures *figures);

/* The one of the same names in sorted figures; NULL = none. */
struct kubelet_container *kubelet_container_of(
        const struct kubelet_figures *figures, const struct kubelet_container *same);

struct kubelet_reading {
        const char *namespace_;
        struct kubelet_figures *into;
};

/* A metrics_sink; data is a struct kubelet_reading. Takes what is of its namespace, out of /metrics/cadvisor and
 * /metrics. Sums over pods, and what is no number that could be, are left out. */
void kubelet_take(void *data, const struct metrics_sample *sample);

#endif
