/* host.claim: numbers (ports, ranges of ids) that no other cluster on this host has.
 *
 * Ports are looked through from a place that depends on the state folder, so that clusters of two state folders, which
 * know nothing of each other, rarely want the same ones.
 *
 * A claim is the file <state>/claims/<scope>/<number> holding "<cluster> <resource> <name>". It comes into being whole,
 * by a link to a finished file, so there is never an empty one, and of two claimants exactly one wins. */
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "kind/kind.h"
#include "kind/net.h"
#include "kind/spec.h"
#include "tree/digest.h"

#define CLAIM_BYTES_MAX 4096

static const struct spec_field fields[] = {
        {"scope", SPEC_TEXT, true},
        {"names", SPEC_TEXTS, true},
        {"first", SPEC_WHOLE, true},
        {"last", SPEC_WHOLE, true},
        {"step", SPEC_WHOLE, false},
        {"keep", SPEC_BOOL, false}, /* numbers that user data carry: only `--delete-data` gives them back */
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        static const char *const scopes[] = {"port", "uid", NULL};
        int result = spec_check(spec, fields, err);
        if (result < 0)
                return result;
        const char *scope = spec_text(spec, "scope", "");
        if (!str_is(scope, scopes[0]) && !str_is(scope, scopes[1]))
                return err_set(err, ERR_INVALID, "\"scope\" must be port or uid, not %s", scope);
        int64_t first = spec_whole(spec, "first", 0), last = spec_whole(spec, "last", first);
        if (last < first || (str_is(scope, "port") && (first < 1 || last > 65535)))
                return err_set(err, ERR_INVALID, "\"first\" to \"last\" is no range of %ss", scope);
        if (spec_whole(spec, "step", 1) < 1)
                return err_set(err, ERR_INVALID, "\"step\" must be 1 or more");
        return 0;
}

struct claims {
        const char *scope;
        char *folder;
        char *owner;      /* "<cluster> <resource> " */
        char *unfinished; /* the name of a claim that has no number yet */
        int64_t first, last, step, offset;
};

static void claims_cleanup(struct claims *c)
{
        free(c->folder);
        free(c->owner);
        free(c->unfinished);
}
#define CLEANUP_CLAIMS __attribute__((cleanup(claims_cleanup)))

static struct claims claims_of(const struct kind_ctx *ctx, const struct resource *r)
{
        struct claims c = {.scope = spec_text(r->spec, "scope", "port"),
                .first = spec_whole(r->spec, "first", 1),
                .last = spec_whole(r->spec, "last", 0),
                .step = spec_whole(r->spec, "step", 1)};
        char digest[DIGEST_SIZE];
        digest_bytes(ctx->state_dir, strlen(ctx->state_dir), digest);
        digest[8] = '\0';
        c.offset = str_is(c.scope, "port") ? (int64_t)strtoul(digest, NULL, 16) : 0;
        c.folder = str_format("%s/claims/%s", ctx->state_dir, c.scope);
        c.owner = str_format("%s %s ", ctx->cluster, r->id);
        c.unfinished = str_format(".new %s", c.owner);
        for (char *p = c.unfinished; *p; p++)
                if (*p == '/')
                        *p = '-';
        return c;
}

static bool in_range(const struct claims *c, int64_t number)
{
        return number >= c->first && number <= c->last && (number - c->first) % c->step == 0;
}

/* The name a claim of ours was made for, or NULL. The caller frees. */
static char *name_of_claim(const struct claims *c, const char *file)
{
        CLEANUP_FREE char *path = file_join(c->folder, file);
        CLEANUP_FREE char *text = NULL;
        if (file_read(path, CLAIM_BYTES_MAX, &text, NULL, NULL) < 0 || !str_starts(text, c->owner))
                return NULL;
        return str_copy(str_trim(text + strlen(c->owner)));
}

/* {"name": number} of what we hold. surplus (may be NULL) gets the files that are ours but out of range or double. */
static json_t *held(const struct claims *c, json_t *surplus)
{
        json_t *list = json_object();
        DIR *dir = opendir(c->folder);
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
                long number;
                if (str_to_long(entry->d_name, &number) < 0)
                        continue;
                CLEANUP_FREE char *name = name_of_claim(c, entry->d_name);
                if (!name)
                        continue;
                if (in_range(c, number) && !json_object_get(list, name))
                        json_object_set_new(list, name, json_integer(number));
                else if (surplus)
                        json_array_append_new(surplus, json_string(entry->d_name));
        }
        if (dir)
                closedir(dir);
        return list;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        (void)err;
        CLEANUP_CLAIMS struct claims c = claims_of(ctx, r);
        json_auto_t *list = held(&c, NULL);
        *ret_state = json_object_size(list) > 0 ? json_incref(list) : NULL;
        return 0;
}

/* Has an account of this machine an id in the range? */
static bool ids_taken(int64_t first, int64_t count)
{
        FILE *file = fopen("/etc/passwd", "re");
        bool taken = false;
        char buffer[4096];
        struct passwd entry, *found;
        while (file && !taken && fgetpwent_r(file, &entry, buffer, sizeof buffer, &found) == 0)
                taken = (int64_t)entry.pw_uid >= first && (int64_t)entry.pw_uid < first + count;
        if (file)
                fclose(file);
        return taken;
}

