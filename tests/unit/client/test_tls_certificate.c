/* Certificates made and read here, looked at by libcrypto and by a real handshake's rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/tls/certificate.h"
#include "client/tls/explain.h"

#define DAY (24 * 60 * 60)

struct made {
        char *certificate, *key;
};

static struct made issue(const char *name, const char *const *names, int days, int64_t now, const struct made *ca)
{
        struct made made = {0};
        struct tls_request request = {.name = name, .names = names, .days = days, .now = now};
        if (ca) {
                request.ca_certificate = ca->certificate;
                request.ca_key = ca->key;
        }
        assert_int_equal(tls_issue(&request, &made.certificate, &made.key, NULL), 0);
        return made;
}

static void made_clear(struct made *made)
{
        free(made->certificate);
        free(made->key);
}

static void a_server_certificate_is_right(void **state)
{
        (void)state;
        int64_t now = time(NULL);
        struct made ca = issue("CA", NULL, 100, now, NULL), other = issue("CA", NULL, 100, now, NULL);
        const char *const names[] = {"hub.example.org", "127.0.0.1", "::1", NULL};
        struct made server = issue("hub", names, 50, now, &ca);
        CLEANUP_TLS_FACTS struct tls_facts facts = {0}, of_ca = {0};
        assert_int_equal(tls_read(server.certificate, &facts, NULL), 0);
        assert_int_equal(tls_read(ca.certificate, &of_ca, NULL), 0);
        assert_false(facts.ca);
        assert_true(of_ca.ca);
        assert_string_equal(facts.names[0], "127.0.0.1");
        assert_string_equal(facts.names[1], "::1");
        assert_string_equal(facts.names[2], "hub.example.org");
        assert_null(facts.names[3]);
        assert_null(of_ca.names[0]);
        assert_int_equal(facts.begins, now - DAY);
        assert_int_equal(facts.expires, now + 50 * DAY);
        assert_int_equal(strlen(facts.fingerprint), 64);
        assert_true(tls_signed_by(server.certificate, ca.certificate));
        assert_true(tls_signed_by(ca.certificate, ca.certificate));
        assert_false(tls_signed_by(server.certificate, other.certificate)); /* same name, another key */
        assert_true(tls_key_fits(server.certificate, server.key));
        assert_false(tls_key_fits(server.certificate, ca.key));
        assert_non_null(strstr(server.key, "BEGIN PRIVATE KEY"));
        made_clear(&ca), made_clear(&other), made_clear(&server);
}

static bool is_for(const char *text, int purpose)
{
        BIO *bio = BIO_new_mem_buf(text, -1);
        X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        bool fits = X509_check_purpose(certificate, purpose, 0) == 1;
        X509_free(certificate);
        BIO_free(bio);
        return fits;
}

/* A server's certificate, of which there are several, opens no door that is for clients. */
static void a_client_is_no_server(void **state)
{
        (void)state;
        struct made ca = issue("CA", NULL, 10, time(NULL), NULL), server = issue("s", NULL, 10, time(NULL), &ca),
                    client = {0};
        struct tls_request request = {.name = "c", .client = true, .days = 10, .now = time(NULL)};
        request.ca_certificate = ca.certificate, request.ca_key = ca.key;
        assert_int_equal(tls_issue(&request, &client.certificate, &client.key, NULL), 0);
        assert_true(is_for(server.certificate, X509_PURPOSE_SSL_SERVER));
        assert_false(is_for(server.certificate, X509_PURPOSE_SSL_CLIENT));
        assert_true(is_for(client.certificate, X509_PURPOSE_SSL_CLIENT));
        assert_false(is_for(client.certificate, X509_PURPOSE_SSL_SERVER));
        assert_true(tls_signed_by(client.certificate, ca.certificate));
        made_clear(&ca), made_clear(&server), made_clear(&client);
}

static void it_never_outlives_its_ca(void **state)
{
        (void)state;
        int64_t now = time(NULL);
        struct made ca = issue("CA", NULL, 10, now, NULL), server = issue("s", NULL, 820, now, &ca);
        CLEANUP_TLS_FACTS struct tls_facts facts = {0};
        assert_int_equal(tls_read(server.certificate, &facts, NULL), 0);
        assert_int_equal(facts.expires, now + 10 * DAY);
        made_clear(&ca), made_clear(&server);
}

static void serials_and_keys_differ(void **state)
{
        (void)state;
        struct made one = issue("CA", NULL, 10, time(NULL), NULL), other = issue("CA", NULL, 10, time(NULL), NULL);
        assert_string_not_equal(one.certificate, other.certificate);
        assert_string_not_equal(one.key, other.key);
        made_clear(&one), made_clear(&other);
}

