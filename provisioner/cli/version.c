#include "cli/version.h"

#ifndef CAAS_VERSION
#define CAAS_VERSION "unknown"
#endif
#ifndef CAAS_DATADIR
#define CAAS_DATADIR "/usr/local/share/caas"
#endif
#ifndef CAAS_LIBEXECDIR
#define CAAS_LIBEXECDIR "/usr/local/libexec/caas"
#endif

const char *const caas_version = CAAS_VERSION;
const char *const caas_datadir = CAAS_DATADIR;
const char *const caas_libexecdir = CAAS_LIBEXECDIR;
