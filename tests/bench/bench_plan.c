/* How the plan grows: 1,000 to 100,000 made-up resources in the shape of a real cluster (each needs a few earlier ones,
 * every fourth uses an output), all recorded and unchanged, which is what a nothing-to-do run has to find out.
 * Prints one line a size. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

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

/* Time of the processor, not of the wall: there is one thread, and others on the machine shall not show. */
static int64_t used_us(void)
{
        struct timespec now;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
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
        struct plan plan = {0};
        CLEANUP_ERR struct err *err = NULL;
        int64_t began = used_us();
        if (plan_make(&desired, known, n, compare, NULL, &plan, &err) < 0) {
                fprintf(stderr, "%s\n", err->message);
                exit(1);
        }
        int64_t took = used_us() - began;
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

/* The best of a few: what else runs on the machine only ever adds. */
static int64_t best(size_t n)
{
        int64_t least = INT64_MAX;
        for (int i = 0; i < 3; i++) {
                int64_t took = measure(n);
                least = took < least ? took : least;
        }
        return least;
}

int main(void)
{
        const size_t sizes[] = {1000, 10000, 100000};
        int64_t took[3];
        for (size_t i = 0; i < 3; i++) {
                took[i] = best(sizes[i]);
                char name[64], value[32];
                snprintf(name, sizeof name, "plan of %zu resources, best of 3", sizes[i]);
                snprintf(value, sizeof value, "%.1f ms", (double)took[i] / 1000.0);
                printf("%-58s %22s   %s\n", name, value, sizes[i] == 10000 ? "target: under 1000 ms" : "");
        }
        printf("%-58s %21.1fx   target: linear (10x)\n", "  growth from 10,000 to 100,000",
                (double)took[2] / (double)(took[1] ? took[1] : 1));
        return 0;
}
