#!/bin/sh
# Writes C that holds the files named on the command line, for gateway/page.h. index.html is "/".
set -eu

type_of() {
    case $1 in
    *.html) echo 'text/html; charset=utf-8' ;;
    *.js) echo 'text/javascript; charset=utf-8' ;;
    *.css) echo 'text/css; charset=utf-8' ;;
    *.svg) echo 'image/svg+xml' ;;
    *) echo "embed.sh: $1: unknown type" >&2 && exit 1 ;;
    esac
}

echo '#include "page.h"'
n=0
for file; do
    printf '\nstatic const unsigned char file_%d[] = {\n' "$n"
    od -An -v -tu1 "$file" | sed 's/^ *//; s/  */,/g; s/$/,/'
    echo '};'
    n=$((n + 1))
done

printf '\nconst struct page_file page_files[] = {\n'
n=0
for file; do
    path=/${file##*/}
    [ "$path" != /index.html ] || path=/
    type=$(type_of "$file")
    printf '    {"%s", "%s", file_%d, sizeof file_%d},\n' "$path" "$type" "$n" "$n"
    n=$((n + 1))
done
printf '};\nconst size_t page_files_n = %d;\n' "$n"
