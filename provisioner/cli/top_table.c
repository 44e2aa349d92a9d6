#include "cli/top_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/text.h"

/* ---- figures ---- */

static const char *say(char text[TOP_CELL], const char *word)
{
        snprintf(text, TOP_CELL, "%s", word);
        return text;
}

const char *top_bytes(double bytes, char text[TOP_CELL])
{
        static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
        size_t unit = 0;
        if (isnan(bytes))
                return say(text, "-");
        /* 999.6 of a unit would be rounded to 1000 of it. */
        for (; bytes >= 999.5 && unit < 6; unit++)
                bytes /= 1000;
        if (bytes >= 999.5)
                return say(text, "> 1 ZB");
        snprintf(text, TOP_CELL, "%.*f %s",
                unit < 3 || bytes >= 99.95 ? 0
                : bytes >= 9.995           ? 1
                                           : 2,
                bytes, units[unit]);
        return text;
}

const char *top_cores(double cores, char text[TOP_CELL])
{
        if (isnan(cores))
                return say(text, "-");
        if (cores >= 999999.5)
                return say(text, "> 10^6");
        snprintf(text, TOP_CELL, "%.*f", cores >= 99.95 ? 0 : cores >= 9.995 ? 1 : 2, cores);
        return text;
}

const char *top_count(double count, char text[TOP_CELL])
{
        if (isnan(count))
                return say(text, "-");
        if (count >= 999999.5)
                return say(text, "> 10^6");
        snprintf(text, TOP_CELL, "%.0f", count);
        return text;
}

const char *top_percent(double part, double of, char text[TOP_CELL])
{
        double percent = 100 * part / of;
        if (isnan(percent) || of <= 0)
                return say(text, "-");
        if (percent > 999)
                return say(text, "> 999%");
        snprintf(text, TOP_CELL, "%.0f%%", percent);
        return text;
}

const char *top_span(double seconds, char text[TOP_CELL])
{
        if (isnan(seconds))
                return say(text, "-");
        if (seconds > 9999 * 86400.0)
                return say(text, "> 9999d");
        long s = seconds > 0 ? (long)seconds : 0; /* another clock may be ahead of ours */
        if (s < 60)
                snprintf(text, TOP_CELL, "%lds", s);
        else if (s < 3600)
                snprintf(text, TOP_CELL, "%ldm", s / 60);
        else if (s < 86400)
                snprintf(text, TOP_CELL, "%ldh%02ldm", s / 3600, s / 60 % 60);
        else if (s < 100 * 86400)
                snprintf(text, TOP_CELL, "%ldd%02ldh", s / 86400, s / 3600 % 24);
        else
                snprintf(text, TOP_CELL, "%ldd", s / 86400);
        return text;
}

static enum style warn(double part, double of, double yellow, double red)
{
        double share = of > 0 ? part / of : 0;
        return share >= red ? STYLE_RED : share >= yellow ? STYLE_YELLOW : STYLE_NONE;
}

/* ---- users ---- */

static void user_up(const void *row, double now, struct top_cell *ret)
{
        const struct usage_user *user = row;
        bool pending = user->ready >= 0 && user->ready < 1;
        if (pending)
                say(ret->text, "not up");
        else
                top_span(now - user->started, ret->text);
        ret->style = pending ? STYLE_YELLOW : STYLE_NONE;
}

static void user_idle(const void *row, double now, struct top_cell *ret)
{
        const struct usage_user *user = row;
        top_span(isnan(user->started) ? NAN : now - user->active, ret->text);
}

static void user_cpu(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_cores(usage_user_cpu(row), ret->text);
}

static void user_memory(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_bytes(usage_user_memory(row), ret->text);
}

static void user_notebook(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_bytes(((const struct usage_user *)row)->group[USAGE_NOTEBOOK].memory, ret->text);
}

static void user_limit(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        const struct usage_group *group = &((const struct usage_user *)row)->group[USAGE_NOTEBOOK];
        top_percent(group->memory, group->limit, ret->text);
        ret->style = warn(group->memory, group->limit, 0.75, 0.9);
}

static void user_dask(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_bytes(((const struct usage_user *)row)->group[USAGE_DASK].memory, ret->text);
}

static void user_workers(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_count(((const struct usage_user *)row)->workers, ret->text);
}

static void user_home(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_bytes(((const struct usage_user *)row)->home_used, ret->text);
}

static void user_full(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        const struct usage_user *user = row;
        top_percent(user->home_used, user->home_size, ret->text);
        ret->style = warn(user->home_used, user->home_size, 0.8, 0.9);
}

static void user_processes(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        const struct usage_user *user = row;
        top_count(usage_add_up(user->group[0].processes, user->group[1].processes), ret->text);
}

static void user_oom(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        const struct usage_user *user = row;
        double kills = usage_add_up(user->group[0].oom_kills, user->group[1].oom_kills);
        top_count(kills, ret->text);
        ret->style = kills > 0 ? STYLE_RED : STYLE_NONE;
}

