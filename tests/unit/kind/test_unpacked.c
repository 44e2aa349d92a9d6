/* host.unpacked with the machine's own apt and repositories that are made for it. */
#include "base/proc.h"
#include "fixture.h"

extern const struct kind kind_host_unpacked;

static char *folder, *fingerprint, *script;

/* A repository in `folder`/name with the package in this version. Its key's fingerprint; the caller frees. */
static char *repository(const char *name, const char *version, const char *text)
{
        CLEANUP_FREE char *tree = str_format("%s/%s-tree", folder, name), *into = str_format("%s/%s", folder, name);
        CLEANUP_FREE char *share = str_format("%s/usr/share/grafana", tree), *file = str_format("%s/text", share);
        assert_int_equal(file_make_dirs(share, 0755, NULL), 0);
        assert_int_equal(file_write_atomic(file, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1, NULL), 0);
        const char *argv[] = {"bash", script, into, "grafana", version, tree, NULL};
        struct proc_spec spec = {.argv = argv, .timeout_ms = 60000, .new_session = true};
        CLEANUP_PROC struct proc_result result = {0};
        MUST(proc_must(&spec, &result, err));
        return str_copy(str_trim(result.output));
}

static char *spec_of(const char *name, const char *version, const char *trust)
{
        return str_format("{\"path\": \"D/grafana\", \"package\": \"grafana\", \"version\": \"%s\", \"repository\": "
                          "\"file:%s/%s\", \"suite\": \"stable main\", %s, \"without\": \"write off\"}",
                version, folder, name, trust);
}

static char *by_key(const char *name)
{
        return str_format("\"key\": \"%s/%s/key.asc\"", folder, name);
}

static void expect_text(struct fixture *f, const char *expected)
{
        CLEANUP_FREE char *path = fixture_path(f, "grafana/usr/share/grafana/text");
        CLEANUP_FREE char *text = NULL;
        MUST(file_read(path, 100, &text, NULL, err));
        assert_string_equal(text, expected);
}

static void it_is_unpacked_renewed_and_removed(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_FREE char *key = by_key("good"), *newer_key = by_key("newer");
        CLEANUP_FREE char *spec = spec_of("good", "13.2.1", key), *newer = spec_of("newer", "13.3.0", newer_key);
        assert_int_equal(fixture_apply(f, &kind_host_unpacked, spec, &m), ACTION_CREATE);
        expect_text(f, "good");
        CLEANUP_FREE char *apt = fixture_path(f, "grafana/.apt");
        assert_false(file_exists(apt));
        assert_false(file_exists("/tmp/caas-a-script-of-a-package-was-run"));
        assert_int_equal(fixture_apply(f, &kind_host_unpacked, spec, &m), ACTION_NONE);
        assert_int_equal(fixture_apply(f, &kind_host_unpacked, newer, &m), ACTION_UPDATE);
        expect_text(f, "newer");
        CLEANUP_FREE char *kept = fixture_remove(f, &kind_host_unpacked, &m);
        assert_null(kept);
        CLEANUP_FREE char *path = fixture_path(f, "grafana");
        assert_false(file_exists(path));
}

static void the_key_is_known_by_its_fingerprint(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        CLEANUP_FREE char *trust =
                str_format("\"key_url\": \"file:%s/good/key.asc\", \"fingerprint\": \"%s\"", folder, fingerprint);
        CLEANUP_FREE char *spec = spec_of("good", "13.2.1", trust);
        assert_int_equal(fixture_apply(f, &kind_host_unpacked, spec, &m), ACTION_CREATE);
        expect_text(f, "good");
}

static void refused(struct fixture *f, const char *spec, const char *words)
{
        CLEANUP_RESOURCE struct resource r = fixture_resource(f, &kind_host_unpacked, spec);
        struct err *err = NULL;
        int result = kind_host_unpacked.preflight(&f->ctx, &r, NULL, &err);
        assert_true(result < 0);
        assert_non_null(strstr(err->message, "cannot be had from"));
        assert_non_null(strstr(err->message, "write off"));
        if (!strstr(err->message, words))
                fail_msg("\"%s\" is not in \"%s\"", words, err->message);
        err_free(err);
        CLEANUP_FREE char *path = fixture_path(f, "grafana");
        assert_false(file_exists(path));
}

