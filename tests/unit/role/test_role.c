/* What fixture cases cannot say well: size, long chains, values that must not be taken for placeholders. */
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
#include "role/role.h"
#include "tree/digest.h"
#include "tree/subst.h"

static int setup(void **state)
{
        const char *tmp = getenv("TMPDIR");
        char *path = str_format("%s/caas-role-XXXXXX", tmp && *tmp ? tmp : "/tmp");
        *state = path;
        return mkdtemp(path) ? 0 : -1;
}

static int teardown(void **state)
{
        int r = file_remove_tree(*state, NULL);
        free(*state);
        return r;
}

static void write_file(const char *folder, const char *name, const char *text)
{
        CLEANUP_FREE char *path = file_join(folder, name);
        CLEANUP_FREE char *parent = str_copy(path);
        *strrchr(parent, '/') = '\0';
        assert_int_equal(file_make_dirs(parent, 0755, NULL), 0);
        assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, (uid_t)-1, (gid_t)-1, NULL), 0);
}

static void load(const char *folder, const json_t *values, struct resources *resources, struct role_secrets *secrets)
{
        struct err *err = NULL;
        if (role_load(folder, "host", values, resources, secrets, &err) < 0) {
                CLEANUP_FREE char *text = err_text(err);
                print_error("%s\n", text);
                err_free(err);
                fail();
        }
}

/* Many items, each with a need of its own and one for all: the same number of needs for each. */
static void many_items(void **state)
{
        enum { COUNT = 2000 };
        write_file(*state, "roles/hub/role.yaml",
                "name: hub\ntargets:\n  host:\n"
                "    - {id: hub/b, kind: value, for_each: \"${items}\", needs: [\"hub/a/${each}\", hub/base], spec: "
                "{n: \"${index}\"}}\n"
                "    - {id: hub/a, kind: value, for_each: \"${items}\", spec: {template: x.conf}}\n"
                "    - {id: hub/base, kind: value, spec: {}}\n"
                "    - {id: hub/all, kind: value, needs: [hub/b], spec: {}}\n");
        write_file(*state, "templates/host/x.conf", "name ${each}\n");
        json_auto_t *values = json_object();
        json_t *items = json_array();
        json_object_set_new(values, "items", items);
        for (int i = 0; i < COUNT; i++)
                json_array_append_new(items, json_sprintf("item-%d", i));
        CLEANUP_RESOURCES struct resources resources = {0};
        struct role_secrets secrets = {0};
        load(*state, values, &resources, &secrets);
        assert_int_equal(resources.count, 2 * COUNT + 2);
        for (size_t i = 0; i < 2 * COUNT; i += 2) { /* each a right before its b, base before all but the first a */
                size_t number = i / 2;
                const struct resource *a = &resources.item[number == 0 ? 0 : i + 1], *b = &resources.item[i + 2];
                CLEANUP_FREE char *id = str_format("hub/a/item-%zu", number);
                assert_string_equal(a->id, id);
                assert_string_equal(b->needs[0], id);
                assert_string_equal(b->needs[1], "hub/base");
                assert_null(b->needs[2]);
                assert_int_equal(json_integer_value(json_object_get(b->spec, "n")), number);
        }
        const struct resource *all = &resources.item[resources.count - 1];
        assert_string_equal(all->id, "hub/all");
        size_t needs = 0;
        while (all->needs[needs])
                needs++;
        assert_int_equal(needs, COUNT);
        role_secrets_clear(&secrets);
}

/* A chain as long as there are resources does not need as much stack. */
static void long_chain(void **state)
{
        enum { COUNT = 10000 };
        CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
        buf_str(&text, "name: hub\ntargets:\n  host:\n");
        for (int i = 0; i < COUNT; i++)
                buf_format(&text, "  - {id: hub/r%d, kind: value, needs: [hub/r%d], spec: {}}\n", i, i + 1);
        buf_format(&text, "  - {id: hub/r%d, kind: value, spec: {}}\n", COUNT);
        write_file(*state, "roles/hub/role.yaml", text.data);
        json_auto_t *values = json_object();
        CLEANUP_RESOURCES struct resources resources = {0};
        struct role_secrets secrets = {0};
        load(*state, values, &resources, &secrets);
        assert_int_equal(resources.count, COUNT + 1);
        assert_string_equal(resources.item[COUNT].id, "hub/r0");
        assert_string_equal(resources.item[0].id, "hub/r10000");
}