static const struct top_column user_columns[] = {
        {"UP", false, 6, 4, user_up},
        {"IDLE", false, 6, 6, user_idle},
        {"CPU", false, 6, 1, user_cpu},
        {"MEMORY", false, 7, 0, user_memory},
        {"NOTEBOOK", false, 8, 7, user_notebook},
        {"LIMIT", false, 6, 5, user_limit},
        {"DASK", false, 7, 8, user_dask},
        {"WORKERS", false, 7, 3, user_workers},
        {"HOME", false, 7, 2, user_home},
        {"FULL", false, 6, 5, user_full},
        {"PROCS", false, 6, 9, user_processes},
        {"OOM", false, 3, 9, user_oom},
};

static const char *user_name(const void *row)
{
        return ((const struct usage_user *)row)->name;
}

static bool user_faint(const void *row)
{
        return !usage_user_active(row);
}

/* ---- Dask clusters ---- */

static void dask_user(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        const char *user = ((const struct usage_dask *)row)->user;
        CLEANUP_FREE char *safe = text_safe(user ? user : "-", false);
        CLEANUP_FREE char *cut = text_cut(safe, 12);
        snprintf(ret->text, TOP_CELL, "%s", cut);
}

static void dask_workers(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_count(((const struct usage_dask *)row)->workers, ret->text);
}

static void dask_cores(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_count(((const struct usage_dask *)row)->cores, ret->text);
}

static void dask_memory(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_bytes(((const struct usage_dask *)row)->memory, ret->text);
}

static void dask_up(const void *row, double now, struct top_cell *ret)
{
        top_span(now - ((const struct usage_dask *)row)->started, ret->text);
}

static void dask_idle(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        top_span(((const struct usage_dask *)row)->idle, ret->text);
}

static const struct top_column dask_columns[] = {
        {"USER", true, 12, 1, dask_user},
        {"WORKERS", false, 7, 2, dask_workers},
        {"CORES", false, 6, 3, dask_cores},
        {"MEMORY", false, 7, 0, dask_memory},
        {"UP", false, 6, 4, dask_up},
        {"IDLE", false, 6, 5, dask_idle},
};

static const char *dask_name(const void *row)
{
        return ((const struct usage_dask *)row)->name;
}

static bool never(const void *row)
{
        (void)row;
        return false;
}

/* ---- parts, sources of figures, certificates: one list ---- */

static void part_what(const void *row, double now, struct top_cell *ret)
{
        static const char *const names[USAGE_WHATS] = {
                [USAGE_PART] = "part", [USAGE_SOURCE] = "source", [USAGE_CERTIFICATE] = "certificate"};
        (void)now;
        say(ret->text, names[((const struct usage_part *)row)->what]);
}

static void part_state(const void *row, double now, struct top_cell *ret)
{
        const struct usage_part *part = row;
        double left = part->expiry - now;
        if (part->what == USAGE_CERTIFICATE) {
                say(ret->text, left > 0 ? "valid" : left <= 0 ? "expired" : "-");
                ret->style = left <= 7 * 86400 ? STYLE_RED : left <= 21 * 86400 ? STYLE_YELLOW : STYLE_GREEN;
                return;
        }
        say(ret->text, part->up > 0 ? "up" : part->up <= 0 ? "down" : "-");
        ret->style = part->up > 0 ? STYLE_GREEN : part->up <= 0 ? STYLE_RED : STYLE_NONE;
}

static void part_took(const void *row, double now, struct top_cell *ret)
{
        (void)now;
        double seconds = ((const struct usage_part *)row)->duration;
        if (seconds < 1)
                snprintf(ret->text, TOP_CELL, "%.0fms", seconds * 1000);
        else
                top_span(seconds, ret->text);
}

static void part_age(const void *row, double now, struct top_cell *ret)
{
        top_span(now - ((const struct usage_part *)row)->success, ret->text);
}

static void part_left(const void *row, double now, struct top_cell *ret)
{
        top_span(((const struct usage_part *)row)->expiry - now, ret->text);
}

static const struct top_column part_columns[] = {
        {"WHAT", true, 11, 1, part_what},
        {"STATE", true, 7, 0, part_state},
        {"TOOK", false, 8, 3, part_took},
        {"SEEN", false, 6, 2, part_age},
        {"EXPIRES", false, 7, 2, part_left},
};

static const char *part_name(const void *row)
{
        return ((const struct usage_part *)row)->name;
}

/* ---- pages ---- */

#define COLUMNS(list) list, sizeof(list) / sizeof *(list)

const struct top_page_info top_pages[TOP_PAGES] = {
        [TOP_USERS] = {"Users", "USER", COLUMNS(user_columns), user_name, user_faint, "nobody is known yet"},
        [TOP_DASK] = {"Dask clusters", "CLUSTER", COLUMNS(dask_columns), dask_name, never, "no Dask cluster runs"},
        [TOP_PARTS] = {"Parts", "NAME", COLUMNS(part_columns), part_name, never, "nothing is known of the parts"},
};

const void **top_rows(
        const struct usage *usage, enum top_page page, enum usage_sort by, bool reverse, size_t *ret_count)
{
        switch (page) {
        case TOP_DASK:
                *ret_count = usage->dasks;
                return (const void **)usage_dasks(usage, by, reverse);
        case TOP_PARTS:
                *ret_count = usage->parts;
                return (const void **)usage_parts(usage);
        default:
                *ret_count = usage->users;
                return (const void **)usage_users(usage, by, reverse);
        }
}
