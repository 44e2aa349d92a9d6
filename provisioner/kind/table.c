#include "kind/table.h"

extern const struct kind kind_directory_instance;
extern const struct kind kind_host_account;
extern const struct kind kind_host_certificate;
extern const struct kind kind_host_claim;
extern const struct kind kind_host_directory;
extern const struct kind kind_host_file;
extern const struct kind kind_host_homes;
extern const struct kind kind_host_npm;
extern const struct kind kind_host_package;
extern const struct kind kind_host_probe;
extern const struct kind kind_host_requirements;
extern const struct kind kind_host_service;
extern const struct kind kind_host_tree;
extern const struct kind kind_host_unpacked;
extern const struct kind kind_host_venv;
extern const struct kind kind_kube_certificate;
extern const struct kind kind_kube_claim;
extern const struct kind kind_kube_entry;
extern const struct kind kind_kube_issuer;
extern const struct kind kind_kube_object;
extern const struct kind kind_kube_probe;
extern const struct kind kind_kube_requirements;
extern const struct kind kind_ldap_entry;
extern const struct kind kind_ldap_group;
extern const struct kind kind_value;

const struct kind *const kind_table[] = {
        &kind_directory_instance,
        &kind_host_account,
        &kind_host_certificate,
        &kind_host_claim,
        &kind_host_directory,
        &kind_host_file,
        &kind_host_homes,
        &kind_host_npm,
        &kind_host_package,
        &kind_host_probe,
        &kind_host_requirements,
        &kind_host_service,
        &kind_host_tree,
        &kind_host_unpacked,
        &kind_host_venv,
        &kind_kube_certificate,
        &kind_kube_claim,
        &kind_kube_entry,
        &kind_kube_issuer,
        &kind_kube_object,
        &kind_kube_probe,
        &kind_kube_requirements,
        &kind_ldap_entry,
        &kind_ldap_group,
        &kind_value,
        NULL,
};
