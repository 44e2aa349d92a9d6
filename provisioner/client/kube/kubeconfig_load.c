/* Finding and reading the files, or a pod's service account. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube/kubeconfig.h"

#define ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"
#define FILES_MAX      32

struct kubeconfig_source kubeconfig_source(const char *file)
{
        return (struct kubeconfig_source){.file = file,
                .list = getenv("KUBECONFIG"),
                .home = getenv("HOME"),
                .host = getenv("KUBERNETES_SERVICE_HOST"),
                .port = getenv("KUBERNETES_SERVICE_PORT"),
                .account = ACCOUNT_FOLDER};
}

struct set {
        struct kubeconfig_file item[FILES_MAX];
        size_t count;
};

static void set_clear(struct set *set)
{
        for (size_t i = 0; i < set->count; i++) {
                tree_free(set->item[i].tree);
                free(set->item[i].path);
        }
        set->count = 0;
}

static int add(struct set *set, const char *path, struct err **err)
{
        struct tree *tree = NULL;
        if (set->count == FILES_MAX)
                return err_set(err, ERR_INVALID, "$KUBECONFIG names more than %d files", FILES_MAX);
        int r = tree_load(path, &tree, err);
        if (r < 0)
                return r;
        set->item[set->count++] = (struct kubeconfig_file){.path = str_copy(path), .tree = tree};
        return 0;
}

static int add_list(struct set *set, const char *list, struct err **err)
{
        CLEANUP_FREE char *copy = str_copy(list);
        char *rest = NULL;
        for (char *path = strtok_r(copy, ":", &rest); path; path = strtok_r(NULL, ":", &rest)) {
                int r = file_exists(path) ? add(set, path, err) : 0;
                if (r < 0)
                        return r;
        }
        if (set->count == 0)
                return err_set(err, ERR_NOT_FOUND, "no file that $KUBECONFIG names is there: %.300s", list);
        return 0;
}

/* A pod's own account: the token is read again now and then, since the kubelet renews it. */
static int in_cluster(const struct kubeconfig_source *source, struct kubeconfig *ret, struct err **err)
{
        CLEANUP_FREE char *ca_path = file_join(source->account, "ca.crt");
        CLEANUP_FREE char *namespace_path = file_join(source->account, "namespace");
        struct kubeconfig config = {.file = str_copy(source->account),
                .context = str_copy("in-cluster"),
                .cluster = str_copy("in-cluster"),
                .user = str_copy("the pod's service account"),
                .token_file = file_join(source->account, "token"),
                .ca_name = str_copy(ca_path)};
        int r = file_read(ca_path, KUBECONFIG_FILE_MAX, &config.ca, NULL, err);
        if (r < 0) {
                kubeconfig_clear(&config);
                return r;
        }
        char *namespace = NULL;
        if (file_read(namespace_path, 1024, &namespace, NULL, NULL) == 0)
                config.namespace = str_copy(*str_trim(namespace) ? str_trim(namespace) : "default");
        else
                config.namespace = str_copy("default");
        free(namespace);
        bool six = strchr(source->host, ':') != NULL;
        config.server = str_format("https://%s%s%s:%s", six ? "[" : "", source->host, six ? "]" : "",
                source->port && *source->port ? source->port : "443");
        *ret = config;
        return 0;
}

static bool given(const char *text)
{
        return text && *text;
}

int kubeconfig_load(
        const struct kubeconfig_source *source, const char *context, struct kubeconfig *ret, struct err **err)
{
        __attribute__((cleanup(set_clear))) struct set set = {0};
        CLEANUP_FREE char *usual = given(source->home) ? file_join(source->home, ".kube/config") : NULL;
        CLEANUP_FREE char *token = given(source->account) ? file_join(source->account, "token") : NULL;
        int r;
        if (given(source->file)) {
                bool tilde = str_starts(source->file, "~/") && given(source->home);
                CLEANUP_FREE char *path = tilde ? file_join(source->home, source->file + 2) : str_copy(source->file);
                r = add(&set, path, err);
        } else if (given(source->list)) {
                r = add_list(&set, source->list, err);
        } else if (usual && file_exists(usual)) {
                r = add(&set, usual, err);
        } else if (given(source->host) && token && file_exists(token)) {
                if (given(context) && !str_is(context, "in-cluster"))
                        return err_set(err, ERR_NOT_FOUND,
                                "there is no context \"%.100s\": there is no kubeconfig file, only this pod's account",
                                context);
                return in_cluster(source, ret, err);
        } else {
                return err_set(err, ERR_NOT_FOUND,
                        "no kubeconfig: name one in the form (kubernetes.kubeconfig) or in $KUBECONFIG, or put it into "
                        "%s",
                        usual ? usual : "~/.kube/config");
        }
        return r < 0 ? r : kubeconfig_choose(set.item, set.count, context, ret, err);
}
