/* What is written down for a service: unit files, runit's scripts, environment files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/service/runit_text.h"
#include "client/service/service.h"
#include "client/service/systemd_text.h"

static const char *const command[] = {"/opt/a b/hub", "--x=%i", "it's \"$HOME\" \\", NULL};
static const char *const env[] = {"A=1 2", "B=\"q\" 50% $C", NULL};
static const char *const secrets[] = {"TOKEN=do-not-show", NULL};
static const char *const capabilities[] = {"CAP_NET_BIND_SERVICE", NULL};

static void unit_of_root(void **state)
{
        (void)state;
        struct service s = {.name = "hub",
                .command = command,
                .env = env,
                .secrets = secrets,
                .directory = "/srv/h%b",
                .stop_seconds = 7,
                .delegate = true,
                .nofile = 65536};
        CLEANUP_FREE char *text = NULL;
        assert_int_equal(systemd_unit_text("demo", &s, "/d/service/hub/secrets", &text, NULL), 0);
        assert_string_equal(text, "# Service hub of cluster demo. Written by caas; changes do not last.\n"
                                  "[Unit]\n"
                                  "Description=Pangeo cluster demo: hub\n"
                                  "Wants=network-online.target\n"
                                  "After=network-online.target\n"
                                  "StartLimitIntervalSec=300\n"
                                  "StartLimitBurst=100\n"
                                  "\n"
                                  "[Service]\n"
                                  "Type=exec\n"
                                  "ExecStart=:\"/opt/a b/hub\" \"--x=%%i\" \"it's \\\"$HOME\\\" \\\\\"\n"
                                  "WorkingDirectory=/srv/h%%b\n"
                                  "Environment=\"LANG=C.UTF-8\"\n"
                                  "Environment=\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n"
                                  "Environment=\"A=1 2\"\n"
                                  "Environment=\"B=\\\"q\\\" 50%% $C\"\n"
                                  "EnvironmentFile=/d/service/hub/secrets\n"
                                  "RestrictRealtime=yes\n"
                                  "LockPersonality=yes\n"
                                  "CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_BOOT "
                                  "CAP_SYSLOG CAP_WAKE_ALARM CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_AUDIT_CONTROL CAP_BPF "
                                  "CAP_PERFMON\n"
                                  "KillMode=process\n"
                                  "TimeoutStopSec=7\n"
                                  "Restart=always\n"
                                  "RestartSec=1\n"
                                  "UMask=0022\n"
                                  "Delegate=yes\n"
                                  "LimitNOFILE=65536\n"
                                  "\n"
                                  "[Install]\n"
                                  "WantedBy=multi-user.target\n");
        assert_null(strstr(text, "do-not-show"));
}

static void unit_of_a_user(void **state)
{
        (void)state;
        struct service s = {
                .name = "caddy", .command = command, .user = "caddy", .capabilities = capabilities, .stop_group = true};
        CLEANUP_FREE char *text = NULL;
        assert_int_equal(systemd_unit_text("demo", &s, NULL, &text, NULL), 0);
        static const char *const lines[] = {"\nRestrictRealtime=yes\nLockPersonality=yes\nUser=caddy\nGroup="
                                            "caddy\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"
                                            "CapabilityBoundingSet=CAP_NET_BIND_SERVICE\nNoNewPrivileges=yes\n",
                "\nKillMode=mixed\nTimeoutStopSec=10\n"};
        for (size_t i = 0; i < 2; i++)
                if (!strstr(text, lines[i]))
                        fail_msg("missing: %s in\n%s", lines[i], text);
        assert_null(strstr(text, "EnvironmentFile"));
        CLEANUP_FREE char *name = systemd_unit_name("demo", "caddy");
        assert_string_equal(name, "caas-demo-caddy.service");
}

static void line_breaks_begin_no_setting(void **state)
{
        (void)state;
        static const char *const bad[] = {"A=1\nExecStartPre=/bin/evil", NULL};
        struct service s = {.name = "x", .command = command, .env = bad};
        CLEANUP_FREE char *text = NULL;
        assert_int_equal(systemd_unit_text("demo", &s, NULL, &text, NULL), 0);
        assert_non_null(strstr(text, "\nEnvironment=\"A=1\\nExecStartPre=/bin/evil\"\n"));
        s.directory = "/x\nExecStartPre=/bin/evil";
        CLEANUP_FREE char *none = NULL;
        assert_int_equal(systemd_unit_text("demo", &s, NULL, &none, NULL), -ERR_INVALID);
        assert_null(none);
}

static void run_script(void **state)
{
        (void)state;
        struct service s = {.name = "caddy",
                .command = command,
                .env = env,
                .secrets = secrets,
                .user = "caddy",
                .group = "www",
                .capabilities = capabilities,
                .nofile = 1024};
        CLEANUP_FREE char *text = NULL;
        assert_int_equal(runit_run_text("demo", &s, "/d/service/caddy", &text, NULL), 0);
        assert_string_equal(text,
                "#!/bin/sh\n"
                "# Service caddy of cluster demo. Written by caas; changes do not last.\n"
                "exec 2>&1\n"
                "umask 022\n"
                "echo $$ >session\n"
                "set -a\n"
                "A=\"1 2\"\n"
                "B=\"\\\"q\\\" 50% \\$C\"\n"
                ". '/d/service/caddy/secrets'\n"
                "set +a\n"
                "ulimit -n 1024 2>/dev/null || ulimit -n \"$(ulimit -H -n)\"\n"
                "cd '/' || exit 111\n"
                "exec /usr/bin/setsid /usr/bin/setpriv --reuid 'caddy' --regid 'www' --init-groups --no-new-privs"
                " --inh-caps '-all,+net_bind_service' --ambient-caps '-all,+net_bind_service'"
                " --bounding-set '-all,+net_bind_service' -- "
                "'/opt/a b/hub' '--x=%i' 'it'\\''s \"$HOME\" \\'\n");
        assert_null(runit_finish_text(&s));
        s.stop_group = true;
        CLEANUP_FREE char *finish = runit_finish_text(&s);
        assert_non_null(strstr(finish, "kill -s KILL"));
}

static void environment_files(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = NULL;
        assert_int_equal(service_env_file(env, &text, NULL), 0);
        assert_string_equal(text, "A=\"1 2\"\nB=\"\\\"q\\\" 50% \\$C\"\n");
        static const char *const bad[][2] = {
                {"1A=x", NULL}, {"A B=x", NULL}, {"=x", NULL}, {"A", NULL}, {"A;id=x", NULL}};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                char *none = NULL;
                CLEANUP_ERR struct err *err = NULL;
                assert_int_equal(service_env_file(bad[i], &none, &err), -ERR_INVALID);
                assert_null(none);
        }
        CLEANUP_FREE char *empty = NULL;
        assert_int_equal(service_env_file(NULL, &empty, NULL), 0);
        assert_string_equal(empty, "");
}

/* A service may write what it likes: none of its last lines is lost. */
static void log_with_bytes_that_are_no_text(void **state)
{
        (void)state;
        static const char log[] = "2026-11-21_14:03:22.12345 one\n2026-11-21_14:03:23.12345 t\0wo\n"
                                  "2026-11-21_14:03:24.12345 \0\n2026-11-21_14:03:25.12345 four\n";
        char folder[] = "/tmp/caas-log-XXXXXX";
        assert_non_null(mkdtemp(folder));
        CLEANUP_FREE char *logs = file_join(folder, "log/hub"), *path = file_join(logs, "current");
        assert_int_equal(file_make_dirs(logs, 0755, NULL), 0);
        assert_int_equal(file_write_atomic(path, log, sizeof log - 1, 0644, (uid_t)-1, (gid_t)-1, NULL), 0);
        const struct service_host host = {.cluster_dir = folder};
        CLEANUP_FREE char *last = service_runit.log_tail(&host, "hub", 3, 0);
        CLEANUP_FREE char *since = service_runit.log_tail(&host, "hub", 9, 1795269804000);
        file_remove_tree(folder, NULL);
        assert_string_equal(last, "  t?wo\n  ?\n  four");
        assert_string_equal(since, "  ?\n  four");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(unit_of_root),
                cmocka_unit_test(unit_of_a_user),
                cmocka_unit_test(line_breaks_begin_no_setting),
                cmocka_unit_test(run_script),
                cmocka_unit_test(environment_files),
                cmocka_unit_test(log_with_bytes_that_are_no_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
