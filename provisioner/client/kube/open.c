/* Opening and closing, and what is known without a request. */
#include "base/mem.h"
#include "client/kube/private.h"

#define TIMEOUT_MS 30000
#define RETRY_MS   75000

int kube_open(const struct kube_options *options, struct kube **ret, struct err **err)
{
        struct kubeconfig_source source = kubeconfig_source(options->kubeconfig);
        struct kubeconfig config = {0};
        int r = options->account ? kubeconfig_account(options->account, &config, err)
                                 : kubeconfig_load(&source, options->context, &config, err);
        if (r < 0)
                return r;
        struct kube *kube = mem_zero(sizeof *kube);
        kube->config = config;
        kube->cancel = options->cancel;
        kube->clock = options->clock ? options->clock : clock_system();
        kube->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
        kube->retry_ms = options->retry_ms ? options->retry_ms : RETRY_MS;
        kube_pools_open(kube);
        pthread_mutex_init(&kube->credential_lock, NULL);
        pthread_mutex_init(&kube->discovery_lock, NULL);
        kube->discovery = json_object();
        *ret = kube;
        return 0;
}

struct kube *kube_close(struct kube *kube)
{
        if (!kube)
                return NULL;
        kube_pools_close(kube);
        kube_credential_clear(&kube->credential);
        kubeconfig_clear(&kube->config);
        json_decref(kube->discovery);
        pthread_mutex_destroy(&kube->credential_lock);
        pthread_mutex_destroy(&kube->discovery_lock);
        free(kube);
        return NULL;
}

const char *kube_server(const struct kube *kube)
{
        return kube->config.server;
}

const char *kube_context(const struct kube *kube)
{
        return kube->config.context;
}

const char *kube_namespace(const struct kube *kube)
{
        return kube->config.namespace;
}

const char *kube_file(const struct kube *kube)
{
        return kube->config.file;
}

void kube_counts(const struct kube *kube, long *ret_requests, long *ret_connections)
{
        *ret_requests = atomic_load(&kube->requests);
        *ret_connections = atomic_load(&kube->connections);
}
