#!/bin/bash
# Fuzz smoke: each target for FUZZ_SECONDS over its kept corpus; what is found new stays in the cache.
set -u
. tests/lib/common.sh
passed=0 failed=0
for program in "$@"; do
        name=${program##*/fuzz_}
        mkdir -p "$CACHE/fuzz/$name" "$CACHE/fuzz/$name.found"
        dict=()
        [ -e "tests/fuzz/$name.dict" ] && dict=("-dict=tests/fuzz/$name.dict")
        if "$program" "$CACHE/fuzz/$name" "tests/fuzz/corpus/$name" "${dict[@]}" -max_total_time="${FUZZ_SECONDS:-20}" -timeout=30 \
                -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="$CACHE/fuzz/$name.found/" >"$CACHE/fuzz/$name.log" 2>&1; then
                passed=$((passed + 1))
                echo "ok: fuzz $name ($(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$CACHE/fuzz/$name.log"))"
        else
                failed=$((failed + 1))
                tail -n 40 "$CACHE/fuzz/$name.log"
                echo "FAILED: fuzz $name"
        fi
done
echo "fuzz: $passed passed, $failed failed"
if [ -n "${TALLY:-}" ]; then echo "$passed $failed" >>"$TALLY"; fi
[ "$failed" -eq 0 ]
