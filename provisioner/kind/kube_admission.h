/* Would the namespace take the pods of a workload? */
#ifndef CAAS_KIND_KUBE_ADMISSION_H
#define CAAS_KIND_KUBE_ADMISSION_H

#include "base/err.h"
#include "client/kube/kube.h"
#include "kind/kube_manifest.h"

/* A server takes a Deployment, and then its pods are refused one by one: by the namespace's Pod Security level, a
 * policy, a webhook, its LimitRange. By that time the pod that ran before may have ended. So it is asked beforehand, by
 * a dry run of one such pod, which is as much work for the server as the Deployment itself. 0: nothing is known against
 * it, or it is no workload; what only holds for the moment (a quota that is full, an account that is still to be made,
 * a server that does not answer) is not looked at here. -ERR_REFUSED in the server's words. Changes nothing; any
 * thread.
 */
int kube_admission_ask(struct kube *kube, const struct manifest *manifest, struct err **err);

/* Is it worth asking when a kube.object of this spec is about to be written? Nothing runs yet of what is not there
 * (state NULL), and whoever waits for it is told what its pods are refused for. Pure. */
bool kube_admission_matters(const json_t *spec, const json_t *state);

/* Is this, of what a server says to a pod, for good? Then the part that says why; otherwise NULL. Pure, borrowed. */
const char *kube_admission_refusal(const char *said);

#endif
