#include "form/type_net.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/net.h"
#include "form/type.h"

#define NETWORK_MAX (NET_ADDRESS_MAX + 4)

/* ---- hosts ---- */

int form_host_check(const struct form_field *field, const char *text, json_t **ret, char **ret_hint)
{
        char address[NET_ADDRESS_MAX];
        size_t length = strlen(text);
        bool brackets = length > 2 && *text == '[' && text[length - 1] == ']';
        CLEANUP_FREE char *inner = brackets ? str_copy_n(text + 1, length - 2) : str_copy(text);
        if (net_address(inner, address) == 0 && (!brackets || strchr(address, ':'))) {
                CLEANUP_FREE char *whole = str_format(strchr(address, ':') ? "[%s]" : "%s", address);
                *ret = json_string(whole);
                return 0;
        }
        const char *problem = net_name_problem(text, (size_t)field->max), *colon = strrchr(text, ':');
        if (problem && strstr(text, "://"))
                *ret_hint = str_copy("nothing precedes the host");
        else if (problem && colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1))
                *ret_hint = str_copy("its port is a field of its own");
        else if (problem)
                *ret_hint = str_format("it %s", problem);
        if (problem)
                return -1;
        CLEANUP_FREE char *lower = str_copy(text);
        for (char *c = lower; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        *ret = json_string(lower);
        return 0;
}

/* ---- networks ---- */

/* Clears what follows the first bits. */
static void mask(unsigned char *bytes, size_t size, long bits)
{
        for (size_t i = 0; i < size; i++, bits -= 8) {
                unsigned kept = bits >= 8 ? 0xff : bits <= 0 ? 0 : 0xff00u >> bits & 0xff;
                bytes[i] &= (unsigned char)kept;
        }
}

/* "192.0.2.0/24" as it is written once and for all. 0, or -1 with the hint. */
static int network(const char *text, char ret[NETWORK_MAX], char **ret_hint)
{
        const char *slash = strchr(text, '/');
        CLEANUP_FREE char *host = str_copy_n(text, slash ? (size_t)(slash - text) : strlen(text));
        char address[NET_ADDRESS_MAX], first[NET_ADDRESS_MAX];
        unsigned char bytes[16];
        long bits;
        if (net_address(host, address) < 0)
                return -1;
        bool v6 = strchr(address, ':');
        if (!slash) {
                snprintf(ret, NETWORK_MAX, "%s", address);
                return 0;
        }
        if (!slash[1] || strspn(slash + 1, "0123456789") != strlen(slash + 1) || str_to_long(slash + 1, &bits) < 0 ||
                bits > (v6 ? 128 : 32)) {
                *ret_hint = str_format("after its \"/\" stands a number from 0 to %d", v6 ? 128 : 32);
                return -1;
        }
        inet_pton(v6 ? AF_INET6 : AF_INET, address, bytes);
        mask(bytes, v6 ? 16 : 4, bits);
        inet_ntop(v6 ? AF_INET6 : AF_INET, bytes, first, sizeof first);
        if (strcmp(first, address) != 0) {
                *ret_hint = str_format("did you mean \"%s/%ld\"?", first, bits);
                return -1;
        }
        snprintf(ret, NETWORK_MAX, "%s/%ld", address, bits);
        return 0;
}

static int check_network(const json_t *value, json_t **ret, char **ret_hint)
{
        char whole[NETWORK_MAX];
        const char *text = json_string_value(value);
        if (!text || network(text, whole, ret_hint) < 0) {
                if (text && !*ret_hint && net_name_problem(text, 253) == NULL)
                        *ret_hint = str_copy("it is a name: a connection has only an address");
                return -1;
        }
        *ret = json_string(whole);
        return 0;
}

/* ---- lists ---- */

int form_item_check(const struct form_field *field, const json_t *value, json_t **ret, char **ret_hint)
{
        static const struct form_field email = {.type = FORM_EMAIL};
        if (field->type == FORM_EMAILS)
                return form_type_check(&email, value, ret, ret_hint);
        if (field->type == FORM_NETWORKS)
                return check_network(value, ret, ret_hint);
        return form_name_check(value, ret, ret_hint);
}

const char *form_item_allowed(const struct form_field *field)
{
        if (field->type == FORM_EMAILS)
                return "an e-mail address";
        if (field->type == FORM_NETWORKS)
                return "an address or a network (192.0.2.0/24)";
        return "a name: " FORM_NAME_ALLOWED;
}

json_t *form_list_whole(const struct form_field *field, const json_t *list)
{
        if (field->type != FORM_EMAILS)
                return json_incref((json_t *)list);
        CLEANUP_BUF struct buf text = BUF_INIT(16 * 1024);
        size_t i;
        json_t *item;
        buf_str(&text, "");
        json_array_foreach ((json_t *)list, i, item)
                buf_format(&text, "%s%s", i ? ", " : "", json_string_value(item));
        return json_string(text.data ? text.data : "");
}

int form_emails_split(const struct form_field *field, const char *text, json_t **ret, char **ret_hint)
{
        json_auto_t *list = json_array();
        for (const char *at = text;; at++) {
                at += strspn(at, " ");
                size_t length = strcspn(at, ",");
                CLEANUP_FREE char *hint = NULL;
                json_t *checked = NULL;
                json_auto_t *one = json_stringn(at, length);
                if (form_item_check(field, one, &checked, &hint) < 0) {
                        *ret_hint = STEAL(hint);
                        return -1;
                }
                json_array_append_new(list, checked);
                at += length;
                if (!*at)
                        break;
        }
        if (json_array_size(list) > (size_t)field->max) {
                *ret_hint = str_format("it has %zu", json_array_size(list));
                return -1;
        }
        *ret = form_list_whole(field, list);
        return 0;
}
