/* The hub's REST interface: how many users there are, and of each server since when, how long unused, and is it ready.
 *
 * Only users with a server are read, in pages: of 10,000 users who have signed in once, some hundreds are there. A hub
 * that takes long for that is asked less often. */
#include "exporter/source_hub.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/api.h"
#include "exporter/source.h"
#include "exporter/source_list.h"

#define PAGE         200 /* the most that a hub gives */
#define PAGINATION   "application/jupyterhub-pagination+json"
#define HUB_SHARE    20 /* the hub, which does one thing at a time, is busy with us for one 20th of its time at most */
#define PAUSE_MAX_MS 60000 /* but figures are never older than that */
#define NAME_MOST    100   /* bytes of an environment's name: it is whatever its user has said */

struct state {
        void *api;     /* of api_begin */
        int64_t again; /* monotonic: until then what was read last is good */
        double users;
};

static const struct family STARTED = {.name = "caas_server_started_timestamp_seconds",
        .help = "When a user's server was started.",
        .unit = "seconds",
        .labels = "user,server"};
static const struct family ACTIVITY = {.name = "caas_server_last_activity_timestamp_seconds",
        .help = "When a user's server was last used.",
        .unit = "seconds",
        .labels = "user,server"};
static const struct family READY = {.name = "caas_server_ready",
        .help = "Whether a user's server can be used: 0 while it starts or stops.",
        .labels = "user,server"};
static const struct family USERS = {.name = "caas_hub_users", .help = "Users that the hub knows."};
static const struct family SERVERS = {.name = "caas_hub_servers", .help = "Servers of users that run, start or stop."};
static const struct family *const FAMILIES[] = {&USERS, &SERVERS, &STARTED, &ACTIVITY, &READY, NULL};

/* What was read last, for this source and for pods.c. */
static pthread_mutex_t last_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct hub_servers last;

void hub_servers_clear(struct hub_servers *servers)
{
        for (size_t i = 0; i < servers->count; i++) {
                free(servers->item[i].user);
                free(servers->item[i].name);
                free(servers->item[i].environment);
        }
        free(servers->item);
        *servers = (struct hub_servers){0};
}

static void add_server(struct hub_servers *servers, const char *user, const char *name, const json_t *model)
{
        const json_t *options = json_object_get(model, "user_options");
        const char *environment = json_string_value(json_object_get(options, "environment"));
        struct hub_server server = {.user = str_copy(user),
                .name = str_copy(name),
                .environment = environment && strlen(environment) <= NAME_MOST ? str_copy(environment) : NULL,
                .ready = json_is_true(json_object_get(model, "ready"))};
        api_time(json_object_get(model, "started"), &server.started);
        api_time(json_object_get(model, "last_activity"), &server.last_activity);
        MEM_GROW(servers->item, servers->count, servers->capacity);
        servers->item[servers->count++] = server;
}

int hub_read_page(
        const json_t *page, struct hub_servers *servers, size_t *ret_next, double *ret_total, struct err **err)
{
        const json_t *items = json_object_get(page, "items"), *pagination = json_object_get(page, "_pagination");
        double total;
        if (!json_is_array(items) || !api_number(pagination, "total", &total))
                return err_set(err, ERR_INVALID, "the hub's answer is no page of users");
        size_t i;
        json_t *user;
        json_array_foreach (items, i, user) {
                const char *name = json_string_value(json_object_get(user, "name")), *server_name;
                json_t *server;
                if (!name)
                        continue;
                json_object_foreach (json_object_get(user, "servers"), server_name, server)
                        if (json_is_object(server))
                                add_server(servers, name, server_name, server);
        }
        double next = 0;
        api_number(json_object_get(pagination, "next"), "offset", &next);
        if (ret_next)
                *ret_next = next < 1e9 ? (size_t)next : 0;
        if (ret_total)
                *ret_total = total;
        return 0;
}

static int by_name(const void *a, const void *b)
{
        const struct hub_server *one = a, *other = b;
        int r = strcmp(one->user, other->user);
        return r ? r : strcmp(one->name, other->name);
}

void hub_servers_sort(struct hub_servers *servers)
{
        if (servers->count == 0)
                return;
        qsort(servers->item, servers->count, sizeof *servers->item, by_name);
        size_t kept = 1;
        for (size_t i = 1; i < servers->count; i++) {
                struct hub_server *server = &servers->item[i];
                if (by_name(&servers->item[kept - 1], server) != 0) {
                        servers->item[kept++] = *server;
                        continue;
                }
                free(server->user);
                free(server->name);
                free(server->environment);
        }
        servers->count = kept;
}

