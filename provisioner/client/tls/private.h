/* What the files of this folder share. */
#ifndef CAAS_CLIENT_TLS_PRIVATE_H
#define CAAS_CLIENT_TLS_PRIVATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/err.h"

/* NULL when it is none. */
X509 *tls_parse(const char *pem);
EVP_PKEY *tls_parse_key(const char *pem);

/* -ERR_FAILED with libcrypto's first complaint; its list of them is emptied. */
int tls_fail(struct err **err, const char *what);

/* The DNS names and addresses of a certificate, NULL-terminated and sorted; the caller frees each and the array. */
char **tls_names(const X509 *certificate);

static inline void tls_cleanup_x509(X509 **certificate)
{
        X509_free(*certificate);
}
static inline void tls_cleanup_key(EVP_PKEY **key)
{
        EVP_PKEY_free(*key);
}
#define CLEANUP_X509 __attribute__((cleanup(tls_cleanup_x509)))
#define CLEANUP_KEY  __attribute__((cleanup(tls_cleanup_key)))

#endif
