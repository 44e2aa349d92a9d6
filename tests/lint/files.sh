# shellcheck shell=bash disable=SC2034 # who sources it uses them
# What lint checks the format of, and `make fmt` writes.
mapfile -t c_files < <(git ls-files '*.c' '*.h')
mapfile -t python_files < <(git ls-files '*.py' ':!tests/cases')
