/* How the plan grows: 1,000 to 100,000 made-up resources in the shape of a real cluster (each needs a few earlier ones,
 * every fourth uses an output), all recorded and unchanged, which is what a nothing-to-do run has to find out.
 * Prints one line a size: resources, milliseconds, microseconds a resource. */
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "plan/plan.h"
#include "tree/digest.h"

static int compare(void *data, const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret, struct err **err)
{
        (void)data;
        (void)err;
        change_default(r, recorded, state, ret);
        return 0;
}

static json_t *spec_of(size_t i, int filled)
{
        json_t *spec = json_pack("{s:s, s:s, s:I}", "path", "/var/lib/caas/clusters/bench/file", "mode", "0644",
                "number", (json_int_t)i);
        if (i >= 4 && i % 4 == 0)
                json_object_set_new(spec, "port", filled ? json_integer(8000) : json_sprintf("${r/%zu.port}", i - 4));
        return spec;
}

static int64_t measure(size_t n)
{
        CLEANUP_RESOURCES struct resources desired = {0};
        struct plan_known *known = mem_zero_array(n, sizeof *known);
        char(*digest)[DIGEST_SIZE] = mem_zero_array(n, sizeof *digest);
        json_t *state = json_pack("{s:b}", "there", 1), *outputs = json_pack("{s:i}", "port", 8000);
        for (size_t i = 0; i < n; i++) {
                struct resource r = {
                        str_format("r/%zu", i), str_copy("bench"), spec_of(i, 0), mem_zero_array(3, sizeof *r.needs)};
                if (i > 0) {
                        r.needs[0] = str_format("r/%zu", i - 1 - (i * 7919) % (i < 50 ? i : 50));
                        r.needs[1] = str_format("r/%zu", i / 2);
                        if (str_is(r.needs[1], r.id)) {
                                free(r.needs[1]);
                                r.needs[1] = NULL;
                        }
                }
                json_t *applied = spec_of(i, 1);
                digest_tree(applied, digest[i]);
                known[i] = (struct plan_known){.recorded = {.kind = "bench",
                                                       .spec = applied,
                                                       .digest = digest[i],
                                                       .state = state,
                                                       .outputs = outputs,
                                                       .complete = true},
                        .state = state};
                resources_add(&desired, &r);
        }
        for (size_t i = 0; i < n; i++)
                known[i].id = desired.item[i].id; /* the list may have moved while it grew */
        struct clock *clock = clock_system();
        struct plan plan = {0};
        CLEANUP_ERR struct err *err = NULL;
        int64_t began = clock->monotonic_ms(clock);
        if (plan_make(&desired, known, n, compare, NULL, &plan, &err) < 0) {
                fprintf(stderr, "%s\n", err->message);
                exit(1);
        }
        int64_t took = clock->monotonic_ms(clock) - began;
        if (plan.update + plan.create + plan.remove + plan.replace != 0) {
                fprintf(stderr, "something to do where nothing is\n");
                exit(1);
        }
        plan_clear(&plan);
        for (size_t i = 0; i < n; i++)
                json_decref((json_t *)known[i].recorded.spec);
        free(known);
        free(digest);
        json_decref(state);
        json_decref(outputs);
        return took;
}

int main(void)
{
        const size_t sizes[] = {1000, 10000, 100000};
        int64_t took[3];
        for (size_t i = 0; i < 3; i++) {
                took[i] = measure(sizes[i]);
                printf("plan of %6zu resources: %5lld ms, %.1f us each\n", sizes[i], (long long)took[i],
                        1000.0 * (double)took[i] / (double)sizes[i]);
        }
        printf("growth 10,000 -> 100,000: x%.1f (linear is x10)\n", (double)took[2] / (double)(took[1] ? took[1] : 1));
        return 0;
}
