/* When the last good backup ended. caas makes none itself: somebody's tool does, and touches a file when it is done; or
 * it is a CronJob of the namespace, of which Kubernetes keeps when it last succeeded.
 *
 * A file or job that is not there yet is a backup that never was: 0. What is in the future is nobody's end, and would
 * hold the alert back for as long as it is. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "exporter/api.h"
#include "exporter/kube_read.h"
#include "exporter/source_backup.h"
#include "exporter/source_list.h"

#define CLOCKS_DIFFER 3600 /* seconds that the clock of who made the backup may be ahead of ours */

static const struct family BACKUP = {.name = "caas_backup_last_success_timestamp_seconds",
        .help = "When the last good backup ended; 0: never.",
        .unit = "seconds"};
static const struct family *const FAMILIES[] = {&BACKUP, NULL};

static bool wanted(const struct config *config)
{
        return config->backup_stamp || config->backup_cronjob;
}

static int of_file(const char *path, double *ret, struct err **err)
{
        struct stat st;
        if (stat(path, &st) < 0) {
                if (errno != ENOENT)
                        return err_set_errno(err, errno, "cannot look at %s", path);
                *ret = 0;
                return 0;
        }
        if (!S_ISREG(st.st_mode)) /* what is done in a folder changes its time */
                return err_set(err, ERR_REFUSED, "%s is no file", path);
        *ret = (double)st.st_mtim.tv_sec;
        return 0;
}

int backup_of_job(const json_t *job, double *ret, struct err **err)
{
        const json_t *when = json_object_get(json_object_get(job, "status"), "lastSuccessfulTime");
        double ended = 0;
        if (when && !json_is_null(when) && !api_time(when, &ended))
                return err_set(err, ERR_INVALID, "its lastSuccessfulTime is no time");
        *ret = ended;
        return 0;
}

static int of_cronjob(const struct config *config, void **memory, double *ret, struct err **err)
{
        struct kube *kube = *memory;
        CLEANUP_ERR struct err *why = NULL;
        json_auto_t *job = NULL;
        int r = kube_read_one(config, &kube, "batch/v1", "CronJob", config->backup_cronjob, &job, &why);
        *memory = kube;
        if (r == -ERR_NOT_FOUND) {
                *ret = 0;
                return 0;
        }
        if (r < 0) {
                if (err)
                        *err = STEAL(why);
                return r;
        }
        r = backup_of_job(job, ret, err);
        return r < 0 ? err_prefix(err, "CronJob %s", config->backup_cronjob) : 0;
}

static int refresh(const struct config *config, void **memory, struct sample_sink *sink, struct err **err)
{
        const char *name = config->backup_stamp ? config->backup_stamp : config->backup_cronjob;
        double ended = 0, now = (double)clock_system()->wall_ms(clock_system()) / 1000;
        int r = config->backup_stamp ? of_file(config->backup_stamp, &ended, err)
                                     : of_cronjob(config, memory, &ended, err);
        if (r < 0)
                return r;
        if (ended > now + CLOCKS_DIFFER)
                return err_set(
                        err, ERR_INVALID, "%s: the last backup ended %.0f s from now, by its time", name, ended - now);
        sink_add(sink, &BACKUP, ended > 0 ? ended : 0, NULL);
        return 0;
}

static void done(void *memory)
{
        kube_close(memory);
}

const struct source source_backup = {"backup", FAMILIES, wanted, refresh, done};
