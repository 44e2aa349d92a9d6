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
