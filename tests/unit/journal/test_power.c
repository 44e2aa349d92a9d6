/* Power loss. This program's fdatasync and fsync stand before the C library's, for SQLite as well: each copies the file
 * to a "disk" of its own. What stands there is what a machine would find after its power was cut. */
#include "scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static struct {
        char *state, *disk; /* NULL: nothing is copied */
        atomic_int syncs, slow_us;
        atomic_bool broken;
        pthread_mutex_t mutex;
} power = {.mutex = PTHREAD_MUTEX_INITIALIZER};

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
        if (n < 0 || !power.disk)
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

/* The file systems of the machine before and after. */
static struct journal *begin(const char *folder, int64_t *ret_run)
{
        power.state = file_join(folder, "state");
        power.disk = file_join(folder, "disk");
        atomic_store(&power.syncs, 0);
        atomic_store(&power.broken, false);
        assert_done(file_make_dirs(power.disk, 0700, err));
        struct journal *journal = open_journal(power.state);
        json_t *form = json_pack("{s:s}", "cluster", "demo");
        assert_done(journal_put_cluster(journal, "demo", "host", form, 1, err));
        assert_done(journal_run_begin(journal, "demo", "apply", 2, ret_run, err));
        json_decref(form);
        return journal;
}

/* 1: complete, 0: begun, -1: not there. */
static int found(const char *id)
{
        static const char *const names[] = {"caas.state", "journal.sqlite", "journal.sqlite-wal"};
        char *disk = power.disk, *copy = str_format("%s-copy", disk);
        power.disk = NULL; /* looking at it is not the machine's doing */
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
        power.disk = disk;
        free(copy);
        return is;
}

static void end(struct journal *journal)
{
        journal_close(journal);
        free(power.state);
        free(power.disk);
        power.state = power.disk = NULL;
}

static struct resource some(const char *id)
{
        return (struct resource){
                .id = str_copy(id), .kind = str_copy("host.file"), .spec = json_pack("{s:s}", "path", "/a")};
}

/* A call that has returned is on the disk. */
static void each_call_is_there(void **state)
{
        int64_t run;
        struct journal *journal = begin(*state, &run);
        for (int i = 0; i < 20; i++) {
                char *id = str_format("hub/%d", i);
                struct resource r = some(id);
                assert_int_equal(found(id), -1);
                assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
                assert_int_equal(found(id), 0);
                assert_done(journal_step_applied(journal, run, "demo", &r, "d", NULL, NULL, 2, err));
                assert_int_equal(found(id), 1);
                if (i % 2) {
                        assert_done(journal_step_intent(journal, run, "demo", &r, "remove", NULL, 1, err));
                        assert_int_equal(found(id), 0);
                        assert_done(journal_step_removed(journal, run, "demo", id, 2, err));
                        assert_int_equal(found(id), -1);
                }
                resource_clear(&r);
                free(id);
        }
        end(journal);
}

#define THREADS 8
#define STEPS   40

struct worker {
        struct journal *journal;
        int64_t run;
        int number, failures;
};

static void *work(void *data)
{
        struct worker *worker = data;
        for (int i = 0; i < STEPS; i++) {
                char *id = str_format("hub/%d-%d", worker->number, i);
                struct resource r = some(id);
                if (journal_step_intent(worker->journal, worker->run, "demo", &r, "create", NULL, 1, NULL) < 0 ||
                        journal_step_applied(worker->journal, worker->run, "demo", &r, "d", NULL, NULL, 2, NULL) < 0)
                        worker->failures++;
                resource_clear(&r);
                free(id);
        }
        return NULL;
}

static int work_all(struct journal *journal, int64_t run)
{
        pthread_t thread[THREADS];
        struct worker worker[THREADS];
        int failures = 0;
        for (int i = 0; i < THREADS; i++) {
                worker[i] = (struct worker){.journal = journal, .run = run, .number = i};
                assert_int_equal(pthread_create(&thread[i], NULL, work, &worker[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
                pthread_join(thread[i], NULL);
                failures += worker[i].failures;
        }
        return failures;
}

/* Threads share syncs, and what each was told is there, also after the log has been started anew (1,000 pages). */
static void threads_share_syncs(void **state)
{
        int64_t run;
        struct journal *journal = begin(*state, &run);
        atomic_store(&power.slow_us, 2000);
        atomic_store(&power.syncs, 0);
        assert_int_equal(work_all(journal, run), 0);
        int syncs = atomic_load(&power.syncs);
        atomic_store(&power.slow_us, 0);
        assert_in_range(syncs, 1, THREADS * STEPS);
        for (int i = 0; i < THREADS; i++) {
                char *id = str_format("hub/%d-%d", i, STEPS - 1);
                assert_int_equal(found(id), 1);
                free(id);
        }
        end(journal);
}

/* A sync that failed is not made up for by a later one: nobody is told that something is done from then on. */
static void broken_disk(void **state)
{
        int64_t run;
        struct journal *journal = begin(*state, &run);
        struct resource r = some("hub/a");
        assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err));
        atomic_store(&power.broken, true);
        assert_error(journal_step_applied(journal, run, "demo", &r, "d", NULL, NULL, 2, err), ERR_IO, "onto the disk");
        assert_int_equal(found("hub/a"), 0);
        atomic_store(&power.broken, false);
        assert_error(journal_step_intent(journal, run, "demo", &r, "create", NULL, 1, err), ERR_IO, "onto the disk");
        assert_int_equal(work_all(journal, run), THREADS * STEPS);
        resource_clear(&r);
        end(journal);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(each_call_is_there),
                scratch_test(threads_share_syncs),
                scratch_test(broken_disk),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
