#!/bin/bash
# cert-manager: who makes certificates for Ingresses. And the definitions of its objects.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
c=github.com/cert-manager/cert-manager
CGO_ENABLED=0 build cert-manager . -ldflags "-s -w -X $c/pkg/util.AppVersion=v$(version $c)"
for f in "$(go list -m -f '{{.Dir}}' $c)"/deploy/crds/*.yaml; do printf -- '---\n' && cat "$f"; done >"$OUT/cert-manager-crds.yaml"
