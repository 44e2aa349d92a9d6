#!/bin/bash
# Prometheus and Alertmanager, of monitoring. Prometheus finds no targets by itself there, so what would is left out; web pages are not part of the modules.
# shellcheck source=tests/testbed/parts/common.sh
. "$(dirname "$0")/common.sh"
p=github.com/prometheus/prometheus
v=$(version $p)
CGO_ENABLED=0 build prometheus $p/cmd/prometheus -tags netgo,remove_all_sd -ldflags "-s -w -X github.com/prometheus/common/version.Version=3.${v#0.3}"

# Alertmanager does not build without its pages, so it has an empty one, in a copy of the module. It shares what Prometheus was
# built of, at the same versions, which is most of it.
a=github.com/prometheus/alertmanager
go mod download $a 2>/dev/null
# Not just any folder: its name is in the program, which is to be the same the next time.
copy=$OUT.alertmanager
rm -rf "$copy"
cp -R "$(go list -m -f '{{.Dir}}' $a)" "$copy"
chmod -R u+w "$copy"
mkdir "$copy/ui/app/dist" && touch "$copy/ui/app/dist/index.html"
go mod edit -replace=$a="$copy" -print >"$copy.mod"
cp go.sum "$copy.sum"
CGO_ENABLED=0 build alertmanager $a/cmd/alertmanager -modfile="$copy.mod" -tags netgo,remove_all_sd -ldflags "-s -w -X github.com/prometheus/common/version.Version=$(version $a)"
rm -rf "$copy" "$copy.mod" "$copy.sum"
