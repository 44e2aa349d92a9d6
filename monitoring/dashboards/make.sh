#!/bin/bash
# Makes the dashboards' JSON of their sources: into this folder, or into the one that is named.
set -eu
cd "$(dirname "$0")"
into=${1:-.}
for source in *.jsonnet; do
        jsonnet "$source" >"$into/${source%.jsonnet}.json"
done
