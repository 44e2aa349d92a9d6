/* Two state folders on a host, and clusters of the same name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "access/whose.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static char root[40], passwd[60], own[60], other[60];

static int setup(void **state)
{
        (void)state;
        memcpy(root, "/tmp/caas-whose-XXXXXX", sizeof "/tmp/caas-whose-XXXXXX");
        assert_non_null(mkdtemp(root));
        snprintf(passwd, sizeof passwd, "%s/passwd", root);
        snprintf(own, sizeof own, "%s/own", root);
        snprintf(other, sizeof other, "%s/other", root);
        return 0;
}

static int teardown(void **state)
{
        (void)state;
        return file_remove_tree(root, NULL);
}

/* An account of a cluster, whose folder is there. */
static void made(const char *comment, const char *state_dir, const char *cluster)
{
        CLEANUP_FREE char *folder = str_format("%s/clusters/%s", state_dir, cluster);
        CLEANUP_FREE char *line = str_format("root:x:0:0:root:/root:/bin/sh\n"
                                             "caas-proxy-1:x:1:1:%s:%s/proxy:/usr/sbin/nologin\n",
                comment, folder);
        assert_int_equal(file_make_dirs(folder, 0700, NULL), 0);
        assert_int_equal(file_write_atomic(passwd, line, strlen(line), 0600, (uid_t)-1, (gid_t)-1, NULL), 0);
}

static int ask(const char *cluster, struct err **err)
{
        return whose_host_name(passwd, own, cluster, err);
}

static void test_a_name_that_is_taken(void **state)
{
        (void)state;
        CLEANUP_ERR struct err *err = NULL;
        assert_int_equal(ask("lab", NULL), 0); /* no such file */
        made("caas lab proxies", other, "lab");
        assert_int_equal(ask("lab", &err), -ERR_REFUSED);
        CLEANUP_FREE char *what = str_format("give --state %s if", other);
        assert_non_null(strstr(err->message, what));
        assert_int_equal(ask("la", NULL), 0);
        assert_int_equal(ask("lab2", NULL), 0);
        /* What was thrown away is in nobody's way. */
        assert_int_equal(file_remove_tree(other, NULL), 0);
        assert_int_equal(ask("lab", NULL), 0);
}

static void test_ones_own(void **state)
{
        (void)state;
        made("caas lab proxies", own, "lab");
        assert_int_equal(ask("lab", NULL), 0);
        /* by another way to the same folder */
        assert_int_equal(symlink(own, other), 0);
        made("caas lab proxies", other, "lab");
        assert_int_equal(ask("lab", NULL), 0);
}

static void test_accounts_of_others(void **state)
{
        (void)state;
        made("somebody's caas lab account", other, "lab");
        assert_int_equal(ask("lab", NULL), 0);
        made("caas lab2 proxies", other, "lab");
        assert_int_equal(ask("lab", NULL), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        const struct CMUnitTest tests[] = {T(test_a_name_that_is_taken), T(test_ones_own), T(test_accounts_of_others)};
        return cmocka_run_group_tests(tests, NULL, NULL);
}
