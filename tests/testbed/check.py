#!/usr/bin/python3
"""check.py BIN A B: checks the test bed itself. A and B: names of two clusters that it starts and removes.

Ends with "N passed, N failed"."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN, A, B = sys.argv[1:4]
IMAGE = "quay.io/jupyterhub/configurable-http-proxy:5.3.0"
passed = failed = 0

WRITER = """
import os, time
print(os.getuid(), open("/home/x/a", "w").write("b"), flush=True)
time.sleep(999)
"""
SERVER = """
import http.server, threading
for port in (8080, 9090):
    server = http.server.ThreadingHTTPServer(("", port), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever).start()
"""
# Prints for each "address:port" whether a connection opens within 1.5 s: a packet that is dropped is sent again after 1 s.
CLIENT = """
import socket, sys, concurrent.futures
def look(target):
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1.5).close()
        return "open"
    except ConnectionRefusedError:
        return "open"
    except OSError:
        return "shut"
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    print(" ".join(pool.map(look, sys.argv[1:])))
"""


def state(name):
    return "/var/tmp/caas-testbed-" + name


def check(what, good, detail=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
    print(f"{'ok' if good else 'FAILED'}: {what}" + (f": {detail}" if detail and not good else ""), flush=True)
    return good


def script(*words):
    began = time.monotonic()
    done = subprocess.run(["bash", os.path.join(HERE, words[0]), *words[1:]], stdout=subprocess.PIPE, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: status {done.returncode}")
    return time.monotonic() - began, done.stdout.decode()


def kubectl(name, *words, text=None, good=True):
    env = dict(os.environ, KUBECONFIG=state(name) + "/admin.kubeconfig")
    done = subprocess.run([BIN + "/kubectl", *words], input=text, env=env, capture_output=True, text=True, timeout=180)
    if good and done.returncode:
        raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()[-800:]}")
    return done.stdout.strip()


def apply(name, *objects):
    kubectl(name, "apply", "--server-side", "-f", "-", text="\n---\n".join(json.dumps(o) for o in objects))


def until(seconds, question):
    """The answer, once it is true or the time is up."""
    end = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.2)
    return answer


def number(name):
    with open(state(name) + "/number", encoding="ascii") as file:
        return file.read().strip()


def leftovers(name, n):
    """What a cluster, the n-th, could leave behind on this machine."""
    group = "caas-testbed-" + name
    lines = []
    for command in (
        f"grep -h {group} /proc/mounts",
        f"ip -br link show caastb{n} 2>/dev/null",
        f"ip route | grep -E ' 10[.]99[.]{n}[.]|caastb{n} '",
        f"find /sys/fs/cgroup -maxdepth 2 -name {group}",
        f"pgrep -af {group}/",
        f"ls -d {state(name)} 2>/dev/null",
    ):
        out = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE).stdout.decode()
        lines += [line for line in out.splitlines() if "pgrep" not in line]
    return lines


def complete(name):
    """The node takes pods, those of the cluster itself are ready, and the service account that pods want is there."""
    node = kubectl(name, "get", "nodes", "-o", 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')
    pods = kubectl(name, "get", "pods", "-A", "-o", 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}')
    account = kubectl(name, "get", "serviceaccount", "default", "-n", "default", "-o", "name", good=False)
    return node == "True" and set(pods.split()) == {"True"} and account == "serviceaccount/default"


def apart(numbers):
    """Two clusters side by side answer at addresses of their own, each as itself."""
    which = 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address} {.items[0].metadata.uid}'
    seen = {name: kubectl(name, "get", "nodes", "-o", which).split() for name in numbers}
    right = all(seen[name][0] == f"10.99.{n}.1" for name, n in numbers.items())
    return right and len({uid for _, uid in seen.values()}) == len(numbers) == 2, seen


def machine():
    """What no cluster may change."""
    settings = [
        "vm/overcommit_memory",
        "kernel/panic",
        "kernel/panic_on_oops",
        "net/ipv4/ip_forward",
        "kernel/keys/root_maxkeys",
    ]
    values = {}
    for setting in settings:
        with open("/proc/sys/" + setting, encoding="ascii") as file:
            values[setting] = file.read()
    folders = ("/var/lib/kubelet", "/var/lib/cni", "/etc/cni", "/run/containerd", "/var/lib/pv", "/var/log/pods")
    values.update((folder, os.path.exists(folder)) for folder in folders)
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True)
    return {**values, "nft": rules.stdout}


def pod(name, namespace, labels, program=None, ports=(), **more):
    container = {
        "name": "main",
        "image": IMAGE,
        "command": ["python3", "-c", program or "import signal; signal.pause()"],
        "ports": [{"name": n, "containerPort": p} for n, p in ports],
        **more,
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec,
    }


def policy(name, namespace, spec):
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def look(namespace, client, *targets):
    return kubectl(A, "-n", namespace, "exec", client, "--", "python3", "-c", CLIENT, *targets).split()


def address(namespace, name):
    return kubectl(A, "-n", namespace, "get", "pod", name, "-o", "jsonpath={.status.podIP}")


def pods_and_volumes():
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "home", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    runs = pod(
        "runs",
        "default",
        {},
        WRITER,
    )
    runs["spec"]["volumes"] = [{"name": "home", "persistentVolumeClaim": {"claimName": "home"}}]
    runs["spec"]["containers"][0]["volumeMounts"] = [{"name": "home", "mountPath": "/home/x"}]
    runs["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}
    runs["spec"]["securityContext"] = {"runAsUser": 1000, "fsGroup": 100, "seccompProfile": {"type": "RuntimeDefault"}}
    began = time.monotonic()
    apply(A, claim, runs)
    kubectl(A, "wait", "--for=condition=Ready", "pod/runs", "--timeout=60s")
    seconds = time.monotonic() - began
    node = kubectl(A, "get", "pod", "runs", "-o", "jsonpath={.status.phase} {.spec.nodeName}")
    check(f"a pod runs ({seconds:.1f} s)", node == "Running node1", node)
    check(
        "it writes to its volume as uid 1000, its log is read",
        until(10, lambda: kubectl(A, "logs", "runs") == "1000 1"),
    )
    limit = kubectl(
        A,
        "exec",
        "runs",
        "--",
        "sh",
        "-c",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true",
    )
    check("its memory is limited", str(64 << 20) in limit.split(), limit)
    kubectl(A, "patch", "pvc", "home", "-p", '{"spec": {"resources": {"requests": {"storage": "3Gi"}}}}')
    grown = until(10, lambda: kubectl(A, "get", "pvc", "home", "-o", "jsonpath={.status.capacity.storage}") == "3Gi")
    check("its volume grows", grown)
    names = kubectl(
        A, "exec", "runs", "--", "python3", "-c", "import socket; print(socket.gethostbyname('kubernetes.default'))"
    )
    check("services have names", names.startswith("10.96."), names)
    kubectl(A, "delete", "pod/runs", "pvc/home", "--wait")
    gone = until(10, lambda: not kubectl(A, "get", "pv", "-o", "name"))
    check("with its claim a volume is removed", gone)
    absent = pod("absent", "default", {})
    absent["spec"]["containers"][0]["image"] = "registry.example.org/not/there:1"
    apply(A, absent)
    reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
    check(
        "an image that is not there fails soon",
        until(15, lambda: "Pull" in kubectl(A, "get", "pod", "absent", "-o", reason)),
    )
    kubectl(A, "delete", "pod/absent", "--wait=false")


def policies():
    for namespace in ("pa", "pb"):
        apply(
            A, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"team": namespace}}}
        )
    ready = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    ports = (("web", 8080), ("other", 9090))
    apply(
        A,
        pod("server", "pa", {"app": "server"}, SERVER, ports, readinessProbe=ready),
        pod("second", "pb", {"app": "server"}, SERVER, ports, readinessProbe=ready),
        *(pod(n, ns, {"app": n}) for ns in ("pa", "pb") for n in ("good", "bad")),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server", "namespace": "pa"},
            "spec": {
                "type": "LoadBalancer",
                "selector": {"app": "server"},
                "ports": [{"port": 80, "targetPort": "web"}],
            },
        },
    )
    for namespace in ("pa", "pb"):
        kubectl(A, "-n", namespace, "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    server, second = address("pa", "server"), address("pb", "second")
    with open(state(A) + "/run/env", encoding="utf-8") as file:
        values = dict(line.strip().split("=", 1) for line in file)
    api, outside = values["API_IP"] + ":443", values["HOST_IP"] + ":8899"
    service = kubectl(A, "-n", "pa", "get", "service", "server", "-o", "jsonpath={.spec.clusterIP}")
    balancer = until(
        5,
        lambda: kubectl(
            A, "-n", "pa", "get", "service", "server", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"
        ),
    )
    targets = (
        server + ":8080",
        server + ":9090",
        service + ":80",
        second + ":8080",
        api,
        outside,
        "169.254.169.254:80",
    )
    listener = subprocess.Popen(
        [sys.executable, "-m", "http.server", "-b", values["HOST_IP"], "8899"], stderr=subprocess.DEVNULL
    )

    def fetch(target):
        try:
            return (
                subprocess.run(["curl", "-s", "-o", "/dev/null", "--max-time", "2", f"http://{target}/"]).returncode
                == 0
            )
        except OSError:
            return False

    def expect(what, namespace, client, wanted, seconds=10):
        """wanted: a letter for each target, o(pen) or s(hut); soon, as what is closed or opened has to be noticed first."""
        seen = ""

        def right():
            nonlocal seen
            seen = "".join(word[0] for word in look(namespace, client, *targets))
            return seen == wanted

        until(seconds, right)
        check(f"policies: {what}", seen == wanted, f"{dict(zip(targets, seen, strict=True))}, wanted {wanted}")

    try:
        expect("without any, all is open", "pb", "bad", "ooooooo")
        check("policies: the machine reaches a load balancer's address", fetch(balancer))
        apply(
            A,
            policy(
                "in",
                "pa",
                {"podSelector": {"matchLabels": {"app": "server"}}, "policyTypes": ["Ingress"], "ingress": []},
            ),
        )
        expect("default deny closes a pod, directly and by its service", "pa", "good", "sssoooo")
        check("policies: and to the machine outside", not fetch(balancer))
        time.sleep(2)
        conditions = kubectl(
            A, "-n", "pa", "get", "pod", "server", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
        )
        check("policies: the kubelet's probes go on", conditions == "True", conditions)
        rules = [
            {"from": [{"podSelector": {"matchLabels": {"app": "good"}}}], "ports": [{"port": "web"}]},
            {
                "from": [
                    {
                        "namespaceSelector": {"matchLabels": {"team": "pb"}},
                        "podSelector": {"matchLabels": {"app": "good"}},
                    }
                ],
                "ports": [{"port": 9000, "endPort": 9100}],
            },
            {"from": [{"ipBlock": {"cidr": "10.99.0.0/16"}}], "ports": [{"port": 8080, "protocol": "TCP"}]},
        ]
        apply(
            A,
            policy(
                "some",
                "pa",
                {"podSelector": {"matchLabels": {"app": "server"}}, "policyTypes": ["Ingress"], "ingress": rules},
            ),
        )
        expect("podSelector and a port's name", "pa", "good", "osooooo")
        expect("podSelector: not another pod", "pa", "bad", "sssoooo")
        expect("namespaceSelector with podSelector, a range of ports", "pb", "good", "sosoooo")
        expect("namespaceSelector with podSelector: not another pod", "pb", "bad", "sssoooo")
        check("policies: ipBlock lets the machine in", fetch(balancer))
        out = {"podSelector": {"matchLabels": {"app": "bad"}}, "policyTypes": ["Egress"], "egress": []}
        apply(A, policy("out", "pb", out))
        expect("egress: default deny", "pb", "bad", "sssssss")
        out["egress"] = [
            {"to": [{"ipBlock": {"cidr": "10.99.0.0/16", "except": [values["HOST_IP"] + "/32"]}}]},
            {"to": [{"podSelector": {}}], "ports": [{"port": 8080}]},
        ]
        apply(A, policy("out", "pb", out))
        expect("egress: ipBlock, except, podSelector of its own namespace", "pb", "bad", "sssooss")
        apply(A, pod("new", "pb", {"app": "bad"}))
        kubectl(A, "-n", "pb", "wait", "--for=condition=Ready", "pod/new", "--timeout=60s")
        expect("egress: a new pod is under them at once", "pb", "new", "sssooss", seconds=0)
        out["egress"] = [
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16", "10.244.0.0/16", "10.99.0.0/16"]}}]}
        ]
        apply(A, policy("out", "pb", out))
        expect("egress: ipBlock with except", "pb", "bad", "sssssss")
        kubectl(A, "-n", "pb", "label", "pod", "bad", "app=free", "--overwrite")
        kubectl(A, "-n", "pa", "delete", "networkpolicy", "--all")
        expect("taken away, all is open again", "pb", "bad", "ooooooo")
    finally:
        listener.kill()
        kubectl(A, "delete", "namespace", "pa", "pb", "--wait=false", good=False)


def fake_nodes():
    script("kwok.sh", "--name", A, "up", "20")
    labels = {"app": "many"}
    tolerate = [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}]
    spec = {"containers": [{"name": "c", "image": IMAGE}], "nodeSelector": {"type": "kwok"}, "tolerations": tolerate}
    template = {"metadata": {"labels": labels}, "spec": spec}
    many = {"replicas": 200, "selector": {"matchLabels": labels}, "template": template}
    apply(
        A,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "many", "namespace": "default"},
            "spec": many,
        },
    )
    began = time.monotonic()
    kubectl(A, "rollout", "status", "deployment/many", "--timeout=90s")
    seconds = time.monotonic() - began
    where = kubectl(A, "get", "pods", "-l", "app=many", "-o", "jsonpath={.items[*].spec.nodeName}").split()
    check(
        f"200 fake pods on 20 fake nodes ({seconds:.1f} s)",
        len(where) == 200 and all(n.startswith("fake-") for n in where),
        where,
    )
    kubectl(A, "delete", "deployment", "many", "--wait")
    script("kwok.sh", "--name", A, "down")
    check("the fake nodes go again", "fake" not in kubectl(A, "get", "nodes"))


def ingress():
    kubectl(A, "apply", "--server-side", "-f", os.path.join(HERE, "cluster/ingress.yaml"))
    ports = {"ports": [{"port": 80, "targetPort": 8080}], "selector": {"app": "page"}}
    backend = {"service": {"name": "page", "port": {"number": 80}}}
    rule = {"host": "page.example.org", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    apply(
        A,
        pod("page", "default", {"app": "page"}, SERVER),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "page", "namespace": "default"}, "spec": ports},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "page", "namespace": "default"},
            "spec": {"ingressClassName": "traefik", "rules": [rule]},
        },
    )
    kubectl(A, "-n", "ingress", "rollout", "status", "deployment/traefik", "--timeout=60s")
    ip = until(10, lambda: kubectl(A, "get", "ingress", "page", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"))

    def code(host):
        done = subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "3", "-H", "Host: " + host, f"http://{ip}/"],
            stdout=subprocess.PIPE,
        )
        return done.stdout.decode()

    check("an ingress has its controller's address", ip)
    check(
        "an ingress leads to its service",
        until(15, lambda: code("page.example.org") == "200"),
        code("page.example.org"),
    )
    check("another host does not", code("other.example.org") == "404")


def pruning():
    """What nobody has used for two weeks goes from the cache, and nothing else; two checkouts of the same files share it."""
    with tempfile.TemporaryDirectory() as cache:
        for name, days in (("part-old-1", 20), ("part-new-1", 3), ("tools-old", 15), ("0123456789abcdef", 30)):
            mark = os.path.join(cache, "testbed", name, "complete")
            os.makedirs(os.path.dirname(mark))
            with open(mark, "w", encoding="ascii"):
                os.utime(mark, (time.time() - days * 86400,) * 2)
        os.makedirs(os.path.join(cache, "testbed", "go-1"))
        env = dict(os.environ, CAAS_TEST_CACHE=cache)
        subprocess.run(["bash", "-euc", f". {HERE}/lib.sh; prune"], env=env, check=True, timeout=60)
        left = sorted(os.listdir(os.path.join(cache, "testbed")))
        check("the cache is pruned", left == ["go-1", "part-new-1"], left)
        copy = os.path.join(cache, "elsewhere")
        shutil.copytree(HERE, copy)
        sums = {
            subprocess.run(
                ["bash", "-euc", f'. {here}/lib.sh; digest "$TESTBED/images/users.sh" "$TESTBED/images/pause.c"'],
                stdout=subprocess.PIPE,
                check=True,
            ).stdout
            for here in (HERE, copy)
        }
        check("another checkout has the same keys", len(sums) == 1, sums)


def main():
    before, numbers = machine(), {}
    pruning()
    try:
        for name, what in ((A, "a cluster comes up"), (B, "another beside it")):
            seconds, said = script("up.sh", "--name", name)
            numbers[name] = number(name)
            right = said.split()[-1] == state(name) + "/admin.kubeconfig" and complete(name)
            check(f"{what} ({seconds:.1f} s)", right, said)
        check("both have their own place", *apart(numbers))
        for part in (pods_and_volumes, policies, fake_nodes, ingress):
            try:
                part()
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                check(part.__name__, False, error)
        apply(B, pod("runs", "default", {}))
        kubectl(B, "wait", "--for=condition=Ready", "pod/runs", "--timeout=60s")
        check("a pod runs in the other cluster", True)
        began = time.monotonic()
        script("fault.sh", "--name", B, "restart", "kube-apiserver")
        time.sleep(0.3)
        check(
            "the API server comes back",
            until(30, lambda: "node1" in kubectl(B, "get", "nodes", good=False)),
            f"{time.monotonic() - began:.1f} s",
        )
        script("down.sh", "--name", A, "--wipe")
        check("with one down the other goes on", kubectl(B, "exec", "runs", "--", "echo", "here") == "here")
        script("down.sh", "--name", B)
        seconds, _ = script("up.sh", "--name", B)
        pods = kubectl(B, "get", "pods", "-o", "name")
        check(f"a cluster that was there comes up again, empty ({seconds:.1f} s)", complete(B) and not pods, pods)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        check("the test bed", False, error)
    finally:
        for name in (A, B):
            script("down.sh", "--name", name, "--wipe")
    left = [line for name, n in numbers.items() for line in leftovers(name, n)]
    check("nothing is left behind", numbers and not left, left)
    check(
        "the machine is as it was",
        machine() == before,
        [key for key, value in machine().items() if value != before[key]],
    )
    print(f"testbed: {passed} passed, {failed} failed")
    if os.environ.get("TALLY"):
        with open(os.environ["TALLY"], "a", encoding="ascii") as file:
            file.write(f"{passed} {failed}\n")
    return failed > 0


sys.exit(main())
