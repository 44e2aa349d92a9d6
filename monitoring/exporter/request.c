#include "exporter/request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* One word of a list, without the white space around it; *at is moved behind it and its comma or semicolon. */
static size_t word(const char **at, char until, const char **ret)
{
        const char *begin = *at + strspn(*at, " \t"), *end = begin;
        while (*end && *end != ',' && *end != until)
                end++;
        *at = end;
        while (end > begin && isspace((unsigned char)end[-1]))
                end--;
        *ret = begin;
        return (size_t)(end - begin);
}

static bool is(const char *text, size_t length, const char *wanted)
{
        return length == strlen(wanted) && strncasecmp(text, wanted, length) == 0;
}

/* 0 to 1; what cannot be read counts as 0. */
static double weight(const char *text, size_t length)
{
        char number[8] = "";
        if (length == 0 || length >= sizeof number || strspn(text, "0123456789.") < length)
                return 0;
        memcpy(number, text, length);
        double value = strtod(number, NULL);
        return value <= 1 ? value : 0;
}

bool request_openmetrics(const char *accept)
{
        double openmetrics = 0, text = 0;
        for (const char *at = accept ? accept : ""; *at; at += *at == ',') {
                const char *type;
                size_t length = word(&at, ';', &type);
                bool known = true; /* version: we have one only */
                double q = 1;
                while (*at == ';') {
                        at++;
                        const char *parameter;
                        size_t n = word(&at, ';', &parameter);
                        if (n > 2 && strncasecmp(parameter, "q=", 2) == 0)
                                q = weight(parameter + 2, n - 2);
                        else if (n > 8 && strncasecmp(parameter, "version=", 8) == 0)
                                known = is(parameter + 8, n - 8, "1.0.0") || is(parameter + 8, n - 8, "0.0.1");
                }
                if (is(type, length, "application/openmetrics-text") && known && q > openmetrics)
                        openmetrics = q;
                else if ((is(type, length, "text/plain") || is(type, length, "text/*") || is(type, length, "*/*")) &&
                         q > text)
                        text = q;
        }
        return openmetrics > 0 && openmetrics >= text;
}

bool request_allowed(const char *authorization, const char *token)
{
        static const char scheme[] = "Bearer ";
        if (!authorization || strncasecmp(authorization, scheme, strlen(scheme)) != 0)
                return false;
        const char *given = authorization + strlen(scheme);
        given += strspn(given, " ");
        size_t length = strlen(token), given_length = strlen(given);
        volatile unsigned char different = length != given_length;
        for (size_t i = 0; i < given_length; i++)
                different |= (unsigned char)(given[i] ^ token[i % (length ? length : 1)]);
        return !different && length > 0;
}
