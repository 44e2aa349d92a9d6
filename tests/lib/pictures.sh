#!/bin/bash
# Draws the dashboards with Perses, to be looked at: tests/lib/pictures.sh PERSES FOLDER [NAME …]; see tests/unit/monitoring/pictures.py.
set -u
perses=$(realpath "${1:?the folder of Perses?}") folder=$(realpath "${2:?the folder for the pictures?}") && shift 2 || exit 64
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/common.sh
tools=$(tools_venv) || exit 1
exec "$tools/bin/python" -B tests/unit/monitoring/pictures.py "$perses" "$folder" "$@"
