#!/bin/bash
# down.sh [--name NAME] [--wipe]: ends a cluster and everything in it. --wipe: also its folder, which holds its images.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
name=tb wipe='' quiet=''
while [ $# -gt 0 ]; do
        case $1 in
        --name) name=$2 && shift 2 ;;
        --wipe) wipe=1 && shift ;;
        --quiet) quiet=1 && shift ;;
        *) echo "usage: down.sh [--name NAME] [--wipe]" >&2 && exit 64 ;;
        esac
done
set_name "$name"
[ -e "$STATE/number" ] || { [ -n "$quiet" ] || say "$NAME is not there"; exit 0; }
set_number
# With their PID 1 all processes of the namespaces end, pods' too, and with the last of them mounts and network.
pid=$(init_pid)
if [ -n "$pid" ]; then
        kill -9 "$pid"
        for _ in {1..500}; do
                [ -e "/proc/$pid" ] || break
                sleep 0.02
        done
fi
ip link del "$LINK" 2>/dev/null || true
groups() { { findmnt -n -l -t cgroup,cgroup2 -o TARGET | sed "s|\$|/$GROUP|" | while read -r folder; do [ ! -d "$folder" ] || find "$folder" -depth -type d; done; } }
for _ in {1..100}; do
        groups | xargs -r rmdir 2>/dev/null || true
        [ -n "$(groups)" ] || break
        sleep 0.05
done
[ -z "$(groups)" ] || die "control groups that something is still in: $(groups | head -n 3)"
if [ -n "$wipe" ]; then
        rm -rf "$STATE"
else
        # What the containers wrote goes, the images stay.
        (cd "$STATE" && rm -rf etcd log etc run init.pid bin var/log var/lib/{kubelet,cni,pv})
fi
[ -n "$quiet" ] || say "$NAME is down"
