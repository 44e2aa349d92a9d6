/* Who we are: tokens, certificates, and when they are made anew. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "client/kube/base64.h"
#include "client/kube/private.h"
#include "client/tls/certificate.h"

#define TOKEN_FILE_MS (60 * 1000) /* a token's file is read again after so long, as client libraries do */
#define EARLY_MS      (10 * 1000) /* a credential is renewed so long before it expires */
#define TOKEN_MAX     (64UL * 1024)

static void wipe(char *text)
{
        mem_wipe_free(text, text ? strlen(text) : 0);
}

void kube_credential_clear(struct credential *credential)
{
        wipe(credential->token);
        free(credential->certificate);
        wipe(credential->key);
        *credential = (struct credential){0};
}

static int read_token(struct kube *kube, struct credential *ret, struct err **err)
{
        char *text = NULL;
        int r = file_read(kube->config.token_file, TOKEN_MAX, &text, NULL, err);
        if (r < 0)
                return err_prefix(err, "cannot read the token of user \"%s\"", kube->config.user);
        char *token = str_trim(text);
        bool good = *token && !strpbrk(token, "\r\n");
        if (good)
                *ret = (struct credential){.token = str_copy(token),
                        .good_until_ms = kube->clock->wall_ms(kube->clock) + TOKEN_FILE_MS + EARLY_MS,
                        .made = true};
        explicit_bzero(token, strlen(token));
        free(text);
        return good ? 0
                    : err_set(err, ERR_INVALID, "%s: not a token (the token file of user \"%s\")",
                              kube->config.token_file, kube->config.user);
}

static bool same(const char *a, const char *b)
{
        return a == b || str_is(a, b);
}

/* Needs credential_lock. */
static int make(struct kube *kube, struct err **err)
{
        struct credential *now = &kube->credential, fresh = {0};
        int r = 0;
        if (kube->config.exec)
                r = kube_plugin_run(kube, &fresh, err);
        else if (kube->config.token_file)
                r = read_token(kube, &fresh, err);
        else
                fresh = (struct credential){
                        .token = kube->config.token ? str_copy(kube->config.token) : NULL, .good_until_ms = INT64_MAX};
        if (r < 0)
                return r;
        if (!fresh.certificate && kube->config.certificate) {
                fresh.certificate = str_copy(kube->config.certificate);
                fresh.key = str_copy(kube->config.key);
        }
        fresh.made = true;
        fresh.generation = now->generation;
        if (now->made && (!same(now->certificate, fresh.certificate) || !same(now->key, fresh.key)))
                fresh.generation++;
        kube_credential_clear(now);
        *now = fresh;
        return 0;
}

int kube_credential(struct kube *kube, char **ret_token, unsigned *ret_generation, struct err **err)
{
        pthread_mutex_lock(&kube->credential_lock);
        struct credential *now = &kube->credential;
        int r = 0;
        int64_t until = now->good_until_ms;
        if (!now->made || (until != INT64_MAX && kube->clock->wall_ms(kube->clock) >= until - EARLY_MS))
                r = make(kube, err);
        if (r == 0) {
                *ret_token = now->token ? str_copy(now->token) : NULL;
                *ret_generation = now->generation;
        }
        pthread_mutex_unlock(&kube->credential_lock);
        return r;
}

bool kube_credential_renew(struct kube *kube, const char *refused)
{
        if (!kube->config.exec && !kube->config.token_file)
                return false;
        pthread_mutex_lock(&kube->credential_lock);
        if (same(kube->credential.token, refused)) /* otherwise another thread has renewed it already */
                kube->credential.good_until_ms = 0;
        pthread_mutex_unlock(&kube->credential_lock);
        return true;
}

/* When a JSON web token says that it expires, in seconds since 1970; 0 when it does not. */
static int64_t token_expires(const char *token)
{
        const char *begin = strchr(token, '.');
        const char *end = begin ? strchr(begin + 1, '.') : NULL;
        if (!end)
                return 0;
        size_t length = (size_t)(end - begin - 1);
        struct buf text = BUF_INIT(TOKEN_MAX);
        buf_add(&text, begin + 1, length);
        for (char *c = text.data; c && *c; c++)
                *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
        while (text.length % 4 && !text.truncated)
                buf_str(&text, "=");
        char *data = NULL;
        size_t n = 0;
        int64_t when = 0;
        if (text.data && base64_decode(text.data, text.length, &data, &n) == 0) {
                json_auto_t *claims = json_loadb(data, n, 0, NULL);
                when = json_integer_value(json_object_get(claims, "exp"));
                mem_wipe_free(data, n);
        }
        buf_clear(&text);
        return when;
}

static char *expired(const struct kube *kube, const char *what, int64_t expires)
{
        char when[32];
        if (expires <= 0 || expires * 1000 > kube->clock->wall_ms(kube->clock))
                return NULL;
        return str_format("%s of user \"%s\" (%s) expired at %s: sign in to the cluster again for a new one", what,
                kube->config.user, kube->config.file, clock_format(expires * 1000, when));
}

char *kube_credential_explain(struct kube *kube)
{
        const struct kubeconfig *config = &kube->config;
        if (!config->user)
                return str_format(
                        "context \"%s\" (%s) names no user, so we have nothing to show", config->context, config->file);
        char *text = NULL;
        pthread_mutex_lock(&kube->credential_lock);
        const struct credential *now = &kube->credential;
        if (now->token)
                text = expired(kube, "the token", token_expires(now->token));
        if (!text && now->certificate) {
                CLEANUP_TLS_FACTS struct tls_facts facts = {0};
                if (tls_read(now->certificate, &facts, NULL) == 0)
                        text = expired(kube, "the client certificate", facts.expires);
        }
        if (!text && config->exec)
                text = str_format("it does not accept what the credential plugin %s of user \"%s\" gives: sign in to "
                                  "the cloud again",
                        json_string_value(json_object_get(config->exec, "command")), config->user);
        else if (!text && !now->token && !now->certificate)
                text = str_format("user \"%s\" (%s) has neither token nor certificate", config->user, config->file);
        else if (!text)
                text = str_format("it does not accept the %s of user \"%s\" (%s): expired, withdrawn or of another "
                                  "cluster?",
                        now->token ? "token" : "client certificate", config->user, config->file);
        pthread_mutex_unlock(&kube->credential_lock);
        return text;
}

void kube_http_options(struct kube *kube, struct http_options *options)
{
        const struct kubeconfig *config = &kube->config;
        pthread_mutex_lock(&kube->credential_lock);
        *options = (struct http_options){.cancel = kube->cancel,
                .cancel_level = 2,
                .ca_text = config->ca,
                .ca_name = config->ca_name,
                .certificate = kube->credential.certificate,
                .key = kube->credential.key,
                .proxy = config->proxy,
                .server_name = config->server_name};
}

void kube_http_options_done(struct kube *kube)
{
        pthread_mutex_unlock(&kube->credential_lock);
}
