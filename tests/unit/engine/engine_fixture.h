/* The engine on a real journal and the fake kind: a state folder and a clock for each test, two versions of a cluster,
 * one run. */
#ifndef CAAS_TEST_ENGINE_H
#define CAAS_TEST_ENGINE_H

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CAAS_JOURNAL_TEST_ALLOWED
#include "../journal/power.h" /* syncs are its own: most tests wait for no disk */
#include "engine/engine.h"
#include "fake.h"
#include "journal/journal_test.h"

static char *base;        /* a temporary folder with state/ and things/ */
static char *where;       /* the state folder */
static char *secret_file; /* where the secret is read from; NULL = it is made */
static int slept_ms;
static atomic_int slow_ms;         /* what the clock has advanced */
static const char *stored_version; /* of the caas that applied it last, as the engine is told; NULL = never applied */
static int stored_cpus;            /* of the form that was applied last; today's says 0 */

static inline int64_t test_now(struct clock *clock)
{
        (void)clock;
        return 1700000000000 + atomic_load(&slow_ms);
}
static inline int test_sleep(struct clock *clock, int64_t ms, struct cancel *cancel)
{
        (void)clock;
        slept_ms += (int)ms;
        return cancel_level(cancel) ? -ERR_CANCELLED : 0;
}
static struct clock test_clock = {test_now, test_now, test_sleep};

static inline int setup(void **state)
{
        (void)state;
        base = str_copy("/tmp/caas-engine-XXXXXX");
        assert_non_null(mkdtemp(base));
        where = file_join(base, "state");
        fake_folder = file_join(base, "things");
        assert_int_equal(file_make_dirs(fake_folder, 0700, NULL), 0);
        fake_kill_at = fake_points = 0;
        fake_applies = fake_fail_times = slept_ms = 0;
        fake_broken = stored_version = NULL;
        stored_cpus = 0;
        fake_hook = NULL;
        secret_file = NULL;
        return 0;
}

static inline int teardown(void **state)
{
        (void)state;
        file_remove_tree(base, NULL);
        free(base);
        free(where);
        free(fake_folder);
        return 0;
}

static inline void add(struct resources *list, const char *id, const char *kind, json_t *spec, const char *need)
{
        struct resource r = {str_copy(id), str_copy(kind), spec, mem_zero_array(2, sizeof *r.needs)};
        if (need)
                r.needs[0] = str_copy(need);
        resources_add(list, &r);
}

static inline json_t *thing(const char *name, const char *text)
{
        return json_pack("{s:s,s:s}", "name", name, "text", text);
}

static inline void add_secret(struct resources *list)
{
        json_t *spec = thing("s", "");
        json_object_set_new(spec, "text", json_pack("{s:s}", MARK_SECRET, "r/secret"));
        add(list, "r/s", "fake.locked", spec, NULL);
}

/* Two versions of a cluster: one updated, one moved, one gone, one new, outputs in a chain, a secret. */
static inline void version_one(struct resources *list)
{
        add(list, "r/a", "fake", thing("a", "one"), NULL);
        add(list, "r/b", "fake", thing("b", "from ${r/a.path}"), NULL);
        add(list, "r/c", "fake", thing("c", "c"), "r/b");
        add(list, "r/gone", "fake", thing("gone", "gone"), "r/a");
        add_secret(list);
}
static inline void version_two(struct resources *list)
{
        add(list, "r/a", "fake", thing("a-moved", "one"), NULL);
        add(list, "r/b", "fake", thing("b", "from ${r/a.path}"), NULL);
        add(list, "r/c", "fake", thing("c", "c2"), "r/b");
        add(list, "r/new", "fake.locked", thing("new", "new"), "r/c");
        add_secret(list);
}

struct call_options {
        void (*desired)(struct resources *list); /* NULL = destroy */
        long journal_kill;                       /* the n-th write; 0 = none */
        bool after_commit;
        struct cancel *cancel;
        event_sink sink;
        void *sink_data;
        struct plan *plan_only; /* only the counts are of use afterwards */
        int64_t *ret_writes;
        unsigned threads; /* 0 = as many as the engine takes by itself */
};

static char secret_bytes[] = "5";

