/* Of a host: is there a cluster of the same name in another state folder? Both would use the same units, control groups
 * and accounts, and to destroy one would end the servers of the other's users. Every cluster has accounts, with its
 * name in their comment and a home below its folder (kind/host_account.c). */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access/whose.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

#define ENTRY_BYTES 4096

/* The state folder of an account's cluster, if that is of this name and still there. The caller frees; NULL = none. */
static char *state_of(const struct passwd *entry, const char *cluster)
{
        CLEANUP_FREE char *mark = str_format("caas %s ", cluster), *part = str_format("/clusters/%s/", cluster);
        char *at = str_starts(entry->pw_gecos, mark) ? strstr(entry->pw_dir, part) : NULL;
        if (!at)
                return NULL;
        CLEANUP_FREE char *folder = str_copy_n(entry->pw_dir, (size_t)(at - entry->pw_dir) + strlen(part));
        return file_exists(folder) ? str_copy_n(entry->pw_dir, (size_t)(at - entry->pw_dir)) : NULL;
}

static bool same_folder(const char *a, const char *b)
{
        CLEANUP_FREE char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
        return str_is(real_a ? real_a : a, real_b ? real_b : b);
}

int whose_host_name(const char *passwd, const char *state_dir, const char *cluster, struct err **err)
{
        FILE *file = fopen(passwd, "re");
        char buffer[ENTRY_BYTES];
        struct passwd entry, *found;
        int r = 0;
        while (file && r == 0 && fgetpwent_r(file, &entry, buffer, sizeof buffer, &found) == 0) {
                CLEANUP_FREE char *state = state_of(&entry, cluster);
                if (state && !same_folder(state, state_dir))
                        r = err_set(err, ERR_REFUSED,
                                "a cluster %s is on this machine already, in the state folder %s: choose another name, "
                                "or give --state %s if that one is meant; nothing was touched",
                                cluster, state, state);
        }
        if (file)
                fclose(file);
        return r;
}
