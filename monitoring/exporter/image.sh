#!/bin/bash
# image.sh PROGRAM VERSION OUT [NAME]: an image of caas-exporter for Kubernetes, as an OCI archive that "docker load", too, can read.
# NAME (caas-exporter:VERSION) is what it is called. In it are the program and what it loads, of this machine's Debian: libraries,
# authorities, their licences, and the state of their packages, so that scanners know them. No shell, nothing else.
set -euo pipefail
program=$1 version=$2 out=$3 name=${4:-caas-exporter:$2}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
root=$work/root blobs=$work/image/blobs/sha256
mkdir -p "$root"/{etc/ssl/certs,etc/caas,tmp,usr/bin,usr/lib,var/lib/dpkg/status.d} "$blobs"
die() { echo "image.sh: $*" >&2 && exit 1; }

# ---- what it loads: libraries of its head, and those that it opens itself, with theirs
# The first of these names that this machine has, as a path.
library() {
        local each found
        for each in "$@"; do
                found=$(ldconfig -p | awk -v name="$each" '!n && $1 == name { print $NF; n = 1 }')
                if [ -n "$found" ]; then echo "$found" && return; fi
        done
        die "there is no $1 on this machine"
}
curl=$(library libcurl.so.4)
ldap=$(library libldap.so.2 libldap-2.5.so.0)
wanted=$(for each in "$program" "$curl" "$ldap"; do ldd "$each"; done | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | sort -u)
grep -q . <<<"$wanted" || die "$program: ldd says nothing of it"
# Where /lib is /usr/lib, a package may say either of its files; and it may only name what a link leads to.
spellings=()
for each in $wanted "$curl" "$ldap"; do
        case $each in
        /lib* | /usr/lib*) ;;
        *) die "$program loads $each, which is not Debian's" ;;
        esac
        path=/usr${each#/usr}
        install -D -m 0755 "$each" "$root$path"
        real=$(readlink -f "$each")
        spellings+=("$path" "${path#/usr}" "/usr${real#/usr}" "${real#/usr}")
done
# Debian 13 also says of the loader that libc6 diverts it.
{ dpkg -S "${spellings[@]}" 2>/dev/null || true; } | sed '/^diversion by /d' >"$work/owners"
for each in $wanted "$curl" "$ldap"; do
        grep -q -e "/${each##*/}\$" -e "/$(basename "$(readlink -f "$each")")\$" "$work/owners" || die "$each is of no package"
done
sed 's/[:,].*//' "$work/owners" | sort -u >"$work/packages"
echo ca-certificates >>"$work/packages"
for each in lib lib64; do [ ! -e "$root/usr/$each" ] || ln -s "usr/$each" "$root/$each"; done

# ---- the program, authorities, who it is
install -m 0755 "$program" "$root/usr/bin/caas-exporter"
cat /usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
echo 'exporter:x:65532:65532:caas-exporter:/:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'exporter:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
cp /etc/debian_version /usr/lib/os-release "$root/usr/lib/" && mv "$root/usr/lib/debian_version" "$root/etc/" && ln -s ../usr/lib/os-release "$root/etc/os-release"
while read -r package; do
        dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
        licence=/usr/share/doc/$package/copyright
        [ ! -e "$licence" ] || install -D -m 0644 "$(readlink -f "$licence")" "$root$licence"
done <"$work/packages"
chmod 1777 "$root/tmp"

# ---- the archive: one layer, its configuration, and what names them
# blob FILE: puts it where its digest says, and says that.
blob() {
        local sum
        sum=$(sha256sum "$1" | cut -d' ' -f1)
        mv "$1" "$blobs/$sum"
        echo "$sum"
}
size() { stat -c %s "$blobs/$1"; }
same_tar() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu "$@"; }
architecture=$(dpkg --print-architecture)
same_tar -C "$root" -cf "$work/layer" .
layer=$(blob "$work/layer")
cat >"$work/config" <<END
{"architecture": "$architecture", "os": "linux", "created": "1970-01-01T00:00:00Z",
 "config": {"User": "65532:65532", "WorkingDir": "/", "Entrypoint": ["/usr/bin/caas-exporter"], "Cmd": ["/etc/caas/exporter.json"],
  "Labels": {"org.opencontainers.image.title": "caas-exporter", "org.opencontainers.image.version": "$version"}},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}, "history": [{"created": "1970-01-01T00:00:00Z"}]}
END
config=$(blob "$work/config")
cat >"$work/manifest" <<END
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
 "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:$config", "size": $(size "$config")},
 "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:$layer", "size": $(size "$layer")}]}
END
manifest=$(blob "$work/manifest")
cat >"$work/image/index.json" <<END
{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
 "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:$manifest", "size": $(size "$manifest"),
  "platform": {"architecture": "$architecture", "os": "linux"},
  "annotations": {"io.containerd.image.name": "$name", "org.opencontainers.image.ref.name": "${name##*:}"}}]}
END
echo '{"imageLayoutVersion": "1.0.0"}' >"$work/image/oci-layout"
echo "[{\"Config\": \"blobs/sha256/$config\", \"RepoTags\": [\"$name\"], \"Layers\": [\"blobs/sha256/$layer\"]}]" >"$work/image/manifest.json"
same_tar -C "$work/image" -cf "$out.part" oci-layout index.json manifest.json blobs
mv "$out.part" "$out"
