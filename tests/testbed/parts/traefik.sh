#!/bin/bash
# Traefik: Dask Gateway's proxy, and the tests' ingress controller. Its web page is not part of the module.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
CGO_ENABLED=0 build traefik github.com/traefik/traefik/v3/cmd/traefik -ldflags "-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=$(version github.com/traefik/traefik/v3)"
