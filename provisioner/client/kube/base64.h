/* Base64 of the standard alphabet. */
#ifndef CAAS_CLIENT_KUBE_BASE64_H
#define CAAS_CLIENT_KUBE_BASE64_H

#include <stddef.h>

/* Line breaks are skipped, anything else that does not belong is refused: -1. The result is NUL-terminated, the caller
 * frees it. */
int base64_decode(const char *text, size_t length, char **ret, size_t *ret_length);

char *base64_encode(const void *data, size_t length); /* the caller frees */

#endif
