/* The roles that are shipped load for every sort of form, and what commands read is there. */
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
#include "client/kube/amount.h"
#include "form/form.h"
#include "role/role.h"
#include "tree/tree.h"

#define STATE "/state with blanks"

static int setup(void **state)
{
        char *path = str_copy("/tmp/caas-role-XXXXXX");
        *state = path;
        if (!mkdtemp(path))
                return -1;
        static const char *const names[] = {"caas-home", "caas-sandbox", "caas-exporter", "file.pem"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                CLEANUP_FREE char *file = file_join(path, names[i]);
                if (file_write_atomic(file, "x\n", 2, 0600, (uid_t)-1, (gid_t)-1, NULL) < 0)
                        return -1;
        }
        return 0;
}

static int teardown(void **state)
{
        int r = file_remove_tree(*state, NULL);
        free(*state);
        return r;
}

/* The blocks that mean the same on every target. pem: a file that is there. */
static void add_tls_and_identity(struct buf *text, const char *mode, bool freeipa, bool ca, const char *pem)
{
        buf_format(text, "tls:\n  mode: %s\n", mode);
        if (str_is(mode, "files"))
                buf_format(text, "  certificate: %s\n  key: %s\n", pem, pem);
        if (str_is(mode, "acme"))
                buf_str(text, "  email: hostmaster@example.org\n");
        if (str_is(mode, "acme") && ca)
                buf_format(text, "  acme_server: https://ca.example.org/acme/directory\n  acme_ca: %s\n", pem);
        if (freeipa)
                buf_format(text,
                        "identity:\n  provider: freeipa\n  server: ldaps://ipa.example.org\n  suffix: "
                        "dc=example,dc=org\n"
                        "  bind_dn: uid=caas,dc=example,dc=org\n  bind_password_file: %s\n",
                        pem);
        if (freeipa && ca)
                buf_format(text, "  ca: %s\n", pem);
}

static void add_remote_write(struct buf *text, bool ca, const char *pem)
{
        buf_str(text, "  remote_write: {url: https://example.org/write");
        if (ca)
                buf_format(text, ", token_file: %s, ca: %s", pem, pem);
        buf_str(text, "}\n");
}

/* With mails and a Prometheus elsewhere: with as little as they need, and with all; and without any. */
static void add_monitoring(struct buf *text, bool freeipa, bool ca, const char *pem)
{
        if (freeipa && ca) {
                buf_str(text, "monitoring: {enabled: false}\n");
                return;
        }
        buf_str(text, "monitoring:\n");
        add_remote_write(text, ca, pem);
        buf_str(text, "  alert_email: ops@example.org\n  scrape_from: [192.0.2.7]\n");
        if (ca)
                buf_str(text, "  backup_stamp: /var/lib/backup/last-good\n");
        if (ca)
                buf_format(text, "  smtp: {host: '::1', user: ops, password_file: %s, ca: %s}\n", pem, pem);
        else
                buf_str(text, "  smtp: {host: mail.example.org}\n");
        if (!freeipa)
                buf_format(text, "  grafana: install\n%s%s\n", ca ? "  grafana_key: " : "", ca ? pem : "");
        else if (!ca)
                buf_str(text, "  grafana: external\n  grafana_url: https://example.org/\n  grafana_from: [192.0.2.8]\n"
                              "  grafana_users: true\n");
}

