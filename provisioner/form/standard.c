#include "form/standard.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/net.h"
#include "form/type.h"
#include "form/values.h"

#define LOOPBACK "127.0.0.1"

static bool on_kubernetes(const struct form_values *values)
{
        return str_is(form_text(values, "target"), "kubernetes");
}

/* On Kubernetes it is known when the balancer is there. */
json_t *form_standard_address(const struct form_values *values)
{
        if (on_kubernetes(values))
                return NULL;
        char address[NET_ADDRESS_MAX];
        const char *found = values->facts ? values->facts->address : NULL;
        return json_string(found && net_address(found, address) == 0 ? address : LOOPBACK);
}

/* Computed defaults may come in any order: what is not there yet is computed here. */
static json_t *value_or(
        const struct form_values *values, const char *path, json_t *(*compute)(const struct form_values *))
{
        const json_t *value = form_value(values, path);
        if (value)
                return json_incref((json_t *)value);
        return form_is_bad(values, path) ? NULL : compute(values);
}

json_t *form_standard_domain(const struct form_values *values)
{
        char dashed[NET_ADDRESS_MAX];
        json_auto_t *address = value_or(values, "external_ip", form_standard_address);
        const char *suffix = form_text(values, "wildcard_dns");
        if (!address || !suffix || net_dashed(json_string_value(address), dashed) < 0)
                return NULL;
        CLEANUP_FREE char *name = str_format("pangeo.%s.%s", dashed, suffix);
        return json_string(name);
}

/* What the form names decides; without an address, a public name does: it has to be there anyway. */
static json_t *kubernetes_tls_mode(const struct form_values *values)
{
        if (form_is_bad(values, "kubernetes.tls_secret") || form_is_bad(values, "kubernetes.cert_issuer"))
                return NULL;
        if (form_is_given(values, "kubernetes.tls_secret"))
                return json_string("secret");
        if (form_is_given(values, "kubernetes.cert_issuer"))
                return json_string("cert-manager");
        if (form_is_bad(values, "kubernetes.entry") || form_is_bad(values, "domain"))
                return NULL;
        const char *entry = form_text(values, "kubernetes.entry"), *domain = form_text(values, "domain");
        const char *address = form_text(values, "external_ip");
        if (str_is(entry, "nodeport"))
                return json_string("proxy");
        bool is_public = form_is_given(values, "domain") && net_name_is_public(domain) &&
                         (!address || net_is_global(address)) && str_is(entry, "loadbalancer");
        return json_string(is_public ? "acme" : "self-signed");
}

json_t *form_standard_tls_mode(const struct form_values *values)
{
        if (on_kubernetes(values))
                return kubernetes_tls_mode(values);
        json_auto_t *address = value_or(values, "external_ip", form_standard_address);
        json_auto_t *domain = value_or(values, "domain", form_standard_domain);
        /* With one half wrong, the other may still be enough to say no. */
        if (address && !net_is_global(json_string_value(address)))
                return json_string("self-signed");
        if (domain && !net_name_is_public(json_string_value(domain)))
                return json_string("self-signed");
        return address && domain ? json_string("acme") : NULL;
}

/* Nothing where no ACME server is asked. */
json_t *form_standard_acme_server(const struct form_values *values)
{
        json_auto_t *mode = value_or(values, "tls.mode", form_standard_tls_mode);
        if (!mode || strcmp(json_string_value(mode), "acme") != 0)
                return NULL;
        return json_string("https://acme-v02.api.letsencrypt.org/directory");
}

json_t *form_standard_namespace(const struct form_values *values)
{
        const char *cluster = form_text(values, "cluster");
        return cluster ? json_string(cluster) : NULL;
}

/* Servers let an account write in its own name; without one, whoever is written to is an address that they know. */
json_t *form_standard_mail_from(const struct form_values *values)
{
        static const struct form_field email = {.type = FORM_EMAIL};
        const json_t *user = form_value(values, "monitoring.smtp.user");
        const char *to = form_text(values, "monitoring.alert_email");
        json_t *from = NULL;
        CLEANUP_FREE char *hint = NULL;
        if (user && form_type_check(&email, user, &from, &hint) == 0)
                return from;
        return to && *to ? json_stringn(to, strcspn(to, ",")) : NULL;
}

static json_t *times_eight(const json_t *value)
{
        if (!value)
                return NULL;
        if (json_is_integer(value))
                return json_integer(8 * json_integer_value(value));
        return json_real(8 * json_real_value(value));
}

json_t *form_standard_max_cpus(const struct form_values *values)
{
        return times_eight(form_value(values, "notebook.cpus"));
}

json_t *form_standard_max_ram(const struct form_values *values)
{
        return times_eight(form_value(values, "notebook.ram"));
}

/* The usual size, but no more than a notebook has or, where the form says it, than a user may hold. */
static json_t *worker(const struct form_values *values, json_int_t usual, const char *notebook, const char *most)
{
        const json_t *limits[] = {form_value(values, notebook), form_value(values, most)};
        if (!limits[0] || form_is_bad(values, most))
                return NULL;
        const json_t *least = NULL;
        for (size_t i = 0; i < 2; i++)
                if (limits[i] && json_number_value(limits[i]) < (least ? json_number_value(least) : (double)usual))
                        least = limits[i];
        return least ? json_incref((json_t *)least) : json_integer(usual);
}

json_t *form_standard_worker_cpus(const struct form_values *values)
{
        return worker(values, 1, "notebook.cpus", "dask.max.cpus");
}

json_t *form_standard_worker_ram(const struct form_values *values)
{
        return worker(values, 2, "notebook.ram", "dask.max.ram");
}

/* On Kubernetes the exporter's image has to be made and pushed first. */
json_t *form_standard_monitoring(const struct form_values *values)
{
        return json_boolean(!on_kubernetes(values));
}
