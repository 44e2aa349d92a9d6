/* Kubernetes' API server: pods, claims and services of our namespace, and the nodes, under the names of
 * kube-state-metrics.
 *
 * Lists are read in small pages, so that no more than one of them is held at a time. An API server that takes long for
 * them is asked less often. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/kube/kube.h"
#include "exporter/kube_read.h"
#include "exporter/source.h"
#include "exporter/source_list.h"

#define PAGE         100
#define PODS_MAX     20000 /* a metric has no more series */
#define SHARE        20    /* the API server is busy with us for one 20th of its time at most */
#define PAUSE_MAX_MS 45000 /* but figures are never older than that and a refresh */

struct state {
        struct kube *kube; /* NULL: to be opened */
        int64_t again;     /* monotonic: until then what was read last is good */
};

struct work {
        const struct config *config;
        struct kube *kube;
        int64_t until; /* monotonic */
        struct kube_reading reading;
        void (*read)(struct kube_reading *reading, const json_t *object);
        size_t count;
};

static int64_t now_ms(void)
{
        return clock_system()->monotonic_ms(clock_system());
}

static int each(void *data, const json_t *object)
{
        struct work *work = data;
        work->read(&work->reading, object);
        if (cancel_level(work->config->cancel))
                return -ERR_CANCELLED;
        if (now_ms() > work->until)
                return -ERR_TIMEOUT;
        return ++work->count > PODS_MAX;
}

static int list(struct work *work, const char *kind, const char *namespace,
        void (*read)(struct kube_reading *reading, const json_t *object), struct err **err)
{
        CLEANUP_ERR struct err *why = NULL;
        const struct kube_list wanted = {.api_version = "v1", .kind = kind, .namespace = namespace, .page = PAGE};
        work->read = read;
        work->count = 0;
        int r = now_ms() > work->until ? -ERR_TIMEOUT : kube_list(work->kube, &wanted, each, work, NULL, &why);
        if (r == 0)
                return 0;
        if (why && err)
                *err = STEAL(why);
        else if (!why)
                err_set(err, (enum err_code) - r, "list %s: %s", kind,
                        r == -ERR_CANCELLED ? "cancelled" : "the API server takes too long for one refresh");
        return r;
}

static int read_all(struct work *work, struct err **err)
{
        const struct config_kubernetes *k = &work->config->kubernetes;
        int r = list(work, "Pod", k->namespace_, kube_read_pod, err);
        if (r == 0)
                r = list(work, "PersistentVolumeClaim", k->namespace_, kube_read_claim, err);
        if (r == 0)
                r = list(work, "Service", k->namespace_, kube_read_service, err);
        if (r == 0 && k->nodes)
                r = list(work, "Node", NULL, kube_read_node, err);
        return r;
}

static bool wanted(const struct config *config)
{
        return config->kubernetes.api != NULL;
}

static int refresh(const struct config *config, void **data, struct sample_sink *sink, struct err **err)
{
        struct state *state = *data ? *data : (*data = mem_zero(sizeof *state));
        int64_t began = now_ms();
        if (began < state->again)
                return SOURCE_SAME;
        CLEANUP_KUBE_VIEW struct kube_view *view = kube_view_new();
        int r = state->kube ? 0 : kube_read_open(config, &state->kube, err);
        if (r < 0)
                return r;
        /* a third of the time is left for the request that is on its way when it is over */
        struct work work = {.config = config,
                .kube = state->kube,
                .until = began + config->timeout_ms * 2 / 3,
                .reading = {.namespace_ = config->kubernetes.namespace_, .view = view, .sink = sink}};
        r = read_all(&work, err);
        kube_read_end(&work.reading);
        if (r < 0) {
                state->kube = kube_close(state->kube); /* the next one reads its files again */
                return r;
        }
        kube_view_sort(view);
        kube_view_publish(STEAL(view));
        int64_t now = now_ms(), pause = (now - began) * (SHARE - 1);
        state->again = now + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
        return 0;
}

static void done(void *data)
{
        struct state *state = data;
        if (state)
                kube_close(state->kube);
        free(state);
}

const struct source source_kube = {"kube", KUBE_FAMILIES, wanted, refresh, done};
