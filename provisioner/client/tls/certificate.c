#include "client/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "client/tls/private.h"

#define DAY (24 * 60 * 60)

int tls_fail(struct err **err, const char *what)
{
        char text[200] = "";
        unsigned long code = ERR_get_error();
        if (code)
                ERR_error_string_n(code, text, sizeof text);
        ERR_clear_error();
        return err_set(err, ERR_FAILED, "%s%s%s", what, *text ? ": " : "", text);
}

X509 *tls_parse(const char *pem)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
        ERR_clear_error();
        return certificate;
}

EVP_PKEY *tls_parse_key(const char *pem)
{
        BIO *bio = BIO_new_mem_buf(pem, -1);
        /* an empty passphrase: without one, libcrypto asks for it on the terminal */
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
        BIO_free(bio);
        ERR_clear_error();
        return key;
}

static char *bio_text(BIO *bio)
{
        char *data = NULL;
        long length = BIO_get_mem_data(bio, &data);
        return str_copy_n(data, length > 0 ? (size_t)length : 0);
}

/* A number nobody can guess, so that two CAs of the same name never clash: 127 random bits, positive. */
static bool set_serial(X509 *certificate)
{
        unsigned char bytes[16];
        random_bytes(bytes, sizeof bytes);
        bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
        BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
        bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
        BN_free(number);
        return set;
}

static bool set_name(X509_NAME *name, const char *text)
{
        CLEANUP_FREE char *common = str_copy_n(text, strnlen(text, 64));
        return X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Pangeo CaaS", -1, -1, 0) ==
                       1 &&
               X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0) == 1;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
        X509V3_CTX context;
        X509V3_set_ctx_nodb(&context);
        X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
        X509_EXTENSION_free(extension);
        return added;
}

static bool is_address(const char *text)
{
        unsigned char bytes[16];
        return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool is_dns_name(const char *text)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*";
        size_t length = strlen(text);
        return length > 0 && length <= 253 && strspn(text, allowed) == length;
}

/* The names are checked first: they end up in libcrypto's little language of extensions. */
static int alternative_names(const char *const *names, char **ret, struct err **err)
{
        CLEANUP_BUF struct buf text = BUF_INIT(64 * 1024);
        for (; names && *names; names++) {
                bool address = is_address(*names);
                if (!address && !is_dns_name(*names))
                        return err_set(err, ERR_INVALID, "\"%s\" is neither a DNS name nor an address", *names);
                buf_format(&text, "%s%s:%s", text.length ? "," : "", address ? "IP" : "DNS", *names);
        }
        *ret = buf_steal(&text);
        return 0;
}

static bool set_times(X509 *certificate, const struct tls_request *r, const X509 *ca)
{
        time_t begin = (time_t)r->now - DAY, end = (time_t)r->now + (time_t)r->days * DAY;
        if (!ASN1_TIME_set(X509_getm_notBefore(certificate), begin) ||
                !ASN1_TIME_set(X509_getm_notAfter(certificate), end))
                return false;
        if (!ca || ASN1_TIME_compare(X509_get0_notAfter(certificate), X509_get0_notAfter(ca)) <= 0)
                return true;
        return X509_set1_notAfter(certificate, X509_get0_notAfter(ca)) == 1;
}

static bool set_extensions(X509 *certificate, X509 *issuer, bool ca, const char *use, const char *names)
{
        bool done = add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
        if (ca)
                return done &&
                       add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                       add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
        return done && add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
               add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
               add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
               add_extension(certificate, issuer, NID_ext_key_usage, use) &&
               (!names || !*names || add_extension(certificate, issuer, NID_subject_alt_name, names));
}

