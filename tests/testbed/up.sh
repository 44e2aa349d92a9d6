#!/bin/bash
# up.sh [--name NAME] [--control]: starts a Kubernetes cluster of this machine's own; prints the path of its kubeconfig.
# --control: without a node, no pod runs. On a cluster that runs without one, up.sh adds the node.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
name=tb mode=node
while [ $# -gt 0 ]; do
        case $1 in
        --name) name=$2 && shift 2 ;;
        --control) mode=control && shift ;;
        *) echo "usage: up.sh [--name NAME] [--control]" >&2 && exit 64 ;;
        esac
done
set_name "$name"
[ "$(id -u)" -eq 0 ] || die "a cluster needs root"
began=$(date +%s%N)

wait_ready() {
        local mark=$STATE/run/$mode-ready deadline=$((SECONDS + 120))
        until [ -e "$mark" ]; do
                [ -n "$(init_pid)" ] || die "the cluster ended at once: $(tail -n 5 "$STATE/log/node.log")"
                [ $SECONDS -lt $deadline ] || die "not ready after two minutes; its logs: $STATE/log"
                sleep 0.05
        done
        say "$NAME is up after $((($(date +%s%N) - began) / 1000000)) ms"
        echo "$STATE/admin.kubeconfig"
}

if [ -n "$(init_pid)" ]; then
        if [ $mode = node ] && [ ! -e "$STATE/run/node" ]; then
                bash "$TESTBED/images.sh" --root "$STATE/var/lib/containerd"
                touch "$STATE/run/node"
        fi
        wait_ready
        exit 0
fi

BIN=$(programs --$mode)
bash "$TESTBED/down.sh" --name "$NAME" --quiet
set_number
mkdir -p "$STATE"/{log,etc/cni,run/hold,run/pid,var/lib/containerd,var/log}
chmod 0711 "$STATE" && chmod 0755 "$STATE/log"
bash "$TESTBED/certs.sh" "$STATE/pki" "$NODE" "$NODE_IP" "$API_IP" &
certs=$!
if [ $mode = node ]; then
        TESTBED_BIN=$BIN bash "$TESTBED/images.sh" --root "$STATE/var/lib/containerd"
        touch "$STATE/run/node"
fi
wait $certs
install -m 0600 "$STATE/pki/admin.kubeconfig" "$STATE/admin.kubeconfig"

hard=$(ulimit -Hn)
[ "$hard" != unlimited ] && [ "$hard" -lt 65536 ] && FILES=$hard || FILES=65536
export BIN
for v in NAME NODE BIN N LINK NODE_IP HOST_IP POD_CIDR SERVICE_CIDR API_IP DNS_IP BALANCERS GROUP FILES; do printf '%s=%q\n' $v "${!v}"; done >"$STATE/run/env"
for f in containerd.toml kubelet.yaml kube-proxy.yaml addons.yaml cni/10-pods.conflist; do
        sed -e "s|@STATE@|$STATE|g" -e "s|@POD_CIDR@|$POD_CIDR|g" -e "s|@DNS_IP@|$DNS_IP|g" -e "s|@GROUP@|$GROUP|g" -e "s|@FILES@|$FILES|g" \
                "$TESTBED/cluster/$f" >"$STATE/etc/$f"
done
install -m 0755 "$TESTBED/node.sh" "$STATE/run/node.sh"

# ---- control groups: both kinds
# Beside processes that are in no group, all pods together would count as one of them.
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
        # The kubelet wants all of these that the machine has.
        for c in cpu cpuset hugetlb io memory pids; do
                grep -qw $c /sys/fs/cgroup/cgroup.controllers || continue
                echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null && continue
                # In a container the root of control groups is not the real one, and may not hold processes and groups both.
                mkdir -p /sys/fs/cgroup/host
                while read -r pid; do echo "$pid" >/sys/fs/cgroup/host/cgroup.procs 2>/dev/null || true; done </sys/fs/cgroup/cgroup.procs
                echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control || say "control groups without $c"
        done
        mkdir -p "/sys/fs/cgroup/$GROUP"
        echo 10000 >"/sys/fs/cgroup/$GROUP/cpu.weight" || true
else
        findmnt -n -l -t cgroup -o TARGET | while read -r folder; do
                mkdir -p "$folder/$GROUP"
                [ ! -e "$folder/$GROUP/cpu.shares" ] || echo 16384 >"$folder/$GROUP/cpu.shares"
                if [ -e "$folder/cpuset.cpus" ]; then
                        echo 1 >"$folder/$GROUP/cgroup.clone_children"
                        for f in cpus mems; do cat "$folder/cpuset.$f" >"$folder/$GROUP/cpuset.$f"; done
                fi
        done
fi

# ---- namespaces, and the link into them
setsid unshare --mount --propagation slave --pid --fork --kill-child --mount-proc --net --uts --ipc "$STATE/run/node.sh" \
        >"$STATE/log/node.log" 2>&1 </dev/null 9<&- &
parent=$!
for _ in {1..200}; do
        pid=$(cat "/proc/$parent/task/$parent/children" 2>/dev/null || true)
        [ -z "$pid" ] || break
        sleep 0.02
done
pid=${pid% }
[ -n "$pid" ] || die "no namespaces: $(cat "$STATE/log/node.log")"
echo "$pid" >"$STATE/init.pid"
ip link add "$LINK" type veth peer name node netns "$pid"
ip addr add "$HOST_IP/24" dev "$LINK"
ip link set "$LINK" up
for to in "$POD_CIDR" "$SERVICE_CIDR" "$BALANCERS"; do ip route replace "$to" via "$NODE_IP"; done
touch "$STATE/run/linked"
for _ in {1..200}; do
        [ -z "$(init_pid)" ] || break
        sleep 0.02
done
wait_ready
