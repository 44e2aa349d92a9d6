/* The directory: does it answer, how fast, and who is in the cluster's two groups. One search a refresh, in pages, over
 * a connection that is kept.
 *
 * Who is in a group through other groups is in it as well: the server writes that into memberOf, which is what the hub
 * lets people in by. It is read of the users, so that no group, however large, is ever read.
 *
 * A directory that is away is a figure (caas_directory_up 0), not a failure of the source; the memberships that were
 * read last stay until they are as old as those of a source that fails. */
#include "exporter/source_directory.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/ldap/directory.h"
#include "client/ldap/escape.h"
#include "exporter/source.h"
#include "exporter/source_list.h"

#define GROUPS      2      /* users, admins */
#define MEMBERS_MAX 100000 /* whose names are kept; of more the exporter would not speak anyway */

static const struct family UP = {
        .name = "caas_directory_up", .help = "Whether the directory lets the exporter in and answers its search."};
static const struct family DURATION = {.name = "caas_directory_search_duration_seconds",
        .help = "How long the last search took that was answered, connecting not included.",
        .unit = "seconds"};
static const struct family MEMBERS = {.name = "caas_group_members",
        .help = "Users who are in a group, directly or through other groups.",
        .labels = "group"};
static const struct family MEMBER = {
        .name = "caas_user_group_info", .help = "Who is in which group: users or admins.", .labels = "user,group"};
/* As jupyterhub-groups-exporter says it. A user's folder has the user's name, so nothing is escaped. */
static const struct family GROUP_INFO = {.name = "jupyterhub_user_group_info",
        .help = "Who is in which group, by the group's full name.",
        .labels = "namespace,usergroup,username,username_escaped,username_safe"};
static const struct family *const FAMILIES[] = {&UP, &DURATION, &MEMBERS, &MEMBER, &GROUP_INFO, NULL};

struct member {
        char *name;
        bool in[GROUPS];
};

struct members {
        struct member *item;
        size_t count, capacity;
        char *group[GROUPS];      /* their DNs; NULL: there is no such group */
        const char *name[GROUPS]; /* of the configuration */
        int64_t until;            /* monotonic: reading them ends here */
        bool late;
};

struct state {
        struct directory *directory; /* NULL: not connected */
        struct members *members;     /* of the last search that was answered; NULL: none, or too old */
        double seconds;
        int failures; /* in a row */
};

static int64_t now(void)
{
        struct clock *clock = clock_system();
        return clock->monotonic_ms(clock);
}

struct members *members_new(const struct config_directory *where, int64_t until)
{
        const char *const names[GROUPS] = {where->users_group, where->admins_group};
        struct members *members = mem_zero(sizeof *members);
        members->until = until;
        for (size_t g = 0; g < GROUPS; g++) {
                members->name[g] = names[g];
                members->group[g] = names[g] ? escape_dn("cn", names[g], where->groups_base) : NULL;
        }
        return members;
}

struct members *members_free(struct members *members)
{
        if (!members)
                return NULL;
        for (size_t i = 0; i < members->count; i++)
                free(members->item[i].name);
        for (size_t g = 0; g < GROUPS; g++)
                free(members->group[g]);
        free(members->item);
        free(members);
        return NULL;
}

static void members_cleanup(struct members **members)
{
        members_free(*members);
}

/* The name as the hub has it, in lower case: that of the DN if it begins with one, otherwise the first. NULL: that is
 * no user. The caller frees. */
static char *user_of(const json_t *entry)
{
        const char *dn = directory_dn(entry), *first = directory_value(entry, "uid");
        CLEANUP_FREE char *name = dn ? escape_first_value(dn, "uid") : NULL;
        if (!name && first)
                name = str_copy(first);
        if (!name || !str_user_name(name))
                return NULL;
        for (char *c = name; *c; c++)
                if (*c >= 'A' && *c <= 'Z')
                        *c = (char)(*c - 'A' + 'a');
        return STEAL(name);
}

/* Taking DNs apart costs, and a user may be in hundreds of groups: only what could be the group is looked at closely.
 */
static bool is_group(const char *value, const char *dn, const char *name)
{
        return value && (strcasecmp(value, dn) == 0 || (strcasestr(value, name) && escape_same_dn(value, dn)));
}

