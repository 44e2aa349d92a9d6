#include "cli/top_view.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/text.h"

#define PICTURE_MAX (64UL * 1024 * 1024)
#define NAME_LEAST  8
#define NAME_MOST   32
#define ALL         ((size_t)100000)

const char *top_sort_name(enum usage_sort by)
{
        static const char *const names[] = {[USAGE_BY_MEMORY] = "memory",
                [USAGE_BY_CPU] = "cpu",
                [USAGE_BY_USER] = "user",
                [USAGE_BY_HOME] = "home",
                [USAGE_BY_DASK] = "dask"};
        return names[by];
}

/* ---- one line ---- */

struct line {
        struct buf *out;
        size_t left; /* columns */
        bool color;
};

static void put(struct line *line, enum style style, const char *text)
{
        CLEANUP_FREE char *cut = text_cut(text, line->left);
        bool plain = style == STYLE_NONE || !*cut;
        line->left -= text_width(cut);
        buf_format(line->out, "%s%s%s", plain ? "" : cli_style(line->color, style), cut,
                plain ? "" : cli_style(line->color, STYLE_NONE));
}

static void put_format(struct line *line, enum style style, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
static void put_format(struct line *line, enum style style, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *text = str_vformat(format, ap);
        va_end(ap);
        put(line, style, text);
}

/* In a field of `width` columns; blanks at the end of a line are left to the next field. */
static void put_field(struct line *line, enum style style, const char *text, size_t width, bool left)
{
        CLEANUP_FREE char *cut = text_cut(text, width);
        int gap = (int)(width - text_width(cut));
        if (!left)
                put_format(line, STYLE_NONE, "%*s", gap, "");
        put(line, style, cut);
        if (left)
                put_format(line, STYLE_NONE, "%*s", gap, "");
}

/* ---- what all together use ---- */

static void put_title(struct line *line, const struct top_scene *scene)
{
        char when[32], age[TOP_CELL];
        CLEANUP_FREE char *cluster = text_safe(scene->cluster, false);
        put_format(line, STYLE_BOLD, "%s", cluster);
        put_format(line, STYLE_NONE, "  %.8s UTC", clock_format((int64_t)(scene->now * 1000), when) + 11);
        if (scene->problem) {
                CLEANUP_FREE char *problem = text_safe(scene->problem, false);
                put_format(line, STYLE_RED, "  figures are %s old: %s", top_span(scene->now - scene->usage->taken, age),
                        problem);
        } else {
                if (scene->interval)
                        put_format(line, STYLE_NONE, "  every %ld s", scene->interval);
                if (!isnan(scene->usage->clock))
                        put_format(
                                line, STYLE_NONE, "  measured %s ago", top_span(scene->now - scene->usage->clock, age));
                if (scene->usage->rate_seconds > 0)
                        put_format(line, STYLE_NONE, "  CPU over %s", top_span(scene->usage->rate_seconds, age));
        }
}

static void put_counts(struct line *line, const struct top_scene *scene, const struct usage_totals *total)
{
        const struct usage *usage = scene->usage;
        char workers[TOP_CELL];
        double cores = NAN;
        for (size_t i = 0; i < usage->dasks; i++)
                cores = usage_add_up(cores, usage->dask[i].cores);
        put_format(line, STYLE_NONE, "%zu %s, %zu active, %zu notebook %s", usage->users,
                usage->users == 1 ? "user" : "users", total->active, total->servers,
                total->servers == 1 ? "server" : "servers");
        put_format(line, STYLE_NONE, "   %zu Dask %s, %s workers", total->clusters,
                total->clusters == 1 ? "cluster" : "clusters",
                total->clusters ? top_count(total->workers, workers) : "0");
        if (cores > 0) {
                char text[TOP_CELL];
                put_format(line, STYLE_NONE, ", %s", top_count(cores, text));
                if (!isnan(usage->dask_cores_max))
                        put_format(line, STYLE_NONE, " of %s", top_count(usage->dask_cores_max, text));
                put(line, STYLE_NONE, " cores");
        }
        if (usage->dropped)
                put_format(line, STYLE_YELLOW, "   %zu figures left out", usage->dropped);
}

static void put_sums(struct line *line, const struct top_scene *scene, const struct usage_totals *total)
{
        const struct usage *usage = scene->usage;
        char text[TOP_CELL];
        put_format(line, STYLE_NONE, "CPU %s%s", top_cores(total->cpu, text), isnan(total->cpu) ? "" : " cores");
        put_format(line, STYLE_NONE, "   memory %s", top_bytes(total->memory, text));
        put_format(line, STYLE_NONE, "   homes %s used", top_bytes(total->home_used, text));
        if (!isnan(usage->homes_free))
                put_format(line, STYLE_NONE, ", %s free on disk", top_bytes(usage->homes_free, text));
        if (usage->drift > 0)
                put_format(line, STYLE_YELLOW, "   not as applied: %s", top_count(usage->drift, text));
}

/* What is down stands first. */
static void put_parts(struct line *line, const struct top_scene *scene)
{
        CLEANUP_FREE const struct usage_part **part = usage_parts(scene->usage);
        size_t down = 0, up = 0;
        for (size_t i = 0; i < scene->usage->parts; i++) {
                bool source = part[i]->what == USAGE_SOURCE;
                up += part[i]->up > 0 && part[i]->what == USAGE_PART ? 1 : 0;
                if (!(part[i]->up <= 0))
                        continue;
                CLEANUP_FREE char *name = text_safe(part[i]->name, false);
                put_format(line, STYLE_RED, "%s%s%s%s", down++ ? "   " : "", source ? "no figures from " : "", name,
                        source ? "" : " is down");
        }
        if (up || !down)
                put_format(line, down || !up ? STYLE_NONE : STYLE_GREEN, "%s%zu %s up", down ? "   " : "", up,
                        up == 1 ? "part is" : "parts are");
}

static void put_tabs(struct line *line, const struct top_view *view)
{
        for (int page = 0; page < TOP_PAGES; page++) {
                bool here = page == (int)view->page;
                put_format(line, here ? STYLE_BOLD : STYLE_DIM, "%s%s%s", here ? "[" : " ", top_pages[page].title,
                        here ? "]" : " ");
        }
        if (view->page != TOP_PARTS)
                put_format(line, STYLE_DIM, "  by %s%s", top_sort_name(view->by), view->reverse ? ", reversed" : "");
}

static void put_head(struct buf *out, const struct top_scene *scene, size_t columns, bool color)
{
        struct usage_totals total = usage_total(scene->usage);
        struct line title = {out, columns, color}, counts = title, sums = title, parts = title;
        put_title(&title, scene);
        buf_str(out, "\n");
        put_counts(&counts, scene, &total);
        buf_str(out, "\n");
        put_sums(&sums, scene, &total);
        buf_str(out, "\n");
        put_parts(&parts, scene);
        buf_str(out, "\n");
}

/* ---- the table ---- */

struct layout {
        const struct top_page_info *info;
        size_t name; /* width of the names */
        bool shown[TOP_COLUMNS_MAX];
};

/* The columns that count most come first, as long as there is room for them and a bit of a name. */
static struct layout lay_out(const struct top_page_info *info, const void **row, size_t count, size_t columns)
{
        struct layout layout = {.info = info, .name = strlen(info->name)};
        size_t most = columns < ALL ? NAME_MOST : ALL;
        for (size_t i = 0; i < count && layout.name < most; i++) {
                CLEANUP_FREE char *safe = text_safe(info->label(row[i]), false);
                size_t width = text_width(safe);
                layout.name = width > layout.name ? width : layout.name;
        }
        layout.name = layout.name < most ? layout.name : most;
        size_t used = layout.name < NAME_LEAST ? layout.name : NAME_LEAST;
        bool full = false;
        for (int rank = 0; rank < 10 && !full; rank++)
                for (size_t c = 0; c < info->columns && !full; c++) {
                        if (info->column[c].rank != rank)
                                continue;
                        full = used + 1 + info->column[c].width > columns;
                        layout.shown[c] = !full;
                        used += full ? 0 : 1 + info->column[c].width;
                }
        size_t room = columns > used ? columns - used : 0;
        size_t least = layout.name < NAME_LEAST ? layout.name : NAME_LEAST;
        layout.name = layout.name < least + room ? layout.name : least + room;
        return layout;
}

static void put_heading(struct line *line, const struct layout *layout)
{
        put_field(line, STYLE_BOLD, layout->info->name, layout->name, true);
        for (size_t c = 0; c < layout->info->columns; c++) {
                const struct top_column *column = &layout->info->column[c];
                if (!layout->shown[c])
                        continue;
                put(line, STYLE_NONE, " ");
                put_field(line, STYLE_BOLD, column->heading, column->width, column->left);
        }
}

static void put_row(struct line *line, const struct layout *layout, const void *row, double now)
{
        const struct top_page_info *info = layout->info;
        enum style faint = info->faint(row) ? STYLE_DIM : STYLE_NONE;
        CLEANUP_FREE char *safe = text_safe(info->label(row), false);
        put_field(line, faint, safe, layout->name, true);
        for (size_t c = 0; c < info->columns; c++) {
                const struct top_column *column = &info->column[c];
                struct top_cell cell = {.style = STYLE_NONE};
                if (!layout->shown[c])
                        continue;
                column->figure(row, now, &cell);
                put(line, STYLE_NONE, " ");
                put_field(line, cell.style == STYLE_NONE ? faint : cell.style, cell.text, column->width, column->left);
        }
}

static void put_table(struct buf *out, const struct top_view *view, const struct top_scene *scene, size_t columns,
        size_t most, size_t *ret_first)
{
        const struct top_page_info *info = &top_pages[view->page];
        size_t count;
        CLEANUP_FREE const void **row = top_rows(scene->usage, view->page, view->by, view->reverse, &count);
        struct layout layout = lay_out(info, row, count, columns);
        struct line heading = {out, columns, view->color};
        size_t first = count > most ? count - most : 0; /* the last page is full */
        first = view->first < first ? view->first : first;
        *ret_first = first;
        if (!count) {
                put(&heading, STYLE_NONE, info->nothing);
                buf_str(out, "\n");
                return;
        }
        put_heading(&heading, &layout);
        buf_str(out, "\n");
        for (size_t i = first; i < count && i - first < most; i++) {
                struct line line = {out, columns, view->color};
                put_row(&line, &layout, row[i], scene->now);
                buf_str(out, "\n");
        }
}

/* ---- pictures ---- */

char *top_picture(struct top_view *view, const struct top_scene *scene, size_t columns, size_t rows, size_t *ret_page)
{
        struct buf out = BUF_INIT(PICTURE_MAX);
        bool head = rows >= 10, tabs = rows >= 6, keys = rows >= 8;
        size_t others = 1U + (head ? 4U : 0U) + (tabs ? 1U : 0U) + (keys ? 1U : 0U);
        size_t most = rows > others ? rows - others : 0;
        struct line line = {&out, columns, view->color}, last = line;
        if (head)
                put_head(&out, scene, columns, view->color);
        if (tabs) {
                put_tabs(&line, view);
                buf_str(&out, "\n");
        }
        put_table(&out, view, scene, columns, most, &view->first);
        size_t lines = 0;
        for (size_t i = 0; i < out.length; i++)
                lines += out.data[i] == '\n' ? 1 : 0;
        for (; keys && lines + 1 < rows; lines++)
                buf_str(&out, "\n");
        if (keys)
                put(&last, STYLE_DIM,
                        "q quit  Tab page  m mem  c CPU  u user  h home  d Dask  r reverse  arrows scroll");
        *ret_page = most;
        char *picture = buf_steal(&out);
        size_t length = strlen(picture);
        if (length && picture[length - 1] == '\n')
                picture[length - 1] = '\0';
        return picture;
}

/* Lines as they are, but for the blanks that fields leave at their ends. */
static char *without_trailing_blanks(const char *text)
{
        struct buf out = BUF_INIT(PICTURE_MAX);
        while (*text) {
                size_t n = strcspn(text, "\n"), kept = n;
                while (kept && text[kept - 1] == ' ')
                        kept--;
                buf_add(&out, text, kept);
                buf_str(&out, text[n] ? "\n" : "");
                text += n + (text[n] ? 1 : 0);
        }
        return buf_steal(&out);
}

char *top_text(const struct top_scene *scene, enum usage_sort by)
{
        CLEANUP_BUF struct buf out = BUF_INIT(PICTURE_MAX);
        put_head(&out, scene, ALL, false);
        for (int page = 0; page < TOP_PAGES; page++) {
                struct top_view view = {.page = (enum top_page)page, .by = by};
                size_t first;
                buf_str(&out, "\n");
                put_table(&out, &view, scene, ALL, ALL, &first);
        }
        return without_trailing_blanks(out.data);
}