/* As a user writes it, through the form's own checker. pem: a file that is there. */
static json_t *form_of(const char *mode, bool freeipa, bool ca, bool environment, const char *pem)
{
        CLEANUP_BUF struct buf text = BUF_INIT(1 << 16);
        buf_str(&text, "cluster: demo\nexternal_ip: 192.0.2.1\ndomain: pangeo.example.org\nnotebook: {cpus: 1, ram: 2, "
                       "storage: 1}\n");
        add_tls_and_identity(&text, mode, freeipa, ca, pem);
        if (environment)
                buf_format(&text, "environments:\n  - {name: climate, description: Ours, lock: %s}\n", pem);
        if (environment)
                buf_str(&text, "port: 8443\n");
        if (environment)
                add_monitoring(&text, freeipa, ca, pem);
        struct form_facts facts = {.address = "192.0.2.1"};
        struct diags diags = {0};
        json_t *form = NULL;
        int r = form_read(text.data, text.length, &facts, &form, NULL, &diags);
        for (size_t i = 0; i < diags.count; i++)
                print_error(
                        "%s\n%d:%d: %s\n", text.data, diags.item[i].line, diags.item[i].column, diags.item[i].message);
        diags_clear(&diags);
        assert_int_equal(r, 0);
        return form;
}

static const struct resource *find(const struct resources *resources, const char *id)
{
        for (size_t i = 0; i < resources->count; i++)
                if (str_is(resources->item[i].id, id))
                        return &resources->item[i];
        return NULL;
}

/* Caddy's files are words between blanks: paths, and outputs that are paths, stand in quotes. */
static void check_quotes(const struct resources *resources)
{
        static const char *const ids[] = {"proxy/caddyfile", "proxy/tls_config", "proxy/acme_trust"};
        static const char *const paths[] = {STATE, "${proxy/tls_state.", "${proxy/acme_ca."};
        for (size_t i = 0; i < 9; i++) {
                const struct resource *r = find(resources, ids[i % 3]);
                const char *text =
                        r ? json_string_value(json_object_get(r->spec, i % 3 == 2 ? "line" : "content")) : "";
                assert_non_null(text);
                for (const char *at = text; (at = strstr(at, paths[i / 3])); at++) {
                        int quotes = 0;
                        for (const char *p = at; p > text && p[-1] != '\n'; p--)
                                quotes += p[-1] == '"';
                        if (quotes % 2 == 0)
                                fail_msg("not in quotes: %.80s", at);
                }
        }
}

static void check(const char *folder, const json_t *form, bool systemd, const char *what)
{
        json_auto_t *values = json_pack("{s:O, s:{s:s, s:s, s:s}, s:{s:s}, s:{s:s, s:s, s:s}, s:{s:b}}", "form", form,
                "cluster", "name", "demo", "dir", STATE "/clusters/demo", "cache", STATE "/cache", "state", "dir",
                STATE, "caas", "libexec", folder, "version", "1.0", "data", "/data", "host", "systemd", systemd);
        assert_non_null(values);
        CLEANUP_RESOURCES struct resources resources = {0};
        struct role_secrets secrets = {0};
        struct err *err = NULL;
        if (role_load(".", "host", values, &resources, &secrets, &err) < 0) {
                CLEANUP_FREE char *text = err_text(err);
                print_error("%s: %s\n", what, text);
                err_free(err);
                fail();
        }
        static const char *const read_by_commands[] = {"identity/access", "hub/access", "gateway/access"};
        for (size_t i = 0; i < 3; i++) {
                const struct resource *r = find(&resources, read_by_commands[i]);
                if (!r)
                        print_error("%s: there is no %s\n", what, read_by_commands[i]);
                assert_non_null(r);
                assert_string_equal(r->kind, "value");
        }
        bool redirected = json_integer_value(json_object_get(form, "port")) == 443,
             asked = str_is(json_string_value(tree_get(form, "tls.mode")), "acme");
        const struct resource *needed = find(&resources, "base/requirements");
        assert_non_null(needed);
        assert_int_equal(json_integer_value(json_object_get(needed->spec, "http_port")), redirected || asked ? 80 : 0);
        bool watched = json_is_true(tree_get(form, "monitoring.enabled"));
        assert_true(!find(&resources, "monitoring/access") == !watched);
        assert_true(!find(&resources, "monitoring/prometheus") == !watched);
        bool mailed = watched && *json_string_value(tree_get(form, "monitoring.alert_email"));
        assert_true(!find(&resources, "alerts/alertmanager") == !mailed);
        bool scraped = watched && json_array_size(tree_get(form, "monitoring.scrape_from"));
        assert_true(!find(&resources, "scrape/token_file") == !scraped);
        const char *grafana = json_string_value(tree_get(form, "monitoring.grafana"));
        assert_true(!find(&resources, "grafana/service") == !str_is(grafana, "install"));
        assert_true(!find(&resources, "grafana/sign_in") == !str_is(grafana, "external"));
        assert_true(!find(&resources, "grafana/source") == str_is(grafana, "off"));
        assert_null(find(&resources, "grafana/token_file")); /* with grafana_users there is none */
        check_quotes(&resources);
        role_secrets_clear(&secrets);
}

