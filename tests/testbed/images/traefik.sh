#!/bin/sh
# As upstream's: options and subcommands are traefik's, anything else is a program.
set -e
[ "${1#-}" = "$1" ] || set -- traefik "$@"
if [ "$1" != traefik ] && traefik "$1" --help >/dev/null 2>&1; then set -- traefik "$@"; fi
exec "$@"
