#include "exporter/kubelet_nodes.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "exporter/note.h"
#include "exporter/source.h"

#define NODES_MAX  5000  /* as many as Kubernetes is made for */
#define NODE_SHARE 0.3   /* of the time of a refresh a node may take so much, where there are more than workers */
#define VOLUMES_MS 55000 /* a kubelet looks at its volumes once a minute */
#define PAGE_MAX   (64UL * 1024 * 1024)
#define TOKEN_MAX  65536
#define STACK_SIZE (512 * 1024)
#define KEPT_MAX   (2 * KUBELET_CONTAINERS_MAX) /* of a node, with those that it leaves out */

static int64_t now_ms(void)
{
        return clock_system()->monotonic_ms(clock_system());
}

static void node_clear(struct kubelet_node *node)
{
        free(node->name);
        free(node->url);
        free(node->problem);
        kubelet_figures_clear(&node->containers);
        kubelet_figures_clear(&node->volumes);
}

/* ---- one kubelet ---- */

struct asking {
        struct metrics_reader *metrics;
        struct err *err;
};

static int on_body(void *data, const char *bytes, size_t length)
{
        struct asking *asking = data;
        return metrics_feed(asking->metrics, bytes, length, &asking->err);
}

struct turn {
        struct kubelet_node *node;
};

struct round {
        const struct config *config;
        const char *token;
        int64_t until; /* monotonic */
        struct turn *order;
        size_t count;
        atomic_size_t next;
};

static int read_page(const struct round *round, struct http_client *client, const char *url, const char *path,
        struct kubelet_figures *ret, struct err **err)
{
        CLEANUP_FREE char *whole = str_format("%s%s", url, path);
        CLEANUP_RESPONSE struct http_response response = {0};
        struct kubelet_figures figures = {0};
        struct kubelet_reading reading = {.namespace_ = round->config->kubernetes.namespace_, .into = &figures};
        CLEANUP_METRICS struct metrics_reader *metrics = metrics_reader_new(kubelet_take, &reading);
        struct asking asking = {.metrics = metrics};
        CLEANUP_ERR struct err *why = NULL;
        int64_t left = round->until - now_ms(),
                most = round->count <= KUBELET_WORKERS ? left : (int64_t)(round->config->timeout_ms * NODE_SHARE);
        struct http_request request = {.url = whole,
                .bearer = round->token,
                .timeout_ms = (int)(left < most ? left : most),
                .max_bytes = PAGE_MAX,
                .on_body = on_body,
                .data = &asking};
        int r = left <= 0 ? err_set(&why, ERR_TIMEOUT, "no time was left for it")
                          : http_send(client, &request, &response, &why);
        if (asking.err) {
                err_free(why);
                why = asking.err;
                r = -ERR_INVALID;
        } else if (r == 0 && (response.status == 401 || response.status == 403)) {
                r = err_set(&why, ERR_DENIED,
                        "%s: it does not let the exporter in (status %ld): does its account have "
                        "get on nodes/metrics?",
                        whole, response.status);
        } else if (r == 0 && response.status != 200) {
                r = err_set(&why, ERR_FAILED, "%s: status %ld", whole, response.status);
        } else if (r == 0) {
                r = metrics_end(metrics, &why);
        }
        if (r < 0) {
                kubelet_figures_clear(&figures);
                if (err)
                        *err = STEAL(why);
                return r;
        }
        kubelet_figures_sort(&figures);
        kubelet_figures_clear(ret);
        *ret = figures;
        return 0;
}

/* Of one that is left out for a moment, as by a kubelet that has just begun anew: otherwise all of it would be counted
 * once more when it is there again. Takes over its names. */
static void keep_missed(struct kubelet_container *gone, struct kubelet_figures *fresh)
{
        struct kubelet_container kept = *gone;
        for (size_t i = 0; i < KUBELET_VALUES; i++)
                kept.value[i] = NAN;
        kept.missed++;
        gone->pod = gone->container = gone->name = NULL;
        MEM_GROW(fresh->container, fresh->containers, fresh->container_room);
        fresh->container[fresh->containers++] = kept;
}

/* What has been counted of a container stays with it. */
static void carry(struct kubelet_figures *before, struct kubelet_figures *fresh)
{
        CLEANUP_FREE bool *missed = mem_zero_array(before->containers + 1, sizeof *missed);
        for (size_t i = 0; i < before->containers; i++) {
                const struct kubelet_container *old = &before->container[i];
                struct kubelet_container *now = kubelet_container_of(fresh, old);
                missed[i] = !now && isfinite(old->counted_cpu) && old->missed < SOURCE_STALE;
                if (now) {
                        now->counted_cpu = old->counted_cpu;
                        now->counted_kills = old->counted_kills;
                }
        }
        for (size_t i = 0; i < before->containers && fresh->containers < KEPT_MAX; i++)
                if (missed[i])
                        keep_missed(&before->container[i], fresh);
        kubelet_figures_sort(fresh);
        kubelet_figures_clear(before);
        *before = *fresh;
}

static void ask(const struct round *round, struct http_client *client, struct kubelet_node *node)
{
        CLEANUP_ERR struct err *err = NULL;
        struct kubelet_figures containers = {0};
        int64_t began = now_ms();
        int r = read_page(round, client, node->url, "/metrics/cadvisor", &containers, &err);
        if (r == 0) {
                carry(&node->containers, &containers);
                node->good_ms = now_ms();
        }
        if (r == 0 && (!node->volumes_ms || began - node->volumes_ms >= VOLUMES_MS)) {
                r = read_page(round, client, node->url, "/metrics", &node->volumes, &err);
                if (r == 0)
                        node->volumes_ms = began;
        }
        CLEANUP_FREE char *what = str_format("kubelet of %s", node->name), *problem = r < 0 ? err_text(err) : NULL;
        if (!cancel_level(round->config->cancel))
                note_change(what, !node->problem, problem);
        free(node->problem);
        node->problem = STEAL(problem);
        node->tried_ms = now_ms();
}

