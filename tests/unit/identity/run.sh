#!/bin/bash
# pytest over the Python of the identity role: "identity: N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../../.." || exit 1
. tests/lib/common.sh
tools=$(tools_venv) || exit 1
report=$(mktemp) && trap 'rm -f "$report"' EXIT
PYTHONDONTWRITEBYTECODE=1 timeout 600 "$tools/bin/python" -m pytest -p no:cacheprovider --tb=short -q \
        --junit-xml="$report" tests/unit/identity "$@"
"$tools/bin/python" -B tests/lib/junit.py "$report" /dev/null | sed 's/^integration:/identity:/'
exit "${PIPESTATUS[0]}"
