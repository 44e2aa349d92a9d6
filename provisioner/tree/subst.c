/* Text is taken apart into pieces, values are put in as pieces of their own, and the pieces are written out at the end:
 * what was put in is never read for placeholders, not even where it meets its neighbours. */
#include "tree/subst.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tree/mark.h"
#include "tree/number.h"
#include "tree/path.h"

#define NAME_MAX_LENGTH 200
#define RESULT_MAX      (16 * 1024 * 1024) /* of one text: against a value that is put in a thousand times */

struct subst {
        subst_lookup lookup;
        void *data;
        bool more_passes, share;
};

bool subst_is_marker(const json_t *value)
{
        return json_object_get(value, MARK_SECRET) || json_object_get(value, MARK_AFTER) ||
               json_object_get(value, MARK_JOIN);
}

bool subst_has_marker(const json_t *tree, const char *key)
{
        const char *name;
        size_t i;
        json_t *item;
        if (key ? json_object_get(tree, key) != NULL : subst_is_marker(tree))
                return true;
        json_object_foreach ((json_t *)tree, name, item) {
                if (subst_has_marker(item, key))
                        return true;
        }
        json_array_foreach ((json_t *)tree, i, item) {
                if (subst_has_marker(item, key))
                        return true;
        }
        return false;
}

/* The result while it grows: parts of a {"$join"}, and the text since the last of them. */
struct output {
        json_t *parts;
        struct buf run;     /* finished text, escaped where another pass follows */
        struct buf literal; /* text that stands for itself, not yet escaped */
};

static void output_clear(struct output *out)
{
        json_decref(out->parts);
        buf_clear(&out->run);
        buf_clear(&out->literal);
}

/* Each "${" becomes "$${", so that the next pass leaves it alone. */
static void escape(const char *text, size_t length, struct buf *buf)
{
        size_t from = 0;
        for (size_t i = 0; i + 1 < length; i++) {
                if (text[i] == '$' && text[i + 1] == '{') {
                        buf_add(buf, text + from, i - from);
                        buf_str(buf, "$");
                        from = i;
                }
        }
        buf_add(buf, text + from, length - from);
}

static void flush_literal(struct output *out, bool more_passes)
{
        if (out->literal.length == 0)
                return;
        if (more_passes)
                escape(out->literal.data, out->literal.length, &out->run);
        else
                buf_add(&out->run, out->literal.data, out->literal.length);
        out->run.truncated = out->run.truncated || out->literal.truncated;
        out->literal.length = 0;
}

/* Ends the text so far as a part of a join. */
static void flush_run(struct output *out, bool more_passes)
{
        flush_literal(out, more_passes);
        if (out->run.length == 0)
                return;
        if (!out->parts)
                out->parts = json_array();
        json_array_append_new(out->parts, json_stringn_nocheck(out->run.data, out->run.length));
        out->run.length = 0;
}

/* A placeholder that stays. After a literal "$" it would read as an escape: then it begins a new part. */
static void put_kept(struct output *out, const char *text, size_t length, bool more_passes)
{
        bool dollar = out->literal.length && out->literal.data[out->literal.length - 1] == '$';
        if (dollar && more_passes)
                flush_run(out, more_passes);
        else
                flush_literal(out, more_passes);
        buf_add(&out->run, text, length);
}

/* Parts of a join that was put in have had their pass; text in them stands for itself. */
static int put_marker(struct output *out, const json_t *value, bool more_passes)
{
        const json_t *parts = json_object_get(value, MARK_JOIN);
        size_t i;
        json_t *part;
        if (!json_is_array(parts)) {
                flush_run(out, more_passes);
                if (!out->parts)
                        out->parts = json_array();
                return json_array_append_new(out->parts, json_deep_copy(value));
        }
        json_array_foreach ((json_t *)parts, i, part) {
                if (json_is_string(part))
                        buf_add(&out->literal, json_string_value(part), json_string_length(part));
                else
                        put_marker(out, part, more_passes);
        }
        return 0;
}

static int put_value(struct output *out, const char *name, const json_t *value, bool more_passes, struct err **err)
{
        if (subst_is_marker(value)) {
                put_marker(out, value, more_passes);
                return 0;
        }
        CLEANUP_FREE char *text = scalar_text(value);
        if (!text)
                return err_set(err, ERR_INVALID, "${%s} is %s: it cannot stand inside a text", name,
                        json_is_object(value)  ? "a mapping"
                        : json_is_array(value) ? "a list"
                                               : "null");
        buf_str(&out->literal, text);
        return 0;
}

