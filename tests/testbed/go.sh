# shellcheck shell=bash
# Which Go builds what tests need, and how; sourced after lib.sh, never run.
GO_VERSION=1.26.8

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
                local module=$CACHE/toolchain architecture sum fetched lock
                # Who builds something else at the same time may want it, too.
                exec {lock}>"$CACHE/toolchain.lock" && flock "$lock"
                [ ! -x "$folder/bin/go" ] || { echo "$folder/bin/go" && return; }
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

# use_go FOLDER: Go is on the PATH, and what it caches in the folder, which is thrown away when it is done.
use_go() {
        local go
        go=$(find_go) || exit 1
        PATH=$(dirname "$go"):$PATH
        unset GOROOT
        export PATH GOTOOLCHAIN=local GOFLAGS=-mod=readonly GOCACHE=$1/build GOMODCACHE=$1/mod GOTELEMETRY=off
}
done_with_go() { [ -n "${TESTBED_KEEP_GO:-}" ] || { chmod -R u+w "$1" 2>/dev/null && rm -rf "$1"; } || true; }
