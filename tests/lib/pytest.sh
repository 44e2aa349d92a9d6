#!/bin/bash
# pytest over the Python of a role, or what only Python can ask of a layer: tests/lib/pytest.sh hub|gateway|gateway_kubernetes|notebook|identity|monitoring|form
# [ARGUMENT …]: "hub: N passed, …". Each in the environment that the locks of its hosts or images give it; the others in any Python.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/common.sh
role=${1:?which role?} && shift
tools=$(tools_venv) || exit 1
case $role in
form | hub) venv=$(locked_venv hub roles/hub/requirements.txt roles/hub/image.txt) || exit 1 ;;
gateway) venv=$(locked_venv gateway roles/hub/requirements.txt) || exit 1 ;;
gateway_kubernetes) venv=$(locked_venv gateway-image roles/gateway/image.txt) || exit 1 ;;
*) venv=$tools ;;
esac
python=$venv/bin/python
if [ "$venv" != "$tools" ]; then
        PYTHONPATH=$(echo "$tools"/lib/python3*/site-packages)
        export PYTHONPATH
fi
report=$(mktemp) && trap 'rm -f "$report"' EXIT
PYTHONDONTWRITEBYTECODE=1 timeout 600 "$python" -m pytest -p no:cacheprovider --tb=short -rfE -q --junit-xml="$report" \
        "tests/unit/$role" "$@"
"$python" -B tests/lib/junit.py "$report" tests/unit/expected-skips | sed "s/^integration:/$role:/"
exit "${PIPESTATUS[0]}"
