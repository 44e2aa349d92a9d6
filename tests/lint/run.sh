#!/bin/bash
# Every check of the text of the project; one line a check.
set -u
. tests/lib/common.sh
. tests/lint/files.sh
tools=$(tools_venv) || { echo "cannot install the lint tools"; exit 1; }
mapfile -t shell_files < <(git ls-files '*.sh' .ci/run ':!tests/cases')
mapfile -t go_files < <(git ls-files '*.go')
tidy() {
        # Only what changed since it was clean the last time: the key is the file, what it includes of ours, the checks and who checks.
        local flags=(-std=gnu17 -D_GNU_SOURCE -Iprovisioner -Imonitoring) rules checks todo=() file includes key
        checks=$({ clang-tidy --version | grep -i version && cat .clang-tidy; } | sha256sum) || return 1
        rules=$(git ls-files 'provisioner/*.c' 'monitoring/*.c' | xargs gcc "${flags[@]}" -MM) || return 1
        mkdir -p "$CACHE/tidy"
        while read -r _ file includes; do # "name.o: name.c some.h other.h"
                # shellcheck disable=SC2086 # a list of words
                key=$(echo "$checks" | cat - "$file" $includes | sha256sum | cut -c1-32)
                [ -e "$CACHE/tidy/$key" ] || todo+=("$file $key")
        done < <(sed ':more; /\\$/ {N; s/\\\n//; b more}' <<<"$rules")
        [ ${#todo[@]} -gt 0 ] || return 0
        # shellcheck disable=SC2016 # the inner shell expands
        printf '%s\n' "${todo[@]}" | FLAGS="${flags[*]}" xargs -P 2 -L 1 bash -c 'clang-tidy --quiet --warnings-as-errors="*" "$0" -- $FLAGS 2>/dev/null && touch "$CAAS_TEST_CACHE/tidy/$1"'
}
check "layers: includes only downwards" bash tests/lint/layers.sh
check "banned functions, unfinished work, long files" bash tests/lint/banned.sh
check "format (clang-format)" "$tools/bin/clang-format" --dry-run --Werror "${c_files[@]}"
check "shellcheck" shellcheck -x "${shell_files[@]}"
if gofmt=$(command -v gofmt || { [ -x /usr/local/go/bin/gofmt ] && echo /usr/local/go/bin/gofmt; }); then
        # shellcheck disable=SC2016 # the inner shell expands
        check "gofmt" bash -c 'found=$("$@") && [ -z "$found" ] || { echo "gofmt -w is wanted for:" $found; exit 1; }' _ "$gofmt" -l "${go_files[@]}"
else
        echo "skip: gofmt: there is no Go here"
fi
check "ruff" "$tools/bin/ruff" check --no-cache "${python_files[@]}"
check "ruff format" "$tools/bin/ruff" format --no-cache --check "${python_files[@]}"
check "locks: images of Kubernetes have what hosts have" "$tools/bin/python" -B tests/lint/locks.py
check "documentation: links, files and commands are there" "$tools/bin/python" -B tests/lint/docs.py
[ -n "${LINT_QUICK:-}" ] || check "clang-tidy" tidy
echo "lint: $passed passed, $failed failed"
if [ -n "${TALLY:-}" ]; then echo "$passed $failed" >>"$TALLY"; fi
[ "$failed" -eq 0 ]
