#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/table.h"

/* Text of a cell: what would end it is escaped. */
static void cell(struct buf *buf, const char *text)
{
        for (; *text; text++) {
                if (*text == '|' || *text == '<')
                        buf_str(buf, "\\");
                buf_add(buf, text, 1);
        }
        buf_str(buf, " |");
}

static void row(struct buf *buf, const struct form_field *field)
{
        static const char *const updates[] = {
                [FORM_FREE] = "yes", [FORM_FIXED] = "fixed", [FORM_GROW] = "may only grow"};
        CLEANUP_FREE char *allowed = form_allowed(field);
        CLEANUP_FREE char *standard = form_standard_words(field);
        const struct form_field *condition = form_condition(field);
        CLEANUP_FREE char *when = condition ? str_format("%swith `%s: %s`", field->required ? "" : "no, and only ",
                                                      condition->when, condition->when_value)
                                            : NULL;
        buf_format(buf, "| `%s` | ", field->path);
        cell(buf, field->description);
        buf_str(buf, " ");
        cell(buf, allowed);
        buf_str(buf, " ");
        cell(buf, when ? when : field->required ? "yes" : "no");
        buf_str(buf, " ");
        cell(buf, standard ? standard : "");
        buf_format(buf, " %s |\n", updates[field->update]);
}

char *form_markdown(void)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(64 * 1024);
        buf_str(&buf, "| field | meaning | allowed | required | default | change |\n|-|-|-|-|-|-|\n");
        for (size_t i = 0; i < form_table_count; i++)
                if (form_table[i].type != FORM_GROUP)
                        row(&buf, &form_table[i]);
        return buf_steal(&buf);
}
