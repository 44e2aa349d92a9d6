#include "kind/spec.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/subst.h"

bool spec_is_open(const json_t *value)
{
        if (json_is_string(value))
                return strstr(json_string_value(value), "${") != NULL;
        return subst_is_marker(value);
}

static bool is_path(const char *text)
{
        if (text[0] != '/')
                return false;
        while (text) {
                const char *part = text + 1, *end = strchrnul(part, '/');
                size_t n = (size_t)(end - part);
                if ((n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
                        return false;
                text = *end ? end : NULL;
        }
        return true;
}

static bool is_mode(const char *text)
{
        size_t n = strlen(text);
        return text[0] == '0' && n >= 4 && n <= 5 && strspn(text, "01234567") == n;
}

static bool all_open_or(const json_t *value, bool (*fits)(const json_t *item))
{
        const char *key;
        json_t *item;
        size_t i;
        json_array_foreach ((json_t *)value, i, item) {
                if (!spec_is_open(item) && !fits(item))
                        return false;
        }
        json_object_foreach ((json_t *)value, key, item) {
                if (!spec_is_open(item) && !fits(item))
                        return false;
        }
        return true;
}

static bool is_scalar(const json_t *value)
{
        return json_is_string(value) || json_is_number(value) || json_is_boolean(value);
}

static bool fits(const json_t *value, enum spec_type type)
{
        const char *text = json_is_string(value) ? json_string_value(value) : NULL;
        switch (type) {
        case SPEC_ANY:
                return true;
        case SPEC_TEXT:
                return text && *text;
        case SPEC_STRING:
                return text != NULL;
        case SPEC_PATH:
                return text && is_path(text);
        case SPEC_MODE:
                return text && is_mode(text);
        case SPEC_OWNER:
                return (text && *text) || (json_is_integer(value) && json_integer_value(value) >= 0);
        case SPEC_WHOLE:
                return json_is_integer(value) && json_integer_value(value) >= 0;
        case SPEC_NUMBER:
                return json_is_number(value) && json_number_value(value) >= 0;
        case SPEC_BOOL:
                return json_is_boolean(value);
        case SPEC_TEXTS:
                return json_is_array(value) && all_open_or(value, is_scalar);
        case SPEC_SCALARS:
                return json_is_object(value) && all_open_or(value, is_scalar);
        case SPEC_OBJECT:
                return json_is_object(value);
        }
        return false;
}

static const char *type_text(enum spec_type type)
{
        switch (type) {
        case SPEC_TEXT:
                return "text";
        case SPEC_STRING:
                return "text (it may be empty)";
        case SPEC_PATH:
                return "an absolute path without \".\" and \"..\"";
        case SPEC_MODE:
                return "an octal mode in quotes such as \"0644\"";
        case SPEC_OWNER:
                return "a name or a number";
        case SPEC_WHOLE:
                return "a whole number, 0 or more";
        case SPEC_NUMBER:
                return "a number, 0 or more";
        case SPEC_BOOL:
                return "true or false";
        case SPEC_TEXTS:
                return "a list of texts or numbers";
        case SPEC_SCALARS:
                return "an object of texts, numbers and booleans";
        case SPEC_OBJECT:
                return "an object";
        case SPEC_ANY:
                break;
        }
        return "a value";
}

static int unknown_key(const char *key, const struct spec_field *fields, struct err **err)
{
        const char *names[64] = {NULL};
        for (size_t i = 0; fields[i].name && i < 63; i++)
                names[i] = fields[i].name;
        const char *nearest = str_nearest(key, names);
        if (nearest)
                return err_set(err, ERR_INVALID, "key \"%s\" is not known; did you mean \"%s\"?", key, nearest);
        CLEANUP_BUF struct buf list = BUF_INIT(4096);
        for (size_t i = 0; fields[i].name; i++)
                buf_format(&list, "%s%s", i ? ", " : "", fields[i].name);
        return err_set(
                err, ERR_INVALID, "key \"%s\" is not known; there are %s", key, list.length ? list.data : "none");
}

static int wrong_type(const char *key, enum spec_type type, const json_t *value, struct err **err)
{
        CLEANUP_FREE char *found = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        bool shown = found && !subst_has_marker(value, NULL);
        return err_set(err, ERR_INVALID, "\"%s\" must be %s, not %.100s", key, type_text(type),
                shown ? found : "what stands there");
}

int spec_check(const json_t *spec, const struct spec_field *fields, struct err **err)
{
        if (!json_is_object(spec))
                return err_set(err, ERR_INVALID, "the spec must be an object");
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)spec, key, value) {
                const struct spec_field *field = fields;
                while (field->name && !str_is(field->name, key))
                        field++;
                if (!field->name)
                        return unknown_key(key, fields, err);
                if (json_is_null(value) && !field->required)
                        continue;
                if (!spec_is_open(value) && !fits(value, field->type))
                        return wrong_type(key, field->type, value, err);
        }
        for (const struct spec_field *field = fields; field->name; field++)
                if (field->required && !json_object_get(spec, field->name))
                        return err_set(err, ERR_INVALID, "key \"%s\" is missing", field->name);
        return 0;
}

