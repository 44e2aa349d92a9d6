#!/bin/bash
# make demo: the form tests/forms/demo.yaml applied to this machine, checked, and what to do next.
set -eu
caas=${BUILD:-build}/caas
form=tests/forms/demo.yaml
if [ "$(id -u)" -ne 0 ]; then
        echo "make demo sets up services on this machine and has to be run as root (sudo make demo)" >&2
        exit 1
fi
began=$SECONDS
"$caas" apply "$form" --yes
took=$((SECONDS - began))
address=$("$caas" status demo --json | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)["access"]["url"])')
cat <<TEXT

The demo runs (set up in $((took / 60)) min $((took % 60)) s).

    address    $address
    user       admin
    password   $("$caas" password demo)

    a scientist   $caas user add demo alice && $caas grant demo alice
    is it well    $caas test demo
    watch it      ${address}services/monitoring/   (as admin; $caas top demo in a terminal)
    stop it       make demo-stop          (homes and accounts are kept; $caas destroy demo --delete-data removes them, too)
TEXT
