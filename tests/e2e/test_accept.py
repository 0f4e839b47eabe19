"""The acceptance runs: small in `make test`, in full size by `make accept` (E2E_SCALE=full)."""

import base64
import json
import re
import select
import subprocess
import threading
import time

import pytest

from harness import HEADGATE, SCALE_FULL
from wire import Connection, Subscription

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


KEYS, RATE = 100, 50000 if SCALE_FULL else 20000
FULL = pytest.mark.full_only


@pytest.mark.plain_only  # a sanitizer's memory is not the program's
@pytest.mark.usefixtures("kafka")  # in both runs; its own source is as fast as it says
@pytest.mark.parametrize("transport", (
    pytest.param("ws", marks=FULL), pytest.param("sse", marks=FULL), "ndjson"))
def test_conflation_shows_the_newest_of_each_key_to_one_that_takes_ten_a_second(gateways, transport):
    """50,000 records a second over 100 keys, for 20 seconds in full size."""
    gateway, count = conflating(gateways, seconds=20 if SCALE_FULL else 3)
    sub = gateway.subscribe("s", transport, max_rate=10)
    got, checked, arrived = [], 0, 0
    while arrived < count:
        message = sub.next()
        if message.event is not None:  # what was merged before the record that has just come
            sub._control(message)
            arrived = gateway.metric("records_in_total", stream="s")
            if is_readable(sub):
                arrived = 0  # the next one may have been written before that was asked
            continue
        got.append(json.loads(message.text)["data"]["n"])
        assert got[-1] >= arrived - KEYS, "older than the newest of its key"
        checked += arrived > 0
    assert checked >= 10, "this machine is too slow to say anything"
    rest(sub, got, count)
    assert_last_values(sub, got, count)
    assert gateway.rss_bytes() <= bound_of(gateway)


@pytest.mark.plain_only
@pytest.mark.usefixtures("kafka")
@pytest.mark.parametrize("transport", (
    "ws", pytest.param("sse", marks=FULL), pytest.param("ndjson", marks=FULL)))
def test_conflation_ends_with_the_last_value_of_each_key_for_a_slow_reader(gateways, transport):
    """The same, to one that reads ten a second from its socket and asks for no rate."""
    gateway, count = conflating(gateways, seconds=20 if SCALE_FULL else 3)
    sub = Subscription(gateway.port, "/streams/s", transport, rcvbuf=4096, slow="conflate")
    got, largest = [], 0
    while gateway.metric("records_in_total", stream="s") < count:
        got.append(json.loads(sub.records(1)[0].text)["data"]["n"])
        largest = max(largest, gateway.rss_bytes())
        time.sleep(0.1)
    rest(sub, got, count)
    assert_last_values(sub, got, count)
    assert largest <= bound_of(gateway)


def conflating(gateways, seconds):
    count = RATE * seconds
    synthetic = {"rate": RATE, "size": 100, "keys": KEYS, "count": count, "batch": 10}
    return gateways({"limits": {"send_buffer": "4KiB"}}, s={
        "source": {"synthetic": synthetic}, "ring": {"records": 4096, "bytes": "8MiB"},
        "slow": {"policy": "conflate", "queue": {"records": 512, "bytes": "1MiB"}},
    }), count


def is_readable(sub):
    """Bytes wait that were not asked for yet, in the socket or in its reader."""
    waiting = sub.http.buffer or sub._lines
    return bool(waiting or select.select([sub.http.sock], [], [], 0)[0])


def rest(sub, got, count):
    """Read on until every record has come or is told."""
    produced = count - next_offset(sub.hello["from"])
    while len(got) + sum(gap["count"] for gap in sub.gaps) < produced:
        message = sub.next()
        if message.event is None:
            got.append(json.loads(message.text)["data"]["n"])
        else:
            sub._control(message)
    assert len(got) + sum(gap["count"] for gap in sub.gaps) == produced


def next_offset(token):
    """Of the one partition of a token: see token.h."""
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    value = 0
    for i, byte in enumerate(raw[7:]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            break
    return value - 1


def assert_last_values(sub, got, count):
    assert got == sorted(set(got)), "in order, none twice"
    assert sorted({n % KEYS: n for n in got}.values()) == list(range(count - KEYS, count))
    assert {gap["reason"] for gap in sub.gaps} == {"conflated"}


def bound_of(gateway):
    done = subprocess.run(
        [HEADGATE, "check", "-c", gateway.path], capture_output=True, text=True, check=True
    )
    return memory_bound(done.stdout)


@pytest.mark.full_only
def test_the_default_header_timeout_is_ten_seconds(kafka, gateways):
    gateway = gateways(s={"source": kafka.source(kafka.topic())})
    http = Connection(gateway.port)
    http.send("GET /streams HTTP/1.1\r\n")
    assert not http.closed_within(8)
    assert http.closed_within(5)


def memory_bound(text):
    """The bytes that headgate check prints: memory's total."""
    found = re.search(r"memory, at most:\n(?:.*\n)*?\s+total +([\d.]+) (KiB|MiB|GiB)\n", text)
    assert found, text
    unit = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[found.group(2)]
    return int(float(found.group(1)) * unit)
