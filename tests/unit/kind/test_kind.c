/* What all kinds share: the table of them, how a spec is checked and read, secrets in memory. */
#include "fixture.h"
#include "kind/place.h"
#include "kind/spec.h"
#include "kind/table.h"

static void table_is_whole(void **state)
{
        (void)state;
        const char *before = "";
        size_t count = 0;
        for (const struct kind *const *kind = kind_table; *kind; kind++, count++) {
                assert_true(strcmp(before, (*kind)->name) < 0); /* sorted, none twice */
                assert_non_null((*kind)->observe);
                assert_non_null((*kind)->apply);
                assert_non_null((*kind)->remove);
                before = (*kind)->name;
        }
        assert_true(count >= 17);
}

static void specs_are_checked(void **state)
{
        (void)state;
        static const struct spec_field fields[] = {{"text", SPEC_TEXT, true}, {"path", SPEC_PATH, false},
                {"mode", SPEC_MODE, false}, {"owner", SPEC_OWNER, false}, {"whole", SPEC_WHOLE, false},
                {"number", SPEC_NUMBER, false}, {"flag", SPEC_BOOL, false}, {"list", SPEC_TEXTS, false},
                {"map", SPEC_SCALARS, false}, {"tree", SPEC_OBJECT, false}, {NULL, SPEC_ANY, false}};
        static const struct {
                const char *spec, *says; /* NULL = fine */
        } cases[] = {
                {"{\"text\": \"x\", \"path\": \"/a/b..c/.d\", \"mode\": \"02755\", \"owner\": 7, \"whole\": 0, "
                 "\"number\": 0.5,"
                 " \"flag\": false, \"list\": [\"a\", 1, true], \"map\": {\"a\": 1, \"b\": \"\"}, \"tree\": {}}",
                        NULL},
                {"{\"text\": {\"$secret\": \"a/b\"}, \"whole\": \"${a/b.c}\", \"list\": {\"$after\": \"a/b.c\"},"
                 " \"map\": {\"a\": {\"$join\": [\"x\"]}}}",
                        NULL},
                {"{\"text\": \"x\", \"path\": null}", NULL}, /* nothing said */
                {"[]", "must be an object"},
                {"{}", "key \"text\" is missing"},
                {"{\"text\": null}", "\"text\" must be text, not null"},
                {"{\"text\": \"\"}", "\"text\" must be text, not \"\""},
                {"{\"text\": \"x\", \"pth\": \"/\"}", "key \"pth\" is not known; did you mean \"path\"?"},
                {"{\"text\": \"x\", \"zzzzzzzz\": 1}", "key \"zzzzzzzz\" is not known; there are text, path,"},
                {"{\"text\": \"x\", \"path\": \"/a/../b\"}", "\"path\" must be an absolute path"},
                {"{\"text\": \"x\", \"path\": \"/a/.\"}", "\"path\" must be an absolute path"},
                {"{\"text\": \"x\", \"mode\": \"0888\"}", "\"mode\" must be an octal mode"},
                {"{\"text\": \"x\", \"mode\": \"644\"}", "\"mode\" must be an octal mode"},
                {"{\"text\": \"x\", \"owner\": -1}", "\"owner\" must be a name or a number, not -1"},
                {"{\"text\": \"x\", \"whole\": 1.5}", "\"whole\" must be a whole number"},
                {"{\"text\": \"x\", \"number\": \"1\"}", "\"number\" must be a number"},
                {"{\"text\": \"x\", \"flag\": \"yes\"}", "\"flag\" must be true or false, not \"yes\""},
                {"{\"text\": \"x\", \"list\": [[]]}", "\"list\" must be a list"},
                {"{\"text\": \"x\", \"map\": {\"a\": {}}}", "\"map\" must be an object of"},
                {"{\"text\": [{\"$secret\": \"a/b\"}]}", "not what stands there"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_auto_t *spec = json_loads(cases[i].spec, 0, NULL);
                assert_non_null(spec);
                CLEANUP_ERR struct err *err = NULL;
                int result = spec_check(spec, fields, &err);
                if (!cases[i].says && result < 0)
                        fail_msg("%s: %s", cases[i].spec, err->message);
                if (cases[i].says && (result != -ERR_INVALID || !strstr(err->message, cases[i].says)))
                        fail_msg("%s: %s", cases[i].spec, err ? err->message : "accepted");
        }
}

static void specs_are_read(void **state)
{
        (void)state;
        json_auto_t *spec = json_loads("{\"t\": \"x\", \"n\": 7, \"r\": 0.5, \"b\": true, \"m\": \"0640\","
                                       " \"l\": [\"a\", 1, 2.5, false], \"e\": {\"B\": 2, \"A\": \"x y\"}}",
                0, NULL);
        assert_string_equal(spec_text(spec, "t", "-"), "x");
        assert_string_equal(spec_text(spec, "n", "-"), "-");
        assert_int_equal(spec_whole(spec, "n", -1), 7);
        assert_int_equal(spec_whole(NULL, "n", -1), -1);
        assert_true(spec_number(spec, "r", 0) > 0.4);
        assert_true(spec_bool(spec, "b", false));
        assert_int_equal(spec_mode(spec, "m", 0600), 0640);
        assert_int_equal(spec_mode(spec, "t", 0600), 0600);
        CLEANUP_TEXTS char **list = spec_texts(spec, "l");
        static const char *const expected[] = {"a", "1", "2.5", "false", NULL};
        for (size_t i = 0; expected[i]; i++)
                assert_string_equal(list[i], expected[i]);
        assert_null(list[4]);
        CLEANUP_TEXTS char **env = spec_assignments(json_object_get(spec, "e"));
        assert_string_equal(env[0], "A=x y");
        assert_string_equal(env[1], "B=2");
        assert_null(env[2]);
        CLEANUP_TEXTS char **none = spec_texts(spec, "nothing");
        assert_null(none[0]);
}

static void secrets_are_resolved_and_forgotten(void **state)
{
        struct fixture *f = *state;
        json_auto_t *spec = json_loads("{\"a\": {\"$secret\": \"hub/token\"}, \"b\": \"plain\"}", 0, NULL);
        json_t *resolved = NULL;
        MUST(kind_resolve(&f->ctx, spec, &resolved, err));
        assert_string_equal(json_string_value(json_object_get(resolved, "a")), SECRET);
        json_t *shared = json_incref(json_object_get(resolved, "b")); /* somebody else's, too: stays */
        kind_forget(resolved);
        assert_string_equal(json_string_value(shared), "plain");
        json_decref(shared);
        kind_forget(NULL);

        f->ctx.resolve = NULL;
        json_t *untouched = NULL;
        assert_int_equal(kind_resolve(&f->ctx, spec, &untouched, NULL), -ERR_NOT_FOUND);
        assert_null(untouched);
        f->ctx.progress = NULL;
        kind_progress(&f->ctx, "nobody listens");
}

static void places_are_ours(void **state)
{
        struct fixture *f = *state;
        static const struct {
                const char *path;
                bool fine;
        } cases[] = {{"%s/x", true}, {"%s/clusters/demo", true}, {"%s", false}, {"%s-more/x", false}, {"/etc/x", false},
                {"%s/../x", false}, {"%s/a/..", false}, {"x", false}};
        json_auto_t *spec = json_object(), *outside = json_pack("{s:b}", "outside", 1);
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                const char *mark = strstr(cases[i].path, "%s");
                CLEANUP_FREE char *path = mark ? str_format("%s%s", f->state, mark + 2) : str_copy(cases[i].path);
                assert_int_equal(place_check(&f->ctx, spec, path, NULL), cases[i].fine ? 0 : -ERR_REFUSED);
        }
        assert_int_equal(place_check(&f->ctx, outside, "/etc/x", NULL), 0);
        assert_int_equal(place_check(&f->ctx, outside, "/etc/../x", NULL), -ERR_REFUSED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        const struct CMUnitTest tests[] = {
                T(table_is_whole),
                T(specs_are_checked),
                T(specs_are_read),
                T(secrets_are_resolved_and_forgotten),
                T(places_are_ours),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
