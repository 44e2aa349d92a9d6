/* A filter of system calls: no user namespaces from inside a sandbox.
 *
 * In a user namespace of one's own one is root, and much kernel code is reachable that only root could call before;
 * most holes of the last years that let users become root needed it. Nothing a notebook does needs it. */
#ifndef CAAS_CLIENT_SANDBOX_FILTER_H
#define CAAS_CLIENT_SANDBOX_FILTER_H

/* For this process and all that come from it. Needs no_new_privs. 0, or -1 with errno. */
int filter_install(void);

#endif
