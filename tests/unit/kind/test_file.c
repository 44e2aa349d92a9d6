/* host.file, host.directory, host.tree and value, on real files. */
#include "fixture.h"

extern const struct kind kind_value, kind_host_file, kind_host_directory, kind_host_tree;

static void file_is_written_once_and_healed(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec =
                "{\"path\": \"D/a/b.conf\", \"content\": \"one\\n\", \"mode\": \"0640\", \"group\": \"daemon\"}";
        assert_int_equal(fixture_apply(f, &kind_host_file, spec, &m), ACTION_CREATE);
        assert_content(f, "a/b.conf", "one\n");
        assert_mode(f, "a/b.conf", 0640);
        assert_int_equal(fixture_apply(f, &kind_host_file, spec, &m), ACTION_NONE);

        put(f, "a/b.conf", "tampered");
        assert_int_equal(fixture_apply(f, &kind_host_file, spec, &m), ACTION_UPDATE);
        assert_content(f, "a/b.conf", "one\n");
        assert_mode(f, "a/b.conf", 0640);

        CLEANUP_FREE char *path = fixture_path(f, "a/b.conf");
        assert_int_equal(chmod(path, 0666), 0);
        assert_int_equal(fixture_apply(f, &kind_host_file, spec, &m), ACTION_UPDATE);
        assert_mode(f, "a/b.conf", 0640);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink("/etc/passwd", path), 0); /* a link in its place is replaced, not followed */
        assert_int_equal(fixture_apply(f, &kind_host_file, spec, &m), ACTION_UPDATE);
        struct stat st;
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISREG(st.st_mode));

        CLEANUP_FREE char *kept = fixture_remove(f, &kind_host_file, &m);
        assert_null(kept);
        assert_false(is_there(f, "a/b.conf"));
        free(fixture_remove(f, &kind_host_file, &m)); /* again */
}

static void file_that_moves_leaves_nothing_behind(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        fixture_apply(f, &kind_host_file, "{\"path\": \"D/old\", \"content\": \"x\"}", &m);
        assert_int_equal(
                fixture_apply(f, &kind_host_file, "{\"path\": \"D/new\", \"content\": \"x\"}", &m), ACTION_REPLACE);
        assert_false(is_there(f, "old"));
        assert_content(f, "new", "x");
}

static void file_holds_secrets_but_never_tells_them(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec =
                "{\"path\": \"D/c.json\", \"json\": {\"token\": {\"$secret\": \"hub/token\", \"version\": 1},"
                " \"n\": 2, \"url\": {\"$join\": [\"a:\", {\"$secret\": \"hub/token\", \"version\": 1}]}}}";
        CLEANUP_FREE char *key = file_join(f->state, "key");
        MUST(file_write_atomic(key, "0123456789abcdef", 16, 0600, (uid_t)-1, (gid_t)-1, err));
        assert_int_equal(fixture_apply(f, &kind_host_file, spec, &m), ACTION_CREATE);
        assert_mode(f, "c.json", 0600);
        CLEANUP_FREE char *path = fixture_path(f, "c.json");
        json_auto_t *tree = json_load_file(path, 0, NULL);
        assert_string_equal(json_string_value(json_object_get(tree, "token")), SECRET);
        assert_string_equal(json_string_value(json_object_get(tree, "url")), "a:" SECRET);
        assert_int_equal(fixture_apply(f, &kind_host_file, spec, &m), ACTION_NONE);

        /* neither the state nor the outputs hold the plain digest, with which a weak secret could be guessed */
        CLEANUP_FREE char *data = NULL;
        size_t length = 0;
        MUST(file_read(path, 65536, &data, &length, err));
        char plain[DIGEST_SIZE];
        digest_bytes(data, length, plain);
        assert_string_not_equal(json_string_value(json_object_get(m.state, "digest")), plain);
        assert_string_not_equal(json_string_value(json_object_get(m.outputs, "digest")), plain);

        /* a new version of the secret is a change, and the digest that others depend on changes with it */
        CLEANUP_FREE char *before = str_copy(json_string_value(json_object_get(m.outputs, "digest")));
        spec = "{\"path\": \"D/c.json\", \"json\": {\"token\": {\"$secret\": \"hub/token\", \"version\": 2}}}";
        assert_int_equal(fixture_apply(f, &kind_host_file, spec, &m), ACTION_UPDATE);
        assert_string_not_equal(json_string_value(json_object_get(m.outputs, "digest")), before);

        spec = "{\"path\": \"D/c.json\", \"mode\": \"0644\", \"content\": {\"$secret\": \"hub/token\"}}";
        CLEANUP_FREE char *message = fixture_refused(f, &kind_host_file, spec, &m);
        assert_non_null(strstr(message, "holds a secret"));
        spec = "{\"path\": \"D/c.json\", \"content\": {\"$secret\": \"no/such\"}}";
        CLEANUP_FREE char *unknown = fixture_refused(f, &kind_host_file, spec, &m);
        assert_non_null(strstr(unknown, "unknown secret"));
}

