#include "access/usage.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define NAME_MAX_BYTES 256

struct usage *usage_new(double taken)
{
        struct usage *usage = mem_zero(sizeof *usage);
        usage->taken = taken;
        usage->clock = usage->rate_seconds = NAN;
        usage->homes_free = usage->homes_images = NAN;
        usage->dask_cores_max = usage->dask_memory_max = usage->drift = NAN;
        usage->index = json_object();
        return usage;
}

struct usage *usage_free(struct usage *usage)
{
        if (!usage)
                return NULL;
        for (size_t i = 0; i < usage->users; i++)
                free(usage->user[i].name);
        for (size_t i = 0; i < usage->dasks; i++) {
                free(usage->dask[i].name);
                free(usage->dask[i].user);
        }
        for (size_t i = 0; i < usage->parts; i++)
                free(usage->part[i].name);
        free(usage->user);
        free(usage->dask);
        free(usage->part);
        json_decref(usage->index);
        free(usage);
        return NULL;
}

/* ---- rows by name ---- */

/* The row's place, `count` for a new one, -1 where there is no room or no usable name. */
static ssize_t place_of(struct usage *usage, char what, const char *name, size_t count)
{
        if (!name || !*name || strlen(name) > NAME_MAX_BYTES)
                return -1;
        char key[NAME_MAX_BYTES + 2];
        snprintf(key, sizeof key, "%c%s", what, name);
        const json_t *known = json_object_get(usage->index, key);
        if (known)
                return (ssize_t)json_integer_value(known);
        if (count >= USAGE_ROWS_MAX) {
                usage->dropped++;
                return -1;
        }
        json_object_set_new(usage->index, key, json_integer((json_int_t)count));
        return (ssize_t)count;
}

/* The place of `name` in an array, with room made for a new row; -1 = none. */
#define PLACE(usage, what, name, array, count, room)                                                                   \
        ({                                                                                                             \
                ssize_t place_ = place_of((usage), (what), (name), (usage)->count);                                    \
                if (place_ >= 0 && (size_t)place_ == (usage)->count)                                                   \
                        MEM_GROW((usage)->array, (usage)->count, (usage)->room);                                       \
                place_;                                                                                                \
        })

static struct usage_user *user_row(struct usage *usage, const char *name)
{
        ssize_t i = PLACE(usage, 'u', name, user, users, user_room);
        if (i < 0)
                return NULL;
        if ((size_t)i == usage->users) {
                struct usage_group none = {NAN, NAN, NAN, NAN, NAN, NAN};
                usage->user[usage->users++] = (struct usage_user){.name = str_copy(name),
                        .group = {none, none},
                        .started = NAN,
                        .active = NAN,
                        .ready = NAN,
                        .home_used = NAN,
                        .home_size = NAN,
                        .clusters = NAN,
                        .workers = NAN,
                        .dask_cores = NAN,
                        .dask_memory = NAN};
        }
        return &usage->user[i];
}

static struct usage_dask *dask_row(struct usage *usage, const char *name)
{
        ssize_t i = PLACE(usage, 'd', name, dask, dasks, dask_room);
        if (i < 0)
                return NULL;
        if ((size_t)i == usage->dasks)
                usage->dask[usage->dasks++] = (struct usage_dask){.name = str_copy(name),
                        .workers = NAN,
                        .cores = NAN,
                        .memory = NAN,
                        .started = NAN,
                        .idle = NAN};
        return &usage->dask[i];
}

static struct usage_part *part_row(struct usage *usage, enum usage_what what, const char *name)
{
        static const char keys[USAGE_WHATS] = {[USAGE_PART] = 'p', [USAGE_SOURCE] = 's', [USAGE_CERTIFICATE] = 'c'};
        ssize_t i = PLACE(usage, keys[what], name, part, parts, part_room);
        if (i < 0)
                return NULL;
        if ((size_t)i == usage->parts)
                usage->part[usage->parts++] = (struct usage_part){.what = what,
                        .name = str_copy(name),
                        .up = NAN,
                        .duration = NAN,
                        .success = NAN,
                        .expiry = NAN};
        return &usage->part[i];
}

