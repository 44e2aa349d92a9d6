/* What a cluster on Kubernetes consists of: which part runs which image of the form, and that all of daskhub's parts
 * are there (daskhub.yaml). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "access/kube_values.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "role/role.h"
#include "tree/tree.h"

#define IMAGE "image.example.org/"

static struct tree *tree_of(const char *path)
{
        struct tree *tree = NULL;
        struct err *err = NULL;
        if (tree_load(path, &tree, &err) < 0)
                fail_msg("%s", err->message);
        return tree;
}

/* With all that there can be: kubernetes is more of that block, top more of the form. */
static json_t *form_of(const char *kubernetes, const char *top)
{
        CLEANUP_FREE char *text =
                str_format("cluster: demo\ntarget: kubernetes\nnotebook: {cpus: 1, ram: 2, storage: 1}\ndomain: "
                           "pangeo.example.org\n%skubernetes:\n  placeholders: 1\n%s",
                        top, kubernetes);
        struct form_facts facts = {.address = "192.0.2.1"};
        CLEANUP_DIAGS struct diags diags = {0};
        json_t *form = NULL;
        if (form_read(text, strlen(text), &facts, &form, NULL, &diags) < 0)
                fail_msg("%d: %s\n%s", diags.item[0].line, diags.item[0].message, text);
        return form;
}

static void resources_of(const char *kubernetes, const char *top, struct resources *ret)
{
        json_auto_t *form = form_of(kubernetes, top);
        json_t *kube = NULL;
        struct err *err = NULL;
        struct role_secrets secrets = {0};
        assert_int_equal(kube_values(".", "demo", form, &kube, NULL), 0);
        json_auto_t *values = json_pack("{s:O, s:o, s:{s:s, s:s, s:s}, s:{s:s}, s:{s:s, s:s, s:s}, s:{s:b}}", "form",
                form, "kubernetes", kube, "cluster", "name", "demo", "dir", "/state/clusters/demo", "cache",
                "/state/cache", "state", "dir", "/state", "caas", "libexec", "/libexec", "version", "1.0", "data",
                "/data", "host", "systemd", 0);
        if (role_load(".", "kubernetes", values, ret, &secrets, &err) < 0)
                fail_msg("%s", err->message);
        role_secrets_clear(&secrets);
}

/* ---- images ---- */

/* Adds "RESOURCE CONTAINER KEY" for each image of the form in a spec; what is no container's has no such name. */
static void add_images(json_t *found, const char *id, const char *name, const json_t *node)
{
        size_t i;
        const char *key, *text = json_string_value(node);
        json_t *item;
        if (text && str_starts(text, IMAGE)) {
                CLEANUP_FREE char *line = str_format("%s %s %s", id, name, text + strlen(IMAGE));
                json_object_set_new(found, line, json_true());
        }
        json_array_foreach (node, i, item)
                add_images(found, id, name, item);
        const char *own = json_string_value(json_object_get(node, "name"));
        json_object_foreach ((json_t *)node, key, item)
                add_images(found, id, own && str_is(key, "image") ? own : name, item);
}

static void each_image_is_run_by_its_part(void **state)
{
        (void)state;
        static const char *const wanted[] = {"base/placeholder pause pause", "base/puller image notebook",
                "base/puller pause pause", "notebook/environments - notebook", "gateway/config - notebook",
                "gateway/service gateway gateway", "gateway/controller controller gateway",
                "gateway/proxy traefik traefik", "grafana/service grafana grafana",
                "identity/service directory directory", "hub/config - notebook", "hub/service hub hub",
                "proxy/chp chp proxy", "proxy/front caddy caddy", "monitoring/exporter exporter exporter",
                "monitoring/node node-exporter node_exporter", "monitoring/prometheus prometheus prometheus",
                "monitoring/prometheus page hub", "monitoring/prometheus alertmanager alertmanager"};
        struct tree *images = tree_of("roles/base/images.yaml");
        CLEANUP_BUF struct buf text = BUF_INIT(1 << 16);
        const char *key;
        json_t *image;
        buf_str(&text, "  entry: loadbalancer\n  images:\n    exporter: " IMAGE "exporter\n");
        json_object_foreach (tree_root(images), key, image)
                buf_format(&text, "    %s: " IMAGE "%s\n", key, key);
        tree_free(images);
        CLEANUP_RESOURCES struct resources resources = {0};
        resources_of(text.data,
                "tls: {mode: self-signed}\nmonitoring: {enabled: true, grafana: install, alert_email: ops@example.org, "
                "smtp: {host: mail.example.org}}\n",
                &resources);
        json_auto_t *found = json_object();
        for (size_t i = 0; i < resources.count; i++)
                add_images(found, resources.item[i].id, "-", resources.item[i].spec);
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
                if (json_object_del(found, wanted[i]) < 0)
                        fail_msg("there is no %s", wanted[i]);
        json_object_foreach (found, key, image)
                fail_msg("%s is not known here", key);
}

/* ---- volumes ---- */

