#!/bin/bash
# Everything; ends with "N passed, N failed". What mostly waits goes on in the background from the beginning, in lanes (run.sh lane
# NAME FOLDER): this machine's own stack, and beside it who is taken out; the life of a cluster on Kubernetes, and in a
# Kubernetes of its own what else can happen there. What a lane says is shown when it has ended.
set -u
# shellcheck source=tests/lib/common.sh
. tests/lib/common.sh
stage() {
        local name=$1 from=$SECONDS
        shift
        note "$name"
        "$@" 2>&1 | tee -ia "$folder/said"
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
tally() { export TALLY=$folder/$1.tally && : >"$TALLY"; }

LANES=(machine kubernetes ways revoke)
kubernetes=tests/integration/kubernetes
ways=("$kubernetes"/test_k{05_units,26_caps,60_ways,62_trouble,80_bad}.py) # nothing in the other files needs them
# In a machine with systemd the product has the ports of this one: it comes after the other clusters here.
machines=tests/integration/systemd/test_machine.py
# These make clusters of their own, or change nothing that other files of this machine look at: they share a second one.
seconds=(tests/integration/test_{05_demo,84_idle,85_kill,86_freeipa}.py tests/integration/systemd/test_product.py)
# Waits for minutes, for the hub's next look into the directory, and wants nothing but a cluster.
revoke=tests/integration/test_60_revoke.py
lane() {
        tally "$1"
        case $1 in
        machine) stage "integration, this machine" counted bash tests/integration/run.sh tests/integration --ignore="$kubernetes" --ignore="$machines" --ignore="$revoke" "${seconds[@]/#/--ignore=}" ;;
        kubernetes) stage "integration, Kubernetes" counted bash tests/integration/run.sh "$kubernetes" "${ways[@]/#/--ignore=}" ;;
        ways)
                stage "integration, Kubernetes: other ways, troubles" counted bash tests/integration/run.sh "${ways[@]}"
                stage "integration, this machine: second cluster" counted env CAAS_TEST_CLUSTER=other CAAS_TEST_PORT=9843 bash tests/integration/run.sh "${seconds[@]}"
                ;;
        revoke) stage "integration, this machine: revoke" counted env CAAS_TEST_CLUSTER=third CAAS_TEST_PORT=9943 bash tests/integration/run.sh "$revoke" ;;
        esac
}
trap 'exit 130' INT TERM
if [ "${1:-}" = lane ]; then
        folder=$3
        lane "$2"
        exit 0
fi
folder=$(mktemp -d)
declare -A lanes=()
finish() {
        local each
        for each in "${lanes[@]}"; do kill -INT -- "-$each" 2>/dev/null; done
        for each in "${lanes[@]}"; do wait "$each"; done 2>/dev/null
        rm -rf "$folder"
}
trap finish EXIT
tally tally
bash tests/lib/deps.sh test && tools_venv >/dev/null || exit 1
# The same source compiled by the same words is the same object, of whatever checkout: only the folder that its debug information
# names may be another one's.
export CCACHE=ccache CCACHE_DIR=$CACHE/ccache CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=400M
stage "build" counted builds all
stage "build, itself" counted bash tests/lib/build.sh # makes the programs again: before anybody uses them
stage "build, what lanes try" counted builds integration-programs
for each in "${LANES[@]}"; do
        # A session of its own, and Ctrl-C not ignored as it is in the background: it takes down what it has set up.
        setsid env --default-signal=INT bash tests/run.sh lane "$each" "$folder" >"$folder/$each" 2>&1 </dev/null &
        lanes[$each]=$!
done
stage "lint" counted bash tests/lint/run.sh
stage "build, clang" counted builds CC=clang all
stage "unit, -O2" counted make --no-print-directory -j2 unit
stage "unit, sanitizers" counted make --no-print-directory -j2 unit SAN=1
for role in hub gateway gateway_kubernetes notebook identity monitoring form; do
        stage "unit, Python: $role" counted bash tests/lib/pytest.sh "$role"
done
stage "fuzz" counted make --no-print-directory -j2 fuzz
stage "integration, systemd" counted bash tests/integration/run.sh "$machines"
stage "test bed" counted make --no-print-directory testbed-check
for each in "${LANES[@]}"; do
        note "waiting for what goes on in the background: $each"
        wait "${lanes[$each]}" || { echo "FAILED: it broke off" | tee -a "$folder/said" && echo "0 1" >>"$TALLY"; }
        unset "lanes[$each]"
        cat "$folder/$each"
done
echo
grep -a '^FAILED' "$folder/said" # once more, together: the stages are long
echo "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
cat "$folder"/*.tally | awk '{p += $1; f += $2} END {printf "%d passed, %d failed\n", p, f; exit f > 0}'
