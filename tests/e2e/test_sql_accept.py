"""The acceptance of tables as streams: the same rows over every transport, resumed anywhere; a client that stands still, and
restarts meanwhile. SQL_RESUMES and SQL_STALL_SECONDS make it as long as it is meant to be once: 1,000 and 60."""

import json
import os
import random
import signal
import time

import pytest

from test_sql import Lite, both, data, ids, walk_of, wait_held
from test_sql import database, postgres, server  # noqa: F401: fixtures
from wire import TRANSPORTS, Subscription

pytestmark = pytest.mark.mock_only
RESUMES = int(os.environ.get("SQL_RESUMES") or 16)
STALL_S = float(os.environ.get("SQL_STALL_SECONDS") or 2)
ROWS = 400
COLUMNS = {
    Lite: "id integer primary key, g text, n numeric, b blob, j json, t datetime",
    None: "id integer primary key, g text, n numeric, b bytea, j jsonb, t timestamptz",
}


def make_rows(database, lite):
    """Values of many types, the key of several columns with gaps and ties in its first."""
    database.sql(f"create table t ({COLUMNS[Lite if lite else None]})")
    blob = "x'00ff{:02x}'" if lite else "'\\x00ff{:02x}'"
    database.sql("insert into t values " + ",".join(
        f"({n * 3}, '{'äöü'[n % 3] * (n % 4)}', {n * n}.{n % 10}, {blob.format(n % 256)}, '{{\"n\": [{n}, null]}}', "
        f"{'null' if n % 5 == 0 else repr('2026-01-31 12:00:%02d' % (n % 60))})" for n in range(1, ROWS + 1)))


def array_of(gateway, stream, **params):
    query = "&".join(f"{name}={value}" for name, value in {"format": "json", **params}.items())
    return json.loads(gateway.get(f"/streams/{stream}?{query}").body())


def read(gateway, stream, transport, **params):
    """All that comes until the end, as records."""
    if transport == "json":
        return array_of(gateway, stream, **params)
    sub = gateway.subscribe(stream, transport, **params)
    records, _ = sub.until_end()
    sub.close()
    assert sub.controls[-1] == {"event": "end"}
    return [json.loads(message.text) for message in records]


@both
def test_the_same_rows_over_every_transport_resumed_anywhere(database, kind, gateways):  # noqa: F811
    make_rows(database, kind == "sqlite")
    gateway = gateways(
        whole=walk_of(database, "select * from t", ["g", "id"]),
        pages=walk_of(database, "select * from t", ["g", "id"], page=40),
        down=walk_of(database, "select * from t", ["g", "id"], order="descending", page=50))
    whole = {}
    for stream in ("whole", "pages", "down"):
        of = [read(gateway, stream, transport) for transport in (*TRANSPORTS, "json")]
        for one in of:
            for record, first in zip(one, of[0]):  # a time of its own, where the row has none
                record["time"] = first["time"]
        assert all(one == of[0] for one in of) and len(of[0]) == ROWS
        whole[stream] = of[0]
    assert [record["data"] for record in whole["whole"]] == [record["data"] for record in whole["pages"]]
    assert [record["data"] for record in whole["whole"]] == [record["data"] for record in whole["down"]][::-1]
    rng = random.Random(7)
    for turn in range(RESUMES):
        stream = rng.choice(("whole", "pages", "down"))
        at = rng.choice((1, ROWS, rng.randint(1, ROWS), rng.randint(1, ROWS), rng.randint(1, ROWS)))
        cut = gateway.subscribe(stream, rng.choice(TRANSPORTS))
        got = [json.loads(message.text) for message in cut.records(at)]
        cut.close()
        gateway._subscriptions.remove(cut)
        rest = read(gateway, stream, rng.choice((*TRANSPORTS, "json")), **{"from": got[-1]["id"]})
        assert [row["data"] for row in got + rest] == [row["data"] for row in whole[stream]], (turn, stream, at)


def wide_rows(database, count):
    database.sql("create table t (id int primary key, body text);"
                 f"insert into t select n, repeat('x', 2000) from generate_series(1, {count}) n")


def assert_holds_nothing(postgres):  # noqa: F811
    assert all(state == "idle" and in_transaction == "f" for state, in_transaction, _ in postgres.activity())


def test_a_client_that_stands_still_holds_nothing_and_then_gets_the_rest(postgres, gateways):  # noqa: F811
    """Neither a transaction nor a connection that is busy; the database is restarted meanwhile."""
    wide_rows(postgres, 2500)
    gateway = gateways({"limits": {"send_buffer": "16KiB"}}, walk=walk_of(postgres, "select * from t", page=100))
    subs = [gateway.subscribe("walk", transport, rcvbuf=16384) for transport in TRANSPORTS]
    first = [sub.records(10) for sub in subs]
    read_so_far = wait_held(gateway, "walk")
    until = time.monotonic() + STALL_S
    while time.monotonic() < until:
        time.sleep(0.1)
        assert_holds_nothing(postgres)
    assert gateway.metric("records_in_total", stream="walk") == read_so_far < 3 * 2500
    postgres.stop(signal.SIGQUIT)
    postgres.start()
    for sub, begun in zip(subs, first):
        rest, _ = sub.until_end()
        assert ids(begun + rest) == list(range(1, 2501)) and sub.controls[-1] == {"event": "end"}


def test_a_gateway_that_is_restarted_costs_a_reconnect_and_no_row(postgres, gateways):  # noqa: F811
    wide_rows(postgres, 3000)
    gateway = gateways(walk=walk_of(postgres, "select * from t", page=100))
    got, token = [], None
    for cut in (700, 1500, None):
        where = {} if token is None else {"from": token}
        sub = Subscription(gateway.port, "/streams/walk", "sse", **where)
        assert sub.hello["resumed"] is (token is not None)
        got += sub.records(cut) if cut else sub.until_end()[0]
        token = json.loads(got[-1].text)["id"]
        if cut:
            gateway.stop()
            sub.close()
            gateway.start()
    assert ids(got) == list(range(1, 3001))


def test_who_takes_nothing_for_too_long_loses_its_place_and_can_resume(postgres, gateways):  # noqa: F811
    wide_rows(postgres, 2500)
    gateway = gateways({"limits": {"send_buffer": "16KiB"}, "requests": {"stall": "3s"}},
                       walk=walk_of(postgres, "select * from t", page=100))
    sub = gateway.subscribe("walk", "sse", rcvbuf=16384)
    first = sub.records(10)
    gateway.wait_metric("request_streams", 0)
    assert gateway.metric("disconnects_total", stream="walk", reason="too_slow") == 1
    again = gateway.subscribe("walk", "sse", rcvbuf=16384, **{"from": json.loads(first[-1].text)["id"]})
    rest, until = [], time.monotonic() + 4
    while time.monotonic() < until:  # slow, but steady: it keeps its place for longer than that
        rest += again.records(10)
        time.sleep(0.1)
    rest += again.until_end()[0]
    assert [row["id"] for row in data(first + rest)] == list(range(1, 2501))
