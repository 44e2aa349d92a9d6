/* Which entries of the files count, and the cluster's part of them. */
#include "client/kube/kubeconfig.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/kube/kubeconfig_entry.h"

static void wipe(char *text)
{
        mem_wipe_free(text, text ? strlen(text) : 0);
}

void kubeconfig_clear(struct kubeconfig *config)
{
        free(config->file);
        free(config->context);
        free(config->cluster);
        free(config->user);
        free(config->namespace);
        free(config->server);
        free(config->ca);
        free(config->ca_name);
        free(config->server_name);
        wipe(config->proxy);
        wipe(config->token);
        free(config->token_file);
        free(config->certificate);
        wipe(config->key);
        free(config->as);
        for (char **group = config->as_groups; group && *group; group++)
                free(*group);
        free(config->as_groups);
        json_decref(config->exec);
        free(config->folder);
        *config = (struct kubeconfig){0};
}

struct files {
        const struct kubeconfig_file *item;
        size_t count;
};

/* The first entry of this name; false when there is none. A malformed one is none. */
static bool find(struct files files, const char *list, const char *what, const char *name, struct entry *ret)
{
        for (size_t f = 0; f < files.count; f++) {
                size_t i;
                json_t *item;
                json_array_foreach (json_object_get(tree_root(files.item[f].tree), list), i, item) {
                        json_t *node = json_object_get(item, what);
                        if (!str_is(json_string_value(json_object_get(item, "name")), name) || !json_is_object(node))
                                continue;
                        *ret = (struct entry){&files.item[f], list, what, i, node};
                        return true;
                }
        }
        return false;
}

/* "a, b, c" and the nearest to a mistyped one. */
static char *names(struct files files, const char *list, const char *wanted, char **ret_near)
{
        CLEANUP_BUF struct buf text = BUF_INIT(2000);
        const char *all[200] = {0};
        size_t n = 0;
        for (size_t f = 0; f < files.count; f++) {
                size_t i;
                json_t *item;
                json_array_foreach (json_object_get(tree_root(files.item[f].tree), list), i, item) {
                        const char *name = json_string_value(json_object_get(item, "name"));
                        if (!name || n == sizeof all / sizeof *all - 1)
                                continue;
                        all[n++] = name;
                        buf_format(&text, "%s%s", text.length ? ", " : "", name);
                }
        }
        const char *near = wanted ? str_nearest(wanted, all) : NULL;
        *ret_near = near ? str_copy(near) : NULL;
        return text.length ? buf_steal(&text) : str_copy("none");
}

static int unknown_context(struct files files, const char *context, struct err **err)
{
        CLEANUP_FREE char *near = NULL;
        CLEANUP_FREE char *known = names(files, "contexts", context, &near);
        const char *more = files.count > 1 ? " and the other files of $KUBECONFIG" : "";
        if (!context)
                return err_set(err, ERR_NOT_FOUND,
                        "%s%s: no current context is set: choose one of those that there are (%s)", files.item[0].path,
                        more, known);
        return err_set(err, ERR_NOT_FOUND, "%s%s: there is no context \"%.100s\"%s%s%s; there are: %s",
                files.item[0].path, more, context, near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "",
                known);
}

static const char *current(struct files files)
{
        for (size_t f = 0; f < files.count; f++) {
                const char *name = json_string_value(json_object_get(tree_root(files.item[f].tree), "current-context"));
                if (name && *name)
                        return name;
        }
        return NULL;
}

static bool loopback(const char *host)
{
        size_t n = strcspn(host, "/");
        return (n >= 4 && strncmp(host, "127.", 4) == 0) || (n >= 5 && strncmp(host, "[::1]", 5) == 0) ||
               (n >= 9 && strncmp(host, "localhost", 9) == 0 && strchr(":/", host[9]));
}

static int server(const struct entry *entry, struct kubeconfig *config, struct err **err)
{
        int r = entry_text(entry, "server", &config->server, err);
        if (r < 0)
                return r;
        char *url = config->server;
        if (!url)
                return entry_error(entry, NULL, ERR_INVALID, err, "cluster \"%s\" has no server", config->cluster);
        bool tls = strncasecmp(url, "https://", 8) == 0, plain = strncasecmp(url, "http://", 7) == 0;
        const char *host = url + (tls ? 8 : plain ? 7 : 0);
        if ((!tls && !plain) || !*host || *host == '/' || strpbrk(host, "@?# \t\r\n"))
                return entry_error(entry, "server", ERR_INVALID, err,
                        "cluster \"%s\": the server must be an address as https://host:6443", config->cluster);
        if (plain && !loopback(host))
                return entry_error(entry, "server", ERR_REFUSED, err,
                        "cluster \"%s\": the server's address begins with http://, which would send our token in "
                        "clear: "
                        "use https://",
                        config->cluster);
        for (size_t n = strlen(url); n > 0 && url[n - 1] == '/'; n--)
                url[n - 1] = '\0';
        return 0;
}

