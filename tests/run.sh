#!/bin/bash
# Everything, one after another; ends with "N passed, N failed".
set -u
. tests/lib/common.sh
TALLY=$(mktemp) && said=$(mktemp) && trap 'rm -f "$TALLY" "$said"' EXIT
export TALLY
began=$SECONDS
stage() {
        local name=$1 from=$SECONDS
        shift
        note "$name"
        "$@" 2>&1 | tee -a "$said"
        [ "${PIPESTATUS[0]}" -eq 0 ] || echo "FAILED: stage $name" | tee -a "$said"
        echo "($name: $((SECONDS - from)) s)"
}
# A stage that breaks before it counts anything is a failure, too.
counted() {
        local before after
        before=$(wc -l <"$TALLY")
        "$@" || true
        after=$(wc -l <"$TALLY")
        [ "$after" -gt "$before" ] || { echo "0 1" >>"$TALLY"; return 1; }
}
bash tests/lib/deps.sh test || exit 1
stage "lint" counted bash tests/lint/run.sh
clang_build() {
        if make --no-print-directory -j2 CC=clang all; then
                echo "1 0" >>"$TALLY"
        else
                echo "0 1" >>"$TALLY"
                echo "FAILED: clang does not build it"
        fi
}
stage "build, clang" counted clang_build
stage "unit, -O2" counted make --no-print-directory -j2 unit
stage "unit, sanitizers" counted make --no-print-directory -j2 unit SAN=1
stage "unit, the hub's Python" counted bash tests/lib/pytest.sh hub
stage "unit, the gateway's Python" counted bash tests/lib/pytest.sh gateway
stage "unit, the gateway's Python on Kubernetes" counted bash tests/lib/pytest.sh gateway_kubernetes
stage "unit, the notebook's Python" counted bash tests/lib/pytest.sh notebook
stage "unit, the directory's Python" counted bash tests/lib/pytest.sh identity
stage "unit, dashboards and alerts" counted bash tests/lib/pytest.sh monitoring
stage "fuzz" counted make --no-print-directory -j2 fuzz
stage "test bed" counted make --no-print-directory testbed-check
stage "integration" counted make --no-print-directory -j2 integration
echo
grep -a '^FAILED' "$said" # once more, together: the stages are long
echo "took $(((SECONDS - began) / 60)) min $(((SECONDS - began) % 60)) s"
awk '{p += $1; f += $2} END {printf "%d passed, %d failed\n", p, f; exit f > 0}' "$TALLY"
