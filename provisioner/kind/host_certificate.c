/* host.certificate: a CA of our own, or a certificate that it signed: a server's, or a client's, by which a server
 * knows it. All are made here, with EC P-256 keys, and made anew when under a third of their life is left, when names
 * change or when the CA is another one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/tls/certificate.h"
#include "kind/kind.h"
#include "kind/place.h"
#include "kind/spec.h"

#define PEM_MAX     (64 * 1024)
#define CA_DAYS     3650
#define SERVER_DAYS 820 /* clients of Apple refuse more than 825 */

static const struct spec_field fields[] = {
        {"type", SPEC_TEXT, true},
        {"certificate", SPEC_PATH, true},
        {"key", SPEC_PATH, true},
        {"ca_certificate", SPEC_PATH, false},
        {"ca_key", SPEC_PATH, false},
        {"ca_fingerprint", SPEC_TEXT, false}, /* brings a new certificate when the CA changes */
        {"name", SPEC_TEXT, false},
        {"names", SPEC_TEXTS, false},
        {"days", SPEC_WHOLE, false},
        {"owner", SPEC_OWNER, false},
        {"group", SPEC_OWNER, false},
        {"key_mode", SPEC_MODE, false},
        {0},
};

static bool is_ca(const json_t *spec)
{
        return str_is(spec_text(spec, "type", ""), "ca");
}

static bool is_client(const json_t *spec)
{
        return str_is(spec_text(spec, "type", ""), "client");
}

static int check(const json_t *spec, struct err **err)
{
        int r = spec_check(spec, fields, err);
        if (r < 0)
                return r;
        const json_t *type = json_object_get(spec, "type");
        if (spec_is_open(type))
                return 0;
        if (!is_ca(spec) && !is_client(spec) && !str_is(spec_text(spec, "type", ""), "server"))
                return err_set(err, ERR_INVALID, "type: \"ca\", \"server\" or \"client\" is wanted");
        if (!is_ca(spec) && (!json_object_get(spec, "ca_certificate") || !json_object_get(spec, "ca_key")))
                return err_set(err, ERR_INVALID, "a certificate of no CA needs ca_certificate and ca_key");
        return 0;
}

/* What stands on the disk: texts are NULL when the file is not there. */
struct pair {
        char *certificate, *key;
        struct tls_facts facts; /* of the certificate, when readable */
        bool readable;
};

static void pair_clear(struct pair *pair)
{
        free(pair->certificate);
        if (pair->key)
                mem_wipe_free(pair->key, strlen(pair->key));
        tls_facts_clear(&pair->facts);
}
#define CLEANUP_PAIR __attribute__((cleanup(pair_clear)))

static int read_if_there(const char *path, char **ret, struct err **err)
{
        struct err *own = NULL;
        int r = file_read(path, PEM_MAX, ret, NULL, &own);
        if (r == -ERR_NOT_FOUND) {
                err_free(own);
                return 0;
        }
        if (r < 0 && err)
                *err = STEAL(own);
        err_free(own);
        return r;
}