static void odd_names_are_refused(void **state)
{
        (void)state;
        static const char *const odd[] = {
                "", "a b", "a,DNS:b", "email:x", "a\nb", "$(x)", "1.2.3.4,IP:5.6.7.8", "@section", "caf\xc3\xa9"};
        struct made ca = issue("CA", NULL, 10, time(NULL), NULL);
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
                const char *const names[] = {"fine.example.org", odd[i], NULL};
                struct tls_request request = {.name = "x",
                        .names = names,
                        .days = 1,
                        .now = time(NULL),
                        .ca_certificate = ca.certificate,
                        .ca_key = ca.key};
                char *certificate = NULL, *key = NULL;
                struct err *err = NULL;
                assert_int_equal(tls_issue(&request, &certificate, &key, &err), -ERR_INVALID);
                assert_null(certificate);
                assert_null(key);
                err_free(err);
        }
        made_clear(&ca);
}

static void wrong_input_is_refused(void **state)
{
        (void)state;
        struct made ca = issue("CA", NULL, 10, time(NULL), NULL), other = issue("CA", NULL, 10, time(NULL), NULL);
        struct tls_request request = {
                .name = "x", .days = 1, .now = time(NULL), .ca_certificate = ca.certificate, .ca_key = other.key};
        char *certificate = NULL, *key = NULL, *pack = NULL;
        struct err *err = NULL;
        assert_int_equal(tls_issue(&request, &certificate, &key, &err), -ERR_INVALID);
        err = err_free(err);
        struct tls_facts facts;
        assert_int_equal(tls_read("no certificate", &facts, &err), -ERR_INVALID);
        err = err_free(err);
        assert_int_equal(tls_read("", &facts, &err), -ERR_INVALID);
        err = err_free(err);
        assert_false(tls_key_fits("", ""));
        assert_false(tls_signed_by("x", ca.certificate));
        assert_true(tls_pkcs12("x", ca.key, ca.certificate, "n", "p", &pack, &err) < 0);
        assert_null(pack);
        err_free(err);
        made_clear(&ca), made_clear(&other);
}

static void a_pack_opens_again(void **state)
{
        (void)state;
        struct made ca = issue("CA", NULL, 10, time(NULL), NULL), server = issue("s", NULL, 10, time(NULL), &ca);
        CLEANUP_FREE char *pack = NULL;
        assert_int_equal(
                tls_pkcs12(server.certificate, server.key, ca.certificate, "Server-Cert", "p\"w", &pack, NULL), 0);
        CLEANUP_FREE unsigned char *der = mem_zero(strlen(pack) + 1);
        int length = EVP_DecodeBlock(der, (const unsigned char *)pack, (int)strlen(pack));
        const unsigned char *data = der;
        PKCS12 *parsed = d2i_PKCS12(NULL, &data, length);
        assert_non_null(parsed);
        assert_int_equal(PKCS12_verify_mac(parsed, "wrong", -1), 0);
        assert_int_equal(PKCS12_verify_mac(parsed, "p\"w", -1), 1);
        PKCS12_free(parsed);
        made_clear(&ca), made_clear(&server);
}

