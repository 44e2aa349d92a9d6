#include "exporter/kubelet_figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define NAME_LENGTH 253 /* of anything in Kubernetes */
#define VALUE_MAX   1e18
#define EFFORT_MAX  20000000 /* comparisons: a kubelet whose lists come in a good order needs some thousand */

static const struct {
        const char *name;
        enum kubelet_value value;
} CONTAINER_METRICS[] = {
        {"container_cpu_usage_seconds_total", KUBELET_CPU},
        {"container_memory_working_set_bytes", KUBELET_WORKING_SET},
        {"container_memory_rss", KUBELET_RSS},
        {"container_oom_events_total", KUBELET_OOM},
        {"container_spec_memory_limit_bytes", KUBELET_LIMIT},
        {"container_threads", KUBELET_THREADS},
};

void kubelet_figures_clear(struct kubelet_figures *figures)
{
        for (size_t i = 0; i < figures->containers; i++) {
                free(figures->container[i].pod);
                free(figures->container[i].container);
                free(figures->container[i].name);
        }
        for (size_t i = 0; i < figures->volumes; i++)
                free(figures->volume[i].claim);
        free(figures->container);
        free(figures->volume);
        *figures = (struct kubelet_figures){0};
}

static int by_names(const void *a, const void *b)
{
        const struct kubelet_container *x = a, *y = b;
        int order = strcmp(x->pod, y->pod);
        order = order ? order : strcmp(x->container, y->container);
        return order ? order : strcmp(x->name, y->name);
}

static int by_claim(const void *a, const void *b)
{
        return strcmp(((const struct kubelet_volume *)a)->claim, ((const struct kubelet_volume *)b)->claim);
}

void kubelet_figures_sort(struct kubelet_figures *figures)
{
        if (figures->containers)
                qsort(figures->container, figures->containers, sizeof *figures->container, by_names);
        if (figures->volumes)
                qsort(figures->volume, figures->volumes, sizeof *figures->volume, by_claim);
}

struct kubelet_container *kubelet_container_of(
        const struct kubelet_figures *figures, const struct kubelet_container *same)
{
        return figures->containers
                       ? bsearch(same, figures->container, figures->containers, sizeof *figures->container, by_names)
                       : NULL;
}

static bool good_name(const char *name)
{
        size_t length = name ? strlen(name) : 0;
        return length > 0 && length <= NAME_LENGTH;
}

/* The container's place, made where there is none; NULL: there are too many. */
static struct kubelet_container *place_of(struct kubelet_figures *figures, const struct kubelet_container *wanted)
{
        for (size_t n = 0; n < figures->containers && figures->effort < EFFORT_MAX; n++, figures->effort++) {
                size_t i = (figures->last_container + n) % figures->containers;
                if (by_names(&figures->container[i], wanted) == 0) {
                        figures->last_container = i;
                        return &figures->container[i];
                }
        }
        if (figures->containers == KUBELET_CONTAINERS_MAX || figures->effort >= EFFORT_MAX)
                return NULL;
        MEM_GROW(figures->container, figures->containers, figures->container_room);
        struct kubelet_container *fresh = &figures->container[figures->containers++];
        *fresh = (struct kubelet_container){.pod = str_copy(wanted->pod),
                .container = str_copy(wanted->container),
                .name = str_copy(wanted->name),
                .counted_cpu = NAN,
                .counted_kills = NAN};
        for (size_t i = 0; i < KUBELET_VALUES; i++)
                fresh->value[i] = NAN;
        return fresh;
}

static struct kubelet_volume *volume_of(struct kubelet_figures *figures, const char *claim)
{
        for (size_t n = 0; n < figures->volumes && figures->effort < EFFORT_MAX; n++, figures->effort++) {
                size_t i = (figures->last_volume + n) % figures->volumes;
                if (str_is(figures->volume[i].claim, claim)) {
                        figures->last_volume = i;
                        return &figures->volume[i];
                }
        }
        if (figures->volumes == KUBELET_VOLUMES_MAX || figures->effort >= EFFORT_MAX)
                return NULL;
        MEM_GROW(figures->volume, figures->volumes, figures->volume_room);
        struct kubelet_volume *fresh = &figures->volume[figures->volumes++];
        *fresh = (struct kubelet_volume){.claim = str_copy(claim), .used = NAN, .capacity = NAN, .available = NAN};
        return fresh;
}

/* What stands there without a container, or as the one that only holds a pod's network, is of the pod as a whole: it
 * would be counted twice. */
static void take_container(
        struct kubelet_figures *figures, const struct metrics_sample *sample, enum kubelet_value value)
{
        const struct kubelet_container wanted = {.pod = (char *)metrics_label(sample, "pod"),
                .container = (char *)metrics_label(sample, "container"),
                .name = (char *)metrics_label(sample, "name")};
        if (!good_name(wanted.pod) || !good_name(wanted.container) || !good_name(wanted.name) ||
                str_is(wanted.container, "POD"))
                return;
        struct kubelet_container *container = place_of(figures, &wanted);
        if (container)
                container->value[value] = sample->value;
}

static void take_volume(struct kubelet_figures *figures, const struct metrics_sample *sample)
{
        static const char prefix[] = "kubelet_volume_stats_";
        const char *what = sample->name + strlen(prefix), *claim = metrics_label(sample, "persistentvolumeclaim");
        bool used = str_is(what, "used_bytes"), capacity = str_is(what, "capacity_bytes");
        if (!good_name(claim) || !(used || capacity || str_is(what, "available_bytes")))
                return;
        struct kubelet_volume *volume = volume_of(figures, claim);
        if (volume)
                *(used ? &volume->used : capacity ? &volume->capacity : &volume->available) = sample->value;
}

void kubelet_take(void *data, const struct metrics_sample *sample)
{
        const struct kubelet_reading *reading = data;
        bool container = str_starts(sample->name, "container_"),
             volume = str_starts(sample->name, "kubelet_volume_stats_");
        if (!(container || volume) || !str_is(metrics_label(sample, "namespace"), reading->namespace_) ||
                !isfinite(sample->value) || sample->value < 0 || sample->value > VALUE_MAX)
                return;
        if (volume)
                take_volume(reading->into, sample);
        for (size_t i = 0; container && i < sizeof CONTAINER_METRICS / sizeof *CONTAINER_METRICS; i++)
                if (str_is(sample->name, CONTAINER_METRICS[i].name))
                        take_container(reading->into, sample, CONTAINER_METRICS[i].value);
}
