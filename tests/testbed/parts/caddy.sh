#!/bin/bash
# Caddy: the TLS front of load balancers.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
c=github.com/caddyserver/caddy/v2
CGO_ENABLED=0 build caddy $c/cmd/caddy -tags nobadger,nomysql,nopgx -ldflags "-s -w -X $c.CustomVersion=v$(version $c)"
