/* The kubelets of the nodes that have pods of ours: what containers use, and volumes. And from that what each user
 * uses, under the names that it has on a host. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/families.h"
#include "exporter/kubelet_nodes.h"
#include "exporter/source_list.h"
#include "exporter/totals.h"

#define VIEW_MS       3000 /* at the start: so long the API server's answer is waited for */
#define LOOK_MS       100
#define SHARED_VOLUME 2 /* a volume so many times the size of its claim is no user's own */

static const struct family UP = {
        .name = "caas_kubelet_up", .help = "Whether the kubelet of a node answers.", .labels = "source,node"};
static const struct family *const FAMILIES[] = {&UP, &TOTAL_CPU, &TOTAL_MEMORY, &TOTAL_LIMIT, &TOTAL_OOM,
        &TOTAL_PROCESSES, &CONTAINER_CPU, &CONTAINER_WORKING_SET, &CONTAINER_RSS, &CONTAINER_OOM, &CONTAINER_LIMIT,
        &HOME_USED, &VOLUME_USED, &VOLUME_CAPACITY, &VOLUME_AVAILABLE, NULL};

struct state {
        struct kubelet_nodes nodes;
        struct totals totals;
        double began;   /* when the exporter began to look, in seconds since 1970 */
        json_t *homes;  /* by claim: bytes, as seen when the home was last in use */
        json_t *killed; /* by name: containers whose end has been counted; NULL: none was looked at yet */
};

/* ---- what is said of it ---- */

static void add_value(struct sample_sink *sink, const struct family *family, double value, const char *const labels[])
{
        if (isfinite(value))
                sink_add(sink, family, value, labels);
}

static void add_container(const struct config *config, const struct kubelet_node *node, const struct view_pod *pod,
        const struct kubelet_container *of, struct sample_sink *sink)
{
        const char *purpose = pod ? pod->purpose : NULL, *const space = config->kubernetes.namespace_;
        bool user = str_is(purpose, "user");
        const char *const labels[] = {"namespace", space, "pod", of->pod, "container", of->container, "node",
                node->name, "name", of->name, NULL};
        const char *const purposes[] = {"namespace", space, "pod", of->pod, "container", of->container, "node",
                node->name, "name", of->name, "hub_jupyter_org_node_purpose", user ? purpose : NULL,
                "k8s_dask_org_node_purpose", user ? NULL : purpose, NULL};
        add_value(sink, &CONTAINER_CPU, of->value[KUBELET_CPU], labels);
        add_value(sink, &CONTAINER_WORKING_SET, of->value[KUBELET_WORKING_SET], purposes);
        add_value(sink, &CONTAINER_RSS, of->value[KUBELET_RSS], labels);
        add_value(sink, &CONTAINER_OOM, of->value[KUBELET_OOM], labels);
        if (of->value[KUBELET_LIMIT] > 0)
                add_value(sink, &CONTAINER_LIMIT, of->value[KUBELET_LIMIT], labels);
}

static double or_zero(double value)
{
        return isfinite(value) ? value : 0;
}

/* How much more it is than what was counted of it, which it becomes. What ran before the exporter is not counted. */
static double take_rise(double value, double *counted, bool ours)
{
        if (!isfinite(value))
                return 0;
        double before = isfinite(*counted) ? *counted : ours ? 0 : value;
        *counted = value;
        return value - before;
}

static void count(struct state *state, const struct view_pod *pod, struct kubelet_container *of)
{
        bool ours = pod->created >= state->began;
        const struct total_part part = {.cpu_seconds = take_rise(of->value[KUBELET_CPU], &of->counted_cpu, ours),
                .oom_kills = take_rise(of->value[KUBELET_OOM], &of->counted_kills, ours),
                .memory = or_zero(of->value[KUBELET_WORKING_SET]),
                .limit = or_zero(of->value[KUBELET_LIMIT]),
                .processes = isfinite(of->value[KUBELET_THREADS]) ? of->value[KUBELET_THREADS] : -1};
        totals_count(&state->totals, pod->user, pod->kind, &part);
}

/* Has its kubelet counted a kill in this container? */
static bool kill_seen(const struct kubelet_nodes *nodes, const char *name)
{
        for (size_t i = 0; i < nodes->count; i++)
                for (size_t n = 0; n < nodes->item[i].containers.containers; n++) {
                        const struct kubelet_container *container = &nodes->item[i].containers.container[n];
                        if (str_is(container->name, name))
                                return container->value[KUBELET_OOM] > 0 || container->counted_kills > 0;
                }
        return false;
}

/* A container that was ended as a whole, as control groups v2 do it, is no longer there when its kubelet could say so:
 * the API server knows. */
static void count_killed(struct state *state, const struct kube_view *view)
{
        json_t *now = json_object();
        for (size_t i = 0; i < view->kills; i++) {
                const struct view_kill *kill = &view->kill[i];
                bool fresh = state->killed && !json_object_get(state->killed, kill->name) &&
                             !json_object_get(now, kill->name) && !kill_seen(&state->nodes, kill->name);
                json_object_set_new(now, kill->name, json_true());
                if (fresh)
                        totals_count(&state->totals, kill->user, kill->kind,
                                &(struct total_part){.oom_kills = 1, .processes = -1});
        }
        json_decref(state->killed);
        state->killed = now;
}