static void every_sort_of_form(void **state)
{
        static const char *const modes[] = {"self-signed", "files", "acme"};
        CLEANUP_FREE char *pem = file_join(*state, "file.pem");
        for (int choice = 0; choice < 3 * 2 * 2 * 2 * 2; choice++) {
                int left = choice;
                const char *mode = modes[left % 3];
                bool systemd = (left /= 3) % 2, freeipa = (left /= 2) % 2, ca = (left /= 2) % 2,
                     environment = (left / 2) % 2;
                json_auto_t *form = form_of(mode, freeipa, ca, environment, pem);
                CLEANUP_FREE char *what = str_format("tls %s, systemd %d, freeipa %d, ca %d, environment %d", mode,
                        systemd, freeipa, ca, environment);
                check(*state, form, systemd, what);
        }
}

/* ---- Kubernetes ---- */

/* Metrics are sent elsewhere or not, mails to nobody, with as little as they need, or with all. */
static void add_kube_monitoring(struct buf *text, bool balancer, bool freeipa, bool ca, const char *pem)
{
        buf_format(text, "monitoring:\n  enabled: true\n  nodes: %s\n  grafana: %s\n", freeipa ? "false" : "true",
                ca ? "install" : "'off'");
        if (freeipa)
                add_remote_write(text, ca, pem);
        if (freeipa && !ca)
                buf_str(text, "  alert_email: ops@example.org\n  smtp: {host: mail.example.org}\n");
        if (!freeipa && ca)
                buf_format(text,
                        "  alert_email: ops@example.org\n  smtp: {host: '2001:db8::1', user: ops, password_file: %s, "
                        "ca: "
                        "%s}\n",
                        pem, pem);
        if (ca)
                buf_str(text, "  backup_cronjob: backup\n");
        if (ca && balancer)
                buf_str(text, "  scrape_from: [192.0.2.7]\n");
}

static json_t *kubernetes_form(const char *entry, const char *mode, int choice, const char *pem)
{
        bool freeipa = choice % 2, ca = choice / 2 % 2, more = choice / 4 % 2;
        CLEANUP_BUF struct buf text = BUF_INIT(1 << 16);
        buf_str(&text, "cluster: demo\ntarget: kubernetes\nnotebook: {cpus: 1, ram: 2, storage: 1}\n");
        if (!str_is(entry, "loadbalancer") || more)
                buf_str(&text, "domain: pangeo.example.org\n");
        add_tls_and_identity(&text, mode, freeipa, ca, pem);
        if (more)
                buf_str(&text, "environments:\n  - {name: climate, description: Ours, image: example.org/climate}\n");
        buf_format(&text, "kubernetes:\n  entry: %s\n", entry);
        if (str_is(mode, "secret"))
                buf_str(&text, "  tls_secret: given\n");
        if (str_is(mode, "cert-manager"))
                buf_str(&text, "  cert_issuer: letsencrypt\n");
        if (more)
                buf_str(&text, "  placeholders: 2\n  storage_class: fast\n  images: {registry: mirror.example.org, "
                               "pull_secret: pull, exporter: example.org/exporter}\n");
        if (more)
                add_kube_monitoring(&text, str_is(entry, "loadbalancer"), freeipa, ca, pem);
        struct form_facts facts = {.address = "192.0.2.1"};
        struct diags diags = {0};
        json_t *form = NULL;
        int r = form_read(text.data, text.length, &facts, &form, NULL, &diags);
        for (size_t i = 0; i < diags.count; i++)
                print_error(
                        "%s\n%d:%d: %s\n", text.data, diags.item[i].line, diags.item[i].column, diags.item[i].message);
        diags_clear(&diags);
        assert_int_equal(r, 0);
        return form;
}