struct worker {
        struct round *round;
        struct http_client *client;
};

static void *work(void *data)
{
        struct worker *worker = data;
        struct round *round = worker->round;
        for (;;) {
                size_t i = atomic_fetch_add(&round->next, 1);
                if (i >= round->count || now_ms() >= round->until || cancel_level(round->config->cancel))
                        return NULL;
                ask(round, worker->client, round->order[i].node);
        }
}

/* ---- all of them ---- */

/* Those that answered the last time first; of the others those that have waited longest. */
static int by_turn(const void *a, const void *b)
{
        const struct kubelet_node *x = ((const struct turn *)a)->node, *y = ((const struct turn *)b)->node;
        if (!x->problem != !y->problem)
                return x->problem ? 1 : -1;
        return (x->tried_ms > y->tried_ms) - (x->tried_ms < y->tried_ms);
}

static void go_round(struct kubelet_nodes *nodes, struct round *round)
{
        pthread_t thread[KUBELET_WORKERS];
        struct worker worker[KUBELET_WORKERS];
        pthread_attr_t attributes;
        size_t started = 0;
        round->order = mem_zero_array(nodes->count + 1, sizeof *round->order);
        for (size_t i = 0; i < nodes->count; i++)
                if (nodes->item[i].wanted)
                        round->order[round->count++].node = &nodes->item[i];
        qsort(round->order, round->count, sizeof *round->order, by_turn);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        for (size_t i = 0; i < KUBELET_WORKERS; i++) {
                if (!nodes->client[i])
                        nodes->client[i] = http_client_new(&(struct http_options){
                                .ca = round->config->kubernetes.ca, .cancel = round->config->cancel});
                worker[i] = (struct worker){round, nodes->client[i]};
        }
        /* this thread is the first of the workers: where no other can be started, it does it alone */
        while (started + 1 < KUBELET_WORKERS && started + 1 < round->count &&
                pthread_create(&thread[started], &attributes, work, &worker[started + 1]) == 0)
                started++;
        pthread_attr_destroy(&attributes);
        work(&worker[0]);
        for (size_t i = 0; i < started; i++)
                pthread_join(thread[i], NULL);
        free(round->order);
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct kubelet_node *)a)->name, ((const struct kubelet_node *)b)->name);
}

static struct kubelet_node *node_of(struct kubelet_nodes *nodes, const char *name)
{
        struct kubelet_node wanted = {.name = (char *)name};
        return nodes->count ? bsearch(&wanted, nodes->item, nodes->count, sizeof *nodes->item, by_name) : NULL;
}

void kubelet_nodes_take(struct kubelet_nodes *nodes, const struct kube_view *view)
{
        struct kubelet_node *list = mem_zero_array(view->nodes + 1, sizeof *list);
        size_t count = 0;
        for (size_t i = 0; i < view->nodes && count < NODES_MAX; i++) {
                const struct view_node *from = &view->node[i];
                struct kubelet_node *before = node_of(nodes, from->name);
                if (!from->url)
                        continue;
                if (before) {
                        list[count] = *before;
                        *before = (struct kubelet_node){.name = str_copy(from->name)};
                } else {
                        list[count].name = str_copy(from->name);
                }
                free(list[count].url);
                list[count].url = str_copy(from->url);
                list[count++].wanted = false;
        }
        for (size_t i = 0; i < nodes->count; i++)
                node_clear(&nodes->item[i]);
        free(nodes->item);
        nodes->item = list;
        nodes->count = count;
        for (size_t i = 0; i < view->pods; i++) {
                struct kubelet_node *node = view->pod[i].node ? node_of(nodes, view->pod[i].node) : NULL;
                if (node)
                        node->wanted = true;
        }
        for (size_t i = 0; i < nodes->count; i++) {
                if (nodes->item[i].wanted)
                        continue;
                kubelet_figures_clear(&nodes->item[i].containers);
                kubelet_figures_clear(&nodes->item[i].volumes);
                nodes->item[i].volumes_ms = 0;
        }
}

bool kubelet_node_fresh(const struct kubelet_node *node, const struct config *config)
{
        return node->wanted && node->good_ms &&
               now_ms() - node->good_ms <= (int64_t)SOURCE_STALE * config->refresh_ms + config->timeout_ms;
}

static int read_token(const char *path, char **ret, struct err **err)
{
        char *text = NULL;
        size_t length = 0;
        int r = file_read(path, TOKEN_MAX, &text, &length, err);
        if (r < 0)
                return r;
        *ret = str_copy(str_trim(text));
        mem_wipe_free(text, length);
        return 0;
}

int kubelet_nodes_ask(struct kubelet_nodes *nodes, const struct config *config, int64_t until, struct err **err)
{
        char *token = NULL;
        int r = read_token(config->kubernetes.token_file, &token, err);
        if (r < 0)
                return r;
        struct round round = {.config = config, .token = token, .until = until};
        go_round(nodes, &round);
        mem_wipe_free(token, strlen(token));
        return 0;
}

void kubelet_nodes_clear(struct kubelet_nodes *nodes)
{
        for (size_t i = 0; i < nodes->count; i++)
                node_clear(&nodes->item[i]);
        free(nodes->item);
        for (size_t i = 0; i < KUBELET_WORKERS; i++)
                http_client_free(nodes->client[i]);
        *nodes = (struct kubelet_nodes){0};
}
