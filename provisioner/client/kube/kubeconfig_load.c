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

int kubeconfig_account(const struct kubeconfig_account *account, struct kubeconfig *ret, struct err **err)
{
        char *ca = NULL;
        int r = file_read(account->ca, KUBECONFIG_FILE_MAX, &ca, NULL, err);
        if (r < 0)
                return r;
        *ret = (struct kubeconfig){.file = str_copy(account->token),
                .context = str_copy("in-cluster"),
                .cluster = str_copy("in-cluster"),
                .user = str_copy("the pod's service account"),
                .server = str_copy(account->server),
                .namespace = str_copy(account->namespace ? account->namespace : "default"),
                .token_file = str_copy(account->token),
                .ca = ca,
                .ca_name = str_copy(account->ca)};
        return 0;
}

/* A pod's own account, as the kubelet lays it out. */
static int in_cluster(const struct kubeconfig_source *source, struct kubeconfig *ret, struct err **err)
{
        CLEANUP_FREE char *ca = file_join(source->account, "ca.crt"), *token = file_join(source->account, "token");
        CLEANUP_FREE char *namespace_path = file_join(source->account, "namespace");
        char *text = NULL;
        bool six = strchr(source->host, ':') != NULL;
        CLEANUP_FREE char *server = str_format("https://%s%s%s:%s", six ? "[" : "", source->host, six ? "]" : "",
                source->port && *source->port ? source->port : "443");
        if (file_read(namespace_path, 1024, &text, NULL, NULL) < 0)
                text = str_copy("");
        const char *namespace = str_trim(text);
        struct kubeconfig_account account = {
                .server = server, .ca = ca, .token = token, .namespace = *namespace ? namespace : NULL};
        struct kubeconfig config = {0};
        int r = kubeconfig_account(&account, &config, err);
        free(text);
        if (r < 0)
                return r;
        free(config.file);
        config.file = str_copy(source->account);
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
