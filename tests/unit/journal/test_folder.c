/* Whose folder it is, what is made in it, and what happens to journals of other versions and on bad disks. */
#include "scratch.h"

#include <fcntl.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "journal/journal_impl.h"

static mode_t mode_of(const char *folder, const char *name)
{
        char *path = file_join(folder, name);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        free(path);
        return st.st_mode & 07777;
}

static void run_sql(const char *folder, const char *sql)
{
        char *path = file_join(folder, "journal.sqlite");
        sqlite3 *db;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        free(path);
}

static void makes_its_folder(void **state)
{
        char *path = str_format("%s/deep/er/state", (char *)*state);
        mode_t old = umask(0077);
        struct journal *journal = open_journal(path);
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", "x", err));
        umask(old);
        assert_int_equal(mode_of(path, ""), 0711);
        assert_int_equal(mode_of(path, "caas.state"), 0644);
        assert_int_equal(mode_of(path, "journal.sqlite"), 0600);
        assert_int_equal(mode_of(path, "journal.sqlite-wal"), 0600);
        assert_int_equal(mode_of(path, "journal.sqlite-shm"), 0600);
        assert_int_equal(mode_of(path, "key"), 0600);
        journal_close(journal);
        journal_close(open_journal(path));
        free(path);
}

static void permissive_umask(void **state)
{
        mode_t old = umask(0);
        struct journal *journal = open_journal(*state);
        assert_done(journal_put_secret(journal, "demo", "hub/cookie", "x", err));
        umask(old);
        assert_int_equal(mode_of(*state, "journal.sqlite"), 0600);
        assert_int_equal(mode_of(*state, "journal.sqlite-wal"), 0600);
        assert_int_equal(mode_of(*state, "key"), 0600);
        journal_close(journal);
}

static void not_there(void **state)
{
        struct journal *journal = NULL;
        char *path = file_join(*state, "none");
        assert_error(journal_open(path, false, &journal, err), ERR_NOT_FOUND, "no cluster was made here yet");
        assert_false(file_exists(path));
        assert_error(journal_open(*state, false, &journal, err), ERR_NOT_FOUND, "no cluster was made here yet");
        assert_null(journal);
        write_text(*state, "file", "x");
        free(path);
        path = file_join(*state, "file");
        assert_error(journal_open(path, true, &journal, err), ERR_REFUSED, "is not a folder");
        free(path);
        path = file_join(*state, "file/below");
        assert_error(journal_open(path, true, &journal, err), ERR_NOT_FOUND, "Not a directory");
        free(path);
}

static void somebody_elses(void **state)
{
        struct journal *journal = NULL;
        write_text(*state, "letter.txt", "dear");
        assert_error(journal_open(*state, true, &journal, err), ERR_REFUSED, "belongs to something else");
        assert_error(journal_open(*state, false, &journal, err), ERR_REFUSED, "belongs to something else");
        write_text(*state, "caas.state", "another program\n");
        assert_error(journal_open(*state, true, &journal, err), ERR_REFUSED, "is not a mark of caas");
        char *path = file_join(*state, "journal.sqlite");
        assert_false(file_exists(path));
        free(path);
}

static void fresh_disk_counts_as_empty(void **state)
{
        char *path = file_join(*state, "lost+found");
        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
        journal_close(open_journal(*state));
}

static void killed_while_making_it(void **state)
{
        write_text(*state, "caas.state", ""); /* made, not yet written */
        chmod(*state, 0711);
        journal_close(open_journal(*state));
        char *path = file_join(*state, "journal.sqlite");
        assert_int_equal(truncate(path, 0), 0); /* made, without a schema: version 0 */
        free(path);
        struct journal *journal = open_journal(*state);
        json_t *list = NULL;
        assert_done(journal_clusters(journal, &list, err));
        assert_int_equal(json_array_size(list), 0);
        json_decref(list);
        journal_close(journal);
}

