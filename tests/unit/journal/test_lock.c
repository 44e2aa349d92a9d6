/* The lock of a cluster: who holds it is said, a dead holder holds nothing, daemons do not inherit it. */
#include "scratch.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void one_at_a_time(void **state)
{
        struct journal *journal = open_journal(*state), *other = open_journal(*state);
        struct journal_lock *lock = NULL, *second = NULL, *another = NULL;
        assert_done(journal_lock(journal, "demo", "apply", &lock, err));
        char *text = str_format("cluster demo is being changed by process %d (apply, since ", getpid());
        assert_error(journal_lock(other, "demo", "destroy", &second, err), ERR_BUSY, text);
        assert_null(second);
        assert_done(journal_lock(other, "demo-2", "apply", &another, err)); /* two clusters never wait for each other */
        lock = journal_unlock(lock);
        assert_null(lock);
        assert_done(journal_lock(other, "demo", "destroy", &second, err));
        journal_unlock(second);
        journal_unlock(another);
        journal_unlock(NULL);
        free(text);
        journal_close(other);
        journal_close(journal);
}

static void holder_dies(void **state)
{
        int ready[2];
        assert_int_equal(pipe(ready), 0);
        struct journal *journal = open_journal(*state);
        pid_t pid = fork();
        if (pid == 0) {
                struct journal_lock *lock;
                char ok = journal_lock(journal, "demo", "apply", &lock, NULL) == 0;
                if (write(ready[1], &ok, 1) == 1)
                        pause();
                _exit(0);
        }
        char ok = 0;
        assert_int_equal(read(ready[0], &ok, 1), 1);
        assert_int_equal(ok, 1);
        struct journal_lock *lock = NULL;
        char *text = str_format("process %d ", pid);
        assert_error(journal_lock(journal, "demo", "apply", &lock, err), ERR_BUSY, text);
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        assert_done(journal_lock(journal, "demo", "apply", &lock, err));
        journal_unlock(lock);
        close(ready[0]);
        close(ready[1]);
        free(text);
        journal_close(journal);
}

/* A program that we start and that outlives us does not hold it. */
static void not_inherited(void **state)
{
        int end[2];
        assert_int_equal(pipe(end), 0);
        struct journal *journal = open_journal(*state);
        struct journal_lock *lock = NULL;
        assert_done(journal_lock(journal, "demo", "apply", &lock, err));
        pid_t pid = fork();
        if (pid == 0) {
                dup2(end[0], 0);
                close(end[1]);
                execlp("sh", "sh", "-c", "echo >\"$0/started\"; read line", (char *)*state, (char *)NULL);
                _exit(127);
        }
        char *started = file_join(*state, "started");
        for (int i = 0; i < 1000 && !file_exists(started); i++)
                usleep(10000); /* until it has become the other program */
        assert_true(file_exists(started));
        journal_unlock(lock);
        assert_done(journal_lock(journal, "demo", "apply", &lock, err));
        journal_unlock(lock);
        close(end[0]);
        close(end[1]);
        int status;
        waitpid(pid, &status, 0);
        free(started);
        journal_close(journal);
}

static void garbage_in_the_file(void **state)
{
        struct journal *journal = open_journal(*state);
        struct journal_lock *lock = NULL, *second = NULL;
        assert_done(journal_lock(journal, "demo", "apply", &lock, err));
        char *path = file_join(*state, "lock/demo");
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, "{\"pid\":", 7), 7);
        close(fd);
        assert_error(journal_lock(journal, "demo", "apply", &second, err), ERR_BUSY, "changed by another process");
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        journal_unlock(lock);
        assert_done(journal_lock(journal, "demo", "apply", &lock, err)); /* garbage from before is no holder */
        journal_unlock(lock);
        free(path);
        journal_close(journal);
}

static void hostile_names(void **state)
{
        struct journal *journal = open_journal(*state);
        struct journal_lock *lock = NULL;
        static const char *const names[] = {"", "..", "../key", "a/b", "-x", "Demo", "a b", "d\xc3\xa9mo"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                assert_error(journal_lock(journal, names[i], "apply", &lock, err), ERR_INVALID, "no name of a cluster");
        assert_null(lock);
        journal_close(journal);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                scratch_test(one_at_a_time),
                scratch_test(holder_dies),
                scratch_test(not_inherited),
                scratch_test(garbage_in_the_file),
                scratch_test(hostile_names),
        };
        return cmocka_run_group_tests_name("journal/lock", tests, NULL, NULL);
}
