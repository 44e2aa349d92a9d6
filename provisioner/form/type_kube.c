/* The types of fields that Kubernetes and its images have their own rules for. */
#include "form/type_kube.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/net.h"
#include "tree/diag.h"

#define NAME_MAX_LABEL 63
#define IMAGE_MAX      400
#define VALUE_MAX      63
#define NOTE_MAX       4000
#define KEY_NAME_MAX   63
#define KEY_PREFIX_MAX 253
#define DIGEST         "@sha256:"
#define DIGEST_LENGTH  64
#define SMALL          "abcdefghijklmnopqrstuvwxyz0123456789"
#define LETTERS        SMALL "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool is_end(char c)
{
        return isalnum((unsigned char)c) && (c & 0x80) == 0;
}

/* Letters and digits, with others of `inner` between them. */
static bool is_word(const char *text, size_t length, const char *inner)
{
        if (length == 0 || !is_end(text[0]) || !is_end(text[length - 1]))
                return false;
        for (size_t i = 0; i < length; i++)
                if (!is_end(text[i]) && !strchr(inner, text[i]))
                        return false;
        return true;
}

static bool is_name(const char *text, size_t max)
{
        bool dots = max > NAME_MAX_LABEL;
        size_t length = strlen(text);
        if (length == 0 || length > max || strspn(text, SMALL "-.") != length || (!dots && strchr(text, '.')))
                return false;
        for (const char *part = text;;) {
                size_t n = strcspn(part, ".");
                if (!is_word(part, n, "-"))
                        return false;
                if (part[n] == '\0')
                        return true;
                part += n + 1;
        }
}

/* The name with everything made allowed that can be, if that is enough. */
static char *near_name(const char *text, size_t max)
{
        CLEANUP_FREE char *near = str_copy_n(text, strnlen(text, max + 1));
        for (char *c = near; *c; c++) {
                if (*c >= 'A' && *c <= 'Z')
                        *c = (char)(*c + 'a' - 'A');
                else if (*c == '_' || *c == ' ')
                        *c = '-';
        }
        return is_name(near, max) ? STEAL(near) : NULL;
}

static int check_name(const char *text, size_t max, char **ret_hint)
{
        if (is_name(text, max))
                return 0;
        CLEANUP_FREE char *near = near_name(text, max);
        if (near)
                *ret_hint = str_format("did you mean \"%s\"?", near);
        else if (strlen(text) > max)
                *ret_hint = str_format("it has %zu characters", strlen(text));
        return -1;
}

/* "host", "host:5000", "[::1]:5000". NULL if right. */
static const char *registry_problem(const char *host, size_t length)
{
        CLEANUP_FREE char *copy = str_copy_n(host, length);
        long number;
        char address[NET_ADDRESS_MAX];
        char *port = strrchr(copy, ':');
        if (*copy == '[') {
                char *end = strchr(copy, ']');
                if (!end || (end[1] != '\0' && end[1] != ':'))
                        return "its \"[\" is not closed";
                port = end[1] == ':' ? end + 1 : NULL;
                *end = '\0';
                if (net_address(copy + 1, address) < 0)
                        return "what stands in its brackets is no IPv6 address";
        } else {
                if (port)
                        *port = '\0';
                if (net_address(copy, address) < 0 && net_name_problem(copy, 253))
                        return "it names no host";
        }
        if (port && (str_to_long(port + 1, &number) < 0 || number < 1 || number > 65535))
                return "its port is no number from 1 to 65535";
        return NULL;
}

/* Parts of small letters and digits, with single separators between them, parted by slashes. */
static bool is_repository(const char *text, size_t length)
{
        size_t begin = 0;
        for (size_t i = 0; i <= length; i++) {
                if (i < length && text[i] != '/')
                        continue;
                size_t n = i - begin;
                CLEANUP_FREE char *part = str_copy_n(text + begin, n);
                if (!is_word(part, n, "._-") || strspn(part, SMALL "._-") != n || strstr(part, ".."))
                        return false;
                begin = i + 1;
        }
        return true;
}

/* Is what stands before the first slash a registry, and not the first part of the name? */
static size_t registry_length(const char *text, size_t length)
{
        size_t n = strcspn(text, "/");
        if (n >= length)
                return 0;
        return memchr(text, '.', n) || memchr(text, ':', n) || strncmp(text, "localhost/", 10) == 0 ? n : 0;
}

