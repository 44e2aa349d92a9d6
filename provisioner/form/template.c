/* The form to fill in. Required fields stand there with an example, the others as comments with their default: a group
 * with nothing but comments below it counts as left out, so each line can be taken out of its comment by itself. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/table.h"

#define COLUMNS 100

static const char head[] =
        "# A Pangeo cluster. Look at it with \"caas check FORM\" and \"caas plan FORM\", make it with \"caas apply "
        "FORM\".\n"
        "# Lines that begin with \"# name:\" may stay as they are: they show the default, or an example.\n";

static void indent(struct buf *buf, size_t level)
{
        for (size_t i = 0; i < level; i++)
                buf_str(buf, "  ");
}

/* Text as comment lines. */
static void comment(struct buf *buf, size_t level, const char *text)
{
        size_t column = COLUMNS;
        for (const char *word = text; *word;) {
                size_t length = strcspn(word, " ");
                if (column + 1 + length > COLUMNS) {
                        buf_str(buf, word == text ? "" : "\n");
                        indent(buf, level);
                        buf_str(buf, "#");
                        column = 2 * level + 1;
                }
                buf_str(buf, " ");
                buf_add(buf, word, length);
                column += 1 + length;
                word += length + strspn(word + length, " ");
        }
        buf_str(buf, "\n");
}

static void remarks(struct buf *buf, size_t level, const struct form_field *field)
{
        CLEANUP_BUF struct buf text = BUF_INIT(4000);
        CLEANUP_FREE char *allowed = form_allowed(field);
        CLEANUP_FREE char *standard = form_standard_words(field);
        comment(buf, level, field->description);
        if (field->type == FORM_GROUP || field->type == FORM_ITEMS)
                return;
        if (field->when)
                buf_format(&text, "%s with %s %s: ", field->required ? "Required" : "Only", field->when,
                        field->when_value);
        else
                buf_str(&text, field->required ? "Required: " : "Optional: ");
        buf_format(&text, "%s.", allowed);
        if (standard && !field->required)
                buf_format(&text, " Default: %s.", standard);
        if (field->update == FORM_FIXED)
                buf_str(&text, " Cannot change later.");
        comment(buf, level, text.data);
}

/* "name: value", or a list below its name; every line behind a "# " if it is commented out. */
static void entry(struct buf *buf, size_t level, const char *name, const json_t *value, bool commented)
{
        json_auto_t *object = json_object();
        json_object_set(object, name, (json_t *)value);
        CLEANUP_FREE char *yaml = tree_to_yaml(object);
        for (char *line = yaml; *line;) {
                size_t length = strcspn(line, "\n");
                indent(buf, level);
                buf_str(buf, commented ? "# " : "");
                buf_add(buf, line, length);
                buf_str(buf, "\n");
                line += length + (line[length] == '\n');
        }
}

static size_t level_of(const struct form_field *field)
{
        size_t level = 0;
        for (const char *c = field->path; *c; c++)
                level += *c == '.';
        return level;
}

/* The example of a list whose items differ from target to target: of the examples of its members. New reference; NULL
 * if they do not. */
static json_t *items_of(const struct form_field *list, const char *target)
{
        json_auto_t *item = json_object();
        CLEANUP_FREE char *prefix = str_format("%s[].", list->path);
        bool differ = false;
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                if (!str_starts(field->path, prefix))
                        continue;
                differ = differ || field->when;
                if (field->example && !form_of_other_target(field, target))
                        json_object_set_new(item, form_leaf(field), json_loads(field->example, JSON_DECODE_ANY, NULL));
        }
        return differ ? json_pack("[O]", item) : NULL;
}

/* What stands behind the name: what is asked for, an example, or the default. New reference. */
static json_t *value_of(const struct form_field *field, const char *cluster, const char *target)
{
        if (cluster && strcmp(field->path, "cluster") == 0)
                return json_string(cluster);
        if (strcmp(field->path, "target") == 0)
                return json_string(target);
        if (strcmp(field->path, "monitoring.enabled") == 0)
                return json_boolean(str_is(target, "host"));
        json_t *items = field->type == FORM_ITEMS ? items_of(field, target) : NULL;
        if (items)
                return items;
        bool empty = field->standard && strpbrk(field->standard, "[{");
        const char *text = field->example && (!field->standard || empty) ? field->example : field->standard;
        return json_loads(text, JSON_DECODE_ANY, NULL);
}

char *form_template(const char *cluster, const char *target)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(64 * 1024);
        buf_str(&buf, head);
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                size_t level = level_of(field);
                bool block = field->type == FORM_GROUP && field->when && !str_is(field->when_value, target);
                if (form_in_items(field) || block || form_of_other_target(field, target))
                        continue;
                if (level == 0)
                        buf_str(&buf, "\n");
                remarks(&buf, level, field);
                if (field->type == FORM_GROUP) {
                        indent(&buf, level);
                        buf_format(&buf, "%s:\n", form_leaf(field));
                        continue;
                }
                json_auto_t *value = value_of(field, cluster, target);
                bool other = str_is(field->path, "target") && !str_is(target, "host");
                entry(&buf, level, form_leaf(field), value,
                        !(field->required && !field->when) && !field->shown && !other);
        }
        return buf_steal(&buf);
}
