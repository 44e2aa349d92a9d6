#include "form/type.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/net.h"
#include "form/type_kube.h"
#include "form/type_net.h"
#include "tree/diag.h"
#include "tree/number.h"

#define NAME_LENGTH_MAX 64
#define EMAIL_MAX       254
#define URL_MAX         300
#define DN_MAX          1000
#define PATH_LENGTH_MAX 4000

char *form_found(const json_t *value)
{
        if (json_is_object(value))
                return str_copy("a mapping");
        if (json_is_array(value))
                return str_copy("a list");
        if (!value || json_is_null(value))
                return str_copy("nothing");
        CLEANUP_FREE char *text = scalar_text(value);
        if (!json_is_string(value))
                return str_copy(text);
        CLEANUP_FREE char *quoted = diag_quote(text);
        return str_format("the text %s", quoted);
}

const char *form_nearest(const char *word, const char *const *list)
{
        const char *near = str_nearest(word, list);
        size_t length = near ? strlen(near) : 0;
        return near && 2 * str_distance(word, near) < length ? near : NULL;
}

static size_t characters(const char *text)
{
        size_t n = 0;
        for (; *text; text++)
                n += (*text & 0xc0) != 0x80;
        return n;
}

static bool has_control(const char *text)
{
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 || *text == 0x7f)
                        return true;
        return false;
}

/* ---- numbers ---- */

/* How much of the text's beginning is one number: "1.5" of "1.5.2". */
static size_t number_length(const char *text)
{
        static const char decimal[] = "0123456789";
        size_t whole = strspn(text, decimal);
        return whole > 0 && text[whole] == '.' ? whole + 1 + strspn(text + whole + 1, decimal) : whole;
}

static const char *unit_words(const struct form_field *field)
{
        return str_is(field->unit, "GB") ? "GB (10^9 bytes)" : field->unit;
}

/* "2", "2GB", "500m" where a number is wanted. */
static char *number_hint(const struct form_field *field, const json_t *value)
{
        const char *text = json_string_value(value);
        if (!text)
                return NULL;
        size_t length = number_length(text);
        const char *rest = text + length;
        if (length == 0 || *rest == '.')
                return NULL;
        if (*rest == '\0')
                return str_copy("take it out of its quotes");
        if (*rest == ',')
                return str_copy("write a point where you wrote a comma");
        if (strlen(rest) <= 8 && field->unit)
                return str_format("write the number alone, it counts %s", unit_words(field));
        return str_is(rest, "m") ? str_format("write %g", strtod(text, NULL) / 1000) : NULL;
}

static int check_number(const struct form_field *field, const json_t *value, json_t **ret, char **ret_hint)
{
        double number = json_number_value(value);
        if (!json_is_number(value)) {
                *ret_hint = number_hint(field, value);
                return -1;
        }
        /* Written so that what is no number at all fails, too. */
        if (!(number >= field->min && number <= field->max))
                return -1;
        if (field->type == FORM_WHOLE) {
                if (number < floor(number) || number > floor(number))
                        return -1;
                *ret = json_integer((json_int_t)number);
                return 0;
        }
        *ret = json_incref((json_t *)value);
        return 0;
}

/* ---- texts ---- */

static int check_choice(const struct form_field *field, const char *text, json_t **ret, char **ret_hint)
{
        for (const char *const *value = field->values; *value; value++) {
                if (strcmp(*value, text) == 0) {
                        *ret = json_string(text);
                        return 0;
                }
        }
        for (const char *const *value = field->later; value && *value; value++) {
                if (strcmp(*value, text) == 0) {
                        *ret_hint = str_format("this version has no %s \"%s\" yet", field->path, text);
                        return -1;
                }
        }
        /* acme is the protocol's name; most people know only whose it is: letsencrypt, Let's Encrypt, lets-encrypt */
        const char *nearest = str_is(field->path, "tls.mode") && strcasestr(text, "encrypt")
                                      ? "acme"
                                      : form_nearest(text, field->values);
        if (nearest)
                *ret_hint = str_format("did you mean \"%s\"?", nearest);
        return -1;
}

