#define LDAP_API_PLAIN
#include "client/ldap/ldap_api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>

struct ldap_api ldap_api;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;

/* libldap makes its TLS ready at the first handle that wants it, without a lock: a thread that comes at the same time
 * goes on with what is not there yet, and with OpenSSL, as on Debian 13, it crashes. This handle connects nowhere. */
static void prepare_tls(void)
{
        const int client = 0;
        LDAP *ld = NULL;
        if (ldap_api.ldap_initialize_(&ld, "ldaps://localhost") != LDAP_SUCCESS)
                return;
        ldap_api.ldap_set_option_(ld, LDAP_OPT_X_TLS_CACERTFILE, NULL);
        ldap_api.ldap_set_option_(ld, LDAP_OPT_X_TLS_CACERTDIR, NULL);
        ldap_api.ldap_set_option_(ld, LDAP_OPT_X_TLS_NEWCTX, &client);
        ldap_api.ldap_unbind_ext_s_(ld, NULL, NULL);
}

static void load(void)
{
        /* The names of OpenLDAP 2.6 and 2.5; what is used here is the same in both. */
        static const char *const names[] = {"libldap.so.2", "libldap-2.5.so.0"};
        void *library = NULL;
        for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
                library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL);
        if (!library)
                return;
        bool complete = true;
        /* Those of liblber, too: it is looked through with what it depends on. */
#define X(name)                                                                                                        \
        *(void **)&ldap_api.name##_ = dlsym(library, #name);                                                           \
        complete = complete && ldap_api.name##_;
        LDAP_API(X)
#undef X
        loaded = complete;
        if (loaded)
                prepare_tls();
}

int ldap_api_load(struct err **err)
{
        pthread_once(&once, load);
        return loaded ? 0 : err_set(err, ERR_NOT_FOUND, "cannot load libldap: install libldap2 or libldap-2.5-0");
}
