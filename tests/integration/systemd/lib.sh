# shellcheck shell=bash
# A small machine with a real systemd as PID 1, in namespaces of this one: no virtual machine, no systemd-nspawn.
# Sourced by container.sh, which says how it is used.
#
#   root          Debian by mmdebstrap, kept in the cache by content; each machine writes to an overlay of its own
#   namespaces    pid, mount, ipc, uts, cgroup; the network is the host's, so ports and package registries are too
#   cgroups       a group of the machine's own in every hierarchy of the host; systemd sees it as the root.
#                 On a version 1 host it gets the hybrid tree (name=systemd); systemd 256 and later have to be told to take it
#   /dev          an own tmpfs with the harmless devices and loop devices

MACHINES=${CAAS_TEST_MACHINES:-${TMPDIR:-/tmp}/caas-systemd}
ARCHITECTURE=$(dpkg --print-architecture)

# What a machine needs to run systemd, and what the product's programs are linked with.
packages_of() {
        local common="systemd-sysv dbus ca-certificates iproute2 procps util-linux login passwd less curl python3 python3-venv
                libjansson4 libyaml-0-2 libsqlite3-0 libldap-common"
        case $1 in
        bookworm) echo "$common libcurl4 libssl3 libldap-2.5-0 libmicrohttpd12" ;;
        trixie) echo "$common libcurl4t64 libssl3t64 libldap2 libmicrohttpd12t64" ;;
        *) fail "unknown suite $1: bookworm and trixie are known" ;;
        esac
}

fail() {
        echo "container.sh: $*" >&2
        exit 1
}

# root_of SUITE [PACKAGE…]: the folder of a Debian root, made if the cache has none of these packages.
root_of() {
        local suite=$1 packages digest root
        shift
        packages=$(packages_of "$suite") || exit 1
        packages=$(printf '%s\n' "$packages" "$@" | tr -s '[:space:]' '[\n*]' | LC_ALL=C sort -u | paste -sd,)
        digest=$(printf '%s\n' "$suite $ARCHITECTURE $packages" "${CAAS_TEST_MIRROR:-}" | sha256sum | cut -c1-12)
        root=$CACHE/systemd-$suite-$digest
        mkdir -p "$CACHE"
        exec {lock}>"$root.lock"
        flock "$lock"
        if [ ! -e "$root/complete" ]; then
                command -v mmdebstrap >/dev/null || fail "mmdebstrap is not installed"
                rm -rf "$root"
                mkdir -p "$root"
                mmdebstrap --quiet --variant=minbase --include="$packages" "$suite" "$root/tree" \
                        ${CAAS_TEST_MIRROR:+"$CAAS_TEST_MIRROR"} >"$root/log" 2>&1 ||
                        fail "mmdebstrap failed: $(tail -n 3 "$root/log")"
                touch "$root/complete"
        fi
        exec {lock}>&-
        echo "$root/tree"
}

# ---- control groups ---------------------------------------------------------------------------------------------------

cgroup_version() {
        if [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo 2; else echo 1; fi
}

# The folders of the machine's own group, one for each hierarchy of the host.
cgroup_folders() {
        local machine=$1 folder
        if [ "$(cgroup_version)" = 2 ]; then
                echo "/sys/fs/cgroup/caas-systemd-$machine"
                return
        fi
        for folder in /sys/fs/cgroup/*/; do
                [ -e "$folder/cgroup.procs" ] && echo "${folder}caas-systemd-$machine"
        done
}

cgroup_make() {
        local folder controller
        for folder in $(cgroup_folders "$1"); do
                mkdir -p "$folder"
                case $folder in # a new group of this hierarchy has no processors and memory nodes until it is told
                */cpuset/*)
                        cat /sys/fs/cgroup/cpuset/cpuset.cpus >"$folder/cpuset.cpus"
                        cat /sys/fs/cgroup/cpuset/cpuset.mems >"$folder/cpuset.mems"
                        ;;
                esac
        done
        if [ "$(cgroup_version)" = 2 ]; then
                for controller in memory cpu pids io; do
                        echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
                done 2>/dev/null
        fi
}

cgroup_enter() {
        local folder
        for folder in $(cgroup_folders "$1"); do
                echo "$BASHPID" >"$folder/cgroup.procs"
        done
}

cgroup_remove() {
        local folder pid try
        for folder in $(cgroup_folders "$1"); do
                [ -d "$folder" ] || continue
                for try in $(seq 50); do
                        find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null | while read -r pid; do
                                [ "$pid" -gt 1 ] && kill -KILL "$pid" 2>/dev/null
                        done
                        find "$folder" -depth -type d -exec rmdir {} \; 2>/dev/null
                        [ -d "$folder" ] || break
                        sleep 0.1
                done
                [ ! -d "$folder" ] || echo "container.sh: $folder is still in use after $try tries" >&2
        done
}

# Inside of the new cgroup namespace: the hierarchies as systemd expects them.
mount_cgroups() {
        local root=$1 controller host
        if [ "$(cgroup_version)" = 2 ]; then
                mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
                return
        fi
        mount -t tmpfs -o nosuid,nodev,noexec,mode=755 tmpfs "$root/sys/fs/cgroup"
        for host in /sys/fs/cgroup/*/; do
                [ -e "$host/cgroup.procs" ] || continue
                controller=$(basename "$host")
                mkdir -p "$root/sys/fs/cgroup/$controller"
                case $controller in
                systemd) mount -t cgroup -o nosuid,nodev,noexec,none,name=systemd cgroup "$root/sys/fs/cgroup/systemd" ;;
                unified) mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup/unified" ;;
                *) mount -t cgroup -o "nosuid,nodev,noexec,$controller" cgroup "$root/sys/fs/cgroup/$controller" ;;
                esac
        done
}

