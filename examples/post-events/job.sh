#!/bin/sh
# A job that tells how far it is: start, progress for each step, complete. ./job.sh URL NAME STEPS
set -eu
url=$1 name=$2 steps=$3

tell() {
    curl -sSf -o /dev/null -H 'Content-Type: application/json' -d "$2" "$url/streams/jobs?event=$1&key=$name"
}

tell start "{\"steps\":$steps}"
# One request for all steps: each line is a record as soon as it is there.
i=0
while [ "$i" -lt "$steps" ]; do
    i=$((i + 1))
    printf '{"step":%d,"of":%d}\n' "$i" "$steps"
done | curl -sSf -o /dev/null -X POST -T - -H 'Content-Type: application/x-ndjson' "$url/streams/jobs?event=progress&key=$name"
tell complete "{\"steps\":$steps}"
curl -sSf -H 'Content-Type: text/plain' -d "$name is done" "$url/api/audit?key=$name"
