#!/bin/bash
# pytest over the gateway's Python, in an environment of its image's lock: "gateway on Kubernetes: N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../../.." || exit 1
. tests/lib/common.sh
tools=$(tools_venv) || exit 1
digest=$(cat roles/gateway/image.txt <(/usr/bin/python3 --version) | sha256sum | cut -c1-12)
venv=$CACHE/gateway-$digest
if [ ! -e "$venv/complete" ]; then
        rm -rf "$venv"
        /usr/bin/python3 -m venv "$venv" >&2 &&
                "$venv/bin/pip" install --quiet --no-cache-dir --require-hashes -r roles/gateway/image.txt >&2 &&
                touch "$venv/complete" || exit 1
fi
report=$(mktemp) && trap 'rm -f "$report"' EXIT
packages=$(echo "$tools"/lib/python3*/site-packages)
PYTHONPATH=$packages PYTHONDONTWRITEBYTECODE=1 timeout 600 "$venv/bin/python" -m pytest -p no:cacheprovider --tb=short -q \
        --junit-xml="$report" tests/unit/gateway_kubernetes "$@"
"$venv/bin/python" -B tests/lib/junit.py "$report" /dev/null | sed 's/^integration:/gateway on Kubernetes:/'
exit "${PIPESTATUS[0]}"
