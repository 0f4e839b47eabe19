#!/bin/bash
# Orders and amount by region, of everything that the stream has now.  by-region.sh GATEWAY_URL
set -euo pipefail
url="${1:?usage: by-region.sh GATEWAY_URL}/orders.ndjson?from=earliest&follow=false&envelope=data"
curl -sSf "$url" | jq -rn '
  reduce inputs as $order ({}; .[$order.region] |= {orders: (.orders + 1), amount: (.amount + $order.amount)})
  | to_entries | sort_by(.key)[] | [.key, .value.orders, .value.amount] | @tsv'
