/* kube.entry: under which address users come in, which is known only once the balancer of a Service or an Ingress has
 * one, and under which name. It waits for the address, and a name that the form gives has to lead there before anything
 * that needs this resource, and with it the users, begins. It changes nothing and leaves nothing. */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/str.h"
#include "form/net.h"
#include "kind/kind.h"
#include "kind/kube_server.h"
#include "kind/kube_wait.h"
#include "kind/nothing.h"
#include "kind/spec.h"

#define SECONDS  300
#define SLICE_MS 2000
#define HTTPS    443

static const struct spec_field fields[] = {
        {"entry", SPEC_TEXT, true}, /* loadbalancer, ingress, nodeport */
        {"service", SPEC_TEXT, false},
        {"ingress", SPEC_TEXT, false},
        {"namespace", SPEC_TEXT, false},
        {"domain", SPEC_STRING, true}, /* "" = of the address */
        {"external_ip", SPEC_STRING, false},
        {"wildcard_dns", SPEC_STRING, false},
        {"port", SPEC_WHOLE, false},
        {"seconds", SPEC_NUMBER, false},
        {"revision", SPEC_ANY, false}, /* asks again when it changes */
        {NULL, SPEC_ANY, false},
};

static int check(const json_t *spec, struct err **err)
{
        static const char *const objects[] = {"service", "ingress", NULL};
        int r = spec_check(spec, fields, err);
        return r < 0 ? r : spec_check_one_of(spec, objects, err);
}

#define ADDRESSES_MAX 16

struct addresses {
        char item[ADDRESSES_MAX][NET_ADDRESS_MAX];
        size_t count;
};

static void add_address(struct addresses *addresses, const char *text)
{
        if (addresses->count < ADDRESSES_MAX && net_address(text, addresses->item[addresses->count]) == 0)
                addresses->count++;
}

struct entry {
        struct kind_ctx *ctx;
        const json_t *spec;
        const char *namespace, *name;
        bool ingress, nodeport;
        char address[256];    /* or name of the balancer; "" = none yet */
        struct addresses all; /* of IPv4 and IPv6, say; none where it has a name only */
        int64_t node_port;
};

static void entry_of(struct kind_ctx *ctx, const json_t *spec, struct entry *ret)
{
        *ret = (struct entry){.ctx = ctx, .spec = spec};
        ret->ingress = json_object_get(spec, "ingress") != NULL;
        ret->nodeport = str_is(spec_text(spec, "entry", ""), "nodeport");
        ret->name = spec_text(spec, ret->ingress ? "ingress" : "service", "");
        ret->namespace = spec_text(spec, "namespace", kube_namespace_of(ctx));
}

static struct kube_ref ref_of(const struct entry *entry)
{
        return (struct kube_ref){entry->ingress ? "networking.k8s.io/v1" : "v1", entry->ingress ? "Ingress" : "Service",
                entry->namespace, entry->name};
}

/* What the object says of where it is: an address before a name. */
static void take(struct entry *entry, const json_t *object)
{
        const json_t *balancer = json_object_get(json_object_get(object, "status"), "loadBalancer");
        const json_t *ports = json_object_get(json_object_get(object, "spec"), "ports");
        const char *found = "";
        size_t i;
        json_t *item;
        entry->all.count = 0;
        json_array_foreach (json_object_get(balancer, "ingress"), i, item) {
                const char *ip = spec_text(item, "ip", ""), *host = spec_text(item, "hostname", "");
                if (entry->all.count == 0 && (*ip || !*found))
                        found = *ip ? ip : host;
                add_address(&entry->all, ip);
        }
        snprintf(entry->address, sizeof entry->address, "%s", entry->nodeport ? "" : found);
        entry->node_port = 0;
        json_array_foreach (ports, i, item)
                if (!entry->node_port || str_is(spec_text(item, "name", ""), "https"))
                        entry->node_port = spec_whole(item, "nodePort", 0);
}

static bool is_there(const struct entry *entry)
{
        return entry->nodeport ? entry->node_port > 0 : *entry->address;
}

static int observe(struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, struct err **err)
{
        struct entry entry;
        struct kube *kube = NULL;
        json_auto_t *object = NULL;
        entry_of(ctx, r->spec, &entry);
        struct kube_ref ref = ref_of(&entry);
        CLEANUP_ERR struct err *fault = NULL;
        int result = kube_of(ctx, &kube, &fault);
        if (result == 0)
                result = kube_get(kube, &ref, &object, &fault);
        if (result == -ERR_NOT_FOUND)
                return 0;
        if (result < 0) {
                if (err)
                        *err = STEAL(fault);
                return result;
        }
        take(&entry, object);
        if (is_there(&entry))
                *ret_state =
                        json_pack("{s:s, s:I}", "address", entry.address, "node_port", (json_int_t)entry.node_port);
        return 0;
}

