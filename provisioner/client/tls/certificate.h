/* Certificates: EC P-256, SHA-256. All texts are PEM. Thread-safe. */
#ifndef CAAS_CLIENT_TLS_CERTIFICATE_H
#define CAAS_CLIENT_TLS_CERTIFICATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TLS_FINGERPRINT_SIZE 65 /* 64 hex characters (SHA-256) and NUL */

struct tls_request {
        const char *name;           /* common name; at most 64 bytes are used */
        const char *const *names;   /* NULL-terminated DNS names and IP addresses (subjectAltName); none for a CA */
        bool client;                /* it says who calls; otherwise it says who answers */
        int days;                   /* from now; it begins a day early, for clocks that are behind */
        int64_t now;                /* seconds since 1970 */
        const char *ca_certificate; /* who signs; NULL = a CA that signs itself */
        const char *ca_key;
};

/* A new key and its certificate; the caller frees both, the key with mem_wipe_free. -ERR_INVALID for a name that is
 * none, or a CA whose key does not fit. A certificate never outlives its CA. */
int tls_issue(const struct tls_request *request, char **ret_certificate, char **ret_key, struct err **err);

struct tls_facts {
        char fingerprint[TLS_FINGERPRINT_SIZE];
        int64_t begins, expires; /* seconds since 1970 */
        bool ca;
        char **names; /* NULL-terminated, sorted; DNS names and addresses */
};
void tls_facts_clear(struct tls_facts *facts);
#define CLEANUP_TLS_FACTS __attribute__((cleanup(tls_facts_clear)))

/* -ERR_INVALID when it is no certificate. */
int tls_read(const char *certificate, struct tls_facts *ret, struct err **err);

bool tls_key_fits(const char *certificate, const char *key);
bool tls_signed_by(const char *certificate, const char *ca_certificate);

/* Certificate, key and CA in one PKCS#12 structure, in base64; the caller frees with mem_wipe_free. */
int tls_pkcs12(const char *certificate, const char *key, const char *ca_certificate, const char *name,
        const char *password, char **ret_base64, struct err **err);

/* "{SSHA512}…", for LDAP: for passwords that are random and long, where slowness adds nothing. The caller frees. */
char *tls_hash_token(const char *token);

#endif
