# shellcheck shell=bash
# What the test scripts share. Sourced, never run.

# Downloads and built helpers live outside the checkout, by content; the cache is never needed to pass.
CACHE=${CAAS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/caas-test}
export CAAS_TEST_CACHE=$CACHE

note() { printf '\n== %s\n' "$*"; }

# locked_venv NAME LOCK…: the folder of a virtual environment with exactly what the locks say, made when they change.
locked_venv() {
        local venv name=$1
        shift
        venv=$CACHE/$name-$(cat "$@" <(/usr/bin/python3 --version) | sha256sum | cut -c1-12)
        if [ ! -e "$venv/complete" ]; then
                mkdir -p "$CACHE"
                rm -rf "$venv"
                /usr/bin/python3 -m venv "$venv" >&2 &&
                        "$venv/bin/pip" install --quiet --no-cache-dir --require-hashes "${@/#/--requirement=}" >&2 &&
                        touch "$venv/complete" || return 1
        fi
        echo "$venv"
}

# That of the tools: ruff, clang-format, pytest …
tools_venv() { locked_venv tools tests/tools.txt; }

# check NAME COMMAND…: one line for each; what a failed one said. Counts in passed and failed, of who sources this.
passed=0 failed=0
check() {
        local name=$1 said
        shift
        if said=$("$@" 2>&1); then
                passed=$((passed + 1)) && echo "ok: $name"
        else
                failed=$((failed + 1)) && tail -n 60 <<<"$said" | sed 's/^/    /' && echo "FAILED: $name"
        fi
}
