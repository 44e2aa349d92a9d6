#!/bin/bash
# PID 1 of a cluster's namespaces (mount, process, network, host name, IPC). up.sh starts it, from a copy in the state folder.
set -u
S=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=/dev/null
. "$S/run/env"
mount --make-rshared /
bound() { mkdir -p "$1" && mount --bind "$1" "$2" && mount --make-rshared "$2"; }
mkdir -p "$S/bin" && mount --bind "$BIN" "$S/bin"
bound "$S/var/lib" /var/lib
bound "$S/var/log" /var/log
mount -t tmpfs none /run && mkdir -p /run/containerd && mount --make-rshared /run
mkdir -p /var/lib/{kubelet,containerd,cni,pv}
# The kubelet sets these of the whole machine unless they already read as it wants: it is shown files that do.
setting() {
        mkdir -p "$S/run/sys/${1%/*}" && echo "$2" >"$S/run/sys/$1" && mount --bind "$S/run/sys/$1" "/proc/sys/$1"
}
setting vm/overcommit_memory 1
setting vm/panic_on_oom 0
setting kernel/panic 10
setting kernel/panic_on_oops 1
setting kernel/keys/root_maxkeys 1000000
setting kernel/keys/root_maxbytes 25000000
# No registry is asked for an image that is not there: it fails at once.
echo "nameserver 127.0.0.1" >"$S/run/resolv.conf" && mount --bind "$S/run/resolv.conf" /etc/resolv.conf
hostname "$NODE"
ip link set lo up
until [ -e "$S/run/linked" ]; do sleep 0.02; done
ip addr add "$NODE_IP/24" dev node && ip link set node up && ip route add default via "$HOST_IP"
# Where clouds answer with a machine's secrets; nothing listens there until a test does.
ip addr add 169.254.169.254/32 dev lo
echo 1 >/proc/sys/net/ipv4/ip_forward
ulimit -n "$FILES"
export PATH=$S/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root KUBECONFIG=$S/pki/admin.kubeconfig P=$S/pki

# A component that ends is started again, unless fault.sh holds it.
component() {
        local name=$1
        shift
        (
                while :; do
                        [ ! -e "$S/run/hold/$name" ] || { sleep 0.1; continue; }
                        "$@" >>"$S/log/$name.log" 2>&1 &
                        echo $! >"$S/run/pid/$name"
                        wait $!
                        sleep 0.3
                done
        ) &
}
api() { curl -s --max-time 2 --cacert "$P/ca.crt" --cert "$P/admin.crt" --key "$P/admin.key" "https://127.0.0.1:6443$1"; }
began=$(date +%s%N)
step() { printf '%6d ms  %s\n' $((($(date +%s%N) - began) / 1000000)) "$*"; }

component etcd hyperkube etcd --data-dir "$S/etcd" --unsafe-no-fsync --log-level warn --quota-backend-bytes 4294967296 \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
component kube-apiserver hyperkube kube-apiserver --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range="$SERVICE_CIDR" \
        --tls-cert-file="$P/apiserver.crt" --tls-private-key-file="$P/apiserver.key" --client-ca-file="$P/ca.crt" \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file="$P/sa.pub" --service-account-signing-key-file="$P/sa.key" \
        --kubelet-client-certificate="$P/admin.crt" --kubelet-client-key="$P/admin.key" --kubelet-certificate-authority="$P/ca.crt" --kubelet-preferred-address-types=InternalIP \
        --requestheader-client-ca-file="$P/front-ca.crt" --requestheader-allowed-names=front-proxy-client --requestheader-extra-headers-prefix=X-Remote-Extra- \
        --requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User --proxy-client-cert-file="$P/front-client.crt" --proxy-client-key-file="$P/front-client.key" \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true --advertise-address="$NODE_IP" --profiling=false --shutdown-send-retry-after
containerd_up() { component containerd containerd -c "$S/etc/containerd.toml"; }
with_node=''
[ ! -e "$S/run/node" ] || with_node=1
[ -z "$with_node" ] || containerd_up
until [ "$(api /readyz)" = ok ]; do sleep 0.05; done
step "API server ready"
# Started before it, they lose seconds in back-off.
component kube-controller-manager hyperkube kube-controller-manager --kubeconfig="$P/kcm.kubeconfig" --leader-elect=false --bind-address=127.0.0.1 \
        --service-account-private-key-file="$P/sa.key" --root-ca-file="$P/ca.crt" --cluster-signing-cert-file="$P/ca.crt" --cluster-signing-key-file="$P/ca.key" \
        --use-service-account-credentials --kube-api-qps=500 --kube-api-burst=1000 --concurrent-deployment-syncs=10
component kube-scheduler hyperkube kube-scheduler --kubeconfig="$P/scheduler.kubeconfig" --leader-elect=false --bind-address=127.0.0.1 --kube-api-qps=500 --kube-api-burst=1000
component cloud cloud --kubeconfig="$P/admin.kubeconfig" --node="$NODE" --volumes=/var/lib/pv --balancers="$BALANCERS" --pods="$POD_CIDR" --results=/var/lib/cni/results
node_up() {
        component kubelet hyperkube kubelet --config="$S/etc/kubelet.yaml" --kubeconfig="$P/kubelet.kubeconfig" --hostname-override="$NODE" --node-ip="$NODE_IP"
        component kube-proxy hyperkube kube-proxy --config="$S/etc/kube-proxy.yaml" --hostname-override="$NODE"
}
[ -z "$with_node" ] || node_up
hyperkube kubectl apply --server-side -f "$S/etc/addons.yaml" >>"$S/log/addons.log" 2>&1
step "storage class there"
until api /api/v1/namespaces/default/serviceaccounts/default | grep -q '"uid"'; do sleep 0.05; done
touch "$S/run/control-ready"
step "controllers at work"
if [ -z "$with_node" ]; then # up.sh may add it
        until [ -e "$S/run/node" ]; do sleep 0.5; done
        containerd_up
        node_up
fi
until api "/api/v1/nodes/$NODE" | tr -d ' \n' | grep -q '"type":"Ready","status":"True"'; do sleep 0.1; done
step "node ready"
until api /apis/apps/v1/namespaces/kube-system/deployments/coredns | grep -q '"availableReplicas": 1'; do sleep 0.1; done
step "name service ready"
touch "$S/run/node-ready"
while :; do sleep 3600 & wait $!; done
