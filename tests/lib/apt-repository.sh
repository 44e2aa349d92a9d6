#!/bin/bash
# apt-repository.sh FOLDER PACKAGE VERSION TREE: a Debian repository in FOLDER, "stable main" as Grafana's, with one package that
# holds what is in TREE, signed by a key that is made for it: FOLDER/key.asc; its fingerprint is printed.
set -eu
folder=$1 package=$2 version=$3 tree=$4
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d) && trap 'gpgconf --homedir "$work/gnupg" --kill all; rm -rf "$work"' EXIT
arch=$(dpkg --print-architecture)
name=${package}_${version}_$arch.deb
index=dists/stable/main/binary-$arch
mkdir -p "$work/gnupg" "$work/deb/DEBIAN" "$folder/$index" "$folder/pool"
chmod 700 "$work/gnupg"
export GNUPGHOME=$work/gnupg

cp -a "$tree/." "$work/deb/"
printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: test <test@example.org>\nDepends: not-there\nDescription: for a test\n' \
        "$package" "$version" "$arch" >"$work/deb/DEBIAN/control"
printf '#!/bin/sh\ntouch /tmp/caas-a-script-of-a-package-was-run\n' >"$work/deb/DEBIAN/postinst"
chmod 755 "$work/deb/DEBIAN/postinst"
dpkg-deb --root-owner-group -Znone --build "$work/deb" "$folder/pool/$name" >/dev/null

{
        cat "$work/deb/DEBIAN/control"
        echo "Filename: pool/$name"
        echo "Size: $(stat -c %s "$folder/pool/$name")"
        echo "SHA256: $(sha256sum "$folder/pool/$name" | cut -d' ' -f1)"
} >"$folder/$index/Packages"
{
        printf 'Origin: test\nLabel: test\nSuite: stable\nCodename: stable\nArchitectures: %s\nComponents: main\n' "$arch"
        echo "Date: $(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC')"
        echo SHA256:
        echo " $(sha256sum "$folder/$index/Packages" | cut -d' ' -f1) $(stat -c %s "$folder/$index/Packages") main/binary-$arch/Packages"
} >"$work/Release"
gpg --batch --quiet --passphrase '' --quick-generate-key 'test <test@example.org>' rsa3072 sign never 2>/dev/null
gpg --batch --quiet --yes --clearsign -o "$folder/dists/stable/InRelease" "$work/Release"
gpg --batch --quiet --yes --armor --export -o "$folder/key.asc"
gpg --batch --quiet --no-auto-check-trustdb --with-colons --list-keys | sed -n 's/^fpr:*\([0-9A-F]*\):.*/\1/p' | head -n 1
