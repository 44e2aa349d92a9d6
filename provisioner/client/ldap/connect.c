/* Connecting: TLS that is always verified, then a bind. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/private.h"
#include "client/tls/explain.h"

#define CONNECT_MS   5000
#define OPERATION_MS 15000
#define INCOMING_MAX (16 * 1024 * 1024)
#define SYSTEM_CA    "/etc/ssl/certs/ca-certificates.crt"

static void close_handle(LDAP **ld)
{
        if (*ld)
                ldap_unbind_ext_s(*ld, NULL, NULL);
        *ld = NULL;
}

static struct timeval time_of(int ms)
{
        return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

static const char *ca_of(const struct directory_options *o)
{
        return o->ca && *o->ca ? o->ca : SYSTEM_CA;
}

/* An address, taken apart. */
struct target {
        const struct directory_options *o;
        char *host;
        int port;
        bool start_tls;
        int connect_ms, operation_ms;
};

static void target_clear(struct target *target)
{
        free(target->host);
}

/* Only ldap:// and ldaps:// with a host and nothing behind it. */
static int parse_target(const struct directory_options *o, struct target *ret, struct err **err)
{
        LDAPURLDesc *url = NULL;
        const char *uri = o->uri ? o->uri : "";
        bool secure = str_starts(uri, "ldaps://"), clear = str_starts(uri, "ldap://");
        if ((!secure && !clear) || ldap_url_parse(uri, &url) != LDAP_URL_SUCCESS)
                return err_set(err, ERR_INVALID,
                        "\"%s\" is no address of a directory: ldaps://host or ldap://host is wanted", uri);
        bool plain = url->lud_host && *url->lud_host && !strpbrk(url->lud_host, " \t") &&
                     (!url->lud_dn || !*url->lud_dn) && !url->lud_attrs && !url->lud_exts && url->lud_port > 0 &&
                     url->lud_port <= 65535;
        if (plain)
                *ret = (struct target){.o = o,
                        .host = str_copy(url->lud_host),
                        .port = url->lud_port,
                        .start_tls = clear,
                        .connect_ms = o->connect_ms ? o->connect_ms : CONNECT_MS,
                        .operation_ms = o->operation_ms ? o->operation_ms : OPERATION_MS};
        ldap_free_urldesc(url);
        if (!plain)
                return err_set(err, ERR_INVALID,
                        "\"%s\" is no address of a directory: only a host and a port may stand in it", uri);
        return 0;
}

static int set_option(LDAP *ld, int option, const void *value, const char *name, struct err **err)
{
        if (ldap_set_option(ld, option, value) == LDAP_OPT_SUCCESS)
                return 0;
        return err_set(err, ERR_FAILED, "libldap refuses the option %s", name);
}
#define SET(option, value)                                                                                             \
        do {                                                                                                           \
                int r_ = set_option(ld, option, value, #option, err);                                                  \
                if (r_ < 0)                                                                                            \
                        return r_;                                                                                     \
        } while (0)

/* Everything is set on the handle itself: no file and no variable of whoever runs us may weaken it. */
static int set_options(LDAP *ld, const struct target *target, int require, struct err **err)
{
        const int version = LDAP_VERSION3, minimum = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, client = 0;
        const struct timeval operation = time_of(target->operation_ms), forever = {.tv_sec = -1};
        const int seconds = (target->operation_ms + 999) / 1000;
        SET(LDAP_OPT_PROTOCOL_VERSION, &version);
        SET(LDAP_OPT_NETWORK_TIMEOUT, &forever); /* socket.c keeps the time */
        SET(LDAP_OPT_TIMEOUT, &operation);
        SET(LDAP_OPT_TIMELIMIT, &seconds);
        SET(LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
        SET(LDAP_OPT_X_TLS_REQUIRE_CERT, &require);
        SET(LDAP_OPT_X_TLS_CACERTFILE, ca_of(target->o));
        SET(LDAP_OPT_X_TLS_CACERTDIR, NULL);
        SET(LDAP_OPT_X_TLS_PROTOCOL_MIN, &minimum);
        SET(LDAP_OPT_X_TLS_NEWCTX, &client);
        Sockbuf *socket = NULL;
        if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &socket) == LDAP_OPT_SUCCESS && socket) {
                ber_len_t max = INCOMING_MAX;
                ber_sockbuf_ctrl(socket, LBER_SB_OPT_SET_MAX_INCOMING, &max);
        }
        return 0;
}

