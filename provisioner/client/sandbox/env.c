/* The environment of a command in the sandbox. */
#include "client/sandbox/sandbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* Beginnings of names. A name that ends with "=" is meant as a whole. */
static const char *const DENIED[] = {
        /* what the loader and the C library would listen to */
        "LD_",
        "GLIBC_TUNABLES=",
        "GCONV_PATH=",
        "GETCONF_DIR=",
        "HOSTALIASES=",
        "LOCALDOMAIN=",
        "LOCPATH=",
        "MALLOC_TRACE=",
        "NIS_PATH=",
        "NLSPATH=",
        "RESOLV_HOST_CONF=",
        "RES_OPTIONS=",
        "TMPDIR=",
        "TZDIR=",
        /* what a shell would run first */
        "BASH_ENV=",
        "ENV=",
        "BASH_FUNC_",
        /* what means something only to the process that is asked to start us */
        "NOTIFY_SOCKET=",
        "LISTEN_",
        "JOURNAL_STREAM=",
        "INVOCATION_ID=",
        "WATCHDOG_",
        "XDG_RUNTIME_DIR=",
        "SUDO_",
        "DBUS_",
        "SSH_",
        "MAIL=",
        "OLDPWD=",
        "PWD=",
        "CREDENTIALS_DIRECTORY=",
        NULL,
};

bool sandbox_env_allowed(const char *entry)
{
        const char *equals = strchr(entry, '=');
        if (!equals || equals == entry)
                return false;
        for (const char *const *name = DENIED; *name; name++)
                if (str_starts(entry, *name))
                        return false;
        return true;
}

struct list {
        char **item;
        size_t count, capacity;
};

/* Takes entry; a later value of the same name replaces the earlier one. */
static void put(struct list *list, char *entry)
{
        size_t name = strcspn(entry, "=") + 1;
        for (size_t i = 0; i < list->count; i++)
                if (strncmp(list->item[i], entry, name) == 0) {
                        free(list->item[i]);
                        list->item[i] = entry;
                        return;
                }
        MEM_GROW(list->item, list->count, list->capacity);
        list->item[list->count++] = entry;
}

static bool has(const struct list *list, const char *name)
{
        for (size_t i = 0; i < list->count; i++)
                if (str_starts(list->item[i], name))
                        return true;
        return false;
}

char **sandbox_env(const char *const *inherited, const char *const *extra, const char *user)
{
        struct list list = {0};
        for (const char *const *entry = inherited; entry && *entry; entry++)
                if (sandbox_env_allowed(*entry))
                        put(&list, str_copy(*entry));
        for (const char *const *entry = extra; entry && *entry; entry++)
                if (sandbox_env_allowed(*entry))
                        put(&list, str_copy(*entry));
        put(&list, str_format("HOME=/home/%s", user));
        put(&list, str_format("USER=%s", user));
        put(&list, str_format("LOGNAME=%s", user));
        put(&list, str_copy("SHELL=/bin/bash"));
        if (!has(&list, "PATH="))
                put(&list, str_copy("PATH=/usr/local/bin:/usr/bin:/bin"));
        MEM_GROW(list.item, list.count, list.capacity);
        list.item[list.count] = NULL;
        return list.item;
}

char **sandbox_env_free(char **env)
{
        for (char **entry = env; entry && *entry; entry++)
                mem_wipe_free(*entry, strlen(*entry)); /* tokens stand in it */
        free(env);
        return NULL;
}
