/* Is a Kubernetes object what it should become? By the rules that kstatus documents, stricter in three places: a Job is
 * ready once it is complete, a LoadBalancer Service once it has an address, and a claim that waits for its first pod is
 * ready (kube_ready_bound). Pure. */
#ifndef CAAS_KIND_KUBE_READY_H
#define CAAS_KIND_KUBE_READY_H

#include <jansson.h>
#include <stdbool.h>

enum kube_state { KUBE_READY, KUBE_WAITING, KUBE_FAILED };

/* *ret_text: what is missing, or why it failed ("1 of 2 pods are ready"); NULL when it is ready. The caller frees. */
enum kube_state kube_ready(const json_t *object, char **ret_text);

/* Is it a claim that no volume belongs to yet? */
bool kube_is_unbound_claim(const json_t *object);

/* A condition of the status, or NULL. Borrowed. */
const json_t *kube_condition(const json_t *object, const char *type);

/* What may keep a pod from starting. */
struct kube_trouble {
        enum {
                KUBE_TROUBLE_NONE,
                KUBE_TROUBLE_STARTING, /* nothing wrong so far; text says how far it is */
                KUBE_TROUBLE_PATIENCE, /* may pass by itself within a minute or so (no room on the nodes, a volume) */
                KUBE_TROUBLE_SOON,     /* may pass by itself, but hardly ever does (a registry that says no) */
                KUBE_TROUBLE_FATAL,
        } level;
        char *text;            /* owned */
        const char *container; /* whose log tells more; borrowed from the pod, or NULL */
        bool previous;         /* the log of its run before */
};
void kube_trouble_clear(struct kube_trouble *trouble);
#define CLEANUP_TROUBLE __attribute__((cleanup(kube_trouble_clear)))
void kube_pod_trouble(const json_t *pod, struct kube_trouble *ret);

#endif
