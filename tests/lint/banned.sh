#!/bin/bash
# Functions that have no place here, and files and functions that have grown too long.
set -u
bad=0
banned='\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|system|popen|tmpnam|mktemp|alloca|atoi|atol|atof|asctime|ctime|gmtime|localtime|rand|srand|signal_setmask)\('
found=$(grep -rnE "$banned" provisioner monitoring/exporter --include='*.c' --include='*.h' | grep -vE '^\S+:\s*(\*|/\*|//)')
[ -z "$found" ] || { echo "$found"; echo "^ banned functions"; bad=1; }
found=$(grep -rnE '\bTODO\b|\bFIXME\b|\bXXX\b' provisioner monitoring roles templates tests docs --include='*.[ch]' --include='*.py' --include='*.sh' --include='*.md' --exclude=banned.sh)
[ -z "$found" ] || { echo "$found"; echo "^ unfinished work"; bad=1; }
while read -r lines file; do
        [ "$file" = total ] || [ "$lines" -le 500 ] || { echo "$file: $lines lines: split it"; bad=1; }
done < <(find provisioner monitoring -name '*.[ch]' -print0 | xargs -0 wc -l)
exit $bad