/* What the Pod Security level "restricted" wants of a container, and a quota. */
static void check_container(const char *id, const json_t *container)
{
        const char *const required[] = {"securityContext.capabilities.drop[0]", "resources.requests.cpu",
                "resources.requests.memory", "resources.limits.cpu", "resources.limits.memory", "image"};
        for (size_t i = 0; i < sizeof required / sizeof *required; i++)
                if (!json_string_length(tree_get(container, required[i]))) {
                        print_error("%s: %s of a container is missing\n", id, required[i]);
                        fail();
                }
        assert_true(json_is_false(tree_get(container, "securityContext.allowPrivilegeEscalation")));
}

static void check_pod(const char *id, const json_t *pod)
{
        const char *const lists[] = {"initContainers", "containers"};
        assert_true(json_is_true(tree_get(pod, "securityContext.runAsNonRoot")));
        assert_string_equal(json_string_value(tree_get(pod, "securityContext.seccompProfile.type")), "RuntimeDefault");
        assert_true(json_integer_value(tree_get(pod, "securityContext.runAsUser")) > 0);
        assert_true(json_is_array(tree_get(pod, "tolerations")) && json_is_object(tree_get(pod, "nodeSelector")));
        for (size_t list = 0; list < 2; list++) {
                size_t i;
                const json_t *container;
                json_array_foreach (json_object_get(pod, lists[list]), i, container)
                        check_container(id, container);
        }
}

/* Who writes mails is beside Prometheus where somebody is written to, with what it is to know, and nowhere else. */
static void check_mails(const struct resources *resources, bool watched, bool wanted)
{
        const struct resource *pod = find(resources, "monitoring/prometheus"),
                              *way = find(resources, "network/watched");
        assert_true(!find(resources, "alerts/config") == !(watched && wanted));
        assert_true(!pod == !watched && !way == !watched && !find(resources, "alerts/told") == !watched);
        if (!watched)
                return;
        const json_t *containers = tree_get(pod->spec, "object.spec.template.spec.containers");
        assert_int_equal(json_array_size(containers), wanted ? 3 : 2);
        const struct resource *settings = find(resources, "alerts/settings");
        assert_true(!settings == !wanted);
        if (wanted)
                assert_non_null(strstr(json_string_value(json_object_get(settings->spec, "words")), "caas.subject"));
        const json_t *egress = json_object_get(way->spec, "egress");
        assert_true(json_array_size(egress) == 1 || json_array_size(egress) == (wanted ? 5 : 4));
}

/* That a pod is ready does not say that what is in it works: each part is asked, and again after each change of it. */
static void check_probes(const struct resources *resources, bool front)
{
        static const char *const asked[] = {"hub/ready", "proxy/ready", "gateway/probe", "proxy/front_ready"};
        for (size_t i = 0; i < (front ? 4 : 3); i++) {
                const struct resource *probe = find(resources, asked[i]);
                size_t workloads = 0;
                assert_non_null(probe);
                assert_string_equal(probe->kind, "kube.probe");
                CLEANUP_FREE char *revision = json_dumps(json_object_get(probe->spec, "revision"), JSON_ENCODE_ANY);
                for (char **need = probe->needs; *need; need++) {
                        const struct resource *r = find(resources, *need);
                        CLEANUP_FREE char *digest = str_format("${%s.digest}", *need);
                        if (!r || !tree_get(r->spec, "object.spec.template"))
                                continue;
                        workloads++;
                        if (!revision || !strstr(revision, digest))
                                fail_msg("%s is not asked again when %s has changed", asked[i], *need);
                }
                assert_true(workloads > 0);
        }
}