/* ---- samples ---- */

#define FIELD(type, member) offsetof(struct type, member)

struct figure {
        const char *name;
        size_t offset; /* of a double */
};

static const struct figure group_figures[] = {
        {"caas_user_cpu_seconds_total", FIELD(usage_group, cpu_seconds)},
        {"caas_user_memory_bytes", FIELD(usage_group, memory)},
        {"caas_user_memory_limit_bytes", FIELD(usage_group, limit)},
        {"caas_user_processes", FIELD(usage_group, processes)},
        {"caas_user_oom_kills_total", FIELD(usage_group, oom_kills)},
        {0},
};
static const struct figure user_figures[] = {
        {"caas_home_used_bytes", FIELD(usage_user, home_used)},
        {"caas_home_size_bytes", FIELD(usage_user, home_size)},
        {"caas_server_started_timestamp_seconds", FIELD(usage_user, started)},
        {"caas_server_last_activity_timestamp_seconds", FIELD(usage_user, active)},
        {"caas_server_ready", FIELD(usage_user, ready)},
        {"caas_dask_user_cores", FIELD(usage_user, dask_cores)},
        {"caas_dask_user_memory_bytes", FIELD(usage_user, dask_memory)},
        {"caas_dask_user_clusters", FIELD(usage_user, clusters)},
        {0},
};
static const struct figure dask_figures[] = {
        {"caas_dask_cluster_workers", FIELD(usage_dask, workers)},
        {"caas_dask_cluster_cores", FIELD(usage_dask, cores)},
        {"caas_dask_cluster_memory_bytes", FIELD(usage_dask, memory)},
        {"caas_dask_cluster_started_timestamp_seconds", FIELD(usage_dask, started)},
        {"caas_dask_cluster_idle_seconds", FIELD(usage_dask, idle)},
        {0},
};
static const struct part_figure {
        struct figure figure;
        enum usage_what what;
        const char *label; /* that names it */
} part_figures[] = {
        {{"caas_part_up", FIELD(usage_part, up)}, USAGE_PART, "part"},
        {{"caas_source_up", FIELD(usage_part, up)}, USAGE_SOURCE, "source"},
        {{"caas_source_duration_seconds", FIELD(usage_part, duration)}, USAGE_SOURCE, "source"},
        {{"caas_source_last_success_timestamp_seconds", FIELD(usage_part, success)}, USAGE_SOURCE, "source"},
        {{"caas_certificate_expiry_timestamp_seconds", FIELD(usage_part, expiry)}, USAGE_CERTIFICATE, "certificate"},
};
static const struct figure cluster_figures[] = {
        {"caas_homes_free_bytes", FIELD(usage, homes_free)},
        {"caas_homes_images_bytes", FIELD(usage, homes_images)},
        {"caas_dask_max_cores", FIELD(usage, dask_cores_max)},
        {"caas_dask_max_memory_bytes", FIELD(usage, dask_memory_max)},
        {"caas_drift_resources", FIELD(usage, drift)},
        {0},
};

static const struct figure *find(const struct figure *list, const char *name)
{
        for (; list->name; list++)
                if (str_is(list->name, name))
                        return list;
        return NULL;
}

/* row may be NULL. */
static void set(void *row, const struct figure *figure, double value)
{
        if (row)
                memcpy((char *)row + figure->offset, &value, sizeof value);
}

static void add_group(
        struct usage *usage, const struct metrics_sample *sample, const struct figure *figure, double value)
{
        static const char *const kinds[USAGE_KINDS] = {"notebook", "dask"};
        const char *kind = metrics_label(sample, "kind");
        for (size_t i = 0; i < USAGE_KINDS; i++) {
                struct usage_user *user =
                        str_is(kind, kinds[i]) ? user_row(usage, metrics_label(sample, "user")) : NULL;
                if (user)
                        set(&user->group[i], figure, value);
        }
}

