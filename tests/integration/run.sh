#!/bin/bash
# The integration tests: the real stack, applied from nothing on this machine. Root only.
#   tests/integration/run.sh [FILE|FOLDER…] [ARGUMENT OF PYTEST…]
# Skips are counted and named; one that is not in tests/integration/expected-skips fails the run.
set -u
. tests/lib/common.sh
if [ "$(id -u)" -ne 0 ]; then
        echo "the integration tests set up services and need root" >&2
        exit 1
fi
tools=$(tools_venv) || exit 1
export CAAS_CACHE=${CAAS_CACHE:-$CACHE/downloads}
[ -e "${1:-}" ] || set -- tests/integration "$@"
report=$(mktemp) && trap 'rm -f "$report"' EXIT
"$tools/bin/python" -B -m pytest -p no:cacheprovider --tb=short -rfEs -q --durations=12 --durations-min=5 --junit-xml="$report" "$@"
"$tools/bin/python" -B tests/lib/junit.py "$report" tests/integration/expected-skips
