/* Names in DNs and filters, hostile ones above all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ldap.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/escape.h"

static void plain_names_stay(void **state)
{
        (void)state;
        CLEANUP_FREE char *dn = escape_dn("uid", "alice", "cn=users,dc=t"),
                          *filter = escape_filter_value("alice.b-c_1");
        assert_string_equal(dn, "uid=alice,cn=users,dc=t");
        assert_string_equal(filter, "alice.b-c_1");
}

/* Whatever the value, it comes back out of the DN as it was, and is one part of it. */
static void hostile_values_survive_a_dn(void **state)
{
        (void)state;
        static const char *const values[] = {"a,cn=admins", "a+b=c", " lead", "trail ", "#hash", "a\"b", "a\\b", "a;b",
                "<a>", "a=b", "a\nb", "\x01\x7f", "\xc3\xa9t\xc3\xa9", "*)(uid=*", "a\\2cb", "$(id)", "''", "a b", "  ",
                "="};
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
                CLEANUP_FREE char *dn = escape_dn("uid", values[i], "cn=users,dc=t");
                CLEANUP_FREE char *back = escape_first_value(dn, "uid");
                assert_non_null(back);
                assert_string_equal(back, values[i]);
                assert_true(escape_dn_below(dn, "cn=users,dc=t"));
                LDAPDN parsed = NULL;
                assert_int_equal(ldap_str2dn(dn, &parsed, LDAP_DN_FORMAT_LDAPV3), LDAP_SUCCESS);
                assert_non_null(parsed[2]);
                assert_null(parsed[3]);
                ldap_dnfree(parsed);
        }
}

static void filters_hold_no_syntax(void **state)
{
        (void)state;
        CLEANUP_FREE char *text = escape_filter_value("*)(|(uid=*\\\x01");
        assert_null(strpbrk(text, "*()|\x01"));
        assert_string_equal(text, "\\2a\\29\\28\\7c\\28uid\\3d\\2a\\5c\\01");
}

static void a_long_value_is_cut_not_overrun(void **state)
{
        (void)state;
        char *value = mem_zero(200001);
        memset(value, '*', 200000);
        CLEANUP_FREE char *text = escape_filter_value(value);
        assert_true(strlen(text) <= 64 * 1024);
        free(value);
}

static void dns_compare_by_meaning(void **state)
{
        (void)state;
        assert_true(escape_same_dn("CN=a b,DC=T", "cn=A b, dc=t"));
        assert_true(escape_same_dn("cn=a\\2cb,dc=t", "cn=a\\,b,dc=t"));
        assert_false(escape_same_dn("cn=a,dc=t", "cn=a,dc=t,dc=u"));
        assert_false(escape_same_dn("cn=a,dc=t", "uid=a,dc=t"));
        assert_false(escape_same_dn("nonsense", "nonsense"));
        assert_false(escape_same_dn("", ""));
        assert_false(escape_same_dn(NULL, NULL));
        assert_true(escape_dn_below("uid=a,cn=users,dc=t", "cn=users,dc=t"));
        assert_false(escape_dn_below("uid=a,cn=users,dc=t", "cn=sers,dc=t"));
        assert_false(escape_dn_below("uid=a\\,cn=users,dc=t", "cn=users,dc=t"));
        assert_false(escape_dn_below("dc=t", "cn=users,dc=t"));
}

static void what_is_a_dn(void **state)
{
        (void)state;
        assert_true(escape_is_dn("cn=Directory Manager"));
        assert_false(escape_is_dn(""));
        assert_false(escape_is_dn("admin"));
        assert_false(escape_is_dn("cn=a,"));
        CLEANUP_FREE char *none = escape_first_value("cn=a+uid=b,dc=t", "cn");
        assert_null(none);
        CLEANUP_FREE char *other = escape_first_value("cn=a,dc=t", "uid");
        assert_null(other);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(plain_names_stay),
                cmocka_unit_test(hostile_values_survive_a_dn),
                cmocka_unit_test(filters_hold_no_syntax),
                cmocka_unit_test(a_long_value_is_cut_not_overrun),
                cmocka_unit_test(dns_compare_by_meaning),
                cmocka_unit_test(what_is_a_dn),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
