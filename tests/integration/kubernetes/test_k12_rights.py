"""What the parts of a cluster may ask of Kubernetes: as much as they need, in their namespace, and nothing else."""

import json

from bed import Lab

LOOK = {"get", "list", "watch"}
HUB = {
    "pods": LOOK | {"create", "delete"},
    "pods/log": {"get"},
    "persistentvolumeclaims": {"get", "create"},
    "events": LOOK,
}
API = {"gateway.dask.org/daskclusters": LOOK | {"create", "patch"}, "secrets": {"get"}}
CONTROLLER = {
    "gateway.dask.org/daskclusters": LOOK | {"delete"},
    "gateway.dask.org/daskclusters/status": {"patch"},
    "pods": LOOK | {"create", "delete"},
    "endpoints": LOOK,
    "secrets": {"create", "delete"},
    "services": {"create", "delete"},
    "networking.k8s.io/networkpolicies": {"create", "delete"},
}


def rights(lab: Lab, account: str, namespace: str) -> set[tuple[str, ...]]:
    """All that an account of the cluster's namespace may, as the API server counts it: verb, what of, only of what name."""
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    words = ["create", "--raw", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "-f", "-"]
    who = f"--as=system:serviceaccount:{lab.namespace}:{account}"
    status = json.loads(lab.bed.kubectl(*words, who, given=json.dumps(asked)))["status"]
    assert not status["incomplete"], status
    found = {
        (verb, path)
        for rule in status["nonResourceRules"]
        for verb in rule["verbs"]
        for path in rule["nonResourceURLs"]
    }
    for rule in status["resourceRules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                what = f"{group}/{resource}".removeprefix("/")
                found |= {(verb, what, name) for verb in rule["verbs"] for name in rule.get("resourceNames") or ["*"]}
    return found


def test_accounts_may_what_they_need_and_no_more(lab: Lab) -> None:
    gateway = f"{lab.name}-dask-gateway"
    wanted = {"default": {}, "hub": HUB, f"api-{gateway}": API, f"controller-{gateway}": CONTROLLER}
    assert lab.names("serviceaccount") == set(wanted)
    everybodys, elsewhere = rights(lab, "nobody", lab.namespace), rights(lab, "nobody", "kube-system")
    for account, may in wanted.items():
        more = {(verb, what, "*") for what, verbs in may.items() for verb in verbs}
        assert rights(lab, account, lab.namespace) - everybodys == more, account
        assert rights(lab, account, "kube-system") == elsewhere, account