void hub_add_servers(const struct hub_servers *servers, struct sample_sink *sink)
{
        sink_add(sink, &SERVERS, (double)servers->count, NULL);
        for (size_t i = 0; i < servers->count; i++) {
                const struct hub_server *server = &servers->item[i];
                const char *const labels[] = {"user", server->user, "server", server->name, NULL};
                if (server->started > 0)
                        sink_add(sink, &STARTED, server->started, labels);
                if (server->last_activity > 0)
                        sink_add(sink, &ACTIVITY, server->last_activity, labels);
                sink_add(sink, &READY, server->ready, labels);
        }
}

void hub_servers_last(struct hub_servers *ret)
{
        struct hub_servers copy = {0};
        pthread_mutex_lock(&last_mutex);
        copy.item = mem_zero_array(last.count + 1, sizeof *copy.item);
        copy.count = last.count;
        copy.capacity = last.count + 1;
        for (size_t i = 0; i < last.count; i++) {
                const struct hub_server *from = &last.item[i];
                copy.item[i] = *from;
                copy.item[i].user = str_copy(from->user);
                copy.item[i].name = str_copy(from->name);
                copy.item[i].environment = from->environment ? str_copy(from->environment) : NULL;
        }
        pthread_mutex_unlock(&last_mutex);
        *ret = copy;
}

/* Takes over what *servers holds, and leaves it empty. */
static void publish(struct hub_servers *servers)
{
        pthread_mutex_lock(&last_mutex);
        struct hub_servers old = last;
        last = *servers;
        pthread_mutex_unlock(&last_mutex);
        *servers = (struct hub_servers){0};
        hub_servers_clear(&old);
}

static bool wanted(const struct config *config)
{
        return config->hub.api != NULL;
}

static int count_users(struct api *api, double *ret, struct err **err)
{
        CLEANUP_HUB_SERVERS struct hub_servers ignored = {0};
        json_auto_t *page = NULL;
        int r = api_get(api, "users?limit=1", PAGINATION, &page, err);
        return r < 0 ? r : hub_read_page(page, &ignored, NULL, ret, err);
}

static int read_servers(struct api *api, struct hub_servers *servers, struct err **err)
{
        for (size_t offset = 0;;) {
                CLEANUP_FREE char *path = str_format("users?state=active&limit=%d&offset=%zu", PAGE, offset);
                json_auto_t *page = NULL;
                size_t next = 0;
                int r = api_get(api, path, PAGINATION, &page, err);
                if (r == 0)
                        r = hub_read_page(page, servers, &next, NULL, err);
                if (r < 0)
                        return r;
                if (next <= offset || servers->count >= SINK_SAMPLES_MAX)
                        return 0;
                offset = next;
        }
}

/* Leaves in *state what the hub says now. */
static int read_all(const struct config *config, struct state *state, struct err **err)
{
        struct clock *clock = clock_system();
        CLEANUP_HUB_SERVERS struct hub_servers servers = {0};
        struct api api = api_begin(config, &config->hub, "the hub", &state->api);
        int64_t began = clock->monotonic_ms(clock);
        int r = count_users(&api, &state->users, err);
        if (r == 0)
                r = read_servers(&api, &servers, err);
        if (r < 0)
                return r;
        hub_servers_sort(&servers);
        int64_t now = clock->monotonic_ms(clock), pause = (now - began) * (HUB_SHARE - 1);
        state->again = now + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
        publish(&servers);
        return 0;
}

static int refresh(const struct config *config, void **data, struct sample_sink *sink, struct err **err)
{
        struct clock *clock = clock_system();
        if (!*data)
                *data = mem_zero(sizeof(struct state));
        struct state *state = *data;
        if (clock->monotonic_ms(clock) >= state->again) {
                int r = read_all(config, state, err);
                if (r < 0)
                        return r;
        }
        CLEANUP_HUB_SERVERS struct hub_servers servers = {0};
        hub_servers_last(&servers);
        sink_add(sink, &USERS, state->users, NULL);
        hub_add_servers(&servers, sink);
        return 0;
}

static void done(void *data)
{
        struct state *state = data;
        if (state)
                api_done(state->api);
        free(state);
}

const struct source source_hub = {
        .name = "hub", .families = FAMILIES, .wanted = wanted, .refresh = refresh, .done = done};
