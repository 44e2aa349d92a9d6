#!/bin/bash
# Debian with a real systemd as PID 1, on a machine that has none.
#
#   container.sh up   [--name N] [--suite bookworm|trixie] [--bind SOURCE:TARGET]... [--package NAME]...
#   container.sh exec [--name N] -- COMMAND [ARGUMENT]...     as root, its exit status passed through
#   container.sh down [--name N]                              stops it and removes what it wrote
#   container.sh root [--suite S] [--package NAME]...         only makes the Debian root and prints its path
#
# Example: run the product under systemd
#   container.sh up --bind "$PWD:/src"
#   container.sh exec -- /src/build/caas apply /src/tests/forms/demo.yaml
#   container.sh down
#
# The network is the host's: what listens inside listens here. Roots are kept in $CAAS_TEST_CACHE (~/.cache/caas-test).
# The parent folders of --bind sources must not be on a read-only mount. Needs root, mmdebstrap and overlayfs.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib/common.sh
. "$here/../../lib/common.sh"
# shellcheck source=tests/integration/systemd/lib.sh
. "$here/lib.sh"

name=main suite=bookworm
binds=() packages=() words=()

parse() {
        while [ $# -gt 0 ]; do
                case $1 in
                --name) name=${2:?} ;;
                --suite) suite=${2:?} ;;
                --bind) binds+=("${2:?}") ;;
                --package) packages+=("${2:?}") ;;
                --)
                        shift
                        words=("$@")
                        return
                        ;;
                *) fail "unknown option $1" ;;
                esac
                shift 2
        done
}

# The child of unshare that stands in the new namespaces (it has another one, for a moment, that prepares them).
first_process() {
        local pid space
        for pid in $(<"/proc/$1/task/$1/children"); do
                space=$(readlink "/proc/$pid/ns/pid") || continue
                if [ "$space" != "$(readlink /proc/self/ns/pid)" ]; then
                        echo "$pid"
                        return 0
                fi
        done 2>/dev/null
        return 1
}

up() {
        local state=$MACHINES/$name root launcher pid end
        machine_pid "$name" >/dev/null && fail "the machine $name runs already"
        root=$(root_of "$suite" ${packages[@]+"${packages[@]}"}) || exit 1
        down_quietly
        mkdir -p "$state/upper" "$state/work" "$state/root"
        printf '%s\n' ${binds[@]+"${binds[@]}"} | grep . >"$state/binds"
        mount -t overlay -o "lowerdir=$root,upperdir=$state/upper,workdir=$state/work" overlay "$state/root" ||
                fail "cannot mount an overlay"
        prepare_root "$state/root" "$name"
        cgroup_make "$name"
        (
                cgroup_enter "$name"
                exec setsid unshare --mount --pid --ipc --uts --cgroup --fork \
                        /bin/bash "$here/container.sh" boot "$state" "$name" </dev/null >"$state/log" 2>&1
        ) &
        launcher=$!
        echo "$launcher" >"$state/launcher"
        end=$((SECONDS + 60))
        until pid=$(first_process "$launcher") && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = systemd ]; do
                if [ ! -d "/proc/$launcher" ] || [ $SECONDS -ge $end ]; then
                        fail "systemd does not start: $(cat "$state/log")"
                fi
                sleep 0.02
        done
        echo "$pid" >"$state/pid"
        machine_wait "$name"
}

down_quietly() {
        local state=$MACHINES/$name pid launcher end=$((SECONDS + 20))
        [ -d "$state" ] || return 0
        launcher=$(cat "$state/launcher" 2>/dev/null)
        if pid=$(machine_pid "$name"); then
                kill -s RTMIN+4 "$pid" # systemd: power off, cleanly
                while [ -d "/proc/$pid" ] && [ $SECONDS -lt $end ]; do sleep 0.05; done
                [ ! -d "/proc/$pid" ] || kill -KILL "$pid"
        fi
        while [ -n "$launcher" ] && [ -d "/proc/$launcher" ] && [ "$(cut -d' ' -f3 "/proc/$launcher/stat" 2>/dev/null)" != Z ] &&
                [ $SECONDS -lt $((end + 5)) ]; do sleep 0.05; done
        cgroup_remove "$name"
        while mountpoint -q "$state/root"; do umount "$state/root" || umount -l "$state/root" || break; done
        rm -rf "$state"
}

command=${1:-}
[ $# -gt 0 ] && shift
case $command in
boot) # not for people: inside of the namespaces
        set -e
        machine_boot "$@"
        ;;
up | down | exec | root)
        [ "$(id -u)" = 0 ] || fail "only root can do this"
        parse "$@"
        case $name in *[!a-z0-9-]* | '') fail "not a name for a machine: $name" ;; esac
        case $command in
        up) up ;;
        down) down_quietly ;;
        exec)
                [ ${#words[@]} -gt 0 ] || fail "no command after --"
                machine_exec "$name" "${words[@]}"
                ;;
        root) root_of "$suite" ${packages[@]+"${packages[@]}"} ;;
        esac
        ;;
*) fail "up, exec, down or root?" ;;
esac
