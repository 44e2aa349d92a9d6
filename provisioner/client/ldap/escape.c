#include "client/ldap/escape.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/ldap_api.h"

#define ESCAPED_MAX (64 * 1024)

/* Every byte that is not plainly harmless becomes \xx: allowed by both RFCs, and nothing has to be thought of twice.
 * Bytes of UTF-8 stay: they are data in both. */
static char *escape(const char *value)
{
        static const char harmless[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.@:/";
        CLEANUP_BUF struct buf out = BUF_INIT(ESCAPED_MAX);
        size_t last = strlen(value);
        for (size_t i = 0; i < last; i++) {
                unsigned char c = (unsigned char)value[i];
                bool inner_space = c == ' ' && i > 0 && i + 1 < last;
                if (c >= 0x80 || inner_space || strchr(harmless, c))
                        buf_add(&out, value + i, 1);
                else
                        buf_format(&out, "\\%02x", c);
        }
        return buf_steal(&out);
}

char *escape_dn_value(const char *value)
{
        return escape(value);
}

char *escape_filter_value(const char *value)
{
        return escape(value);
}

char *escape_dn(const char *attribute, const char *value, const char *base)
{
        CLEANUP_FREE char *escaped = escape_dn_value(value);
        return str_format("%s=%s,%s", attribute, escaped, base);
}

static LDAPDN parse(const char *text)
{
        LDAPDN dn = NULL;
        if (!text || !*text || ldap_api_load(NULL) < 0 || ldap_str2dn(text, &dn, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS)
                return NULL;
        return dn;
}

static size_t length(LDAPDN dn)
{
        size_t n = 0;
        while (dn[n])
                n++;
        return n;
}

bool escape_is_dn(const char *text)
{
        LDAPDN dn = parse(text);
        if (!dn)
                return false;
        bool some = length(dn) > 0;
        ldap_dnfree(dn);
        return some;
}

static bool same_value(const struct berval *a, const struct berval *b)
{
        return a->bv_len == b->bv_len && strncasecmp(a->bv_val, b->bv_val, a->bv_len) == 0;
}

/* The attributes used here (cn, uid, dc, ou, o) all compare without regard to case. */
static bool same_rdn(LDAPRDN a, LDAPRDN b)
{
        for (size_t i = 0; a[i] || b[i]; i++)
                if (!a[i] || !b[i] || !same_value(&a[i]->la_attr, &b[i]->la_attr) ||
                        !same_value(&a[i]->la_value, &b[i]->la_value))
                        return false;
        return true;
}

/* Do the last parts of dn equal base? */
static bool ends_with(LDAPDN dn, LDAPDN base)
{
        size_t n = length(dn), m = length(base);
        if (m == 0 || n < m)
                return false;
        for (size_t i = 0; i < m; i++)
                if (!same_rdn(dn[n - m + i], base[i]))
                        return false;
        return true;
}

bool escape_same_dn(const char *a, const char *b)
{
        LDAPDN one = parse(a), other = parse(b);
        bool same = one && other && length(one) == length(other) && ends_with(one, other);
        ldap_dnfree(one);
        ldap_dnfree(other);
        return same;
}

bool escape_dn_below(const char *dn, const char *base)
{
        LDAPDN inner = parse(dn), outer = parse(base);
        bool below = inner && outer && ends_with(inner, outer);
        ldap_dnfree(inner);
        ldap_dnfree(outer);
        return below;
}

char *escape_first_value(const char *dn, const char *attribute)
{
        LDAPDN parsed = parse(dn);
        char *value = NULL;
        if (parsed && parsed[0] && parsed[0][0] && !parsed[0][1]) {
                const struct berval *name = &parsed[0][0]->la_attr, *text = &parsed[0][0]->la_value;
                if (name->bv_len == strlen(attribute) && strncasecmp(name->bv_val, attribute, name->bv_len) == 0 &&
                        !memchr(text->bv_val, '\0', text->bv_len))
                        value = str_copy_n(text->bv_val, text->bv_len);
        }
        ldap_dnfree(parsed);
        return value;
}