static void add_dask(
        struct usage *usage, const struct metrics_sample *sample, const struct figure *figure, double value)
{
        struct usage_dask *dask = dask_row(usage, metrics_label(sample, "dask_cluster"));
        const char *user = metrics_label(sample, "user");
        if (dask && !dask->user && user && *user && strlen(user) <= NAME_MAX_BYTES)
                dask->user = str_copy(user);
        set(dask, figure, value);
        struct usage_user *owner =
                dask && figure->offset == FIELD(usage_dask, workers) ? user_row(usage, dask->user) : NULL;
        if (owner)
                owner->workers = usage_add_up(owner->workers, value);
}

/* Whose figures the counters of processor time are: on a host, and on Kubernetes. */
static bool is_clock(const char *source)
{
        return str_is(source, "cgroup") || str_is(source, "kubelet");
}

static void add_part(struct usage *usage, const struct metrics_sample *sample, double value)
{
        for (size_t i = 0; i < sizeof part_figures / sizeof *part_figures; i++) {
                const struct part_figure *known = &part_figures[i];
                if (!str_is(known->figure.name, sample->name))
                        continue;
                const char *name = metrics_label(sample, known->label);
                set(part_row(usage, known->what, name), &known->figure, value);
                if (known->figure.offset == FIELD(usage_part, success) && is_clock(name))
                        usage->clock = value;
        }
}

void usage_add(void *data, const struct metrics_sample *sample)
{
        struct usage *usage = data;
        const struct figure *figure;
        const char *name = sample->name;
        /* None of the figures here can be below zero, or without end. */
        double value = isfinite(sample->value) && sample->value >= 0 ? sample->value : NAN;
        if (!str_starts(name, "caas_"))
                return;
        if ((figure = find(group_figures, name)))
                add_group(usage, sample, figure, value);
        else if ((figure = find(user_figures, name)))
                set(user_row(usage, metrics_label(sample, "user")), figure, value);
        else if ((figure = find(dask_figures, name)))
                add_dask(usage, sample, figure, value);
        else if ((figure = find(cluster_figures, name)))
                set(usage, figure, value);
        else
                add_part(usage, sample, value);
}

/* ---- sums and rates ---- */

double usage_add_up(double a, double b)
{
        if (isnan(a))
                return b;
        return isnan(b) ? a : a + b;
}

double usage_user_cpu(const struct usage_user *user)
{
        return usage_add_up(user->group[USAGE_NOTEBOOK].cpu, user->group[USAGE_DASK].cpu);
}

double usage_user_memory(const struct usage_user *user)
{
        return usage_add_up(user->group[USAGE_NOTEBOOK].memory, user->group[USAGE_DASK].memory);
}

bool usage_user_active(const struct usage_user *user)
{
        return !isnan(user->started) || !isnan(usage_user_memory(user)) || user->clusters > 0 || user->workers > 0;
}

static const struct usage_user *known_before(const struct usage *before, const char *name)
{
        char key[NAME_MAX_BYTES + 2];
        snprintf(key, sizeof key, "u%s", name);
        const json_t *place = json_object_get(before->index, key);
        return place ? &before->user[json_integer_value(place)] : NULL;
}

void usage_rates(struct usage *now, const struct usage *before)
{
        double passed = now->clock - before->clock;
        bool same = passed == 0; /* the exporter has nothing new yet */
        if (isnan(passed) || passed < 0)
                return;
        now->rate_seconds = same ? before->rate_seconds : passed;
        for (size_t i = 0; i < now->users; i++) {
                const struct usage_user *old = known_before(before, now->user[i].name);
                for (size_t k = 0; old && k < USAGE_KINDS; k++) {
                        struct usage_group *group = &now->user[i].group[k];
                        double used = group->cpu_seconds - old->group[k].cpu_seconds;
                        /* Below zero: it ended in between, and began anew. */
                        if (used < 0)
                                used = group->cpu_seconds;
                        group->cpu = same ? old->group[k].cpu : used / passed;
                }
        }
}
