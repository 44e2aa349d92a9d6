#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char wanted[256]; /* ",all,-ldap," */

void log_configure(const char *components)
{
        pthread_mutex_lock(&lock);
        wanted[0] = '\0';
        if (components && *components)
                snprintf(wanted, sizeof wanted, ",%s,", components);
        pthread_mutex_unlock(&lock);
}

static bool listed(const char *prefix, const char *component)
{
        char word[64];
        snprintf(word, sizeof word, ",%s%s,", prefix, component);
        return strstr(wanted, word) != NULL;
}

bool log_enabled(const char *component)
{
        pthread_mutex_lock(&lock);
        bool yes = wanted[0] && !listed("-", component) && (listed("", "all") || listed("", component));
        pthread_mutex_unlock(&lock);
        return yes;
}

void log_trace(const char *component, const char *format, ...)
{
        if (!log_enabled(component))
                return;
        va_list ap;
        va_start(ap, format);
        CLEANUP_FREE char *text = str_vformat(format, ap);
        va_end(ap);
        struct clock *clock = clock_system();
        fprintf(stderr, "%lld.%03d %s: %s\n", (long long)(clock->monotonic_ms(clock) / 1000),
                (int)(clock->monotonic_ms(clock) % 1000), component, text);
}
