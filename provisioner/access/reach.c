#include "access/reach.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

struct way {
        char *cluster;
        json_t *target; /* the block that it was opened with */
        struct kube_link *link;
};

/* A process acts on few clusters, and a change of a form is rare: a way that is not used any more stays open. */
static struct {
        pthread_mutex_t mutex;
        struct cancel *cancel;
        struct way *item;
        size_t count, capacity;
} ways = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void reach_use_cancel(struct cancel *cancel)
{
        ways.cancel = cancel;
}

bool reach_is_kubernetes(const json_t *row)
{
        return str_is(json_string_value(json_object_get(row, "target")), "kubernetes");
}

static struct kube_link *link_of(const char *cluster, const json_t *target)
{
        struct kube_link *link = NULL;
        pthread_mutex_lock(&ways.mutex);
        for (size_t i = 0; i < ways.count && !link; i++)
                if (str_is(ways.item[i].cluster, cluster) && json_equal(ways.item[i].target, target))
                        link = ways.item[i].link;
        if (!link) {
                link = kube_link_new(target, ways.cancel);
                MEM_GROW(ways.item, ways.count, ways.capacity);
                ways.item[ways.count++] = (struct way){str_copy(cluster), json_deep_copy(target), link};
        }
        pthread_mutex_unlock(&ways.mutex);
        return link;
}

int reach_link(struct journal *journal, const char *cluster, struct kube_link **ret, struct err **err)
{
        json_auto_t *row = NULL;
        int r = journal_cluster(journal, cluster, &row, err);
        if (r < 0)
                return r;
        const json_t *target = json_object_get(json_object_get(row, "form"), "kubernetes");
        if (!reach_is_kubernetes(row) || !target)
                return err_set(err, ERR_INVALID, "%s is no cluster on Kubernetes", cluster);
        *ret = link_of(cluster, target);
        return 0;
}

/* "ldaps://directory:636/x" becomes "ldaps://127.0.0.1:40123/x". */
static void move_here(json_t *access, const char *key, int port)
{
        const char *text = json_string_value(json_object_get(access, key));
        const char *host = text ? strstr(text, "://") : NULL;
        if (!host)
                return;
        host += strlen("://");
        CLEANUP_FREE char *here =
                str_format("%.*s127.0.0.1:%d%s", (int)(host - text), text, port, host + strcspn(host, "/"));
        json_object_set_new(access, key, json_string(here));
}

int reach_forward(struct journal *journal, const char *cluster, json_t *access, struct err **err)
{
        const json_t *forward = json_object_get(access, "forward");
        const char *service = json_string_value(json_object_get(forward, "service"));
        const char *namespace = json_string_value(json_object_get(forward, "namespace"));
        struct kube_link *link = NULL;
        int port = 0;
        if (!service)
                return 0;
        int r = reach_link(journal, cluster, &link, err);
        if (r == 0)
                r = kube_link_forward(link, namespace, service,
                        (int)json_integer_value(json_object_get(forward, "port")), &port, err);
        if (r < 0)
                return r;
        move_here(access, "api", port);
        move_here(access, "uri", port);
        move_here(access, "metrics", port);
        return 0;
}

void reach_close(void)
{
        pthread_mutex_lock(&ways.mutex);
        for (size_t i = 0; i < ways.count; i++) {
                kube_link_free(ways.item[i].link);
                json_decref(ways.item[i].target);
                free(ways.item[i].cluster);
        }
        free(ways.item);
        ways.item = NULL;
        ways.count = ways.capacity = 0;
        pthread_mutex_unlock(&ways.mutex);
}
