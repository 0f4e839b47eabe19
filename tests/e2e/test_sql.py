"""Tables as streams: SQLite, and a real PostgreSQL that the tests start; walked by requests, and followed."""

import base64
import json
import os
import signal
import sqlite3
import sys
import time
import urllib.parse

import pytest

from conftest import missing
from harness import ROOT, SANITIZED, wait_for
from wire import TRANSPORTS, Ended, Http

sys.path.insert(0, os.path.join(ROOT, "tests", "sql"))
import postgres as postgres_server  # noqa: E402

pytestmark = pytest.mark.mock_only
both = pytest.mark.parametrize("kind", ("sqlite", "postgres"))


class Lite:
    """An SQLite file, with the same functions as the PostgreSQL of the tests."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "tables.db")
        self.source = {"sqlite": self.path}
        self.sql("pragma journal_mode = wal")

    def sql(self, text):
        connection = sqlite3.connect(self.path, timeout=30)
        with connection:
            rows, statement = [], ""
            for part in text.split(";"):
                statement += part + ";"
                if sqlite3.complete_statement(statement) and statement.strip(" \n;"):
                    rows, statement = connection.execute(statement).fetchall(), ""
        connection.close()
        return rows


@pytest.fixture(scope="module")
def server():
    why = postgres_server.available()
    if why:
        missing(why)
    found = postgres_server.Postgres()
    found.source = {"postgres": found.dsn}
    yield found
    found.close()


@pytest.fixture
def postgres(server):
    server.sql("drop schema public cascade; create schema public")
    return server


@pytest.fixture
def database(request, kind, tmp_path):
    return Lite(tmp_path) if kind == "sqlite" else request.getfixturevalue("postgres")


def walk_of(database, query, key="id", **more):
    """The source: of a stream of requests."""
    return {"source": {"sql": {**database.source, "query": query, "key": key, **more}}}


def follow_of(database, query="select * from t", key="id", **more):
    return walk_of(database, query, key, **{"follow": True, "poll": "50ms", **more})


def numbered(database, count, first=1):
    """A table t of id and an amount of text, with rows first, first + 1, ..."""
    database.sql("create table t (id integer primary key, body text)")
    add_rows(database, count, first)


def add_rows(database, count, first):
    for at in range(first, first + count, 5000):
        rows = ",".join(f"({n},'row {n}')" for n in range(at, min(at + 5000, first + count)))
        database.sql(f"insert into t values {rows}")


def data(messages):
    return [json.loads(message.text)["data"] for message in messages]


def ids(messages):
    return [row["id"] for row in data(messages)]


def fetch(gateway, target, timeout_s=30):
    """All rows of a walk, as curl would get them."""
    http = gateway.get(target)
    assert http.status == 200, http.body()
    return [json.loads(line) for line in http.body(timeout_s).splitlines()]


def refused(gateway, target, status):
    http = gateway.get(target)
    problem = json.loads(http.body())
    assert http.status == status == problem["status"], problem
    return http, problem["detail"]


def wait_held(gateway, stream):
    """Until its subscriber, who does not read, holds it back; the records so far."""
    seen = []

    def held():
        seen.append(gateway.metric("records_in_total", stream=stream))
        return len(seen) > 8 and len(set(seen[-8:])) == 1

    wait_for(held, "a held source", every_s=0.1)
    return seen[-1]


def failure(sub, timeout_s=30):
    """What the subscriber is told before its stream is cut."""
    told = None
    with pytest.raises(Ended) as ended:
        while True:
            message = sub.next(timeout_s)
            if message.event == "failed":
                told = json.loads(message.text)
    assert not ended.value.clean
    return told


# ---- rows

POSTGRES_VALUES = """
create type mood as enum ('sad', 'fine');
create domain positive as int check (value > 0);
create table v (id int primary key, a smallint, b bigint, c real, d double precision, e numeric, f bytea, g json,
  h jsonb, i boolean, j timestamp, k timestamptz, l date, m uuid, n int[], o text[], p text, q varchar(9), r mood,
  s mood[], t positive, u numeric[], v jsonb[], w bytea[], x timestamptz[], y interval, z int4range, aa time, ab positive[]);
