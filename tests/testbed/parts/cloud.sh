#!/bin/bash
# Volumes, balancers' addresses, network policies.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
CGO_ENABLED=0 build cloud . -ldflags "-s -w"
