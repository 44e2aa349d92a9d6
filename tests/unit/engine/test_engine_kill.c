/* The engine killed at every boundary: the same command converges. */
#include <sys/wait.h>

#include "engine_fixture.h"

/* The phases that are killed at each boundary: what is there before, what is asked, what must come out. */
static const struct phase {
        const char *name;
        void (*before)(struct resources *list);
        void (*desired)(struct resources *list);
        void (*expected)(void);
} phases[] = {
        {"first apply", NULL, version_one, expect_one},
        {"update", version_one, version_two, expect_two},
        {"destroy", version_two, NULL, expect_none},
};

static void begin_phase(const struct phase *phase)
{
        file_remove_tree(where, NULL);
        file_remove_tree(fake_folder, NULL);
        assert_int_equal(file_make_dirs(fake_folder, 0700, NULL), 0);
        fake_kill_at = fake_points = 0;
        if (phase->before)
                must(phase->before);
        fake_points = 0;
}

static void end_phase(const struct phase *phase)
{
        fake_kill_at = 0;
        must(phase->desired);
        phase->expected();
        if (phase->desired)
                expect_nothing_to_do(phase->desired);
}

/* kill -9 inside a kind: a child process really ends there. */
static void test_killed_inside_every_kind_call(void **state)
{
        (void)state;
        for (size_t p = 0; p < sizeof phases / sizeof *phases; p++) {
                long killed = 0;
                for (long n = 1;; n++) {
                        begin_phase(&phases[p]);
                        pid_t pid = fork();
                        if (pid == 0) {
                                fake_kill_at = n;
                                _exit(run(&(struct call_options){.desired = phases[p].desired}, NULL) < 0 ? 1 : 0);
                        }
                        int status;
                        assert_int_equal(waitpid(pid, &status, 0), pid);
                        end_phase(&phases[p]);
                        if (WEXITSTATUS(status) != 137) {
                                assert_int_equal(WEXITSTATUS(status), 0);
                                break;
                        }
                        killed++;
                }
                assert_true(killed >= 8);
        }
}

/* Every write of the journal: lost before its commit, or made and never heard of. */
static void test_killed_at_every_write_of_the_journal(void **state)
{
        (void)state;
        for (size_t p = 0; p < sizeof phases / sizeof *phases; p++) {
                int64_t writes;
                begin_phase(&phases[p]);
                assert_int_equal(
                        run(&(struct call_options){.desired = phases[p].desired, .ret_writes = &writes}, NULL), 0);
                assert_true(writes >= 6);
                for (long n = 1; n <= writes; n++)
                        for (int after = 0; after < 2; after++) {
                                begin_phase(&phases[p]);
                                run(
                                        &(struct call_options){
                                                .desired = phases[p].desired, .journal_kill = n, .after_commit = after},
                                        NULL);
                                end_phase(&phases[p]);
                        }
        }
}

static void version_three(struct resources *list)
{
        add(list, "r/a", "fake", thing("a-third", "one"), NULL);
}

/* Cut off while something moves, and then the form says a third place: the second must not be left behind. */
static void test_killed_while_moving_then_moved_again(void **state)
{
        (void)state;
        for (long n = 1; n <= 8; n++) {
                begin_phase(&phases[1]);
                pid_t pid = fork();
                if (pid == 0) {
                        fake_kill_at = n;
                        _exit(run(&(struct call_options){.desired = version_two}, NULL) < 0 ? 1 : 0);
                }
                assert_int_equal(waitpid(pid, NULL, 0), pid);
                must(version_three);
                expect("a-third", "one");
                assert_int_equal(things(), 1);
        }
}

int main(void)
{
        signal(SIGPIPE, SIG_IGN);
        const struct CMUnitTest tests[] = {
                T(test_killed_inside_every_kind_call),
                T(test_killed_at_every_write_of_the_journal),
                T(test_killed_while_moving_then_moved_again),
        };
        return cmocka_run_group_tests_name("engine, killed", tests, NULL, NULL);
}
