#!/bin/bash
# What a node needs beside the kubelet, CoreDNS, kwok and helm.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
export CGO_ENABLED=0
c=github.com/containerd/containerd/v2 n=github.com/containernetworking/plugins/plugins
build containerd $c/cmd/containerd -tags no_btrfs,no_devmapper,no_zfs,no_aufs,no_tracing -ldflags "-s -w -X $c/version.Version=$(version $c)"
build containerd-shim-runc-v2 $c/cmd/containerd-shim-runc-v2 -tags no_grpc -ldflags "-s -w -X $c/version.Version=$(version $c)"
build ctr $c/cmd/ctr -ldflags "-s -w"
# Static, as upstream's own: what is cached starts on an older release, too.
CGO_ENABLED=1 build runc github.com/opencontainers/runc -tags seccomp,netgo,osusergo -ldflags "-s -w -extldflags -static -X main.version=$(version github.com/opencontainers/runc)"
for p in main/ptp main/loopback ipam/host-local; do build ${p#*/} $n/$p -ldflags "-s -w"; done
build coredns github.com/coredns/coredns -tags grpcnotrace -ldflags "-s -w"
build kwok sigs.k8s.io/kwok/cmd/kwok -ldflags "-s -w"
build helm helm.sh/helm/v3/cmd/helm -tags grpcnotrace -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=v$(version helm.sh/helm/v3)"
