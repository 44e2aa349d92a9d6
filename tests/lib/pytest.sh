#!/bin/bash
# pytest over the Python of a role: tests/lib/pytest.sh hub|gateway|notebook|identity [ARGUMENT …]: "hub: N passed, …".
# The hub and the gateway run in the hub's environment, as its own lock gives it; the others in any Python.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/common.sh
role=${1:?which role?} && shift
tools=$(tools_venv) || exit 1
python=$tools/bin/python
if [ "$role" = hub ] || [ "$role" = gateway ]; then
        venv=$(locked_venv hub roles/hub/requirements.txt) || exit 1
        python=$venv/bin/python
        PYTHONPATH=$(echo "$tools"/lib/python3*/site-packages)
        export PYTHONPATH
fi
report=$(mktemp) && trap 'rm -f "$report"' EXIT
PYTHONDONTWRITEBYTECODE=1 timeout 600 "$python" -m pytest -p no:cacheprovider --tb=short -q --junit-xml="$report" \
        "tests/unit/$role" "$@"
"$python" -B tests/lib/junit.py "$report" /dev/null | sed "s/^integration:/$role:/"
exit "${PIPESTATUS[0]}"
