#!/bin/bash
# etcd, every Kubernetes component and kubectl, one program.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
export CGO_ENABLED=0
v=$(version k8s.io/kubernetes) p=k8s.io/component-base/version
major=${v%%.*} minor=${v#*.}
build hyperkube . -tags grpcnotrace -ldflags "-s -w -X $p.gitVersion=v$v -X $p.gitMajor=$major -X $p.gitMinor=${minor%%.*} -X $p.gitTreeState=clean -X $p.gitCommit=$(printf '0%.0s' {1..40}) -X $p.buildDate=2026-01-01T00:00:00Z"
ln -sf hyperkube "$OUT/kubectl"
