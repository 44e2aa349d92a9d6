/* Why a certificate is not to be trusted, in words. */
#ifndef CAAS_CLIENT_TLS_EXPLAIN_H
#define CAAS_CLIENT_TLS_EXPLAIN_H

#include <stddef.h>

/* Looks at a server's certificate (DER) as a client does that trusts the CAs of ca_path and wanted to speak to host (a
 * name or an address). The caller frees; NULL when nothing is wrong with it. Only the one certificate is looked at, not
 * a chain. */
char *tls_explain(const void *der, size_t length, const char *ca_path, const char *host);

#endif
