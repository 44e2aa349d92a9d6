/* Group commit. SQLite puts a commit into the write-ahead log (synchronous = NORMAL: and leaves it there); this puts
 * the log onto the disk, once for all threads whose commits have come together meanwhile.
 *
 * The descriptor is our own, because SQLite's must not be used while another thread uses the connection. Closing one
 * ends no lock: SQLite locks the database and the -shm file, never the log, and keeps the same log as long as it has
 * the database open. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "journal/journal_impl.h"

void sync_begin(struct journal_sync *sync)
{
        *sync = (struct journal_sync){.log = -1};
        pthread_mutex_init(&sync->mutex, NULL);
        pthread_cond_init(&sync->changed, NULL);
}

void sync_end(struct journal_sync *sync)
{
        file_cleanup_close(&sync->log);
        pthread_cond_destroy(&sync->changed);
        pthread_mutex_destroy(&sync->mutex);
}

/* The log, and that it has its name: SQLite makes it when the database is opened. */
static int open_log(const struct journal *journal)
{
        CLEANUP_FREE char *path = str_format("%s-wal", journal->path);
        CLEANUP_CLOSE int log = open(path, O_RDONLY | O_CLOEXEC);
        CLEANUP_CLOSE int folder = open(journal->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return log >= 0 && folder >= 0 && fsync(folder) == 0 ? file_take(&log) : -1;
}

/* By one thread at a time. 0 or errno. */
static int put_on_disk(struct journal *journal)
{
        struct journal_sync *sync = &journal->sync;
        if (sync->log < 0)
                sync->log = open_log(journal);
        return sync->log >= 0 && fdatasync(sync->log) == 0 ? 0 : errno;
}

void sync_committed(struct journal_sync *sync)
{
        atomic_fetch_add(&sync->committed, 1);
}

int sync_wait(struct journal *journal, int64_t commit, struct err **err)
{
        struct journal_sync *sync = &journal->sync;
        pthread_mutex_lock(&sync->mutex);
        while (sync->on_disk < commit && !sync->fault) {
                if (sync->busy) {
                        pthread_cond_wait(&sync->changed, &sync->mutex);
                        continue;
                }
                sync->busy = true;
                int64_t until = atomic_load(&sync->committed);
                pthread_mutex_unlock(&sync->mutex);
                int fault = put_on_disk(journal);
                pthread_mutex_lock(&sync->mutex);
                sync->busy = false;
                sync->fault = fault;
                if (!fault)
                        sync->on_disk = until;
                pthread_cond_broadcast(&sync->changed);
        }
        /* Linux reports a failed sync once and then forgets what was not written: no later one can make up for it. */
        int fault = sync->on_disk < commit ? sync->fault : 0;
        pthread_mutex_unlock(&sync->mutex);
        return fault ? err_set_errno(err, fault, "%s: cannot put it onto the disk", journal->path) : 0;
}
