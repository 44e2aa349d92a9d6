/* What libldap and servers say, in words and in our codes. */
#include <stdarg.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/private.h"

struct meaning {
        int result;
        enum err_code code;
        const char *text; /* NULL = libldap's */
};

static const struct meaning meanings[] = {
        {LDAP_SERVER_DOWN, ERR_UNREACHABLE, "no connection"},
        {LDAP_CONNECT_ERROR, ERR_UNREACHABLE, "no connection"},
        {LDAP_TIMEOUT, ERR_TIMEOUT, "no answer in time"},
        {LDAP_TIMELIMIT_EXCEEDED, ERR_TIMEOUT, "the server's time limit is exceeded"},
        {LDAP_BUSY, ERR_BUSY, "the server is busy"},
        {LDAP_UNAVAILABLE, ERR_BUSY, "the server is starting or stopping"},
        {LDAP_INVALID_CREDENTIALS, ERR_DENIED, "name or password refused"},
        {LDAP_INSUFFICIENT_ACCESS, ERR_DENIED, "the account has no right to do this"},
        {LDAP_INAPPROPRIATE_AUTH, ERR_DENIED, "the account cannot sign in with a password"},
        {LDAP_STRONG_AUTH_REQUIRED, ERR_DENIED, "the server asks for a stronger sign-in"},
        {LDAP_CONFIDENTIALITY_REQUIRED, ERR_REFUSED, "the server asks for TLS"},
        {LDAP_UNWILLING_TO_PERFORM, ERR_REFUSED, "the server refuses to do this"},
        {LDAP_NO_SUCH_OBJECT, ERR_NOT_FOUND, "there is no such entry"},
        {LDAP_NO_SUCH_ATTRIBUTE, ERR_NOT_FOUND, "there is no such value"},
        {LDAP_ALREADY_EXISTS, ERR_EXISTS, "there is such an entry already"},
        {LDAP_TYPE_OR_VALUE_EXISTS, ERR_EXISTS, "there is such a value already"},
        {LDAP_CONSTRAINT_VIOLATION, ERR_INVALID, "against the server's rules"},
        {LDAP_OBJECT_CLASS_VIOLATION, ERR_INVALID, "against the server's schema"},
        {LDAP_UNDEFINED_TYPE, ERR_INVALID, "the server's schema does not have an attribute"},
        {LDAP_INVALID_SYNTAX, ERR_INVALID, "a value of the wrong form"},
        {LDAP_INVALID_DN_SYNTAX, ERR_INVALID, "not a DN"},
        {LDAP_FILTER_ERROR, ERR_INVALID, "not a filter"},
        {LDAP_REFERRAL, ERR_REFUSED, "the server sends us to another one (is the suffix right?)"},
};

static const struct meaning *find(int result)
{
        for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
                if (meanings[i].result == result)
                        return &meanings[i];
        return NULL;
}

/* The server's words, cleaned of what could upset a terminal. */
static char *server_words(LDAP *ld)
{
        char *text = NULL;
        if (!ld || ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text) != LDAP_OPT_SUCCESS || !text)
                return str_copy("");
        char *copy = str_copy_n(text, strnlen(text, 300));
        ldap_memfree(text);
        for (char *c = copy; *c; c++)
                if ((unsigned char)*c < 0x20 || *c == 0x7f)
                        *c = ' ';
        char *words = str_copy(str_trim(copy));
        free(copy);
        return words;
}

int directory_fail(LDAP *ld, int result, struct err **err, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *what = str_vformat(format, ap);
        va_end(ap);
        CLEANUP_FREE char *words = server_words(ld);
        const struct meaning *meaning = find(result);
        const char *text = meaning && meaning->text ? meaning->text : ldap_err2string(result);
        bool said = *words && !str_is(words, "(unknown error code)");
        return err_set(err, meaning ? meaning->code : ERR_FAILED, "%s: %s%s%s%s", what, text, said ? " (" : "",
                said ? words : "", said ? ")" : "");
}
