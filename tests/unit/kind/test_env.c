/* host.venv and host.npm with real packages. Skipped, and said so, only where the registries cannot be reached. */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/proc.h"
#include "fixture.h"
#include "kind/versions.h"

extern const struct kind kind_host_venv, kind_host_npm;

#define IDNA                                                                                                           \
        "idna==3.10 --hash=sha256:12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9 "                   \
        "--hash=sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3\\n"
#define IDNA_FORGED "idna==3.10 --hash=sha256:00000000000000000000000000000000c52b11df2c86030af0ac09b01b13ea90\\n"

/* The repository's own templates/host/uv-requirements.txt. */
static bool online;
static char data_dir[4096], shared_cache[] = "/tmp/caas-test-cache-XXXXXX";

static int run(const char *const *argv)
{
        struct proc_spec spec = {.argv = argv, .timeout_ms = 60000, .new_session = true};
        CLEANUP_PROC struct proc_result result = {0};
        return proc_run(&spec, &result, NULL) < 0 ? -1 : result.status;
}

static int setup(void **state)
{
        fixture_setup(state);
        struct fixture *f = *state;
        f->ctx.data_dir = data_dir;
        f->ctx.cache_dir = shared_cache;
        return 0;
}

#define NEED_REGISTRY()                                                                                                \
        do {                                                                                                           \
                if (!online) {                                                                                         \
                        printf("skip: the package registries cannot be reached\n");                                    \
                        skip();                                                                                        \
                }                                                                                                      \
        } while (0)

static char *output_of(const struct remembered *m, const char *name)
{
        return str_copy(json_string_value(json_object_get(m->outputs, name)));
}

static void venv_is_built_switched_and_removed(void **state)
{
        NEED_REGISTRY();
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        mode_t mask = umask(077); /* the operator's, which users must not feel */
        const char *spec = "{\"path\": \"D/env/hub\", \"requirements\": \"" IDNA "\"}";
        assert_int_equal(fixture_apply(f, &kind_host_venv, spec, &m), ACTION_CREATE);
        umask(mask);
        assert_int_equal(fixture_apply(f, &kind_host_venv, spec, &m), ACTION_NONE);
        CLEANUP_FREE char *python = output_of(&m, "python");
        CLEANUP_FREE char *first = output_of(&m, "real");
        const char *import[] = {python, "-I", "-c", "import idna, sys; assert idna.encode('x.de')", NULL};
        assert_int_equal(run(import), 0);
        const char *as_user[] = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", python, "-I", "-c",
                "import idna, os; p = os.path.dirname(idna.__file__); assert os.listdir(p + '/__pycache__')", NULL};
        assert_int_equal(run(as_user), 0);

        /* another list: another folder, the link moves, the old one stays for those who run from it */
        spec = "{\"path\": \"D/env/hub\", \"requirements\": \"# changed\\n" IDNA "\"}";
        assert_int_equal(fixture_apply(f, &kind_host_venv, spec, &m), ACTION_UPDATE);
        CLEANUP_FREE char *second = output_of(&m, "real");
        assert_string_not_equal(first, second);
        assert_true(file_exists(first));
        CLEANUP_FREE char *link = fixture_path(f, "env/hub");
        char target[4096] = "";
        assert_true(readlink(link, target, sizeof target - 1) > 0);
        assert_string_equal(target, strrchr(second, '/') + 1);

        /* a build that was cut off is done again; the third pushes the first out */
        CLEANUP_FREE char *mark = file_join(second, ".caas-complete");
        assert_int_equal(unlink(mark), 0);
        assert_int_equal(fixture_apply(f, &kind_host_venv, spec, &m), ACTION_CREATE);
        spec = "{\"path\": \"D/env/hub\", \"requirements\": \"# again\\n" IDNA "\"}";
        assert_int_equal(fixture_apply(f, &kind_host_venv, spec, &m), ACTION_UPDATE);
        assert_false(file_exists(first));
        assert_true(file_exists(second));

        free(fixture_remove(f, &kind_host_venv, &m));
        assert_false(is_there(f, "env/hub"));
        assert_false(file_exists(second));
        free(fixture_remove(f, &kind_host_venv, &m));
}

struct reader {
        const char *link;
        atomic_bool over;
        atomic_long seen, missing;
};

static void *read_on(void *data)
{
        struct reader *reader = data;
        char target[4096];
        while (!reader->over)
                if (readlink(reader->link, target, sizeof target) < 0)
                        reader->missing++;
                else
                        reader->seen++;
        return NULL;
}

/* Whoever starts a program of the environment while it is switched finds the old one or the new one. */
static void a_switch_has_no_gap(void **state)
{
        struct fixture *f = *state;
        static const char *const digests[] = {"0123456789abcdef", "fedcba9876543210"};
        CLEANUP_FREE char *link = fixture_path(f, "hub");
        char *folders[2];
        for (size_t i = 0; i < 2; i++) {
                char digest[DIGEST_SIZE] = "";
                strcpy(digest, digests[i]);
                folders[i] = versions_folder(link, digest);
                MUST(file_make_dirs(folders[i], 0755, err));
                MUST(versions_switch(link, folders[i], err));
        }
        struct reader reader = {.link = link};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, read_on, &reader), 0);
        for (size_t i = 0; i < 2000 || reader.seen < 1000; i++)
                MUST(versions_switch(link, folders[i % 2], err));
        reader.over = true;
        pthread_join(thread, NULL);
        assert_int_equal(reader.missing, 0);
        for (size_t i = 0; i < 2; i++)
                free(folders[i]);
}

