/* The one table of the form's fields: the checker, the template, the JSON Schema and the documentation are made from
 * it. For this folder only. */
#ifndef CAAS_FORM_TABLE_H
#define CAAS_FORM_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum form_type {
        FORM_GROUP,    /* a mapping; its members are rows of their own */
        FORM_ITEMS,    /* a list of mappings; their members are rows "list[].member" */
        FORM_NAMES,    /* a list of user or group names */
        FORM_EMAILS,   /* one e-mail address or a list; in the complete form one text */
        FORM_NETWORKS, /* a list of addresses and networks (192.0.2.0/24) */
        FORM_SWITCH,   /* true or false */
        FORM_NUMBER,   /* min to max */
        FORM_WHOLE,    /* min to max */
        FORM_CHOICE,   /* one of values */
        FORM_LABEL,    /* [a-z]([a-z0-9-]*[a-z0-9])?, at most max characters */
        FORM_DOMAIN,   /* a DNS name of at most max characters */
        FORM_ADDRESS,  /* IPv4 or IPv6 */
        FORM_HOST,     /* a DNS name of at most max characters, or an address */
        FORM_EMAIL,
        FORM_URL,  /* https://host[:port]/path */
        FORM_LDAP, /* ldap://host[:port] or ldaps:// */
        FORM_DN,
        FORM_PATH, /* as it is written; form_resolve_paths puts the folder before it */
        FORM_TEXT, /* one line of at most max characters */

        FORM_NAME,     /* of a Kubernetes object: max up to 63 = a label of RFC 1123, above = with dots between */
        FORM_IMAGE,    /* [registry[:port]/]name[:tag][@sha256:…] */
        FORM_REGISTRY, /* host[:port][/path] */
        FORM_LABELS,   /* a mapping as Kubernetes' labels: at most max of them */
        FORM_NOTES,    /* a mapping as Kubernetes' annotations: at most max of them */
};

enum form_update { FORM_FREE, FORM_FIXED, FORM_GROW };

struct form_values;

struct form_field {
        const char *path; /* "notebook.cpus", "profiles[].name" */
        enum form_type type;
        double min, max;           /* see type; of lists: how many items; 0 = as the type has it */
        const char *unit;          /* "GB", "minutes" or NULL */
        bool required;             /* where `when` holds */
        const char *const *values; /* of a choice; NULL-terminated */
        const char *const *later;  /* values of a choice that no version has yet, NULL-terminated; or NULL */
        const char *standard;      /* the default as JSON; or */
        json_t *(*compute)(const struct form_values *values); /* … computed; NULL if what it depends on is wrong; and */
        const char *standard_words;                           /* … what the documentation says of it */
        enum form_update update;
        const char *update_words; /* of a field that may only grow: what to do instead of making it smaller */
        const char *when,
                *when_value; /* used only where that field has that value; NULL = always. Of a group: all of it */
        bool made_later;     /* of a FORM_PATH: the file need not be there yet */
        const char *example; /* JSON, for the template and the schema; NULL = the default */
        bool shown;          /* the template has it uncommented though it is not required */
        const char *description;
};

extern const struct form_field form_table[];
extern const size_t form_table_count;
#define FORM_FIELDS_MAX 160 /* at least the number of rows */

/* The row of a path, or -1. */
int form_find(const char *path);

/* "cpus" of "notebook.cpus". */
const char *form_leaf(const struct form_field *field);

/* Are these the fields of a list's items ("profiles[].name")? */
bool form_in_items(const struct form_field *field);

/* The row whose `when` decides whether this field is used: its own, or the nearest group's that has one; NULL = always.
 */
const struct form_field *form_condition(const struct form_field *field);

/* Is it the group of all that only one target has ("kubernetes")? */
bool form_is_block(const struct form_field *field);

/* Is the field one of targets other than this? ("lock" of an environment is one of the host alone.) */
bool form_of_other_target(const struct form_field *field, const char *target);

/* Lists of the table's text, NULL-terminated, for str_nearest and messages: the leaves below a prefix ("notebook.",
 * ""). At most max - 1 of them. */
void form_siblings(const char *prefix, const char **ret, size_t max);

/* What is allowed, in words: "a number from 0.1 to 256". The caller frees. */
char *form_allowed(const struct form_field *field);

/* The default in words: "443", "the notebook's"; NULL if there is none. The caller frees. */
char *form_standard_words(const struct form_field *field);

#endif
