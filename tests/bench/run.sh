#!/bin/bash
# make bench: speed and size, with the peer beside it in the same run. One line a figure, with its target; nothing is judged.
# docs/BENCH.md says what is measured and how. BENCH_ROUNDS (2): how often the first apply is repeated;
# BENCH_PORT (8943): the cluster's; BENCH_KUBECONFIG: see kube.sh.
set -eu
. tests/lib/common.sh
build=${BUILD:-build}
if [ "$(id -u)" -ne 0 ]; then
        echo "the benchmark sets up services on this machine and needs root" >&2
        exit 1
fi
export CAAS_CACHE=${CAAS_CACHE:-$CACHE/downloads} PYTHONDONTWRITEBYTECODE=1

# Users' processes pass through it. What caas made goes by caas; the rest is ours to remove, mounts would be a defect.
folder=$(mktemp -d /var/tmp/caas-bench.XXXXXX) && chmod 0711 "$folder"
export CAAS_STATE=$folder/state
cleanup() {
        local status=$?
        if [ -e "$CAAS_STATE/clusters/bench" ]; then
                "$build/caas" destroy bench --yes --delete-data --quiet || echo "left behind: $folder" >&2
        fi
        if [ "$status" -ne 0 ]; then tail -n 15 "$folder"/hand/*.log >&2 || true; fi
        grep -q " $folder/" /proc/self/mounts || rm -rf --one-file-system "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

venv=$(locked_venv ansible tests/bench/ansible.txt)
# ansible's module for packages wants it
dpkg-query -W -f '${db:Status-Status}' python3-apt 2>/dev/null | grep -qx installed ||
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-apt >/dev/null

sed -e 's/^cluster: .*/cluster: bench/' -e "s/^port: .*/port: ${BENCH_PORT:-8943}/" tests/forms/demo.yaml >"$folder/form.yaml"

"$build/bench/bench_plan"
/usr/bin/python3 tests/bench/bench.py "$folder" "$folder/form.yaml" "$venv"
/usr/bin/python3 tests/bench/exporter.py "$folder/exporter" "$(locked_venv exporter tests/bench/exporter.txt)"
BUILD=$build bash tests/bench/kube.sh
