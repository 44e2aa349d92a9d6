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
