#!/bin/bash
# check.sh: the test bed checks itself: pods, volumes, policies, fake nodes, an ingress, two clusters side by side, nothing left behind.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(id -u)" -eq 0 ] || die "a cluster needs root"
bin=$(programs --node)
exec /usr/bin/python3 -B "$TESTBED/check.py" "$bin" "check-$$-a" "check-$$-b"