static int cluster(const struct entry *entry, struct kubeconfig *config, struct err **err)
{
        json_t *insecure = json_object_get(entry->node, "insecure-skip-tls-verify");
        if (insecure && !json_is_false(insecure) && !json_is_null(insecure))
                return entry_error(entry, "insecure-skip-tls-verify", ERR_REFUSED, err,
                        "cluster \"%s\": insecure-skip-tls-verify would let anybody on the way read our token: take it "
                        "out and give the cluster's CA (certificate-authority-data)",
                        config->cluster);
        int r = server(entry, config, err);
        if (r == 0)
                r = entry_pem(entry, "certificate-authority", &config->ca, err);
        if (r == 0)
                r = entry_text(entry, "tls-server-name", &config->server_name, err);
        if (r == 0)
                r = entry_text(entry, "proxy-url", &config->proxy, err);
        if (r < 0)
                return r;
        if (config->server_name && strpbrk(config->server_name, "/:@?# \t\r\n"))
                return entry_error(entry, "tls-server-name", ERR_INVALID, err, "tls-server-name must be a host name");
        static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};
        bool known = config->proxy == NULL;
        for (size_t i = 0; !known && i < sizeof schemes / sizeof *schemes; i++)
                known = strncasecmp(config->proxy, schemes[i], strlen(schemes[i])) == 0;
        if (!known)
                return entry_error(entry, "proxy-url", ERR_INVALID, err,
                        "proxy-url must begin with http://, https:// or socks5://");
        if (config->ca)
                config->ca_name = str_format("the CA of cluster \"%s\" in %s", config->cluster, entry->file->path);
        return 0;
}

static int parts(struct files files, const struct entry *context, struct kubeconfig *config, struct err **err)
{
        CLEANUP_FREE char *near = NULL;
        int r = entry_text(context, "cluster", &config->cluster, err);
        if (r == 0)
                r = entry_text(context, "user", &config->user, err);
        if (r == 0)
                r = entry_text(context, "namespace", &config->namespace, err);
        if (r < 0)
                return r;
        if (!config->namespace)
                config->namespace = str_copy("default");
        struct entry entry;
        if (!config->cluster || !find(files, "clusters", "cluster", config->cluster, &entry)) {
                CLEANUP_FREE char *known = names(files, "clusters", config->cluster, &near);
                return entry_error(context, "cluster", ERR_INVALID, err,
                        "context \"%s\" names the cluster \"%s\", which is not there; there are: %s", config->context,
                        config->cluster ? config->cluster : "", known);
        }
        r = cluster(&entry, config, err);
        if (r < 0 || !config->user)
                return r;
        if (!find(files, "users", "user", config->user, &entry)) {
                CLEANUP_FREE char *known = names(files, "users", config->user, &near);
                return entry_error(context, "user", ERR_INVALID, err,
                        "context \"%s\" names the user \"%s\", which is not there; there are: %s", config->context,
                        config->user, known);
        }
        return kubeconfig_user(&entry, config, err);
}

int kubeconfig_choose(const struct kubeconfig_file *files, size_t count, const char *context, struct kubeconfig *ret,
        struct err **err)
{
        struct files all = {files, count};
        for (size_t f = 0; f < count; f++) {
                json_t *root = tree_root(files[f].tree);
                if (!json_is_object(root) && !json_is_null(root))
                        return err_set(err, ERR_INVALID, "%s: not a kubeconfig file", files[f].path);
        }
        if (!context || !*context)
                context = current(all);
        struct entry entry;
        if (!context || !find(all, "contexts", "context", context, &entry))
                return unknown_context(all, context, err);
        CLEANUP_KUBECONFIG struct kubeconfig config = {
                .context = str_copy(context), .file = str_copy(entry.file->path)};
        int r = parts(all, &entry, &config, err);
        if (r < 0)
                return r;
        *ret = config;
        config = (struct kubeconfig){0};
        return 0;
}
