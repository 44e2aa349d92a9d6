/* Homes: how much of each is used, and what the disk that holds them all has left. And the hub's database as a volume,
 * for Kubernetes' dashboards. */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include <errno.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/home/home.h"
#include "exporter/families.h"
#include "exporter/source_list.h"

#define SHARED "namespace,mountpoint,component"

static const struct family IMAGES = {.name = "caas_homes_images_bytes",
        .help = "What the images of all homes really take on the disk that holds them.",
        .unit = "bytes"};
static const struct family FREE = {.name = "caas_homes_free_bytes",
        .help = "Free space of the disk that holds the images of all homes.",
        .unit = "bytes"};
static const struct family DIRECTORY = {.name = "dirsize_total_size_bytes",
        .help = "What a user has stored, under the name that prometheus-dirsize-exporter has for it.",
        .unit = "bytes",
        .labels = "namespace,directory"};
static const struct family ENTRIES = {.name = "dirsize_entries_count",
        .help = "Files and folders in a home, under the name that prometheus-dirsize-exporter has for it.",
        .labels = "namespace,directory"};
static const struct family SHARED_FREE = {.name = "node_filesystem_avail_bytes",
        .help = "Free space of the disk that holds all homes, as the volume that they share on Kubernetes.",
        .unit = "bytes",
        .labels = SHARED};
static const struct family SHARED_SIZE = {.name = "node_filesystem_size_bytes",
        .help = "Size of the disk that holds all homes, as the volume that they share on Kubernetes.",
        .unit = "bytes",
        .labels = SHARED};
static const struct family *const FAMILIES[] = {&HOME_USED, &HOME_SIZE, &IMAGES, &FREE, &VOLUME_USED, &VOLUME_CAPACITY,
        &VOLUME_AVAILABLE, &DIRECTORY, &ENTRIES, &SHARED_FREE, &SHARED_SIZE, NULL};

static bool wanted(const struct config *config)
{
        return config->homes_images && config->homes_mounts;
}

static int by_user(const void *a, const void *b)
{
        return strcmp(((const struct home_info *)a)->user, ((const struct home_info *)b)->user);
}

/* A home that is not mounted cannot be asked. */
static void recall(struct home_info *home, const struct homes *last)
{
        const struct home_info *found =
                last->count ? bsearch(home, last->item, last->count, sizeof *last->item, by_user) : NULL;
        if (!home->mounted) {
                home->used = found ? found->used : home->disk;
                home->entries = found ? found->entries : 0;
        }
        if (home->used > home->bytes)
                home->used = home->bytes;
}

static void add(const struct config *config, const struct home_info *home, struct sample_sink *sink)
{
        char claim[128] = "claim-";
        strncat(claim, home->user, sizeof claim - sizeof "claim-");
        const char *const user[] = {"user", home->user, NULL};
        const char *const volume[] = {
                "namespace", config->namespace_, "persistentvolumeclaim", claim, "node", config->node, NULL};
        sink_add(sink, &HOME_USED, (double)home->used, user);
        sink_add(sink, &HOME_SIZE, (double)home->bytes, user);
        sink_add(sink, &VOLUME_USED, (double)home->used, volume);
        sink_add(sink, &VOLUME_CAPACITY, (double)home->bytes, volume);
        sink_add(sink, &VOLUME_AVAILABLE, (double)(home->bytes - home->used), volume);
        const char *const directory[] = {"namespace", config->namespace_, "directory", home->user, NULL};
        sink_add(sink, &DIRECTORY, (double)home->used, directory);
        if (home->entries > 0) /* else it was not mounted yet */
                sink_add(sink, &ENTRIES, (double)home->entries, directory);
}

static double bytes(fsblkcnt_t blocks, const struct statvfs *disk)
{
        return (double)blocks * (double)disk->f_frsize;
}

static void add_disk(const struct config *config, const struct statvfs *disk, struct sample_sink *sink)
{
        const char *const shared[] = {"namespace", config->namespace_, "mountpoint", "/shared-volume", "component",
                "shared-volume-metrics", NULL};
        sink_add(sink, &FREE, bytes(disk->f_bavail, disk), NULL);
        sink_add(sink, &SHARED_FREE, bytes(disk->f_bavail, disk), shared);
        sink_add(sink, &SHARED_SIZE, bytes(disk->f_blocks, disk), shared);
}

/* As the claim that JupyterHub's chart makes for it. Homes do not wait for the hub: before it has begun there is none.
 */
static void add_database(const struct config *config, struct sample_sink *sink)
{
        struct statvfs disk;
        const char *const volume[] = {
                "namespace", config->namespace_, "persistentvolumeclaim", "hub-db-dir", "node", config->node, NULL};
        if (!config->hub_database || statvfs(config->hub_database, &disk) < 0)
                return;
        sink_add(sink, &VOLUME_USED, bytes(disk.f_blocks - disk.f_bfree, &disk), volume);
        sink_add(sink, &VOLUME_CAPACITY, bytes(disk.f_blocks, &disk), volume);
        sink_add(sink, &VOLUME_AVAILABLE, bytes(disk.f_bavail, &disk), volume);
}

/* The state is what was seen last, by user. */
static int refresh(const struct config *config, void **state, struct sample_sink *sink, struct err **err)
{
        const struct home_store store = {.images = config->homes_images, .mounts = config->homes_mounts};
        struct homes *last = *state ? *state : (*state = mem_zero(sizeof *last));
        CLEANUP_HOMES struct homes now = {0};
        struct statvfs disk;
        int64_t images = 0;
        if (statvfs(config->homes_images, &disk) < 0)
                return err_set_errno(err, errno, "%s", config->homes_images);
        int r = home_list(&store, &now, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < now.count; i++) {
                images += now.item[i].disk;
                if (now.item[i].bytes <= 0) /* it went while it was looked at */
                        continue;
                recall(&now.item[i], last);
                add(config, &now.item[i], sink);
        }
        sink_add(sink, &IMAGES, (double)images, NULL);
        add_disk(config, &disk, sink);
        add_database(config, sink);
        homes_clear(last);
        *last = now;
        now = (struct homes){0};
        return 0;
}

static void done(void *state)
{
        if (state)
                homes_clear(state);
        free(state);
}

const struct source source_home = {"home", FAMILIES, wanted, refresh, done};
