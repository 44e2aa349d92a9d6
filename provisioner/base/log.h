/* Debug tracing by component, off unless asked for: CAAS_TRACE=all,-ldap or --trace. Thread-safe. Libraries say nothing
 * above debug; what a user should see is an event of the engine. Never give it a secret. */
#ifndef CAAS_BASE_LOG_H
#define CAAS_BASE_LOG_H

#include <stdbool.h>

void log_configure(const char *components); /* "all", "kube,http", "all,-ldap"; NULL = nothing */
bool log_enabled(const char *component);
void log_trace(const char *component, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
