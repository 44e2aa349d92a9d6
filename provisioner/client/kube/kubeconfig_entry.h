/* One named entry of a kubeconfig file, and reading its fields. */
#ifndef CAAS_CLIENT_KUBE_KUBECONFIG_ENTRY_H
#define CAAS_CLIENT_KUBE_KUBECONFIG_ENTRY_H

#include "client/kube/kubeconfig.h"

struct entry {
        const struct kubeconfig_file *file;
        const char *list, *what; /* "users", "user" */
        size_t index;
        json_t *node; /* borrowed; the object below `what` */
};

/* Makes an error that stands at one of its fields (NULL = the entry). */
int entry_error(const struct entry *entry, const char *field, enum err_code code, struct err **err, const char *format,
        ...) __attribute__((format(printf, 5, 6)));

/* A text, NULL in *ret when it is not there or empty. -ERR_INVALID for something else. The caller frees. */
int entry_text(const struct entry *entry, const char *field, char **ret, struct err **err);

/* PEM text of "<field>-data" (base64), else of the file named by "<field>"; NULL in *ret when there is neither. */
int entry_pem(const struct entry *entry, const char *field, char **ret, struct err **err);

/* A path, from the file's folder when it is relative. The caller frees. */
char *entry_path(const struct entry *entry, const char *path);

/* The user's part. */
int kubeconfig_user(const struct entry *entry, struct kubeconfig *config, struct err **err);

#endif
