#include "form/rules_monitoring.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/net.h"

/* Fields that say nothing without another one. Those that have a standard stand in every complete form. */
static const struct {
        const char *field, *needs;
} with[] = {
        {"monitoring.remote_write.token_file", "monitoring.remote_write.url"},
        {"monitoring.remote_write.ca", "monitoring.remote_write.url"},
        {"monitoring.smtp.host", "monitoring.alert_email"},
        {"monitoring.smtp.from", "monitoring.alert_email"},
        {"monitoring.smtp.user", "monitoring.alert_email"},
        {"monitoring.smtp.password_file", "monitoring.alert_email"},
        {"monitoring.smtp.ca", "monitoring.alert_email"},
};

static bool is_of_other_target(const struct form_values *values, const char *path)
{
        return form_of_other_target(&form_table[form_find(path)], form_text(values, "target"));
}

static void only_with(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
                int line, column;
                if (!form_is_given(values, with[i].field) || form_is_given(values, with[i].needs) ||
                        is_of_other_target(values, with[i].field))
                        continue;
                tree_key_place(tree, with[i].field, &line, &column);
                diags_add(diags, line, column, "%s: only used with %s, which is missing", with[i].field, with[i].needs);
        }
}

/* The other way round: `field` is not enough by itself. */
static void must_have(
        struct tree *tree, const struct form_values *values, const char *field, const char *needs, struct diags *diags)
{
        const char *text = form_text(values, field);
        int line, column;
        if (!text || !*text || form_is_given(values, needs) || is_of_other_target(values, field))
                return;
        CLEANUP_FREE char *allowed = form_allowed(&form_table[form_find(needs)]);
        tree_key_place(tree, field, &line, &column);
        diags_add(diags, line, column, "%s: missing; it is required with %s: %s", needs, field, allowed);
}

static bool is_this_machine(const char *host)
{
        char address[NET_ADDRESS_MAX];
        if (str_is(host, "localhost") || str_is(host, "[::1]"))
                return true;
        return str_starts(host, "127.") && net_address(host, address) == 0; /* not the name 127.example.org */
}

/* Mails name users, and a password is a password: neither goes over a network in the clear. */
static void tls_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        const char *host = form_text(values, "monitoring.smtp.host");
        int line, column;
        if (!host || !json_is_false(form_value(values, "monitoring.smtp.tls")) || is_this_machine(host) ||
                is_of_other_target(values, "monitoring.smtp.tls"))
                return;
        tree_place(tree, "monitoring.smtp.tls", &line, &column);
        diags_add(diags, line, column,
                "monitoring.smtp.tls: found false, but monitoring.smtp.host is %s; without TLS only a mail server on "
                "this machine (localhost) is written to",
                host);
}

/* An empty list says nothing: it stands in every complete form. */
static bool says_something(const struct form_values *values, const char *path)
{
        const json_t *value = form_value(values, path);
        return form_is_given(values, path) && !(json_is_array(value) && json_array_size(value) == 0);
}

/* On Kubernetes "this machine" would be a pod, and no mail server is in it. */
static void mail_host_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        const char *host = form_text(values, "monitoring.smtp.host");
        int line, column;
        if (!host || !str_is(form_text(values, "target"), "kubernetes") || !is_this_machine(host))
                return;
        tree_place(tree, "monitoring.smtp.host", &line, &column);
        diags_add(diags, line, column,
                "monitoring.smtp.host: found %s, which on Kubernetes is the pod that writes the mails; there is no "
                "mail "
                "server in it",
                host);
}

/* Fields of one kind of Grafana that say something, though the form has another kind. */
static void grafana_fields(
        struct tree *tree, const struct form_values *values, const char *grafana, struct diags *diags)
{
        static const struct {
                const char *field, *needs;
        } of[] = {
                {"monitoring.grafana_url", "external"},
                {"monitoring.grafana_from", "external"},
                {"monitoring.grafana_users", "external"},
                {"monitoring.grafana_repository", "install"},
                {"monitoring.grafana_key", "install"},
        };
        int line, column;
        for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
                const char *standard = form_table[form_find(of[i].field)].standard;
                CLEANUP_FREE char *given = json_dumps(form_value(values, of[i].field), JSON_ENCODE_ANY);
                /* what is standard stands in every complete form */
                if (!grafana || str_is(grafana, of[i].needs) || !form_is_given(values, of[i].field) ||
                        (given && str_is(standard, given)))
                        continue;
                tree_key_place(tree, of[i].field, &line, &column);
                diags_add(diags, line, column, "%s: only used with monitoring.grafana: %s", of[i].field, of[i].needs);
        }
}

