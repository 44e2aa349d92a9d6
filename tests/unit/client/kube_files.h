/* Folders with kubeconfigs and certificates, for the tests of the Kubernetes client. */
#ifndef CAAS_TESTS_KUBE_FILES_H
#define CAAS_TESTS_KUBE_FILES_H

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube/base64.h"
#include "client/tls/certificate.h"

struct pki {
        char folder[40];
        char *ca, *ca_key, *other_ca;
        char *server, *server_key, *client, *client_key;
        char *server_path, *server_key_path;
};

static inline char *put(const char *folder, const char *name, const char *text, mode_t mode)
{
        char *path = file_join(folder, name);
        if (file_write_atomic(path, text, strlen(text), mode, (uid_t)-1, (gid_t)-1, NULL) < 0)
                abort();
        return path;
}

static inline void issue(const char *name, const char *host, const char *ca, const char *ca_key, int64_t shift,
        char **ret_certificate, char **ret_key)
{
        struct clock *clock = clock_system();
        const char *const names[] = {host, NULL};
        struct tls_request request = {.name = name,
                .names = host ? names : NULL,
                .days = 2,
                .now = clock->wall_ms(clock) / 1000 + shift,
                .ca_certificate = ca,
                .ca_key = ca_key};
        if (tls_issue(&request, ret_certificate, ret_key, NULL) < 0)
                abort();
}

static inline void pki_make(struct pki *pki, const char *host)
{
        char *unused;
        strcpy(pki->folder, "/tmp/caas-kube-XXXXXX");
        if (!mkdtemp(pki->folder))
                abort();
        issue("CA", NULL, NULL, NULL, 0, &pki->ca, &pki->ca_key);
        issue("other", NULL, NULL, NULL, 0, &pki->other_ca, &unused);
        free(unused);
        issue("server", host, pki->ca, pki->ca_key, 0, &pki->server, &pki->server_key);
        issue("admin", "admin", pki->ca, pki->ca_key, 0, &pki->client, &pki->client_key);
        pki->server_path = put(pki->folder, "server.crt", pki->server, 0600);
        pki->server_key_path = put(pki->folder, "server.key", pki->server_key, 0600);
}

static inline void pki_clear(struct pki *pki)
{
        file_remove_tree(pki->folder, NULL);
        free(pki->ca), free(pki->ca_key), free(pki->other_ca), free(pki->server), free(pki->server_key);
        free(pki->client), free(pki->client_key), free(pki->server_path), free(pki->server_key_path);
}

/* A kubeconfig of one cluster "c", one user "u" and one context "x". cluster and user: further YAML lines, six deep. */
static inline char *config_text(const char *server, const char *ca, const char *cluster, const char *user)
{
        CLEANUP_FREE char *encoded = ca ? base64_encode(ca, strlen(ca)) : NULL;
        return str_format("apiVersion: v1\nkind: Config\ncurrent-context: x\npreferences: {}\n"
                          "clusters:\n  - name: c\n    cluster:\n      server: %s\n%s%s%s%s"
                          "users:\n  - name: u\n    user:\n      extensions: []\n%s"
                          "contexts:\n  - name: x\n    context: {cluster: c, user: u, namespace: hub}\n",
                server, encoded ? "      certificate-authority-data: " : "", encoded ? encoded : "",
                encoded ? "\n" : "", cluster ? cluster : "", user ? user : "");
}

#endif
