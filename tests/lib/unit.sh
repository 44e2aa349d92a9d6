#!/bin/bash
# Runs unit test programs one after another and counts their cases: "N passed, N failed, N skipped".
set -u
passed=0 failed=0 skipped=0
log=$(mktemp) && trap 'rm -f "$log"' EXIT
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0} CMOCKA_MESSAGE_OUTPUT=STDOUT
failed_cases() { sed -n 's/^\[  FAILED  \] \([A-Za-z_][A-Za-z_0-9: ]*\)$/\1/p' "$log" | sort -u; } # cmocka says each twice
mapfile -t expected_skips < <(sed 's/ *#.*//; /^$/d' tests/unit/expected-skips)
expected() {
        local begin
        for begin in "${expected_skips[@]}"; do [[ $1 != "$begin"* ]] || return 0; done
        return 1
}
for program in "$@"; do
        from=$SECONDS
        timeout 600 "$program" >"$log" 2>&1
        status=$?
        p=$(grep -c '^\[       OK \]' "$log") f=$(failed_cases | wc -l) s=$(grep -c '^\[  SKIPPED \] [a-z]' "$log")
        if [ "$status" -ne 0 ]; then
                [ "$f" -gt 0 ] || f=1
                sed 's/^/    /' "$log" | tail -n 60
                echo "FAILED: $program (status $status): $(failed_cases | paste -sd' ')"
        else
                f=0
                took=$((SECONDS - from))
                echo "ok: $program ($p$([ "$took" -lt 5 ] || echo ", $took s"))"
        fi
        while read -r line; do
                echo "$line"
                expected "${line#skip: }" || { echo "FAILED: $program: this skip is not expected"; failed=$((failed + 1)); }
        done < <(grep -ah '^skip: ' "$log")
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "unit: $passed passed, $failed failed, $skipped skipped"
if [ -n "${TALLY:-}" ]; then echo "$passed $failed" >>"$TALLY"; fi
[ "$failed" -eq 0 ]