static void file_is_copied(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        assert_int_equal(fixture_apply(f, &kind_host_file,
                                 "{\"path\": \"D/bin/true\", \"copy\": \"/bin/true\", \"copy_digest\": \"x\", "
                                 "\"mode\": \"0755\"}",
                                 &m),
                ACTION_CREATE);
        CLEANUP_FREE char *path = fixture_path(f, "bin/true");
        CLEANUP_FREE char *command = str_format("cmp -s %s /bin/true", path);
        assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a fixed command */
}

/* Text of a file that is there only when it is written: in it, and as all of it. What stands beside says when it is
 * another. */
static void file_has_another_in_it(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0}, all = {0};
        const char *first =
                "{\"path\": \"D/a.json\", \"json\": {\"ca\": {\"$file\": \"D/ca\", \"of\": 1}, \"n\": [2]}}";
        CLEANUP_FREE char *missing = fixture_refused(f, &kind_host_file, first, &m);
        assert_non_null(strstr(missing, "/ca"));
        put(f, "ca", "one \"${x}\"\n");
        assert_int_equal(fixture_apply(f, &kind_host_file, first, &m), ACTION_CREATE);
        assert_content(f, "a.json", "{\n  \"ca\": \"one \\\"${x}\\\"\\n\",\n  \"n\": [\n    2\n  ]\n}\n");
        put(f, "ca", "two\n");
        assert_int_equal(fixture_apply(f, &kind_host_file, first, &m), ACTION_NONE);
        const char *second = "{\"path\": \"D/a.json\", \"json\": {\"ca\": {\"$file\": \"D/ca\", \"of\": 2}}}";
        assert_int_equal(fixture_apply(f, &kind_host_file, second, &m), ACTION_UPDATE);
        assert_content(f, "a.json", "{\n  \"ca\": \"two\\n\"\n}\n");

        const char *copy = "{\"path\": \"D/b\", \"content\": {\"$file\": \"D/ca\", \"of\": 2}}";
        assert_int_equal(fixture_apply(f, &kind_host_file, copy, &all), ACTION_CREATE);
        assert_content(f, "b", "two\n");
}

