#include "access/whose.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "kind/kube_manifest.h"
#include "kind/kube_server.h"
#include "tree/tree.h"

static bool on_kubernetes(const struct whose *whose)
{
        return str_is(json_string_value(json_object_get(whose->form, "target")), "kubernetes");
}

static struct kube_link *link_of(const struct whose *whose)
{
        return whose->link ? whose->link : kube_link_new(json_object_get(whose->form, "kubernetes"), whose->cancel);
}

static void leave(const struct whose *whose, struct kube_link *link)
{
        if (link != whose->link)
                kube_link_free(link);
}

/* The uid by which the Kubernetes cluster of the last apply is known; "" = it is not. The caller frees. */
static char *recorded_uid(const struct whose *whose)
{
        json_auto_t *outputs = NULL;
        if (journal_outputs(whose->journal, whose->cluster, "base/requirements", &outputs, NULL) < 0)
                return str_copy("");
        const char *uid = json_string_value(json_object_get(outputs, "cluster"));
        return str_copy(uid ? uid : "");
}

static int read_uid(struct kube *kube, char **ret, struct err **err)
{
        struct kube_ref ref = {"v1", "Namespace", NULL, "kube-system"};
        json_auto_t *object = NULL;
        int r = kube_get(kube, &ref, &object, err);
        if (r < 0)
                return r;
        const char *uid = json_string_value(tree_get(object, "metadata.uid"));
        *ret = str_copy(uid ? uid : "");
        return 0;
}

/* Without an API server nothing can be done, and to wait for it once is enough. What else is wrong the plan says. */
static int reach(struct kube_link *link, struct err **err)
{
        CLEANUP_ERR struct err *fault = NULL;
        int r = kube_link_ping(link, &fault);
        if (r != -ERR_UNREACHABLE && r != -ERR_TIMEOUT && r != -ERR_CANCELLED)
                return 0;
        if (err)
                *err = STEAL(fault);
        return r;
}

int whose_kubernetes(const struct whose *whose, struct err **err)
{
        CLEANUP_FREE char *before = NULL, *now = NULL;
        struct kube *kube = NULL;
        int r = 0;
        if (!on_kubernetes(whose))
                return 0;
        before = recorded_uid(whose);
        if (!*before)
                return 0;
        struct kube_link *link = link_of(whose);
        r = reach(link, err);
        if (r == 0 && kube_link_open(link, &kube, NULL) == 0 && read_uid(kube, &now, NULL) == 0 && !str_is(before, now))
                r = err_set(err, ERR_REFUSED,
                        "%s (context %s of %s) is not the Kubernetes cluster that %s was made in: correct "
                        "kubernetes.kubeconfig and kubernetes.context, or $KUBECONFIG; nothing was touched",
                        kube_server(kube), kube_context(kube), kube_file(kube), whose->cluster);
        leave(whose, link);
        return r;
}

/* ---- clusters of the same name ---- */

static int take_namespace(void *data, const json_t *object)
{
        char **namespace = data;
        *namespace = str_copy(json_string_value(tree_get(object, "metadata.namespace")));
        return 1;
}

/* The namespace that holds a cluster of this name; NULL = none. The caller frees. */
static int find(const struct whose *whose, struct kube *kube, const char *namespace, char **ret, struct err **err)
{
        CLEANUP_FREE char *labels =
                str_format("%s=%s,%s=%s", KUBE_LABEL_MANAGER, KUBE_MANAGED_BY, KUBE_LABEL_CLUSTER, whose->cluster);
        struct kube_list list = {
                .api_version = "apps/v1", .kind = "Deployment", .namespace = namespace, .labels = labels, .page = 1};
        return kube_list(kube, &list, take_namespace, ret, NULL, err);
}

int whose_name(const struct whose *whose, struct err **err)
{
        CLEANUP_FREE char *found = NULL;
        struct kube *kube = NULL;
        if (!on_kubernetes(whose))
                return 0;
        struct kube_link *link = link_of(whose);
        const char *own = kube_link_namespace(link);
        int r = reach(link, err);
        if (r == 0 && kube_link_open(link, &kube, NULL) == 0 && find(whose, kube, NULL, &found, NULL) == -ERR_DENIED)
                find(whose, kube, own, &found, NULL);
        if (found && str_is(found, own))
                r = err_set(err, ERR_REFUSED,
                        "namespace %s of %s holds a cluster %s that this state folder does not know: 'caas adopt' "
                        "takes it up, if it is yours; otherwise choose another name and namespace; nothing was touched",
                        own, kube_server(kube), whose->cluster);
        else if (found)
                r = err_set(err, ERR_REFUSED,
                        "a cluster %s is in namespace %s of %s already, and this state folder has not made it: choose "
                        "another name; nothing was touched",
                        whose->cluster, found, kube_server(kube));
        leave(whose, link);
        return r;
}

/* ---- gone for good ---- */

static int look_for_it(const struct whose *whose, struct kube_link *link, char **ret_why, struct err **err)
{
        CLEANUP_FREE char *before = recorded_uid(whose), *now = NULL, *found = NULL;
        CLEANUP_ERR struct err *fault = NULL;
        struct kube *kube = NULL;
        int r = kube_link_open(link, &kube, &fault);
        if (r == 0)
                r = read_uid(kube, &now, &fault);
        if (r == -ERR_CANCELLED)
                return err_set(err, ERR_CANCELLED, "%s", fault->message);
        if (now && *before && !str_is(before, now)) {
                *ret_why = str_format("%s is another Kubernetes cluster", kube_server(kube));
                return 0;
        }
        bool same = now && *before;
        /* It may answer and only not say which one it is. */
        if (!same && kube && (now || r == -ERR_DENIED) &&
                find(whose, kube, kube_link_namespace(link), &found, NULL) == 0)
                r = 0;
        if (same || found)
                return err_set(err, ERR_REFUSED,
                        "%s answers, and it is the Kubernetes cluster that %s was made in: destroy it without "
                        "--forget; nothing was touched",
                        kube_server(kube), whose->cluster);
        *ret_why = r < 0 ? str_copy(fault->message)
                         : str_format("%s answers, and there is no %s in it", kube_server(kube), whose->cluster);
        return 0;
}

int whose_gone(const struct whose *whose, char **ret_why, struct err **err)
{
        if (!on_kubernetes(whose))
                return err_set(err, ERR_INVALID,
                        "%s is on this machine, and so it is there: only a cluster whose Kubernetes is gone for good "
                        "can be forgotten; destroy it without --forget",
                        whose->cluster);
        struct kube_link *link = link_of(whose);
        int r = look_for_it(whose, link, ret_why, err);
        leave(whose, link);
        return r;
}