static bool is_label(const char *text, size_t max)
{
        size_t length = strlen(text);
        return length > 0 && length <= max && text[0] >= 'a' && text[0] <= 'z' && text[length - 1] != '-' &&
               strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* The name with everything that is not allowed made allowed, if that is enough. */
static char *near_label(const char *text, size_t max)
{
        CLEANUP_FREE char *near = str_copy_n(text, strnlen(text, max + 1));
        for (char *c = near; *c; c++) {
                if (*c >= 'A' && *c <= 'Z')
                        *c = (char)(*c + 'a' - 'A');
                else if (*c == '_' || *c == ' ' || *c == '.')
                        *c = '-';
        }
        return is_label(near, max) ? STEAL(near) : NULL;
}

static int check_label(const struct form_field *field, const char *text, json_t **ret, char **ret_hint)
{
        size_t max = (size_t)field->max;
        if (is_label(text, max)) {
                *ret = json_string(text);
                return 0;
        }
        CLEANUP_FREE char *near = near_label(text, max);
        if (near)
                *ret_hint = str_format("did you mean \"%s\"?", near);
        else if (characters(text) > max)
                *ret_hint = str_format("it has %zu characters", characters(text));
        return -1;
}

static int check_domain(const struct form_field *field, const char *text, json_t **ret, char **ret_hint)
{
        const char *problem = net_name_problem(text, (size_t)field->max);
        if (problem) {
                *ret_hint = str_format("it %s", problem);
                return -1;
        }
        CLEANUP_FREE char *lower = str_copy(text);
        for (char *c = lower; *c; c++)
                *c = (char)tolower((unsigned char)*c);
        *ret = json_string(lower);
        return 0;
}

static int check_address(const struct form_field *field, const char *text, json_t **ret, char **ret_hint)
{
        char address[NET_ADDRESS_MAX];
        if (net_address(text, address) < 0) {
                if (strchr(text, '/'))
                        *ret_hint = str_copy("it is a network: write one address of it");
                else if (net_name_problem(text, 253) == NULL)
                        *ret_hint = str_format("it is a name: write it at domain, and at %s the address", field->path);
                return -1;
        }
        const char *problem = net_address_problem(address);
        if (problem) {
                *ret_hint = str_format("it %s", problem);
                return -1;
        }
        *ret = json_string(address);
        return 0;
}

static int check_email(const char *text, json_t **ret, char **ret_hint)
{
        /* Of RFC 5322 without what configuration files give a meaning of their own: $ ` { | } */
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#%&'*+/=?^_~-";
        const char *at = strchr(text, '@');
        size_t local = at ? (size_t)(at - text) : 0;
        if (!at)
                *ret_hint = str_copy("it has no \"@\"");
        else if (local == 0 || local > 64 || strspn(text, allowed) != local || text[0] == '.' || at[-1] == '.')
                *ret_hint = str_copy("what stands before its \"@\" is no name of a mailbox");
        else if (net_name_problem(at + 1, EMAIL_MAX) || !strchr(at, '.') || strlen(text) > EMAIL_MAX)
                *ret_hint = str_copy("what stands after its \"@\" is no DNS name");
        if (*ret_hint)
                return -1;
        *ret = json_string(text);
        return 0;
}

/* "[::1]", "host", "host:636" without more. NULL if right. */
static const char *host_problem(char *host)
{
        char address[NET_ADDRESS_MAX];
        char *port = NULL;
        long number;
        if (*host == '[') {
                char *end = strchr(host, ']');
                if (!end)
                        return "its \"[\" is not closed";
                *end = '\0';
                if (!strchr(host + 1, ':') || net_address(host + 1, address) < 0)
                        return "what stands in its brackets is no IPv6 address";
                if (end[1] != '\0' && end[1] != ':')
                        return "something other than a port follows its address";
                port = end[1] == ':' ? end + 2 : NULL;
        } else {
                port = strchr(host, ':');
                if (port)
                        *port++ = '\0';
                if (net_address(host, address) < 0 && net_name_problem(host, 253))
                        return "it names no host";
        }
        if (port && (strspn(port, "0123456789") != strlen(port) || str_to_long(port, &number) < 0 || number < 1 ||
                            number > 65535))
                return "its port is no number from 1 to 65535";
        return NULL;
}

/* Of a path only what no reader of a configuration takes for anything else. */
static int check_url(const char *text, json_t **ret, char **ret_hint)
{
        static const char scheme[] = "https://", path_allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                                  "0123456789-._~%+=:,@/";
        if (!str_starts(text, scheme) || strlen(text) > URL_MAX) {
                CLEANUP_FREE char *host = str_copy_n(text, strcspn(text, "/:"));
                if (str_starts(text, "http://"))
                        *ret_hint = str_copy("over http:// anybody on the way could answer");
                else if (!strstr(text, "://") && !net_name_problem(host, 253) && strlen(text) <= URL_MAX)
                        *ret_hint = str_format("did you mean \"https://%s\"?", text);
                return -1;
        }
        const char *rest = text + strlen(scheme), *path = strchr(rest, '/');
        CLEANUP_FREE char *host = str_copy_n(rest, path ? (size_t)(path - rest) : strlen(rest));
        const char *problem = NULL;
        if (strpbrk(rest, "?#"))
                problem = "a \"?\" or \"#\" has no place in it";
        else if (strchr(host, '@'))
                problem = "nothing precedes the host";
        else
                problem = host_problem(host);
        if (!problem && !path)
                problem = "nothing follows the host: its path is missing";
        else if (!problem && strspn(path, path_allowed) != strlen(path))
                problem = "there is a character in its path that has to be written as %XX";
        if (problem) {
                *ret_hint = str_copy(problem);
                return -1;
        }
        *ret = json_string(text);
        return 0;
}

static int check_ldap(const char *text, json_t **ret, char **ret_hint)
{
        size_t scheme = str_starts(text, "ldaps://") ? 8 : str_starts(text, "ldap://") ? 7 : 0;
        if (scheme == 0 || strlen(text) > URL_MAX) {
                if (scheme == 0 && !strstr(text, "://") && !net_name_problem(text, 253))
                        *ret_hint = str_format("did you mean \"ldaps://%s\"?", text);
                return -1;
        }
        CLEANUP_FREE char *host = str_copy(text + scheme);
        size_t length = strlen(host);
        if (length && host[length - 1] == '/')
                host[length - 1] = '\0';
        CLEANUP_FREE char *written = str_copy_n(text, scheme + strlen(host));
        const char *problem =
                strpbrk(host, "/?#@") ? "nothing follows or precedes the host but a port" : host_problem(host);
        if (problem) {
                *ret_hint = str_copy(problem);
                return -1;
        }
        *ret = json_string(written);
        return 0;
}

/* One "attribute=value" of a DN; what follows it (the comma or the end), NULL if it is wrong. */
static const char *dn_part(const char *text)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
        if (name == 0 || (!strchr(letters, *text) && strspn(text, "0123456789.") != name) || text[name] != '=')
                return NULL;
        const char *value = text + name + 1, *p = value;
        for (; *p && *p != ','; p++) {
                if (*p == '\\' && p[1])
                        p++;
                else if (strchr("\"+;<>\\", *p))
                        return NULL;
        }
        return p == value || *value == ' ' || *value == '#' || (p[-1] == ' ' && p[-2] != '\\') ? NULL : p;
}

