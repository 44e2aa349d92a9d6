/* Any bytes as a kubeconfig: no crash, a message exactly when refused, and what is taken is fit to be used. Files that
 * it names are below a folder that is empty. */
#include "base/mem.h"
#include "base/str.h"
#include "client/kube/kubeconfig.h"
#include "fuzz.h"

static void look(const struct kubeconfig *config)
{
        MUST(config->context && config->cluster && config->namespace && config->file);
        MUST(str_starts(config->server, "http") || str_starts(config->server, "HTTP") || strstr(config->server, "://"));
        MUST(!strpbrk(config->server, "@?# \r\n"));
        MUST(!config->ca == !config->ca_name);
        MUST(!config->certificate == !config->key);
        MUST(!config->token || !strpbrk(config->token, "\r\n"));
        MUST(!config->exec || json_is_string(json_object_get(config->exec, "command")));
        MUST(!config->user || config->folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        if (tree_parse((const char *)data, size, &tree, &diags) < 0)
                return 0;
        struct kubeconfig_file file = {.path = "/proc/self/fdinfo/none/config", .tree = tree};
        static const char *const contexts[] = {NULL, "x"};
        for (size_t i = 0; i < 2; i++) {
                CLEANUP_KUBECONFIG struct kubeconfig config = {0};
                CLEANUP_ERR struct err *err = NULL;
                int r = kubeconfig_choose(&file, 1, contexts[i], &config, &err);
                MUST((r < 0) == (err != NULL));
                if (r == 0)
                        look(&config);
                else
                        MUST(config.server == NULL && *err->message);
        }
        tree_free(tree);
        return 0;
}
