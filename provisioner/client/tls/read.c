/* Reading certificates, and packing them. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/tls/certificate.h"
#include "client/tls/private.h"

static int64_t seconds(const ASN1_TIME *time)
{
        struct tm tm;
        return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static char *name_text(const GENERAL_NAME *name)
{
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
        const unsigned char *data = type == GEN_DNS || type == GEN_IPADD ? ASN1_STRING_get0_data(value) : NULL;
        int length = data ? ASN1_STRING_length(value) : 0;
        char address[INET6_ADDRSTRLEN];
        if (type == GEN_DNS)
                return str_copy_n((const char *)data, (size_t)length);
        if (type == GEN_IPADD && (length == 4 || length == 16))
                return str_copy(inet_ntop(length == 4 ? AF_INET : AF_INET6, data, address, sizeof address));
        return NULL;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

char **tls_names(const X509 *certificate)
{
        GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
        int count = list ? sk_GENERAL_NAME_num(list) : 0;
        char **names = mem_zero_array((size_t)count + 1, sizeof *names);
        size_t n = 0;
        for (int i = 0; i < count; i++) {
                names[n] = name_text(sk_GENERAL_NAME_value(list, i));
                n += names[n] != NULL;
        }
        GENERAL_NAMES_free(list);
        qsort(names, n, sizeof *names, by_text);
        return names;
}

int tls_read(const char *certificate, struct tls_facts *ret, struct err **err)
{
        CLEANUP_X509 X509 *parsed = tls_parse(certificate);
        if (!parsed)
                return err_set(err, ERR_INVALID, "not a certificate in PEM");
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned int length = 0;
        if (X509_digest(parsed, EVP_sha256(), digest, &length) != 1)
                return tls_fail(err, "cannot read a certificate");
        struct tls_facts facts = {.begins = seconds(X509_get0_notBefore(parsed)),
                .expires = seconds(X509_get0_notAfter(parsed)),
                .ca = X509_check_ca(parsed) == 1,
                .names = tls_names(parsed)};
        for (unsigned int i = 0; i < length; i++)
                snprintf(facts.fingerprint + 2 * (size_t)i, 3, "%02x", digest[i]);
        ERR_clear_error();
        *ret = facts;
        return 0;
}

void tls_facts_clear(struct tls_facts *facts)
{
        for (char **name = facts->names; name && *name; name++)
                free(*name);
        free(facts->names);
        *facts = (struct tls_facts){0};
}

int tls_pkcs12(const char *certificate, const char *key, const char *ca_certificate, const char *name,
        const char *password, char **ret_base64, struct err **err)
{
        CLEANUP_X509 X509 *own = tls_parse(certificate), *ca = tls_parse(ca_certificate);
        CLEANUP_KEY EVP_PKEY *own_key = tls_parse_key(key);
        STACK_OF(X509) *chain = sk_X509_new_null();
        PKCS12 *pack = NULL;
        if (own && ca && own_key && chain && sk_X509_push(chain, ca) > 0)
                pack = PKCS12_create(password, name, own_key, own, chain, 0, 0, 0, 0, 0);
        sk_X509_free(chain);
        if (!pack)
                return tls_fail(err, "cannot pack a certificate and its key");
        unsigned char *der = NULL;
        int length = i2d_PKCS12(pack, &der);
        PKCS12_free(pack);
        if (length <= 0)
                return tls_fail(err, "cannot pack a certificate and its key");
        char *encoded = mem_zero(4 * (((size_t)length + 2) / 3) + 1);
        EVP_EncodeBlock((unsigned char *)encoded, der, length);
        OPENSSL_clear_free(der, (size_t)length);
        *ret_base64 = encoded;
        return 0;
}