static int check_dn(const char *text, json_t **ret, char **ret_hint)
{
        const char *p = text;
        if (strlen(text) > DN_MAX || has_control(text))
                return -1;
        for (;;) {
                p = dn_part(p + strspn(p, " "));
                if (!p) {
                        if (!strchr(text, '=') && strchr(text, '.') && net_name_problem(text, 253) == NULL)
                                *ret_hint = str_copy("a domain is written dc=example,dc=org");
                        return -1;
                }
                if (*p == '\0')
                        break;
                p++;
        }
        *ret = json_string(text);
        return 0;
}

static int check_path(const char *text, json_t **ret, char **ret_hint)
{
        size_t length = strlen(text);
        if (length == 0)
                *ret_hint = str_copy("it is empty");
        else if (length > PATH_LENGTH_MAX)
                *ret_hint = str_copy("it is too long");
        else if (has_control(text))
                *ret_hint = str_copy("it has a control character in it");
        else if (text[length - 1] == '/')
                *ret_hint = str_copy("it names a folder");
        else if (str_starts(text, "~"))
                *ret_hint = str_copy("nobody replaces the \"~\": write the whole path");
        if (*ret_hint)
                return -1;
        *ret = json_string(text);
        return 0;
}

/* One line; line breaks that YAML left in it (of a folded text) count as spaces. */
static int check_text(const struct form_field *field, const char *text, json_t **ret, char **ret_hint)
{
        CLEANUP_FREE char *copy = str_copy(text);
        for (char *c = copy; *c; c++)
                if (*c == '\n')
                        *c = ' ';
        const char *trimmed = str_trim(copy);
        if (*trimmed == '\0')
                *ret_hint = str_copy("it is empty");
        else if (has_control(trimmed))
                *ret_hint = str_copy("it has a control character in it");
        else if (characters(trimmed) > (size_t)field->max)
                *ret_hint = str_format("it has %zu", characters(trimmed));
        if (*ret_hint)
                return -1;
        *ret = json_string(trimmed);
        return 0;
}

