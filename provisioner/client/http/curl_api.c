#include "client/http/curl_api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct curl_api api;
static bool loaded;

static void load(void)
{
        void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
        if (!library)
                return;
        bool complete = true;
        /* dlsym gives an object pointer where a function pointer is wanted: POSIX says to write it this way. */
#define X(symbol, name)                                                                                                \
        *(void **)&api.name = dlsym(library, #symbol);                                                                 \
        complete = complete && api.name;
        CURL_API(X)
#undef X
        loaded = complete && api.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

int curl_api_get(const struct curl_api **ret, struct err **err)
{
        pthread_once(&once, load);
        if (!loaded)
                return err_set(err, ERR_NOT_FOUND,
                        "cannot load libcurl (libcurl.so.4, 7.85 or newer): install the package libcurl4");
        *ret = &api;
        return 0;
}
