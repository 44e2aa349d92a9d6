#!/bin/bash
# kwok.sh [--name NAME] up NODES | down: fake nodes beside the real one, and fake pods on them (label type=kwok, a taint keeps
# other pods away). Fake pods are ready at once and run nothing.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
name=tb
[ "${1:-}" != --name ] || { name=$2 && shift 2; }
set_name "$name"
[ -n "$(init_pid)" ] || die "$NAME does not run"
kubectl() { bash "$TESTBED/run.sh" --name "$NAME" kubectl "$@"; }
case "${1:-}" in
up)
        if [ ! -e "$STATE/run/pid/kwok" ]; then
                cp "$TESTBED/kwok/stages.yaml" "$STATE/etc/kwok.yaml"
                # shellcheck disable=SC2016 # the inner shell expands
                setsid -f bash "$TESTBED/run.sh" --name "$NAME" bash -c 'echo $$ >run/pid/kwok; exec kwok --kubeconfig pki/admin.kubeconfig --config etc/kwok.yaml --manage-all-nodes=false --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake' \
                        >"$STATE/log/kwok.log" 2>&1 </dev/null 9<&-
        fi
        for ((i = 0; i < $2; i++)); do
                printf -- '---\n{apiVersion: v1, kind: Node, metadata: {name: fake-%04d, annotations: {kwok.x-k8s.io/node: fake}, labels: {type: kwok, kubernetes.io/os: linux, kubernetes.io/arch: amd64, kubernetes.io/hostname: fake-%04d}}, spec: {taints: [{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]}, status: {allocatable: {cpu: "32", memory: 256Gi, pods: "110"}, capacity: {cpu: "32", memory: 256Gi, pods: "110"}}}\n' "$i" "$i"
        done | kubectl apply --server-side -f - >/dev/null
        kubectl wait --for=condition=Ready node -l type=kwok --timeout=60s >/dev/null
        say "$2 fake nodes"
        ;;
down)
        kubectl delete node -l type=kwok >/dev/null
        [ ! -e "$STATE/run/pid/kwok" ] || bash "$TESTBED/run.sh" --name "$NAME" kill "$(cat "$STATE/run/pid/kwok")" || true
        rm -f "$STATE/run/pid/kwok"
        ;;
*) echo "usage: kwok.sh [--name NAME] up NODES | down" >&2 && exit 64 ;;
esac
