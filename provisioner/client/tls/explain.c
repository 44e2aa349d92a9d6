#include "client/tls/explain.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/tls/certificate.h"
#include "client/tls/private.h"

static char *subject(const X509_NAME *name)
{
        char text[200] = "";
        X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text);
        for (char *c = text; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = '?';
        return str_copy(*text ? text : "(no name)");
}

static int verify(X509 *certificate, const char *ca_path)
{
        X509_STORE *store = X509_STORE_new();
        X509_STORE_CTX *context = X509_STORE_CTX_new();
        int fault = X509_V_ERR_UNSPECIFIED;
        if (store && context && X509_STORE_load_file(store, ca_path) == 1 &&
                X509_STORE_CTX_init(context, store, certificate, NULL) == 1) {
                X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(context), X509_PURPOSE_SSL_SERVER);
                X509_verify_cert(context);
                fault = X509_STORE_CTX_get_error(context);
        }
        X509_STORE_CTX_free(context);
        X509_STORE_free(store);
        ERR_clear_error();
        return fault;
}

static char *joined_names(const X509 *certificate)
{
        char **names = tls_names(certificate);
        CLEANUP_BUF struct buf text = BUF_INIT(300);
        for (char **name = names; *name; name++) {
                buf_format(&text, "%s%s", text.length ? ", " : "", *name);
                free(*name);
        }
        free(names);
        for (char *c = text.data; c && *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = '?';
        return text.length ? buf_steal(&text) : str_copy("no name at all");
}

static bool is_for(X509 *certificate, const char *host)
{
        unsigned char address[16];
        bool is_address = inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
        return (is_address ? X509_check_ip_asc(certificate, host, 0)
                           : X509_check_host(certificate, host, 0, 0, NULL)) == 1;
}

static char *explain(X509 *certificate, const char *ca_path, const char *host)
{
        CLEANUP_FREE char *issuer = subject(X509_get_issuer_name(certificate));
        int fault = verify(certificate, ca_path);
        switch (fault) {
        case X509_V_OK:
                break;
        case X509_V_ERR_CERT_HAS_EXPIRED:
                return str_copy("its certificate, or the CA's, has expired");
        case X509_V_ERR_CERT_NOT_YET_VALID:
                return str_copy("its certificate is not valid yet: is this machine's clock right?");
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        case X509_V_ERR_CERT_SIGNATURE_FAILURE:
                return str_format("its certificate is issued by \"%s\", which is not the CA in %s", issuer, ca_path);
        default:
                return str_format(
                        "its certificate is refused: %s (trusted: %s)", X509_verify_cert_error_string(fault), ca_path);
        }
        if (is_for(certificate, host))
                return NULL;
        CLEANUP_FREE char *names = joined_names(certificate);
        return str_format("its certificate is for %s, not for %s", names, host);
}

char *tls_explain(const void *der, size_t length, const char *ca_path, const char *host)
{
        const unsigned char *data = der;
        CLEANUP_X509 X509 *certificate = d2i_X509(NULL, &data, (long)length);
        if (!certificate) {
                ERR_clear_error();
                return str_copy("it shows something that is no certificate");
        }
        char *text = explain(certificate, ca_path, host);
        ERR_clear_error();
        return text;
}

static char *explain_times(const char *certificate, int64_t now)
{
        CLEANUP_TLS_FACTS struct tls_facts facts = {0};
        char when[32];
        if (tls_read(certificate, &facts, NULL) < 0)
                return str_copy("it cannot be read");
        if (facts.expires <= now)
                return str_format("it expired on %s", clock_format(facts.expires * 1000, when));
        if (facts.begins > now)
                return str_format("it is not valid before %s: is this machine's clock right?",
                        clock_format(facts.begins * 1000, when));
        return NULL;
}

char *tls_explain_pair(const char *certificate, const char *key, const char *host, int64_t now)
{
        CLEANUP_X509 X509 *parsed = tls_parse(certificate);
        if (!parsed)
                return str_copy("the file holds no certificate in PEM");
        if (!is_for(parsed, host)) {
                CLEANUP_FREE char *names = joined_names(parsed);
                return str_format("it is for %s, not for %s", names, host);
        }
        char *why = explain_times(certificate, now);
        if (why)
                return why;
        CLEANUP_KEY EVP_PKEY *parsed_key = tls_parse_key(key);
        if (!parsed_key && strstr(key, "ENCRYPTED"))
                return str_copy("its key has a passphrase, which nobody could enter at every start");
        if (!parsed_key)
                return str_copy("the file of its key holds no private key in PEM");
        if (X509_check_private_key(parsed, parsed_key) != 1) {
                ERR_clear_error();
                return str_copy(
                        "its key does not match: it belongs to another certificate (the server's own comes first "
                        "in the file)");
        }
        return NULL;
}
