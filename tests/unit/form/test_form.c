/* form: what is made from the table (template, schema, documentation), paths, and the limits of the checker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/net.h"
#include "form/table.h"

static const char minimal[] = "cluster: demo\nnotebook: {cpus: 1, ram: 2, storage: 10}\n";

static int read_form(const char *text, const char *address, json_t **ret, struct diags *diags)
{
        return form_read(text, strlen(text), &(struct form_facts){.address = address}, ret, NULL, diags);
}

static void must_pass(const char *text, const char *address)
{
        CLEANUP_DIAGS struct diags diags = {0};
        json_auto_t *form = NULL;
        if (read_form(text, address, &form, &diags) < 0)
                fail_msg("%d:%d: %s\n%s", diags.item[0].line, diags.item[0].column, diags.item[0].message, text);
}

static void must_fail(const char *text, const char *word)
{
        CLEANUP_DIAGS struct diags diags = {0};
        json_auto_t *form = NULL;
        assert_int_equal(read_form(text, NULL, &form, &diags), -ERR_INVALID);
        assert_null(form);
        if (!strstr(diags.item[0].message, word))
                fail_msg("no \"%s\" in: %s", word, diags.item[0].message);
}

/* ---- the template ---- */

static void test_template_passes_as_printed(void **state)
{
        (void)state;
        const char *addresses[] = {NULL, "127.0.0.1", "10.0.0.1", "9.9.9.9", "2a01:4f8::1"};
        for (const char *const *target = form_targets(); *target; target++) {
                CLEANUP_FREE char *text = form_template("lab", *target);
                assert_non_null(strstr(text, "\ncluster: lab\n"));
                for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
                        must_pass(text, addresses[i]);
        }
        CLEANUP_FREE char *without_name = form_template(NULL, "host");
        must_pass(without_name, NULL);
}

static void test_template_has_every_field(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = form_template(NULL, "kubernetes");
        CLEANUP_FREE char *host = form_template(NULL, "host");
        for (size_t i = 0; i < form_table_count; i++) {
                if (form_in_items(&form_table[i]))
                        continue;
                bool other = form_is_block(&form_table[i]) ? str_is(form_table[i].when_value, "host")
                                                           : form_of_other_target(&form_table[i], "kubernetes");
                CLEANUP_FREE char *line = str_format("%s:", form_leaf(&form_table[i]));
                assert_non_null(strstr(other ? host : text, line));
        }
        assert_non_null(strstr(text, "\ntarget: kubernetes\n"));
        assert_non_null(strstr(text, "image: registry.example.org"));
        assert_null(strstr(text, "lock: "));
        assert_non_null(strstr(text, "# enabled: false\n"));
        assert_non_null(strstr(text, "# nodes: true\n"));
        assert_non_null(strstr(host, "# enabled: true\n"));
        assert_null(strstr(host, "nodes:"));
        assert_null(strstr(host, "\nkubernetes:"));
        assert_null(strstr(host, "storage_class"));
        assert_non_null(strstr(host, "lock: climate.txt"));
}

/* The text with its n-th line "# name: value" (and what belongs to it) out of its comment; NULL if there are not so
 * many. */
static char *uncomment(const char *text, size_t n)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(100000);
        bool found = false, below = false;
        for (const char *line = text; *line;) {
                size_t length = strcspn(line, "\n"), spaces = strspn(line, " ");
                const char *hash = line + spaces;
                size_t name = *hash == '#' ? strspn(hash + 2, "abcdefghijklmnopqrstuvwxyz_") : 0;
                /* "# name:" begins a field; prose never has a colon right after its first word. */
                bool field = name && hash[2 + name] == ':' && strchr(" \n", hash[3 + name]);
                bool item = below && *hash == '#' && (hash[2] == '-' || hash[2] == ' ');
                below = item || (field && n-- == 0);
                found = found || below;
                if (below) {
                        buf_add(&buf, line, spaces);
                        buf_add(&buf, hash + 2, length - spaces - 2);
                } else {
                        buf_add(&buf, line, length);
                }
                buf_str(&buf, "\n");
                line += length + (line[length] == '\n');
        }
        return found ? buf_steal(&buf) : NULL;
}

/* On Kubernetes it is off by default. */
static bool needs_monitoring(const char *path)
{
        return str_is(path, "monitoring.scrape_from") || str_is(path, "monitoring.remote_write.url") ||
               str_is(path, "monitoring.backup_cronjob");
}

