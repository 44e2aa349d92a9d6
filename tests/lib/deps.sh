#!/bin/bash
# Installs what is missing of Debian's packages and says what.  deps.sh [build|test|testbed]
#
# The stack itself (389 Directory Server, Caddy, runit …) is not listed here: `caas apply` installs that by itself.
set -eu
build="gcc libc6-dev make libjansson-dev libyaml-dev libcurl4-openssl-dev libldap-dev libssl-dev libsqlite3-dev libmicrohttpd-dev ca-certificates"
# Python's venv module and the name of the fuzzer's library follow the release.
clang=''
[ "${1:-}" != test ] || clang=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
# The stack's own servers and tools are there for the unit tests, which come before any apply.
test="389-ds-base libnss3-tools bubblewrap ccache runit xfsprogs clang clang-tidy libclang-rt-${clang:-14}-dev shellcheck libcmocka-dev mmdebstrap python3-venv git procps iproute2 chromium chromium-driver fonts-dejavu-core gpg gpg-agent jsonnet openssl prometheus prometheus-alertmanager python3-aiosmtpd valgrind"
# A Kubernetes cluster on this machine. Go comes with Debian's only where there is none (tests/testbed/build.sh).
testbed="gcc libc6-dev libseccomp-dev nftables conntrack iproute2 util-linux procps openssl curl mmdebstrap python3-venv hostname"
command -v go >/dev/null || [ -x /usr/local/go/bin/go ] || testbed="$testbed golang-go"
case ${1:-build} in
build) wanted=$build ;;
test) wanted="$build $test $testbed" ;;
testbed) wanted="$testbed ca-certificates" ;;
*) echo "usage: deps.sh [build|test|testbed]" >&2 && exit 64 ;;
esac
# All are asked for at once: every answer has dpkg read its whole database.
missing() {
        local there
        # shellcheck disable=SC2086 # a list of words
        there=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null) || true
        for package in $wanted; do
                case $'\n'$there$'\n' in *$'\n'"installed $package"$'\n'*) ;; *) printf '%s ' "$package" ;; esac
        done
}
need=$(missing)
[ -n "$need" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
        echo "These packages are missing, and only root can install them: $need" >&2
        echo "    sudo apt-get install --no-install-recommends $need" >&2
        exit 1
fi
echo "installing: $need"
export DEBIAN_FRONTEND=noninteractive
# Of Prometheus and Alertmanager the tests want the programs. As services they would start with their packages, and at every boot,
# on all addresses.
quiet() {
        [ ! -d /run/systemd/system ] || systemctl mask --quiet prometheus.service prometheus-alertmanager.service
        [ -e /usr/sbin/policy-rc.d ] && return
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 0755 /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}
case " $need " in *" prometheus"*) quiet ;; esac
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $need >/dev/null 2>&1 ||
        { apt-get update -qq && clang=$(apt-cache depends clang | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1) &&
                apt-get install -y -qq --no-install-recommends ${need//libclang-rt-14-dev/libclang-rt-${clang:-14}-dev} >/dev/null; }
left=$(missing)
for service in prometheus prometheus-alertmanager; do
        case " $need " in *" $service "*) [ -d /run/systemd/system ] || update-rc.d "$service" disable >/dev/null 2>&1 || : ;; esac
done
[ -z "${left//libclang-rt-14-dev /}" ] || { echo "could not install: $left" >&2; exit 1; }