insert into v values (1, -3, 9223372036854775807, 0.1, 'NaN', 123456789012345678901234567890.00000000010, '\\x00ff10',
  '{"b": 1.50, "a": [1,
 2]}', '{"x": null}', true, '2026-01-31 12:00:00.5', '2026-01-31 14:00:00.25+02', '2026-01-31',
  '00000000-0000-4000-8000-00000000000f', '{{1,NULL},{3,4}}', array['a', null, 'NULL', 'q"\\,{}', 'ü', ''], E'line\\n\\x01\\x7f"',
  'v', 'fine', '{sad,fine}', 5, '{1e400,NaN}', array['{"a":[1]}'::jsonb], '{"\\\\x00ff"}', '{"2026-01-31 14:00:00+02"}',
  '1 day 2 hours', '[1,5)', '12:34:56.5', '{1,2}');
insert into v (id) values (2);
insert into v (id, d, e, k, n) values (3, '-Infinity', 'Infinity', 'infinity', '[0:1]={7,8}');
"""
POSTGRES_ROW = {
    "id": 1, "a": -3, "b": 9223372036854775807, "c": 0.1, "d": "NaN", "f": "AP8Q", "g": {"b": 1.5, "a": [1, 2]},
    "h": {"x": None}, "i": True, "j": "2026-01-31T12:00:00.5", "k": "2026-01-31T12:00:00.25Z", "l": "2026-01-31",
    "m": "00000000-0000-4000-8000-00000000000f", "n": [[1, None], [3, 4]], "o": ["a", None, "NULL", 'q"\\,{}', "ü", ""],
    "p": 'line\n\x01\x7f"', "q": "v", "r": "fine", "s": ["sad", "fine"], "t": 5, "v": [{"a": [1]}], "w": ["AP8="],
    "x": ["2026-01-31T12:00:00Z"], "y": "P1DT2H", "z": "[1,5)", "aa": "12:34:56.5", "ab": [1, 2],
}


def test_every_type_of_postgres_is_kept(postgres, gateways):
    postgres.sql(POSTGRES_VALUES)
    gateway = gateways(walk=walk_of(postgres, "select * from v"))
    text = gateway.get("/streams/walk?envelope=data").body().decode()
    assert '"e":123456789012345678901234567890.00000000010,' in text  # every digit
    assert '"u":[1' + "0" * 400 + ',"NaN"]' in text
    first, nulls, third = [json.loads(line) for line in text.splitlines()]
    del first["e"], first["u"]
    assert first == POSTGRES_ROW
    assert set(nulls.values()) == {2, None} and len(nulls) == 29
    assert (third["d"], third["e"], third["k"], third["n"]) == ("-Infinity", "Infinity", "infinity", [7, 8])


def test_every_type_of_sqlite_is_kept(tmp_path, gateways):
    lite = Lite(tmp_path)
    lite.sql("create table v (id integer primary key, v, b boolean, j json, t datetime);"
             "insert into v values (1, 0.1, 1, '{\"a\": [1, 2.50]}', '2026-01-31 12:00:00.5'), (2, x'00ff10', 0, 'x', 5),"
             "(3, 9e999, null, null, null), (4, cast(x'ff61' as text), null, null, null),"
             "(5, 9223372036854775807, null, null, null), (6, 'ü\"', null, null, null)")
    gateway = gateways(walk=walk_of(lite, "select * from v"))
    rows = fetch(gateway, "/streams/walk?envelope=data")
    assert rows[0] == {"id": 1, "v": 0.1, "b": True, "j": {"a": [1, 2.5]}, "t": "2026-01-31T12:00:00.5Z"}
    assert rows[1] == {"id": 2, "v": "AP8Q", "b": False, "j": "x", "t": 5}
    assert [row["v"] for row in rows[2:]] == ["Infinity", {"base64": "/2E="}, 9223372036854775807, 'ü"']


@both
def test_the_same_rows_over_every_transport_and_page(database, gateways):
    numbered(database, 1203)
    query = "select id, body from t -- all of it\n;"
    gateway = gateways(
        big=walk_of(database, query), small=walk_of(database, query, page=7, page_bytes="64KiB"),
        down=walk_of(database, query, order="descending", page=100))
    wanted = list(range(1, 1204))
    for stream in ("big", "small"):
        for transport in TRANSPORTS:
            records, _ = gateway.subscribe(stream, transport).until_end()
            assert ids(records) == wanted
        array = gateway.get(f"/streams/{stream}?format=json&envelope=data")
        assert [row["id"] for row in json.loads(array.body())] == wanted
    records, _ = gateway.subscribe("down", "ndjson").until_end()
    assert ids(records) == wanted[::-1]
    assert json.loads(records[0].text)["key"] == "1203"


@both
def test_a_composite_key_with_ties_while_rows_come_and_go(database, gateways):
    database.sql("create table t (g text, n integer, body text, primary key (g, n));" + "".join(
        f"insert into t values {','.join(f'({chr(39)}{g}{chr(39)},{n},{chr(39)}x{chr(39)})' for n in range(0, 1000, 2))};"
        for g in "abcd"))
    pad = "x" * 3000
    database.sql(f"update t set body = '{pad}'")
    gateway = gateways(walk=walk_of(database, "select * from t", ["g", "n"], page=50))
    sub = gateway.subscribe("walk", "ndjson")
    messages = sub.records(100)
    database.sql("insert into t values ('a', 1, 'behind'), ('d', 1001, 'before us');"
                 "delete from t where g = 'c'; insert into t values ('b', -1, 'tie')")
    rest, _ = sub.until_end()
    seen = [(row["g"], row["n"]) for row in data(messages + rest)]
    assert seen == sorted(set(seen))  # in order, none twice
    assert set((g, n) for g in "abd" for n in range(0, 1000, 2)) <= set(seen)
    assert ("d", 1001) in seen and json.loads(rest[-1].text)["key"] == '["d",1001]'


# ---- parameters

INJECTIONS = ["' or 1=1 --", "'; drop table t; --", "\\'; drop table t; --", "1); delete from t; --", "$$", "%00x"[1:],
              "a' union select 1, 'x' --", '" or ""="', "/*", "ü' OR 'a'='a", ":name", "$1", "?"]


@both
def test_parameters_are_bound_never_pasted(database, gateways):
    database.sql("create table t (id integer primary key, name text)")
    database.sql("insert into t values (1, 'one'), (2, ':name')")
    for n, text in enumerate(INJECTIONS):
        database.sql("insert into t values (%d, '%s')" % (n + 10, text.replace("'", "''")))
    gateway = gateways(walk=walk_of(
        database, "select id, name from t where name = :name and id >= :least and ':least' <> :name",
        params={"name": "text", "least": "integer"}, defaults={"least": 0}))
    for n, text in enumerate(INJECTIONS):
        rows = fetch(gateway, "/streams/walk?envelope=data&name=" + urllib.parse.quote(text, safe=""))
        wanted = [{"id": n + 10, "name": text}]
        assert rows == ([{"id": 2, "name": ":name"}] if text == ":name" else []) + wanted
    assert fetch(gateway, "/streams/walk?name=nobody&envelope=data") == []
    assert fetch(gateway, "/streams/walk?name=one&least=2&envelope=data") == []
    for query, text in (
        ("", "name: is required"),
        ("name=a&least=1%3B drop table t".replace(" ", "%20"), "least: must be a whole number"),
        ("name=a&least=", "least: must be a whole number"),
        ("name=a&leest=1", 'leest: unknown parameter; the nearest known one is "least"'),
        ("name=a&name=b", "name: given more than once"),
        ("name=%ff", "name"),
        ("name=a%00b", "name"),
        ("name=a&from=-10m", "from"),
    ):
        _, detail = refused(gateway, "/streams/walk?" + query, 400)
        assert detail.startswith(text), detail
    assert len(database.sql("select id from t")) == 2 + len(INJECTIONS)


@both
def test_every_declared_type_reaches_the_database(database, gateways):
    casts = {"i": "integer", "f": "number", "o": "boolean", "w": "timestamp", "d": "date", "u": "uuid", "x": "text"}
    columns = ", ".join(f":{name} as {name}" for name in casts)
    gateway = gateways(walk=walk_of(database, f"select 1 as id, {columns}", params=casts))
    query = urllib.parse.urlencode({
        "i": -5, "f": 1.5, "o": "true", "w": "2026-01-31T12:00:00+02:00", "d": "2026-01-31",
        "u": "00000000-0000-4000-8000-00000000000F", "x": "ü"})
    (row,) = fetch(gateway, "/streams/walk?envelope=data&" + query)
    assert (row["i"], row["f"], row["d"], row["x"]) == (-5, 1.5, "2026-01-31", "ü")
    assert row["u"].lower() == "00000000-0000-4000-8000-00000000000f"
    if "postgres" in database.source:
        assert row["o"] is True and row["w"] == "2026-01-31T10:00:00Z"


# ---- places

@both
def test_a_cut_walk_resumes_at_the_next_row(database, gateways):
    numbered(database, 3000)
    gateway = gateways(walk=walk_of(database, "select * from t", page=100))
    for cut in (1, 99, 100, 101, 2345, 2999, 3000):
        first = gateway.subscribe("walk", TRANSPORTS[cut % 3])
        messages = first.records(cut)
        first.close()
        token = json.loads(messages[-1].text)["id"]
        again = gateway.subscribe("walk", TRANSPORTS[cut % 3], **{"from": token})
        assert again.hello["resumed"] is True
        rest, _ = again.until_end()
        assert ids(messages + rest) == list(range(1, 3001))


@both
def test_a_made_up_place_is_refused(database, gateways):
    numbered(database, 3)
    gateway = gateways(walk=walk_of(database, "select * from t"), two=walk_of(database, "select * from t", ["id", "body"]))
    messages, _ = gateway.subscribe("two", "ndjson").until_end()
    token = json.loads(messages[0].text)["id"]
    _, detail = refused(gateway, f"/streams/walk?from={token}", 400)
    assert "token" in detail
    raw = base64.urlsafe_b64decode(json.loads(gateway.subscribe("walk", "ndjson").records(1)[0].text)["id"] + "==")
    evil = base64.urlsafe_b64encode(raw[:1] + b"\x01\x01t\x18' or 1=1; drop table t;--").decode().rstrip("=")
    http = gateway.get(f"/streams/walk?from={evil}")
    try:
        http.body()
    except Ended:
        pass
    assert len(database.sql("select id from t")) == 3


# ---- ends

ENDLESS = {
    "sqlite": "with recursive c(n) as (select 1 union all select n + 1 from c) select n as id from c where n < 0",
    "postgres": "select 1 as id, pg_sleep(600)::text as nap",
}


def busy(database, kind, gateway):
    if kind == "postgres":
        return any(state == "active" and "pg_sleep" in query for state, _, query in database.activity())
    return gateway.cpu_share(0.4) > 0.1  # on a busy machine


@both
def test_who_goes_away_stops_the_query_within_a_second(database, kind, gateways):
    gateway = gateways(walk=walk_of(database, ENDLESS[kind], statement_timeout="10m"))
    http = Http(gateway.port)
    http.send(b"GET /streams/walk HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for(lambda: busy(database, kind, gateway), "the query")
    http.close()
    gone = time.monotonic()
    wait_for(lambda: gateway.metric("request_streams") == 0, "the stream's end")
    wait_for(lambda: not busy(database, kind, gateway), "the query's end")
    assert SANITIZED or time.monotonic() - gone < 1.5  # a look takes its time too


@both
def test_a_shutdown_does_not_wait_for_a_query(database, kind, gateways):
    gateway = gateways({"drain": {"timeout": "1s"}}, walk=walk_of(database, ENDLESS[kind], statement_timeout="10m"))
    http = Http(gateway.port)
    http.send(b"GET /streams/walk HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for(lambda: busy(database, kind, gateway), "the query")
    gateway.terminate()
    assert gateway.wait_exit(15) == 0


@both
def test_a_statement_that_takes_too_long_fails(database, kind, gateways):
    gateway = gateways(walk=walk_of(database, ENDLESS[kind], statement_timeout="300ms"))
    told = failure(gateway.subscribe("walk", "ndjson"))
    assert told["code"] == "timeout"
    assert gateway.metric("source_errors_total", stream="walk", reason="timeout") == 1


@both
def test_a_refused_query_fails_without_a_word_of_the_database(database, gateways):
    numbered(database, 3)
    gateway = gateways(
        none=walk_of(database, "select id from secret_table"), key=walk_of(database, "select body from t"),
        twice=walk_of(database, "select 1 as id, body from t"),
        first=walk_of(database, "select body, nullif(id, 1) as id from t", page=1),
        last=walk_of(database, "select body, nullif(id, 1) as id from t", page=1, order="descending"))
    told = failure(gateway.subscribe("none", "ndjson"))
    assert told["code"] == "query_failed" and "secret_table" not in told["message"]
    assert "secret_table" in gateway.log()
    assert failure(gateway.subscribe("key", "ndjson"))["code"] == "query_failed"
    assert "not unique" in failure(gateway.subscribe("twice", "ndjson"))["message"]
    for stream in ("first", "last"):  # wherever the database puts them
        assert "NULL" in failure(gateway.subscribe(stream, "ndjson"))["message"]


@both
def test_more_requests_than_configured_get_503(database, kind, gateways):
    gateway = gateways(walk=walk_of(database, ENDLESS[kind], requests=2, connections=1, statement_timeout="10m"))
    held = []
    for _ in range(2):
        held.append(gateway.get("/streams/walk"))  # its head says that it has its place
        assert held[-1].status == 200
    http, detail = refused(gateway, "/streams/walk", 503)
    assert http.headers["retry-after"] and "2 requests" in detail
    held[0].close()
    gateway.wait_metric("request_streams", 1)
    held.append(gateway.get("/streams/walk"))
    assert held[-1].status == 200
    for http in held:
        http.close()


@both
def test_many_requests_share_few_connections(database, kind, gateways):
    numbered(database, 2000)
    gateway = gateways(walk=walk_of(database, "select * from t", page=50, connections=2))
    subs = [gateway.subscribe("walk", TRANSPORTS[n % 3]) for n in range(12)]
    most = 0
    for sub in subs:
        if kind == "postgres":
            most = max(most, len(database.activity()))
        assert ids(sub.until_end()[0]) == list(range(1, 2001))
    assert most <= 2


def test_progress_is_counted_or_estimated(postgres, gateways):
    numbered(postgres, 5000)
    postgres.sql("analyze t")
    gateway = gateways(
        count=walk_of(postgres, "select * from t where id > :least", progress="count", params={"least": "integer"}),
        estimate=walk_of(postgres, "select * from t where id > :least", progress="estimate", params={"least": "integer"}))
    for stream in ("count", "estimate"):
        sub = gateway.subscribe(stream, "ndjson", least=1000)
        told = []
        with pytest.raises(Ended):
            while True:
                message = sub.next()
                if message.event == "progress":
                    told.append(json.loads(message.text))
        assert told[-1]["done"] == 4000
        assert told[-1]["total"] == 4000 if stream == "count" else 4000 <= told[-1]["total"] < 8000


def test_a_slow_subscriber_holds_neither_transaction_nor_connection(postgres, gateways):
    postgres.sql("create table t (id int primary key, body text);"
                 "insert into t select n, repeat('x', 2000) from generate_series(1, 20000) n")
    gateway = gateways({"limits": {"send_buffer": "64KiB"}}, walk=walk_of(postgres, "select * from t", page=100))
    sub = gateway.subscribe("walk", "ndjson")
    first = sub.records(10)
    read = wait_held(gateway, "walk")
    for _ in range(10):  # it stays so
        time.sleep(0.1)
        assert all(state == "idle" and in_transaction == "f" for state, in_transaction, _ in postgres.activity())
    assert gateway.metric("records_in_total", stream="walk") == read < 20000
    rest, _ = sub.until_end()
    assert ids(first + rest) == list(range(1, 20001))


def test_postgres_restarted_in_the_middle_of_a_walk_costs_no_row(postgres, gateways):
    postgres.sql("create table t (id int primary key, body text);"
                 "insert into t select n, repeat('x', 2000) from generate_series(1, 8000) n")
    gateway = gateways({"limits": {"send_buffer": "64KiB"}}, walk=walk_of(postgres, "select * from t", page=100))
    sub = gateway.subscribe("walk", "ndjson")
    first = sub.records(10)
    wait_held(gateway, "walk")
    postgres.stop(signal.SIGQUIT)
    postgres.start()
    rest, _ = sub.until_end()
    assert ids(first + rest) == list(range(1, 8001))


def test_a_database_that_is_not_there_is_told(tmp_path, gateways):
    away = {"postgres": "postgresql://u:sesame@127.0.0.1:1/db"}
    none = {"sqlite": str(tmp_path / "none.db")}
    gateway = gateways(
        away={"source": {"sql": {**away, "query": "select 1 as id", "key": "id", "retry": "300ms"}}},
        none={"source": {"sql": {**none, "query": "select 1 as id", "key": "id", "retry": "0s"}}})
    for stream in ("away", "none"):
        told = failure(gateway.subscribe(stream, "ndjson"))
        assert told == {"event": "failed", "code": "unreachable", "message": "the database cannot be reached"}
    assert "sesame" not in gateway.log()


# ---- following

@both
def test_new_rows_follow_the_last_one(database, gateways):
    numbered(database, 5)
    gateway = gateways(
        live=follow_of(database, "select * from t where body <> :never", params={"never": "text"}, defaults={"never": "x"}),
        all=follow_of(database, start="earliest"))
    live = [gateway.subscribe("live", transport) for transport in TRANSPORTS]
    for sub in live:
        assert sub.hello["event"] == "hello"
    add_rows(database, 1000, 6)
    for sub in live:
        assert ids(sub.records(1000)) == list(range(6, 1006))
    add_rows(database, 1, 5000)
    assert ids(live[0].records(1)) == [5000]
    gateway.wait_metric("records_in_total", 1006, stream="all")
    assert fetch(gateway, "/streams/all?from=earliest&follow=false&envelope=data")[-1]["id"] == 5000


@both
def test_a_followed_table_is_read_again_from_any_row(database, gateways):
    """From a token of before a restart of the gateway, which the ring does not hold, until the live rows are met."""
    numbered(database, 3000)
    gateway = gateways(live=follow_of(database, page=100))
    sub = gateway.subscribe("live", "ndjson", **{"from": "earliest"})
    first = sub.records(1500)
    sub.close()
    assert ids(first) == list(range(1, 1501))
    token = json.loads(first[999].text)["id"]
    gateway.stop()
    gateway.start()
    subs = [gateway.subscribe("live", transport, **{"from": token}) for transport in TRANSPORTS]
    add_rows(database, 1000, 3001)
    assert all(sub.hello["resumed"] is True for sub in subs)
    for at in range(1001, 4001, 100):  # in turn: an unread socket may lose a segment and wait for the timer of TCP
        for sub in subs:
            assert ids(sub.records(100)) == list(range(at, at + 100))
    wait_for(lambda: gateway.metric("catchup_readers") == 0, "the end of catching up")
    add_rows(database, 1, 9000)
    for sub in subs:
        assert ids(sub.records(1)) == [9000] and not sub.gaps


def test_a_notification_wakes_at_once(postgres, gateways):
    numbered(postgres, 1)
    gateway = gateways(live=follow_of(postgres, poll="1h", listen="New Rows"))
    sub = gateway.subscribe("live", "ndjson")
    waits = []
    for n in range(2, 12):
        postgres.sql(f"insert into t values ({n}, 'x'); notify \"New Rows\"")
        since = time.monotonic()
        assert ids(sub.records(1)) == [n]
        waits.append(time.monotonic() - since)
    assert SANITIZED or sorted(waits)[5] < 0.5


def test_postgres_restarted_while_it_is_followed_costs_no_row(postgres, gateways):
    numbered(postgres, 1)
    gateway = gateways(live=follow_of(postgres, poll="1h", listen="rows"))
    sub = gateway.subscribe("live", "ndjson")
    postgres.sql("insert into t values (2, 'x'); notify rows")
    assert ids(sub.records(1)) == [2]
    postgres.stop()
    gateway.wait_metric("source_up", 0, stream="live")
    postgres.start()
    postgres.sql("insert into t values (3, 'x')")
    gateway.wait_metric("source_up", 1, stream="live")
    postgres.sql("insert into t values (4, 'x'); notify rows")
    assert ids(sub.records(2)) == [3, 4]


def test_a_table_that_comes_later_is_followed_from_its_first_row(postgres, gateways):
    gateway = gateways(ready=False, live=follow_of(postgres))
    wait_for(lambda: gateway.metric("source_errors_total", reason="query_failed") >= 1, "the complaint")
    numbered(postgres, 0)
    gateway.wait_metric("source_up", 1, stream="live")
    sub = gateway.subscribe("live", "ndjson")
    add_rows(postgres, 2, 1)
    assert ids(sub.records(2)) == [1, 2]


def test_a_file_that_is_replaced_is_opened_anew(tmp_path, gateways):
    lite = Lite(tmp_path)
    numbered(lite, 3)
    gateway = gateways(live=follow_of(lite))
    sub = gateway.subscribe("live", "ndjson")
    os.makedirs(tmp_path / "new")
    other = Lite(tmp_path / "new")
    numbered(other, 5)
    other.sql("pragma journal_mode = delete")
    for suffix in ("-wal", "-shm"):
        if os.path.exists(lite.path + suffix):
            os.unlink(lite.path + suffix)
    os.replace(other.path, lite.path)
    assert ids(sub.records(2)) == [4, 5]


def test_rows_that_commit_out_of_order_are_not_missed_with_settle(postgres, gateways):
    postgres.sql("create table t (id serial primary key, body text)")
    gateway = gateways(live=follow_of(postgres, settle="2s"))
    sub = gateway.subscribe("live", "ndjson")
    slow = "begin; insert into t (body) values ('slow'); select pg_sleep(1); commit"
    import threading
    thread = threading.Thread(target=postgres.sql, args=(slow,))
    thread.start()
    wait_for(lambda: postgres.sql("select last_value from t_id_seq where is_called"), "the first key")
    postgres.sql("insert into t (body) values ('quick')")
    thread.join()
    assert [(row["id"], row["body"]) for row in data(sub.records(2))] == [(1, "slow"), (2, "quick")]


def test_a_key_of_transaction_ids_is_sound_without_a_delay(postgres, gateways):
    """The recipe of the README: rows show once every older transaction is over."""
    postgres.sql("create table t (id serial primary key, tx xid8 not null default pg_current_xact_id(), body text);"
                 "create index on t (tx, id)")
    gateway = gateways(live=follow_of(
        postgres, "select * from t where tx < pg_snapshot_xmin(pg_current_snapshot())", ["tx", "id"]))
    sub = gateway.subscribe("live", "ndjson")
    import threading
    thread = threading.Thread(target=postgres.sql, args=(
        "begin; insert into t (body) values ('slow'); select pg_sleep(1); commit",))
    thread.start()
    wait_for(lambda: postgres.sql("select last_value from t_id_seq where is_called"), "the first key")
    postgres.sql("insert into t (body) values ('quick')")
    thread.join()
    assert sorted(row["body"] for row in data(sub.records(2))) == ["quick", "slow"]


# ---- secrets

def test_the_password_is_nowhere_to_be_seen(postgres, gateways, tmp_path):
    import subprocess
    from harness import HEADGATE
    gateway = gateways({"log": {"level": "debug"}}, live=follow_of(postgres, "select 1 as id"))
    gateway.subscribe("live", "ndjson")
    printed = subprocess.run([HEADGATE, "config", "print", "-c", gateway.path], capture_output=True, text=True, check=True)
    assert "sesame" not in printed.stdout + gateway.log() and "postgres:" in printed.stdout
