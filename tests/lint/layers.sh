#!/bin/bash
# A file may include its own layer and those before it; an include upwards is an error.
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
        [ "$(rank "$to")" -ge 0 ] || { echo "$file:$line: includes $text, which is no layer"; bad=1; continue; }
        # the small root programs stand beside the layers and use the lower ones only
        if [ "$from" = helper ]; then from=client; fi
        [ "$(rank "$from")" -ge "$(rank "$to")" ] || { echo "$file:$line: $from may not include $to"; bad=1; }
done < <(grep -rnE '^#include "' provisioner --include='*.c' --include='*.h')
# one outside library a folder
owners=(
        'yaml\.h:provisioner/tree/' 'sqlite3\.h:provisioner/journal/' 'curl/curl\.h:provisioner/client/http/' 'ldap\.h:provisioner/client/ldap/'
)
for owner in "${owners[@]}"; do
        found=$(grep -rlE "^#include <${owner%%:*}>" provisioner | grep -v "^${owner#*:}")
        [ -z "$found" ] || { echo "$found: <${owner%%:*}> belongs to ${owner#*:}"; bad=1; }
done
exit $bad
