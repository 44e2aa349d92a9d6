/* Why a certificate is not to be trusted, or of no use, in words. Thread-safe. */
#ifndef CAAS_CLIENT_TLS_EXPLAIN_H
#define CAAS_CLIENT_TLS_EXPLAIN_H

#include <stddef.h>
#include <stdint.h>

/* Looks at a server's certificate (DER) as a client does that trusts the CAs of ca_path and wanted to speak to host (a
 * name or an address). The caller frees; NULL when nothing is wrong with it. Only the one certificate is looked at, not
 * a chain. */
char *tls_explain(const void *der, size_t length, const char *ca_path, const char *host);

/* Would a server for host do with this certificate (PEM; those between it and its CA may follow) and this key, at the
 * time now (seconds since 1970)? Who signed it is not looked at. The caller frees; NULL when nothing is wrong. */
char *tls_explain_pair(const char *certificate, const char *key, const char *host, int64_t now);

#endif
