#!/bin/bash
# The Makefile itself: what a change compiles, how programs are linked, what is installed. After `make all`.
set -u
. tests/lib/common.sh
BUILD=${BUILD:-build}
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
make --no-print-directory all || exit 1
# The sources that a make compiles.
compiles() { make --no-print-directory V=1 "$@" 2>&1 | grep -o -- ' -c [^ ]*\.c' | cut -d' ' -f3 | sort; }

top_level() {
        diff <(git ls-files | sed 's|/.*||; /^\./d' | sort -u) <(printf '%s\n' LICENSE Makefile README.md docs monitoring provisioner roles templates tests)
}
no_op() { [ -z "$(compiles all)" ]; }
header() {
        # -W: as if it had just been changed
        diff <(grep -rl '#include "tree/number.h"' provisioner --include='*.c' | sort) <(compiles -W provisioner/tree/number.h all) && no_op
}
nothing_there() { # no compiler
        ! make --no-print-directory BUILD="$folder/nothing" CC=/bin/false all >"$folder/all" 2>&1 && grep -q 'missing: make deps' "$folder/all"
}
hardened() {
        local program bad=0
        for program in caas caas-home caas-sandbox caas-exporter; do
                readelf --wide --headers --dynamic "$BUILD/$program" >"$folder/elf"
                for what in 'Type: *DYN' 'GNU_RELRO' 'FLAGS.*BIND_NOW' 'GNU_STACK .* RW '; do
                        grep -q "$what" "$folder/elf" || { echo "$program: no $what"; bad=1; }
                done
        done
        return $bad
}
installed() {
        local to=$folder/root/opt/caas found
        # what an older release left, and the umask of a careful administrator
        mkdir -p "$to/share/caas/roles/gone" && echo 'name: broken' >"$to/share/caas/roles/gone/role.yaml"
        (umask 077 && make --no-print-directory install DESTDIR="$folder/root" prefix=/opt/caas) || return 1
        # the folders made on the way to it are the administrator's own
        found=$(find "$to/bin" "$to/libexec" "$to/share/caas" "$to/share/doc/caas" ! -perm -004 -o -name gone -o -name __pycache__)
        [ -z "$found" ] || { echo "$found"; return 1; }
        [ -s "$to/share/doc/caas/docs/RUNBOOK.md" ] && [ -s "$to/share/man/man1/caas.1" ] && bash -n "$to/share/bash-completion/completions/caas" || return 1
        # it finds its parts where they are now
        (cd / && "$to/bin/caas" version --json) | grep -F "\"data\":\"$to/share/caas\",\"libexec\":\"$to/libexec/caas\"" || return 1
        "$to/bin/caas" --state "$folder/state" plan --quiet tests/forms/minimal.yaml
        [ $? -eq 2 ]
}
targets=(help deps all demo test lint fmt bench install clean)
documented() {
        local target bad=0
        make --no-print-directory help >"$folder/help"
        for target in "${targets[@]}"; do
                grep -q "^  make $target  *[a-z]" "$folder/help" || { echo "make help does not say $target"; bad=1; }
                make --no-print-directory -n "$target" >"$folder/said" 2>&1 || { cat "$folder/said"; bad=1; }
        done
        return $bad
}
# A copy of what is tracked, as it is here, in which something is built or spoilt.
copy=$folder/copy
in_copy() { env -u BUILD -u SAN make --no-print-directory -C "$copy" "$@"; }
copied() {
        if [ ! -d "$copy" ]; then
                git init --quiet "$copy" && git ls-files -z | tar --null --files-from=- -c | tar -x -C "$copy" &&
                        git -C "$copy" add --all || return 1
        fi
        git -C "$copy" status --ignored --porcelain >"$folder/before"
}
as_before() { git -C "$copy" status --ignored --porcelain | diff "$folder/before" -; }
cleaned() {
        local object=provisioner/base/str.o
        copied && in_copy "build/$object" && in_copy SAN=1 "build-san/$object" || return 1
        ! as_before >/dev/null || { echo "nothing was built"; return 1; }
        in_copy clean && as_before
}
warned() {
        local each
        copied && echo 'static int unused;' >"$copy/provisioner/base/warned.c" || return 1
        for each in gcc clang; do
                ! in_copy CC="$each" V=1 "build$([ "$each" = gcc ] || echo -clang)/provisioner/base/warned.o" >"$folder/all" 2>&1 || return 1
                grep "Werror.*unused" "$folder/all" || { cat "$folder/all"; return 1; }
        done
        rm -r "$copy/provisioner/base/warned.c" "$copy"/build*
        as_before
}
# By the pinned tools: what PATH has is none.
formatted() {
        local spoilt=(provisioner/base/str.c tests/lib/junit.py) each
        copied && mkdir -p "$folder/bin" || return 1
        for each in clang-format ruff; do ln -sf /bin/false "$folder/bin/$each"; done
        for each in "${spoilt[@]}"; do sed -i 's/ = /   =  /' "$copy/$each"; done
        [ "$(git -C "$copy" diff --name-only "${spoilt[@]}" | wc -l)" -eq 2 ] || { echo "nothing was spoilt"; return 1; }
        PATH=$folder/bin:$PATH in_copy fmt && as_before
}
check "top level: what belongs there" top_level
check "make help: what it says can be made" documented
check "make: nothing changed, nothing compiled" no_op
check "make: a header compiles who includes it" header
check "make: without what it needs it says what to do" nothing_there
check "make: a warning is an error" warned
check "make: programs are hardened" hardened
check "make install: DESTDIR, prefix, over an older one" installed
check "make clean: nothing is left" cleaned
check "make fmt: what lint wants, by its tools" formatted
make --no-print-directory all # with its own prefix again
echo "build: $passed passed, $failed failed"
if [ -n "${TALLY:-}" ]; then echo "$passed $failed" >>"$TALLY"; fi
[ "$failed" -eq 0 ]
