#!/bin/bash
# make fmt: C and Python as lint wants them, by the very tools that lint asks.
set -eu
. tests/lib/common.sh
. tests/lint/files.sh
tools=$(tools_venv) || { echo "cannot install the tools of tests/tools.txt" >&2; exit 1; }
"$tools/bin/clang-format" -i "${c_files[@]}"
"$tools/bin/ruff" format --no-cache --quiet "${python_files[@]}"
