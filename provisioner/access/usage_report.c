/* What is told of a reading: rows in order, sums, JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "access/usage.h"
#include "base/clock.h"
#include "base/mem.h"

struct order {
        enum usage_sort by;
        bool reverse;
};

/* Largest first, what is not known last. */
static int compare_figures(double a, double b, bool reverse)
{
        if (isnan(a) || isnan(b))
                return isnan(a) - isnan(b);
        int order = (a < b) - (a > b);
        return reverse ? -order : order;
}

static double user_figure(const struct usage_user *user, enum usage_sort by)
{
        switch (by) {
        case USAGE_BY_CPU:
                return usage_user_cpu(user);
        case USAGE_BY_HOME:
                return user->home_used;
        case USAGE_BY_DASK:
                return isnan(user->workers) ? user->clusters : user->workers;
        default:
                return usage_user_memory(user);
        }
}

static int compare_users(const void *left, const void *right, void *data)
{
        const struct usage_user *const *a = left, *const *b = right;
        const struct order *order = data;
        int names = strcmp((*a)->name, (*b)->name);
        if (order->by == USAGE_BY_USER)
                return order->reverse ? -names : names;
        int figures = compare_figures(user_figure(*a, order->by), user_figure(*b, order->by), order->reverse);
        return figures ? figures : names;
}

static double dask_figure(const struct usage_dask *dask, enum usage_sort by)
{
        switch (by) {
        case USAGE_BY_CPU:
                return dask->cores;
        case USAGE_BY_DASK:
                return dask->workers;
        default:
                return dask->memory;
        }
}

static int compare_dasks(const void *left, const void *right, void *data)
{
        const struct usage_dask *const *a = left, *const *b = right;
        const struct order *order = data;
        int owners = strcmp((*a)->user ? (*a)->user : "", (*b)->user ? (*b)->user : "");
        int names = owners ? owners : strcmp((*a)->name, (*b)->name);
        if (order->by == USAGE_BY_USER)
                return order->reverse ? -names : names;
        int figures = compare_figures(dask_figure(*a, order->by), dask_figure(*b, order->by), order->reverse);
        return figures ? figures : names;
}

static int compare_parts(const void *left, const void *right, void *data)
{
        (void)data;
        const struct usage_part *const *a = left, *const *b = right;
        bool a_down = (*a)->up < 1, b_down = (*b)->up < 1;
        if (a_down != b_down)
                return b_down - a_down;
        return (*a)->what != (*b)->what ? (int)(*a)->what - (int)(*b)->what : strcmp((*a)->name, (*b)->name);
}

/* Pointers to the rows, in order. The caller frees. */
static const void **in_order(const void *rows, size_t count, size_t size,
        int (*compare)(const void *left, const void *right, void *data), struct order order)
{
        const void **list = mem_zero_array(count + 1, sizeof *list);
        for (size_t i = 0; i < count; i++)
                list[i] = (const char *)rows + i * size;
        qsort_r(list, count, sizeof *list, compare, &order);
        return list;
}

const struct usage_user **usage_users(const struct usage *usage, enum usage_sort by, bool reverse)
{
        struct order order = {by, reverse};
        return (const struct usage_user **)in_order(
                usage->user, usage->users, sizeof *usage->user, compare_users, order);
}

const struct usage_dask **usage_dasks(const struct usage *usage, enum usage_sort by, bool reverse)
{
        struct order order = {by, reverse};
        return (const struct usage_dask **)in_order(
                usage->dask, usage->dasks, sizeof *usage->dask, compare_dasks, order);
}

const struct usage_part **usage_parts(const struct usage *usage)
{
        return (const struct usage_part **)in_order(
                usage->part, usage->parts, sizeof *usage->part, compare_parts, (struct order){0});
}

struct usage_totals usage_total(const struct usage *usage)
{
        struct usage_totals total = {
                .clusters = usage->dasks, .workers = NAN, .cpu = NAN, .memory = NAN, .home_used = NAN};
        for (size_t i = 0; i < usage->users; i++) {
                const struct usage_user *user = &usage->user[i];
                total.active += usage_user_active(user);
                total.servers += isnan(user->started) ? 0 : 1;
                total.cpu = usage_add_up(total.cpu, usage_user_cpu(user));
                total.memory = usage_add_up(total.memory, usage_user_memory(user));
                total.home_used = usage_add_up(total.home_used, user->home_used);
        }
        for (size_t i = 0; i < usage->dasks; i++)
                total.workers = usage_add_up(total.workers, usage->dask[i].workers);
        return total;
}

/* ---- JSON ---- */

/* Of bytes and counts, parts are noise. null for what is not known. */
static json_t *number(double value)
{
        if (isnan(value))
                return json_null();
        return value < 9e18 ? json_integer((json_int_t)(value + 0.5)) : json_real(value);
}