/* What people are told when a directory shows the wrong thing. */
static void faults_are_explained(void **state)
{
        (void)state;
        int64_t now = time(NULL);
        const char *const names[] = {"ipa.example.org", NULL};
        struct made ca = issue("Right CA", NULL, 10, now, NULL),
                    old_ca = issue("Right CA", NULL, 400, now - 300 * DAY, NULL);
        struct made server = issue("s", names, 5, now, &ca), stranger = issue("s", names, 5, now, NULL);
        struct made expired = issue("s", names, 5, now - 20 * DAY, &old_ca),
                    early = issue("s", names, 5, now + 20 * DAY, &old_ca);
        char path[] = "/tmp/caas-ca-XXXXXX";
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        dprintf(fd, "%s%s", ca.certificate, old_ca.certificate);
        close(fd);
        const struct {
                const struct made *made;
                const char *host, *part; /* NULL: nothing is wrong */
        } cases[] = {
                {&server, "ipa.example.org", NULL},
                {&server, "other.example.org", "for ipa.example.org, not for other.example.org"},
                {&server, "10.0.0.1", "not for 10.0.0.1"},
                {&stranger, "ipa.example.org", "which is not the CA in"},
                {&expired, "ipa.example.org", "expired"},
                {&early, "ipa.example.org", "clock"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                BIO *bio = BIO_new_mem_buf(cases[i].made->certificate, -1);
                X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
                unsigned char *der = NULL;
                int length = i2d_X509(certificate, &der);
                CLEANUP_FREE char *text = tls_explain(der, (size_t)length, path, cases[i].host);
                if (!cases[i].part) {
                        assert_null(text);
                } else {
                        assert_non_null(text);
                        print_message("         %s\n", text);
                        assert_non_null(strstr(text, cases[i].part));
                }
                OPENSSL_free(der);
                X509_free(certificate);
                BIO_free(bio);
        }
        CLEANUP_FREE char *nonsense = tls_explain("\x30\x03nonsense", 8, path, "a");
        assert_non_null(nonsense);
        unlink(path);
        made_clear(&ca), made_clear(&old_ca), made_clear(&server), made_clear(&stranger), made_clear(&expired),
                made_clear(&early);
}

static void assert_pair(const char *certificate, const char *key, const char *host, int64_t now, const char *part)
{
        CLEANUP_FREE char *why = tls_explain_pair(certificate, key, host, now);
        if (!part)
                assert_null(why);
        else if (!why || !strstr(why, part))
                fail_msg("%s is missing in: %s", part, why ? why : "(nothing)");
}

static void a_pair_that_is_given_is_looked_at(void **state)
{
        (void)state;
        int64_t now = time(NULL);
        const char *const names[] = {"hub.example.org", "192.0.2.1", NULL};
        struct made ca = issue("CA", NULL, 100, now, NULL), server = issue("hub", names, 50, now, &ca),
                    other = issue("hub", names, 50, now, &ca);
        CLEANUP_FREE char *chain = str_format("%s%s", server.certificate, ca.certificate);
        CLEANUP_FREE char *turned = str_format("%s%s", ca.certificate, server.certificate);
        assert_pair(server.certificate, server.key, "hub.example.org", now, NULL);
        assert_pair(chain, server.key, "192.0.2.1", now, NULL);
        assert_pair(chain, server.key, "elsewhere.example.org", now,
                "it is for 192.0.2.1, hub.example.org, not for elsewhere");
        assert_pair(chain, other.key, "hub.example.org", now, "does not match");
        assert_pair(turned, server.key, "hub.example.org", now, "it is for no name at all, not for");
        assert_pair(chain, server.key, "hub.example.org", now + 50 * DAY, "it expired on 2");
        assert_pair(chain, server.key, "hub.example.org", now + 50 * DAY - 1, NULL);
        assert_pair(chain, server.key, "hub.example.org", now - 2 * DAY, "not valid before");
        assert_pair("x", server.key, "hub.example.org", now, "no certificate");
        assert_pair(server.key, server.key, "hub.example.org", now, "no certificate");
        assert_pair(chain, "", "hub.example.org", now, "no private key");
        assert_pair(chain, server.certificate, "hub.example.org", now, "no private key");
        made_clear(&ca), made_clear(&server), made_clear(&other);
}

/* Nobody is asked for the passphrase. */
static void a_key_with_a_passphrase_is_refused(void **state)
{
        (void)state;
        const char *const names[] = {"hub.example.org", NULL};
        struct made ca = issue("CA", NULL, 9, time(NULL), NULL), server = issue("hub", names, 9, time(NULL), &ca);
        BIO *in = BIO_new_mem_buf(server.key, -1), *out = BIO_new(BIO_s_mem());
        EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_256_cbc(), "secret", 6, NULL, NULL), 1);
        char *text = NULL;
        long length = BIO_get_mem_data(out, &text);
        CLEANUP_FREE char *sealed = str_copy_n(text, (size_t)length);
        assert_pair(server.certificate, sealed, "hub.example.org", time(NULL), "has a passphrase");
        assert_false(tls_key_fits(server.certificate, sealed));
        BIO_free(in), BIO_free(out), EVP_PKEY_free(key);
        made_clear(&ca), made_clear(&server);
}

static void token_hashes_are_salted(void **state)
{
        (void)state;
        CLEANUP_FREE char *one = tls_hash_token("secret"), *other = tls_hash_token("secret");
        assert_true(str_starts(one, "{SSHA512}"));
        assert_string_not_equal(one, other);
        assert_int_equal(strlen(one), strlen("{SSHA512}") + 108);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_server_certificate_is_right),
                cmocka_unit_test(a_client_is_no_server),
                cmocka_unit_test(it_never_outlives_its_ca),
                cmocka_unit_test(serials_and_keys_differ),
                cmocka_unit_test(odd_names_are_refused),
                cmocka_unit_test(wrong_input_is_refused),
                cmocka_unit_test(a_pack_opens_again),
                cmocka_unit_test(faults_are_explained),
                cmocka_unit_test(a_pair_that_is_given_is_looked_at),
                cmocka_unit_test(a_key_with_a_passphrase_is_refused),
                cmocka_unit_test(token_hashes_are_salted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
