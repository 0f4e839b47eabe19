"""SIGTERM: every subscriber sees the end that its transport has, and the exit is 0."""

import signal
import threading
import time

import pytest

from harness import wait_for
from wire import Http


def under_load(kafka, topic, stop):
    first = 0
    while not stop.is_set():
        kafka.burst(topic, 500, 2, 200, first=first)
        first += 500


@pytest.fixture
def load(kafka):
    """Starts to produce into a topic until the test is over."""
    stop, threads = threading.Event(), []

    def start(topic):
        thread = threading.Thread(target=under_load, args=(kafka, topic, stop))
        threads.append(thread)
        thread.start()

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def test_sigterm_under_load_says_goodbye_to_everyone(kafka, gateways, subs, load):
    topic = kafka.topic(2)
    gateway = gateways({"drain": {"timeout": "5s"}}, s={"source": kafka.source(topic)})
    watching = subs(gateway, "s", ws=20, sse=20, ndjson=20, timeout_s=20)
    load(topic)
    gateway.wait_metric("subscribers", 60)
    wait_for(lambda: gateway.metric("records_out_total", stream="s") > 60 * 1000, "the load")
    asked = time.monotonic()
    gateway.terminate()
    reports = watching.wait()
    assert gateway.wait_exit() == 0
    assert time.monotonic() - asked < 7
    for report in reports:
        assert report["end"] == "clean", report
        assert report["order_errors"] == report["bad"] == 0, report
        assert report["records"] > 0
        if report["transport"] == "ws":
            assert report["close"] in (1001, 1012), report


def test_sigterm_with_stalled_subscribers_ends_in_the_time_set(kafka, gateways, subs):
    topic = kafka.topic(2)
    gateway = gateways({"drain": {"timeout": "2s"}}, s={"source": kafka.source(topic)})
    stalled = subs(gateway, "s", ws=5, sse=5, ndjson=5, stall=True)
    kafka.burst(topic, 8000, 2, 1000)
    gateway.wait_metric("records_in_total", 8000, stream="s")
    asked = time.monotonic()
    gateway.terminate()
    assert gateway.wait_exit() == 0
    assert time.monotonic() - asked < 5
    stalled.kill()


def test_sigterm_while_a_pause_subscriber_holds_the_source(kafka, gateways, subs):
    topic = kafka.topic(2)
    gateway = gateways(
        {"drain": {"timeout": "2s"}},
        s={"source": kafka.source(topic), "ring": {"records": 1024},
           "slow": {"policy": "pause", "queue": {"records": 100}}},
    )
    stalled = subs(gateway, "s", ndjson=1, stall=True)
    kafka.burst(topic, 4000, 2, 1000)
    gateway.wait_metric("source_paused", 1, stream="s")
    gateway.terminate()
    assert gateway.wait_exit() == 0
    stalled.kill()


@pytest.mark.mock_only
def test_sigint_is_as_good_as_sigterm(kafka, gateways):
    gateway = gateways(s={"source": kafka.source(kafka.topic())})
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.wait_exit() == 0


@pytest.mark.mock_only
def test_during_the_grace_it_serves_but_is_not_ready(kafka, gateways):
    topic = kafka.topic()
    gateway = gateways(
        {"drain": {"grace": "2s", "timeout": "2s"}}, s={"source": kafka.source(topic)}
    )
    sub = gateway.subscribe("s", "sse")
    gateway.terminate()
    time.sleep(0.3)
    assert gateway.admin("/readyz").status == 503
    assert gateway.admin("/livez").status == 200
    kafka.produce(topic, "1")
    assert len(sub.records(1)) == 1
    assert gateway.get("/streams").status == 200
    assert gateway.wait_exit() == 0


@pytest.mark.mock_only
def test_after_the_goodbyes_no_new_client_is_let_in(kafka, gateways, subs):
    gateway = gateways({"drain": {"timeout": "5s"}}, s={"source": kafka.source(kafka.topic())})
    sub = gateway.subscribe("s", "ws")
    gateway.terminate()
    _, ended = sub.until_end()
    assert ended.code in (1001, 1012) and ended.reason
    gateway.wait_exit()
    with pytest.raises(OSError):
        Http(gateway.port)


@pytest.mark.mock_only
def test_a_second_sigterm_ends_it_at_once(kafka, gateways, subs):
    gateway = gateways(
        {"drain": {"grace": "30s", "timeout": "30s"}}, s={"source": kafka.source(kafka.topic())}
    )
    gateway.subscribe("s", "sse")
    gateway.terminate()
    time.sleep(0.3)
    asked = time.monotonic()
    gateway.terminate()
    gateway.wait_exit()
    assert time.monotonic() - asked < 5


@pytest.mark.mock_only
def test_sigterm_during_a_kafka_outage(kafka, gateways):
    topic = kafka.topic()
    gateway = gateways(s={"source": kafka.source(topic)})
    kafka.down()
    try:
        gateway.wait_metric("source_up", 0, stream="s")
        gateway.terminate()
        assert gateway.wait_exit() == 0
    finally:
        kafka.up()
