#!/bin/bash
# build.sh: builds the stand-in for Grafana (main.go), in the version that roles/base/images.yaml names; prints the folder that
# `grafana` is in. It is built once for what it is made of.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/testbed/lib.sh
. "$here/../testbed/lib.sh"
# shellcheck source=tests/testbed/go.sh
. "$here/../testbed/go.sh"
version=$(sed -n 's/^grafana: .*://p' "$ROOT/roles/base/images.yaml")
out=$CACHE/grafana-$(cat "$here"/*.go "$here"/go.* "$here/names.txt" <(echo "$version $GO_VERSION") | sha256sum | cut -c1-16)
mkdir -p "$CACHE"
exec 7>"$CACHE/grafana.lock"
flock 7
if [ ! -e "$out/complete" ]; then
        use_go "$CACHE/go-grafana"
        rm -rf "$out" && mkdir -p "$out"
        cd "$here"
        CGO_ENABLED=0 nice -n 5 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$version" -o "$out/grafana" . 2> >(grep -v '^go: downloading' >&2) ||
                die "the stand-in for Grafana could not be built"
        done_with_go "$CACHE/go-grafana"
        touch "$out/complete"
        prune
fi
touch -c "$out/complete"
echo "$out"
