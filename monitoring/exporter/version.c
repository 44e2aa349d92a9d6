/* Built again whenever the version changes, and nothing else with it. */
#include "exporter/version.h"

#ifndef CAAS_VERSION
#define CAAS_VERSION "unknown"
#endif

const char *exporter_version(void)
{
        return CAAS_VERSION;
}
