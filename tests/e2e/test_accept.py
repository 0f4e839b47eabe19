"""The acceptance runs: small in `make test`, in full size by `make accept` (E2E_SCALE=full)."""

import re
import subprocess
import threading
import time

import pytest

from harness import HEADGATE, SCALE_FULL

pytestmark = pytest.mark.accept


def test_every_subscriber_gets_every_record_once_while_the_broker_is_stopped_and_started_twice(
    kafka, gateways, subs
):
    """1,000,000 records of 6 partitions to 3 WebSocket, 3 SSE and 3 NDJSON subscribers that pause."""
    count = 1000000 if SCALE_FULL and kafka.name == "kafka" else 60000
    topic = kafka.topic(6)
    gateway = gateways(s={
        "source": kafka.source(topic), "slow": {"policy": "pause", "pause_limit": "2m"},
    })
    watching = subs(gateway, "s", ws=3, sse=3, ndjson=3, expect=count, timeout_s=600)
    third = count // 3 // 6 * 6
    for turn, (first, last) in enumerate([(0, third), (third, 2 * third), (2 * third, count)]):
        kafka.burst(topic, last - first, 6, 150, first=first)
        if turn < 2:
            kafka.down()
            time.sleep(1)
            kafka.up()
    for report in watching.wait():
        assert report["records"] == count, report
        assert report["holes"] == report["order_errors"] == report["bad"] == 0, report
        assert report["gap_records"] == 0, report
        for partition in range(6):
            expected = len(range(partition, count, 6))
            assert report["lanes"][str(partition)] == [0, expected - 1], report


def test_a_subscriber_that_reads_nothing_under_full_load_gets_gaps_that_add_up(
    kafka, gateways, subs
):
    """For a minute in full size."""
    seconds = 60 if SCALE_FULL else 4
    topic = kafka.topic(4)
    gateway = gateways(s={"source": kafka.source(topic)})
    stalled = subs(gateway, "s", ws=1, sse=1, ndjson=1, stall=True, timeout_s=seconds + 60)
    produced, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        kafka.burst(topic, 4000, 4, 300, first=produced)
        produced += 4000
    gateway.wait_metric("records_in_total", produced, stream="s", timeout_s=60)
    stalled.read()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and gateway.metric("records_out_total", stream="s") == 0:
        time.sleep(0.1)
    time.sleep(2)
    for report in stalled.report():
        assert report["records"] + report["gap_records"] == produced, report
        assert report["gap_records"] > 0, "nothing was slow: the test says nothing"
        assert report["order_errors"] == report["bad"] == 0, report


@pytest.mark.plain_only  # a sanitizer's memory is not the program's
def test_memory_stays_within_the_bound_that_check_prints(kafka, gateways, subs):
    """5,000 subscribers, 2,500 of them stalled, in full size."""
    total = 5000 if SCALE_FULL else 600
    topic = kafka.topic(4)
    gateway = gateways(
        {"limits": {"connections": total + total // 5}},
        s={
            "source": kafka.source(topic, prefetch="4MiB"),
            "ring": {"records": 8192, "bytes": "16MiB"},
        },
    )
    done = subprocess.run(
        [HEADGATE, "check", "-c", gateway.path], capture_output=True, text=True, check=True
    )
    bound = memory_bound(done.stdout)
    half = total // 2
    third = [half // 3, half // 3, half - 2 * (half // 3)]
    sizes = dict(zip(("ws", "sse", "ndjson"), third))
    stalled = subs(gateway, "s", **sizes, stall=True, timeout_s=300)
    healthy = subs(gateway, "s", **sizes, timeout_s=300)
    gateway.wait_metric("subscribers", 2 * half, timeout_s=60)
    largest, over = 0, threading.Event()

    def watch():
        nonlocal largest
        while not over.wait(0.1):
            largest = max(largest, gateway.rss_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    count = 40000 if SCALE_FULL else 16000
    for first in range(0, count, 400):
        kafka.burst(topic, 400, 4, 1000, first=first)
        time.sleep(0.05)
    gateway.wait_metric("records_in_total", count, stream="s", timeout_s=60)
    for report in healthy.report():
        assert report["order_errors"] == report["bad"] == 0, report
        assert report["records"] > 0
    over.set()
    watcher.join()
    stalled.kill()
    print(f"resident at most {largest >> 20} MiB of {bound >> 20} MiB")
    assert largest <= bound, f"{largest} bytes resident, {bound} promised"


def memory_bound(text):
    """The bytes that headgate check prints: memory's total."""
    found = re.search(r"memory, at most:\n(?:.*\n)*?\s+total +([\d.]+) (KiB|MiB|GiB)\n", text)
    assert found, text
    unit = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[found.group(2)]
    return int(float(found.group(1)) * unit)
