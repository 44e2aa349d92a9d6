/* caas-home: users' homes as images of a hard size. Run by root; it has no setuid bit and wants none. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/home/home.h"

#define UNMOUNT_MS 5000

static const char USAGE[] = "usage: caas-home mount   --images DIR --mounts DIR --user NAME --uid N --gid N --bytes N\n"
                            "       caas-home grow    --images DIR --mounts DIR --bytes N [--user NAME]\n"
                            "       caas-home unmount --images DIR --mounts DIR --user NAME | --all [--lazy]\n"
                            "       caas-home list    --images DIR --mounts DIR --json\n";

struct options {
        struct home_store store;
        const char *user;
        long uid, gid, bytes;
        bool all, lazy, json;
};

static int parse_value(struct options *o, const char *name, const char *value, struct err **err)
{
        const struct {
                const char *name;
                const char **text;
                long *number;
        } table[] = {
                {"--images", &o->store.images, NULL},
                {"--mounts", &o->store.mounts, NULL},
                {"--user", &o->user, NULL},
                {"--uid", NULL, &o->uid},
                {"--gid", NULL, &o->gid},
                {"--bytes", NULL, &o->bytes},
        };
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
                if (!str_is(name, table[i].name))
                        continue;
                if (table[i].text)
                        *table[i].text = value;
                else if (str_to_long(value, table[i].number) < 0 || *table[i].number < 0)
                        return err_set(err, ERR_USAGE, "%s: not a number: %s", name, value);
                return 0;
        }
        return err_set(err, ERR_USAGE, "unknown option %s", name);
}

static int parse(struct options *o, int argc, char **argv, struct err **err)
{
        for (int i = 0; i < argc; i++) {
                if (str_is(argv[i], "--all"))
                        o->all = true;
                else if (str_is(argv[i], "--lazy"))
                        o->lazy = true;
                else if (str_is(argv[i], "--json"))
                        o->json = true;
                else if (i + 1 == argc)
                        return err_set(err, ERR_USAGE, "%s: unknown, or its value is missing", argv[i]);
                else if (parse_value(o, argv[i], argv[i + 1], err) < 0)
                        return -ERR_USAGE;
                else
                        i++;
        }
        if (!o->store.images || !o->store.mounts)
                return err_set(err, ERR_USAGE, "--images and --mounts are needed");
        if (o->uid > UINT32_MAX - 2L || o->gid > UINT32_MAX - 2L)
                return err_set(err, ERR_INVALID, "--uid or --gid is out of range");
        return 0;
}

static int list(const struct options *o, struct err **err)
{
        CLEANUP_HOMES struct homes homes = {0};
        int r = home_list(&o->store, &homes, err);
        if (r < 0)
                return r;
        printf("[");
        for (size_t i = 0; i < homes.count; i++) {
                const struct home_info *h = &homes.item[i];
                printf("%s\n  {\"user\": \"%s\", \"bytes\": %" PRId64 ", \"used\": %" PRId64 ", \"disk\": %" PRId64
                       ", \"mounted\": %s}",
                        i ? "," : "", h->user, h->bytes, h->used, h->disk, h->mounted ? "true" : "false");
        }
        printf(homes.count ? "\n]\n" : "]\n");
        return 0;
}

static int run(const char *command, const struct options *o, struct err **err)
{
        if (str_is(command, "list"))
                return list(o, err);
        if (geteuid() != 0)
                return err_set(err, ERR_DENIED, "only root can do this");
        if (str_is(command, "mount"))
                return home_mount(&o->store, o->user, (uid_t)o->uid, (gid_t)o->gid, o->bytes, err);
        if (str_is(command, "grow"))
                return o->user ? home_grow(&o->store, o->user, o->bytes, err)
                               : home_grow_all(&o->store, o->bytes, NULL, err);
        if (str_is(command, "unmount")) {
                if (!o->user == !o->all)
                        return err_set(err, ERR_USAGE, "unmount needs --user NAME or --all");
                return o->all ? home_unmount_all(&o->store, UNMOUNT_MS, o->lazy, err)
                              : home_unmount(&o->store, o->user, UNMOUNT_MS, o->lazy, err);
        }
        return err_set(err, ERR_USAGE, "unknown command %s", command);
}

int main(int argc, char **argv)
{
        CLEANUP_ERR struct err *err = NULL;
        struct options options = {0};
        int r = argc < 2 ? err_set(&err, ERR_USAGE, "mount, grow, unmount or list?")
                         : parse(&options, argc - 2, argv + 2, &err);
        if (r == 0)
                r = run(argv[1], &options, &err);
        if (r == 0)
                return 0;
        CLEANUP_FREE char *text = err_text(err);
        fprintf(stderr, "caas-home: %s\n%s", text, r == -ERR_USAGE ? USAGE : "");
        return r == -ERR_USAGE ? 64 : 1;
}
