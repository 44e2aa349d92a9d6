/* libldap's functions, looked up at run time.
 *
 * Linked in, libldap and GnuTLS behind it cost every command 2 ms before main() begins; `caas check` has 5. The
 * functions keep their names: the files of this folder include this instead of <ldap.h>, and call ldap_api_load()
 * before any of them. */
#ifndef CAAS_CLIENT_LDAP_LDAP_API_H
#define CAAS_CLIENT_LDAP_LDAP_API_H

#include <ldap.h>
#include <openldap.h>

#include "base/err.h"

#define LDAP_API(X)                                                                                                    \
        X(ber_free)                                                                                                    \
        X(ber_memfree)                                                                                                 \
        X(ber_sockbuf_ctrl)                                                                                            \
        X(ldap_add_ext_s)                                                                                              \
        X(ldap_control_find)                                                                                           \
        X(ldap_control_free)                                                                                           \
        X(ldap_controls_free)                                                                                          \
        X(ldap_create_page_control)                                                                                    \
        X(ldap_delete_ext_s)                                                                                           \
        X(ldap_dnfree)                                                                                                 \
        X(ldap_err2string)                                                                                             \
        X(ldap_first_attribute)                                                                                        \
        X(ldap_first_entry)                                                                                            \
        X(ldap_free_urldesc)                                                                                           \
        X(ldap_get_dn)                                                                                                 \
        X(ldap_get_option)                                                                                             \
        X(ldap_get_values_len)                                                                                         \
        X(ldap_init_fd)                                                                                                \
        X(ldap_initialize)                                                                                             \
        X(ldap_install_tls)                                                                                            \
        X(ldap_memfree)                                                                                                \
        X(ldap_modify_ext_s)                                                                                           \
        X(ldap_msgfree)                                                                                                \
        X(ldap_next_attribute)                                                                                         \
        X(ldap_next_entry)                                                                                             \
        X(ldap_parse_pageresponse_control)                                                                             \
        X(ldap_parse_result)                                                                                           \
        X(ldap_passwd_s)                                                                                               \
        X(ldap_result)                                                                                                 \
        X(ldap_sasl_bind_s)                                                                                            \
        X(ldap_search_ext)                                                                                             \
        X(ldap_search_ext_s)                                                                                           \
        X(ldap_set_option)                                                                                             \
        X(ldap_start_tls_s)                                                                                            \
        X(ldap_str2dn)                                                                                                 \
        X(ldap_tls_inplace)                                                                                            \
        X(ldap_unbind_ext_s)                                                                                           \
        X(ldap_url_parse)                                                                                              \
        X(ldap_value_free_len)

struct ldap_api {
#define X(name) __typeof__(name) *name##_;
        LDAP_API(X)
#undef X
};

/* Loads libldap at the first call. Thread-safe. -ERR_NOT_FOUND: not installed. */
int ldap_api_load(struct err **err);

extern struct ldap_api ldap_api; /* filled by ldap_api_load, and never changed afterwards */

#ifndef LDAP_API_PLAIN
#define ber_free                        (*ldap_api.ber_free_)
#define ber_memfree                     (*ldap_api.ber_memfree_)
#define ber_sockbuf_ctrl                (*ldap_api.ber_sockbuf_ctrl_)
#define ldap_add_ext_s                  (*ldap_api.ldap_add_ext_s_)
#define ldap_control_find               (*ldap_api.ldap_control_find_)
#define ldap_control_free               (*ldap_api.ldap_control_free_)
#define ldap_controls_free              (*ldap_api.ldap_controls_free_)
#define ldap_create_page_control        (*ldap_api.ldap_create_page_control_)
#define ldap_delete_ext_s               (*ldap_api.ldap_delete_ext_s_)
#define ldap_dnfree                     (*ldap_api.ldap_dnfree_)
#define ldap_err2string                 (*ldap_api.ldap_err2string_)
#define ldap_first_attribute            (*ldap_api.ldap_first_attribute_)
#define ldap_first_entry                (*ldap_api.ldap_first_entry_)
#define ldap_free_urldesc               (*ldap_api.ldap_free_urldesc_)
#define ldap_get_dn                     (*ldap_api.ldap_get_dn_)
#define ldap_get_option                 (*ldap_api.ldap_get_option_)
#define ldap_get_values_len             (*ldap_api.ldap_get_values_len_)
#define ldap_init_fd                    (*ldap_api.ldap_init_fd_)
#define ldap_initialize                 (*ldap_api.ldap_initialize_)
#define ldap_install_tls                (*ldap_api.ldap_install_tls_)
#define ldap_memfree                    (*ldap_api.ldap_memfree_)
#define ldap_modify_ext_s               (*ldap_api.ldap_modify_ext_s_)
#define ldap_msgfree                    (*ldap_api.ldap_msgfree_)
#define ldap_next_attribute             (*ldap_api.ldap_next_attribute_)
#define ldap_next_entry                 (*ldap_api.ldap_next_entry_)
#define ldap_parse_pageresponse_control (*ldap_api.ldap_parse_pageresponse_control_)
#define ldap_parse_result               (*ldap_api.ldap_parse_result_)
#define ldap_passwd_s                   (*ldap_api.ldap_passwd_s_)
#define ldap_result                     (*ldap_api.ldap_result_)
#define ldap_sasl_bind_s                (*ldap_api.ldap_sasl_bind_s_)
#define ldap_search_ext                 (*ldap_api.ldap_search_ext_)
#define ldap_search_ext_s               (*ldap_api.ldap_search_ext_s_)
#define ldap_set_option                 (*ldap_api.ldap_set_option_)
#define ldap_start_tls_s                (*ldap_api.ldap_start_tls_s_)
#define ldap_str2dn                     (*ldap_api.ldap_str2dn_)
#define ldap_tls_inplace                (*ldap_api.ldap_tls_inplace_)
#define ldap_unbind_ext_s               (*ldap_api.ldap_unbind_ext_s_)
#define ldap_url_parse                  (*ldap_api.ldap_url_parse_)
#define ldap_value_free_len             (*ldap_api.ldap_value_free_len_)
#endif

#endif