/* ---- waiting ---- */

static int on_event(void *data, const char *type, const json_t *object)
{
        struct entry *entry = data;
        if (str_is(type, "DELETED"))
                entry->address[0] = '\0';
        else if (object)
                take(entry, object);
        return is_there(entry);
}

static int keep_warning(void *data, const json_t *event)
{
        struct buf *text = data;
        const char *reason = spec_text(event, "reason", ""), *message = spec_text(event, "message", "");
        if (str_is(spec_text(event, "type", ""), "Warning")) {
                buf_clear(text);
                buf_format(text, "; Kubernetes says: %s: %.300s", reason, message);
        }
        return 0;
}

/* The last thing that Kubernetes finds wrong with the object; "" if there is none. The caller frees. */
static char *warning_of(const struct entry *entry, struct kube *kube)
{
        CLEANUP_BUF struct buf text = BUF_INIT(1000);
        CLEANUP_FREE char *selector = str_format(
                "involvedObject.kind=%s,involvedObject.name=%s", entry->ingress ? "Ingress" : "Service", entry->name);
        struct kube_list list = {
                .api_version = "v1", .kind = "Event", .namespace = entry->namespace, .fields = selector};
        kube_list(kube, &list, keep_warning, &text, NULL, NULL);
        return str_copy(text.length ? text.data : "");
}

static int no_address(const struct entry *entry, struct kube *kube, double seconds, struct err **err)
{
        CLEANUP_FREE char *warning = warning_of(entry, kube);
        if (entry->ingress)
                return err_set(err, ERR_TIMEOUT,
                        "the Ingress %s/%s has no address after %.0f s: does its controller run, and does it know "
                        "kubernetes.ingress_class?%s",
                        entry->namespace, entry->name, seconds, warning);
        if (entry->nodeport)
                return err_set(err, ERR_TIMEOUT, "the Service %s/%s has no node port after %.0f s%s", entry->namespace,
                        entry->name, seconds, warning);
        return err_set(err, ERR_TIMEOUT,
                "the Service %s/%s has no address after %.0f s: this Kubernetes cluster gives balancers none (a "
                "cloud's "
                "controller or MetalLB does); with kubernetes.entry: ingress or nodeport none is needed%s",
                entry->namespace, entry->name, seconds, warning);
}

static int wait_for(struct entry *entry, struct kube *kube, struct err **err)
{
        struct clock *clock = entry->ctx->clock;
        struct kube_ref ref = ref_of(entry);
        CLEANUP_FREE char *field = str_format("metadata.name=%s", entry->name);
        struct kube_list list = {
                .api_version = ref.api_version, .kind = ref.kind, .namespace = ref.namespace, .fields = field};
        double seconds = spec_number(entry->spec, "seconds", SECONDS);
        int64_t begun = clock->monotonic_ms(clock);
        int troubles = 0;
        for (;;) {
                int r = kube_wait_watch(entry->ctx, kube, &ref, &list, SLICE_MS, on_event, entry, &troubles, err);
                if (r < 0 || is_there(entry))
                        return r;
                int64_t waited = clock->monotonic_ms(clock) - begun;
                char duration[32];
                if ((double)waited > seconds * 1000)
                        return no_address(entry, kube, seconds, err);
                kind_progress(entry->ctx, "waiting for an address of %s %s (%s)", ref.kind, entry->name,
                        clock_duration(waited, duration));
        }
}

/* ---- the name ---- */

/* What a name, or an address, leads to. 0, or what getaddrinfo says. */
static int resolve(const char *name, struct addresses *ret)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
        int failure = getaddrinfo(name, NULL, &hints, &list);
        if (failure)
                return failure;
        for (struct addrinfo *a = list; a; a = a->ai_next) {
                char found[NI_MAXHOST];
                if (getnameinfo(a->ai_addr, a->ai_addrlen, found, sizeof found, NULL, 0, NI_NUMERICHOST) == 0)
                        add_address(ret, found);
        }
        freeaddrinfo(list);
        return 0;
}