static void what_is_wrong_is_found_before(void **state)
{
        struct fixture *f = *state;
        CLEANUP_FREE char *good = by_key("good"), *other = by_key("newer");
        CLEANUP_FREE char *wrong_print =
                str_format("\"key_url\": \"file:%s/newer/key.asc\", \"fingerprint\": \"%s\"", folder, fingerprint);
        CLEANUP_FREE char *no_version = spec_of("good", "1.2.3", good), *no_place = spec_of("nowhere", "13.2.1", good);
        CLEANUP_FREE char *other_key = spec_of("good", "13.2.1", other),
                          *forged = spec_of("newer", "13.3.0", wrong_print);
        CLEANUP_FREE char *changed = spec_of("changed", "13.2.1", good);
        refused(f, no_version, "1.2.3");
        refused(f, no_place, "nowhere");
        refused(f, other_key, "is not signed");
        refused(f, forged, "not signed"); /* by its own key, which is not the one that was expected */
        refused(f, changed, "InRelease");
}

static void what_would_be_read_otherwise(void **state)
{
        (void)state;
        static const char *const wrong[] = {"\"repository\": \"https://x/ [trusted=yes]\"",
                "\"repository\": \"https://x/\\ndeb https://y/ z\"", "\"version\": \"1 2\"",
                "\"suite\": \"[trusted=yes] x\"", "\"package\": \"a b\"", "\"key\": \"\""};
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                json_auto_t *spec =
                        json_loads("{\"path\": \"/x\", \"package\": \"a\", \"version\": \"1\", \"repository\": "
                                   "\"https://x/\", \"suite\": \"s m\", \"key\": \"/k\"}",
                                0, NULL);
                CLEANUP_FREE char *text = str_format("{%s}", wrong[i]);
                json_auto_t *part = json_loads(text, 0, NULL);
                assert_int_equal(kind_host_unpacked.check(spec, NULL), 0);
                assert_non_null(part);
                json_object_update(spec, part);
                assert_int_equal(kind_host_unpacked.check(spec, NULL), -ERR_INVALID);
        }
}

static int prepare(void **state)
{
        (void)state;
        char temporary[] = "/tmp/caas-test-repository-XXXXXX", here[4096];
        if (!mkdtemp(temporary) || chmod(temporary, 0755) < 0 || !getcwd(here, sizeof here))
                return -1;
        folder = str_copy(temporary);
        script = str_format("%s/tests/lib/apt-repository.sh", here);
        fingerprint = repository("good", "13.2.1", "good");
        CLEANUP_FREE char *unused = repository("newer", "13.3.0", "newer");
        CLEANUP_FREE char *unused_too = repository("changed", "13.2.1", "changed");
        CLEANUP_FREE char *release = str_format("%s/changed/dists/stable/InRelease", folder);
        CLEANUP_FREE char *text = NULL;
        MUST(file_read(release, 100000, &text, NULL, err));
        char *at = strstr(text, "Codename");
        assert_non_null(at);
        *at = 'c';
        return file_write_atomic(release, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1, NULL);
}

static int finish(void **state)
{
        (void)state;
        int result = file_remove_tree(folder, NULL);
        free(folder);
        free(fingerprint);
        free(script);
        return result;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(it_is_unpacked_renewed_and_removed, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(the_key_is_known_by_its_fingerprint, fixture_setup, fixture_teardown),
                cmocka_unit_test_setup_teardown(what_is_wrong_is_found_before, fixture_setup, fixture_teardown),
                cmocka_unit_test(what_would_be_read_otherwise),
        };
        return cmocka_run_group_tests(tests, prepare, finish);
}
