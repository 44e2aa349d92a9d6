/* Who we are: the user's part of a kubeconfig. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube/kubeconfig_entry.h"

static int certificate(const struct entry *entry, struct kubeconfig *config, struct err **err)
{
        int r = entry_pem(entry, "client-certificate", &config->certificate, err);
        if (r == 0)
                r = entry_pem(entry, "client-key", &config->key, err);
        if (r < 0)
                return r;
        if (!config->certificate != !config->key)
                return entry_error(entry, NULL, ERR_INVALID, err,
                        "user \"%s\": a client certificate and its key go together, and the %s is missing",
                        config->user, config->key ? "certificate" : "key");
        if (config->key && strstr(config->key, "ENCRYPTED"))
                return entry_error(entry, NULL, ERR_INVALID, err,
                        "user \"%s\": the client key is encrypted with a password, which cannot be asked for here",
                        config->user);
        return 0;
}

static int token(const struct entry *entry, struct kubeconfig *config, struct err **err)
{
        CLEANUP_FREE char *name = NULL;
        int r = entry_text(entry, "token", &config->token, err);
        if (r == 0)
                r = entry_text(entry, "tokenFile", &name, err);
        if (r < 0)
                return r;
        if (config->token && strpbrk(config->token, "\r\n"))
                return entry_error(entry, "token", ERR_INVALID, err, "the token holds a line break");
        if (name) /* kubectl: the file wins */
                config->token_file = entry_path(entry, name);
        return 0;
}

static int texts_only(const struct entry *entry, const char *field, json_t *list, struct err **err)
{
        size_t i;
        json_t *item;
        if (list && !json_is_array(list) && !json_is_null(list))
                return entry_error(entry, field, ERR_INVALID, err, "%s must be a list", field);
        json_array_foreach (list, i, item)
                if (!json_is_string(item))
                        return entry_error(entry, field, ERR_INVALID, err, "%s must be a list of texts", field);
        return 0;
}

static int impersonation(const struct entry *entry, struct kubeconfig *config, struct err **err)
{
        json_t *groups = json_object_get(entry->node, "as-groups");
        int r = entry_text(entry, "as", &config->as, err);
        if (r == 0)
                r = texts_only(entry, "as-groups", groups, err);
        if (r < 0)
                return r;
        if (json_array_size(groups) && !config->as)
                return entry_error(entry, "as-groups", ERR_INVALID, err, "as-groups needs \"as\"");
        if (json_object_size(json_object_get(entry->node, "as-user-extra")))
                return entry_error(entry, "as-user-extra", ERR_INVALID, err, "as-user-extra is not supported");
        config->as_groups = mem_zero_array(json_array_size(groups) + 1, sizeof *config->as_groups);
        for (size_t i = 0; i < json_array_size(groups); i++)
                config->as_groups[i] = str_copy(json_string_value(json_array_get(groups, i)));
        return 0;
}

static int plugin_variables(const struct entry *entry, json_t *list, struct err **err)
{
        size_t i;
        json_t *item;
        if (list && !json_is_array(list) && !json_is_null(list))
                return entry_error(entry, "exec.env", ERR_INVALID, err, "exec.env must be a list");
        json_array_foreach (list, i, item) {
                const char *name = json_string_value(json_object_get(item, "name"));
                if (!name || !*name || strchr(name, '=') || !json_is_string(json_object_get(item, "value")))
                        return entry_error(
                                entry, "exec.env", ERR_INVALID, err, "each of exec.env must have a name and a value");
        }
        return 0;
}

static int plugin(const struct entry *entry, struct kubeconfig *config, struct err **err)
{
        json_t *exec = json_object_get(entry->node, "exec");
        if (!exec || json_is_null(exec))
                return 0;
        const char *version = json_string_value(json_object_get(exec, "apiVersion"));
        const char *command = json_string_value(json_object_get(exec, "command"));
        const char *mode = json_string_value(json_object_get(exec, "interactiveMode"));
        if (!json_is_object(exec) || !command || !*command)
                return entry_error(entry, "exec", ERR_INVALID, err, "user \"%s\": exec needs a command", config->user);
        if (!str_is(version, "client.authentication.k8s.io/v1") &&
                !str_is(version, "client.authentication.k8s.io/v1beta1"))
                return entry_error(entry, "exec", ERR_INVALID, err,
                        "user \"%s\": exec.apiVersion must be client.authentication.k8s.io/v1, not %.100s: update the "
                        "plugin %.100s and its entry",
                        config->user, version ? version : "missing", command);
        if (str_is(mode, "Always"))
                return entry_error(entry, "exec.interactiveMode", ERR_INVALID, err,
                        "user \"%s\": the credential plugin %.100s wants to ask at a terminal (interactiveMode: "
                        "Always), and there is none here",
                        config->user, command);
        int r = texts_only(entry, "exec.args", json_object_get(exec, "args"), err);
        if (r == 0)
                r = plugin_variables(entry, json_object_get(exec, "env"), err);
        if (r < 0)
                return r;
        config->exec = json_incref(exec);
        return 0;
}

int kubeconfig_user(const struct entry *entry, struct kubeconfig *config, struct err **err)
{
        if (json_object_get(entry->node, "username") || json_object_get(entry->node, "password"))
                return entry_error(entry, json_object_get(entry->node, "username") ? "username" : "password",
                        ERR_INVALID, err,
                        "user \"%s\": signing in with user name and password was removed from Kubernetes: use a "
                        "token, a client certificate or a credential plugin",
                        config->user);
        if (json_object_get(entry->node, "auth-provider"))
                return entry_error(entry, "auth-provider", ERR_INVALID, err,
                        "user \"%s\": auth-provider was removed from Kubernetes: use the cloud's credential plugin "
                        "(exec)",
                        config->user);
        config->folder = entry_path(entry, ".");
        int r = certificate(entry, config, err);
        if (r == 0)
                r = token(entry, config, err);
        if (r == 0)
                r = impersonation(entry, config, err);
        return r < 0 ? r : plugin(entry, config, err);
}
