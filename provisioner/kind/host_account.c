/* host.account: a system account with a group of the same name. One that we make carries our cluster's name in its
 * comment, so that even after a crash it is known whose it is; any other is used but never removed. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"
#include "kind/kind.h"
#include "kind/spec.h"

#define ENTRY_BYTES 4096

static const struct spec_field fields[] = {
        {"name", SPEC_TEXT, true},
        {"home", SPEC_PATH, false},
        {"comment", SPEC_STRING, false},
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        int result = spec_check(spec, fields, err);
        if (result < 0)
                return result;
        const char *name = spec_text(spec, "name", "x");
        if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(name) || strlen(name) > 32 ||
                name[0] == '-' || (name[0] >= '0' && name[0] <= '9'))
                return err_set(err, ERR_INVALID, "\"name\": %s is no name for an account", name);
        return 0;
}

struct account {
        bool there, ours;
        int uid, gid;
        char *home;
};

static void account_cleanup(struct account *a)
{
        free(a->home);
}
#define CLEANUP_ACCOUNT __attribute__((cleanup(account_cleanup)))

static char *mark_of(const struct kind_ctx *ctx, const struct resource *r)
{
        const char *comment = spec_text(r->spec, "comment", "");
        char *mark = str_format("caas %s%s%s", ctx->cluster, *comment ? " " : "", comment);
        for (char *p = mark; *p; p++)
                if (*p == ':' || (unsigned char)*p < ' ') /* what /etc/passwd cannot hold */
                        *p = ' ';
        return mark;
}

/* The local file only: a directory that hangs must not hang us. */
static int find(const struct kind_ctx *ctx, const char *name, struct account *ret, struct err **err)
{
        FILE *file = fopen("/etc/passwd", "re");
        if (!file)
                return err_set(err, ERR_IO, "cannot read /etc/passwd");
        CLEANUP_FREE char *mark = str_format("caas %s", ctx->cluster);
        size_t n = strlen(mark);
        char buffer[ENTRY_BYTES];
        struct passwd entry, *found;
        *ret = (struct account){0};
        while (!ret->there && fgetpwent_r(file, &entry, buffer, sizeof buffer, &found) == 0) {
                if (!str_is(entry.pw_name, name))
                        continue;
                bool ours = str_starts(entry.pw_gecos, mark) && (entry.pw_gecos[n] == '\0' || entry.pw_gecos[n] == ' ');
                *ret = (struct account){.there = true,
                        .ours = ours,
                        .uid = (int)entry.pw_uid,
                        .gid = (int)entry.pw_gid,
                        .home = str_copy(entry.pw_dir)};
        }
        fclose(file);
        return 0;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        CLEANUP_ACCOUNT struct account a = {0};
        int result = find(ctx, spec_text(r->spec, "name", ""), &a, err);
        if (result < 0)
                return result;
        *ret_state = a.there ? json_pack("{s:i, s:i, s:s}", "uid", a.uid, "gid", a.gid, "home", a.home) : NULL;
        return 0;
}

static int make(struct kind_ctx *ctx, const struct resource *r, const char *name, struct err **err)
{
        CLEANUP_FREE char *mark = mark_of(ctx, r);
        const char *argv[] = {"useradd", "--system", "--user-group", "--no-create-home", "--home-dir",
                spec_text(r->spec, "home", "/nonexistent"), "--shell", "/usr/sbin/nologin", "--comment", mark, name,
                NULL};
        struct proc_spec proc = {.argv = argv, .cancel = ctx->cancel, .new_session = true, .timeout_ms = 60000};
        return proc_must(&proc, NULL, err);
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        const char *name = spec_text(r->spec, "name", "");
        const char *home = spec_text(r->spec, "home", NULL);
        CLEANUP_ACCOUNT struct account a = {0};
        int result = find(ctx, name, &a, err);
        if (result == 0 && !a.there)
                result = make(ctx, r, name, err);
        if (result == 0 && a.ours && home && !str_is(home, a.home)) {
                const char *argv[] = {"usermod", "--home", home, name, NULL};
                struct proc_spec proc = {.argv = argv, .cancel = ctx->cancel, .new_session = true, .timeout_ms = 60000};
                result = proc_must(&proc, NULL, err);
        }
        account_cleanup(&a);
        a = (struct account){0};
        if (result == 0)
                result = find(ctx, name, &a, err);
        if (result < 0)
                return result;
        if (!a.there)
                return err_set(err, ERR_FAILED, "account %s was made but is not in /etc/passwd", name);
        *ret_outputs = json_pack("{s:s, s:i, s:i}", "name", name, "uid", a.uid, "gid", a.gid);
        return 0;
}

static int compare(const struct resource *r, const struct recorded *recorded, const json_t *state,
        struct change *ret_change, struct err **err)
{
        (void)err;
        change_default(r, recorded, state, ret_change);
        if (recorded && recorded->spec && ret_change->action != ACTION_NONE &&
                !json_equal(json_object_get(recorded->spec, "name"), json_object_get(r->spec, "name")))
                ret_change->action = ACTION_REPLACE;
        return 0;
}

static int remove_it(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, char **ret_kept,
        struct err **err)
{
        (void)recorded, (void)ret_kept;
        const char *name = spec_text(r->spec, "name", "");
        CLEANUP_ACCOUNT struct account a = {0};
        int result = find(ctx, name, &a, err);
        if (result < 0 || !a.ours)
                return result;
        const char *argv[] = {"userdel", name, NULL};
        struct proc_spec proc = {.argv = argv, .cancel = ctx->cancel, .new_session = true, .timeout_ms = 60000};
        return proc_must(&proc, NULL, err);
}

extern const struct kind kind_host_account;
const struct kind kind_host_account = {
        .name = "host.account",
        .lock = "accounts",
        .check = check,
        .observe = observe,
        .compare = compare,
        .apply = apply,
        .remove = remove_it,
};
