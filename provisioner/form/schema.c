/* The form's JSON Schema, draft 2020-12, for editors. It knows less than the checker: rules between fields are there
 * only as far as one field's value makes others required or useless. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/table.h"

#define LABEL_PATTERN  "^[a-z]([a-z0-9-]*[a-z0-9])?$"
#define PART_PATTERN   "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define DOMAIN_PATTERN "^(" PART_PATTERN "\\.)*(?![0-9]+$)" PART_PATTERN "$"
#define OBJECT_PATTERN "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
#define DOTTED_PATTERN "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"
#define IMAGE_PATTERN  "^[a-zA-Z0-9.\\[\\]:_-]+(/[a-z0-9._-]+)*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?$"
#define KEY_PATTERN    "^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
#define VALUE_PATTERN  "^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$"
#define NAME_PATTERN   "^(?![0-9]+$)[A-Za-z0-9_.][A-Za-z0-9_.-]*$"

static void set(json_t *object, const char *key, json_t *value)
{
        json_object_set_new(object, key, value);
}

static void text_schema(json_t *s, double max, const char *pattern)
{
        set(s, "type", json_string("string"));
        set(s, "minLength", json_integer(1));
        if (max > 0)
                set(s, "maxLength", json_integer((json_int_t)max));
        if (pattern)
                set(s, "pattern", json_string(pattern));
}

static void email_schema(json_t *s)
{
        text_schema(s, 254, "^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$");
        set(s, "format", json_string("email"));
}

static json_t *number(double value)
{
        json_int_t whole = (json_int_t)value;
        return (double)whole < value || (double)whole > value ? json_real(value) : json_integer(whole);
}

static void list_schema(json_t *s, const struct form_field *field, json_t *items)
{
        set(s, "type", json_string("array"));
        set(s, "maxItems", json_integer((json_int_t)field->max));
        set(s, "items", items);
}

/* Each only once. */
static void texts_schema(json_t *s, const struct form_field *field, double max, const char *pattern)
{
        json_t *item = json_object();
        text_schema(item, max, pattern);
        list_schema(s, field, item);
        set(s, "uniqueItems", json_true());
}

/* One, or some with commas between them, or a list. */
static void emails_schema(json_t *s, const struct form_field *field)
{
        json_t *one = json_object(), *item = json_object(), *list = json_object();
        text_schema(one, 0, "^ *[^\\s@,]+@[^\\s@,]+(, *[^\\s@,]+@[^\\s@,]+)*$");
        email_schema(item);
        list_schema(list, field, item);
        set(s, "anyOf", json_pack("[o, o]", one, list));
}

/* Labels or annotations, by any names. */
static void map_schema(json_t *s, const struct form_field *field)
{
        bool labels = field->type == FORM_LABELS;
        json_t *value = json_pack("{s:s, s:i}", "type", "string", "maxLength", labels ? 63 : 4000);
        if (labels)
                set(value, "pattern", json_string(VALUE_PATTERN));
        set(s, "type", json_string("object"));
        set(s, "maxProperties", json_integer((json_int_t)field->max));
        set(s, "propertyNames", json_pack("{s:s}", "pattern", KEY_PATTERN));
        set(s, "additionalProperties", value);
}

static json_t *object_schema(const char *prefix, bool optional);