/* ---- what a quota has to leave: what the roles really ask for, and the server of one user ---- */

static void count(json_t *sums, const char *name, double more)
{
        json_object_set_new(sums, name, json_real(json_number_value(json_object_get(sums, name)) + more));
}

static void count_pods(json_t *sums, const json_t *pod)
{
        static const char *const sorts[][3] = {{"resources.requests.cpu", "cpu"},
                {"resources.requests.memory", "memory"}, {"resources.limits.cpu", "limits_cpu"},
                {"resources.limits.memory", "limits_memory"}};
        size_t i;
        const json_t *container;
        count(sums, "pods", 1);
        json_array_foreach (json_object_get(pod, "containers"), i, container)
                for (size_t sort = 0; sort < 4; sort++)
                        count(sums, sorts[sort][1], kube_amount(tree_get(container, sorts[sort][0])));
}

static void count_service(json_t *sums, const json_t *service)
{
        const char *type = json_string_value(tree_get(service, "spec.type"));
        bool balancer = str_is(type, "LoadBalancer"), opened = balancer || str_is(type, "NodePort");
        count(sums, "services", 1);
        count(sums, "balancers", balancer);
        count(sums, "node_ports", opened ? (double)json_array_size(tree_get(service, "spec.ports")) : 0);
}

static void count_object(json_t *sums, json_t *each, const json_t *object)
{
        const char *kind = json_string_value(json_object_get(object, "kind"));
        const json_t *pod = tree_get(object, "spec.template.spec");
        if (str_is(kind, "DaemonSet"))
                count_pods(each, pod);
        if (pod && !tree_get(pod, "priorityClassName")) /* placeholders may wait */
                count_pods(sums, pod);
        if (str_is(kind, "Service"))
                count_service(sums, object);
        if (str_is(kind, "PersistentVolumeClaim")) {
                count(sums, "claims", 1);
                count(sums, "storage", kube_amount(tree_get(object, "spec.resources.requests.storage")));
        }
}

static void check_sums(const char *what, const json_t *quota, const json_t *sums)
{
        const char *name;
        json_t *sum;
        json_object_foreach ((json_t *)sums, name, sum) {
                double wanted = json_number_value(sum), found = json_number_value(json_object_get(quota, name));
                if (found < wanted - wanted / 1e6 || found > wanted + wanted / 1e6)
                        fail_msg("%s: quota's %s is %.10g, and the roles ask for %.10g", what, name, found, wanted);
        }
}

static void check_quota(const char *what, const struct resources *resources, const json_t *form, const json_t *kube)
{
        const json_t *quota = json_object_get(kube, "quota");
        double cpus = json_number_value(tree_get(form, "notebook.cpus")),
               ram = json_number_value(tree_get(form, "notebook.ram")) * 1e9;
        json_auto_t *each = json_object();
        json_auto_t *sums = json_pack("{s:f, s:f, s:f, s:f, s:i, s:i, s:f}", "cpu",
                cpus * json_number_value(tree_get(form, "kubernetes.cpu_guarantee")), "limits_cpu", cpus, "memory", ram,
                "limits_memory", ram, "pods", 1, "claims", 1, "storage",
                json_number_value(tree_get(form, "notebook.storage")) * 1e9);
        for (size_t i = 0; i < resources->count; i++)
                count_object(sums, each, json_object_get(resources->item[i].spec, "object"));
        check_sums(what, quota, sums);
        check_sums(what, json_object_get(quota, "each_node"), each);
}

