/* Who has which uid: the hub's list of everybody who ever signed in. */
#ifndef CAAS_EXPORTER_ACCOUNTS_H
#define CAAS_EXPORTER_ACCOUNTS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct account {
        char *user;
        uid_t uid;
};

struct accounts {
        struct account *item; /* by uid */
        size_t count, capacity;
};
void accounts_clear(struct accounts *accounts);
#define CLEANUP_ACCOUNTS __attribute__((cleanup(accounts_clear)))

/* {"alice": {"uid": 60001, …}, …}; what is not of that form is left out. -ERR_INVALID: no JSON. */
int accounts_parse(const char *text, size_t length, struct accounts *ret, struct err **err);

/* path NULL, or not there yet: nobody. */
int accounts_load(const char *path, struct accounts *ret, struct err **err);

/* NULL: nobody has it. */
const char *accounts_user(const struct accounts *accounts, uid_t uid);

#endif