static bool share(const struct addresses *one, const struct addresses *other)
{
        for (size_t i = 0; i < one->count; i++)
                for (size_t k = 0; k < other->count; k++)
                        if (strcmp(one->item[i], other->item[k]) == 0)
                                return true;
        return false;
}

/* A name that the form gives leads where users have to come: to one of `wanted`, or, if that is empty, where target
 * does. target "": somebody's proxy, wherever that is. */
static int check_name(
        const char *domain, const char *target, struct addresses wanted, const char *what, struct err **err)
{
        struct addresses named = {0};
        int failure = resolve(domain, &named);
        if (failure)
                return err_set(err, ERR_INVALID,
                        "domain %s does not resolve (%s): make a DNS entry for it that points to %s, and apply again",
                        domain, gai_strerror(failure), *target ? target : what);
        if (!*target)
                return 0;
        if ((wanted.count == 0 && resolve(target, &wanted)) || share(&named, &wanted))
                return 0;
        CLEANUP_BUF struct buf found = BUF_INIT(1000);
        for (size_t i = 0; i < named.count; i++)
                buf_format(&found, "%s%s", i ? ", " : "", named.item[i]);
        return err_set(err, ERR_INVALID,
                "domain %s resolves to %s, not to %s, which is %s: change its DNS entry, and apply again", domain,
                found.length ? found.data : "nothing", target, what);
}

/* The balancer's own name is as good as one made of its address. The caller frees. */
static char *name_of(const struct entry *entry, const char *address)
{
        char dashed[NET_ADDRESS_MAX];
        if (net_dashed(address, dashed) < 0)
                return str_copy(address);
        return str_format("pangeo.%s.%s", dashed, spec_text(entry->spec, "wildcard_dns", "sslip.io"));
}

static int name_it(const struct entry *entry, json_t **ret_outputs, struct err **err)
{
        const char *domain = spec_text(entry->spec, "domain", ""), *fixed = spec_text(entry->spec, "external_ip", "");
        const char *what = entry->ingress    ? "the Ingress' address"
                           : entry->nodeport ? "the proxy before the node port"
                                             : "the balancer's address";
        const char *address = *fixed ? fixed : entry->address;
        struct addresses only = {0};
        int64_t port = spec_whole(entry->spec, "port", HTTPS);
        add_address(&only, fixed);
        if (*fixed && *entry->address && !share(&only, &entry->all) && !entry->ingress)
                return err_set(err, ERR_INVALID,
                        "external_ip is %s, but the balancer has the address %s: it cannot be had, or the cloud has "
                        "another way to ask for it (kubernetes.annotations)",
                        fixed, entry->address);
        if (!*domain && !*address)
                return err_set(err, ERR_INVALID, "domain is needed, as no address is known that it could be made of");
        int r = *domain ? check_name(domain, address, *fixed ? only : entry->all, what, err) : 0;
        if (r < 0)
                return r;
        CLEANUP_FREE char *name = *domain ? str_copy(domain) : name_of(entry, address);
        CLEANUP_FREE char *origin =
                port == HTTPS ? str_format("https://%s", name) : str_format("https://%s:%lld", name, (long long)port);
        CLEANUP_FREE char *url = str_format("%s/", origin);
        *ret_outputs = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "domain", name, "address", address, "connect",
                *domain ? "" : address, "url", url, "origin", origin, "node_port", (json_int_t)entry->node_port);
        return 0;
}

static int apply(struct kind_ctx *ctx, const struct resource *r, const struct recorded *recorded, const json_t *state,
        json_t **ret_outputs, struct err **err)
{
        (void)recorded, (void)state;
        struct entry entry;
        struct kube *kube = NULL;
        entry_of(ctx, r->spec, &entry);
        int result = kube_of(ctx, &kube, err);
        if (result == 0)
                result = wait_for(&entry, kube, err);
        return result < 0 ? result : name_it(&entry, ret_outputs, err);
}

static int adopt(
        struct kind_ctx *ctx, const struct resource *r, json_t **ret_state, json_t **ret_outputs, struct err **err)
{
        json_auto_t *state = NULL;
        int result = observe(ctx, r, &state, err);
        if (result < 0 || !state)
                return result;
        result = apply(ctx, r, NULL, state, ret_outputs, err);
        if (result == 0)
                *ret_state = STEAL(state);
        return result;
}

extern const struct kind kind_kube_entry;
const struct kind kind_kube_entry = {
        .name = "kube.entry",
        .check = check,
        .observe = observe,
        .compare = nothing_compare,
        .apply = apply,
        .remove = nothing_remove,
        .adopt = adopt,
};
