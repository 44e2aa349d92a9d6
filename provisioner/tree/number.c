#include "tree/number.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static bool one_of(const char *text, size_t length, const char *const *list)
{
        for (; *list; list++)
                if (strlen(*list) == length && memcmp(text, *list, length) == 0)
                        return true;
        return false;
}

static size_t digits(const char *text, const char *set)
{
        return strspn(text, set);
}

/* [-+]?[0-9]+, 0o[0-7]+, 0x[0-9a-fA-F]+. Returns the base, 0 if it is none; *ret_begin is where the number begins. */
static int integer_base(const char *text, size_t length, const char **ret_begin)
{
        if (text[0] == '0' && (text[1] == 'o' || text[1] == 'x')) {
                bool octal = text[1] == 'o';
                *ret_begin = text + 2;
                size_t n = digits(text + 2, octal ? "01234567" : "0123456789abcdefABCDEF");
                return n > 0 && n + 2 == length ? (octal ? 8 : 16) : 0;
        }
        size_t sign = *text == '-' || *text == '+';
        size_t n = digits(text + sign, "0123456789");
        *ret_begin = text;
        return n > 0 && n + sign == length ? 10 : 0;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *text, size_t length)
{
        static const char set[] = "0123456789";
        const char *p = text;
        if (*p == '-' || *p == '+')
                p++;
        size_t whole = digits(p, set), fraction = 0;
        p += whole;
        if (*p == '.') {
                p++;
                fraction = digits(p, set);
                p += fraction;
        }
        if (whole + fraction == 0)
                return false;
        if (*p == 'e' || *p == 'E') {
                p++;
                if (*p == '-' || *p == '+')
                        p++;
                size_t n = digits(p, set);
                if (n == 0)
                        return false;
                p += n;
        }
        return p == text + length;
}

static int resolve_integer(const char *begin, int base, json_t **ret, const char **ret_problem)
{
        errno = 0;
        long long value = strtoll(begin, NULL, base);
        if (errno) {
                *ret_problem = "is out of range: whole numbers go from -9223372036854775808 to 9223372036854775807";
                return -1;
        }
        *ret = json_integer(value);
        return 0;
}

static int resolve_float(const char *text, locale_t locale, json_t **ret, const char **ret_problem)
{
        errno = 0;
        double value = strtod_l(text, NULL, locale);
        if (!isfinite(value) || (errno == ERANGE && !(fabs(value) > 0))) {
                *ret_problem = "is out of range: numbers go up to about 1.8e308 and down to about 4.9e-324";
                return -1;
        }
        *ret = json_real(value);
        return 0;
}

int scalar_resolve(const char *text, size_t length, locale_t locale, json_t **ret, const char **ret_problem)
{
        static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
        static const char *const trues[] = {"true", "True", "TRUE", NULL};
        static const char *const falses[] = {"false", "False", "FALSE", NULL};
        static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
        static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
        const char *begin;

        if (one_of(text, length, nulls)) {
                *ret = json_null();
                return 0;
        }
        if (one_of(text, length, trues) || one_of(text, length, falses)) {
                *ret = json_boolean(*text == 't' || *text == 'T');
                return 0;
        }
        size_t sign = *text == '-' || *text == '+';
        if (one_of(text + sign, length - sign, infinities) || one_of(text, length, nans)) {
                *ret_problem = "is no finite number";
                return -1;
        }
        int base = integer_base(text, length, &begin);
        if (base)
                return resolve_integer(begin, base, ret, ret_problem);
        if (is_float(text, length))
                return resolve_float(text, locale, ret, ret_problem);
        *ret = json_stringn_nocheck(text, length);
        return 0;
}

static char *real_text(double value)
{
        char text[40];
        for (int precision = 15; precision <= 17; precision++) {
                snprintf(text, sizeof text, "%.*g", precision, value);
                double back = strtod(text, NULL);
                if (back >= value && back <= value)
                        break;
        }
        /* Whatever the locale calls a decimal point. */
        size_t n = strspn(text, "+-0123456789eE");
        if (text[n])
                text[n] = '.';
        return str_format("%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

char *scalar_text(const json_t *value)
{
        if (!value)
                return NULL;
        switch (json_typeof(value)) {
        case JSON_STRING:
                return str_copy(json_string_value(value));
        case JSON_INTEGER:
                return str_format("%lld", (long long)json_integer_value(value));
        case JSON_REAL:
                return real_text(json_real_value(value));
        case JSON_TRUE:
                return str_copy("true");
        case JSON_FALSE:
                return str_copy("false");
        case JSON_NULL:
        case JSON_ARRAY:
        case JSON_OBJECT:
                break;
        }
        return NULL;
}