bool members_add(void *data, const json_t *entry)
{
        struct members *members = data;
        const json_t *groups = directory_values(entry, "memberof");
        struct member member = {0};
        size_t i;
        json_t *dn;
        members->late = now() > members->until;
        if (members->late)
                return false;
        json_array_foreach (groups, i, dn)
                for (size_t g = 0; g < GROUPS; g++)
                        member.in[g] = member.in[g] ||
                                       (members->group[g] &&
                                               is_group(json_string_value(dn), members->group[g], members->name[g]));
        if ((member.in[0] || member.in[1]) && members->count < MEMBERS_MAX)
                member.name = user_of(entry);
        if (member.name) {
                MEM_GROW(members->item, members->count, members->capacity);
                members->item[members->count++] = member;
        }
        return true;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

/* Two entries may have one name, which is one user to the hub. */
static void join(struct members *members)
{
        size_t kept = 0;
        if (members->count)
                qsort(members->item, members->count, sizeof *members->item, by_name);
        for (size_t i = 0; i < members->count; i++) {
                struct member *one = &members->item[i], *last = kept ? &members->item[kept - 1] : NULL;
                if (!last || by_name(last, one) != 0) {
                        members->item[kept++] = *one;
                        continue;
                }
                for (size_t g = 0; g < GROUPS; g++)
                        last->in[g] = last->in[g] || one->in[g];
                free(one->name);
        }
        members->count = kept;
}

void members_write(const struct config *config, struct members *members, struct sample_sink *sink)
{
        static const char *const short_names[GROUPS] = {"users", "admins"};
        join(members);
        for (size_t g = 0; g < GROUPS; g++) {
                size_t count = 0;
                if (!members->group[g])
                        continue;
                for (size_t i = 0; i < members->count; i++) {
                        const char *user = members->item[i].name;
                        if (!members->item[i].in[g])
                                continue;
                        count++;
                        sink_add(sink, &MEMBER, 1, (const char *const[]){"user", user, "group", short_names[g], NULL});
                        sink_add(sink, &GROUP_INFO, 1,
                                (const char *const[]){"namespace", config->namespace_, "usergroup", members->name[g],
                                        "username", user, "username_escaped", user, "username_safe", user, NULL});
                }
                sink_add(sink, &MEMBERS, (double)count, (const char *const[]){"group", short_names[g], NULL});
        }
}

/* (|(memberOf=…)(memberOf=…)) of users; NULL where there is no group. The caller frees. */
static char *member_filter(const struct members *members)
{
        CLEANUP_BUF struct buf buf = BUF_INIT(8192);
        bool any = false;
        buf_str(&buf, "(&(objectClass=person)(|");
        for (size_t g = 0; g < GROUPS; g++) {
                if (!members->group[g])
                        continue;
                CLEANUP_FREE char *value = escape_filter_value(members->group[g]);
                buf_format(&buf, "(memberOf=%s)", value);
                any = true;
        }
        buf_str(&buf, "))");
        return any ? buf_steal(&buf) : NULL;
}

/* end: of the refresh, monotonic. */
static int search(const struct config *config, struct state *state, int64_t end, struct err **err)
{
        static const char *const attributes[] = {"uid", "memberOf", NULL};
        const struct config_directory *where = &config->directory;
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        int64_t until = now() + config->timeout_ms / 2;
        __attribute__((cleanup(members_cleanup))) struct members *members =
                members_new(where, until < end ? until : end);
        CLEANUP_FREE char *filter = member_filter(members);
        int r = directory_each(
                state->directory, where->users_base, DIRECTORY_TREE, filter, attributes, members_add, members, err);
        if (r == 0 && members->late)
                r = err_set(err, ERR_TIMEOUT, "%s takes too long to say who is in the groups", where->uri);
        if (r < 0)
                return r;
        members_free(state->members);
        state->members = STEAL(members);
        clock_gettime(CLOCK_MONOTONIC, &after);
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
        int64_t end = now() + config->timeout_ms;
        if (state->directory) {
                CLEANUP_ERR struct err *fault = NULL;
                int r = search(config, state, end, &fault);
                if (r == 0)
                        return 0;
                state->directory = directory_close(state->directory);
                /* servers end connections that they find idle: that is no failure yet; one that is slow is not made
                 * faster by being asked the same again */
                if (r == -ERR_TIMEOUT) {
                        *err = STEAL(fault);
                        return r;
                }
        }
        int r = directory_open(&options, &state->directory, err);
        if (r == 0)
                r = search(config, state, end, err);
        if (r < 0)
                state->directory = directory_close(state->directory);
        return r;
}

static bool wanted(const struct config *config)
{
        return config->directory.uri && config->directory.users_base && config->directory.groups_base &&
               (config->directory.users_group || config->directory.admins_group);
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
        if (state->failures > SOURCE_STALE)
                state->members = members_free(state->members);
        sink_add(sink, &UP, up, NULL);
        if (up)
                sink_add(sink, &DURATION, state->seconds, NULL);
        if (state->members)
                members_write(config, state->members, sink);
        return 0;
}

static void done(void *data)
{
        struct state *state = data;
        if (!state)
                return;
        directory_close(state->directory);
        members_free(state->members);
        free(state);
}

const struct source source_directory = {
        .name = "directory", .families = FAMILIES, .wanted = wanted, .refresh = refresh, .done = done};