static const char *image_problem(const char *text)
{
        size_t length = strlen(text);
        if (length == 0)
                return "it is empty";
        if (length > IMAGE_MAX)
                return "it is too long";
        if (strstr(text, "://"))
                return "it is a URL: write the image alone";
        const char *digest = strchr(text, '@');
        if (digest && (!str_starts(digest, DIGEST) || strlen(digest) != strlen(DIGEST) + DIGEST_LENGTH ||
                              strspn(digest + strlen(DIGEST), "0123456789abcdef") != DIGEST_LENGTH))
                return "what follows its \"@\" is no sha256:… of 64 hexadecimal digits";
        size_t end = digest ? (size_t)(digest - text) : length, host = registry_length(text, end);
        const char *problem = host ? registry_problem(text, host) : NULL;
        if (problem)
                return problem;
        const char *name = text + host + (host ? 1 : 0);
        size_t rest = end - (size_t)(name - text);
        const char *tag = memchr(name, ':', rest);
        if (tag) {
                size_t n = rest - (size_t)(tag - name) - 1;
                if (n == 0 || n > 128 || strspn(tag + 1, LETTERS "._-") < n || tag[1] == '.' || tag[1] == '-')
                        return "its tag is not letters, digits, \".\", \"_\" and \"-\"";
                rest = (size_t)(tag - name);
        }
        for (size_t i = 0; i < rest; i++)
                if (name[i] >= 'A' && name[i] <= 'Z')
                        return "names of images have no capital letters";
        return is_repository(name, rest) ? NULL
                                         : "its name is not letters, digits and single \".\", \"_\", \"-\" or \"/\"";
}

static const char *mirror_problem(const char *text)
{
        size_t host = strcspn(text, "/"), length = strlen(text);
        if (length == 0)
                return "it is empty";
        if (length > IMAGE_MAX)
                return "it is too long";
        if (strstr(text, "://"))
                return "it is a URL: write it without its \"https://\"";
        const char *problem = registry_problem(text, host);
        if (problem)
                return problem;
        if (text[host] == '/' && text[length - 1] == '/')
                return "it ends with a slash";
        if (text[host] == '/' && !is_repository(text + host + 1, length - host - 1))
                return "its path is not small letters, digits and single \".\", \"_\", \"-\" or \"/\"";
        return NULL;
}

/* "app", "example.org/app". */
static bool is_key(const char *key)
{
        const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;
        if (slash) {
                CLEANUP_FREE char *prefix = str_copy_n(key, (size_t)(slash - key));
                if (!is_name(prefix, KEY_PREFIX_MAX))
                        return false;
        }
        return strlen(name) <= KEY_NAME_MAX && is_word(name, strlen(name), "-_.");
}

static bool is_note(const char *text)
{
        if (strlen(text) > NOTE_MAX)
                return false;
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 && *text != '\n' && *text != '\t')
                        return false;
        return true;
}

static int check_pairs(const struct form_field *field, const json_t *value, json_t **ret, char **ret_hint)
{
        bool labels = field->type == FORM_LABELS;
        const char *key;
        json_t *item;
        if (!json_is_object(value)) {
                *ret_hint = json_is_array(value)
                                    ? str_copy("a mapping is written {key: value}, or a line for each below it")
                                    : NULL;
                return -1;
        }
        if (json_object_size(value) > (size_t)field->max)
                *ret_hint = str_format("it has %zu", json_object_size(value));
        json_object_foreach ((json_t *)value, key, item) {
                const char *text = json_string_value(item);
                CLEANUP_FREE char *shown = diag_quote(key);
                if (*ret_hint)
                        return -1;
                if (!is_key(key))
                        *ret_hint = str_format("%s is no name of %s", shown, labels ? "a label" : "an annotation");
                else if (!text)
                        *ret_hint = str_format("the value of %s is no text: put it in quotes", shown);
                else if (labels ? *text && (strlen(text) > VALUE_MAX || !is_word(text, strlen(text), "-_."))
                                : !is_note(text))
                        *ret_hint = str_format("the value of %s cannot be one of %s", shown,
                                labels ? "a label: at most 63 letters, digits, \"-\", \"_\" and \".\""
                                       : "an annotation");
        }
        if (*ret_hint)
                return -1;
        *ret = json_deep_copy(value);
        return 0;
}

int form_type_check_kube(const struct form_field *field, const json_t *value, json_t **ret, char **ret_hint)
{
        if (field->type == FORM_LABELS || field->type == FORM_NOTES)
                return check_pairs(field, value, ret, ret_hint);
        const char *text = json_string_value(value), *problem = NULL;
        if (field->type == FORM_NAME) {
                if (check_name(text, (size_t)field->max, ret_hint) < 0)
                        return -1;
        } else {
                problem = field->type == FORM_IMAGE ? image_problem(text) : mirror_problem(text);
        }
        if (problem) {
                *ret_hint = str_copy(problem);
                return -1;
        }
        *ret = json_string(text);
        return 0;
}
