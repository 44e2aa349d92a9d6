# shellcheck shell=bash disable=SC2034 # what the test bed's scripts share; sourced, never run
#
# Everything of a cluster that another one beside it must not share comes from its name (state folder, control group)
# or from its number N (0 to 31): link, addresses.  The number is kept in the state folder.

TESTBED=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$TESTBED/../.." && pwd)
CACHE=${CAAS_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/caas-test}/testbed
STATES=/var/tmp
NODE=node1
export LC_ALL=C.UTF-8

die() { echo "testbed: $*" >&2; exit 1; }
say() { echo "testbed: $*" >&2; }

# A hash of files' names and contents, wherever they lie: what one checkout has made, another one uses.
digest() { local f; for f; do echo "${f##*/} $(sha256sum <"$f")"; done | sha256sum | cut -c1-16; }

# Of what is kept by a hash, what nobody has used for two weeks goes: programs and their parts, tools. "complete" has the time.
prune() {
        find "$CACHE" -mindepth 2 -maxdepth 2 -name complete -mtime +14 -printf '%h\n' | while read -r folder; do
                grep -qsF "$folder/" "$STATES"/caas-testbed-*/run/env || rm -rf "$folder"
        done
}

set_name() {
        [[ $1 =~ ^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$ ]] || die "a cluster's name is 1 to 20 of a-z, 0-9 and -: $1"
        NAME=$1 STATE=$STATES/caas-testbed-$1 GROUP=caas-testbed-$1
}

# The number of this cluster: the one it had, or the lowest that no other cluster has.
set_number() {
        exec 9<"$STATES" && flock 9
        if [ ! -s "$STATE/number" ]; then
                local n
                for n in {0..32}; do
                        [ "$n" -lt 32 ] || die "32 clusters are there: $STATES/caas-testbed-*"
                        grep -qsx "$n" "$STATES"/caas-testbed-*/number && continue
                        ip -br link show "caastb$n" >/dev/null 2>&1 && continue
                        break
                done
                mkdir -p "$STATE"
                echo "$n" >"$STATE/number"
        fi
        exec 9<&-
        addresses "$(cat "$STATE/number")"
}

addresses() {
        N=$1 LINK=caastb$1
        NODE_IP=10.99.$1.1 HOST_IP=10.99.$1.254
        POD_CIDR=10.244.$1.0/24
        SERVICE_CIDR=10.96.$(($1 * 4)).0/22 API_IP=10.96.$(($1 * 4)).1 DNS_IP=10.96.$(($1 * 4)).10
        BALANCERS=10.97.$1.0/24
}

# The process that is PID 1 of the cluster's namespaces, as the host counts; empty when it does not run.
init_pid() {
        local pid
        pid=$(cat "$STATE/init.pid" 2>/dev/null) || return 0
        grep -qzFx "$STATE/run/node.sh" "/proc/$pid/cmdline" 2>/dev/null && echo "$pid"
        return 0
}

# The files that a binary's build depends on, by part.
part_files() {
        case $1 in
        hyperkube) (cd "$TESTBED" && ls hyperkube/*.go hyperkube/go.* parts/hyperkube.sh) ;;
        cloud) (cd "$TESTBED" && ls cloud/*.go cloud/go.* parts/cloud.sh) ;;
        tools) (cd "$TESTBED" && ls tools/go.* parts/tools.sh) ;;
        cert-manager) (cd "$TESTBED" && ls cert-manager/*.go cert-manager/go.* parts/cert-manager.sh) ;;
        caddy) (cd "$TESTBED" && ls caddy/go.* parts/caddy.sh) ;;
        traefik) (cd "$TESTBED" && ls traefik/go.* parts/traefik.sh) ;;
        prometheus) (cd "$TESTBED" && ls prometheus/go.* parts/prometheus.sh) ;;
        node_exporter) (cd "$TESTBED" && ls node_exporter/go.* parts/node_exporter.sh) ;;
        esac
}
PARTS="hyperkube cloud tools cert-manager caddy traefik prometheus node_exporter"
# A line each: "part digest". Who asks for them more than once keeps them in TESTBED_DIGESTS.
part_digests() {
        local part
        for part in $PARTS; do echo "$part $(cd "$TESTBED" && part_files "$part" | xargs sha256sum | sha256sum | cut -c1-16)"; done
}
part_digest() {
        local part digest
        while read -r part digest; do [ "$part" != "$1" ] || echo "$digest"; done <<<"${TESTBED_DIGESTS:-$(part_digests)}"
}
bin_folder() { echo "$CACHE/$(for p in $PARTS; do part_digest "$p"; done | sha256sum | cut -c1-16)/bin"; }

# The folder of the programs. If they have to be built, what images need besides is made meanwhile.
programs() {
        [ -z "${TESTBED_BIN:-}" ] || { echo "$TESTBED_BIN"; return; }
        TESTBED_DIGESTS=$(part_digests)
        export TESTBED_DIGESTS
        if [ "${1:-}" != --control ] && [ ! -e "$(bin_folder)/../complete" ]; then bash "$TESTBED/images.sh" --layers >&2 & fi
        bash "$TESTBED/build.sh" || return 1
        wait
}
