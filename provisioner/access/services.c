#include "access/services.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "access/reach.h"
#include "access/workload.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "client/service/family.h"
#include "client/service/ready.h"
#include "client/service/service.h"

static bool on_host(const struct journal_resource *r)
{
        return str_is(r->resource.kind, "host.service") && json_is_string(json_object_get(r->resource.spec, "name"));
}

static bool is_service(const struct journal_resource *r)
{
        return on_host(r) || workload_is(r);
}

static const char *name_of(const struct journal_resource *r)
{
        return on_host(r) ? json_string_value(json_object_get(r->resource.spec, "name")) : workload_name(r);
}

static char *role_of(const struct journal_resource *r)
{
        return str_copy_n(r->resource.id, strcspn(r->resource.id, "/"));
}

/* When a process began, in ms since 1970; 0 = not known. */
static int64_t began(pid_t pid)
{
        struct timespec boot;
        uint64_t ticks = pid > 0 ? family_start_time(pid) : 0;
        long per_second = sysconf(_SC_CLK_TCK);
        if (!ticks || per_second <= 0 || clock_gettime(CLOCK_BOOTTIME, &boot) < 0)
                return 0;
        int64_t since_boot = (int64_t)(ticks * 1000 / (uint64_t)per_second);
        struct clock *clock = clock_system();
        return clock->wall_ms(clock) - ((int64_t)boot.tv_sec * 1000 + boot.tv_nsec / 1000000 - since_boot);
}

/* Asks what the service's own definition asks after a start. */
static json_t *ask_ready(const json_t *spec, struct cancel *cancel, char **ret_why)
{
        const json_t *wanted = json_object_get(spec, "ready");
        struct ready ready = {
                .http = json_string_value(json_object_get(wanted, "http")),
                .ca = json_string_value(json_object_get(wanted, "ca")),
                .expect = (long)json_integer_value(json_object_get(wanted, "expect")),
                .contains = json_string_value(json_object_get(wanted, "contains")),
                .tcp = json_string_value(json_object_get(wanted, "tcp")),
        };
        if (!ready.http && !ready.tcp)
                return json_null();
        CLEANUP_ERR struct err *err = NULL;
        CLEANUP_HTTP struct http_client *client = ready_client(&ready, cancel);
        if (ready_ask(&ready, client, cancel, &err) == 0)
                return json_true();
        *ret_why = err ? str_copy(err->message) : NULL;
        return json_false();
}

/* The way to the API server, and what is wrong with it: said of each service, but found out once. */
struct far {
        struct kube_link *link;
        struct err *trouble;
};

static int far_open(struct far *far, struct journal *journal, const char *cluster, struct err **err)
{
        struct kube *kube = NULL;
        CLEANUP_FREE char *version = NULL;
        if (far->link)
                return 0;
        int r = reach_link(journal, cluster, &far->link, err);
        if (r == 0 && kube_link_open(far->link, &kube, &far->trouble) == 0)
                kube_version(kube, &version, &far->trouble);
        return r;
}

static json_t *look_at(const struct service_host *host, const struct far *far, const struct journal_resource *r)
{
        const char *name = name_of(r);
        CLEANUP_FREE char *role = role_of(r);
        if (workload_is(r))
                return workload_status(far->link, r, role, far->trouble ? far->trouble->message : NULL);
        CLEANUP_FREE char *why = NULL;
        CLEANUP_ERR struct err *err = NULL;
        struct service_status status = {0};
        json_t *ready = json_null();
        if (service_driver()->status(host, name, &status, &err) < 0)
                why = str_copy(err ? err->message : "its state cannot be read");
        else if (!status.running)
                why = str_copy(!status.installed ? "it is not there"
                               : status.failed   ? "it failed and was given up"
                                                 : "it is stopped");
        else
                ready = ask_ready(r->resource.spec, host->cancel, &why);
        int64_t since = status.running ? began(status.pid) : 0;
        return json_pack("{s:s, s:s, s:b, s:o, s:o, s:s?}", "name", name, "role", role, "running", (int)status.running,
                "since", since ? json_integer(since) : json_null(), "ready", ready, "message", why);
}

int services_status(struct journal *journal, const char *cluster, const char *state_dir, struct cancel *cancel,
        json_t **ret, struct err **err)
{
        struct journal_resources resources = {0};
        int r = journal_resources(journal, cluster, &resources, err);
        if (r < 0)
                return r;
        CLEANUP_FREE char *dir = str_format("%s/clusters/%s", state_dir, cluster);
        struct service_host host = {.cluster = cluster, .cluster_dir = dir, .clock = clock_system(), .cancel = cancel};
        json_auto_t *list = json_array();
        struct far far = {0};
        for (size_t i = 0; i < resources.count && r == 0; i++) {
                if (!is_service(&resources.item[i]))
                        continue;
                if (workload_is(&resources.item[i]))
                        r = far_open(&far, journal, cluster, err);
                if (r == 0)
                        json_array_append_new(list, look_at(&host, &far, &resources.item[i]));
        }
        journal_resources_clear(&resources);
        err_free(far.trouble);
        if (r == 0)
                *ret = json_incref(list);
        return r;
}

/* What could have been meant, for an error. */
static int no_such_service(
        const struct journal_resources *resources, const char *cluster, const char *which, struct err **err)
{
        CLEANUP_BUF struct buf list = BUF_INIT(1000);
        CLEANUP_FREE const char **names = mem_zero_array(resources->count + 1, sizeof *names);
        size_t count = 0;
        for (size_t i = 0; i < resources->count; i++) {
                if (!is_service(&resources->item[i]))
                        continue;
                names[count] = name_of(&resources->item[i]);
                buf_format(&list, "%s%s", count ? ", " : "", names[count]);
                count++;
        }
        const char *near = str_nearest(which, names);
        if (near)
                return err_set(err, ERR_NOT_FOUND, "%s has no role or service '%.60s'; did you mean '%s'?", cluster,
                        which, near);
        return err_set(err, ERR_NOT_FOUND, "%s has no role or service '%.60s'; its services are: %s", cluster, which,
                list.length ? list.data : "none");
}

int services_list(struct journal *journal, const char *cluster, const char *which, json_t **ret, struct err **err)
{
        struct journal_resources resources = {0};
        int r = journal_resources(journal, cluster, &resources, err);
        if (r < 0)
                return r;
        json_t *list = json_array();
        for (size_t i = 0; i < resources.count; i++) {
                if (!is_service(&resources.item[i]))
                        continue;
                CLEANUP_FREE char *role = role_of(&resources.item[i]);
                const char *name = name_of(&resources.item[i]);
                if (!which || str_is(which, role) || str_is(which, name))
                        json_array_append_new(list,
                                json_pack("{s:s, s:s, s:s?}", "name", name, "role", role, "kind",
                                        workload_is(&resources.item[i])
                                                ? json_string_value(json_object_get(
                                                          json_object_get(resources.item[i].resource.spec, "object"),
                                                          "kind"))
                                                : NULL));
        }
        if (json_array_size(list) == 0 && which) {
                r = no_such_service(&resources, cluster, which, err);
                json_decref(list);
        } else {
                *ret = list;
        }
        journal_resources_clear(&resources);
        return r;
}
