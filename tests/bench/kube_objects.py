"""What the Kubernetes part of `make bench` measures with: objects as caas wrote them, and the same given to each tool."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Object = dict[str, Any]
MANAGER = "caas"
RESOURCE = "caas.pangeo.io/resource"
MARKS = ("app.kubernetes.io/managed-by", "caas.pangeo.io/cluster", RESOURCE)
ROLE_MAX = 1000  # resources; a file of a role is 1 MB at most
# Kinds a role set is made of; the namespace is there for all, and a definition of kinds belongs to one owner at a time.
KINDS = (
    "serviceaccounts,configmaps,secrets,services,persistentvolumeclaims,deployments,statefulsets,daemonsets,jobs,"
    "roles,rolebindings,networkpolicies,poddisruptionbudgets,ingresses"
)


def _item(live: list[Any], key: str) -> Any:
    wanted = json.loads(key[2:])
    if key.startswith("v:"):
        return wanted
    found = [one for one in live if all(one.get(name) == value for name, value in wanted.items())]
    return found[0] if found else None


def _part(live: Any, fields: Object) -> Any:
    """What `fields` (managedFields' fieldsV1) names of it."""
    names = [name for name in fields if name != "."]
    if not names or live is None:
        return live
    if isinstance(live, list):
        return [_part(_item(live, name), fields[name]) for name in names]
    return {name[2:]: _part(live[name[2:]], fields[name]) for name in names if name[2:] in live}


def is_of_directory(live: Object) -> bool:
    """Made for the cluster's own directory, in the place of which other installations are given one that is there."""
    resource: str = live["metadata"]["annotations"][RESOURCE]
    return resource == "network/directory" or (resource.startswith("identity/") and resource != "identity/hub_ca")


def as_written(live: Object) -> Object:
    """The object as caas sent it, without its marks and its place."""
    entry = next(one for one in live["metadata"]["managedFields"] if one["manager"] == MANAGER)
    made: Object = {"apiVersion": live["apiVersion"], "kind": live["kind"]}
    made |= _part(live, entry["fieldsV1"])
    metadata = made.setdefault("metadata", {})
    for place in ("labels", "annotations"):
        metadata[place] = {key: text for key, text in metadata.get(place, {}).items() if key not in MARKS}
        if not metadata[place]:
            del metadata[place]
    metadata["name"] = live["metadata"]["name"]
    if live["kind"] == "Secret":
        made["data"] = live.get("data", {})
        made.pop("stringData", None)
    return made


def without_pods(objects: Iterable[Object]) -> list[Object]:
    """Nothing of it runs: the tools are compared, not the node."""
    made = json.loads(json.dumps(list(objects)))
    for one in made:
        if one["kind"] in ("Deployment", "StatefulSet"):
            one["spec"]["replicas"] = 0
        elif one["kind"] == "DaemonSet":
            one["spec"]["template"]["spec"]["nodeSelector"] = {"caas.pangeo.io/none": "none"}
        elif one["kind"] == "Service" and one["spec"].get("type") in ("LoadBalancer", "NodePort"):
            one["spec"]["type"] = "ClusterIP"
            for port in one["spec"].get("ports", []):
                port.pop("nodePort", None)
    return made


def many(count: int) -> list[Object]:
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"bench-{i:04}", "labels": {"app": "bench"}},
            "data": {"number": str(i), "text": "what stands in it " * 10},
        }
        for i in range(count)
    ]


def claims(count: int, space: str, storage_class: str) -> tuple[list[Object], list[Object]]:
    """Volumes that nobody provides, and claims that are bound to them."""
    size = {"storage": "1G"}
    volumes = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{space}-{i:04}", "labels": {"caas-bench": space}},
            "spec": {
                "capacity": size,
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage_class,
                "persistentVolumeReclaimPolicy": "Retain",
                "csi": {"driver": "bench.invalid", "volumeHandle": f"{space}-{i:04}"},
                "claimRef": {"namespace": space, "name": f"claim-user{i:04}"},
            },
        }
        for i in range(count)
    ]
    homes = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"claim-user{i:04}", "labels": {"component": "singleuser-storage"}},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": size},
                "storageClassName": storage_class,
                "volumeName": f"{space}-{i:04}",
            },
        }
        for i in range(count)
    ]
    return volumes, homes


def manifest(path: Path, objects: Iterable[Object]) -> Path:
    """For kubectl."""
    path.write_text("".join(f"---\n{json.dumps(one)}\n" for one in objects))
    return path


def chart(folder: Path, objects: Iterable[Object]) -> Path:
    """For helm: one template an object, as charts have it."""
    templates = folder / "templates"
    templates.mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 1.0.0\n")
    for i, one in enumerate(objects):
        text = json.dumps(one).replace("{{", '{{ "{{" }}')
        (templates / f"{i:04}.yaml").write_text(text + "\n")
    return folder


def _literal(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {_literal(key): _literal(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_literal(one) for one in tree]
    return tree.replace("${", "$${") if isinstance(tree, str) else tree


def role(folder: Path, images: Path, resources: Sequence[Object]) -> Path:
    """For caas: a folder of data with roles of these resources."""
    (folder / "roles" / "base").mkdir(parents=True)
    (folder / "templates").mkdir()
    (folder / "roles" / "base" / "images.yaml").write_bytes(images.read_bytes())
    (folder / "roles" / "base" / "role.yaml").write_text("name: base\ntargets: {kubernetes: []}\n")
    for i in range(0, len(resources), ROLE_MAX):
        name = f"bench{i // ROLE_MAX}"
        tree = {"name": name, "targets": {"kubernetes": list(resources[i : i + ROLE_MAX])}}
        (folder / "roles" / name).mkdir()
        (folder / "roles" / name / "role.yaml").write_text(json.dumps(tree))
    return folder


def as_resources(objects: Iterable[Object], space: str) -> list[Object]:
    """What a role says of them; the namespace first, which for the other tools is there before."""
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
    made: list[Object] = [{"id": "bench0/namespace", "kind": "kube.object", "spec": {"object": home}}]
    for i, one in enumerate(objects):
        spec = {"object": _literal(one), "wait": False}
        name = f"bench{(i + 1) // ROLE_MAX}/{i:04}"  # the role that role() puts it in
        made.append({"id": name, "kind": "kube.object", "needs": ["bench0/namespace"], "spec": spec})
    return made
