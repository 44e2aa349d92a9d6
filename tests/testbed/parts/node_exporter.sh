#!/bin/bash
# The node exporter, of monitoring.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
n=github.com/prometheus/node_exporter
CGO_ENABLED=0 build node_exporter $n -tags netgo,osusergo -ldflags "-s -w -X github.com/prometheus/common/version.Version=$(version $n)"
