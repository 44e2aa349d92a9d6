/* Credential plugins: a program of the kubeconfig that makes a token or a certificate. */
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "client/kube/base64.h"
#include "client/kube/private.h"

#define PLUGIN_MS  60000
#define OUTPUT_MAX (1024UL * 1024)
#define FOREVER_MS INT64_MAX

static const char *field(const json_t *object, const char *name)
{
        const char *text = json_string_value(json_object_get(object, name));
        return text && *text ? text : NULL;
}

/* What the plugin is told in $KUBERNETES_EXEC_INFO. */
static char *exec_info(const struct kube *kube)
{
        const json_t *exec = kube->config.exec;
        json_auto_t *spec = json_pack("{s:b}", "interactive", 0);
        if (json_is_true(json_object_get(exec, "provideClusterInfo"))) {
                json_t *cluster = json_pack("{s:s, s:b}", "server", kube->config.server, "insecure-skip-tls-verify", 0);
                if (kube->config.ca) {
                        CLEANUP_FREE char *ca = base64_encode(kube->config.ca, strlen(kube->config.ca));
                        json_object_set_new(cluster, "certificate-authority-data", json_string(ca));
                }
                if (kube->config.server_name)
                        json_object_set_new(cluster, "tls-server-name", json_string(kube->config.server_name));
                json_object_set_new(spec, "cluster", cluster);
        }
        json_auto_t *info = json_pack("{s:O, s:s, s:O}", "apiVersion", json_object_get(exec, "apiVersion"), "kind",
                "ExecCredential", "spec", spec);
        CLEANUP_FREE char *text = json_dumps(info, JSON_COMPACT);
        return str_format("KUBERNETES_EXEC_INFO=%s", text);
}

struct words {
        const char **argv, **env;
        char **owned; /* those of env */
        size_t owned_count;
        char *command;
};

static void words_clear(struct words *words)
{
        for (size_t i = 0; i < words->owned_count; i++)
                mem_wipe_free(words->owned[i], strlen(words->owned[i]));
        free(words->owned);
        free(words->argv);
        free(words->env);
        free(words->command);
}

static void words_make(const struct kube *kube, struct words *words)
{
        const json_t *exec = kube->config.exec;
        const json_t *args = json_object_get(exec, "args"), *env = json_object_get(exec, "env");
        const char *command = field(exec, "command");
        bool relative = strchr(command, '/') && *command != '/';
        words->command = relative ? file_join(kube->config.folder, command) : str_copy(command);
        words->argv = mem_zero_array(json_array_size(args) + 2, sizeof *words->argv);
        words->argv[0] = words->command;
        for (size_t i = 0; i < json_array_size(args); i++)
                words->argv[i + 1] = json_string_value(json_array_get(args, i));
        size_t count = json_array_size(env) + 1;
        words->env = mem_zero_array(count + 1, sizeof *words->env);
        words->owned = mem_zero_array(count, sizeof *words->owned);
        words->owned[words->owned_count++] = exec_info(kube);
        for (size_t i = 0; i + 1 < count; i++) {
                const json_t *item = json_array_get(env, i);
                words->owned[words->owned_count++] =
                        str_format("%s=%s", json_string_value(json_object_get(item, "name")),
                                json_string_value(json_object_get(item, "value")));
        }
        for (size_t i = 0; i < count; i++)
                words->env[i] = words->owned[i];
}

static int bad(const struct kube *kube, struct err **err, const char *why)
{
        return err_set(err, ERR_INVALID, "the credential plugin %s of user \"%s\" (%s) %s",
                field(kube->config.exec, "command"), kube->config.user, kube->config.file, why);
}

/* "2026-11-21T14:03:22Z", "…22.5+01:00" as milliseconds since 1970; -1 when it is none. */
static int64_t time_of(const char *text)
{
        struct tm tm = {0};
        const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
        if (!rest)
                return -1;
        if (*rest == '.')
                rest += 1 + strspn(rest + 1, "0123456789");
        int hours = 0, minutes = 0;
        if (*rest == '+' || *rest == '-') {
                char sign = *rest;
                if (sscanf(rest + 1, "%2d:%2d", &hours, &minutes) != 2)
                        return -1;
                int shift = (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
                return ((int64_t)timegm(&tm) - shift * 60L) * 1000;
        }
        return *rest == 'Z' || *rest == 'z' ? (int64_t)timegm(&tm) * 1000 : -1;
}

static int take(const struct kube *kube, const json_t *answer, struct credential *ret, struct err **err)
{
        const json_t *status = json_object_get(answer, "status");
        const char *version = field(answer, "apiVersion"), *token = field(status, "token");
        const char *certificate = field(status, "clientCertificateData"), *key = field(status, "clientKeyData");
        const char *expires = field(status, "expirationTimestamp");
        if (!str_is(field(answer, "kind"), "ExecCredential") ||
                !str_is(version, field(kube->config.exec, "apiVersion")))
                return bad(kube, err, "did not print an ExecCredential of the apiVersion that the kubeconfig names");
        if (!token && !certificate)
                return bad(kube, err, "gave neither a token nor a certificate");
        if (!certificate != !key)
                return bad(kube, err, "gave a certificate without its key, or a key without its certificate");
        if (token && strpbrk(token, "\r\n"))
                return bad(kube, err, "gave a token with a line break in it");
        int64_t until = expires ? time_of(expires) : FOREVER_MS;
        if (until < 0)
                return bad(kube, err, "gave an expirationTimestamp that is no time");
        *ret = (struct credential){.token = token ? str_copy(token) : NULL,
                .certificate = certificate ? str_copy(certificate) : NULL,
                .key = key ? str_copy(key) : NULL,
                .good_until_ms = until,
                .made = true};
        return 0;
}

int kube_plugin_run(struct kube *kube, struct credential *ret, struct err **err)
{
        __attribute__((cleanup(words_clear))) struct words words = {0};
        words_make(kube, &words);
        struct proc_spec spec = {.argv = words.argv,
                .env = words.env,
                .output_max = OUTPUT_MAX,
                .timeout_ms = PLUGIN_MS,
                .cancel = kube->cancel,
                .new_session = true};
        CLEANUP_PROC struct proc_result result = {0};
        int r = proc_must(&spec, &result, err);
        if (r < 0) {
                const char *hint = field(kube->config.exec, "installHint");
                err_prefix(err, "the credential plugin of user \"%s\" (%s)%s%.500s%s", kube->config.user,
                        kube->config.file, hint && r == -ERR_NOT_FOUND ? " [" : "",
                        hint && r == -ERR_NOT_FOUND ? hint : "", hint && r == -ERR_NOT_FOUND ? "]" : "");
                return r;
        }
        json_auto_t *answer = json_loads(result.output, JSON_REJECT_DUPLICATES, NULL);
        explicit_bzero(result.output, strlen(result.output));
        return answer ? take(kube, answer, ret, err) : bad(kube, err, "did not print JSON");
}
