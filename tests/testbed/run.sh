#!/bin/bash
# run.sh [--name NAME] COMMAND…: runs a command inside a cluster's namespaces, its programs first on PATH.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
name=tb
[ "${1:-}" != --name ] || { name=$2 && shift 2; }
[ $# -gt 0 ] || { echo "usage: run.sh [--name NAME] COMMAND…" >&2 && exit 64; }
set_name "$name"
pid=$(init_pid)
[ -n "$pid" ] || die "$NAME does not run"
export PATH=$STATE/bin:$PATH KUBECONFIG=$STATE/admin.kubeconfig
exec nsenter -t "$pid" -m -p -n -u -i --wd="$STATE" -- "$@"