/* Each claim, those of homes as well, is of the class that the form names. */
static void each_claim_is_of_the_forms_class(void **state)
{
        (void)state;
        CLEANUP_RESOURCES struct resources resources = {0};
        resources_of("  entry: loadbalancer\n  storage_class: fast\n  images: {exporter: example.org/exporter}\n",
                "tls: {mode: acme, email: hostmaster@example.org}\nmonitoring: {enabled: true, grafana: install}\n",
                &resources);
        size_t claims = 0;
        for (size_t i = 0; i < resources.count; i++) {
                const json_t *spec = resources.item[i].spec, *object = json_object_get(spec, "object");
                bool hub = str_is(resources.item[i].id, "hub/config");
                if (!hub && !str_is(json_string_value(json_object_get(object, "kind")), "PersistentVolumeClaim"))
                        continue;
                const json_t *own = tree_get(
                                     json_object_get(tree_get(spec, "json"), "hub.json"), "kubernetes.storage_class"),
                             *class_of = hub ? own : tree_get(object, "spec.storageClassName");
                const char *class = json_string_value(class_of);
                if (!str_is(class, "fast"))
                        fail_msg("%s is of class %s", resources.item[i].id, class ? class : "(default)");
                claims++;
        }
        assert_int_equal(claims, 6); /* of hub, directory, Caddy, Prometheus, Grafana; and homes */
}

/* ---- daskhub ---- */

/* "KIND NAME": its labels, or those of its pods. */
static json_t *objects_of_every_way_in(void)
{
        static const char *const ways[][2] = {
                {"  entry: loadbalancer\n", "tls: {mode: acme, email: hostmaster@example.org}\n"},
                {"  entry: ingress\n", "tls: {mode: self-signed}\n"}};
        json_t *ret = json_object();
        for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
                CLEANUP_RESOURCES struct resources resources = {0};
                resources_of(ways[way][0], ways[way][1], &resources);
                for (size_t i = 0; i < resources.count; i++) {
                        json_t *object = json_object_get(resources.item[i].spec, "object");
                        json_t *labels = tree_get(object, "spec.template.metadata.labels");
                        if (!object)
                                continue;
                        CLEANUP_FREE char *name =
                                str_format("%s %s", json_string_value(json_object_get(object, "kind")),
                                        json_string_value(tree_get(object, "metadata.name")));
                        json_object_set_new(ret, name, labels ? json_incref(labels) : json_object());
                }
        }
        return ret;
}

/* The list is of the version that is deployed. */
static void check_versions(const json_t *charts)
{
        struct tree *images = tree_of("roles/base/images.yaml");
        const char *key;
        json_t *version;
        assert_int_equal(json_object_size(charts), 2);
        json_object_foreach ((json_t *)charts, key, version) {
                CLEANUP_FREE char *tag = str_format(":%s", json_string_value(version));
                const char *image = json_string_value(json_object_get(tree_root(images), key));
                if (!image || !strstr(image, tag))
                        fail_msg("images.yaml has %s, tests/unit/role/daskhub.yaml lists the parts of %s", image, tag);
        }
        tree_free(images);
}

static void daskhubs_parts_are_there(void **state)
{
        (void)state;
        struct tree *tree = tree_of("tests/unit/role/daskhub.yaml");
        json_auto_t *ours = objects_of_every_way_in();
        const char *key, *label;
        json_t *value, *wanted;
        check_versions(json_object_get(tree_root(tree), "charts"));
        assert_true(json_object_size(json_object_get(tree_root(tree), "ours")) > 30);
        assert_int_equal(json_object_size(json_object_get(tree_root(tree), "labels")), 8);
        json_object_foreach (json_object_get(tree_root(tree), "ours"), key, value)
                if (!json_object_get(ours, json_string_value(value)))
                        fail_msg("there is no %s, which is what daskhub has as %s", json_string_value(value), key);
        json_object_foreach (json_object_get(tree_root(tree), "labels"), key, value)
                json_object_foreach (value, label, wanted)
                        if (!json_equal(json_object_get(json_object_get(ours, key), label), wanted))
                                fail_msg("pods of %s have another label %s", key, label);
        tree_free(tree);
}

/* Each row begins with the name that the list has for it. */
static void what_is_left_out_is_documented(void **state)
{
        (void)state;
        struct tree *tree = tree_of("tests/unit/role/daskhub.yaml");
        CLEANUP_FREE char *text = NULL;
        assert_int_equal(file_read("docs/KUBERNETES.md", 1 << 20, &text, NULL, NULL), 0);
        const char *name, *rows = strstr(text, "## What daskhub has, and this has not\n");
        json_t *theirs;
        assert_non_null(rows);
        size_t named = 0, there = 0;
        json_object_foreach (json_object_get(tree_root(tree), "left_out"), name, theirs) {
                CLEANUP_FREE char *row = str_format("\n| %s |", name);
                if (!strstr(rows, row))
                        fail_msg("docs/KUBERNETES.md does not say why there is no %s", name);
                named++;
        }
        const char *end = strstr(rows + 1, "\n## ");
        for (const char *at = rows; (at = strstr(at, "\n| ")) && (!end || at < end); at++)
                there++;
        assert_int_equal(there, named + 1); /* with the table's head */
        tree_free(tree);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_image_is_run_by_its_part),
                cmocka_unit_test(each_claim_is_of_the_forms_class),
                cmocka_unit_test(daskhubs_parts_are_there),
                cmocka_unit_test(what_is_left_out_is_documented),
        };
        return cmocka_run_group_tests_name("role/kube_parts", tests, NULL, NULL);
}
