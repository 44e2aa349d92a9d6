#!/bin/bash
# build.sh: builds the programs of a cluster from Go modules that go.mod and go.sum pin; prints the folder they are in.
# Each part is built once for what it is made of. What Go caches on the way (17 GB) is thrown away unless TESTBED_KEEP_GO=1.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/testbed/go.sh
. "$(dirname "$0")/go.sh"
TESTBED_DIGESTS=${TESTBED_DIGESTS:-$(part_digests)}
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

use_go "$CACHE/go"

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
done_with_go "$CACHE/go"
[ -z "$missing" ] || say "built in $((SECONDS - began)) s"
echo "$bin"