static void a_version_in_use_stays(void **state)
{
        NEED_REGISTRY();
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_venv, "{\"path\": \"D/e\", \"requirements\": \"#1\\n" IDNA "\"}", &m);
        CLEANUP_FREE char *first = output_of(&m, "real");
        CLEANUP_FREE char *python = output_of(&m, "python");
        const char *argv[] = {python, "-c", "import time; time.sleep(1000)", NULL};
        CLEANUP_FREE char *log = fixture_path(f, "log");
        pid_t pid = 0;
        MUST(proc_daemon(argv, NULL, "/", log, &pid, err));
        fixture_apply(f, &kind_host_venv, "{\"path\": \"D/e\", \"requirements\": \"#2\\n" IDNA "\"}", &m);
        fixture_apply(f, &kind_host_venv, "{\"path\": \"D/e\", \"requirements\": \"#3\\n" IDNA "\"}", &m);
        bool there = file_exists(first);
        kill(pid, SIGKILL);
        assert_true(there);
}

static void forged_package_is_refused(void **state)
{
        NEED_REGISTRY();
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_FREE char *message =
                fixture_refused(f, &kind_host_venv, "{\"path\": \"D/e\", \"requirements\": \"" IDNA_FORGED "\"}", &m);
        assert_non_null(strstr(message, "cannot install e"));
        assert_non_null(strstr(message, "ash")); /* "Hash mismatch for `idna==3.10`" */
        assert_false(is_there(f, "e"));
        CLEANUP_FREE char *unlocked =
                fixture_refused(f, &kind_host_venv, "{\"path\": \"D/e\", \"requirements\": \"idna\\n\"}", &m);
        assert_non_null(strstr(unlocked, "ash"));
}

#define NPM(extra)                                                                                                     \
        "{\"path\": \"D/node\", \"node\": \"%s\"" extra                                                                \
        ", \"package\": \"{\\\"name\\\": \\\"t\\\", \\\"dependencies\\\": "                                            \
        "{\\\"is-number\\\": \\\"7.0.0\\\"}}\", \"lock\": \"{\\\"name\\\": \\\"t\\\", \\\"lockfileVersion\\\": 3, "    \
        "\\\"packages\\\": {\\\"\\\": {\\\"name\\\": \\\"t\\\", \\\"dependencies\\\": {\\\"is-number\\\": "            \
        "\\\"7.0.0\\\"}}, \\\"node_modules/is-number\\\": {\\\"version\\\": \\\"7.0.0\\\", \\\"integrity\\\": "        \
        "\\\"sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng==\\\"}}}"   \
        "\"}"

/* CAAS_TEST_NODE is where the product's Node was unpacked (tests/lib/unit.sh). */
static void npm_installs_what_the_lock_says(void **state)
{
        NEED_REGISTRY();
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *folder = getenv("CAAS_TEST_NODE");
        if (!folder) {
                printf("skip: CAAS_TEST_NODE names no folder of Node\n");
                skip();
        }
        CLEANUP_FREE char *node = file_join(folder, "bin/node");
        CLEANUP_FREE char *npm = file_join(folder, "lib/node_modules/npm/bin/npm-cli.js");
        CLEANUP_FREE char *spec = str_format(NPM(""), node);
        assert_int_equal(fixture_apply(f, &kind_host_npm, spec, &m), ACTION_CREATE);
        assert_true(is_there(f, "node/node_modules/is-number/index.js"));
        assert_int_equal(fixture_apply(f, &kind_host_npm, spec, &m), ACTION_NONE);
        CLEANUP_FREE char *with_npm = str_format(NPM(", \"npm\": \"%s\""), node, npm);
        assert_int_equal(fixture_apply(f, &kind_host_npm, with_npm, &m), ACTION_UPDATE);
        free(fixture_remove(f, &kind_host_npm, &m));
        assert_false(is_there(f, "node"));

        CLEANUP_FREE char *forged = str_copy(spec);
        char *integrity = strstr(forged, "sha512-41C");
        memcpy(integrity + 7, "AAA", 3);
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_npm, forged, &m);
        assert_non_null(strstr(message, "EINTEGRITY"));
}

int main(void)
{
        assert(getcwd(data_dir, sizeof data_dir));
        const char *pip[] = {"/usr/bin/python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", "/tmp",
                "idna==3.10", NULL};
        assert(mkdtemp(shared_cache));
        pip[7] = shared_cache;
        online = run(pip) == 0;
        if (!online) { /* a machine without pip: the environment that the kind makes brings its own */
                CLEANUP_FREE char *folder = file_join(shared_cache, "venv");
                CLEANUP_FREE char *python = file_join(folder, "bin/python");
                const char *make[] = {"/usr/bin/python3", "-m", "venv", folder, NULL};
                pip[0] = python;
                online = run(make) == 0 && run(pip) == 0;
        }
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(venv_is_built_switched_and_removed),
                T(a_switch_has_no_gap),
                T(a_version_in_use_stays),
                T(forged_package_is_refused),
                T(npm_installs_what_the_lock_says),
        };
        int failed = cmocka_run_group_tests(tests, NULL, NULL);
        file_remove_tree(shared_cache, NULL);
        return failed;
}
