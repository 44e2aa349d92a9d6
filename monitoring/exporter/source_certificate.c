/* When certificates end: of files, and of what servers show. Whether they are to be trusted is not asked. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <poll.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/tls/certificate.h"
#include "exporter/address.h"
#include "exporter/source_list.h"

#define FILE_MAX     (1024 * 1024)
#define HANDSHAKE_MS 3000
#define ASK_AGAIN_MS 300000 /* a server is asked so often: handshakes cost it something */

static const struct family EXPIRY = {.name = "caas_certificate_expiry_timestamp_seconds",
        .help = "When a certificate ends.",
        .unit = "seconds",
        .labels = "certificate"};
static const struct family *const FAMILIES[] = {&EXPIRY, NULL};

struct state {
        SSL_CTX *context;
        struct {
                int64_t expires; /* seconds since 1970 */
                int64_t asked;   /* monotonic; 0 = never with success */
        } * seen;                /* one a certificate of the configuration */
};

static bool wanted(const struct config *config)
{
        return config->certificate_count > 0;
}

static int of_file(const char *path, int64_t *ret, struct err **err)
{
        CLEANUP_FREE char *text = NULL;
        CLEANUP_TLS_FACTS struct tls_facts facts = {0};
        int r = file_read(path, FILE_MAX, &text, NULL, err);
        if (r == 0)
                r = tls_read(text, &facts, err);
        if (r < 0)
                return err_prefix(err, "%s", path);
        *ret = facts.expires;
        return 0;
}

static int shake_hands(SSL *ssl, int fd, int timeout_ms, struct cancel *cancel, struct err **err)
{
        int64_t end = clock_system()->monotonic_ms(clock_system()) + timeout_ms;
        for (;;) {
                ERR_clear_error();
                int r = SSL_connect(ssl);
                if (r == 1)
                        return 0;
                switch (SSL_get_error(ssl, r)) {
                case SSL_ERROR_WANT_READ:
                        r = address_wait(fd, POLLIN, end, cancel, err);
                        break;
                case SSL_ERROR_WANT_WRITE:
                        r = address_wait(fd, POLLOUT, end, cancel, err);
                        break;
                default: {
                        const char *reason = ERR_reason_error_string(ERR_peek_error());
                        /* it may refuse us for want of a certificate of ours, and have shown its own before */
                        if (SSL_get0_peer_certificate(ssl))
                                return 0;
                        return err_set(err, ERR_REFUSED, "%s", reason ? reason : "the connection was closed");
                }
                }
                if (r < 0)
                        return r;
        }
}

static int of_server(const struct config *config, SSL_CTX *context, const struct config_certificate *certificate,
        int timeout_ms, int64_t *ret, struct err **err)
{
        CLEANUP_CLOSE int fd = -1;
        struct tm tm;
        int r = address_connect(certificate->address, timeout_ms, config->cancel, &fd, err);
        if (r < 0)
                return r;
        SSL *ssl = SSL_new(context);
        if (!ssl || SSL_set_fd(ssl, fd) != 1 ||
                (certificate->server && SSL_set_tlsext_host_name(ssl, certificate->server) != 1))
                r = err_set(err, ERR_FAILED, "cannot prepare a connection");
        if (r == 0)
                r = shake_hands(ssl, fd, timeout_ms, config->cancel, err);
        if (r == 0 && ASN1_TIME_to_tm(X509_get0_notAfter(SSL_get0_peer_certificate(ssl)), &tm) != 1)
                r = err_set(err, ERR_INVALID, "its certificate has no end");
        SSL_free(ssl);
        ERR_clear_error();
        if (r < 0)
                return err_prefix(err, "%s", certificate->address);
        *ret = timegm(&tm);
        return 0;
}

static struct state *prepare(const struct config *config, void **memory, struct err **err)
{
        struct state *state = *memory;
        if (!state) {
                state = *memory = mem_zero(sizeof *state);
                state->seen = mem_zero_array(config->certificate_count, sizeof *state->seen);
        }
        if (!state->context)
                state->context = SSL_CTX_new(TLS_client_method()); /* which verifies nothing: that is not asked here */
        if (!state->context)
                err_set(err, ERR_FAILED, "cannot prepare connections");
        return state->context ? state : NULL;
}

/* One that cannot be had is left out; only when none can is that the source's failure. */
static int refresh(const struct config *config, void **memory, struct sample_sink *sink, struct err **err)
{
        struct state *state = prepare(config, memory, err);
        if (!state)
                return -ERR_FAILED;
        CLEANUP_ERR struct err *first = NULL;
        size_t good = 0;
        int64_t share = config->timeout_ms / (int64_t)config->certificate_count;
        for (size_t i = 0; i < config->certificate_count; i++) {
                const struct config_certificate *certificate = &config->certificates[i];
                int64_t now = clock_system()->monotonic_ms(clock_system()), *expires = &state->seen[i].expires;
                CLEANUP_ERR struct err *fault = NULL;
                int r = cancel_check(config->cancel, 1, err);
                if (r < 0)
                        return r;
                if (certificate->file)
                        r = of_file(certificate->file, expires, &fault);
                else if (!state->seen[i].asked || now - state->seen[i].asked >= ASK_AGAIN_MS) {
                        int timeout_ms = share < HANDSHAKE_MS ? (int)share : HANDSHAKE_MS;
                        r = of_server(config, state->context, certificate, timeout_ms, expires, &fault);
                        state->seen[i].asked = r == 0 ? now : 0;
                }
                if (r < 0) {
                        first = first ? first : STEAL(fault);
                        continue;
                }
                good++;
                sink_add(
                        sink, &EXPIRY, (double)*expires, (const char *const[]){"certificate", certificate->name, NULL});
        }
        if (good)
                return 0;
        *err = STEAL(first);
        return *err ? -(int)(*err)->code : -ERR_FAILED;
}

static void done(void *memory)
{
        struct state *state = memory;
        if (!state)
                return;
        SSL_CTX_free(state->context);
        free(state->seen);
        free(state);
}

const struct source source_certificate = {"certificate", FAMILIES, wanted, refresh, done};
