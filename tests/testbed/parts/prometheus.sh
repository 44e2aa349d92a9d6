#!/bin/bash
# Prometheus, of monitoring. It finds no targets by itself there, so what would is left out; its web pages are not part of the module.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
p=github.com/prometheus/prometheus
v=$(version $p)
CGO_ENABLED=0 build prometheus $p/cmd/prometheus -tags netgo,remove_all_sd -ldflags "-s -w -X github.com/prometheus/common/version.Version=3.${v#0.3}"
