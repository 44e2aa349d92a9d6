#include "cli/plan_text.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/text_diff.h"

#define VALUE_COLUMNS 72
#define LINES_MAX     20 /* of one text */
#define STEP_MAX      60 /* of one step */
#define STEP_BRIEF    10
#define WIDTH         100

struct printer {
        FILE *out;
        const struct plan_text_options *options;
        size_t room; /* lines that the step at hand may still take */
};

static const char *style(const struct printer *p, enum style s)
{
        return cli_style(p->options->color, s);
}

/* ---- fields ---- */

static char *value_text(const struct printer *p, const json_t *value)
{
        CLEANUP_FREE char *raw = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        CLEANUP_FREE char *safe = text_safe(raw ? raw : "?", false);
        return p->options->full ? STEAL(safe) : text_cut(safe, VALUE_COLUMNS);
}

static void diff_line(void *data, char sign, const char *text, size_t length)
{
        struct printer *p = data;
        p->room -= p->room > 0;
        CLEANUP_FREE char *raw = str_copy_n(text, length);
        CLEANUP_FREE char *safe = text_safe(raw, false);
        CLEANUP_FREE char *shown = p->options->full ? STEAL(safe) : text_cut(safe, WIDTH);
        if (sign == '@') {
                fprintf(p->out, "          %s... %s%s\n", style(p, STYLE_DIM), shown, style(p, STYLE_NONE));
                return;
        }
        enum style s = sign == '+' ? STYLE_GREEN : sign == '-' ? STYLE_RED : STYLE_DIM;
        fprintf(p->out, "          %s%c %s%s\n", style(p, s), sign, shown, style(p, STYLE_NONE));
}

static bool has_lines(const json_t *value)
{
        const char *text = json_string_value(value);
        return text && strchr(text, '\n');
}

static void print_field(struct printer *p, const json_t *field)
{
        const json_t *old = json_object_get(field, "old"), *new_ = json_object_get(field, "new");
        CLEANUP_FREE char *path = text_safe(json_string_value(json_object_get(field, "path")), false);
        const char *was = old ? json_string_value(old) : "", *is = json_string_value(new_);
        if (was && is && (has_lines(old) || has_lines(new_))) {
                fprintf(p->out, "        %s:\n", path);
                size_t limit = p->room < LINES_MAX ? p->room : LINES_MAX;
                size_t more = text_diff(was, is, p->options->full ? SIZE_MAX : limit, diff_line, p);
                if (more)
                        fprintf(p->out, "          %s... %zu more %s (caas plan --full shows them)%s\n",
                                style(p, STYLE_DIM), more, more == 1 ? "line" : "lines", style(p, STYLE_NONE));
                return;
        }
        CLEANUP_FREE char *before = old ? value_text(p, old) : NULL;
        CLEANUP_FREE char *after = new_ ? value_text(p, new_) : NULL;
        if (json_is_true(json_object_get(field, "drift"))) { /* how it was left, and how it was found */
                fprintf(p->out, "        %s: found %s instead of %s\n", path, after ? after : "nothing",
                        before ? before : "nothing");
                return;
        }
        if (!before)
                fprintf(p->out, "        %s%s: %s%s\n", style(p, STYLE_GREEN), path, after ? after : "",
                        style(p, STYLE_NONE));
        else if (!after)
                fprintf(p->out, "        %s%s: %s (goes)%s\n", style(p, STYLE_RED), path, before, style(p, STYLE_NONE));
        else
                fprintf(p->out, "        %s: %s -> %s\n", path, before, after);
}

static void print_fields(struct printer *p, const json_t *fields)
{
        size_t i, more = 0;
        json_t *field;
        p->room = p->options->full ? SIZE_MAX : p->options->brief ? STEP_BRIEF : STEP_MAX;
        json_array_foreach (fields, i, field) {
                if (p->room == 0) {
                        more++;
                        continue;
                }
                p->room--;
                print_field(p, field);
        }
        if (more)
                fprintf(p->out, "        %s... %zu more %s (caas plan --full shows them)%s\n", style(p, STYLE_DIM),
                        more, more == 1 ? "field" : "fields", style(p, STYLE_NONE));
}

/* ---- steps ---- */

struct look {
        const char *sign;
        enum style style;
};

static struct look look_of(enum action action)
{
        switch (action) {
        case ACTION_CREATE:
                return (struct look){"+", STYLE_GREEN};
        case ACTION_UPDATE:
                return (struct look){"~", STYLE_YELLOW};
        case ACTION_REPLACE:
                return (struct look){"+/-", STYLE_YELLOW};
        case ACTION_REMOVE:
                return (struct look){"-", STYLE_RED};
        default:
                return (struct look){"!", STYLE_RED};
        }
}

/* Why, where it is not plainly the form. The words are those of plan/change.c; a kind may bring its own. */
static const char *reason_text(const char *reason)
{
        static const char *const words[][2] = {
                {"changed", NULL},
                {"form", NULL},
                {"missing", "it was made, and is missing"},
                {"there already", "it is there already and is taken over"},
                {"another kind", "it becomes another kind of thing"},
                {"interrupted", "the last run stopped inside it"},
                {"drift", "it was changed from outside"},
        };
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
                if (str_is(reason, words[i][0]))
                        return words[i][1];
        return reason;
}

