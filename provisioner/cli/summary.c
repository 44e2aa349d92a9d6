#include "cli/summary.h"

#include <string.h>

#include "access/access.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/change.h"
#include "client/tls/certificate.h"

#define CERTIFICATE_MAX (64 * 1024)

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text && *text ? text : NULL;
}

/* "AB:CD:…", as browsers show it. The caller frees. */
static char *with_colons(const char *hex)
{
        struct buf out = BUF_INIT(3 * TLS_FINGERPRINT_SIZE);
        for (size_t i = 0; hex[i] && hex[i + 1]; i += 2)
                buf_format(&out, "%s%c%c", i ? ":" : "", hex[i] >= 'a' ? hex[i] - 32 : hex[i],
                        hex[i + 1] >= 'a' ? hex[i + 1] - 32 : hex[i + 1]);
        return buf_steal(&out);
}

static json_t *ca_json(const char *path)
{
        CLEANUP_FREE char *pem = NULL;
        CLEANUP_TLS_FACTS struct tls_facts facts = {0};
        if (!path || file_read(path, CERTIFICATE_MAX, &pem, NULL, NULL) < 0 || tls_read(pem, &facts, NULL) < 0)
                return json_null();
        char expires[32];
        CLEANUP_FREE char *fingerprint = with_colons(facts.fingerprint);
        return json_pack("{s:s, s:s, s:s}", "path", path, "fingerprint", fingerprint, "expires",
                clock_format(facts.expires * 1000, expires));
}

/* "cn=lab_notebook_users,cn=groups,…" without what comes after the name. The caller frees; NULL for NULL. */
static char *group_name(const char *dn)
{
        if (!dn)
                return NULL;
        const char *name = strchr(dn, '=');
        return str_copy_n(name ? name + 1 : dn, strcspn(name ? name + 1 : dn, ","));
}

json_t *summary_json(struct journal *journal, const char *cluster, const json_t *form)
{
        json_auto_t *hub = NULL, *identity = NULL, *grafana = NULL;
        if (access_peek(journal, cluster, "hub", &hub, NULL) < 0)
                hub = NULL;
        if (access_peek(journal, cluster, "identity", &identity, NULL) < 0)
                identity = NULL;
        if (access_peek(journal, cluster, "grafana", &grafana, NULL) < 0)
                grafana = NULL; /* the form has none */
        const char *provider = text_of(json_object_get(form, "identity"), "provider");
        CLEANUP_FREE char *group = group_name(text_of(identity, "users_group"));
        bool embedded = str_is(provider, "embedded");
        return json_pack("{s:s?, s:o, s:{s:s?, s:s?, s:s?, s:s?}, s:O?}", "url", text_of(hub, "url"), "ca",
                ca_json(text_of(hub, "ca")), "sign_in", "provider", provider, "server", text_of(identity, "uri"),
                "group", group, "user", embedded ? "admin" : NULL, "grafana", grafana);
}

/* What is known of who signed the certificate; nothing where this machine's CAs know it. */
static void print_trust(const struct cli *cli, const json_t *ca, const char *mode, const char *url)
{
        const char *path = text_of(ca, "path");
        if (!path)
                return;
        CLEANUP_FREE char *word = str_shell(path);
        fprintf(cli->out,
                "  certificate   %s\n"
                "                %s\n"
                "                SHA-256 %s\n"
                "                curl --cacert %s %shub/api/\n",
                str_is(mode, "files")  ? "as the form gives it:"
                : str_is(mode, "acme") ? "signed by the authority of the ACME server; browsers have to trust"
                                       : "signed by this installation's own authority; browsers warn until they trust",
                path, text_of(ca, "fingerprint"), word, url ? url : "");
}

static void print_sign_in(const struct cli *cli, const json_t *sign_in, const char *cluster, const char *caas)
{
        const char *user = text_of(sign_in, "user"), *group = text_of(sign_in, "group");
        if (user)
                fprintf(cli->out,
                        "  sign in       as %s; its password:      %s password %s\n"
                        "  more users    %s user add %s NAME, then %s grant %s NAME\n",
                        user, caas, cluster, caas, cluster, caas, cluster);
        else if (group)
                fprintf(cli->out,
                        "  sign in       with an account of %s that is in the group %s\n"
                        "  more users    %s grant %s NAME\n",
                        text_of(sign_in, "server"), group, caas, cluster);
}

/* Where it is; of one elsewhere also what has to be done there. */
static void print_grafana(const struct cli *cli, const json_t *grafana)
{
        const char *url = text_of(grafana, "url"), *files = text_of(grafana, "files");
        if (!url)
                return;
        fprintf(cli->out, "  grafana       %s%s\n", url, files ? ": what it needs, for its /etc/grafana, is in" : "");
        if (files)
                fprintf(cli->out,
                        "                %s\n"
                        "                how: docs/MONITORING.md#a-grafana-elsewhere\n",
                        files);
}

void summary_print(const struct cli *cli, struct journal *journal, const char *cluster, const json_t *form)
{
        json_auto_t *summary = summary_json(journal, cluster, form);
        const char *url = text_of(summary, "url");
        if (!url)
                return; /* no hub (yet) */
        CLEANUP_FREE char *caas = change_caas(cli);
        fprintf(cli->out, "\n  address       %s%s%s\n", cli_style(cli->color, STYLE_BOLD), url,
                cli_style(cli->color, STYLE_NONE));
        print_sign_in(cli, json_object_get(summary, "sign_in"), cluster, caas);
        print_trust(cli, json_object_get(summary, "ca"), text_of(json_object_get(form, "tls"), "mode"), url);
        if (json_is_true(json_object_get(json_object_get(form, "monitoring"), "enabled")))
                fprintf(cli->out, "  monitoring    %sservices/monitoring/ (for admins)\n", url);
        print_grafana(cli, json_object_get(summary, "grafana"));
        fprintf(cli->out,
                "  look          %s status %s\n"
                "  try it all    %s test %s\n"
                "  remove        %s destroy %s           (homes are kept)\n",
                caas, cluster, caas, cluster, caas, cluster);
}