static void type_schema(json_t *s, const struct form_field *field)
{
        json_t *part;
        switch (field->type) {
        case FORM_SWITCH:
                set(s, "type", json_string("boolean"));
                return;
        case FORM_NUMBER:
        case FORM_WHOLE:
                set(s, "type", json_string(field->type == FORM_WHOLE ? "integer" : "number"));
                set(s, "minimum", number(field->min));
                set(s, "maximum", number(field->max));
                return;
        case FORM_CHOICE:
                part = json_array();
                for (const char *const *value = field->values; *value; value++)
                        json_array_append_new(part, json_string(*value));
                set(s, "enum", part);
                return;
        case FORM_LABEL:
                text_schema(s, field->max, LABEL_PATTERN);
                return;
        case FORM_DOMAIN:
                text_schema(s, field->max, DOMAIN_PATTERN);
                return;
        case FORM_ADDRESS:
                text_schema(s, 0, NULL);
                set(s, "anyOf", json_pack("[{s:s}, {s:s}]", "format", "ipv4", "format", "ipv6"));
                return;
        case FORM_HOST:
                text_schema(s, field->max, "^[A-Za-z0-9.:\\[\\]-]+$");
                return;
        case FORM_EMAIL:
                email_schema(s);
                return;
        case FORM_URL:
                text_schema(s, 300, "^https://[^/?#@\\s]+/[A-Za-z0-9._~%+=:,@/-]*$");
                set(s, "format", json_string("uri"));
                return;
        case FORM_LDAP:
                text_schema(s, 300, "^ldaps?://[^/?#@\\s]+/?$");
                return;
        case FORM_DN:
                text_schema(s, 1000, "^[A-Za-z0-9][A-Za-z0-9.-]*=[^\\n]+$");
                return;
        case FORM_PATH:
                text_schema(s, 4000, "^[^~].*[^/]$|^[^~/]$");
                return;
        case FORM_TEXT:
                text_schema(s, field->max, "\\S");
                return;
        case FORM_NAMES:
                texts_schema(s, field, 64, NAME_PATTERN);
                return;
        case FORM_EMAILS:
                emails_schema(s, field);
                return;
        case FORM_NETWORKS:
                texts_schema(s, field, 49, "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$");
                return;
        case FORM_ITEMS: {
                CLEANUP_FREE char *prefix = str_format("%s[].", field->path);
                list_schema(s, field, object_schema(prefix, false));
                return;
        }
        case FORM_NAME:
                text_schema(s, field->max, field->max > 63 ? DOTTED_PATTERN : OBJECT_PATTERN);
                return;
        case FORM_IMAGE:
                text_schema(s, 400, IMAGE_PATTERN);
                return;
        case FORM_REGISTRY:
                text_schema(s, 400, "^[^/@\\s]+(/[a-z0-9._-]+)*$");
                return;
        case FORM_LABELS:
        case FORM_NOTES:
                map_schema(s, field);
                return;
        case FORM_GROUP:
                return;
        }
}

static json_t *field_schema(const struct form_field *field)
{
        json_t *s = json_object();
        CLEANUP_FREE char *words = form_standard_words(field);
        CLEANUP_BUF struct buf text = BUF_INIT(4000);
        buf_str(&text, field->description);
        if (field->unit)
                buf_format(&text, " In %s.", field->unit);
        if (!field->standard && words)
                buf_format(&text, " Default: %s.", words);
        if (field->update != FORM_FREE)
                buf_str(&text,
                        field->update == FORM_FIXED ? " Cannot change after the first apply." : " Can only grow.");
        set(s, "description", json_string(text.data));
        type_schema(s, field);
        if (field->standard)
                set(s, "default", json_loads(field->standard, JSON_DECODE_ANY, NULL));
        if (field->example) {
                json_t *examples = json_array();
                json_array_append_new(examples, json_loads(field->example, JSON_DECODE_ANY, NULL));
                set(s, "examples", examples);
        }
        return s;
}

/* {"properties": {"mode": rule}, "required": ["mode"]}: the mode is given, and it is (or is not) this. */
static json_t *given_mode(const char *leaf, const char *value, bool is)
{
        json_t *constant = json_pack("{s:s}", "const", value);
        json_t *rule = is ? constant : json_pack("{s:o}", "not", constant);
        return json_pack("{s:{s:o}, s:[s]}", "properties", leaf, rule, "required", leaf);
}

