#include "form/table.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/form.h"
#include "form/standard.h"

static const char *const targets[] = {"host", "kubernetes", NULL};
static const char *const later_targets[] = {"libvirt", NULL};
static const char *const tls_modes[] = {"acme", "files", "self-signed", "secret", "cert-manager", "proxy", NULL};
static const char *const entries[] = {"loadbalancer", "ingress", "nodeport", NULL};
static const char *const operators[] = {"Equal", "Exists", NULL};
static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
static const char *const providers[] = {"embedded", "freeipa", NULL};
static const char *const grafanas[] = {"install", "external", "off", NULL};

#define CPUS 0.1, 256
#define RAM  0.25, 4096
#define IMAGE(part, words)                                                                                             \
        {                                                                                                              \
                "kubernetes.images." part, FORM_IMAGE, .standard_words = "of the version that caas was made for",      \
                                                       .example = "\"registry.example.org/pangeo/" part ":1\"",        \
                                                       .description = words                                            \
        }
#define PART(part, words, cpus_standard, ram_standard)                                                                 \
        {"kubernetes.resources." part, FORM_GROUP, .description = words},                                              \
                {"kubernetes.resources." part ".cpus", FORM_NUMBER, 0.01, 256, .standard = cpus_standard,              \
                        .description = "CPUs that it is guaranteed; it may use more."},                                \
        {                                                                                                              \
                "kubernetes.resources." part ".ram", FORM_NUMBER, 0.05, 4096,                                          \
                        .unit = "GB", .standard = ram_standard,                                                        \
                        .description = "Memory that it is guaranteed, and its limit."                                  \
        }

