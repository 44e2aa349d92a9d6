/* What the files of this folder share. */
#ifndef CAAS_CLIENT_LDAP_PRIVATE_H
#define CAAS_CLIENT_LDAP_PRIVATE_H

#include "client/ldap/directory.h"
#include "client/ldap/ldap_api.h"

struct directory {
        LDAP *ld;
        char *uri;
        char *bind_dn; /* "" = nobody */
        int operation_ms;
};

/* The error for a result of libldap, with "what" and the server's own words. Returns -code. */
int directory_fail(LDAP *ld, int result, struct err **err, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

/* A connected socket whose reads and writes wait at most read_ms. -ERR_UNREACHABLE, -ERR_TIMEOUT. */
int directory_socket(const char *host, int port, int timeout_ms, int read_ms, int *ret_fd, struct err **err);

/* Shuts the socket down unless directory_watch_end comes before the time is over; that says whether it was late. NULL
 * when no thread could be made. */
struct watch;
struct watch *directory_watch(int fd, int timeout_ms);
bool directory_watch_end(struct watch *watch);

#endif