static int pair_read(const char *certificate, const char *key, struct pair *ret, struct err **err)
{
        int r = read_if_there(certificate, &ret->certificate, err);
        if (r == 0)
                r = read_if_there(key, &ret->key, err);
        if (r < 0)
                return r;
        ret->readable = ret->certificate && tls_read(ret->certificate, &ret->facts, NULL) == 0;
        return 0;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool same_names(const json_t *spec, char *const *names)
{
        CLEANUP_TEXTS char **wanted = spec_texts(spec, "names");
        size_t n = 0;
        while (wanted && wanted[n])
                n++;
        if (n)
                qsort(wanted, n, sizeof *wanted, by_text);
        for (size_t i = 0; i < n; i++)
                if (!names[i] || strcmp(wanted[i], names[i]) != 0)
                        return false;
        return names[n] == NULL;
}

/* Time to renew? */
static bool worn(const struct tls_facts *facts, int64_t now)
{
        return now < facts->begins || facts->expires - now < (facts->expires - facts->begins) / 3;
}

static bool sound(const json_t *spec, const struct pair *pair, const char *ca_certificate, int64_t now)
{
        return pair->readable && pair->key && pair->facts.ca == is_ca(spec) && !worn(&pair->facts, now) &&
               tls_key_fits(pair->certificate, pair->key) && same_names(spec, pair->facts.names) &&
               tls_signed_by(pair->certificate, is_ca(spec) ? pair->certificate : ca_certificate);
}

static int64_t now_of(const struct kind_ctx *ctx)
{
        return ctx->clock->wall_ms(ctx->clock) / 1000;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        const char *certificate = spec_text(r->spec, "certificate", ""), *key = spec_text(r->spec, "key", "");
        CLEANUP_PAIR struct pair pair = {0};
        int result = pair_read(certificate, key, &pair, err);
        if (result < 0)
                return result;
        if (!pair.certificate && !pair.key)
                return 0;
        struct stat st = {0};
        if (stat(key, &st) < 0)
                st.st_mode = 0;
        bool fits = pair.readable && pair.key && tls_key_fits(pair.certificate, pair.key);
        *ret_state = json_pack("{s:s, s:b, s:b, s:o, s:I, s:I}", "fingerprint", pair.facts.fingerprint, "complete",
                fits, "worn", pair.readable && worn(&pair.facts, now_of(ctx)), "key_mode",
                place_mode_json(st.st_mode & 07777), "key_uid", (json_int_t)st.st_uid, "key_gid",
                (json_int_t)st.st_gid);
        return 0;
}

static int issue(struct kind_ctx *ctx, const struct resource *r, const struct pair *ca, char **ret_certificate,
        char **ret_key, struct err **err)
{
        CLEANUP_TEXTS char **names = spec_texts(r->spec, "names");
        CLEANUP_FREE char *fallback =
                str_format("%s %s", ctx->cluster, is_ca(r->spec) ? "CA" : spec_text(r->spec, "type", "server"));
        struct tls_request request = {
                .name = spec_text(r->spec, "name", names && names[0] ? names[0] : fallback),
                .names = (const char *const *)names,
                .client = is_client(r->spec),
                .days = (int)spec_whole(r->spec, "days", is_ca(r->spec) ? CA_DAYS : SERVER_DAYS),
                .now = now_of(ctx),
                .ca_certificate = ca->certificate,
                .ca_key = ca->key,
        };
        return tls_issue(&request, ret_certificate, ret_key, err);
}

/* The key first: between the two there is a key that does not fit, and the next run begins again. */
static int write_pair(const struct resource *r, const char *certificate, const char *key, struct err **err)
{
        uid_t uid;
        gid_t gid;
        const char *path = spec_text(r->spec, "certificate", ""), *key_path = spec_text(r->spec, "key", "");
        int result = place_owner(r->spec, &uid, &gid, err);
        if (result == 0)
                result = place_make_parent(path, err);
        if (result == 0)
                result = place_make_parent(key_path, err);
        if (result == 0)
                result = file_write_atomic(
                        key_path, key, strlen(key), spec_mode(r->spec, "key_mode", 0600), uid, gid, err);
        if (result == 0)
                result = file_write_atomic(path, certificate, strlen(certificate), 0644, uid, gid, err);
        return result;
}

static json_t *outputs_of(const json_t *spec, const struct tls_facts *facts)
{
        return json_pack("{s:s, s:s, s:s, s:I}", "certificate", spec_text(spec, "certificate", ""), "key",
                spec_text(spec, "key", ""), "fingerprint", facts->fingerprint, "expires", (json_int_t)facts->expires);
}

static int read_ca(const json_t *spec, struct pair *ret, struct err **err)
{
        if (is_ca(spec))
                return 0;
        const char *path = spec_text(spec, "ca_certificate", "");
        int result = pair_read(path, spec_text(spec, "ca_key", ""), ret, err);
        if (result == 0 && (!ret->readable || !ret->key))
                return err_set(err, ERR_NOT_FOUND, "there is no CA in %s", path);
        return result;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        CLEANUP_PAIR struct pair pair = {0}, ca = {0}, made = {0};
        int result = place_check(ctx, r->spec, spec_text(r->spec, "certificate", ""), err);
        if (result == 0)
                result = place_check(ctx, r->spec, spec_text(r->spec, "key", ""), err);
        if (result == 0)
                result = pair_read(spec_text(r->spec, "certificate", ""), spec_text(r->spec, "key", ""), &pair, err);
        if (result == 0)
                result = read_ca(r->spec, &ca, err);
        if (result < 0)
                return result;
        if (!sound(r->spec, &pair, ca.certificate, now_of(ctx))) {
                result = issue(ctx, r, &ca, &made.certificate, &made.key, err);
                if (result == 0)
                        result = tls_read(made.certificate, &made.facts, err);
                if (result < 0)
                        return result;
        }
        const struct pair *now = made.certificate ? &made : &pair;
        if (!now->certificate || !now->key)
                return err_set(err, ERR_FAILED, "no certificate was made");
        result = write_pair(
                r, now->certificate, now->key, err); /* an old pair, too: its owner or mode may have changed */
        if (result == 0)
                *ret_outputs = outputs_of(r->spec, &now->facts);
        return result;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)ctx, (void)recorded, (void)ret_kept;
        int result = file_remove(spec_text(r->spec, "certificate", ""), err);
        return result < 0 ? result : file_remove(spec_text(r->spec, "key", ""), err);
}

static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        CLEANUP_PAIR struct pair pair = {0}, ca = {0};
        int result = pair_read(spec_text(r->spec, "certificate", ""), spec_text(r->spec, "key", ""), &pair, err);
        if (result < 0 || read_ca(r->spec, &ca, NULL) < 0 || !sound(r->spec, &pair, ca.certificate, now_of(ctx)))
                return result;
        result = observe(ctx, r, ret_state, err);
        if (result == 0)
                *ret_outputs = outputs_of(r->spec, &pair.facts);
        return result;
}

extern const struct kind kind_host_certificate;
const struct kind kind_host_certificate = {
        .name = "host.certificate",
        .check = check,
        .observe = observe,
        .apply = apply,
        .remove = remove_it,
        .adopt = adopt,
};