/* clang-format off */
const struct form_field form_table[] = {
        {"cluster", FORM_LABEL, .max = 40, .required = true, .update = FORM_FIXED, .example = "\"demo\"",
         .description = "Name of the cluster: part of the names of its groups, services and folders."},
        {"target", FORM_CHOICE, .values = targets, .later = later_targets, .standard = "\"host\"", .update = FORM_FIXED,
         .description = "Where the cluster is installed; host is this machine, kubernetes a Kubernetes cluster that is there."},

        {"notebook", FORM_GROUP, .description = "What each user's notebook server gets."},
        {"notebook.cpus", FORM_NUMBER, CPUS, .required = true, .example = "2",
         .description = "CPUs; fractions are allowed."},
        {"notebook.ram", FORM_NUMBER, RAM, .unit = "GB", .required = true, .example = "4",
         .description = "Memory."},
        {"notebook.storage", FORM_NUMBER, 0.1, 65536, .unit = "GB", .required = true, .update = FORM_GROW, .example = "10",
         .update_words = "existing homes cannot shrink, or what is in them could be lost",
         .description = "Size of each user's home, which is kept; it can grow later, and existing homes grow with it."},

        {"domain", FORM_DOMAIN, .max = 253, .update = FORM_FIXED, .compute = form_standard_domain,
         .standard_words = "pangeo.<dashed external_ip>.<wildcard_dns>; on Kubernetes of the balancer's address",
         .example = "\"pangeo.example.org\"",
         .description = "Name under which the cluster is reached. It must already resolve to external_ip; on Kubernetes to the "
                        "balancer's address, before users are let in. Required with kubernetes.entry: ingress or nodeport, where "
                        "the form gives no external_ip."},
        {"external_ip", FORM_ADDRESS, .update = FORM_FIXED, .compute = form_standard_address,
         .standard_words = "the address of the default route, 127.0.0.1 if there is none; on Kubernetes the balancer's",
         .example = "\"192.0.2.10\"",
         .description = "Address under which the cluster is reached; on Kubernetes the one that the balancer has to have."},
        {"wildcard_dns", FORM_DOMAIN, .max = 200, .standard = "\"sslip.io\"", .update = FORM_FIXED,
         .description = "DNS service that knows every address by a name; used where no domain is given."},
        {"port", FORM_WHOLE, 1, 65535, .standard = "443",
         .description = "Port of HTTPS."},

        {"tls", FORM_GROUP, .description = "The certificate of the pages."},
        {"tls.mode", FORM_CHOICE, .values = tls_modes, .compute = form_standard_tls_mode, .shown = true,
         .standard_words = "acme where the domain and the address are public, otherwise self-signed; on Kubernetes secret or "
                           "cert-manager where the form names one, and proxy with a node port",
         .example = "\"self-signed\"",
         .description = "acme = from Let's Encrypt, for a public domain, or from an ACME server of your own; files = your "
                        "own; self-signed = from the cluster's own CA, "
                        "whose certificate each user's browser has to be told to trust. On Kubernetes also secret and "
                        "cert-manager, with an Ingress, and proxy, with a node port: a proxy of yours before it speaks TLS, and "
                        "to the port plain HTTP."},
        {"tls.email", FORM_EMAIL, .required = true, .when = "tls.mode", .when_value = "acme",
         .example = "\"hostmaster@example.org\"",
         .description = "Where Let's Encrypt, or whose server it is, writes to when something is wrong."},
        {"tls.acme_server", FORM_URL, .when = "tls.mode", .when_value = "acme", .compute = form_standard_acme_server,
         .standard_words = "Let's Encrypt's", .example = "\"https://ca.example.org/acme/acme/directory\"",
         .description = "The directory of the ACME server, for one of your own (step-ca, FreeIPA)."},
        {"tls.acme_ca", FORM_PATH, .when = "tls.mode", .when_value = "acme",
         .standard_words = "the CAs that this machine trusts", .example = "\"/etc/ipa/ca.crt\"",
         .description = "The CA of the ACME server (PEM): of the server itself and of the certificates that it issues; both in "
                        "the one file if they differ."},
        {"tls.certificate", FORM_PATH, .required = true, .when = "tls.mode", .when_value = "files",
         .example = "\"fullchain.pem\"", .description = "The certificate and those between it and its CA (PEM)."},
        {"tls.key", FORM_PATH, .required = true, .when = "tls.mode", .when_value = "files",
         .example = "\"privkey.pem\"", .description = "The certificate's key (PEM, without a passphrase)."},

        {"identity", FORM_GROUP, .description = "Where the users' accounts are."},
        {"identity.provider", FORM_CHOICE, .values = providers, .standard = "\"embedded\"", .update = FORM_FIXED,
         .description = "embedded = an LDAP directory that is installed with it; freeipa = an existing FreeIPA."},
        {"identity.server", FORM_LDAP, .required = true, .when = "identity.provider", .when_value = "freeipa",
         .example = "\"ldaps://ipa.example.org\"",
         .description = "The server; over ldap:// StartTLS is used. Never clear text."},
        {"identity.suffix", FORM_DN, .required = true, .when = "identity.provider", .when_value = "freeipa",
         .example = "\"dc=example,dc=org\"", .description = "The base of the directory."},
        {"identity.ca", FORM_PATH, .when = "identity.provider", .when_value = "freeipa",
         .standard_words = "the CAs that this machine trusts",
         .example = "\"/etc/ipa/ca.crt\"", .description = "The CA of the server's certificate (PEM)."},
        {"identity.bind_dn", FORM_DN, .required = true, .when = "identity.provider", .when_value = "freeipa",
         .example = "\"uid=caas,cn=sysaccounts,cn=etc,dc=example,dc=org\"",
         .description = "The account that looks up users and manages the cluster's two groups."},
        {"identity.bind_password_file", FORM_PATH, .required = true, .when = "identity.provider", .when_value = "freeipa",
         .example = "\"bind-password\"", .description = "A file with that account's password, mode 0600."},
        {"identity.admins", FORM_NAMES, .max = 1000, .standard = "[\"admin\"]",
         .description = "Users who are hub admins beside the members of the admins group, as long as they are members of one of the "
                        "cluster's two groups."},

        {"dask", FORM_GROUP, .description = "Dask clusters of the users."},
        {"dask.worker", FORM_GROUP, .description = "A Dask worker: the size it has by default and at most."},
        {"dask.worker.cpus", FORM_NUMBER, CPUS, .compute = form_standard_worker_cpus,
         .standard_words = "1, and on request up to the notebook's", .example = "1", .description = "CPUs; fractions are allowed."},
        {"dask.worker.ram", FORM_NUMBER, RAM, .unit = "GB", .compute = form_standard_worker_ram,
         .standard_words = "2, and on request up to the notebook's", .example = "2", .description = "Memory."},
        {"dask.max", FORM_GROUP, .description = "What one user may hold over all their Dask clusters."},
        {"dask.max.cpus", FORM_NUMBER, 0.1, 65536, .compute = form_standard_max_cpus, .standard_words = "8 x the notebook's",
         .example = "16",
         .description = "CPUs; fractions are allowed. Each cluster's scheduler is of it, too: as large as a worker, but from 0.5 to 1 "
                        "CPU and GB; its workers need room beside it."},
        {"dask.max.ram", FORM_NUMBER, 0.25, 1048576, .unit = "GB", .compute = form_standard_max_ram,
         .standard_words = "8 x the notebook's", .example = "32", .description = "Memory."},
        {"dask.idle_minutes", FORM_WHOLE, 1, 10080, .unit = "minutes", .standard = "60",
         .description = "Dask clusters that did nothing for so long are closed."},

        {"idle", FORM_GROUP, .description = "When unused notebook servers are stopped; 0 = never. Homes are kept."},
        {"idle.notebook_minutes", FORM_WHOLE, 0, 525600, .unit = "minutes", .standard = "60",
         .description = "A server that nobody used for so long is stopped."},
        {"idle.kernel_minutes", FORM_WHOLE, 0, 525600, .unit = "minutes", .standard = "60",
         .description = "A kernel that nobody used for so long is stopped."},
        {"idle.max_hours", FORM_WHOLE, 0, 87600, .unit = "hours", .standard = "168",
         .description = "A server is stopped after so long, used or not."},

        {"profiles", FORM_ITEMS, .max = 50, .standard = "[]",
         .example = "[{\"name\": \"large\", \"description\": \"For big arrays\", \"cpus\": 8, \"ram\": 32, "
                    "\"groups\": [\"modellers\"]}]",
         .description = "More sizes to choose from at start; the plain notebook is always the first."},
        {"profiles[].name", FORM_TEXT, .max = 80, .required = true, .example = "\"large\"", .description = "What users see."},
        {"profiles[].description", FORM_TEXT, .max = 500, .required = true, .example = "\"For big arrays\"",
         .description = "What it is for."},
        {"profiles[].cpus", FORM_NUMBER, CPUS, .required = true, .example = "8", .description = "CPUs; fractions are allowed."},
        {"profiles[].ram", FORM_NUMBER, RAM, .unit = "GB", .required = true, .example = "32", .description = "Memory."},
        {"profiles[].gpus", FORM_WHOLE, 0, 64, .standard = "0", .description = "GPUs (NVIDIA's); on Kubernetes only."},
        {"profiles[].groups", FORM_NAMES, .max = 100, .standard = "[]", .standard_words = "everybody",
         .example = "[\"modellers\"]", .description = "Only members of these groups may choose it."},

        {"environments", FORM_ITEMS, .max = 50, .standard = "[]", .standard_words = "the built-in pangeo environment",
         .example = "[{\"name\": \"climate\", \"description\": \"Our own libraries\", \"lock\": \"climate.txt\"}]",
         .description = "More software environments to choose from at start, beside the built-in pangeo."},
        {"environments[].name", FORM_LABEL, .max = 40, .required = true, .example = "\"climate\"",
         .description = "What users see, and the name of its folder."},
        {"environments[].description", FORM_TEXT, .max = 500, .required = true, .example = "\"Our own libraries\"",
         .description = "What is in it."},
        {"environments[].lock", FORM_PATH, .required = true, .when = "target", .when_value = "host", .example = "\"climate.txt\"",
         .description = "A list of requirements, each pinned with its hashes (uv pip compile --generate-hashes)."},
        {"environments[].image", FORM_IMAGE, .required = true, .when = "target", .when_value = "kubernetes",
         .example = "\"registry.example.org/climate:2026.11\"",
         .description = "The image of its notebooks and Dask workers: with jupyterhub-singleuser, jupyterlab, dask and "
                        "dask-gateway, as the images of Pangeo have them."},

        {"monitoring", FORM_GROUP,
         .description = "Prometheus, with the metrics of the cluster and of its users; its pages are for admins."},
        {"monitoring.enabled", FORM_SWITCH, .compute = form_standard_monitoring, .standard_words = "true; on Kubernetes false",
         .example = "true",
         .description = "Whether it is installed. On Kubernetes it needs an image of your own making: kubernetes.images.exporter."},
        {"monitoring.nodes", FORM_SWITCH, .standard = "true", .when = "target", .when_value = "kubernetes",
         .description = "Whether each node's kubelet is asked what users' pods and homes use, which needs two rights over the "
                        "whole Kubernetes cluster: list nodes, get nodes/metrics."},
        {"monitoring.retention_days", FORM_WHOLE, 1, 3650, .unit = "days", .standard = "30",
         .description = "Metrics are kept for so long, if there is room; they go with the cluster."},
        {"monitoring.retention_gb", FORM_WHOLE, 1, 10000, .unit = "GB", .standard = "10",
         .description = "What they may take of the disk; the oldest go first. On Kubernetes it may only grow: a volume cannot shrink."},
        {"monitoring.remote_write", FORM_GROUP, .description = "Another server that is sent every metric as well."},
        {"monitoring.remote_write.url", FORM_URL, .standard_words = "none", .example = "\"https://metrics.example.org/api/v1/write\"",
         .description = "Where it takes them, by Prometheus' remote write."},
        {"monitoring.remote_write.token_file", FORM_PATH, .example = "\"metrics-token\"",
         .description = "A file with the token that it wants (Authorization: Bearer), mode 0600."},
        {"monitoring.remote_write.ca", FORM_PATH, .standard_words = "the CAs that this machine trusts; on Kubernetes those of Prometheus' image",
         .example = "\"/etc/ssl/metrics-ca.crt\"",
         .description = "The CA of its certificate (PEM)."},
        {"monitoring.alert_email", FORM_EMAILS, .max = 20,
         .standard_words = "nobody", .example = "\"admins@example.org\"", .description = "Who is sent a mail when an alert fires, and when it is over."},
        {"monitoring.smtp", FORM_GROUP, .description = "The mail server that takes these mails."},
        {"monitoring.smtp.host", FORM_HOST, .max = 253, .example = "\"mail.example.org\"",
         .description = "Its name, as its certificate has it. Required with monitoring.alert_email."},
        {"monitoring.smtp.port", FORM_WHOLE, 1, 65535, .standard = "587",
         .description = "Its port; at 465 TLS comes first, at others by STARTTLS."},
        {"monitoring.smtp.from", FORM_EMAIL, .compute = form_standard_mail_from,
         .standard_words = "the user, if that is an e-mail address; otherwise the first of monitoring.alert_email",
         .example = "\"pangeo@example.org\"", .description = "Whom the mails are from."},
        {"monitoring.smtp.user", FORM_TEXT, .max = 254, .standard_words = "none: it takes mails without", .example = "\"pangeo@example.org\"",
         .description = "The account to sign in with."},
        {"monitoring.smtp.password_file", FORM_PATH, .example = "\"mail-password\"",
         .description = "A file with that account's password, mode 0600."},
        {"monitoring.smtp.ca", FORM_PATH, .standard_words = "the CAs that this machine trusts; on Kubernetes those of Alertmanager's image",
         .example = "\"/etc/ssl/mail-ca.crt\"",
         .description = "The CA of its certificate (PEM)."},
        {"monitoring.smtp.tls", FORM_SWITCH, .standard = "true",
         .description = "Whether it has to speak TLS with a certificate that can be verified; false only for a server on this machine (localhost), "
                        "so never on Kubernetes."},
        {"monitoring.scrape_from", FORM_NETWORKS, .max = 50, .standard = "[]",
         .example = "[\"192.0.2.10\", \"198.51.100.0/24\"]",
         .description = "Where a Prometheus elsewhere may read all metrics from, with a token (docs/MONITORING.md). On Kubernetes only with "
                        "kubernetes.entry: loadbalancer."},
        {"monitoring.grafana", FORM_CHOICE, .values = grafanas, .standard = "\"off\"",
         .description = "install = a Grafana of the cluster's own, where admins edit and users see their own figures. external (on a host) = "
                        "a Grafana of yours is given files with the dashboards and the data source, and lets the hub's admins in "
                        "(docs/MONITORING.md)."},
        {"monitoring.grafana_repository", FORM_URL, .when = "target", .when_value = "host", .standard = "\"https://apt.grafana.com/\"",
         .description = "With monitoring.grafana: install: where its Debian package is, such as a mirror of yours."},
        {"monitoring.grafana_key", FORM_PATH, .when = "target", .when_value = "host",
         .standard_words = "Grafana's own, by its fingerprint", .example = "\"mirror-key.asc\"",
         .description = "With monitoring.grafana: install: the key that signs that repository, where it is another."},
        {"monitoring.grafana_url", FORM_URL, .when = "target", .when_value = "host", .standard_words = "none",
         .example = "\"https://grafana.example.org/\"",
         .description = "Its address in browsers (its root_url). Required with monitoring.grafana: external."},
        {"monitoring.grafana_from", FORM_NETWORKS, .max = 50, .when = "target", .when_value = "host", .standard = "[]",
         .example = "[\"192.0.2.20\"]",
         .description = "Where what it asks comes from. Required with monitoring.grafana: external."},
        {"monitoring.grafana_users", FORM_SWITCH, .when = "target", .when_value = "host", .standard = "false",
         .description = "With monitoring.grafana: external: whether it lets users in, too, who see their own figures; then it asks "
                        "only for who has signed in by the hub."},
        {"monitoring.backup_stamp", FORM_PATH, .made_later = true, .when = "target", .when_value = "host", .standard_words = "none",
         .example = "\"/var/lib/backup/last-good\"",
         .description = "A file that your backup touches when it has ended well. An alert says when that was more than two days ago."},
        {"monitoring.backup_cronjob", FORM_NAME, .max = 52, .when = "target", .when_value = "kubernetes",
         .standard_words = "none", .example = "\"backup\"",
         .description = "The CronJob of the namespace that makes your backups. An alert says when it last succeeded more than two days "
                        "ago. The exporter gets the right to get this one."},

        {"kubernetes", FORM_GROUP, .when = "target", .when_value = "kubernetes",
         .description = "The Kubernetes cluster, and what of it is used."},
        {"kubernetes.kubeconfig", FORM_PATH, .standard_words = "$KUBECONFIG, ~/.kube/config, or the Pod's own account",
         .example = "\"kubeconfig.yaml\"", .description = "The file that says where its API server is and who asks."},
        {"kubernetes.context", FORM_TEXT, .max = 253, .standard_words = "the kubeconfig's current one", .example = "\"tenancy\"",
         .description = "The context of the kubeconfig."},
        {"kubernetes.namespace", FORM_NAME, .max = 63, .update = FORM_FIXED, .compute = form_standard_namespace,
         .standard_words = "the cluster's name", .example = "\"pangeo\"",
         .description = "Where everything is put; it is made if it is not there."},
        {"kubernetes.storage_class", FORM_NAME, .max = 253, .update = FORM_FIXED, .standard_words = "the default StorageClass",
         .example = "\"ssd\"", .description = "The StorageClass of homes and databases; homes can grow if it lets volumes expand."},
        {"kubernetes.entry", FORM_CHOICE, .values = entries, .standard = "\"loadbalancer\"",
         .description = "How users come in: loadbalancer = a Service with an address of its own, and our own TLS behind it; "
                        "ingress = an Ingress of a controller that is there; nodeport = a port of each node, for a proxy of yours."},
        {"kubernetes.ingress_class", FORM_NAME, .max = 253, .when = "kubernetes.entry", .when_value = "ingress",
         .standard_words = "the default IngressClass", .example = "\"nginx\"", .description = "The IngressClass."},
        {"kubernetes.node_port", FORM_WHOLE, 0, 65535, .when = "kubernetes.entry", .when_value = "nodeport", .standard = "0",  .example = "30443", .description = "The port of the nodes; 0 = one that Kubernetes chooses."},
        {"kubernetes.tls_secret", FORM_NAME, .max = 253, .required = true, .when = "tls.mode", .when_value = "secret",
         .example = "\"pangeo-tls\"", .description = "A Secret of the namespace (kubernetes.io/tls) that is there, for the Ingress."},
        {"kubernetes.cert_issuer", FORM_NAME, .max = 253, .required = true, .when = "tls.mode", .when_value = "cert-manager",
         .example = "\"letsencrypt\"", .description = "The ClusterIssuer of cert-manager that makes the Ingress' certificate."},
        {"kubernetes.annotations", FORM_NOTES, .max = 50, .standard = "{}",
         .example = "{\"nginx.ingress.kubernetes.io/proxy-body-size\": \"64m\"}",
         .description = "Annotations of the Service or Ingress that users come in by: what the cloud or the controller reads."},
        {"kubernetes.node_selector", FORM_LABELS, .max = 20, .standard = "{}", .example = "{\"pool\": \"pangeo\"}",
         .description = "Labels of the nodes that everything runs on."},
        {"kubernetes.tolerations", FORM_ITEMS, .max = 20, .standard = "[]",
         .example = "[{\"key\": \"dedicated\", \"value\": \"pangeo\", \"effect\": \"NoSchedule\"}]",
         .description = "Taints of nodes that everything may run on all the same."},
        {"kubernetes.tolerations[].key", FORM_TEXT, .max = 316, .standard_words = "all", .example = "\"dedicated\"",
         .description = "The taint."},
        {"kubernetes.tolerations[].operator", FORM_CHOICE, .values = operators, .standard = "\"Equal\"",
         .description = "Equal = with this value; Exists = whatever its value is."},
        {"kubernetes.tolerations[].value", FORM_TEXT, .max = 63, .example = "\"pangeo\"", .description = "Its value."},
        {"kubernetes.tolerations[].effect", FORM_CHOICE, .values = effects, .standard_words = "all", .example = "\"NoSchedule\"",
         .description = "Which effect of it."},
        {"kubernetes.cpu_guarantee", FORM_NUMBER, 0.01, 1, .standard = "0.05", .example = "1",
         .description = "Part of a notebook's CPUs that it is guaranteed; all of them are its limit. With 1 nobody waits for another's "
                        "computation, and a node is full when its CPUs are given out, though hardly anybody computes."},
        {"kubernetes.placeholders", FORM_WHOLE, 0, 1000, .standard = "0",
         .description = "Places for a notebook that are held free, so that nobody waits for a new node; they give way to users."},

        {"kubernetes.images", FORM_GROUP, .description = "Where images come from."},
        {"kubernetes.images.registry", FORM_REGISTRY, .standard_words = "each image's own", .example = "\"mirror.example.org/cache\"",
         .description = "A mirror: its name comes before the whole names of our images (mirror.example.org/cache/quay.io/…), not "
                        "before those that the form gives."},
        {"kubernetes.images.pull_secret", FORM_NAME, .max = 253, .example = "\"registry\"",
         .description = "A Secret of the namespace (kubernetes.io/dockerconfigjson) that is there, for pulling."},
        IMAGE("hub", "The hub."),
        IMAGE("proxy", "configurable-http-proxy."),
        IMAGE("notebook", "Notebooks and Dask workers of the built-in environment."),
        IMAGE("gateway", "Dask Gateway: its API and its controller."),
        IMAGE("traefik", "Traefik, the gateway's proxy."),
        IMAGE("caddy", "Caddy, which speaks TLS."),
        IMAGE("directory", "389 Directory Server, of the embedded directory."),
        IMAGE("pause", "What placeholders run."),
        IMAGE("prometheus", "Prometheus, of monitoring."),
        IMAGE("alertmanager", "Alertmanager, of monitoring.alert_email."),
        IMAGE("node_exporter", "Prometheus' node exporter, of monitoring."),
        IMAGE("grafana", "Grafana, of monitoring."),
        {"kubernetes.images.exporter", FORM_IMAGE, .example = "\"registry.example.org/pangeo/caas-exporter:1\"",
         .description = "caas-exporter, of monitoring: the archive that `make exporter-image` makes, in a registry of yours. "
                        "Required with monitoring.enabled."},

        {"kubernetes.resources", FORM_GROUP, .description = "What the parts that are no users' get."},
        PART("hub", "The hub.", "0.2", "1"),
        PART("proxy", "configurable-http-proxy.", "0.1", "0.5"),
        PART("front", "Caddy.", "0.1", "0.25"),
        PART("gateway", "Each part of Dask Gateway: API, controller, proxy.", "0.1", "0.5"),
        PART("directory", "The embedded directory.", "0.1", "1"),
        PART("prometheus", "Prometheus, of monitoring.", "0.1", "1"),
        PART("exporter", "caas-exporter, of monitoring.", "0.05", "0.1"),
        PART("grafana", "Grafana, of monitoring.", "0.1", "0.5"),
};
/* clang-format on */
const size_t form_table_count = sizeof form_table / sizeof *form_table;
_Static_assert(sizeof form_table / sizeof *form_table <= FORM_FIELDS_MAX, "FORM_FIELDS_MAX is too small");