/* The placeholder that begins at text ("${…"). Its length, or a negative error. */
static int scan(const char *text, size_t *ret_length, char ret_name[NAME_MAX_LENGTH + 1], struct err **err)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
        const char *name = text + 2;
        size_t length = strspn(name, allowed);
        if (length > 0 && length <= NAME_MAX_LENGTH && name[length] == '}') {
                memcpy(ret_name, name, length);
                ret_name[length] = '\0';
                *ret_length = length + 3;
                return 0;
        }
        /* As much of it as helps to find it. */
        size_t shown = 2 + length + (name[length] != '\0' && (name[length] & 0x80) == 0);
        CLEANUP_FREE char *begin = str_copy_n(text, shown < 40 ? shown : 40);
        if (length > NAME_MAX_LENGTH)
                return err_set(err, ERR_INVALID, "%s…: a placeholder's name has at most %d characters", begin,
                        NAME_MAX_LENGTH);
        if (name[length] == '\0')
                return err_set(
                        err, ERR_INVALID, "%s: the placeholder is not closed (write $${ for a literal ${)", begin);
        return err_set(err, ERR_INVALID,
                "%s: a placeholder is ${name} with letters, digits and _ . / - (write $${ for a literal ${)", begin);
}

/* Takes text apart into out. */
static int put_text(const struct subst *s, const char *text, struct output *out, struct err **err)
{
        char name[NAME_MAX_LENGTH + 1];
        while (*text) {
                size_t length = strcspn(text, "$");
                buf_add(&out->literal, text, length);
                text += length;
                if (strncmp(text, "$${", 3) == 0) {
                        buf_str(&out->literal, "${");
                        text += 3;
                } else if (strncmp(text, "${", 2) == 0) {
                        json_auto_t *value = NULL;
                        int rc = scan(text, &length, name, err);
                        if (rc < 0)
                                return rc;
                        rc = s->lookup(s->data, name, &value, err);
                        if (rc < 0)
                                return err_prefix(err, "${%s}", name);
                        if (rc == SUBST_KEEP)
                                put_kept(out, text, length, s->more_passes);
                        else if ((rc = put_value(out, name, value, s->more_passes, err)) < 0)
                                return rc;
                        text += length;
                } else if (*text) {
                        buf_str(&out->literal, "$");
                        text++;
                }
        }
        return 0;
}

static int finish(const struct subst *s, struct output *out, json_t **ret, struct err **err)
{
        flush_literal(out, s->more_passes);
        if (out->run.truncated)
                return err_set(err, ERR_INVALID, "the text grows beyond %d MiB", RESULT_MAX / (1024 * 1024));
        if (!out->parts) {
                *ret = json_stringn_nocheck(out->run.data ? out->run.data : "", out->run.length);
                return 0;
        }
        flush_run(out, s->more_passes);
        *ret = json_object();
        json_object_set_new_nocheck(*ret, MARK_JOIN, STEAL(out->parts));
        return 0;
}

static struct output output_new(void)
{
        return (struct output){.run = {.max = RESULT_MAX}, .literal = {.max = RESULT_MAX}};
}
#define CLEANUP_OUTPUT __attribute__((cleanup(output_clear)))

/* A copy of what was put in as a whole; where another pass follows, its texts are made safe from that. */
static json_t *put_whole(const json_t *value, bool more_passes)
{
        json_t *result, *item;
        const char *key;
        size_t i;
        if (json_is_object(value)) {
                result = json_object();
                json_object_foreach ((json_t *)value, key, item)
                        json_object_set_new_nocheck(result, key, put_whole(item, more_passes));
                return result;
        }
        if (json_is_array(value)) {
                result = json_array();
                json_array_foreach ((json_t *)value, i, item)
                        json_array_append_new(result, put_whole(item, more_passes));
                return result;
        }
        if (!json_is_string(value) || !more_passes || !strstr(json_string_value(value), "${"))
                return json_incref((json_t *)value);
        CLEANUP_BUF struct buf buf = BUF_INIT(SIZE_MAX / 2);
        escape(json_string_value(value), json_string_length(value), &buf);
        return json_stringn_nocheck(buf.data, buf.length);
}

/* Is text one placeholder and nothing else? Then 1 with its value, 0 if not, negative on error. */
static int whole(const struct subst *s, const char *text, json_t **ret, struct err **err)
{
        char name[NAME_MAX_LENGTH + 1];
        size_t length;
        if (strncmp(text, "${", 2) != 0)
                return 0;
        int rc = scan(text, &length, name, err);
        if (rc < 0)
                return rc;
        if (text[length] != '\0')
                return 0;
        json_auto_t *value = NULL;
        rc = s->lookup(s->data, name, &value, err);
        if (rc < 0)
                return err_prefix(err, "${%s}", name);
        *ret = rc == SUBST_KEEP ? json_string_nocheck(text) : put_whole(value, s->more_passes);
        return 1;
}

