/* Which pod a port-forward goes to. */
#include <string.h>

#include "base/mem.h"
#include "client/kube/forward.h"

static json_t *below(const json_t *object, const char *one, const char *two)
{
        return json_object_get(json_object_get(object, one), two);
}

static bool is_ready(const json_t *pod)
{
        size_t i;
        json_t *condition;
        if (below(pod, "metadata", "deletionTimestamp") ||
                !str_is(json_string_value(below(pod, "status", "phase")), "Running"))
                return false;
        json_array_foreach (below(pod, "status", "conditions"), i, condition)
                if (str_is(json_string_value(json_object_get(condition, "type")), "Ready"))
                        return str_is(json_string_value(json_object_get(condition, "status")), "True");
        return false;
}

/* The number of a port that containers give a name; 0 = none. */
static int named_port(const json_t *pod, const char *name)
{
        static const char *const lists[] = {"containers", "initContainers"};
        for (size_t l = 0; l < 2; l++) {
                size_t i, j;
                json_t *container, *port;
                json_array_foreach (below(pod, "spec", lists[l]), i, container)
                        json_array_foreach (json_object_get(container, "ports"), j, port)
                                if (str_is(json_string_value(json_object_get(port, "name")), name))
                                        return (int)json_integer_value(json_object_get(port, "containerPort"));
        }
        return 0;
}

struct choice {
        const json_t *target_port; /* number or name */
        struct target target;
        struct buf others; /* those that are not ready, for the message */
        bool portless;
};

static int consider(void *data, const json_t *pod)
{
        struct choice *choice = data;
        const char *name = json_string_value(below(pod, "metadata", "name"));
        const char *phase = json_string_value(below(pod, "status", "phase"));
        if (!name)
                return 0;
        if (!is_ready(pod)) {
                bool going = below(pod, "metadata", "deletionTimestamp") != NULL;
                buf_format(&choice->others, "%s%s is %s", choice->others.length ? ", " : "", name,
                        going                      ? "being deleted"
                        : str_is(phase, "Running") ? "not ready"
                        : phase                    ? phase
                                                   : "not known");
                return 0;
        }
        const char *port_name = json_string_value(choice->target_port);
        int port = port_name ? named_port(pod, port_name) : (int)json_integer_value(choice->target_port);
        if (port < 1 || port > 65535) {
                choice->portless = true;
                return 0;
        }
        choice->target = (struct target){.pod = str_copy(name), .port = port};
        return 1;
}

/* "a=b,c=d" */
static char *selector_text(const json_t *selector)
{
        struct buf text = BUF_INIT(4000);
        const char *key;
        json_t *value;
        json_object_foreach ((json_t *)selector, key, value)
                buf_format(&text, "%s%s=%s", text.length ? "," : "", key,
                        json_string_value(value) ? json_string_value(value) : "");
        return buf_steal(&text);
}

static int of_service(struct kube *kube, const char *namespace, const char *service, const json_t *object, int port,
        struct target *ret, struct err **err)
{
        size_t i;
        json_t *item;
        struct choice choice = {.others = BUF_INIT(1000)};
        json_auto_t *same = json_integer(port);
        json_array_foreach (below(object, "spec", "ports"), i, item) {
                if (json_integer_value(json_object_get(item, "port")) != port)
                        continue;
                choice.target_port = json_object_get(item, "targetPort");
                choice.target_port = choice.target_port ? choice.target_port : same;
        }
        if (!choice.target_port)
                return err_set(err, ERR_NOT_FOUND, "service %s/%s has no port %d", namespace, service, port);
        CLEANUP_FREE char *labels = selector_text(below(object, "spec", "selector"));
        if (!*labels)
                return err_set(err, ERR_NOT_FOUND, "service %s/%s selects no pods", namespace, service);
        struct kube_list list = {.api_version = "v1", .kind = "Pod", .namespace = namespace, .labels = labels};
        int r = kube_list(kube, &list, consider, &choice, NULL, err);
        if (r == 0 && !choice.target.pod)
                r = choice.portless
                            ? err_set(err, ERR_NOT_FOUND,
                                      "service %s/%s: its pods have no port of the name that its port %d goes to",
                                      namespace, service, port)
                            : err_set(err, ERR_UNREACHABLE, "no pod of service %s/%s is ready (%s)", namespace, service,
                                      choice.others.length ? choice.others.data : "there are none");
        buf_clear(&choice.others);
        if (r == 0)
                *ret = choice.target;
        else
                free(choice.target.pod);
        return r;
}

int forward_target(
        struct kube *kube, const char *namespace, const char *service, int port, struct target *ret, struct err **err)
{
        bool is_pod = str_starts(service, "pod/");
        const char *name = is_pod ? service + 4 : service;
        struct kube_ref ref = {
                .api_version = "v1", .kind = is_pod ? "Pod" : "Service", .namespace = namespace, .name = name};
        json_auto_t *object = NULL;
        int r = kube_get(kube, &ref, &object, err);
        if (r < 0)
                return r;
        if (!is_pod)
                return of_service(kube, namespace, service, object, port, ret, err);
        *ret = (struct target){.pod = str_copy(name), .port = port};
        return 0;
}