static int refuse(void *data, const char *name, json_t **ret, struct err **err)
{
        (void)data;
        (void)ret;
        return err_set(err, ERR_INVALID, "%s was taken for a placeholder", name);
}

/* What came from the form, from files or from "$${" is text for the plan's pass as well. */
static void nothing_is_filled_twice(void **state)
{
        write_file(*state, "roles/hub/role.yaml",
                "name: hub\ntargets:\n  host:\n"
                "  - {id: hub/a, kind: value, spec: {source: code.sh, hostile: \"${x}\", part: \"<${x}>\", own: "
                "\"$${x}\", whole: \"${deep}\"}}\n"
                "  - {id: hub/b, kind: value, spec: {template: t.conf}}\n"
                "  - {id: hub/c, kind: value, spec: {sources: files}}\n");
        write_file(*state, "roles/hub/code.sh", "echo ${HOME} $${x} $$${y} $");
        write_file(*state, "roles/hub/files/a.sh", "${a}");
        write_file(*state, "templates/host/t.conf", "<${x}> $${HOME}");
        json_auto_t *values = json_pack("{s:s, s:{s:[s]}}", "x", "${form.y} $${z}", "deep", "list", "${a/b.c}");
        CLEANUP_RESOURCES struct resources resources = {0};
        struct role_secrets secrets = {0};
        load(*state, values, &resources, &secrets);
        static const char *const wanted[] = {
                "{\"content\":\"echo ${HOME} $${x} $$${y} $\",\"hostile\":\"${form.y} "
                "$${z}\",\"own\":\"${x}\",\"part\":\"<${form.y} $${z}>\","
                "\"whole\":{\"list\":[\"${a/b.c}\"]}}",
                "{\"content\":\"<${form.y} $${z}> ${HOME}\"}",
                "{\"files\":{\"a.sh\":\"${a}\"}}",
        };
        assert_int_equal(resources.count, 3);
        for (size_t i = 0; i < 3; i++) {
                json_auto_t *spec = NULL;
                assert_null(resources.item[i].needs[0]);
                assert_int_equal(subst_tree(resources.item[i].spec, refuse, NULL, false, &spec, NULL), 0);
                CLEANUP_FREE char *text = json_dumps(spec, JSON_COMPACT | JSON_SORT_KEYS);
                assert_string_equal(text, wanted[i]);
        }
}

static void digest_of_a_copy(void **state)
{
        CLEANUP_FREE char *copied = file_join(*state, "helper");
        CLEANUP_FREE char *role =
                str_format("name: hub\ntargets:\n  host:\n"
                           "  - {id: hub/a, kind: host.file, spec: {copy: \"${caas.libexec}/helper\"}}\n"
                           "  - {id: hub/b, kind: host.venv, spec: {requirements: {file: \"%s\"}}}\n",
                        copied);
        write_file(*state, "roles/hub/role.yaml", role);
        write_file(*state, "helper", "program ${x}");
        json_auto_t *values = json_pack("{s:{s:s}}", "caas", "libexec", *state);
        CLEANUP_RESOURCES struct resources resources = {0};
        struct role_secrets secrets = {0};
        load(*state, values, &resources, &secrets);
        char digest[DIGEST_SIZE];
        digest_bytes("program ${x}", strlen("program ${x}"), digest);
        const json_t *spec = resources.item[0].spec;
        assert_string_equal(json_string_value(json_object_get(spec, "copy_digest")), digest);
        assert_string_equal(json_string_value(json_object_get(spec, "copy")), copied);
        assert_string_equal(
                json_string_value(json_object_get(resources.item[1].spec, "requirements")), "program $${x}");
}

static void resources_own_what_they_hold(void **state)
{
        (void)state;
        struct resources list = {0};
        for (int i = 0; i < 20; i++) {
                struct resource r = {.id = str_format("hub/%d", i), .kind = str_copy("value"), .spec = json_object()};
                resources_add(&list, &r);
                assert_null(r.id);
                assert_null(r.spec);
        }
        assert_string_equal(list.item[19].id, "hub/19");
        resources_clear(&list);
        assert_int_equal(list.count, 0);
        resources_clear(&list);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(many_items, setup, teardown),
                cmocka_unit_test_setup_teardown(long_chain, setup, teardown),
                cmocka_unit_test_setup_teardown(nothing_is_filled_twice, setup, teardown),
                cmocka_unit_test_setup_teardown(digest_of_a_copy, setup, teardown),
                cmocka_unit_test(resources_own_what_they_hold),
        };
        return cmocka_run_group_tests_name("role", tests, NULL, NULL);
}