static void writable_by_others(void **state)
{
        struct journal *journal = NULL;
        journal_close(open_journal(*state));
        chmod(*state, 0777);
        assert_error(journal_open(*state, true, &journal, err), ERR_REFUSED, "can be written to by others");
        chmod(*state, 0711);
        if (geteuid() != 0)
                skip();
        assert_int_equal(chown(*state, 12345, 12345), 0);
        assert_error(journal_open(*state, true, &journal, err), ERR_REFUSED, "belongs to user 12345");
}

static bool is_error(int r, struct err *err, enum err_code code, const char *part)
{
        bool is = r == -(int)code && err && strstr(err->message, part) && !strchr(err->message, '\n');
        if (!is)
                fprintf(stderr, "got: %d %s\n", r, err ? err->message : "-");
        err_free(err);
        return is;
}

static int open_as_nobody(const char *path)
{
        struct journal *journal = NULL;
        struct err *err = NULL;
        if (setgid(65534) < 0 || setuid(65534) < 0)
                return 77;
        int r = journal_open(path, false, &journal, &err);
        return is_error(r, err, ERR_DENIED, "run caas as root") ? 0 : 1;
}

static int make_as_nobody(const char *path)
{
        struct journal *journal = NULL;
        struct err *err = NULL;
        if (setgid(65534) < 0 || setuid(65534) < 0)
                return 77;
        int r = journal_open(path, true, &journal, &err);
        return is_error(r, err, ERR_DENIED, "Permission denied; run caas as root") ? 0 : 1;
}

