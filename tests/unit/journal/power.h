/* Power loss. A program with this has its fdatasync and fsync before the C library's, for SQLite as well: each copies
 * the file to a "disk" of its own. What stands there is what a machine would find after its power was cut. */
#ifndef CAAS_TEST_POWER_H
#define CAAS_TEST_POWER_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "scratch.h"

static struct {
        char *state, *disk; /* NULL: nothing is copied */
        atomic_int syncs, slow_us;
        atomic_bool broken;
        pthread_mutex_t mutex;
} power = {.mutex = PTHREAD_MUTEX_INITIALIZER};
static _Thread_local bool power_looking; /* what a test does to look at the disk is not the machine's doing */

static void copy_file(int fd, const char *to)
{
        char piece[65536];
        FILE *out = fopen(to, "wb");
        assert_non_null(out);
        ssize_t n;
        for (off_t at = 0; (n = pread(fd, piece, sizeof piece, at)) > 0; at += n)
                assert_int_equal(fwrite(piece, 1, (size_t)n, out), n);
        fclose(out);
}

static int put_on_disk(int fd)
{
        char link[64], path[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        if (n < 0 || !power.disk || power_looking)
                return 0;
        atomic_fetch_add(&power.syncs, 1);
        if (atomic_load(&power.broken)) {
                errno = EIO;
                return -1;
        }
        path[n] = '\0';
        usleep((useconds_t)atomic_load(&power.slow_us));
        pthread_mutex_lock(&power.mutex);
        const char *name = strrchr(path, '/') + 1;
        char *to = file_join(power.disk, name);
        if (str_starts(path, power.state) && str_starts(name, "journal.sqlite"))
                copy_file(fd, to);
        free(to);
        pthread_mutex_unlock(&power.mutex);
        return 0;
}

int fdatasync(int fd)
{
        return put_on_disk(fd);
}

int fsync(int fd)
{
        return put_on_disk(fd);
}

/* power.state and power.disk: the file systems of the machine before and after. */
static inline void power_begin(const char *folder)
{
        power.state = file_join(folder, "state");
        power.disk = file_join(folder, "disk");
        atomic_store(&power.syncs, 0);
        atomic_store(&power.broken, false);
        assert_done(file_make_dirs(power.disk, 0700, err));
}

static inline void power_end(void)
{
        free(power.state);
        free(power.disk);
        power.state = power.disk = NULL;
}

/* 1: complete, 0: begun, -1: not there. */
static inline int power_found(const char *id)
{
        static const char *const names[] = {"caas.state", "journal.sqlite", "journal.sqlite-wal"};
        char *disk = power.disk, *copy = str_format("%s-copy", disk);
        pthread_mutex_lock(&power.mutex);
        power_looking = true;
        assert_done(file_remove_tree(copy, err));
        assert_done(file_make_dirs(copy, 0700, err));
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                char *data = NULL, *from = file_join(i == 0 ? power.state : disk, names[i]);
                char *to = file_join(copy, names[i]);
                size_t length = 0;
                if (file_read(from, 64UL * 1024 * 1024, &data, &length, NULL) == 0)
                        assert_done(file_write_atomic(to, data, length, 0600, (uid_t)-1, (gid_t)-1, err));
                free(data);
                free(from);
                free(to);
        }
        struct journal *journal = open_journal(copy);
        struct journal_resources list = {0};
        assert_done(journal_resources(journal, "demo", &list, err));
        int is = -1;
        for (size_t i = 0; i < list.count; i++)
                if (str_is(list.item[i].resource.id, id))
                        is = list.item[i].complete;
        journal_resources_clear(&list);
        journal_close(journal);
        power_looking = false;
        pthread_mutex_unlock(&power.mutex);
        free(copy);
        return is;
}

#endif