static void each_line(const char *target)
{
        CLEANUP_FREE char *text = form_template(NULL, target);
        size_t fields = 0, conditional = 0;
        for (;; fields++) {
                CLEANUP_FREE char *changed = uncomment(text, fields);
                CLEANUP_DIAGS struct diags diags = {0};
                json_auto_t *form = NULL;
                if (!changed)
                        break;
                int rc = read_form(changed, NULL, &form, &diags);
                if (rc < 0 && diags.count == 1 &&
                        (strstr(diags.item[0].message, "only used with") ||
                                strstr(diags.item[0].message, "it is required with monitoring.")))
                        conditional++; /* belongs to a mode that the template does not choose, or to another field */
                else if (rc < 0)
                        fail_msg("%d:%d: %s\n%s", diags.item[0].line, diags.item[0].column, diags.item[0].message,
                                changed);
        }
        size_t optional = 0, with_mode = 0;
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                if (field->type == FORM_GROUP || form_in_items(field) || form_of_other_target(field, target))
                        continue;
                optional += !field->shown && (!field->required || field->when);
                with_mode += (field->when && !str_is(field->when, "target")) ||
                             str_is(field->path, "monitoring.remote_write.token_file") ||
                             str_is(field->path, "monitoring.remote_write.ca") ||
                             str_is(field->path, "monitoring.alert_email") ||
                             (str_starts(field->path, "monitoring.grafana_") && field->example) ||
                             (str_is(target, "kubernetes") && needs_monitoring(field->path)) ||
                             (str_starts(field->path, "monitoring.smtp.") && !field->standard);
        }
        if (!str_is(target, "host")) /* it stands there */
                optional--;
        assert_int_equal(fields, optional);
        assert_int_equal(conditional, with_mode);
}

static void test_each_line_of_the_template_can_be_taken_out_of_its_comment(void **state)
{
        (void)state;
        for (const char *const *target = form_targets(); *target; target++)
                each_line(*target);
}

/* ---- the schema ---- */

static void test_schema_has_every_field(void **state)
{
        (void)state;
        json_auto_t *schema = form_schema();
        assert_string_equal(
                json_string_value(json_object_get(schema, "$schema")), "https://json-schema.org/draft/2020-12/schema");
        for (size_t i = 0; i < form_table_count; i++) {
                CLEANUP_FREE char *path = str_copy(form_table[i].path);
                const json_t *at = schema;
                char *rest = path;
                for (char *part; (part = strsep(&rest, ".")) != NULL;) {
                        bool items = str_ends(part, "[]");
                        if (items)
                                part[strlen(part) - 2] = '\0';
                        assert_true(json_is_false(json_object_get(at, "additionalProperties")));
                        at = json_object_get(json_object_get(at, "properties"), part);
                        if (items)
                                at = json_object_get(at, "items");
                }
                if (!at)
                        fail_msg("no %s in the schema", form_table[i].path);
                assert_non_null(json_object_get(at, "description"));
        }
        const json_t *required = json_object_get(schema, "required");
        assert_int_equal(json_array_size(required), 2);
        const json_t *port = tree_get(schema, "properties.port");
        assert_int_equal(json_integer_value(json_object_get(port, "maximum")), 65535);
        assert_int_equal(json_integer_value(json_object_get(port, "default")), 443);
        assert_int_equal(json_array_size(tree_get(schema, "properties.tls.properties.mode.enum")), 6);
        assert_int_equal(json_array_size(tree_get(schema, "properties.tls.allOf")), 4);
        assert_int_equal(json_array_size(tree_get(schema, "properties.identity.allOf")), 2);
        assert_int_equal(json_array_size(tree_get(schema, "properties.kubernetes.allOf")), 4);
        /* each block with its target, and nothing else; without a target it is host */
        assert_int_equal(json_array_size(tree_get(schema, "allOf")), 2);
        assert_string_equal(json_string_value(tree_get(schema, "allOf[1].then.properties.kubernetes.type")), "null");
        assert_true(json_is_false(tree_get(schema, "properties.tls.allOf[1].then.properties.email")));
        assert_non_null(tree_get(schema, "allOf[1].if.not.properties.target"));
}