static bool build(
        X509 *certificate, EVP_PKEY *key, const struct tls_request *r, const char *names, X509 *ca, EVP_PKEY *ca_key)
{
        X509 *issuer = ca ? ca : certificate;
        return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
               set_name(X509_get_subject_name(certificate), r->name) &&
               X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 && set_times(certificate, r, ca) &&
               X509_set_pubkey(certificate, key) == 1 &&
               set_extensions(certificate, issuer, !ca, r->client ? "clientAuth" : "serverAuth", names) &&
               X509_sign(certificate, ca ? ca_key : key, EVP_sha256()) > 0;
}

static bool write_out(X509 *certificate, EVP_PKEY *key, char **ret_certificate, char **ret_key)
{
        BIO *one = BIO_new(BIO_s_mem()), *other = BIO_new(BIO_s_secmem());
        bool written = one && other && PEM_write_bio_X509(one, certificate) == 1 &&
                       PEM_write_bio_PKCS8PrivateKey(other, key, NULL, NULL, 0, NULL, NULL) == 1;
        if (written) {
                *ret_certificate = bio_text(one);
                *ret_key = bio_text(other);
        }
        BIO_free(one);
        BIO_free(other);
        return written;
}

int tls_issue(const struct tls_request *request, char **ret_certificate, char **ret_key, struct err **err)
{
        CLEANUP_FREE char *names = NULL;
        int r = alternative_names(request->names, &names, err);
        if (r < 0)
                return r;
        bool own = request->ca_certificate == NULL;
        CLEANUP_X509 X509 *ca = own ? NULL : tls_parse(request->ca_certificate);
        CLEANUP_KEY EVP_PKEY *ca_key = own ? NULL : tls_parse_key(request->ca_key);
        if (!own && (!ca || !ca_key || X509_check_private_key(ca, ca_key) != 1)) {
                ERR_clear_error();
                return err_set(err, ERR_INVALID, "the CA's certificate and key do not belong together");
        }
        CLEANUP_KEY EVP_PKEY *key = EVP_EC_gen("P-256");
        CLEANUP_X509 X509 *certificate = X509_new();
        if (!key || !certificate || !build(certificate, key, request, names, ca, ca_key) ||
                !write_out(certificate, key, ret_certificate, ret_key))
                return tls_fail(err, "cannot make a certificate");
        return 0;
}

bool tls_key_fits(const char *certificate, const char *key)
{
        CLEANUP_X509 X509 *parsed = tls_parse(certificate);
        CLEANUP_KEY EVP_PKEY *parsed_key = tls_parse_key(key);
        bool fits = parsed && parsed_key && X509_check_private_key(parsed, parsed_key) == 1;
        ERR_clear_error();
        return fits;
}

bool tls_signed_by(const char *certificate, const char *ca_certificate)
{
        CLEANUP_X509 X509 *parsed = tls_parse(certificate), *ca = tls_parse(ca_certificate);
        bool is = parsed && ca && X509_verify(parsed, X509_get0_pubkey(ca)) == 1 &&
                  X509_NAME_cmp(X509_get_issuer_name(parsed), X509_get_subject_name(ca)) == 0;
        ERR_clear_error();
        return is;
}

char *tls_hash_token(const char *token)
{
        unsigned char out[EVP_MAX_MD_SIZE + 16];
        unsigned int length = 0;
        unsigned char salt[16];
        random_bytes(salt, sizeof salt);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        if (!context || EVP_DigestInit_ex(context, EVP_sha512(), NULL) != 1 ||
                EVP_DigestUpdate(context, token, strlen(token)) != 1 ||
                EVP_DigestUpdate(context, salt, sizeof salt) != 1 || EVP_DigestFinal_ex(context, out, &length) != 1)
                abort(); /* SHA-512 is always there */
        EVP_MD_CTX_free(context);
        memcpy(out + length, salt, sizeof salt);
        char encoded[4 * ((EVP_MAX_MD_SIZE + 16 + 2) / 3) + 1];
        EVP_EncodeBlock((unsigned char *)encoded, out, (int)(length + sizeof salt));
        return str_format("{SSHA512}%s", encoded);
}
