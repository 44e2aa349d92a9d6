/* caas-home: users' homes as images of a hard size. Run by root; it has no setuid bit and wants none. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/words.h"
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

static int parse(struct options *o, char **words, struct err **err)
{
        const struct word table[] = {
                {"--images", .text = &o->store.images},
                {"--mounts", .text = &o->store.mounts},
                {"--user", .text = &o->user},
                {"--uid", .number = &o->uid},
                {"--gid", .number = &o->gid},
                {"--bytes", .number = &o->bytes},
                {"--all", .flag = &o->all},
                {"--lazy", .flag = &o->lazy},
                {"--json", .flag = &o->json},
                {0},
        };
        int r = words_read(table, words, NULL, NULL, err);
        if (r < 0)
                return r;
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
        int r = argc < 2 ? err_set(&err, ERR_USAGE, "mount, grow, unmount or list?") : parse(&options, argv + 2, &err);
        if (r == 0)
                r = run(argv[1], &options, &err);
        if (r == 0)
                return 0;
        CLEANUP_FREE char *text = err_text(err);
        fprintf(stderr, "caas-home: %s\n%s", text, r == -ERR_USAGE ? USAGE : "");
        return r == -ERR_USAGE ? 64 : 1;
}
