#!/bin/bash
# Everything; ends with "N passed, N failed". This machine's own stack (run.sh beside FOLDER) is tried in the background: it
# mostly waits, and what it says is shown when it has ended.
set -u
# shellcheck source=tests/lib/common.sh
. tests/lib/common.sh
stage() {
        local name=$1 from=$SECONDS
        shift
        note "$name"
        "$@" 2>&1 | tee -a "$folder/said"
        [ "${PIPESTATUS[0]}" -eq 0 ] || echo "FAILED: stage $name" | tee -a "$folder/said"
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
builds() {
        if make --no-print-directory -j2 "$@"; then
                echo "1 0" >>"$TALLY"
        else
                echo "0 1" >>"$TALLY"
                echo "FAILED: make $*"
        fi
}
tally() { export TALLY=$folder/$1 && : >"$TALLY"; }

if [ "${1:-}" = beside ]; then
        folder=$2
        tally beside.tally
        stage "integration, this machine" counted bash tests/integration/run.sh tests/integration --ignore=tests/integration/kubernetes
        exit
fi
folder=$(mktemp -d)
beside=
finish() {
        [ -z "$beside" ] || { kill -INT -- "-$beside" && wait "$beside"; } 2>/dev/null
        rm -rf "$folder"
}
trap finish EXIT
trap 'exit 130' INT TERM
tally tally
bash tests/lib/deps.sh test && tools_venv >/dev/null || exit 1
stage "build" counted builds all unit-programs
stage "build, itself" counted bash tests/lib/build.sh
# A session of its own, and Ctrl-C not ignored as it is in the background: it takes down what it has set up.
setsid env --default-signal=INT bash tests/run.sh beside "$folder" >"$folder/beside" 2>&1 </dev/null &
beside=$!
stage "lint" counted bash tests/lint/run.sh
stage "build, clang" counted builds CC=clang all
stage "unit, -O2" counted make --no-print-directory -j2 unit
stage "unit, sanitizers" counted make --no-print-directory -j2 unit SAN=1
for role in hub gateway gateway_kubernetes notebook identity monitoring; do
        stage "unit, Python: $role" counted bash tests/lib/pytest.sh "$role"
done
stage "fuzz" counted make --no-print-directory -j2 fuzz
stage "test bed" counted make --no-print-directory testbed-check
stage "integration, Kubernetes" counted bash tests/integration/run.sh tests/integration/kubernetes
wait "$beside"
beside=
cat "$folder/beside"
echo
grep -a '^FAILED' "$folder/said" # once more, together: the stages are long
echo "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
cat "$folder"/*tally | awk '{p += $1; f += $2} END {printf "%d passed, %d failed\n", p, f; exit f > 0}'
