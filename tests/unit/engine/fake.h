/* A kind whose things are small files in a folder, and which can be killed at every point. */
#ifndef CAAS_TEST_FAKE_H
#define CAAS_TEST_FAKE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"

static char *fake_folder;       /* where the things are */
static long fake_kill_at;       /* the process ends at this point; 0 = never */
static long fake_points;        /* passed so far */
static int fake_applies;        /* calls of apply */
static int fake_fail_times;     /* so many applies fail as unreachable */
static const char *fake_broken; /* this id always fails */
static void (*fake_hook)(const char *id);

static void fake_point(void)
{
        if (__atomic_add_fetch(&fake_points, 1, __ATOMIC_SEQ_CST) == fake_kill_at)
                _exit(137); /* as kill -9: nothing is cleaned up */
}

static char *fake_path(const json_t *spec)
{
        return file_join(fake_folder, json_string_value(json_object_get(spec, "name")));
}

static int fake_observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret, struct err **err)
{
        (void)ctx;
        CLEANUP_FREE char *path = fake_path(r->spec), *text = NULL;
        CLEANUP_ERR struct err *missing = NULL;
        if (file_read(path, 1000, &text, NULL, &missing) < 0) {
                if (missing->code != ERR_NOT_FOUND)
                        return err_set(err, ERR_IO, "%s", missing->message);
                *ret = NULL;
                return 0;
        }
        *ret = json_pack("{s:s}", "text", text);
        return 0;
}

static int fake_compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret, struct err **err)
{
        (void)err;
        change_default(r, recorded, state, ret);
        const char *old = recorded ? json_string_value(json_object_get(recorded->spec, "name")) : NULL;
        if (old && !str_is(old, json_string_value(json_object_get(r->spec, "name")))) {
                ret->action = ACTION_REPLACE;
                return 0;
        }
        if (recorded && json_is_true(json_object_get(recorded->spec, "frozen")) && ret->action == ACTION_UPDATE) {
                ret->action = ACTION_REFUSE;
                free(ret->reason);
                ret->reason = str_copy("it is frozen");
        }
        return 0;
}

/* What a spec calls unfit is found beforehand. */
static int fake_preflight(
        struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, struct err **err)
{
        (void)ctx;
        (void)recorded;
        const char *why = json_string_value(json_object_get(r->spec, "unfit"));
        return why ? err_set(err, ERR_DENIED, "%s", why) : 0;
}

static int fake_turn(const json_t *spec)
{
        return (int)json_integer_value(json_object_get(spec, "turn"));
}

static int fake_write(const char *path, const char *text, struct err **err)
{
        return file_write_atomic(path, text, strlen(text), 0600, (uid_t)-1, (gid_t)-1, err);
}

static int fake_apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded,
        const json_t *state, json_t **ret_outputs, struct err **err)
{
        (void)recorded;
        (void)state;
        __atomic_add_fetch(&fake_applies, 1, __ATOMIC_SEQ_CST);
        if (fake_hook)
                fake_hook(r->id);
        if (fake_fail_times > 0) {
                fake_fail_times--;
                return err_set(err, ERR_UNREACHABLE, "nobody answers");
        }
        if (str_is(r->id, fake_broken))
                return err_set(err, ERR_FAILED, "it is broken");
        CLEANUP_FREE char *path = fake_path(r->spec);
        json_t *resolved = NULL;
        int result = kind_resolve(ctx, r->spec, &resolved, err);
        if (result < 0)
                return result;
        CLEANUP_FREE char *text = str_copy(json_string_value(json_object_get(resolved, "text")));
        kind_forget(resolved);
        fake_point();
        result = fake_write(path, "half", err);
        fake_point();
        if (result == 0)
                result = fake_write(path, text, err);
        fake_point();
        if (result == 0)
                *ret_outputs = json_pack("{s:s}", "path", path);
        return result;
}

static int fake_remove(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)ctx;
        (void)recorded;
        if (json_is_true(json_object_get(r->spec, "keep"))) {
                *ret_kept = str_copy("kept");
                return 0;
        }
        CLEANUP_FREE char *path = fake_path(r->spec);
        fake_point();
        int result = file_remove(path, err);
        fake_point();
        return result;
}

static const struct kind fake_kind = {.name = "fake",
        .retries = 2,
        .turn = fake_turn,
        .observe = fake_observe,
        .compare = fake_compare,
        .preflight = fake_preflight,
        .apply = fake_apply,
        .remove = fake_remove};
static const struct kind fake_locked = {
        .name = "fake.locked", .lock = "one", .observe = fake_observe, .apply = fake_apply, .remove = fake_remove};
static const struct kind *const fake_kinds[] = {&fake_kind, &fake_locked, NULL};

#endif