/* TCP and TLS, nothing of LDAP yet (with StartTLS: the one request for it). *ret is set even when TLS fails, for its
 * words; *ret_result is libldap's. Negative only when it came to no TLS at all. */
static int handshake(const struct target *target, int require, LDAP **ret, int *ret_result, struct err **err)
{
        CLEANUP_CLOSE int fd = -1;
        int r = directory_socket(target->host, target->port, target->connect_ms, target->operation_ms, &fd, err);
        if (r < 0)
                return r;
        int result = ldap_init_fd(fd, LDAP_PROTO_TCP, target->o->uri, ret);
        if (result != LDAP_SUCCESS)
                return err_set(err, ERR_FAILED, "cannot prepare a connection: %s", ldap_err2string(result));
        int own = fd;
        fd = -1; /* it is the handle's now */
        r = set_options(*ret, target, require, err);
        if (r < 0)
                return r;
        struct watch *watch = directory_watch(own, target->connect_ms);
        if (!watch)
                return err_set(err, ERR_FAILED, "cannot make a thread");
        *ret_result = target->start_tls ? ldap_start_tls_s(*ret, NULL, NULL) : ldap_install_tls(*ret);
        if (directory_watch_end(watch))
                *ret_result = LDAP_TIMEOUT;
        return 0;
}

/* Why did TLS fail? libldap says the same of everything, so the server is asked once more, for its certificate only,
 * and that is looked at here. Nothing is sent over that connection. */
static char *certificate_fault(const struct target *target)
{
        __attribute__((cleanup(close_handle))) LDAP *ld = NULL;
        int result = LDAP_OTHER;
        if (handshake(target, LDAP_OPT_X_TLS_NEVER, &ld, &result, NULL) < 0 || result != LDAP_SUCCESS)
                return NULL;
        struct berval certificate = {0};
        if (ldap_get_option(ld, LDAP_OPT_X_TLS_PEERCERT, &certificate) != LDAP_OPT_SUCCESS || !certificate.bv_val)
                return NULL;
        char *text = tls_explain(certificate.bv_val, certificate.bv_len, ca_of(target->o), target->host);
        ber_memfree(certificate.bv_val);
        return text;
}

static int tls_fault(LDAP *ld, int result, const struct target *target, struct err **err)
{
        const char *uri = target->o->uri;
        if (target->start_tls && (result == LDAP_PROTOCOL_ERROR || result == LDAP_UNAVAILABLE))
                return err_set(err, ERR_REFUSED, "the directory %s offers no TLS on this port (StartTLS refused)", uri);
        if (result == LDAP_TIMEOUT)
                return err_set(err, ERR_TIMEOUT, "the directory %s does not finish the TLS handshake within %d ms", uri,
                        target->connect_ms);
        CLEANUP_FREE char *fault = certificate_fault(target);
        if (fault)
                return err_set(err, ERR_REFUSED, "the directory %s is not to be trusted: %s", uri, fault);
        return directory_fail(ld, result, err, "no TLS connection to the directory %s (is that its TLS port?)", uri);
}