const char *const *form_targets(void)
{
        return targets;
}

int form_find(const char *path)
{
        for (size_t i = 0; i < form_table_count; i++)
                if (strcmp(form_table[i].path, path) == 0)
                        return (int)i;
        return -1;
}

const char *form_leaf(const struct form_field *field)
{
        const char *dot = strrchr(field->path, '.');
        return dot ? dot + 1 : field->path;
}

bool form_in_items(const struct form_field *field)
{
        return strchr(field->path, '[') != NULL;
}

const struct form_field *form_condition(const struct form_field *field)
{
        if (field->when)
                return field;
        for (size_t i = 0; i < form_table_count; i++) {
                size_t length = strlen(form_table[i].path);
                if (form_table[i].type == FORM_GROUP && form_table[i].when &&
                        strncmp(field->path, form_table[i].path, length) == 0 && field->path[length] == '.')
                        return &form_table[i];
        }
        return NULL;
}

bool form_is_block(const struct form_field *field)
{
        return field->type == FORM_GROUP && str_is(field->when, "target");
}

bool form_of_other_target(const struct form_field *field, const char *target)
{
        const struct form_field *own = str_is(field->when, "target") ? field : NULL;
        for (size_t i = 0; i < form_table_count && !own; i++) {
                size_t length = strlen(form_table[i].path);
                if (form_is_block(&form_table[i]) && strncmp(field->path, form_table[i].path, length) == 0 &&
                        field->path[length] == '.')
                        own = &form_table[i];
        }
        return own && !str_is(own->when_value, target);
}