static void check_kubernetes(const json_t *form, const char *what)
{
        struct err *err = NULL;
        json_t *kube = NULL;
        assert_int_equal(kube_values(".", "demo", form, &kube, NULL), 0);
        json_auto_t *values = json_pack("{s:O, s:o, s:{s:s, s:s, s:s}, s:{s:s}, s:{s:s, s:s, s:s}, s:{s:b}}", "form",
                form, "kubernetes", kube, "cluster", "name", "demo", "dir", "/state/clusters/demo", "cache",
                "/state/cache", "state", "dir", "/state", "caas", "libexec", "/libexec", "version", "1.0", "data",
                "/data", "host", "systemd", 0);
        CLEANUP_RESOURCES struct resources resources = {0};
        struct role_secrets secrets = {0};
        if (role_load(".", "kubernetes", values, &resources, &secrets, &err) < 0) {
                CLEANUP_FREE char *text = err_text(err);
                print_error("%s: %s\n", what, text);
                err_free(err);
                fail();
        }
        for (size_t i = 0; i < resources.count; i++) {
                const struct resource *r = &resources.item[i];
                const json_t *object = json_object_get(r->spec, "object");
                const json_t *pod = tree_get(object, "spec.template.spec");
                assert_false(strncmp(r->kind, "host.", 5) == 0 && !str_is(r->kind, "host.certificate"));
                if (pod)
                        check_pod(r->id, pod);
        }
        static const char *const read_by_commands[] = {"identity/access", "hub/access", "gateway/access", "hub/service",
                "proxy/chp", "proxy/public_service", "proxy/trust"};
        for (size_t i = 0; i < sizeof read_by_commands / sizeof *read_by_commands; i++)
                assert_non_null(find(&resources, read_by_commands[i]));
        bool watched = json_is_true(tree_get(form, "monitoring.enabled"));
        bool nodes = watched && json_is_true(tree_get(form, "monitoring.nodes"));
        assert_true(!find(&resources, "monitoring/access") == !watched);
        assert_true(!find(&resources, "monitoring/prometheus") == !watched);
        assert_true(!find(&resources, "network/exporter") == !watched);
        assert_true(!find(&resources, "monitoring/nodes_role") == !nodes);
        assert_true(!find(&resources, "monitoring/requirements") == !nodes);
        bool grafana = watched && str_is(json_string_value(tree_get(form, "monitoring.grafana")), "install");
        assert_true(!find(&resources, "grafana/service") == !grafana);
        assert_true(!find(&resources, "network/grafana") == !grafana);
        bool backups = watched && json_string_length(tree_get(form, "monitoring.backup_cronjob"));
        assert_true(!find(&resources, "monitoring/backup_role") == !backups);
        assert_true(!find(&resources, "monitoring/backup_binding") == !backups);
        check_mails(&resources, watched, *json_string_value(tree_get(form, "monitoring.alert_email")));
        bool scraped = watched && json_array_size(tree_get(form, "monitoring.scrape_from"));
        assert_true(!find(&resources, "scrape/secret") == !scraped);
        assert_true(!find(&resources, "scrape/told") == !watched);
        bool front = json_is_true(json_object_get(kube, "front"));
        assert_true(!find(&resources, "proxy/front") == !front);
        check_probes(&resources, front);
        check_quota(what, &resources, form, kube);
        role_secrets_clear(&secrets);
}

static void every_sort_of_form_on_kubernetes(void **state)
{
        static const char *const ways[][2] = {{"loadbalancer", "acme"}, {"loadbalancer", "files"},
                {"loadbalancer", "self-signed"}, {"ingress", "secret"}, {"ingress", "cert-manager"},
                {"ingress", "files"}, {"ingress", "self-signed"}, {"nodeport", "proxy"}, {"nodeport", "files"},
                {"nodeport", "self-signed"}};
        CLEANUP_FREE char *pem = file_join(*state, "file.pem");
        for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
                for (int choice = 0; choice < 8; choice++) {
                        json_auto_t *form = kubernetes_form(ways[way][0], ways[way][1], choice, pem);
                        CLEANUP_FREE char *what = str_format("%s, %s, %d", ways[way][0], ways[way][1], choice);
                        check_kubernetes(form, what);
                }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(every_sort_of_form, setup, teardown),
                cmocka_unit_test_setup_teardown(every_sort_of_form_on_kubernetes, setup, teardown),
        };
        return cmocka_run_group_tests_name("role/product", tests, NULL, NULL);
}
