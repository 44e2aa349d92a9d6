/* Objects of a namespace as an API server gives them, shortened; and a configuration that leads to servers of a test.
 */
#ifndef CAAS_TESTS_KUBE_OBJECTS_H
#define CAAS_TESTS_KUBE_OBJECTS_H

#include <signal.h>
#include <stdlib.h>

#include "../client/http_server.h"
#include "../client/kube_files.h"
#include "exporter/config.h"

#define TOKEN    "s3cret"
#define SPAWNED  "2026-11-22T00:10:30Z"
#define ID_ALICE "4f7f9cbf2b4f5a4f1de2a9f3f0f0d35d3ed1e1b2c3d4e5f60718293a4b5c6d7e"
#define ID_DEAD  "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"

/* A user's server whose kernel took more memory than there was: its container was started again. */
#define POD_ALICE                                                                                                      \
        "{\"metadata\": {\"name\": \"jupyter-alice\", \"namespace\": \"ocean\", \"uid\": \"u1\","                      \
        " \"creationTimestamp\": \"" SPAWNED "\","                                                                     \
        " \"labels\": {\"app\": \"jupyterhub\", \"component\": \"singleuser-server\","                                 \
        " \"app.kubernetes.io/component\": \"singleuser-server\", \"hub.jupyter.org/username\": \"alice---2f\","       \
        " \"hub.jupyter.org/servername\": \"\", \"release\": \"ocean\"},"                                              \
        " \"annotations\": {\"hub.jupyter.org/username\": \"alice@x\", \"hub.jupyter.org/servername\": \"\"},"         \
        " \"managedFields\": [{\"manager\": \"OpenAPI-Generator\", \"operation\": \"Update\"}]},"                      \
        " \"spec\": {\"nodeName\": \"n1\", \"restartPolicy\": \"OnFailure\", \"containers\": [{\"name\": "             \
        "\"notebook\","                                                                                                \
        " \"image\": \"quay.io/pangeo/base-notebook:2026.10\", \"resources\": {\"limits\": {\"cpu\": \"2\","           \
        " \"memory\": \"4Gi\"}, \"requests\": {\"cpu\": \"100m\", \"memory\": \"1073741824\"}}}]},"                    \
        " \"status\": {\"phase\": \"Running\", \"containerStatuses\": [{\"name\": \"notebook\", \"ready\": true,"      \
        " \"restartCount\": 1, \"containerID\": \"containerd://" ID_ALICE "\", \"state\": {\"running\": {}},"          \
        " \"lastState\": {\"terminated\": {\"exitCode\": 137, \"reason\": \"OOMKilled\","                              \
        " \"containerID\": \"containerd://" ID_DEAD "\"}}}]}}"
#define POD_WORKER                                                                                                     \
        "{\"metadata\": {\"name\": \"dask-worker-77aa-x2\", \"namespace\": \"ocean\", \"uid\": \"u2\","                \
        " \"creationTimestamp\": \"" SPAWNED "\", \"labels\": {\"app.kubernetes.io/name\": \"dask-gateway\","          \
        " \"app.kubernetes.io/component\": \"dask-worker\", \"gateway.dask.org/cluster\": \"77aa\","                   \
        " \"hub.jupyter.org/username\": \"bob\"}, \"annotations\": {\"hub.jupyter.org/username\": \"bob\"}},"          \
        " \"spec\": {\"nodeName\": \"n2\", \"containers\": [{\"name\": \"dask-worker\", \"image\": \"w:1\","           \
        " \"resources\": {\"limits\": {\"cpu\": \"1500m\", \"memory\": \"2G\"}}}]},"                                   \
        " \"status\": {\"phase\": \"Running\"}}"
#define POD_HUB                                                                                                        \
        "{\"metadata\": {\"name\": \"hub-0\", \"namespace\": \"ocean\", \"uid\": \"u3\","                              \
        " \"labels\": {\"app\": \"jupyterhub\", \"component\": \"hub\"}}, \"spec\": {\"nodeName\": \"n1\","            \
        " \"containers\": [{\"name\": \"hub\", \"image\": \"h:1\", \"resources\": {}}]},"                              \
        " \"status\": {\"phase\": \"Running\"}}"
