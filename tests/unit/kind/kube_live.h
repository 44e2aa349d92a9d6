/* Runs of the engine against a real API server: the one of $CAAS_KUBECONFIG. Without it, or without
 * $CAAS_KUBECTL for what people do by hand, the tests are skipped, and say so. Everything is made in a namespace of its
 * own, "kinds-test-<pid>". */
#ifndef CAAS_TESTS_UNIT_KIND_KUBE_LIVE_H
#define CAAS_TESTS_UNIT_KIND_KUBE_LIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/engine.h"
#include "kind/kube_server.h"
#include "kind/table.h"
#include "tree/tree.h"

static char *live_state;     /* the state folder */
static char *live_namespace; /* and the cluster's name */
static struct kube *live_kube;
static char live_events[64 * 1024]; /* what was said, a line each */

static inline json_t *live_target(void)
{
        return json_pack("{s:s, s:s}", "kubeconfig", getenv("CAAS_KUBECONFIG"), "namespace", live_namespace);
}

static inline int live_setup(void **state)
{
        (void)state;
        char folder[] = "/tmp/caas-kube-XXXXXX";
        assert_non_null(mkdtemp(folder));
        live_state = file_join(folder, "state");
        live_namespace = str_format("kinds-test-%d", (int)getpid());
        struct kube_options options = {.kubeconfig = getenv("CAAS_KUBECONFIG")};
        struct err *err = NULL;
        if (kube_open(&options, &live_kube, &err) < 0)
                fail_msg("%s", err->message);
        return 0;
}

static inline int live_teardown(void **state)
{
        (void)state;
        struct kube_ref ref = {"v1", "Namespace", NULL, live_namespace};
        kube_delete(live_kube, &ref, "Background", NULL, NULL);
        kube_close(live_kube);
        char *slash = strrchr(live_state, '/');
        *slash = '\0';
        file_remove_tree(live_state, NULL);
        free(live_state);
        free(live_namespace);
        return 0;
}

/* At the beginning of main(): without a cluster there is nothing to test against. */
#define LIVE_OR_SKIP()                                                                                                 \
        do {                                                                                                           \
                if (!getenv("CAAS_KUBECONFIG") || !getenv("CAAS_KUBECTL")) {                                           \
                        printf("skip: CAAS_KUBECONFIG or CAAS_KUBECTL is not set: kinds are not tested against a "     \
                               "real "                                                                                 \
                               "Kubernetes\n");                                                                        \
                        return 0;                                                                                      \
                }                                                                                                      \
        } while (0)

static inline void live_sink(void *data, const struct event *event)
{
        (void)data;
        size_t n = strlen(live_events);
        snprintf(live_events + n, sizeof live_events - n, "%s %s %s %s\n", event_type_name(event->type),
                event->id ? event->id : "-", event->action ? event->action : "-", event->text ? event->text : "");
        if (getenv("TEST_VERBOSE"))
                fprintf(stderr, "%s", live_events + n);
}

/* The resources of YAML text: a list of {id, kind (kube.object), needs, spec | object and wait}. */
static inline void live_resources(const char *yaml, struct resources *ret)
{
        CLEANUP_DIAGS struct diags diags = {0};
        struct tree *tree = NULL;
        if (tree_parse(yaml, strlen(yaml), &tree, &diags) < 0)
                fail_msg("line %d: %s", diags.item[0].line, diags.item[0].message);
        size_t i, j;
        json_t *entry, *need;
        json_array_foreach (tree_root(tree), i, entry) {
                const char *kind = json_string_value(json_object_get(entry, "kind"));
                json_t *spec = json_object_get(entry, "spec"), *needs = json_object_get(entry, "needs");
                struct resource r = {str_copy(json_string_value(json_object_get(entry, "id"))),
                        str_copy(kind ? kind : "kube.object"),
                        spec ? json_incref(spec)
                             : json_pack("{s:O, s:O*}", "object", json_object_get(entry, "object"), "wait",
                                       json_object_get(entry, "wait")),
                        mem_zero_array(json_array_size(needs) + 1, sizeof(char *))};
                json_array_foreach (needs, j, need)
                        r.needs[j] = str_copy(json_string_value(need));
                resources_add(ret, &r);
        }
        tree_free(tree);
}