int spec_check_one_of(const json_t *spec, const char *const *keys, struct err **err)
{
        size_t found = 0;
        CLEANUP_BUF struct buf list = BUF_INIT(512);
        for (size_t i = 0; keys[i]; i++) {
                const json_t *value = json_object_get(spec, keys[i]);
                found += value && !json_is_null(value);
                buf_format(&list, "%s%s", i == 0 ? "" : keys[i + 1] ? ", " : " and ", keys[i]);
        }
        return found == 1 ? 0 : err_set(err, ERR_INVALID, "exactly one of %s must be there", list.data);
}

const char *spec_text(const json_t *spec, const char *key, const char *fallback)
{
        const json_t *value = json_object_get(spec, key);
        return json_is_string(value) ? json_string_value(value) : fallback;
}

int64_t spec_whole(const json_t *spec, const char *key, int64_t fallback)
{
        const json_t *value = json_object_get(spec, key);
        return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

double spec_number(const json_t *spec, const char *key, double fallback)
{
        const json_t *value = json_object_get(spec, key);
        return json_is_number(value) ? json_number_value(value) : fallback;
}

bool spec_bool(const json_t *spec, const char *key, bool fallback)
{
        const json_t *value = json_object_get(spec, key);
        return json_is_boolean(value) ? json_is_true(value) : fallback;
}

mode_t spec_mode(const json_t *spec, const char *key, mode_t fallback)
{
        const char *text = spec_text(spec, key, NULL);
        return text && is_mode(text) ? (mode_t)strtoul(text, NULL, 8) : fallback;
}

char *spec_scalar_text(const json_t *value)
{
        if (json_is_string(value))
                return str_copy(json_string_value(value));
        if (json_is_boolean(value))
                return str_copy(json_is_true(value) ? "true" : "false");
        if (json_is_integer(value))
                return str_format("%lld", (long long)json_integer_value(value));
        if (json_is_real(value))
                return str_format("%.15g", json_real_value(value));
        return str_copy("");
}

char **spec_texts(const json_t *spec, const char *key)
{
        const json_t *list = json_object_get(spec, key);
        size_t count = json_array_size(list);
        char **texts = mem_zero_array(count + 1, sizeof *texts);
        for (size_t i = 0; i < count; i++)
                texts[i] = spec_scalar_text(json_array_get(list, i));
        return texts;
}

static int by_text(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

char **spec_assignments(const json_t *object)
{
        char **list = mem_zero_array(json_object_size(object) + 1, sizeof *list);
        size_t n = 0;
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)object, key, value) {
                char *text = spec_scalar_text(value);
                list[n++] = str_format("%s=%s", key, text);
                mem_wipe_free(text, strlen(text));
        }
        qsort(list, n, sizeof *list, by_text);
        return list;
}

void spec_free_texts(char **texts)
{
        for (size_t i = 0; texts && texts[i]; i++)
                mem_wipe_free(texts[i], strlen(texts[i]));
        free(texts);
}
