#!/bin/bash
# build.sh: builds the programs of a cluster from Go modules that go.mod and go.sum pin; prints the folder they are in.
# Each part is built once for what it is made of. What Go caches on the way (17 GB) is thrown away unless TESTBED_KEEP_GO=1.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
GO_VERSION=1.26.8
bin=$(bin_folder)
used() { touch -c "$bin/../complete"; for part in $PARTS; do touch -c "$CACHE/part-$part-$(part_digest "$part")/complete"; done; }
if [ -e "$bin/../complete" ]; then
        used
        echo "$bin"
        exit 0
fi
mkdir -p "$CACHE"
exec 8>"$CACHE/build.lock"
flock -n 8 || { say "another build is under way, waiting" && flock 8; }

# Go as new as the modules want. Debian's is older: with it the module that holds the right one is fetched, as Go itself does.
find_go() {
        local have folder
        have=$(command -v go || { [ -x /usr/local/go/bin/go ] && echo /usr/local/go/bin/go; } || true)
        [ -n "$have" ] || die "Go is missing: bash tests/lib/deps.sh testbed"
        if [ "$(printf '%s\n' "go$GO_VERSION" "$(cd / && GOTOOLCHAIN=local "$have" env GOVERSION)" | sort -V | head -n 1)" = "go$GO_VERSION" ]; then
                echo "$have"
                return
        fi
        folder=$CACHE/go-$GO_VERSION
        if [ ! -x "$folder/bin/go" ]; then
                local module=$CACHE/toolchain architecture sum fetched
                architecture=$(dpkg --print-architecture)
                case $architecture in
                amd64) sum=h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM= ;;
                *) die "which Go to fetch is not pinned for $architecture: install Go $GO_VERSION or newer" ;;
                esac
                say "fetching Go $GO_VERSION"
                mkdir -p "$module"
                # Any Go from 1.19 (Debian 12) on can fetch the module; only newer ones know what it is for.
                fetched=$(cd "$module" && printf 'module toolchain\n' >go.mod && env -u GOROOT GOTOOLCHAIN=local GOFLAGS=-mod=mod GOMODCACHE="$module/mod" GOCACHE="$module/build" \
                        "$have" mod download -json "golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-$architecture") || die "Go $GO_VERSION could not be fetched: $fetched"
                grep -qF "\"$sum\"" <<<"$fetched" || die "Go $GO_VERSION as fetched is not the one that is wanted: $fetched"
                rm -rf "$folder"
                cp -R "$module"/mod/golang.org/toolchain@* "$folder"
                chmod -R u+w "$folder" "$module"
                chmod 0755 "$folder"/bin/* "$folder"/pkg/tool/*/*
                rm -rf "$module"
        fi
        echo "$folder/bin/go"
}
go=$(find_go)
PATH=$(dirname "$go"):$PATH
unset GOROOT
export PATH GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOCACHE=$CACHE/go/build GOMODCACHE=$CACHE/go/mod GOTELEMETRY=off

began=$SECONDS missing=''
for part in $PARTS; do
        [ -e "$CACHE/part-$part-$(part_digest "$part")/complete" ] || missing="$missing $part"
done
[ -z "$missing" ] || say "building$missing with $(go env GOVERSION); this is done once"
# The next part's modules come in while one is compiled.
fetch() {
        local part
        for part in $missing; do
                case $part in
                tools | caddy | traefik | prometheus | node_exporter) (cd "$TESTBED/$part" && go list -deps tool >/dev/null 2>&1) || true ;;
                esac
        done
}
fetch &
fetching=$!
for part in $missing; do
        out=$CACHE/part-$part-$(part_digest "$part")
        rm -rf "$out" && mkdir -p "$out"
        nice -n 5 bash "$TESTBED/parts/$part.sh" "$out" || die "$part could not be built"
        touch "$out/complete"
done
kill $fetching 2>/dev/null || true
wait $fetching 2>/dev/null || true
rm -rf "${bin%/bin}" && mkdir -p "$bin"
for part in $PARTS; do
        cp -al "$CACHE/part-$part-$(part_digest "$part")/." "$bin/"
done
rm -f "$bin/complete"
touch "$bin/../complete"
used
prune
[ -n "${TESTBED_KEEP_GO:-}" ] || { chmod -R u+w "$CACHE/go" 2>/dev/null && rm -rf "$CACHE/go"; } || true
[ -z "$missing" ] || say "built in $((SECONDS - began)) s"
echo "$bin"
