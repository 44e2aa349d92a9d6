# shellcheck shell=bash
# What a part's script shares: parts/NAME.sh OUT builds its programs into OUT. Sourced.
set -eu
OUT=$1
cd "$(dirname "$0")/../$(basename "$0" .sh)"
version() { sed -n "s|^\t$1 v\([^ ]*\).*|\1|p" go.mod | head -n 1; }
build() { # name package flags…
        local name=$1 package=$2 began=$SECONDS
        shift 2
        go build -trimpath -buildvcs=false "$@" -o "$OUT/$name" "$package" 2> >(grep -v '^go: downloading' >&2)
        echo "testbed: $name: $(du -m "$OUT/$name" | cut -f1) MB, $((SECONDS - began)) s" >&2
}
