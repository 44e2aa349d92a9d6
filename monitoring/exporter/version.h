#ifndef CAAS_EXPORTER_VERSION_H
#define CAAS_EXPORTER_VERSION_H

const char *exporter_version(void);

#endif