/* Cores and seconds: finer than this is noise, and these fractions are written with few digits. */
static json_t *fine(double value)
{
        return isnan(value) ? json_null() : json_real(round(value * 1024) / 1024);
}

static json_t *moment(double seconds)
{
        char text[32];
        if (isnan(seconds) || seconds > 253402300799.0) /* the end of the year 9999 */
                return json_null();
        return json_string(clock_format((int64_t)(seconds * 1000), text));
}

static json_t *yes(double value)
{
        return isnan(value) ? json_null() : json_boolean(value > 0);
}

static json_t *group_json(const struct usage_group *group)
{
        return json_pack("{s:o, s:o, s:o, s:o, s:o}", "cpu", fine(group->cpu), "memory_bytes", number(group->memory),
                "memory_limit_bytes", number(group->limit), "processes", number(group->processes), "oom_kills",
                number(group->oom_kills));
}

static json_t *server_json(const struct usage_user *user)
{
        if (isnan(user->started) && isnan(user->ready))
                return json_null();
        return json_pack("{s:o, s:o, s:o}", "ready", yes(user->ready), "started", moment(user->started),
                "last_activity", moment(user->active));
}

static json_t *user_json(const struct usage_user *user)
{
        json_t *dask = group_json(&user->group[USAGE_DASK]);
        json_object_set_new(dask, "clusters", number(user->clusters));
        json_object_set_new(dask, "workers", number(user->workers));
        return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}}", "user", user->name, "cpu",
                fine(usage_user_cpu(user)), "memory_bytes", number(usage_user_memory(user)), "server",
                server_json(user), "notebook", group_json(&user->group[USAGE_NOTEBOOK]), "dask", dask, "home",
                "used_bytes", number(user->home_used), "size_bytes", number(user->home_size));
}

static json_t *dask_json(const struct usage_dask *dask)
{
        return json_pack("{s:s, s:s?, s:o, s:o, s:o, s:o, s:o}", "dask_cluster", dask->name, "user", dask->user,
                "workers", number(dask->workers), "cores", number(dask->cores), "memory_bytes", number(dask->memory),
                "started", moment(dask->started), "idle_seconds", fine(dask->idle));
}

static json_t *totals_json(const struct usage *usage)
{
        struct usage_totals total = usage_total(usage);
        json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "users", (json_int_t)usage->users, "active",
                (json_int_t)total.active, "servers", (json_int_t)total.servers, "dask_clusters",
                (json_int_t)total.clusters, "dask_workers", number(total.workers), "cpu", fine(total.cpu),
                "memory_bytes", number(total.memory));
        json_object_set_new(object, "homes_used_bytes", number(total.home_used));
        json_object_set_new(object, "homes_free_bytes", number(usage->homes_free));
        json_object_set_new(object, "drift_resources", number(usage->drift));
        return object;
}

static void add_part(const struct usage_part *part, json_t *parts, json_t *sources, json_t *certificates)
{
        switch (part->what) {
        case USAGE_SOURCE:
                json_array_append_new(sources,
                        json_pack("{s:s, s:o, s:o, s:o}", "source", part->name, "up", yes(part->up), "duration_seconds",
                                fine(part->duration), "last_success", moment(part->success)));
                break;
        case USAGE_CERTIFICATE:
                json_array_append_new(certificates,
                        json_pack("{s:s, s:o}", "certificate", part->name, "expires", moment(part->expiry)));
                break;
        default:
                json_array_append_new(parts, json_pack("{s:s, s:o}", "part", part->name, "up", yes(part->up)));
                break;
        }
}

json_t *usage_to_json(const struct usage *usage, const char *cluster, enum usage_sort by)
{
        json_t *users = json_array(), *dasks = json_array(), *parts = json_array();
        json_t *sources = json_array(), *certificates = json_array();
        CLEANUP_FREE const struct usage_user **user = usage_users(usage, by, false);
        CLEANUP_FREE const struct usage_dask **dask = usage_dasks(usage, by, false);
        CLEANUP_FREE const struct usage_part **part = usage_parts(usage);
        for (size_t i = 0; i < usage->users; i++)
                json_array_append_new(users, user_json(user[i]));
        for (size_t i = 0; i < usage->dasks; i++)
                json_array_append_new(dasks, dask_json(dask[i]));
        for (size_t i = 0; i < usage->parts; i++)
                add_part(part[i], parts, sources, certificates);
        return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cluster", cluster, "time",
                moment(usage->taken), "cpu_seconds", fine(usage->rate_seconds), "totals", totals_json(usage), "users",
                users, "dask_clusters", dasks, "parts", parts, "sources", sources, "certificates", certificates);
}
