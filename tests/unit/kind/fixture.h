/* A state folder of its own for each test, a resolver of two secrets, and short ways to run a kind. */
#ifndef CAAS_TESTS_UNIT_KIND_FIXTURE_H
#define CAAS_TESTS_UNIT_KIND_FIXTURE_H

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../client/must.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"
#include "kind/net.h"
#include "tree/digest.h"
#include "tree/subst.h"

#define SECRET "s3cret-\"quoted\" $HOME `x` \\ end"

/* The first of a hundred ports that nobody uses. */
static int fixture_ports;

static inline int fixture_find_ports(void)
{
        for (int base = 24000 + (int)(getpid() % 60) * 100;; base = base >= 31000 ? 24000 : base + 100) {
                bool all = true;
                for (int i = 0; i < 100 && all; i++)
                        all = net_port_is_free(base + i);
                if (all)
                        return base;
        }
}

struct fixture {
        char *state, *cluster_dir, *cache;
        struct kind_ctx ctx;
        struct cancel *cancel;
        int progress_lines;
};

/* Secrets: "hub/token" is SECRET; another is not known. A {"$join"} becomes text. */
static inline json_t *fixture_fill(const json_t *value, bool *missing)
{
        const json_t *secret = json_object_get(value, MARK_SECRET), *join = json_object_get(value, MARK_JOIN);
        if (secret) {
                *missing |= !str_is(json_string_value(secret), "hub/token");
                return json_string(SECRET);
        }
        size_t i;
        json_t *item, *copy;
        const char *key;
        if (join) {
                CLEANUP_BUF struct buf text = BUF_INIT(65536);
                json_array_foreach ((json_t *)join, i, item) {
                        json_auto_t *part = fixture_fill(item, missing);
                        buf_str(&text, json_string_value(part));
                }
                return json_string(text.data);
        }
        if (json_is_array(value)) {
                copy = json_array();
                json_array_foreach ((json_t *)value, i, item)
                        json_array_append_new(copy, fixture_fill(item, missing));
                return copy;
        }
        if (json_is_object(value)) {
                copy = json_object();
                json_object_foreach ((json_t *)value, key, item)
                        json_object_set_new(copy, key, fixture_fill(item, missing));
                return copy;
        }
        return json_deep_copy(value);
}

static inline int fixture_resolve(struct kind_ctx *ctx, const json_t *spec, json_t **ret, struct err **err)
{
        (void)ctx;
        bool missing = false;
        json_t *filled = fixture_fill(spec, &missing);
        if (missing) {
                json_decref(filled);
                return err_set(err, ERR_NOT_FOUND, "unknown secret");
        }
        *ret = filled;
        return 0;
}

static inline void fixture_progress(struct kind_ctx *ctx, const char *text)
{
        struct fixture *f = ctx->engine;
        f->progress_lines++;
        if (getenv("TEST_VERBOSE"))
                fprintf(stderr, "  … %s\n", text);
}

static inline int fixture_setup(void **state)
{
        struct fixture *f = mem_zero(sizeof *f);
        if (!fixture_ports)
                fixture_ports = fixture_find_ports();
        char folder[] = "/tmp/caas-test-XXXXXX";
        assert_non_null(mkdtemp(folder));
        chmod(folder, 0755);
        f->state = str_copy(folder);
        f->cluster_dir = file_join(folder, "clusters/demo");
        f->cache = file_join(folder, "cache");
        assert_int_equal(file_make_dirs(f->cluster_dir, 0755, NULL), 0);
        f->cancel = cancel_new();
        f->ctx = (struct kind_ctx){.cluster = "demo",
                .state_dir = f->state,
                .cluster_dir = f->cluster_dir,
                .cache_dir = f->cache,
                .data_dir = f->state,
                .cancel = f->cancel,
                .clock = clock_system(),
                .engine = f,
                .resolve = fixture_resolve,
                .progress = fixture_progress};
        *state = f;
        return 0;
}

static inline int fixture_teardown(void **state)
{
        struct fixture *f = *state;
        file_remove_tree(f->state, NULL);
        cancel_free(f->cancel);
        free(f->state);
        free(f->cluster_dir);
        free(f->cache);
        free(f);
        return 0;
}

/* A resource "test/it" of the kind; the spec is JSON text in which D stands for the cluster's folder as in "D/file",
 * and P07 for the eighth of our ports. */
static inline struct resource fixture_resource(struct fixture *f, const struct kind *kind, const char *spec)
{
        CLEANUP_BUF struct buf text = BUF_INIT(65536);
        for (const char *p = spec; *p; p++) {
                bool begins = p == spec || !isalnum((unsigned char)p[-1]); /* not within a temporary folder's name */
                if (begins && p[0] == 'D' && p[1] == '/')
                        buf_str(&text, f->cluster_dir);
                else if (begins && p[0] == 'P' && strspn(p + 1, "0123456789") == 2)
                        buf_format(&text, "%d", fixture_ports + atoi(p + 1)), p += 2;
                else
                        buf_add(&text, p, 1);
        }
        json_error_t where;
        json_t *tree = json_loads(text.data, 0, &where);
        if (!tree)
                fail_msg("spec: %s: %s", where.text, text.data);
        return (struct resource){.id = str_copy("test/it"), .kind = str_copy(kind->name), .spec = tree};
}

