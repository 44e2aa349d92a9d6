#!/bin/sh
# users.sh ROOT: the accounts that upstream's images have; folders are numbered, accounts are named where programs ask for a name.
set -eu
printf 'jovyan:x:1000:1000::/home/jovyan:/bin/bash\n' >>"$1/etc/passwd"
printf 'jovyan:x:1000:\n' >>"$1/etc/group"
mkdir -p "$1/home/jovyan" "$1/home/dask" "$1/srv/jupyterhub" "$1/config" "$1/data"
chown 1000:1000 "$1/home/jovyan" "$1/home/dask" "$1/srv/jupyterhub"
rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/etc/resolv.conf "$1"/etc/hostname