/* What a Grafana elsewhere needs. Its callback's address is its own with more behind it. */
static void grafana_elsewhere(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        static const char *const needs[] = {"monitoring.grafana_url", "monitoring.grafana_from"};
        const char *url = form_text(values, needs[0]);
        int line, column;
        for (size_t i = 0; i < sizeof needs / sizeof *needs; i++) {
                if (says_something(values, needs[i]))
                        continue;
                CLEANUP_FREE char *allowed = form_allowed(&form_table[form_find(needs[i])]);
                tree_key_place(tree, "monitoring.grafana", &line, &column);
                diags_add(diags, line, column, "%s: missing; it is required with monitoring.grafana: external: %s",
                        needs[i], allowed);
        }
        if (url && *url && !str_ends(url, "/")) {
                tree_place(tree, needs[0], &line, &column);
                diags_add(diags, line, column, "%s: found \"%s\"; it ends with a \"/\": \"%s/\"", needs[0], url, url);
        }
}

/* That it is possible, and that there is something to show. */
static void grafana_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        const char *grafana = form_text(values, "monitoring.grafana");
        bool external = str_is(grafana, "external"), host = str_is(form_text(values, "target"), "host");
        int line, column;
        tree_place(tree, "monitoring.grafana", &line, &column);
        if (external && !host) {
                diags_add(diags, line, column,
                        "monitoring.grafana: found external, which is only for target: host; write install or off");
                return;
        }
        if (host)
                grafana_fields(tree, values, grafana, diags);
        if (external)
                grafana_elsewhere(tree, values, diags);
        if ((external || str_is(grafana, "install")) && json_is_false(form_value(values, "monitoring.enabled")))
                diags_add(diags, line, column,
                        "monitoring.grafana: found %s, but monitoring.enabled is false; there is nothing to show",
                        grafana);
}

/* Who asks for a part of it alone would get nothing. How long metrics are kept may stay, for who turns it off for a
 * while. */
static void needs_monitoring(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        static const char *const parts[] = {"monitoring.remote_write.url", "monitoring.alert_email",
                "monitoring.scrape_from", "monitoring.backup_stamp", "monitoring.backup_cronjob"};
        int line, column;
        if (!json_is_false(form_value(values, "monitoring.enabled")))
                return;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                if (!says_something(values, parts[i]) || is_of_other_target(values, parts[i]) ||
                        (str_is(parts[i], "monitoring.alert_email") && /* that has been said otherwise */
                                !form_is_given(values, "monitoring.smtp.host")))
                        continue;
                tree_key_place(tree, parts[i], &line, &column);
                diags_add(diags, line, column,
                        "%s: only used with monitoring.enabled: true, and monitoring.enabled is false%s", parts[i],
                        form_is_given(values, "monitoring.enabled") ? "" : " here by default");
        }
}

/* Who asks is known by the address that a connection comes from. A balancer can leave that as it is; an Ingress or a
 * proxy of the administrator's is the one who connects, and what it says of others any pod could say in its place. */
static void scrape_rule(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        static const char field[] = "monitoring.scrape_from";
        const char *entry = form_text(values, "kubernetes.entry");
        int line, column;
        if (!str_is(form_text(values, "target"), "kubernetes") || !entry || str_is(entry, "loadbalancer") ||
                !says_something(values, field))
                return;
        tree_key_place(tree, field, &line, &column);
        diags_add(diags, line, column,
                "%s: only used with kubernetes.entry: loadbalancer, and kubernetes.entry is %s; behind another proxy "
                "nobody can be sure where a request comes from: monitoring.remote_write sends the metrics instead",
                field, entry);
}

void form_rules_monitoring(struct tree *tree, const struct form_values *values, struct diags *diags)
{
        only_with(tree, values, diags);
        must_have(tree, values, "monitoring.alert_email", "monitoring.smtp.host", diags);
        if (form_is_given(values, "monitoring.alert_email")) {
                must_have(tree, values, "monitoring.smtp.user", "monitoring.smtp.password_file", diags);
                must_have(tree, values, "monitoring.smtp.password_file", "monitoring.smtp.user", diags);
        }
        tls_rule(tree, values, diags);
        mail_host_rule(tree, values, diags);
        needs_monitoring(tree, values, diags);
        grafana_rule(tree, values, diags);
        scrape_rule(tree, values, diags);
}
