/* Every source, in the order in which a scrape shows them. */
#include "exporter/source.h"

#include "exporter/source_list.h"

const struct source *const SOURCES[] = {
        &source_service,
        &source_cgroup,
        &source_home,
        &source_part,
        &source_certificate,
        &source_backup,
        &source_run,
        &source_hub,
        &source_gateway,
        &source_dask,
        &source_directory,
        &source_pod,
        &source_kube,
        &source_kubelet,
        NULL,
};