static int bind_fault(LDAP *ld, int result, const struct directory_options *o, struct err **err)
{
        int r;
        switch (result) {
        case LDAP_INVALID_CREDENTIALS:
                return directory_fail(ld, result, err, "the directory %s does not let %s in", o->uri, o->bind_dn);
        case LDAP_UNWILLING_TO_PERFORM:
        case LDAP_CONSTRAINT_VIOLATION:
                r = directory_fail(
                        ld, LDAP_INVALID_CREDENTIALS, err, "the directory %s does not let %s in", o->uri, o->bind_dn);
                err_prefix(err, "account locked or expired");
                return r;
        case LDAP_NO_SUCH_OBJECT:
                return err_set(err, ERR_DENIED, "the directory %s knows no account %s", o->uri, o->bind_dn);
        case LDAP_INVALID_DN_SYNTAX:
                return err_set(err, ERR_INVALID, "\"%s\" is no DN", o->bind_dn);
        default:
                return directory_fail(ld, result, err, "cannot sign in to %s as %s", o->uri, o->bind_dn);
        }
}

static int bind_as(LDAP *ld, const struct directory_options *o, struct err **err)
{
        if (!o->bind_dn || !*o->bind_dn)
                return 0;
        if (!o->password || !*o->password)
                return err_set(err, ERR_DENIED, "no password is given for %s", o->bind_dn);
        struct berval password = {.bv_len = strlen(o->password), .bv_val = (char *)o->password};
        int result = ldap_sasl_bind_s(ld, o->bind_dn, LDAP_SASL_SIMPLE, &password, NULL, NULL, NULL);
        return result == LDAP_SUCCESS ? 0 : bind_fault(ld, result, o, err);
}

int directory_open(const struct directory_options *o, struct directory **ret, struct err **err)
{
        __attribute__((cleanup(target_clear))) struct target target = {.o = o};
        int result = LDAP_OTHER, r = ldap_api_load(err);
        if (r < 0)
                return r;
        r = parse_target(o, &target, err);
        if (r < 0)
                return r;
        if (access(ca_of(o), R_OK) < 0)
                return err_set_errno(err, errno, "cannot read the CA certificate %s", ca_of(o));
        __attribute__((cleanup(close_handle))) LDAP *ld = NULL;
        r = handshake(&target, LDAP_OPT_X_TLS_DEMAND, &ld, &result, err);
        if (r < 0)
                return err_prefix(err, "cannot reach the directory %s", o->uri);
        if (result != LDAP_SUCCESS)
                return tls_fault(ld, result, &target, err);
        if (!ldap_tls_inplace(ld))
                return err_set(err, ERR_REFUSED, "the connection to %s is not encrypted", o->uri);
        r = bind_as(ld, o, err);
        if (r < 0)
                return r;
        log_trace("ldap", "%s: connected as \"%s\"", o->uri, o->bind_dn ? o->bind_dn : "");
        struct directory *directory = mem_zero(sizeof *directory);
        directory->ld = STEAL(ld);
        directory->uri = str_copy(o->uri);
        directory->bind_dn = str_copy(o->bind_dn ? o->bind_dn : "");
        directory->operation_ms = target.operation_ms;
        *ret = directory;
        return 0;
}

/* Nobody, over a connection that somebody may be signed in to: a bind without a name or a password. */
static int bind_as_nobody(LDAP *ld, const struct directory_options *o, struct err **err)
{
        struct berval none = {.bv_val = ""};
        int result = ldap_sasl_bind_s(ld, "", LDAP_SASL_SIMPLE, &none, NULL, NULL, NULL);
        return result == LDAP_SUCCESS ? 0 : directory_fail(ld, result, err, "cannot sign out of %s", o->uri);
}

int directory_sign_in(struct directory *directory, const struct directory_options *o, struct err **err)
{
        bool nobody = !o->bind_dn || !*o->bind_dn;
        int r = nobody ? bind_as_nobody(directory->ld, o, err) : bind_as(directory->ld, o, err);
        if (r < 0)
                return r;
        free(directory->bind_dn);
        directory->bind_dn = str_copy(nobody ? "" : o->bind_dn);
        return 0;
}

struct directory *directory_close(struct directory *directory)
{
        if (!directory)
                return NULL;
        close_handle(&directory->ld);
        free(directory->uri);
        free(directory->bind_dn);
        free(directory);
        return NULL;
}
