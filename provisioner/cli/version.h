/* What this build is and where its parts were installed; given by the Makefile. */
#ifndef CAAS_CLI_VERSION_H
#define CAAS_CLI_VERSION_H

extern const char *const caas_version;    /* "1.0-12-gabcdef" */
extern const char *const caas_datadir;    /* "/usr/local/share/caas": roles/ and templates/ */
extern const char *const caas_libexecdir; /* "/usr/local/libexec/caas": caas-home, caas-sandbox */

#endif
