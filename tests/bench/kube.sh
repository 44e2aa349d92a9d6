#!/bin/bash
# The Kubernetes part of make bench. BENCH_KUBECONFIG: a test bed that runs already (tests/testbed/up.sh); otherwise one is
# started, and ended afterwards. Without one it is skipped, and said why.
set -eu
. tests/lib/common.sh
build=$(realpath "${BUILD:-build}")
kubeconfig=${BENCH_KUBECONFIG:-} own='' folder=''

cleanup() {
        [ -z "$folder" ] || rm -rf --one-file-system "$folder"
        [ -z "$own" ] || bash tests/testbed/down.sh --name "$own" --wipe
}
trap cleanup EXIT
trap 'exit 130' INT TERM

folder=$(mktemp -d /var/tmp/caas-bench.XXXXXX)
if [ -z "$kubeconfig" ]; then
        own=bench$$
        if ! kubeconfig=$(timeout 2400 bash tests/testbed/up.sh --name "$own" 2>"$folder/up.log" | tail -n 1) ||
                [ ! -e "$kubeconfig" ]; then
                echo "Kubernetes: skipped, there is no test bed: $(tail -n 1 "$folder/up.log")"
                exit 0
        fi
fi
env=$(dirname "$kubeconfig")/run/env
if [ ! -e "$env" ]; then
        echo "Kubernetes: skipped, $kubeconfig is not a test bed's, whose kubectl and helm are needed"
        exit 0
fi
bin=$(sed -n 's/^BIN=//p' "$env")
export BUILD=$build CAAS_STATE=$folder/state PYTHONDONTWRITEBYTECODE=1
/usr/bin/python3 tests/bench/bench_kube.py "$folder" "$kubeconfig" "$bin"
