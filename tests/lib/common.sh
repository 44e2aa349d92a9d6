# shellcheck shell=bash
# What the test scripts share. Sourced, never run.

# Downloads and built helpers live outside the checkout, by content; the cache is never needed to pass.
CACHE=${CAAS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/caas-test}
export CAAS_TEST_CACHE=$CACHE

note() { printf '\n== %s\n' "$*"; }

# The folder of the tools' virtual environment (ruff, clang-format, pytest …), made when its lock changes.
tools_venv() {
        local lock=tests/tools.txt digest venv
        digest=$(cat "$lock" <(/usr/bin/python3 --version) | sha256sum | cut -c1-12)
        venv=$CACHE/tools-$digest
        if [ ! -e "$venv/complete" ]; then
                mkdir -p "$CACHE"
                rm -rf "$venv"
                /usr/bin/python3 -m venv "$venv" >&2 &&
                        "$venv/bin/pip" install --quiet --no-cache-dir --require-hashes -r "$lock" >&2 &&
                        touch "$venv/complete" || return 1
        fi
        echo "$venv"
}