static void test_markdown_has_every_field(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = form_markdown();
        size_t rows = 0, lines = 0;
        for (const char *c = text; *c; c++)
                lines += *c == '\n';
        for (size_t i = 0; i < form_table_count; i++) {
                if (form_table[i].type == FORM_GROUP)
                        continue;
                CLEANUP_FREE char *cell = str_format("| `%s` |", form_table[i].path);
                assert_non_null(strstr(text, cell));
                rows++;
        }
        assert_int_equal(lines, rows + 2);
}

/* ---- the table itself ---- */

static void test_table_is_sound(void **state)
{
        (void)state;
        for (size_t i = 0; i < form_table_count; i++) {
                const struct form_field *field = &form_table[i];
                assert_int_equal(form_find(field->path), i);
                assert_non_null(field->description);
                assert_true(field->type == FORM_GROUP || field->example || field->standard);
                assert_true(!field->when || form_find(field->when) >= 0);
                assert_true(!field->compute || field->standard_words);
                assert_true((field->update == FORM_GROW) == (field->update_words != NULL));
                assert_true(field->type != FORM_CHOICE || field->values);
                const char *texts[] = {field->example, field->standard};
                for (size_t k = 0; k < 2; k++) {
                        json_auto_t *value = texts[k] ? json_loads(texts[k], JSON_DECODE_ANY, NULL) : json_true();
                        assert_non_null(value);
                }
        }
}

/* ---- paths ---- */

static void test_resolve_paths(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = str_format("%stls: {mode: files, certificate: certs/a.pem, key: /etc/b.pem}\n"
                                             "environments: [{name: x, description: y, lock: ../x.txt}]\n",
                minimal);
        CLEANUP_DIAGS struct diags diags = {0};
        json_auto_t *form = NULL;
        assert_int_equal(read_form(text, NULL, &form, &diags), 0);
        form_resolve_paths(form, "/home/ada/forms/");
        assert_string_equal(json_string_value(tree_get(form, "tls.certificate")), "/home/ada/forms/certs/a.pem");
        assert_string_equal(json_string_value(tree_get(form, "tls.key")), "/etc/b.pem");
        assert_string_equal(json_string_value(tree_get(form, "identity.ca")), "");
        assert_string_equal(json_string_value(tree_get(form, "environments[0].lock")), "/home/ada/forms/../x.txt");
}

/* ---- limits ---- */

static void test_outputs_are_untouched_on_failure(void **state)
{
        (void)state;
        CLEANUP_DIAGS struct diags diags = {0};
        json_t *form = (json_t *)0x1;
        struct tree *tree = (struct tree *)0x1;
        assert_int_equal(form_read("x: 1", 4, NULL, &form, &tree, &diags), -ERR_INVALID);
        assert_ptr_equal(form, (json_t *)0x1);
        assert_ptr_equal(tree, (struct tree *)0x1);
}

static void test_facts_may_be_missing(void **state)
{
        (void)state;
        CLEANUP_DIAGS struct diags diags = {0};
        json_auto_t *form = NULL;
        assert_int_equal(form_read(minimal, strlen(minimal), NULL, &form, NULL, &diags), 0);
        assert_string_equal(json_string_value(json_object_get(form, "external_ip")), "127.0.0.1");
}

static void test_too_many_findings_stop(void **state)
{
        (void)state;
        CLEANUP_BUF struct buf buf = BUF_INIT(TREE_BYTES_MAX);
        for (int i = 0; i < 60000; i++)
                buf_format(&buf, "k%d: 1\n", i);
        CLEANUP_DIAGS struct diags diags = {0};
        json_auto_t *form = NULL;
        assert_int_equal(read_form(buf.data, NULL, &form, &diags), -ERR_INVALID);
        assert_int_equal(diags.count, DIAGS_MAX);
        assert_int_equal(diags.item[0].line, 0);
        assert_non_null(strstr(diags.item[0].message, "the rest is left out"));
}

static void test_hostile_text_is_not_repeated_as_it_is(void **state)
{
        (void)state;
        CLEANUP_DIAGS struct diags diags = {0};
        json_auto_t *form = NULL;
        read_form("\"\\e[31m\\u009b\\n\": 1\ncluster: \"\\e]0;x\\a\\u2028\"\ntls: {mode: \"\\u202e\"}\n", NULL, &form,
                &diags);
        assert_true(diags.count >= 3);
        for (size_t i = 0; i < diags.count; i++) {
                assert_null(strpbrk(diags.item[i].message, "\x1b\n\x07"));
                assert_null(strstr(diags.item[i].message, "\xc2\x9b"));
                assert_null(strstr(diags.item[i].message, "\xe2\x80"));
        }
}

