/* The directory: does it answer, how fast, and who is in the cluster's two groups. One search a refresh, over a
 * connection that is kept.
 *
 * A directory that is away is a figure (caas_directory_up 0), not a failure of the source; the memberships that were
 * read last stay until they are as old as those of a source that fails. */
#include "exporter/source_directory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/directory.h"
#include "client/ldap/escape.h"
#include "exporter/source.h"
#include "exporter/source_list.h"

#define ENTRIES_MAX 16 /* a directory with many groups of these two names is not ours */

static const struct family UP = {
        .name = "caas_directory_up", .help = "Whether the directory lets the exporter in and answers its search."};
static const struct family DURATION = {.name = "caas_directory_search_duration_seconds",
        .help = "How long the last search took that was answered, connecting not included.",
        .unit = "seconds"};
static const struct family MEMBERS = {
        .name = "caas_group_members", .help = "Users who are directly in a group.", .labels = "group"};
static const struct family MEMBER = {
        .name = "caas_user_group_info", .help = "Who is in which group: users or admins.", .labels = "user,group"};
/* As jupyterhub-groups-exporter says it. A user's folder has the user's name, so nothing is escaped. */
static const struct family GROUP_INFO = {.name = "jupyterhub_user_group_info",
        .help = "Who is in which group, by the group's full name.",
        .labels = "namespace,usergroup,username,username_escaped,username_safe"};
static const struct family *const FAMILIES[] = {&UP, &DURATION, &MEMBERS, &MEMBER, &GROUP_INFO, NULL};

struct state {
        struct directory *directory; /* NULL: not connected */
        json_t *entries;             /* of the last search that was answered; NULL: none, or too old */
        double seconds;
        int failures; /* in a row */
};

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The name as the hub has it, in lower case; NULL: that is no user. The caller frees. */
static char *user_of(const char *dn)
{
        CLEANUP_FREE char *name = dn ? escape_first_value(dn, "uid") : NULL;
        if (!name || !str_user_name(name))
                return NULL;
        for (char *c = name; *c; c++)
                if (*c >= 'A' && *c <= 'Z')
                        *c = (char)(*c - 'A' + 'a');
        return STEAL(name);
}

static void add_group(
        const struct config *config, const json_t *entry, const char *group, const char *full, struct sample_sink *sink)
{
        const json_t *members = directory_values(entry, "member");
        char **names = mem_zero_array(json_array_size(members) + 1, sizeof *names);
        size_t count = 0, different = 0, i;
        json_t *dn;
        json_array_foreach (members, i, dn) {
                names[count] = user_of(json_string_value(dn));
                count += names[count] != NULL;
        }
        qsort(names, count, sizeof *names, compare);
        for (i = 0; i < count; i++) {
                if (i > 0 && str_is(names[i], names[i - 1]))
                        continue;
                different++;
                sink_add(sink, &MEMBER, 1, (const char *const[]){"user", names[i], "group", group, NULL});
                sink_add(sink, &GROUP_INFO, 1,
                        (const char *const[]){"namespace", config->namespace_, "usergroup", full, "username", names[i],
                                "username_escaped", names[i], "username_safe", names[i], NULL});
        }
        sink_add(sink, &MEMBERS, (double)different, (const char *const[]){"group", group, NULL});
        for (i = 0; i < count; i++)
                free(names[i]);
        free(names);
}

static const json_t *find(const json_t *entries, const char *name)
{
        size_t i;
        json_t *entry;
        json_array_foreach (entries, i, entry) {
                const char *cn = directory_value(entry, "cn");
                if (cn && strcasecmp(cn, name) == 0)
                        return entry;
        }
        return NULL;
}

void directory_add_groups(const struct config *config, const json_t *entries, struct sample_sink *sink)
{
        const char *users = config->directory.users_group, *admins = config->directory.admins_group;
        const json_t *entry = users ? find(entries, users) : NULL;
        if (entry)
                add_group(config, entry, "users", users, sink);
        entry = admins && !str_is(users, admins) ? find(entries, admins) : NULL;
        if (entry)
                add_group(config, entry, "admins", admins, sink);
}

static char *group_filter(const struct config_directory *where)
{
        CLEANUP_FREE char *users = escape_filter_value(where->users_group ? where->users_group : "");
        CLEANUP_FREE char *admins = escape_filter_value(where->admins_group ? where->admins_group : "");
        return str_format("(|(cn=%s)(cn=%s))", users, admins);
}

static int search(const struct config *config, struct state *state, struct err **err)
{
        static const char *const attributes[] = {"cn", "member", NULL};
        const struct config_directory *where = &config->directory;
        CLEANUP_FREE char *filter = group_filter(where);
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        json_t *entries = NULL;
        int r = directory_search(state->directory, where->groups_base, DIRECTORY_ONE, filter, attributes, ENTRIES_MAX,
                &entries, NULL, err);
        clock_gettime(CLOCK_MONOTONIC, &after);
        if (r < 0)
                return r;
        json_decref(state->entries);
        state->entries = entries;
        state->seconds = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
        return 0;
}

static int connect_and_search(const struct config *config, struct state *state, struct err **err)
{
        const struct config_directory *where = &config->directory;
        struct directory_options options = {.uri = where->uri,
                .ca = where->ca,
                .bind_dn = where->bind_dn,
                .password = where->bind_password,
                .connect_ms = config->timeout_ms / 4,
                .operation_ms = config->timeout_ms / 4};
        if (state->directory) {
                if (search(config, state, NULL) == 0)
                        return 0;
                /* servers end connections that they find idle: that is no failure yet */
                state->directory = directory_close(state->directory);
        }
        int r = directory_open(&options, &state->directory, err);
        if (r == 0)
                r = search(config, state, err);
        if (r < 0)
                state->directory = directory_close(state->directory);
        return r;
}

static bool wanted(const struct config *config)
{
        return config->directory.uri && config->directory.groups_base;
}

static int refresh(const struct config *config, void **data, struct sample_sink *sink, struct err **err)
{
        (void)err; /* the directory being away is an answer */
        if (!*data)
                *data = mem_zero(sizeof(struct state));
        struct state *state = *data;
        CLEANUP_ERR struct err *problem = NULL;
        bool up = connect_and_search(config, state, &problem) == 0;
        state->failures = up ? 0 : state->failures + 1;
        if (!up)
                log_trace("exporter", "directory: %s", problem->message);
        if (state->failures > SOURCE_STALE) {
                json_decref(state->entries);
                state->entries = NULL;
        }
        sink_add(sink, &UP, up, NULL);
        if (up)
                sink_add(sink, &DURATION, state->seconds, NULL);
        if (state->entries)
                directory_add_groups(config, state->entries, sink);
        return 0;
}

static void done(void *data)
{
        struct state *state = data;
        if (!state)
                return;
        directory_close(state->directory);
        json_decref(state->entries);
        free(state);
}

const struct source source_directory = {
        .name = "directory", .families = FAMILIES, .wanted = wanted, .refresh = refresh, .done = done};