/* No node has room for it. */
#define POD_WAITING                                                                                                    \
        "{\"metadata\": {\"name\": \"jupyter-carol\", \"namespace\": \"ocean\", \"uid\": \"u4\","                      \
        " \"creationTimestamp\": \"" SPAWNED "\", \"labels\": {\"component\": \"singleuser-server\","                  \
        " \"hub.jupyter.org/username\": \"carol\"}},"                                                                  \
        " \"spec\": {\"containers\": [{\"name\": \"notebook\", \"image\": \"w:1\"}]},"                                 \
        " \"status\": {\"phase\": \"Pending\"}}"
#define CLAIM(name, user, size)                                                                                        \
        "{\"metadata\": {\"name\": \"" name "\", \"namespace\": \"ocean\", \"uid\": \"c-" name "\","                   \
        " \"labels\": {\"app\": \"jupyterhub\", \"component\": \"singleuser-storage\"},"                               \
        " \"annotations\": {\"hub.jupyter.org/username\": \"" user "\"}},"                                             \
        " \"spec\": {\"resources\": {\"requests\": {\"storage\": \"" size "\"}}},"                                     \
        " \"status\": {\"phase\": \"Bound\", \"capacity\": {\"storage\": \"" size "\"}}}"
#define CLAIM_HUB                                                                                                      \
        "{\"metadata\": {\"name\": \"hub-db\", \"uid\": \"c-hub\", \"labels\": {\"component\": \"hub\"}},"             \
        " \"status\": {\"capacity\": {\"storage\": \"1Gi\"}}}"
#define NODE(name, port, more)                                                                                         \
        "{\"metadata\": {\"name\": \"" name "\", \"uid\": \"n-" name "\", \"labels\": {"                               \
        "\"kubernetes.io/hostname\": \"" name "\", \"node.kubernetes.io/instance-type\": \"m5.xlarge\"" more "}},"     \
        " \"status\": {\"capacity\": {\"cpu\": \"4\", \"memory\": \"16384Ki\", \"pods\": \"110\"},"                    \
        " \"allocatable\": {\"cpu\": \"3900m\", \"memory\": \"15Mi\", \"pods\": \"110\"},"                             \
        " \"addresses\": [{\"type\": \"Hostname\", \"address\": \"" name "\"},"                                        \
        " {\"type\": \"InternalIP\", \"address\": \"127.0.0.1\"}],"                                                    \
        " \"daemonEndpoints\": {\"kubeletEndpoint\": {\"Port\": " port "}}}}"

static struct pki pki;
static char *token_path, *ca_path;

static inline int kube_objects_set_up(void **state)
{
        (void)state;
        signal(SIGPIPE, SIG_IGN);
        pki_make(&pki, "127.0.0.1");
        ca_path = put(pki.folder, "ca.crt", pki.ca, 0644);
        token_path = put(pki.folder, "token", TOKEN "\n", 0600);
        return 0;
}

static inline int kube_objects_tear_down(void **state)
{
        (void)state;
        free(token_path), free(ca_path);
        pki_clear(&pki);
        return 0;
}

static inline struct config *kube_config(int port, const char *ca, bool nodes)
{
        struct config *config = NULL;
        CLEANUP_FREE char *text =
                str_format("{\"cluster\": \"demo\", \"kubernetes\": {\"api\": \"https://127.0.0.1:%d\", \"ca\": \"%s\","
                           " \"token_file\": \"%s\", \"namespace\": \"ocean\", \"nodes\": %s,"
                           " \"runs\": \"monitoring-runs\"}, \"backup\": {\"cronjob\": \"backup\"}}",
                        port, ca, token_path, nodes ? "true" : "false");
        if (config_parse(text, strlen(text), &config, NULL) < 0)
                abort();
        config->timeout_ms = 60000; /* on a busy machine nothing may be called slow that is not */
        return config;
}

#endif