static void test_large_file_is_refused(void **state)
{
        (void)state;
        char *text = mem_zero(TREE_BYTES_MAX + 2);
        memset(text, '#', TREE_BYTES_MAX + 1);
        must_fail(text, "larger than 1 MiB");
        free(text);
}

/* ---- addresses and names ---- */

static void test_global_addresses(void **state)
{
        (void)state;
        static const char *const global[] = {"9.9.9.9", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1",
                "192.0.1.1", "223.255.255.255", "2a01:4f8::1", "2620:fe::fe", "::ffff:9.9.9.9", "11.0.0.0",
                "169.253.0.1", "198.17.0.1", "198.20.0.1"};
        static const char *const local[] = {"0.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
                "127.255.0.1", "169.254.1.1", "172.16.0.0", "172.31.255.255", "192.168.0.1", "192.0.0.1", "192.0.2.1",
                "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "255.255.255.255",
                "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "", "x",
                "1.2.3", "1.2.3.4.5"};
        for (size_t i = 0; i < sizeof global / sizeof *global; i++)
                if (!net_is_global(global[i]))
                        fail_msg("%s", global[i]);
        for (size_t i = 0; i < sizeof local / sizeof *local; i++)
                if (net_is_global(local[i]))
                        fail_msg("%s", local[i]);
}

static void test_addresses_of_no_machine(void **state)
{
        (void)state;
        static const char *const none[] = {
                "0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::1", "febf::1"};
        static const char *const fine[] = {"127.0.0.1", "10.0.0.1", "223.255.255.255", "::1", "fd00::1", "2a01:4f8::1"};
        for (size_t i = 0; i < sizeof none / sizeof *none; i++)
                if (!net_address_problem(none[i]))
                        fail_msg("%s", none[i]);
        for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
                if (net_address_problem(fine[i]))
                        fail_msg("%s", fine[i]);
}

static void test_dashed_addresses(void **state)
{
        (void)state;
        static const char *const pairs[][2] = {{"192.0.2.10", "192-0-2-10"}, {"2a01:4f8::1", "2a01-4f8--1"},
                {"::1", "0--1"}, {"2A01:4F8:0:0::", "2a01-4f8--0"}, {"::", "0--0"}, {"::ffff:10.0.0.1", "10-0-0-1"}};
        char dashed[NET_ADDRESS_MAX];
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
                assert_int_equal(net_dashed(pairs[i][0], dashed), 0);
                assert_string_equal(dashed, pairs[i][1]);
        }
        assert_int_equal(net_dashed("nonsense", dashed), -1);
}

static void test_public_names(void **state)
{
        (void)state;
        assert_true(net_name_is_public("hub.example.org"));
        assert_true(net_name_is_public("mylocal.org"));
        assert_true(net_name_is_public("local.org"));
        static const char *const kept[] = {
                "localhost", "hub", "hub.local", "a.b.TEST", "x.home.arpa", "x.lan", "x.invalid"};
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
                assert_false(net_name_is_public(kept[i]));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_template_passes_as_printed),
                cmocka_unit_test(test_template_has_every_field),
                cmocka_unit_test(test_each_line_of_the_template_can_be_taken_out_of_its_comment),
                cmocka_unit_test(test_schema_has_every_field),
                cmocka_unit_test(test_markdown_has_every_field),
                cmocka_unit_test(test_table_is_sound),
                cmocka_unit_test(test_resolve_paths),
                cmocka_unit_test(test_outputs_are_untouched_on_failure),
                cmocka_unit_test(test_facts_may_be_missing),
                cmocka_unit_test(test_too_many_findings_stop),
                cmocka_unit_test(test_hostile_text_is_not_repeated_as_it_is),
                cmocka_unit_test(test_large_file_is_refused),
                cmocka_unit_test(test_global_addresses),
                cmocka_unit_test(test_addresses_of_no_machine),
                cmocka_unit_test(test_dashed_addresses),
                cmocka_unit_test(test_public_names),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