void form_siblings(const char *prefix, const char **ret, size_t max)
{
        size_t n = 0, length = strlen(prefix);
        for (size_t i = 0; i < form_table_count && n + 1 < max; i++) {
                const char *path = form_table[i].path;
                if (strncmp(path, prefix, length) == 0 && !strpbrk(path + length, ".["))
                        ret[n++] = path + length;
        }
        ret[n] = NULL;
}

static char *choice_words(const struct form_field *field)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(1000);
        for (const char *const *value = field->values; *value; value++)
                buf_format(&buf, "%s%s", value == field->values ? "" : value[1] ? ", " : " or ", *value);
        return buf_steal(&buf);
}

char *form_allowed(const struct form_field *field)
{
        int max = (int)field->max;
        switch (field->type) {
        case FORM_GROUP:
                return str_copy("a mapping");
        case FORM_ITEMS:
                return str_format("a list of at most %d mappings", max);
        case FORM_NAMES:
                return str_format("a list of at most %d names", max);
        case FORM_EMAILS:
                return str_format("an e-mail address, or a list of at most %d", max);
        case FORM_NETWORKS:
                return str_format("a list of at most %d addresses and networks (192.0.2.0/24)", max);
        case FORM_SWITCH:
                return str_copy("true or false");
        case FORM_NUMBER:
        case FORM_WHOLE:
                return str_format("a %s from %g to %.10g%s%s", field->type == FORM_WHOLE ? "whole number" : "number",
                        field->min, field->max, field->unit ? " " : "", field->unit ? field->unit : "");
        case FORM_CHOICE:
                return choice_words(field);
        case FORM_LABEL:
                return str_format(
                        "a name of at most %d letters a to z, digits and dashes, a letter first, no dash last", max);
        case FORM_DOMAIN:
                return str_format("a DNS name of at most %d characters", max);
        case FORM_ADDRESS:
                return str_copy("an IPv4 or IPv6 address");
        case FORM_HOST:
                return str_copy("a DNS name or an address");
        case FORM_EMAIL:
                return str_copy("an e-mail address");
        case FORM_URL:
                return str_copy("https://HOST[:PORT]/PATH");
        case FORM_LDAP:
                return str_copy("ldaps://HOST[:PORT] or ldap://HOST[:PORT]");
        case FORM_DN:
                return str_copy("a distinguished name (dc=example,dc=org)");
        case FORM_PATH:
                return str_copy("the path of a file");
        case FORM_TEXT:
                return str_format("a text of at most %d characters", max);
        case FORM_NAME:
                return str_format(
                        "a name of at most %d letters a to z, digits%s and dashes, a letter or digit first and last",
                        max, max > 63 ? ", dots" : "");
        case FORM_IMAGE:
                return str_copy("an image: [REGISTRY/]NAME[:TAG][@sha256:DIGEST]");
        case FORM_REGISTRY:
                return str_copy("a registry: HOST[:PORT][/PATH]");
        case FORM_LABELS:
                return str_format("a mapping of at most %d labels to their values", max);
        case FORM_NOTES:
                return str_format("a mapping of at most %d annotations to texts", max);
        }
        return str_copy("");
}

char *form_standard_words(const struct form_field *field)
{
        if (field->standard_words)
                return str_copy(field->standard_words);
        if (!field->standard)
                return NULL;
        if (strcmp(field->standard, "[]") == 0 || strcmp(field->standard, "{}") == 0)
                return str_copy("none");
        /* JSON's quotation marks are of no use to a reader. */
        char *words = str_copy(field->standard), *out = words;
        for (const char *c = field->standard; *c; c++)
                if (*c != '"')
                        *out++ = *c;
        *out = '\0';
        return words;
}
