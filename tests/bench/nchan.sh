#!/bin/sh
# Run Nchan (Debian's nginx and libnginx-mod-nchan) in the foreground: nchan.sh DIR PORT. DIR is made and holds all that it writes.
set -eu
dir=$1
port=$2
here=$(dirname "$0")
modules=${NGINX_MODULES:-/usr/lib/nginx/modules}
mkdir -p "$dir"
sed -e "s|@DIR@|$dir|g" -e "s|@PORT@|$port|g" -e "s|@MODULES@|$modules|g" "$here/nchan.conf.in" >"$dir/nginx.conf"
exec "$(command -v nginx || echo /usr/sbin/nginx)" -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf"