static inline int run(const struct call_options *o, struct err **err)
{
        struct journal *journal = NULL;
        struct engine *engine = NULL;
        CLEANUP_RESOURCES struct resources desired = {0};
        CLEANUP_PLAN struct plan plan = {0};
        struct role_secret secret = {.name = (char *)"r/secret", .bytes = secret_bytes[0], .file = secret_file};
        struct role_secrets secrets = {.item = &secret, .count = 1};
        json_auto_t *form = json_pack("{s:i}", "cpus", 0);
        json_auto_t *stored = json_pack("{s:s?, s:{s:i}}", "version", stored_version, "form", "cpus", stored_cpus);
        if (o->desired)
                o->desired(&desired);
        int result = journal_open(where, true, &journal, err);
        if (result < 0)
                return result;
        if (o->journal_kill)
                journal_test_kill(journal, o->journal_kill, o->after_commit);
        const struct engine_options options = {.journal = journal,
                .cluster = "demo",
                .target = "host",
                .state_dir = where,
                .cache_dir = where,
                .data_dir = where,
                .version = "test",
                .form = o->desired ? form : NULL,
                .threads = o->threads,
                .stored = stored,
                .desired = o->desired ? &desired : NULL,
                .secrets = o->desired ? &secrets : NULL,
                .kinds = fake_kinds,
                .clock = &test_clock,
                .cancel = o->cancel,
                .on_event = o->sink,
                .event_data = o->sink_data};
        result = engine_new(&options, &engine, err);
        if (result == 0)
                result = o->desired ? engine_plan(engine, &plan, err) : engine_plan_destroy(engine, &plan, err);
        if (result == 0 && o->plan_only) {
                *o->plan_only = plan;
                o->plan_only->step = NULL;
                o->plan_only->count = 0;
        } else if (result == 0) {
                result = engine_apply(engine, &plan, o->desired ? "apply" : "destroy", err);
        }
        if (o->ret_writes)
                *o->ret_writes = journal_test_writes(journal);
        plan_clear(&plan);
        engine_free(engine);
        journal_close(journal);
        return result;
}

static inline void must(void (*desired)(struct resources *list))
{
        CLEANUP_ERR struct err *err = NULL;
        if (run(&(struct call_options){.desired = desired}, &err) < 0)
                fail_msg("%s", err->message);
}

static inline char *content(const char *name)
{
        CLEANUP_FREE char *path = file_join(fake_folder, name);
        char *text = NULL;
        return file_read(path, 1000, &text, NULL, NULL) < 0 ? NULL : text;
}

static inline void expect(const char *name, const char *wanted)
{
        CLEANUP_FREE char *text = content(name);
        if (wanted ? !str_is(text, wanted) : text != NULL)
                fail_msg("%s holds %s, not %s", name, text ? text : "nothing", wanted ? wanted : "nothing");
}

static inline size_t things(void)
{
        size_t n = 0;
        DIR *dir = opendir(fake_folder);
        struct dirent *entry;
        while ((entry = readdir(dir)))
                n += !strchr(entry->d_name, '.'); /* a killed write may leave its temporary file */
        closedir(dir);
        return n;
}

static inline void expect_one(void)
{
        CLEANUP_FREE char *from_a = str_format("from %s/a", fake_folder);
        expect("a", "one");
        expect("b", from_a);
        expect("c", "c");
        expect("gone", "gone");
        assert_int_equal(things(), 5);
}
static inline void expect_two(void)
{
        CLEANUP_FREE char *from_a = str_format("from %s/a-moved", fake_folder);
        expect("a-moved", "one");
        expect("a", NULL);
        expect("b", from_a);
        expect("c", "c2");
        expect("gone", NULL);
        expect("new", "new");
        assert_int_equal(things(), 5);
}
static inline void expect_none(void)
{
        assert_int_equal(things(), 0);
}

static inline void expect_nothing_to_do(void (*desired)(struct resources *list))
{
        struct plan plan = {0};
        CLEANUP_ERR struct err *err = NULL;
        if (run(&(struct call_options){.desired = desired, .plan_only = &plan}, &err) < 0)
                fail_msg("%s", err->message);
        assert_int_equal(plan.create + plan.update + plan.replace + plan.remove + plan.refuse, 0);
}

/* Its list of tests wants SIGPIPE ignored, as caas does. */
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