static void print_step(struct printer *p, const struct plan_step *step)
{
        const struct change *change = &step->change;
        struct look look = look_of(change->action);
        CLEANUP_FREE char *why =
                change->reason && reason_text(change->reason) ? text_safe(reason_text(change->reason), false) : NULL;
        fprintf(p->out, "  %s%3s %s%s  %s%s%s%s%s%s\n", style(p, look.style), look.sign, step->resource.id,
                style(p, STYLE_NONE), style(p, STYLE_DIM), step->resource.kind, style(p, STYLE_NONE), why ? "  (" : "",
                why ? why : "", why ? ")" : "");
        json_auto_t *fields = p->options->full ? plan_step_fields(step) : json_incref(change->fields);
        if (change->action == ACTION_UPDATE || change->action == ACTION_REPLACE || p->options->full)
                print_fields(p, fields);
}

/* ---- what is made, by role ---- */

static size_t role_length(const char *id)
{
        return strcspn(id, "/");
}

static bool of_role(const struct plan_step *step, const char *role, size_t length)
{
        return step->change.action == ACTION_CREATE && role_length(step->resource.id) == length &&
               strncmp(step->resource.id, role, length) == 0;
}

static void print_role(struct printer *p, const struct plan *plan, size_t first)
{
        const char *role = plan->step[first].resource.id;
        size_t length = role_length(role), column;
        column = (size_t)fprintf(
                p->out, "  %s+ %.*s%s:", style(p, STYLE_GREEN), (int)length, role, style(p, STYLE_NONE));
        if (p->options->color)
                column = length + 5;
        for (size_t i = first; i < plan->count; i++) {
                if (!of_role(&plan->step[i], role, length))
                        continue;
                const char *name = plan->step[i].resource.id + length;
                name += *name == '/';
                if (column + strlen(name) + 1 > WIDTH) {
                        fputs("\n     ", p->out);
                        column = 5;
                }
                column += (size_t)fprintf(p->out, " %s", name);
        }
        fputc('\n', p->out);
}

static void print_grouped(struct printer *p, const struct plan *plan)
{
        for (size_t i = 0; i < plan->count; i++) {
                if (plan->step[i].change.action != ACTION_CREATE)
                        continue;
                const char *id = plan->step[i].resource.id;
                bool seen = false;
                for (size_t k = 0; k < i && !seen; k++)
                        seen = of_role(&plan->step[k], id, role_length(id));
                if (!seen)
                        print_role(p, plan, i);
        }
}

/* ---- notices and sum ---- */

/* Each text once, however many resources bring it. */
static void print_notices(struct printer *p, const struct plan *plan)
{
        bool any = false;
        for (size_t i = 0; i < plan->count; i++) {
                const char *notice = plan->step[i].change.notice;
                if (!notice || plan->step[i].change.action == ACTION_NONE)
                        continue;
                bool seen = false;
                for (size_t k = 0; k < i && !seen; k++)
                        seen = plan->step[k].change.action != ACTION_NONE &&
                               str_is(plan->step[k].change.notice, notice);
                if (seen)
                        continue;
                CLEANUP_FREE char *safe = text_safe(notice, false);
                fprintf(p->out, "%s  %s*%s %s\n", any ? "" : "\n", style(p, STYLE_CYAN), style(p, STYLE_NONE), safe);
                any = true;
        }
}

static void add_count(struct buf *buf, size_t count, const char *what)
{
        if (count)
                buf_format(buf, "%s%zu to %s", buf->length ? ", " : "", count, what);
}

char *plan_summary(const struct plan *plan)
{
        struct buf buf = BUF_INIT(400);
        add_count(&buf, plan->create, "create");
        add_count(&buf, plan->update, "update");
        add_count(&buf, plan->replace, "replace");
        add_count(&buf, plan->remove, "remove");
        if (plan->refuse)
                buf_format(&buf, "%s%zu refused", buf.length ? ", " : "", plan->refuse);
        if (!buf.length)
                buf_str(&buf, "nothing to do");
        return buf_steal(&buf);
}

bool plan_disturbs(const struct plan *plan)
{
        return plan->replace > 0 || plan->remove > 0;
}

bool plan_has_notices(const struct plan *plan)
{
        for (size_t i = 0; i < plan->count; i++)
                if (plan->step[i].change.notice && plan->step[i].change.action != ACTION_NONE)
                        return true;
        return false;
}

void plan_text(FILE *out, const struct plan *plan, const char *cluster, const struct plan_text_options *options)
{
        struct printer p = {.out = out, .options = options};
        for (size_t i = 0; i < plan->count; i++) {
                enum action action = plan->step[i].change.action;
                if (action != ACTION_NONE && !(options->grouped && action == ACTION_CREATE))
                        print_step(&p, &plan->step[i]);
        }
        if (options->grouped)
                print_grouped(&p, plan);
        print_notices(&p, plan);
        CLEANUP_FREE char *summary = plan_summary(plan);
        bool any = plan->create + plan->update + plan->replace + plan->remove + plan->refuse > 0;
        fprintf(out, "%s%s%s%s: %s\n", any ? "\n" : "", style(&p, STYLE_BOLD), cluster, style(&p, STYLE_NONE), summary);
}
