/* Dask schedulers. On a host each serves its page of metrics on a socket in its owner's home and nowhere else
 * (caas_dask.py), so Prometheus cannot ask it; root can. On Kubernetes it serves who knows a secret of that cluster,
 * which the gateway tells. The page is its user's to make up, and so may the socket be: it is opened without following
 * any link, asked for a moment only, and nothing but known numbers is taken from it (dask.c). */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/dask.h"
#include "exporter/source.h"
#include "exporter/source_gateway.h"
#include "exporter/source_list.h"

#define ANSWER_MS 1000 /* a scheduler that computes nothing answers in 10 */
#define PAGE_MAX  (2UL * 1024 * 1024)

struct state {
        void *api;    /* of api_begin */
        json_t *mute; /* names of clusters whose scheduler did not answer in time: {name: true}; NULL: none */
};

/* On Kubernetes with the namespace before it. */
static bool cluster_name(const struct config *config, const char *name)
{
        const char *space = config->kubernetes.api ? config->kubernetes.namespace_ : NULL;
        if (name && space) {
                size_t length = strlen(space);
                if (strncmp(name, space, length) != 0 || name[length] != '.')
                        return false;
                name += length + 1;
        }
        return name && strlen(name) == 32 && strspn(name, "0123456789abcdef") == 32;
}

/* The socket as a descriptor that can be connected to and nothing else (O_PATH). */
static int open_socket(const char *mounts, const char *user, const char *cluster, struct err **err)
{
        CLEANUP_FREE char *path = str_format("%s/.local/share/dask-gateway/%s.sock", user, cluster);
        struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
        int folder = open(mounts, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return err_set_errno(err, errno, "cannot open %s", mounts);
        int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
        int problem = errno;
        close(folder);
        if (fd < 0)
                return err_set_errno(err, problem, "cannot open %s/%s", mounts, path);
        struct stat status;
        if (fstat(fd, &status) < 0 || !S_ISSOCK(status.st_mode)) {
                close(fd);
                return err_set(err, ERR_REFUSED, "%s/%s is no socket", mounts, path);
        }
        return fd;
}

static int ask(const struct config *config, const char *socket, struct http_request request, struct dask_figures *ret,
        struct err **err)
{
        CLEANUP_HTTP struct http_client *http =
                http_client_new(&(struct http_options){.cancel = config->cancel, .unix_socket = socket});
        CLEANUP_RESPONSE struct http_response response = {0};
        request.max_bytes = PAGE_MAX;
        int r = http_send(http, &request, &response, err);
        if (r == 0 && response.status != 200)
                r = err_set(err, ERR_FAILED, "status %ld", response.status);
        if (r == 0)
                dask_read(response.body, response.length, ret);
        return r;
}

static int ask_socket(const struct config *config, const char *user, const char *cluster, int timeout_ms,
        struct dask_figures *ret, struct err **err)
{
        int fd = open_socket(config->homes_mounts, user, cluster, err);
        if (fd < 0)
                return fd;
        CLEANUP_FREE char *path = str_format("/proc/self/fd/%d", fd);
        int r = ask(config, path, (struct http_request){.url = "http://localhost/metrics", .timeout_ms = timeout_ms},
                ret, err);
        close(fd);
        return r;
}

/* As the gateway says: {"url": …, "secret": …}, or null for one that is not known yet. */
static int ask_pod(
        const struct config *config, const json_t *metrics, int timeout_ms, struct dask_figures *ret, struct err **err)
{
        const char *url = json_string_value(json_object_get(metrics, "url"));
        const char *secret = json_string_value(json_object_get(metrics, "secret"));
        if (!url || !secret || !str_starts(url, "http://"))
                return err_set(err, ERR_NOT_FOUND, "the gateway does not say where its metrics are");
        CLEANUP_FREE char *header = str_format("X-Caas-Dashboard: %s", secret);
        return ask(config, NULL,
                (struct http_request){
                        .url = url, .headers = (const char *const[]){header, NULL}, .timeout_ms = timeout_ms},
                ret, err);
}

static int ask_scheduler(const struct config *config, const json_t *said, int timeout_ms, struct sample_sink *sink)
{
        const char *cluster = json_string_value(json_object_get(said, "name"));
        const char *user = json_string_value(json_object_get(said, "user"));
        struct dask_figures figures;
        int r = config->kubernetes.api ? ask_pod(config, json_object_get(said, "metrics"), timeout_ms, &figures, NULL)
                                       : ask_socket(config, user, cluster, timeout_ms, &figures, NULL);
        sink_add(sink, &DASK_UP, r == 0, (const char *const[]){"user", user, "dask_cluster", cluster, NULL});
        if (r == 0)
                dask_add(&figures, user, cluster, sink);
        return r;
}

/* One round over the clusters. Those whose schedulers did not answer in time before come in a second one, with what
 * time is left: whoever lets the exporter wait does so at the cost of their own figures. */
struct round {
        const struct config *config;
        const json_t *clusters, *mute_before;
        json_t *mute_now, *asked;
        int64_t until; /* monotonic */
};

static void go_round(struct round *round, bool mute, struct sample_sink *sink)
{
        struct clock *clock = clock_system();
        size_t i;
        json_t *cluster;
        json_array_foreach (round->clusters, i, cluster) {
                const char *name = json_string_value(json_object_get(cluster, "name"));
                const char *user = json_string_value(json_object_get(cluster, "user"));
                if (!cluster_name(round->config, name) || !str_user_name(user) || json_object_get(round->asked, name) ||
                        (json_object_get(round->mute_before, name) != NULL) != mute)
                        continue;
                json_object_set_new(round->asked, name, json_true());
                int64_t left = round->until - clock->monotonic_ms(clock);
                int r = mute ? -ERR_TIMEOUT : 0;
                if (left > 0 && cancel_level(round->config->cancel) == 0)
                        r = ask_scheduler(round->config, cluster, left < ANSWER_MS ? (int)left : ANSWER_MS, sink);
                if (r == -ERR_TIMEOUT)
                        json_object_set_new(round->mute_now, name, json_true());
        }
}

static bool wanted(const struct config *config)
{
        return config->gateway.api && (config->homes_mounts || config->kubernetes.api);
}

static int refresh(const struct config *config, void **data, struct sample_sink *sink, struct err **err)
{
        if (!*data)
                *data = mem_zero(sizeof(struct state));
        struct state *state = *data;
        struct api api = api_begin(config, &config->gateway, "the gateway", &state->api);
        json_auto_t *answer = NULL;
        int r = gateway_ask(&api, &answer, err);
        if (r < 0)
                return r;
        struct round round = {.config = config,
                .clusters = json_object_get(answer, "clusters"),
                .mute_before = state->mute,
                .mute_now = json_object(),
                .asked = json_object(),
                .until = api.until};
        go_round(&round, false, sink);
        go_round(&round, true, sink);
        json_decref(round.asked);
        json_decref(state->mute);
        state->mute = round.mute_now;
        return 0;
}

static void done(void *data)
{
        struct state *state = data;
        if (!state)
                return;
        api_done(state->api);
        json_decref(state->mute);
        free(state);
}

const struct source source_dask = {
        .name = "dask", .families = DASK_FAMILIES, .wanted = wanted, .refresh = refresh, .done = done};
