/* host.requirements for who may do too little: neither root, nor all of its capabilities, nor devices and control
 * groups. */
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fixture.h"

extern const struct kind kind_host_requirements;

/* Refuses with all these parts, as asked by a process that may do less than this one. */
static void refused_to(struct fixture *f, void (*give_up)(void), const char *spec, const char *const *parts)
{
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                give_up();
                CLEANUP_RESOURCE struct resource r = fixture_resource(f, &kind_host_requirements, spec);
                CLEANUP_ERR struct err *err = NULL;
                int result = kind_host_requirements.preflight(&f->ctx, &r, NULL, &err), missing = 0;
                for (; result < 0 && *parts; parts++)
                        if (!strstr(err->message, *parts)) {
                                fprintf(stderr, "%s is missing in:\n%s\n", *parts, err->message);
                                missing = 1;
                        }
                _exit(result == -ERR_INVALID && !missing ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void become_nobody(void)
{
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
                _exit(2);
}

/* As root in a container that was not granted it. */
static void lose_sys_admin(void)
{
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct caps[2];
        if (syscall(SYS_capget, &header, caps) < 0)
                _exit(2);
        caps[0].effective &= ~(1U << CAP_SYS_ADMIN), caps[0].permitted &= ~(1U << CAP_SYS_ADMIN);
        if (syscall(SYS_capset, &header, caps) < 0)
                _exit(2);
}

/* Control groups that nobody may write to, and no loop devices, in a name space of its own. */
static void lose_mounts(void)
{
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                umount2("/sys/fs/cgroup", MNT_DETACH) < 0 || mount("none", "/dev", "tmpfs", 0, NULL) < 0)
                _exit(2);
}

static void requirements_name_rights_that_are_missing(void **state)
{
        struct fixture *f = *state;
        static const char *const not_root[] = {"this must be run as root (sudo caas …)",
                "loop devices, which homes are mounted with, cannot be had: /dev/loop-control: Permission denied",
                NULL};
        static const char *const no_admin[] = {"root lacks CAP_SYS_ADMIN here (for mounting homes)", NULL};
        static const char *const no_mounts[] = {"/dev/loop-control: No such file",
                "the control group controller \"memory\"", "the control group controller \"cpu\"",
                "the control group controller \"pids\"", NULL};
        refused_to(f, become_nobody, "{\"root\": true, \"homes\": true}", not_root);
        refused_to(f, lose_sys_admin, "{\"root\": true}", no_admin);
        refused_to(f, lose_mounts, "{\"homes\": true, \"limits\": true}", no_mounts);
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec = "{\"root\": true, \"homes\": true, \"limits\": true}";
        assert_int_equal(fixture_apply(f, &kind_host_requirements, spec, &m), ACTION_CREATE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {T(requirements_name_rights_that_are_missing)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