static inline void fixture_resource_clear(struct resource *r)
{
        free(r->id);
        free(r->kind);
        json_decref(r->spec);
}
#define CLEANUP_RESOURCE __attribute__((cleanup(fixture_resource_clear)))

/* What the journal would hold after an apply. */
struct remembered {
        struct recorded recorded;
        json_t *spec, *state, *outputs;
        char digest[DIGEST_SIZE];
};

static inline void remembered_clear(struct remembered *m)
{
        json_decref(m->spec);
        json_decref(m->state);
        json_decref(m->outputs);
        *m = (struct remembered){0};
}
#define CLEANUP_REMEMBERED __attribute__((cleanup(remembered_clear)))

static inline const struct recorded *remembered_of(const struct remembered *m)
{
        return m->recorded.kind ? &m->recorded : NULL;
}

/* Checks, observes, compares, applies if need be, observes again: one run of the engine. Returns the action or an
 * error. */
static inline int fixture_run(
        struct fixture *f, const struct kind *kind, const struct resource *r, struct remembered *m, struct err **err)
{
        json_auto_t *before = NULL;
        json_t *after = NULL, *outputs = NULL;
        struct change change = {0};
        int result = kind->check ? kind->check(r->spec, err) : 0;
        if (result == 0)
                result = kind->observe(&f->ctx, r, &before, err);
        if (result < 0)
                return result;
        if (kind->compare)
                result = kind->compare(r, remembered_of(m), before, &change, err);
        else
                change_default(r, remembered_of(m), before, &change);
        int action = (int)change.action;
        change_clear(&change);
        if (result < 0 || action == ACTION_NONE || action == ACTION_REFUSE)
                return result < 0 ? result : action;
        if (action == ACTION_REPLACE && kind->preflight)
                result = kind->preflight(&f->ctx, r, remembered_of(m), err);
        if (result == 0 && action == ACTION_REPLACE) {
                struct resource old = {.id = r->id, .kind = r->kind, .spec = m->spec};
                char *kept = NULL;
                result = kind->remove(&f->ctx, &old, remembered_of(m), &kept, err);
                free(kept);
        } else if (result == 0 && kind->preflight) {
                result = kind->preflight(&f->ctx, r, remembered_of(m), err);
        }
        if (result == 0)
                result = kind->apply(&f->ctx, r, remembered_of(m), before, &outputs, err);
        if (result == 0)
                result = kind->observe(&f->ctx, r, &after, err);
        if (result < 0)
                return result;
        remembered_clear(m);
        *m = (struct remembered){.spec = json_deep_copy(r->spec), .state = after, .outputs = outputs};
        digest_tree(r->spec, m->digest);
        m->recorded = (struct recorded){.kind = kind->name,
                .spec = m->spec,
                .digest = m->digest,
                .state = m->state,
                .outputs = m->outputs,
                .complete = true};
        return action;
}

/* The same from JSON text; a failure fails the test. */
static inline int fixture_apply(struct fixture *f, const struct kind *kind, const char *spec, struct remembered *m)
{
        CLEANUP_RESOURCE struct resource r = fixture_resource(f, kind, spec);
        struct err *err = NULL;
        int action = fixture_run(f, kind, &r, m, &err);
        if (action < 0)
                fail_msg("%s: %s", kind->name, err ? err->message : "no message");
        return action;
}

/* The same where a failure is expected; returns its message, which the caller frees. */
static inline char *fixture_refused(struct fixture *f, const struct kind *kind, const char *spec, struct remembered *m)
{
        CLEANUP_RESOURCE struct resource r = fixture_resource(f, kind, spec);
        CLEANUP_ERR struct err *err = NULL;
        int action = fixture_run(f, kind, &r, m, &err);
        if (action >= 0)
                fail_msg("%s accepted %s", kind->name, spec);
        assert_non_null(err);
        assert_int_equal(action, -(int)err->code);
        return str_copy(err->message);
}

/* Removes what was applied; returns what was kept (may be NULL), which the caller frees. */
static inline char *fixture_remove(struct fixture *f, const struct kind *kind, struct remembered *m)
{
        struct resource old = {.id = (char *)"test/it", .kind = (char *)kind->name, .spec = m->spec};
        char *kept = NULL;
        struct err *err = NULL;
        if (kind->remove(&f->ctx, &old, remembered_of(m), &kept, &err) < 0)
                fail_msg("%s: %s", kind->name, err->message);
        return kept;
}

static inline char *fixture_path(struct fixture *f, const char *name)
{
        return file_join(f->cluster_dir, name);
}

static inline void assert_content(struct fixture *f, const char *name, const char *expected)
{
        CLEANUP_FREE char *path = fixture_path(f, name);
        CLEANUP_FREE char *data = NULL;
        MUST(file_read(path, 1 << 20, &data, NULL, err));
        assert_string_equal(data, expected);
}

static inline void assert_mode(struct fixture *f, const char *name, unsigned mode)
{
        CLEANUP_FREE char *path = fixture_path(f, name);
        struct stat st;
        assert_int_equal(lstat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, mode);
}

static inline bool is_there(struct fixture *f, const char *name)
{
        CLEANUP_FREE char *path = fixture_path(f, name);
        struct stat st;
        return lstat(path, &st) == 0;
}

static inline void put(struct fixture *f, const char *name, const char *content)
{
        CLEANUP_FREE char *path = fixture_path(f, name);
        MUST(file_write_atomic(path, content, strlen(content), 0644, (uid_t)-1, (gid_t)-1, err));
}

#endif