enum live_mode { LIVE_PLAN, LIVE_APPLY, LIVE_DESTROY, LIVE_ADOPT };

struct live {
        const char *yaml;
        enum live_mode mode;
        bool delete_data, force;
        struct role_secret *secrets;
        size_t secret_count;
        json_t *plan;           /* out: as plan_to_json; owned */
        struct adopted adopted; /* out */
};

/* -error, or the number of changes planned. */
static inline int live_run(struct live *o, struct err **err)
{
        struct journal *journal = NULL;
        struct engine *engine = NULL;
        CLEANUP_RESOURCES struct resources desired = {0};
        CLEANUP_PLAN struct plan plan = {0};
        struct role_secrets secrets = {.item = o->secrets, .count = o->secret_count};
        json_auto_t *form = json_object(), *target = live_target();
        bool destroy = o->mode == LIVE_DESTROY;
        live_events[0] = '\0';
        if (!destroy)
                live_resources(o->yaml, &desired);
        int r = journal_open(live_state, true, &journal, err);
        if (r < 0)
                return r;
        const struct engine_options options = {.journal = journal,
                .cluster = live_namespace,
                .target = "kubernetes",
                .target_form = target,
                .kube = kube_link_new(target, NULL),
                .state_dir = live_state,
                .cache_dir = live_state,
                .data_dir = live_state,
                .version = "test",
                .form = destroy ? NULL : form,
                .desired = destroy ? NULL : &desired,
                .secrets = destroy ? NULL : &secrets,
                .kinds = kind_table,
                .on_event = live_sink,
                .delete_data = o->delete_data,
                .force_conflicts = o->force};
        r = engine_new(&options, &engine, err);
        if (r == 0 && o->mode == LIVE_ADOPT)
                r = engine_adopt(engine, &o->adopted, err);
        else if (r == 0)
                r = destroy ? engine_plan_destroy(engine, &plan, err) : engine_plan(engine, &plan, err);
        json_decref(o->plan);
        o->plan = plan_to_json(&plan, false);
        if (getenv("TEST_VERBOSE"))
                json_dumpf(o->plan, stderr, JSON_INDENT(1));
        if (r == 0 && (o->mode == LIVE_APPLY || destroy))
                r = engine_apply(engine, &plan, destroy ? "destroy" : "apply", err);
        int changes = (int)(plan.create + plan.update + plan.replace + plan.remove + plan.refuse);
        engine_free(engine);
        kube_link_free(options.kube);
        journal_close(journal);
        return r < 0 ? r : changes;
}

/* It has to succeed. The number of changes planned; the plan is the caller's who asks for it. */
static inline int live_done(struct live *o, json_t **ret_plan)
{
        struct err *err = NULL;
        int r = live_run(o, &err);
        if (r < 0)
                fail_msg("%s", err->message);
        if (ret_plan)
                *ret_plan = o->plan;
        else
                json_decref(o->plan);
        o->plan = NULL;
        return r;
}

static inline int live_must(const char *yaml, enum live_mode mode, json_t **ret_plan)
{
        struct live o = {.yaml = yaml, .mode = mode};
        return live_done(&o, ret_plan);
}

/* Fails; the message is the caller's. */
static inline char *live_refused(const char *yaml, enum live_mode mode)
{
        struct live o = {.yaml = yaml, .mode = mode};
        struct err *err = NULL;
        int r = live_run(&o, &err);
        json_decref(o.plan);
        if (r >= 0)
                fail_msg("it was accepted");
        char *text = str_copy(err->message);
        err_free(err);
        return text;
}

static inline json_t *live_get(const char *api_version, const char *kind, const char *name)
{
        struct kube_ref ref = {api_version, kind, live_namespace, name};
        json_t *object = NULL;
        kube_get(live_kube, &ref, &object, NULL);
        return object;
}

/* As if somebody else wrote it: server-side apply or a patch by another manager is done by kubectl in real life. */
static inline void live_by_hand(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void live_by_hand(const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *args = str_vformat(format, ap);
        va_end(ap);
        CLEANUP_FREE char *line = str_format("%s --kubeconfig %s -n %s %s >/dev/null", getenv("CAAS_KUBECTL"),
                getenv("CAAS_KUBECONFIG"), live_namespace, args);
        if (system(line) != 0)
                fail_msg("%s", line);
}

#endif
