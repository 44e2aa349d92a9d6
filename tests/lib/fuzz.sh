#!/bin/bash
# Fuzz smoke: each target over its kept corpus, two at once, for FUZZ_SECONDS, otherwise 20 s for what reads what people write
# and 8 s for what programs answer; what is found new stays in the cache.
set -u
# shellcheck source=tests/lib/common.sh
. tests/lib/common.sh
fuzz() {
        local name=${1##*/fuzz_} dict=() seconds=8
        case $name in form | tree | subst) seconds=20 ;; esac
        mkdir -p "$CACHE/fuzz/$name" "$CACHE/fuzz/$name.found"
        [ -e "tests/fuzz/$name.dict" ] && dict=("-dict=tests/fuzz/$name.dict")
        if "$1" "$CACHE/fuzz/$name" "tests/fuzz/corpus/$name" "${dict[@]}" -max_total_time="${FUZZ_SECONDS:-$seconds}" -timeout=30 \
                -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="$CACHE/fuzz/$name.found/" >"$CACHE/fuzz/$name.log" 2>&1; then
                echo "ok: fuzz $name ($(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$CACHE/fuzz/$name.log"))"
        else
                tail -n 40 "$CACHE/fuzz/$name.log"
                echo "FAILED: fuzz $name"
        fi
}
said=$(mktemp) && trap 'rm -f "$said"' EXIT
for program in "$@"; do
        fuzz "$program" | tee -a "$said" &
        [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
done
wait
passed=$(grep -c '^ok: fuzz' "$said") failed=$(grep -c '^FAILED: fuzz' "$said")
[ $((passed + failed)) -eq $# ] || failed=$(($# - passed))
echo "fuzz: $passed passed, $failed failed"
if [ -n "${TALLY:-}" ]; then echo "$passed $failed" >>"$TALLY"; fi
[ "$failed" -eq 0 ]
