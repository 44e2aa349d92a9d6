/* Reading a resource's spec: one table a kind says which keys there are, and what they must hold. */
#ifndef CAAS_KIND_SPEC_H
#define CAAS_KIND_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum spec_type {
        SPEC_ANY,
        SPEC_TEXT,   /* not empty */
        SPEC_STRING, /* may be empty */
        SPEC_PATH,   /* absolute, without "." and ".." */
        SPEC_MODE,   /* "0644" */
        SPEC_OWNER,  /* a name or a number */
        SPEC_WHOLE,  /* 0 and more */
        SPEC_NUMBER, /* 0 and more */
        SPEC_BOOL,
        SPEC_TEXTS,   /* list of texts; numbers and booleans are taken as text */
        SPEC_SCALARS, /* object whose values are texts, numbers or booleans */
        SPEC_OBJECT,
};

struct spec_field {
        const char *name; /* NULL ends the table */
        enum spec_type type;
        bool required;
};

/* Refuses keys that the table does not know (with the nearest one), values of the wrong type and missing keys. What is
 * not known yet (a marker, text with a placeholder in it) passes. Pure. -ERR_INVALID. */
int spec_check(const json_t *spec, const struct spec_field *fields, struct err **err);

/* Exactly one of the NULL-terminated keys must be there. -ERR_INVALID. */
int spec_check_one_of(const json_t *spec, const char *const *keys, struct err **err);

/* Is this value a marker or text that still holds a placeholder? */
bool spec_is_open(const json_t *value);

/* The value of a key, or the fallback when it is missing, null or of another type. Borrowed. */
const char *spec_text(const json_t *spec, const char *key, const char *fallback);
int64_t spec_whole(const json_t *spec, const char *key, int64_t fallback);
double spec_number(const json_t *spec, const char *key, double fallback);
bool spec_bool(const json_t *spec, const char *key, bool fallback);
mode_t spec_mode(const json_t *spec, const char *key, mode_t fallback);

/* A scalar as text: true, 12, 0.5, the text itself; "" for others. The caller frees. */
char *spec_scalar_text(const json_t *value);

/* The texts of a list, numbers and booleans as text, NULL-terminated; freed with spec_free_texts(). */
char **spec_texts(const json_t *spec, const char *key);

/* "KEY=value" for each scalar of an object, sorted by key, NULL-terminated; freed with spec_free_texts(). */
char **spec_assignments(const json_t *object);
void spec_free_texts(char **texts); /* wipes them first: there may be secrets. Accepts NULL */
static inline void spec_cleanup_texts(char ***texts)
{
        spec_free_texts(*texts);
}
#define CLEANUP_TEXTS __attribute__((cleanup(spec_cleanup_texts)))

#endif