static int check_switch(const json_t *value, json_t **ret, char **ret_hint)
{
        static const char *const meant[] = {"yes", "no", "on", "off", "true", "false", NULL};
        if (json_is_boolean(value)) {
                *ret = json_incref((json_t *)value);
                return 0;
        }
        for (const char *const *word = meant; *word; word++)
                if (json_is_string(value) && strcasecmp(*word, json_string_value(value)) == 0)
                        *ret_hint = str_format("write %s, without quotes",
                                strchr("yY", **word) || str_is(*word, "on") || str_is(*word, "true") ? "true"
                                                                                                     : "false");
        return -1;
}

int form_type_check(const struct form_field *field, const json_t *value, json_t **ret, char **ret_hint)
{
        if (field->type == FORM_SWITCH)
                return check_switch(value, ret, ret_hint);
        if (field->type == FORM_NUMBER || field->type == FORM_WHOLE)
                return check_number(field, value, ret, ret_hint);
        if (field->type == FORM_LABELS || field->type == FORM_NOTES)
                return form_type_check_kube(field, value, ret, ret_hint);
        const char *text = json_string_value(value);
        if (!text) {
                if (value && !json_is_null(value) && !json_is_object(value) && !json_is_array(value) &&
                        field->type != FORM_CHOICE && field->type != FORM_ADDRESS)
                        *ret_hint = str_copy("if it is meant as text, put it in quotes");
                return -1;
        }
        switch (field->type) {
        case FORM_CHOICE:
                return check_choice(field, text, ret, ret_hint);
        case FORM_LABEL:
                return check_label(field, text, ret, ret_hint);
        case FORM_DOMAIN:
                return check_domain(field, text, ret, ret_hint);
        case FORM_ADDRESS:
                return check_address(field, text, ret, ret_hint);
        case FORM_HOST:
                return form_host_check(field, text, ret, ret_hint);
        case FORM_EMAIL:
                return check_email(text, ret, ret_hint);
        case FORM_URL:
                return check_url(text, ret, ret_hint);
        case FORM_LDAP:
                return check_ldap(text, ret, ret_hint);
        case FORM_DN:
                return check_dn(text, ret, ret_hint);
        case FORM_PATH:
                return check_path(text, ret, ret_hint);
        case FORM_TEXT:
                return check_text(field, text, ret, ret_hint);
        case FORM_NAME:
        case FORM_IMAGE:
        case FORM_REGISTRY:
                return form_type_check_kube(field, value, ret, ret_hint);
        case FORM_LABELS:
        case FORM_NOTES:
        case FORM_GROUP:
        case FORM_ITEMS:
        case FORM_NAMES:
        case FORM_EMAILS:
        case FORM_NETWORKS:
        case FORM_SWITCH:
        case FORM_NUMBER:
        case FORM_WHOLE:
                break;
        }
        return -1;
}

int form_name_check(const json_t *value, json_t **ret, char **ret_hint)
{
        const char *text = json_string_value(value);
        if (!text) {
                if (json_is_number(value) || json_is_boolean(value))
                        *ret_hint = str_copy("if it is meant as text, put it in quotes");
                return -1;
        }
        size_t length = strlen(text);
        if (length == 0 || length > NAME_LENGTH_MAX || *text == '-' || strspn(text, "0123456789") == length ||
                strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != length)
                return -1;
        *ret = json_string(text);
        return 0;
}

char *form_cluster_problem(const char *name)
{
        const struct form_field *field = &form_table[form_find("cluster")];
        json_auto_t *value = json_string(name), *good = NULL;
        CLEANUP_FREE char *hint = NULL;
        if (value && form_type_check(field, value, &good, &hint) == 0)
                return NULL;
        CLEANUP_FREE char *found = form_found(value);
        CLEANUP_FREE char *allowed = form_allowed(field);
        return str_format("%s: found %s; allowed is %s%s%s", field->path, value ? found : "what is not UTF-8", allowed,
                hint ? "; " : "", hint ? hint : "");
}
