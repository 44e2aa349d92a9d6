/* The fixture cases: tests/cases/role/<case>/ has data/ (roles and templates) and values.json, and either output.json
 * (what is loaded) or error (the whole message with its place). CASES_UPDATE=1 writes what was found; look at it with
 * git diff. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "role/role.h"

#define CASES "tests/cases/role"

static json_t *dump(const struct resources *resources, const struct role_secrets *secrets)
{
        json_t *list = json_array(), *names = json_array();
        for (size_t i = 0; i < resources->count; i++) {
                const struct resource *r = &resources->item[i];
                json_t *needs = json_array();
                for (char **need = r->needs; *need; need++)
                        json_array_append_new(needs, json_string(*need));
                json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:O}", "id", r->id, "kind", r->kind, "needs",
                                                    needs, "spec", r->spec));
        }
        for (size_t i = 0; i < secrets->count; i++) {
                const struct role_secret *s = &secrets->item[i];
                json_array_append_new(names, json_pack("{s:s, s:i, s:s, s:s?}", "name", s->name, "bytes", s->bytes,
                                                     "format", s->format, "file", s->file));
        }
        return json_pack("{s:o, s:o}", "resources", list, "secrets", names);
}

static char *read_if_there(const char *folder, const char *name)
{
        CLEANUP_FREE char *path = file_join(folder, name);
        char *text = NULL;
        file_read(path, 1 << 20, &text, NULL, NULL);
        return text;
}

static void update(const char *folder, const char *name, const char *text)
{
        if (!getenv("CASES_UPDATE"))
                return;
        CLEANUP_FREE char *path = file_join(folder, name);
        CLEANUP_FREE char *line = str_format("%s\n", text);
        assert_int_equal(file_write_atomic(path, line, strlen(line), 0644, (uid_t)-1, (gid_t)-1, NULL), 0);
}

static void check_output(const char *folder, const struct resources *resources, const struct role_secrets *secrets)
{
        json_auto_t *found = dump(resources, secrets);
        CLEANUP_FREE char *text = json_dumps(found, JSON_INDENT(1) | JSON_SORT_KEYS);
        update(folder, "output.json", text);
        CLEANUP_FREE char *wanted = read_if_there(folder, "output.json");
        if (!wanted || !str_is(str_trim(wanted), text)) {
                print_error("%s: found\n%s\nwanted\n%s\n", folder, text, wanted ? wanted : "an error");
                fail();
        }
}

static void check_error(const char *folder, const struct err *err)
{
        CLEANUP_FREE char *text = err_text(err);
        update(folder, "error", text);
        CLEANUP_FREE char *wanted = read_if_there(folder, "error");
        if (!wanted || !str_is(str_trim(wanted), text)) {
                print_error("%s: found the error\n%s\nwanted\n%s\n", folder, text, wanted ? wanted : "an output");
                fail();
        }
}

static void run_case(void **state)
{
        const char *folder = *state;
        CLEANUP_FREE char *data = file_join(folder, "data");
        CLEANUP_FREE char *values_path = file_join(folder, "values.json");
        json_auto_t *values = json_load_file(values_path, 0, NULL);
        assert_non_null(values);
        struct resources resources = {0};
        struct role_secrets secrets = {0};
        struct err *err = NULL;
        int r = role_load(data, "host", values, &resources, &secrets, &err);
        if (r < 0) {
                assert_int_equal(r, -(int)err->code);
                assert_null(resources.item); /* outputs are untouched */
                assert_null(secrets.item);
                check_error(folder, err);
        } else {
                assert_null(err);
                check_output(folder, &resources, &secrets);
        }
        err_free(err);
        resources_clear(&resources);
        role_secrets_clear(&secrets);
}

static int visible(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

int main(void)
{
        struct dirent **names;
        int count = scandir(CASES, &names, visible, alphasort);
        if (count <= 0) {
                print_error("no cases in " CASES ": run it from the top of the repository\n");
                return 1;
        }
        struct CMUnitTest *tests = mem_zero_array((size_t)count, sizeof *tests);
        for (int i = 0; i < count; i++)
                tests[i] = (struct CMUnitTest){.name = names[i]->d_name,
                        .test_func = run_case,
                        .initial_state = file_join(CASES, names[i]->d_name)};
        int failed = _cmocka_run_group_tests("role/cases", tests, (size_t)count, NULL, NULL);
        for (int i = 0; i < count; i++) {
                free(tests[i].initial_state);
                free(names[i]);
        }
        free(tests);
        free(names);
        return failed;
}
