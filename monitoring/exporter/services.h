/* What the cluster's own services use, on a host. */
#ifndef CAAS_EXPORTER_SERVICES_H
#define CAAS_EXPORTER_SERVICES_H

#include "exporter/groups.h"
#include "exporter/sink.h"

struct services_paths {
        const char *proc;           /* "/proc" */
        struct cgroup_paths cgroup; /* its .systemd says who runs the services here */
};

/* A refresh of the source, of whatever machine. paths NULL = this one. */
int source_service_look(const struct config *config, const struct services_paths *paths, void **memory,
        struct sample_sink *sink, struct err **err);

#endif
