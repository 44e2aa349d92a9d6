/* What a kubelet says of containers and volumes: whatever it is, what is kept is bounded, of our namespace, in order
 * and each once, and does not depend on how the bytes were cut. */
#include <math.h>

#include "base/mem.h"
#include "base/str.h"
#include "exporter/kubelet_figures.h"
#include "fuzz.h"

static bool sound(double value)
{
        return isnan(value) || (isfinite(value) && value >= 0);
}

/* In pieces of so many bytes; 0 = whole. */
static int read_all(const char *data, size_t size, size_t piece, struct kubelet_figures *figures)
{
        struct kubelet_reading reading = {.namespace_ = "ocean", .into = figures};
        CLEANUP_METRICS struct metrics_reader *reader = metrics_reader_new(kubelet_take, &reading);
        int r = 0;
        for (size_t at = 0, n; r == 0 && at < size; at += n) {
                n = piece && piece < size - at ? piece : size - at;
                r = metrics_feed(reader, data + at, n, NULL);
        }
        if (r == 0)
                r = metrics_end(reader, NULL);
        kubelet_figures_sort(figures);
        return r;
}

static void check(const struct kubelet_figures *figures)
{
        MUST(figures->containers <= KUBELET_CONTAINERS_MAX && figures->volumes <= KUBELET_VOLUMES_MAX);
        for (size_t i = 0; i < figures->containers; i++) {
                const struct kubelet_container *c = &figures->container[i];
                MUST(*c->pod && *c->container && *c->name && !str_is(c->container, "POD"));
                MUST(kubelet_container_of(figures, c) == c);
                for (size_t v = 0; v < KUBELET_VALUES; v++)
                        MUST(sound(c->value[v]));
        }
        for (size_t i = 0; i < figures->volumes; i++) {
                const struct kubelet_volume *v = &figures->volume[i];
                MUST(*v->claim && (i == 0 || strcmp(figures->volume[i - 1].claim, v->claim) < 0));
                MUST(sound(v->used) && sound(v->capacity) && sound(v->available));
        }
}

static bool same(double a, double b)
{
        return a == b || (isnan(a) && isnan(b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct kubelet_figures whole = {0}, cut = {0};
        int r = read_all((const char *)data, size, 0, &whole);
        check(&whole);
        MUST(read_all((const char *)data, size, 7, &cut) == r);
        MUST(cut.containers == whole.containers && cut.volumes == whole.volumes);
        for (size_t i = 0; i < whole.containers; i++) {
                MUST(str_is(whole.container[i].name, cut.container[i].name));
                for (size_t v = 0; v < KUBELET_VALUES; v++)
                        MUST(same(whole.container[i].value[v], cut.container[i].value[v]));
        }
        for (size_t i = 0; i < whole.volumes; i++)
                MUST(same(whole.volume[i].used, cut.volume[i].used));
        kubelet_figures_clear(&whole);
        kubelet_figures_clear(&cut);
        return 0;
}
