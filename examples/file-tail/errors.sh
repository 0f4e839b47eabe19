#!/bin/sh
# The errors of the log, one a line; TOKEN_FILE keeps the place, so that the next run goes on there.
#   errors.sh URL TOKEN_FILE
set -eu
from=$(cat "$2" 2>/dev/null || echo latest)
curl -sN "$1/streams/app?where=/level==error&from=$from" | while read -r message; do
  printf '%s' "$message" | jq -r '.id // .to // .from' >"$2"
  printf '%s' "$message" | jq -r 'if .event == "gap" then "\(.count) records skipped: \(.reason)"
    elif .event then empty else "\(.time) \(.data.text)" end'
done
