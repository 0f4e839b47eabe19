"""The HTTP side: negotiation, errors, CORS, and the admin listener."""

import json
import os
import subprocess

import pytest

from conftest import needs
from wire import Connection, Http

STREAMING = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}

pytestmark = pytest.mark.mock_only


@pytest.fixture
def gateway(kafka, gateways):
    topic = kafka.topic()
    kafka.produce(topic, "1")
    gateway = gateways(
        {"routes": {"/live": {"stream": "s", "format": "sse"}},
         "cors": {"origins": ["https://app.example"]}},
        s={"source": kafka.source(topic)},
    )
    gateway.wait_metric("records_in_total", 1, stream="s")
    return gateway


def problem(http, status):
    """The problem+json body of an error answer."""
    assert http.status == status, (http.status, http.headers)
    assert http.headers["content-type"] == "application/problem+json"
    body = http.json()
    assert body["status"] == status and body["title"]
    return body


@pytest.mark.parametrize("accept, content_type", [
    (None, "application/x-ndjson"),
    ("*/*", "application/x-ndjson"),
    ("application/x-ndjson", "application/x-ndjson"),
    ("application/ndjson", "application/ndjson"),
    ("application/jsonl", "application/jsonl"),
    ("text/event-stream", "text/event-stream"),
    ("application/json", "application/json"),
    ("text/html, text/event-stream;q=0.5", "text/event-stream"),
    ("application/json;q=0.1, application/x-ndjson;q=0.9", "application/x-ndjson"),
    ("text/event-stream;q=0, */*", "application/x-ndjson"),
    ("TEXT/Event-Stream", "text/event-stream"),
])
def test_accept_chooses_the_format(gateway, accept, content_type):
    answer = gateway.get("/streams/s?from=earliest&limit=1", {"Accept": accept})
    assert answer.status == 200
    assert answer.headers["content-type"].split(";")[0] in (content_type, "application/x-ndjson")
    if content_type not in ("application/ndjson", "application/jsonl"):
        assert answer.headers["content-type"].split(";")[0] == content_type
    for name, value in STREAMING.items():
        assert answer.headers[name] == value
    assert "accept" in answer.headers["vary"].lower()
    assert answer.body()


@pytest.mark.parametrize("name, content_type", [
    ("sse", "text/event-stream"), ("ndjson", "application/x-ndjson"), ("json", "application/json"),
])
def test_the_format_parameter_wins_over_accept(gateway, name, content_type):
    answer = gateway.get(
        f"/streams/s?format={name}&from=earliest&limit=1", {"Accept": "image/png"}
    )
    assert answer.headers["content-type"].split(";")[0] == content_type


def test_a_type_that_is_not_served_is_406(gateway):
    problem(gateway.get("/streams/s", {"Accept": "text/html"}), 406)


def test_format_ws_without_an_upgrade_is_refused(gateway):
    answer = gateway.get("/streams/s?format=ws")
    assert answer.status in (400, 426)
    problem(answer, answer.status)


