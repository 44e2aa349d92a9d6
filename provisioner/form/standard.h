/* Defaults that depend on other fields or on the machine; the table points to them. For this folder only. */
#ifndef CAAS_FORM_STANDARD_H
#define CAAS_FORM_STANDARD_H

#include <jansson.h>

struct form_values;

json_t *form_standard_address(const struct form_values *values);
json_t *form_standard_domain(const struct form_values *values);
json_t *form_standard_tls_mode(const struct form_values *values);
json_t *form_standard_acme_server(const struct form_values *values);
json_t *form_standard_worker_cpus(const struct form_values *values);
json_t *form_standard_worker_ram(const struct form_values *values);
json_t *form_standard_mail_from(const struct form_values *values);
json_t *form_standard_namespace(const struct form_values *values);
json_t *form_standard_max_cpus(const struct form_values *values);
json_t *form_standard_max_ram(const struct form_values *values);
json_t *form_standard_monitoring(const struct form_values *values);

#endif