/* What is in a volume that all homes are folders of (NFS, a node's own disk) says nothing of one user. */
static bool own_volume(const struct view_claim *claim, const struct kubelet_volume *volume)
{
        return claim && claim->user && claim->size > 0 && isfinite(volume->used) &&
               volume->capacity <= claim->size * SHARED_VOLUME;
}

static void add_volume(const struct config *config, const struct kubelet_node *node,
        const struct kubelet_volume *volume, struct sample_sink *sink)
{
        const char *const labels[] = {"namespace", config->kubernetes.namespace_, "persistentvolumeclaim",
                volume->claim, "node", node->name, NULL};
        add_value(sink, &VOLUME_USED, volume->used, labels);
        add_value(sink, &VOLUME_CAPACITY, volume->capacity, labels);
        add_value(sink, &VOLUME_AVAILABLE, volume->available, labels);
}

static void say_node(struct state *state, const struct config *config, const struct kube_view *view,
        struct kubelet_node *node, json_t *homes, struct sample_sink *sink)
{
        for (size_t i = 0; i < node->containers.containers; i++) {
                struct kubelet_container *container = &node->containers.container[i];
                const struct view_pod *pod = kube_view_pod(view, container->pod);
                if (container->missed)
                        continue;
                add_container(config, node, pod, container, sink);
                if (pod && pod->user)
                        count(state, pod, container);
        }
        for (size_t i = 0; i < node->volumes.volumes; i++) {
                const struct kubelet_volume *volume = &node->volumes.volume[i];
                const struct view_claim *claim = kube_view_claim(view, volume->claim);
                add_volume(config, node, volume, sink);
                if (own_volume(claim, volume))
                        json_object_set_new(homes, claim->name, json_real(volume->used));
        }
}

/* state->homes is by claim: a home that is not in use has the figure of when it last was. */
static void say_homes(struct state *state, const struct kube_view *view, json_t *now, struct sample_sink *sink)
{
        json_auto_t *users = json_object();
        const char *user;
        json_t *used;
        for (size_t i = 0; i < view->claims; i++) {
                const struct view_claim *claim = &view->claim[i];
                used = json_object_get(now, claim->name);
                if (!used && claim->user && (used = json_object_get(state->homes, claim->name)))
                        json_object_set(now, claim->name, used);
                if (used) {
                        double before = json_real_value(json_object_get(users, claim->user));
                        json_object_set_new(users, claim->user, json_real(before + json_real_value(used)));
                }
        }
        json_object_foreach (users, user, used)
                sink_add(sink, &HOME_USED, json_real_value(used), (const char *const[]){"user", user, NULL});
        json_decref(state->homes);
        state->homes = json_incref(now);
}

static int say(struct state *state, const struct config *config, const struct kube_view *view, struct sample_sink *sink,
        struct err **err)
{
        const char *problem = NULL;
        bool asked = false, ever = false;
        json_auto_t *homes = json_object();
        totals_begin(&state->totals);
        for (size_t i = 0; i < state->nodes.count; i++) {
                struct kubelet_node *node = &state->nodes.item[i];
                if (!node->wanted)
                        continue;
                bool up = node->good_ms && !node->problem;
                asked = true;
                ever = ever || node->good_ms;
                problem = node->problem ? node->problem : problem;
                CLEANUP_FREE char *source = str_format("kubelet of %s", node->name);
                sink_add(sink, &UP, up, (const char *const[]){"source", source, "node", node->name, NULL});
                if (kubelet_node_fresh(node, config))
                        say_node(state, config, view, node, homes, sink);
        }
        count_killed(state, view);
        totals_add(&state->totals, sink);
        say_homes(state, view, homes, sink);
        if (asked && !ever)
                return err_set(
                        err, ERR_UNREACHABLE, "no kubelet answers: %s", problem ? problem : "there was no time to ask");
        return 0;
}

/* ---- the source ---- */

static bool wanted(const struct config *config)
{
        return config->kubernetes.api && config->kubernetes.nodes;
}

/* Both sources begin at the same time, and this one needs what the other reads. */
static struct kube_view *wait_for_view(const struct config *config)
{
        struct clock *clock = clock_system();
        struct kube_view *view = kube_view_last(config);
        for (int waited = 0; !view && waited < VIEW_MS; waited += LOOK_MS) {
                if (clock->sleep_ms(clock, LOOK_MS, config->cancel) < 0)
                        break;
                view = kube_view_last(config);
        }
        return view;
}

static int refresh(const struct config *config, void **data, struct sample_sink *sink, struct err **err)
{
        struct clock *clock = clock_system();
        struct state *state = *data;
        int64_t until = clock->monotonic_ms(clock) + config->timeout_ms;
        if (!state) {
                *data = state = mem_zero(sizeof *state);
                state->began = (double)clock->wall_ms(clock) / 1000;
        }
        CLEANUP_KUBE_VIEW struct kube_view *view = wait_for_view(config);
        if (!view)
                return err_set(err, ERR_NOT_FOUND, "the API server has not said lately which nodes there are");
        kubelet_nodes_take(&state->nodes, view);
        int r = kubelet_nodes_ask(&state->nodes, config, until, err);
        if (r == 0)
                r = cancel_check(config->cancel, 1, err);
        return r < 0 ? r : say(state, config, view, sink, err);
}

static void done(void *data)
{
        struct state *state = data;
        if (!state)
                return;
        kubelet_nodes_clear(&state->nodes);
        totals_clear(&state->totals);
        json_decref(state->homes);
        json_decref(state->killed);
        free(state);
}

const struct source source_kubelet = {"kubelet", FAMILIES, wanted, refresh, done};