static bool really_free(const struct claims *c, int64_t number)
{
        return str_is(c->scope, "port") ? net_port_is_free((int)number) : !ids_taken(number, c->step);
}

/* 1 = ours now, 0 = somebody has it. */
static int try_claim(const struct claims *c, int64_t number, const char *finished, struct err **err)
{
        CLEANUP_FREE char *path = str_format("%s/%lld", c->folder, (long long)number);
        if (link(finished, path) == 0)
                return 1;
        return errno == EEXIST ? 0 : err_set_errno(err, errno, "cannot claim %s %lld", c->scope, (long long)number);
}

/* Takes `preferred` (0 = none) or else the first free number. */
static int claim_one(const struct claims *c, const char *name, int64_t preferred, int64_t *ret, struct err **err)
{
        CLEANUP_FREE char *content = str_format("%s%s\n", c->owner, name);
        CLEANUP_FREE char *finished = file_join(c->folder, c->unfinished);
        int result = file_write_atomic(finished, content, strlen(content), 0644, (uid_t)-1, (gid_t)-1, err);
        if (result < 0)
                return result;
        int64_t got = 0;
        result = 0;
        if (preferred > 0 && in_range(c, preferred)) /* it is ours by the journal: our own service may hold it */
                result = try_claim(c, preferred, finished, err);
        if (result == 1)
                got = preferred;
        int64_t count = (c->last - c->first) / c->step + 1;
        for (int64_t i = 0; result == 0 && i < count; i++) {
                int64_t n = c->first + (c->offset + i) % count * c->step;
                CLEANUP_FREE char *path = str_format("%s/%lld", c->folder, (long long)n);
                if (file_exists(path) || !really_free(c, n))
                        continue;
                result = try_claim(c, n, finished, err);
                got = n;
        }
        unlink(finished);
        if (result == 0)
                return err_set(err, ERR_BUSY, "no %s from %lld to %lld is free for %s", c->scope, (long long)c->first,
                        (long long)c->last, name);
        if (result < 0)
                return result;
        *ret = got;
        return 0;
}

static void release(const struct claims *c, const char *file)
{
        CLEANUP_FREE char *path = file_join(c->folder, file);
        unlink(path);
}

/* What a kill has left of claims that were about to be made. Nobody else makes any for this resource: the cluster is
 * locked. */
static void sweep(const struct claims *c)
{
        DIR *dir = opendir(c->folder);
        struct dirent *entry;
        while (dir && (entry = readdir(dir)))
                if (str_starts(entry->d_name, c->unfinished))
                        release(c, entry->d_name);
        if (dir)
                closedir(dir);
}

static bool is_wanted(const json_t *names, const char *name)
{
        size_t i;
        json_t *item;
        json_array_foreach ((json_t *)names, i, item) {
                if (str_is(json_string_value(item), name))
                        return true;
        }
        return false;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)state;
        CLEANUP_CLAIMS struct claims c = claims_of(ctx, r);
        const json_t *names = json_object_get(r->spec, "names");
        int result = file_make_dirs(c.folder, 0755, err);
        if (result < 0)
                return result;
        sweep(&c);
        json_auto_t *surplus = json_array(), *have = held(&c, surplus), *outputs = json_object();
        size_t i;
        json_t *item;
        json_array_foreach ((json_t *)names, i, item) {
                const char *name = json_string_value(item);
                int64_t number = spec_whole(have, name, 0);
                if (number == 0)
                        result = claim_one(
                                &c, name, recorded ? spec_whole(recorded->outputs, name, 0) : 0, &number, err);
                if (result < 0)
                        return result;
                json_object_set_new(outputs, name, json_integer(number));
        }
        const char *name;
        json_object_foreach (have, name, item) {
                CLEANUP_FREE char *file = str_format("%lld", (long long)json_integer_value(item));
                if (!is_wanted(names, name))
                        release(&c, file);
        }
        json_array_foreach (surplus, i, item)
                release(&c, json_string_value(item));
        *ret_outputs = json_incref(outputs);
        return 0;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded, (void)ret_kept, (void)err;
        CLEANUP_CLAIMS struct claims c = claims_of(ctx, r);
        sweep(&c);
        if (spec_bool(r->spec, "keep", false) && !ctx->delete_data)
                return 0;
        c.first = 1; /* whatever the range is now: nothing is in range, so all of ours is surplus */
        c.last = 0;
        json_auto_t *surplus = json_array();
        json_decref(held(&c, surplus));
        size_t i;
        json_t *item;
        json_array_foreach (surplus, i, item)
                release(&c, json_string_value(item));
        return 0;
}

extern const struct kind kind_host_claim;
const struct kind kind_host_claim = {
        .name = "host.claim",
        .check = check,
        .observe = observe,
        .apply = apply,
        .remove = remove_it,
};
