#!/bin/bash
# fault.sh [--name NAME] stop|start|freeze|thaw|restart COMPONENT: makes a component of a cluster go away, and come back.
# Components: etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy cloud.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
name=tb
[ "${1:-}" != --name ] || { name=$2 && shift 2; }
[ $# -eq 2 ] || { echo "usage: fault.sh [--name NAME] stop|start|freeze|thaw|restart COMPONENT" >&2 && exit 64; }
set_name "$name"
[ -n "$(init_pid)" ] || die "$NAME does not run"
[ -e "$STATE/run/pid/$2" ] || die "there is no component $2; there are: $(cd "$STATE/run/pid" && echo *)"
signal() { bash "$TESTBED/run.sh" --name "$NAME" kill "$1" "$(cat "$STATE/run/pid/$2")" 2>/dev/null || true; }
case $1 in
stop) touch "$STATE/run/hold/$2" && signal -KILL "$2" ;;
start) rm -f "$STATE/run/hold/$2" ;;
freeze) signal -STOP "$2" ;;
thaw) signal -CONT "$2" ;;
restart) signal -KILL "$2" ;;
*) die "there is no $1" ;;
esac
