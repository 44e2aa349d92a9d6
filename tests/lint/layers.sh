#!/bin/bash
# A file may include its own layer and those before it; an include upwards is an error. The exporter stands beside them:
# it may include some of the lower ones, and none of them includes it.
set -u
layers=(base tree form role journal plan client kind engine access cli)
rank() {
        local i
        for i in "${!layers[@]}"; do [ "${layers[$i]}" = "$1" ] && echo "$i" && return; done
        echo -1
}
bad=0
while IFS=: read -r file line text; do
        from=${file#provisioner/} && from=${from%%/*}
        to=${text#*\"} && to=${to%%\"*} && to=${to%%/*}
        if [ "${file%%/*}" = monitoring ]; then
                case $to in
                base | tree | journal | client | exporter) ;;
                *) echo "$file:$line: exporter may not include $to" && bad=1 ;;
                esac
                continue
        fi
        [ "$(rank "$to")" -ge 0 ] || { echo "$file:$line: includes $text, which is no layer"; bad=1; continue; }
        # the small root programs stand beside the layers and use the lower ones only
        if [ "$from" = helper ]; then from=client; fi
        [ "$(rank "$from")" -ge "$(rank "$to")" ] || { echo "$file:$line: $from may not include $to"; bad=1; }
done < <(grep -rnE '^#include "' provisioner monitoring/exporter --include='*.c' --include='*.h')
# form, role and plan are pure: what comes out depends on what goes in; roles are read from the disk, and nothing is written
outside='\b(socket|connect|getaddrinfo|time|clock_[a-z_]+|gettimeofday|getenv|secure_getenv|random_bytes|proc_run|write|unlink|rename|mkdir|file_(write|make|remove|give)[a-z_]*)\('
disk='\b(open|openat|fopen|opendir|l?stat|access|realpath|readlink|file_(read|exists))\('
found=$(grep -rnE "$outside" provisioner/form provisioner/role provisioner/plan --include='*.c' | grep -vE ':\s*(\*|/\*|//)'
        grep -rnE "$disk" provisioner/form provisioner/plan --include='*.c' | grep -vE ':\s*(\*|/\*|//)')
[ -z "$found" ] || { echo "$found"; echo "^ form, role and plan are pure"; bad=1; }
# one outside library a folder
owners=(
        'yaml\.h:provisioner/tree/' 'sqlite3\.h:provisioner/journal/' 'curl/curl\.h:provisioner/client/http/' 'ldap\.h:provisioner/client/ldap/'
        'microhttpd\.h:monitoring/exporter/server\.c'
)
for owner in "${owners[@]}"; do
        found=$(grep -rlE "^#include <${owner%%:*}>" provisioner monitoring/exporter | grep -v "^${owner#*:}")
        [ -z "$found" ] || { echo "$found: <${owner%%:*}> belongs to ${owner#*:}"; bad=1; }
done
exit $bad
