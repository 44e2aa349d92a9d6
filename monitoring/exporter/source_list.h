/* The sources by name. */
#ifndef CAAS_EXPORTER_SOURCE_LIST_H
#define CAAS_EXPORTER_SOURCE_LIST_H

#include "exporter/source.h"

extern const struct source source_cgroup;      /* control groups: who uses how much */
extern const struct source source_service;     /* the cluster's own services, on a host */
extern const struct source source_home;        /* sizes of homes */
extern const struct source source_part;        /* which parts of the cluster answer */
extern const struct source source_certificate; /* when certificates end */
extern const struct source source_backup;      /* when the last backup ended, if somebody makes any */
extern const struct source source_run;         /* the journal: runs and what they found */
extern const struct source source_hub;         /* the hub's interface: users and their servers */
extern const struct source source_gateway;     /* Dask clusters, and what their owners hold */
extern const struct source source_dask;        /* what the schedulers say of themselves */
extern const struct source source_directory;   /* is it there, and who is in the groups */
extern const struct source source_pod;         /* all of that as Kubernetes would say it (pods.c) */
extern const struct source source_kube;        /* on Kubernetes: pods, claims, services, nodes */
extern const struct source source_kubelet;     /* there: what containers use, and volumes */

#endif
