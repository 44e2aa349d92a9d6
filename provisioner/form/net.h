/* Addresses and names of the Internet, as text. Pure. For this folder and kind/kube_entry.c. */
#ifndef CAAS_FORM_NET_H
#define CAAS_FORM_NET_H

#include <stdbool.h>
#include <stddef.h>

#define NET_ADDRESS_MAX 46

/* The one way to write an IPv4 or IPv6 address. 0, or -1 if it is none. */
int net_address(const char *text, char ret[NET_ADDRESS_MAX]);

/* Why an address, written as net_address does, cannot be that of one machine; NULL if it can. Static text. */
const char *net_address_problem(const char *address);

/* Reachable from everywhere: not private, loopback, link-local, carrier-grade NAT, documentation, multicast … */
bool net_is_global(const char *address);

/* "192-0-2-1", "2a01-4f8--1": an address as a part of a name. 0, or -1 if it is no address. */
int net_dashed(const char *address, char ret[NET_ADDRESS_MAX]);

/* What is wrong with a DNS name of at most max characters, or NULL if nothing is. Static text. */
const char *net_name_problem(const char *name, size_t max);

/* Can the world know this name? Not of a single label, and not below a name that is kept out of the public DNS. */
bool net_name_is_public(const char *name);

#endif