static void bad_specs_are_refused(void **state)
{
        struct fixture *f = *state;
        static const struct {
                const char *spec, *says;
        } cases[] = {
                {"{\"path\": \"D/a\", \"content\": \"\", \"moed\": \"0644\"}", "did you mean \"mode\""},
                {"{\"content\": \"\"}", "\"path\" is missing"},
                {"{\"path\": \"D/a\"}", "exactly one of content, json and copy"},
                {"{\"path\": \"D/a\", \"content\": \"x\", \"json\": {}}", "exactly one of"},
                {"{\"path\": \"D/a\", \"content\": {\"file\": \"D/ca\"}}", "\"content\" must be text"},
                {"{\"path\": \"D/a\", \"content\": \"x\", \"mode\": 420}", "octal mode in quotes"},
                {"{\"path\": \"D/a\", \"content\": \"x\", \"mode\": \"rw\"}", "octal mode in quotes"},
                {"{\"path\": \"a\", \"content\": \"x\"}", "absolute path"},
                {"{\"path\": \"D/../../x\", \"content\": \"x\"}", "absolute path"},
                {"{\"path\": \"/etc/caas-test\", \"content\": \"x\"}", "outside of the state folder"},
                {"{\"path\": \"D/a\", \"content\": \"x\", \"owner\": \"no-such-user-here\"}",
                        "no user no-such-user-here"},
                {"{\"path\": \"D/a\", \"content\": 12}", "must be text"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                CLEANUP_REMEMBERED struct remembered m = {0};
                CLEANUP_FREE char *message = fixture_refused(f, &kind_host_file, cases[i].spec, &m);
                if (!strstr(message, cases[i].says))
                        fail_msg("%s: %s", cases[i].spec, message);
        }
        assert_false(is_there(f, "a"));
}

static void open_values_pass_the_check(void **state)
{
        struct fixture *f = *state;
        CLEANUP_RESOURCE struct resource r = fixture_resource(f, &kind_host_file,
                "{\"path\": {\"$after\": \"hub/x.path\"}, \"content\": \"${hub/x.y}\", \"owner\": \"${a/b.uid}\"}");
        MUST(kind_host_file.check(r.spec, err));
        json_t *seen = NULL;
        MUST(kind_host_file.observe(&f->ctx, &r, &seen, err));
        assert_null(seen);
}

static void directory_is_made_kept_and_removed(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec = "{\"path\": \"D/homes\", \"mode\": \"0711\", \"group\": \"daemon\", \"keep\": true}";
        assert_int_equal(fixture_apply(f, &kind_host_directory, spec, &m), ACTION_CREATE);
        assert_mode(f, "homes", 0711);
        assert_int_equal(fixture_apply(f, &kind_host_directory, spec, &m), ACTION_NONE);
        CLEANUP_FREE char *path = fixture_path(f, "homes");
        assert_int_equal(chmod(path, 0777), 0);
        assert_int_equal(fixture_apply(f, &kind_host_directory, spec, &m), ACTION_UPDATE);
        assert_mode(f, "homes", 0711);
        put(f, "homes/data", "precious");
        CLEANUP_FREE char *kept = fixture_remove(f, &kind_host_directory, &m);
        assert_non_null(strstr(kept, "clusters/demo/homes"));
        assert_content(f, "homes/data", "precious");
        f->ctx.delete_data = true;
        assert_null(fixture_remove(f, &kind_host_directory, &m));
        assert_false(is_there(f, "homes"));
        assert_null(fixture_remove(f, &kind_host_directory, &m));
}

static void directory_outside_keeps_what_others_put_in(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        /* no random name: in a spec "D/" stands for the cluster's folder, and one may end in D */
        CLEANUP_FREE char *other = str_format("/tmp/caas-outside-%d", (int)getpid());
        assert_int_equal(mkdir(other, 0700), 0);
        CLEANUP_FREE char *spec = str_format("{\"path\": \"%s/ours\", \"outside\": true}", other);
        fixture_apply(f, &kind_host_directory, spec, &m);
        CLEANUP_FREE char *file = str_format("%s/ours/theirs", other);
        MUST(file_write_atomic(file, "x", 1, 0644, (uid_t)-1, (gid_t)-1, err));
        free(fixture_remove(f, &kind_host_directory, &m));
        assert_true(file_exists(file));
        unlink(file);
        free(fixture_remove(f, &kind_host_directory, &m));
        CLEANUP_FREE char *ours = str_format("%s/ours", other);
        assert_false(file_exists(ours));
        rmdir(other);
}

static void tree_is_exactly_these_files(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec =
                "{\"path\": \"D/code\", \"files\": {\"a.py\": \"1\", \"pkg/b.py\": \"2\"}, \"mode\": \"0640\"}";
        assert_int_equal(fixture_apply(f, &kind_host_tree, spec, &m), ACTION_CREATE);
        assert_content(f, "code/pkg/b.py", "2");
        assert_mode(f, "code/pkg", 0750);
        assert_mode(f, "code/pkg/b.py", 0640);
        assert_int_equal(fixture_apply(f, &kind_host_tree, spec, &m), ACTION_NONE);

        /* byte code is no drift; a foreign file is */
        CLEANUP_FREE char *cache = fixture_path(f, "code/__pycache__");
        assert_int_equal(mkdir(cache, 0755), 0);
        put(f, "code/__pycache__/a.pyc", "old");
        assert_int_equal(fixture_apply(f, &kind_host_tree, spec, &m), ACTION_NONE);
        put(f, "code/pkg/extra.py", "x");
        assert_int_equal(fixture_apply(f, &kind_host_tree, spec, &m), ACTION_UPDATE);
        assert_false(is_there(f, "code/pkg/extra.py"));
        assert_false(is_there(f, "code/__pycache__"));

        /* a file becomes a folder, and a folder goes */
        spec = "{\"path\": \"D/code\", \"files\": {\"a.py/c\": \"3\", \"d\": \"4\"}, \"mode\": \"0640\"}";
        assert_int_equal(fixture_apply(f, &kind_host_tree, spec, &m), ACTION_UPDATE);
        assert_content(f, "code/a.py/c", "3");
        assert_false(is_there(f, "code/pkg"));
        spec = "{\"path\": \"D/code\", \"files\": {\"a.py\": \"5\"}, \"mode\": \"0640\"}";
        assert_int_equal(fixture_apply(f, &kind_host_tree, spec, &m), ACTION_UPDATE);
        assert_content(f, "code/a.py", "5");
        free(fixture_remove(f, &kind_host_tree, &m));
        assert_false(is_there(f, "code"));

        CLEANUP_FREE char *message =
                fixture_refused(f, &kind_host_tree, "{\"path\": \"D/code\", \"files\": {\"../x\": \"\"}}", &m);
        assert_non_null(strstr(message, "within the folder"));
}

static void value_hands_its_spec_on(void **state)
{
        struct fixture *f = *state;
        CLEANUP_REMEMBERED struct remembered m = {0};
        const char *spec = "{\"url\": \"https://x/\", \"token\": {\"$secret\": \"hub/token\"}}";
        assert_int_equal(fixture_apply(f, &kind_value, spec, &m), ACTION_CREATE);
        assert_true(json_equal(m.outputs, m.spec)); /* the secret is still a marker */
        assert_int_equal(fixture_apply(f, &kind_value, spec, &m), ACTION_NONE);
        assert_int_equal(fixture_apply(f, &kind_value, "{\"url\": \"https://y/\"}", &m), ACTION_UPDATE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(file_is_written_once_and_healed),
                T(file_that_moves_leaves_nothing_behind),
                T(file_holds_secrets_but_never_tells_them),
                T(file_is_copied),
                T(file_has_another_in_it),
                T(bad_specs_are_refused),
                T(open_values_pass_the_check),
                T(directory_is_made_kept_and_removed),
                T(directory_outside_keeps_what_others_put_in),
                T(tree_is_exactly_these_files),
                T(value_hands_its_spec_on),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
