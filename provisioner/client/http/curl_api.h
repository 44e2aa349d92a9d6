/* libcurl's functions, looked up at run time.
 *
 * Linked in, libcurl and the thirty libraries behind it cost every command 1.5 ms before main() begins; `caas check`
 * has 5. */
#ifndef CAAS_CLIENT_HTTP_CURL_API_H
#define CAAS_CLIENT_HTTP_CURL_API_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/err.h"

#define CURL_API(X)                                                                                                    \
        X(curl_global_init, global_init)                                                                               \
        X(curl_easy_init, easy_init)                                                                                   \
        X(curl_easy_cleanup, easy_cleanup)                                                                             \
        X(curl_easy_reset, easy_reset)                                                                                 \
        X(curl_easy_setopt, easy_setopt)                                                                               \
        X(curl_easy_getinfo, easy_getinfo)                                                                             \
        X(curl_easy_strerror, easy_strerror)                                                                           \
        X(curl_easy_send, easy_send)                                                                                   \
        X(curl_easy_recv, easy_recv)                                                                                   \
        X(curl_slist_append, slist_append)                                                                             \
        X(curl_slist_free_all, slist_free_all)                                                                         \
        X(curl_multi_init, multi_init)                                                                                 \
        X(curl_multi_cleanup, multi_cleanup)                                                                           \
        X(curl_multi_add_handle, multi_add_handle)                                                                     \
        X(curl_multi_remove_handle, multi_remove_handle)                                                               \
        X(curl_multi_perform, multi_perform)                                                                           \
        X(curl_multi_poll, multi_poll)                                                                                 \
        X(curl_multi_info_read, multi_info_read)

struct curl_api {
#define X(symbol, name) __typeof__(symbol) *name;
        CURL_API(X)
#undef X
};

/* Loads and initialises libcurl at the first call. Thread-safe. -ERR_NOT_FOUND: not installed. */
int curl_api_get(const struct curl_api **ret, struct err **err);

#endif