/* Is the field one of the object's own that is used with one value of its neighbour? */
static bool has_mode(const struct form_field *field, const char *prefix)
{
        size_t length = strlen(prefix);
        return field->when && str_starts(field->path, prefix) && str_starts(field->when, prefix) &&
               !strpbrk(field->path + length, ".[") && !strchr(field->when + length, '.');
}

/* Of fields that are used with one value of their neighbour: required with it, false with every other. */
static void mode_rules(json_t *object, const char *prefix)
{
        json_auto_t *done = json_object();
        json_t *rules = json_array();
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *first = &form_table[i];
                if (!has_mode(first, prefix) || json_object_get(done, first->when_value))
                        continue;
                json_t *required = json_array(), *none = json_object();
                for (size_t k = i; k < form_table_count; k++) {
                        const struct form_field *field = &form_table[k];
                        if (!has_mode(field, prefix) || !str_is(field->when, first->when) ||
                                !str_is(field->when_value, first->when_value))
                                continue;
                        if (field->required)
                                json_array_append_new(required, json_string(form_leaf(field)));
                        /* The block of another target may be there with nothing in it, as the checker has it. */
                        json_t *nothing = form_is_block(field) ? json_pack("{s:s}", "type", "null") : json_false();
                        set(none, form_leaf(field), nothing);
                }
                const char *leaf = first->when + strlen(prefix);
                /* Not given counts as the default, unless that depends on what a schema does not know. */
                const char *standard = form_table[form_find(first->when)].standard;
                CLEANUP_FREE char *value = str_format("\"%s\"", first->when_value);
                json_t *other = standard && !str_is(standard, value)
                                        ? json_pack("{s:o}", "not", given_mode(leaf, first->when_value, true))
                                        : given_mode(leaf, first->when_value, false);
                json_array_append_new(
                        rules, json_pack("{s:o, s:{s:o}}", "if", given_mode(leaf, first->when_value, true), "then",
                                       "required", required));
                json_array_append_new(rules, json_pack("{s:o, s:{s:o}}", "if", other, "then", "properties", none));
                set(done, first->when_value, json_true());
        }
        if (json_array_size(rules))
                set(object, "allOf", rules);
        else
                json_decref(rules);
}

/* Is anything below the prefix required, whatever the rest says? */
static bool has_required(const char *prefix)
{
        for (size_t i = 0; i < form_table_count; i++)
                if (str_starts(form_table[i].path, prefix) && form_table[i].required && !form_table[i].when &&
                        !form_in_items(&form_table[i]))
                        return true;
        return false;
}

/* optional: null is as good as an empty mapping. */
static json_t *object_schema(const char *prefix, bool optional)
{
        json_t *s = json_object(), *properties = json_object(), *required = json_array();
        size_t length = strlen(prefix);
        set(s, "type", optional ? json_pack("[s, s]", "object", "null") : json_string("object"));
        set(s, "additionalProperties", json_false());
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                const char *leaf = field->path + length;
                if (!str_starts(field->path, prefix) || strpbrk(leaf, ".["))
                        continue;
                CLEANUP_FREE char *below = str_format("%s.", field->path);
                bool group = field->type == FORM_GROUP,
                     must = group ? has_required(below) : field->required && !field->when;
                json_t *property = group ? object_schema(below, !must) : field_schema(field);
                if (group)
                        set(property, "description", json_string(field->description));
                set(properties, leaf, property);
                if (must)
                        json_array_append_new(required, json_string(leaf));
        }
        set(s, "properties", properties);
        if (json_array_size(required))
                set(s, "required", required);
        else
                json_decref(required);
        if (!*prefix || prefix[length - 1] == '.')
                mode_rules(s, prefix);
        return s;
}

json_t *form_schema(void)
{
        json_t *schema = json_object();
        json_auto_t *rest = object_schema("", false);
        set(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
        set(schema, "title", json_string("Pangeo cluster"));
        set(schema, "description", json_string("The form of a cluster. GB means 10^9 bytes."));
        json_object_update(schema, rest);
        return schema;
}