static int text_value(const struct subst *s, const char *text, json_t **ret, struct err **err)
{
        CLEANUP_OUTPUT struct output out = output_new();
        int rc = whole(s, text, ret, err);
        if (rc != 0)
                return rc < 0 ? rc : 0;
        rc = put_text(s, text, &out, err);
        return rc < 0 ? rc : finish(s, &out, ret, err);
}

/* A {"$join"} of an earlier pass: what became known is joined to its neighbours. */
static int join_value(const struct subst *s, const json_t *parts, json_t **ret, struct err **err)
{
        CLEANUP_OUTPUT struct output out = output_new();
        size_t i;
        json_t *part;
        json_array_foreach ((json_t *)parts, i, part) {
                int rc = 0;
                if (json_is_string(part))
                        rc = put_text(s, json_string_value(part), &out, err);
                else if (subst_is_marker(part))
                        put_marker(&out, part, s->more_passes);
                else
                        rc = put_value(&out, MARK_JOIN, part, s->more_passes, err);
                if (rc < 0)
                        return rc;
        }
        return finish(s, &out, ret, err);
}

static int any_value(
        const struct subst *s, const json_t *value, const struct path_frame *at, json_t **ret, struct err **err);

/* What came of a container: `changed` is NULL when all of it stays. */
static json_t *container(const struct subst *s, const json_t *old, json_t *changed)
{
        if (changed)
                return changed;
        return s->share ? json_incref((json_t *)old) : json_copy((json_t *)old);
}

static int object_value(
        const struct subst *s, const json_t *object, const struct path_frame *at, json_t **ret, struct err **err)
{
        json_auto_t *changed = NULL;
        const char *key;
        json_t *item;
        json_object_foreach ((json_t *)object, key, item) {
                struct path_frame below = {.above = at, .key = key};
                json_auto_t *value = NULL;
                int rc = any_value(s, item, &below, &value, err);
                if (rc < 0)
                        return rc;
                if (value == item)
                        continue;
                if (!changed)
                        changed = json_copy((json_t *)object);
                json_object_set_new_nocheck(changed, key, STEAL(value));
        }
        *ret = container(s, object, STEAL(changed));
        return 0;
}

static int array_value(
        const struct subst *s, const json_t *array, const struct path_frame *at, json_t **ret, struct err **err)
{
        json_auto_t *changed = NULL;
        size_t i;
        json_t *item;
        json_array_foreach ((json_t *)array, i, item) {
                struct path_frame below = {.above = at, .index = i};
                json_auto_t *value = NULL;
                int rc = any_value(s, item, &below, &value, err);
                if (rc < 0)
                        return rc;
                if (value == item)
                        continue;
                if (!changed)
                        changed = json_copy((json_t *)array);
                json_array_set_new(changed, i, STEAL(value));
        }
        *ret = container(s, array, STEAL(changed));
        return 0;
}

static int any_value(
        const struct subst *s, const json_t *value, const struct path_frame *at, json_t **ret, struct err **err)
{
        const json_t *parts = json_object_get(value, MARK_JOIN);
        int rc = 0;
        if (json_is_array(parts))
                rc = join_value(s, parts, ret, err);
        else if (json_is_object(value))
                return object_value(s, value, at, ret, err);
        else if (json_is_array(value))
                return array_value(s, value, at, ret, err);
        else if (json_is_string(value) && strstr(json_string_value(value), "${"))
                rc = text_value(s, json_string_value(value), ret, err);
        else
                *ret = json_incref((json_t *)value);
        if (rc < 0 && at->above) {
                CLEANUP_FREE char *path = path_of(at);
                err_prefix(err, "%s", path);
        }
        return rc;
}

int subst_tree(const json_t *tree, subst_lookup lookup, void *data, bool more_passes, json_t **ret, struct err **err)
{
        struct subst s = {.lookup = lookup, .data = data, .more_passes = more_passes};
        struct path_frame root = {0};
        return any_value(&s, tree, &root, ret, err);
}

int subst_tree_shared(
        const json_t *tree, subst_lookup lookup, void *data, bool more_passes, json_t **ret, struct err **err)
{
        struct subst s = {.lookup = lookup, .data = data, .more_passes = more_passes, .share = true};
        struct path_frame root = {0};
        return any_value(&s, tree, &root, ret, err);
}

int subst_text(const char *text, subst_lookup lookup, void *data, bool more_passes, json_t **ret, struct err **err)
{
        struct subst s = {.lookup = lookup, .data = data, .more_passes = more_passes};
        CLEANUP_OUTPUT struct output out = output_new();
        int rc = put_text(&s, text, &out, err);
        return rc < 0 ? rc : finish(&s, &out, ret, err);
}
