"""The script's sums are those of what was produced."""

import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def test_sums_are_exact(kafka, example):
    kafka.topic(name="orders", partitions=3)
    expected = {}
    records = []
    for n in range(3000):
        order = {"order": n, "region": ["north", "south", "west"][n % 7 % 3], "amount": 100 + n}
        sums = expected.setdefault(order["region"], [0, 0])
        sums[0] += 1
        sums[1] += order["amount"]
        records.append({"value": json.dumps(order), "partition": n % 3})
    kafka.produce("orders", *records)
    gateway = example(HERE)
    gateway.wait_metric("records_in_total", 3000, stream="orders")
    done = subprocess.run(
        [os.path.join(HERE, "by-region.sh"), "http://127.0.0.1:%d" % gateway.port],
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows == [[name, *map(str, sums)] for name, sums in sorted(expected.items())]