# ---- the machine ------------------------------------------------------------------------------------------------------

mount_dev() {
        local root=$1 name n
        mount -t tmpfs -o nosuid,mode=755,size=4m tmpfs "$root/dev"
        for name in null zero full random urandom tty loop-control fuse; do
                [ -e "/dev/$name" ] && cp -a "/dev/$name" "$root/dev/$name"
        done
        for n in $(seq 0 63); do mknod -m 660 "$root/dev/loop$n" b 7 "$n"; done
        mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
        mount -t devpts -o nosuid,noexec,newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
        mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/dev/shm"
        ln -s pts/ptmx "$root/dev/ptmx"
        ln -s /proc/self/fd "$root/dev/fd"
        for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%%:*}" "$root/dev/${n#*:}"; done
        touch "$root/dev/console"
        mount --bind /dev/null "$root/dev/console"
}

# What of the host a machine has to share, and what would only fail in here.
prepare_root() {
        local root=$1 name=$2 unit
        echo "$name" >"$root/etc/hostname"
        printf '127.0.0.1 localhost %s\n::1 localhost\n' "$name" >"$root/etc/hosts"
        grep -v -e localhost /etc/hosts >>"$root/etc/hosts"
        rm -f "$root/etc/resolv.conf"
        cat /etc/resolv.conf >"$root/etc/resolv.conf"
        cat /etc/ssl/certs/ca-certificates.crt >"$root/etc/ssl/certs/ca-certificates.crt" # the one registries are reached with
        : >"$root/etc/machine-id"
        for unit in console-getty.service getty.target systemd-udevd.service systemd-udev-trigger.service systemd-sysctl.service \
                systemd-modules-load.service systemd-timesyncd.service systemd-networkd.service systemd-resolved.service \
                apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
                sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount; do
                ln -sf /dev/null "$root/etc/systemd/system/$unit"
        done
        mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"
        printf '[Journal]\nAudit=no\nReadKMsg=no\n' >"$root/etc/systemd/journald.conf.d/container.conf"
}

# Runs as PID 1 of the new namespaces and becomes systemd.
machine_boot() {
        local state=$1 name=$2 root=$1/root bind source target version
        mount --make-rprivate /
        mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
        mount --bind "$root/proc/sys" "$root/proc/sys"
        mount -o remount,bind,ro "$root/proc/sys" # settings of the kernel are the host's
        mount -t sysfs -o nosuid,nodev,noexec,ro sysfs "$root/sys" # read-only: systemd then leaves devices alone
        mount_cgroups "$root"
        mount_dev "$root"
        mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs "$root/run"
        mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/tmp"
        while IFS= read -r bind; do
                source=${bind%%:*} target=$root${bind#*:}
                if [ -d "$source" ]; then mkdir -p "$target"; else mkdir -p "$(dirname "$target")" && touch "$target"; fi
                mount --rbind "$source" "$target"
        done <"$state/binds"
        hostname "$name"
        mkdir -p "$root/run/host-root"
        cd "$root" || exit 1
        pivot_root . run/host-root
        umount -l /run/host-root
        rmdir /run/host-root
        version=$(/lib/systemd/systemd --version | awk 'NR == 1 {print $2}')
        set -- --log-target=journal --show-status=no
        if [ -d /sys/fs/cgroup/systemd ] && [ "$version" -ge 256 ]; then
                set -- SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 systemd.unified_cgroup_hierarchy=0 "$@"
        fi
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin container=caas LANG=C.UTF-8 \
                /lib/systemd/systemd --system "$@" </dev/null
}

# The number, here, of the machine's PID 1; nothing and false if it does not run.
machine_pid() {
        local pid
        pid=$(cat "$MACHINES/$1/pid" 2>/dev/null) && [ -d "/proc/$pid" ] && echo "$pid"
}

# machine_exec NAME COMMAND…: becomes the command, inside, in the machine's control groups, with what of our environment
# leads to registries. Does not return.
machine_exec() {
        local name=$1 pid variable
        local -a kept=()
        shift
        pid=$(machine_pid "$name") || fail "the machine $name does not run"
        while IFS= read -r variable; do
                case $variable in
                *_proxy | *_PROXY | *CA_BUNDLE* | SSL_CERT_* | PIP_* | UV_* | npm_config_* | NODE_EXTRA_CA_CERTS | CAAS_* | TERM)
                        kept+=("$variable=${!variable}")
                        ;;
                esac
        done < <(compgen -e)
        cgroup_enter "$name"
        exec nsenter --target "$pid" --mount --uts --ipc --pid --cgroup --root \
                env -i -C /root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LANG=C.UTF-8 \
                "${kept[@]}" "$@"
}

# Waits until systemd has started what it starts at boot. "degraded" is fine: some unit of Debian's may not like it here.
machine_wait() {
        local name=$1 state end=$((SECONDS + 60))
        while [ $SECONDS -lt $end ]; do
                machine_pid "$name" >/dev/null || fail "systemd ended: $(tail -n 5 "$MACHINES/$name/log")"
                state=$(machine_exec "$name" systemctl is-system-running 2>/dev/null)
                case $state in running | degraded) return 0 ;; esac
                sleep 0.1
        done
        fail "systemd is not ready after 60 s ($state)"
}