static int in_child(int (*inside)(const char *path), const char *path)
{
        pid_t pid = fork();
        if (pid == 0)
                _exit(inside(path));
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static void another_user(void **state)
{
        if (geteuid() != 0)
                skip();
        journal_close(open_journal(*state));
        assert_int_equal(in_child(open_as_nobody, *state), 0);
        char *path = file_join(*state, "below");
        assert_int_equal(in_child(make_as_nobody, path), 0);
        free(path);
}

static void lost_journal(void **state)
{
        journal_close(open_journal(*state));
        char *path = file_join(*state, "clusters/demo"), *file = file_join(*state, "journal.sqlite");
        assert_done(file_make_dirs(path, 0711, err));
        assert_int_equal(unlink(file), 0);
        struct journal *journal = NULL;
        assert_error(journal_open(*state, false, &journal, err), ERR_CORRUPT, "is gone, but there are clusters");
        assert_error(journal_open(*state, true, &journal, err), ERR_CORRUPT, "bring it back from a backup");
        write_text(*state, "journal.sqlite", "");
        assert_error(journal_open(*state, false, &journal, err), ERR_CORRUPT, "is empty, but there are clusters");
        assert_error(journal_open(*state, true, &journal, err), ERR_CORRUPT, "bring it back from a backup");
        assert_null(journal);
        free(path);
        free(file);
}

static void damaged_journal(void **state)
{
        journal_close(open_journal(*state));
        write_text(*state, "journal.sqlite",
                "this is certainly no database, and it is longer than a header of SQLite, "
                "which has a hundred bytes or so");
        struct journal *journal = NULL;
        assert_error(journal_open(*state, true, &journal, err), ERR_CORRUPT, "damaged");
        assert_null(journal);
}

static void other_database(void **state)
{
        journal_close(open_journal(*state));
        run_sql(*state, "PRAGMA application_id = 77");
        struct journal *journal = NULL;
        assert_error(journal_open(*state, true, &journal, err), ERR_REFUSED, "database of another program");
}

static void newer_journal(void **state)
{
        journal_close(open_journal(*state));
        run_sql(*state, "PRAGMA user_version = 99");
        struct journal *journal = NULL;
        assert_error(journal_open(*state, true, &journal, err), ERR_VERSION, "schema is 99, this caas knows up to 2");
        run_sql(*state, "PRAGMA user_version = -3"); /* no place in the list of steps */
        assert_error(journal_open(*state, true, &journal, err), ERR_CORRUPT, "damaged (its schema is -3)");
        assert_null(journal);
}

static int count_rows(sqlite3 *db, const char *sql)
{
        sqlite3_stmt *stmt;
        int count = -1;
        if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
                count = sqlite3_column_int(stmt, 0);
        sqlite3_finalize(stmt);
        return count;
}

/* The first release's journal, with a run in it, is read and written by this one. */
static void migrates_from_the_first(void **state)
{
        struct journal *journal = open_journal(*state);
        json_t *form = json_pack("{s:s}", "cluster", "demo"), *history = NULL, *cluster = NULL;
        struct resource r = {.id = str_copy("hub/a"), .kind = str_copy("host.file"), .spec = json_object()};
        int64_t run;
        assert_done(journal_put_cluster(journal, "demo", "host", form, 5, err));
        assert_done(journal_run_begin(journal, "demo", "apply", 6, &run, err));
        assert_done(journal_step_intent(journal, run, "demo", &r, "create", NULL, 7, err));
        assert_done(journal_step_applied(journal, run, "demo", r.id, "d", NULL, NULL, 0, 8, err));
        journal_close(journal);
        run_sql(*state, "ALTER TABLE step DROP COLUMN reason");
        run_sql(*state, "ALTER TABLE cluster DROP COLUMN drift");
        run_sql(*state, "PRAGMA user_version = 1");

        journal = open_journal(*state);
        assert_done(journal_step_intent(journal, run, "demo", &r, "update", "drift", 9, err));
        assert_done(journal_put_drift(journal, "demo", 1, err));
        assert_done(journal_history(journal, "demo", 0, &history, err));
        json_t *steps = json_object_get(json_array_get(history, 0), "steps");
        assert_int_equal(json_array_size(steps), 2);
        assert_true(json_is_null(json_object_get(json_array_get(steps, 0), "reason")));
        assert_string_equal(json_string_value(json_object_get(json_array_get(steps, 1), "reason")), "drift");
        assert_done(journal_cluster(journal, "demo", &cluster, err));
        assert_int_equal(json_integer_value(json_object_get(cluster, "drift")), 1);
        journal_close(journal);
        json_decref(form);
        json_decref(history);
        json_decref(cluster);
        resource_clear(&r);
}

/* A version is brought two further; a step that fails in the middle leaves it behind, whole. */
static void migrates(void **state)
{
        struct journal *journal = open_journal(*state);
        json_t *form = json_pack("{s:s}", "cluster", "demo");
        assert_done(journal_put_cluster(journal, "demo", "host", form, 5, err));
        journal_close(journal);
        json_decref(form);

        char *path = file_join(*state, "journal.sqlite");
        sqlite3 *db;
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        const char *const bad[] = {
                "not run", "not run", "ALTER TABLE cluster ADD COLUMN note TEXT", "UPDATE nowhere SET a = 1"};
        assert_error(migrate_to(db, path, bad, 4, err), ERR_IO, "cannot bring the journal from schema 3 to 4");
        assert_int_equal(count_rows(db, "PRAGMA user_version"), 2);
        assert_int_equal(count_rows(db, "SELECT count(note) FROM cluster"), -1);

        const char *const good[] = {
                "not run", "not run", "ALTER TABLE cluster ADD COLUMN note TEXT", "UPDATE cluster SET note = 'old'"};
        assert_done(migrate_to(db, path, good, 4, err));
        assert_int_equal(count_rows(db, "PRAGMA user_version"), 4);
        assert_int_equal(count_rows(db, "SELECT count(*) FROM cluster WHERE note = 'old' AND created = 5"), 1);
        assert_done(migrate_to(db, path, good, 4, err)); /* nothing to do */
        sqlite3_close(db);
        free(path);
        assert_error(journal_open(*state, true, &journal, err), ERR_VERSION, "schema is 4, this caas knows up to 2");
}

/* From the first file on, processes that come at once all get in. */
static void opened_by_many(void **state)
{
        pid_t pids[8];
        for (size_t i = 0; i < 8; i++) {
                pids[i] = fork();
                if (pids[i] == 0) {
                        struct journal *journal = NULL;
                        struct err *err = NULL;
                        int r = journal_open(*state, true, &journal, &err);
                        if (r == 0)
                                r = journal_put_secret(journal, "demo", "hub/cookie", "the same", &err);
                        if (r < 0)
                                fprintf(stderr, "%s\n", err->message);
                        err_free(err);
                        journal_close(journal);
                        _exit(r < 0);
                }
        }
        for (size_t i = 0; i < 8; i++) {
                int status;
                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_int_equal(status, 0);
        }
        struct journal *journal = open_journal(*state);
        json_t *versions = NULL;
        assert_done(journal_secret_versions(journal, "demo", &versions, err));
        assert_int_equal(json_integer_value(json_object_get(versions, "hub/cookie")), 1);
        json_decref(versions);
        journal_close(journal);
}

/* 0: done; 77: this machine lets nobody mount; anything else: failed. In a process of its own, with mounts of its own.
 */
static int with_small_disk(const char *path, int (*inside)(const char *path))
{
        pid_t pid = fork();
        if (pid == 0) {
                int flags = geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER;
                if (unshare(flags) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                        mount("none", path, "tmpfs", 0, "size=256k,mode=0711") < 0)
                        _exit(77);
                _exit(inside(path));
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* The disk fills up in the middle of a run; when there is room again, everything that was reported as done is there. */
static int fill_disk(const char *path)
{
        struct journal *journal = NULL;
        if (journal_open(path, true, &journal, NULL) < 0)
                return 1;
        char *filler = file_join(path, "filler"), *block = mem_zero(4096);
        int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        while (write(fd, block, 4096) > 0)
                ;
        close(fd);
        json_t *form = json_pack("{s:s}", "cluster", "demo");
        int64_t done = 0;
        struct err *err = NULL;
        int r;
        do {
                int64_t run;
                r = journal_put_cluster(journal, "demo", "host", form, done, &err);
                if (r == 0)
                        r = journal_run_begin(journal, "demo", "apply", done, &run, &err);
                if (r == 0)
                        done++;
        } while (r == 0 && done < 10000);
        if (!is_error(r, err, ERR_NO_SPACE, "no space left"))
                return 2;
        unlink(filler);
        json_t *runs = NULL;
        r = journal_put_cluster(journal, "demo", "host", form, done, NULL);
        if (r == 0)
                r = journal_history(journal, "demo", 0, &runs, NULL);
        if (r < 0 || (int64_t)json_array_size(runs) != (done < JOURNAL_RUNS_KEPT ? done : JOURNAL_RUNS_KEPT))
                return 3;
        json_decref(runs);
        json_decref(form);
        journal_close(journal);
        free(filler);
        free(block);
        return 0;
}

static void full_disk(void **state)
{
        int status = with_small_disk(*state, fill_disk);
        if (status == 77)
                skip();
        assert_int_equal(status, 0);
}

static int protect_disk(const char *path)
{
        struct journal *journal = NULL;
        struct err *err = NULL;
        if (mount("none", path, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
                return 1;
        int r = journal_open(path, true, &journal, &err);
        if (!is_error(r, err, ERR_DENIED, "Read-only file system; choose another folder"))
                return 2;
        if (mount("none", path, NULL, MS_REMOUNT, NULL) < 0 || journal_open(path, true, &journal, NULL) < 0)
                return 3;
        journal_close(journal);
        if (mount("none", path, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
                return 4;
        err = NULL;
        r = journal_open(path, true, &journal, &err);
        return is_error(r, err, ERR_DENIED, "mount the disk for writing") ? 0 : 5;
}

static void read_only_disk(void **state)
{
        int status = with_small_disk(*state, protect_disk);
        if (status == 77)
                skip();
        assert_int_equal(status, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(makes_its_folder),
                scratch_test(permissive_umask),
                scratch_test(not_there),
                scratch_test(somebody_elses),
                scratch_test(fresh_disk_counts_as_empty),
                scratch_test(killed_while_making_it),
                scratch_test(writable_by_others),
                scratch_test(another_user),
                scratch_test(lost_journal),
                scratch_test(damaged_journal),
                scratch_test(other_database),
                scratch_test(newer_journal),
                scratch_test(migrates_from_the_first),
                scratch_test(migrates),
                scratch_test(opened_by_many),
                scratch_test(full_disk),
                scratch_test(read_only_disk),
        };
        return cmocka_run_group_tests_name("journal/folder", tests, NULL, NULL);
}
