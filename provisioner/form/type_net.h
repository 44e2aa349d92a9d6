/* Hosts, networks, and lists of what is text. For this folder only. */
#ifndef CAAS_FORM_TYPE_NET_H
#define CAAS_FORM_TYPE_NET_H

#include <jansson.h>

#include "form/table.h"

/* A DNS name or an address; *ret has an IPv6 address in brackets, so that ":PORT" can follow it. 0, or -1 with
 * *ret_hint as in form_type_check. */
int form_host_check(const struct form_field *field, const char *text, json_t **ret, char **ret_hint);

/* One item of a list of names, e-mail addresses or networks, as the complete form has it. 0, or -1 with *ret_hint. */
int form_item_check(const struct form_field *field, const json_t *value, json_t **ret, char **ret_hint);

/* What an item of such a list has to be, in words. Static text. */
const char *form_item_allowed(const struct form_field *field);

/* The list as the complete form has it: e-mail addresses as one text, "a@example.org, b@example.org", as the header of
 * a mail has them; others as they are. New reference. */
json_t *form_list_whole(const struct form_field *field, const json_t *list);

/* E-mail addresses that are one text, with commas between them, as the header of a mail and the complete form have
 * them. 0 with the text as the complete form has it, or -1 with *ret_hint. */
int form_emails_split(const struct form_field *field, const char *text, json_t **ret, char **ret_hint);

#endif
