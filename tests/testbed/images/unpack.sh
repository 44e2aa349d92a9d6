# shellcheck shell=bash
# unpack.sh BIN ROOT NAMES <ARCHIVE: images into a containerd root, and others out of it, by a containerd that ends with this (PID 1 of its namespace).
set -eu
bin=$1 root=$2 names=$3 state=$(mktemp -d)
mount --make-rprivate /
mount -t tmpfs none "$state"
cat >"$state/config.toml" <<C
version = 3
root = "$root"
state = "$state/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs"]
[grpc]
  address = "$state/socket"
C
PATH=$bin:$PATH containerd -c "$state/config.toml" >"$state/log" 2>&1 </dev/null &
for _ in {1..200}; do
        [ ! -S "$state/socket" ] || break
        sleep 0.05
done
[ -S "$state/socket" ] || { cat "$state/log"; exit 1; }
images() { "$bin/ctr" --address "$state/socket" --namespace k8s.io images "$@"; }
images import --local --snapshotter overlayfs -
# What no image has any more goes at once when one is removed in step with it.
images tag "$(head -n 1 <<<"$names")" old.local/none:1
images list -q | grep -vxF "$names" | while read -r old; do images remove --sync "$old"; done
kill %1
wait || true
umount "$state"
rmdir "$state"