@pytest.mark.parametrize("path", ["/", "/streams/none", "/streams/", "/streams/s/x", "/metrics", "/readyz"])
def test_an_unknown_path_is_404(gateway, path):
    problem(gateway.get(path), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_405_and_names_those_allowed(gateway, method):
    answer = Http(gateway.port).request(method, "/streams/s", {"Content-Length": "0"})
    problem(answer, 405)
    assert {"GET", "HEAD", "OPTIONS"} <= set(answer.headers["allow"].replace(",", " ").split())


@pytest.mark.parametrize("query, name", [
    ("colour=red", "colour"), ("limit=-1", "limit"), ("limit=x", "limit"), ("from=sometime", "from"),
    ("follow=perhaps", "follow"), ("envelope=paper", "envelope"), ("slow=never", "slow"),
    ("queue=0", "queue"), ("heartbeat=1", "heartbeat"), ("limit=1&limit=2", "limit"),
    ("format=xml", "format"), ("from=AAAA", "from"), ("max_rate=fast", "max_rate"),
    ("consumer=c", "consumer"), ("slow=pause", "slow"),
])
def test_a_bad_parameter_is_400_and_named(gateway, query, name):
    body = problem(gateway.get(f"/streams/s?{query}"), 400)
    assert name in body["detail"]


def test_a_long_target_is_414(gateway):
    problem(gateway.get("/streams/s?from=" + "a" * 9000), 414)


def test_many_or_long_headers_are_431(gateway):
    problem(gateway.get("/streams/s", {"X-Long": "a" * 17000}), 431)
    problem(gateway.get("/streams/s", {f"X-{n}": "1" for n in range(150)}), 431)


def test_head_has_the_headers_and_no_body(gateway):
    http = Http(gateway.port)
    http.request("HEAD", "/streams/s?from=earliest", {"Accept": "text/event-stream"})
    assert http.status == 200 and http.headers["content-type"].startswith("text/event-stream")
    if http.headers.get("connection") == "close":
        assert http.rest() == b""
    else:
        assert http.get("/streams").status == 200


def test_streams_lists_what_there_is(gateway):
    answer = gateway.get("/streams")
    assert answer.status == 200 and answer.headers["content-type"].startswith("application/json")
    assert '"s"' in answer.body().decode()


def test_cors_is_for_the_configured_origins_only(gateway):
    ours = gateway.get("/streams/s?from=earliest&limit=1", {"Origin": "https://app.example"})
    assert ours.headers["access-control-allow-origin"] == "https://app.example"
    assert "origin" in ours.headers["vary"].lower()
    other = gateway.get("/streams/s?from=earliest&limit=1", {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_options_answers_a_preflight(gateway):
    answer = Http(gateway.port).request("OPTIONS", "/streams/s", {
        "Origin": "https://app.example", "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "last-event-id",
    })
    assert answer.status in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert "last-event-id" in answer.headers["access-control-allow-headers"].lower()


def test_a_header_value_is_never_reflected_as_a_line(gateway):
    http = Connection(gateway.port)
    http.send("GET /streams/s?from=earliest&limit=1 HTTP/1.1\r\nHost: a\r\n"
              "Origin: https://app.example\rX-Forged: 1\r\n\r\n")
    assert b"X-Forged" not in http.rest(10)


def test_pipelined_requests_are_answered_in_order_or_the_connection_closes(gateway):
    http = Http(gateway.port)
    one = "GET /streams/s?from=earliest&limit=1&envelope=data HTTP/1.1\r\nHost: a\r\n\r\n"
    http.send(one + one.replace("limit=1", "limit=1&format=json"))
    assert http.response().body() == b"1\n"


def test_a_route_serves_its_format(gateway):
    answer = gateway.get("/live?from=earliest&limit=1")
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_websocket_gets_the_subprotocol_that_it_offers(gateway):
    from wire import WebSocket

    offered = WebSocket(gateway.port).open("/streams/s", protocol="other, headgate.v1.json")
    assert offered.status == 101
    assert offered.headers["sec-websocket-protocol"] == "headgate.v1.json"
    plain = WebSocket(gateway.port).open("/streams/s")
    assert plain.status == 101 and "sec-websocket-protocol" not in plain.headers


@pytest.mark.parametrize("change", [
    {"Sec-WebSocket-Version": "99"}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Key": None},
])
def test_a_broken_handshake_is_refused(gateway, change):
    from wire import WebSocket

    http = WebSocket(gateway.port).open("/streams/s", change)
    assert http.status in (400, 426)


# -- the admin listener


def test_metrics_are_valid_for_prometheus(gateway):
    needs("promtool", "prometheus")
    sub = gateway.subscribe("s", "sse", **{"from": "earliest"})
    sub.records(1)
    text = gateway.admin("/metrics").text
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_contract_is_there(gateway):
    for transport in ("ws", "sse", "ndjson"):
        gateway.subscribe("s", transport, **{"from": "earliest"}).records(1)
    metrics = gateway.metrics()
    for name in (
        "records_in_total", "records_out_total", "bytes_out_total", "subscribers",
        "records_dropped_total", "disconnects_total", "ring_records", "ring_bytes", "source_paused",
        "source_up", "kafka_lag_records", "delivery_seconds_bucket", "delivery_seconds_sum",
        "delivery_seconds_count",
    ):
        assert f"headgate_{name}" in metrics, name
    assert gateway.metric("records_in_total", stream="s") == 1
    for transport in ("ws", "sse", "ndjson"):
        assert gateway.metric("records_out_total", stream="s", transport=transport) == 1


def test_subscribers_are_counted_while_they_are_there(gateway):
    subs = [gateway.subscribe("s", transport) for transport in ("ws", "sse", "ndjson")]
    for transport in ("ws", "sse", "ndjson"):
        gateway.wait_metric("subscribers", 1, stream="s", transport=transport)
    for sub in subs:
        sub.close()
    gateway.wait_subscribers(0)


def test_the_admin_listener_answers_its_probes(gateway):
    for path in ("/livez", "/readyz", "/healthz"):
        assert gateway.admin(path).status == 200, path
    assert gateway.admin("/streams/s").status == 404


def test_the_log_is_json_lines_without_queries(gateway):
    gateway.get("/streams/s?from=earliest&limit=1&envelope=data").body()
    gateway.get("/streams/s?from=c2VjcmV0LXRva2Vu").body()
    log = gateway.log()
    for line in log.splitlines():
        json.loads(line)
    assert "c2VjcmV0" not in log


def test_an_idle_keep_alive_connection_is_closed(kafka, gateways):
    gateway = gateways({"timeouts": {"idle": "1s"}}, s={"source": kafka.source(kafka.topic())})
    http = gateway.get("/streams")
    http.body()
    assert http.closed_within(5)


def test_no_descriptor_is_left_of_clients_that_came_and_went(gateway):
    gateway.get("/streams").close()
    gateway.wait_subscribers(0)
    before = gateway.descriptors()
    for _ in range(50):
        for transport in ("ws", "sse", "ndjson"):
            gateway.subscribe("s", transport).close()
    gateway.wait_subscribers(0)
    from harness import wait_for

    wait_for(lambda: gateway.descriptors() <= before + 1, "the descriptors to be closed")
    assert os.path.exists(f"/proc/{gateway.pid}")
