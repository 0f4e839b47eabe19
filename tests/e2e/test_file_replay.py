"""Files replayed for one request: every format and compression, from any token, paced, to an end or a failure."""

import csv
import gzip
import io
import json
import random
import subprocess
import time

import pytest

from conftest import needs
from wire import TRANSPORTS, Http

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
COUNT = 3000


def rows(count=COUNT):
    return [{"n": str(n), "text": random.choice(["", "a,b", 'q"q', "two\nlines", "é"]) * 3} for n in range(count)]


def write_file(path, form, found):
    if form == "ndjson":
        text = "".join(json.dumps(row) + "\n" for row in found)
    elif form == "json_array":
        text = json.dumps(found, indent=1)
    else:
        out = io.StringIO()
        writer = csv.DictWriter(out, ["n", "text"])
        writer.writeheader()
        writer.writerows(found)
        text = out.getvalue()
    path.write_bytes(text.encode())


def pack(path, compression):
    if compression == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))
    elif compression == "zstd":
        needs("zstd", "zstd")
        subprocess.run(["zstd", "-q", "-f", str(path), "-o", str(path) + ".z"], check=True)
        path.write_bytes((path.parent / (path.name + ".z")).read_bytes())
        (path.parent / (path.name + ".z")).unlink()


def replay(path, **more):
    return {"source": {"file": {"mode": "replay", "path": str(path), **more}}}


def data(messages):
    return [json.loads(message.text)["data"] for message in messages]


def ends(sub):
    found, ended = sub.until_end(60)
    assert sub.controls[-1]["event"] == "end", sub.controls[-1]
    return found


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("form", ["ndjson", "csv", "json_array"])
def test_every_format_goes_on_from_any_token(gateways, tmp_path, form, compression):
    expected = rows()
    half = COUNT // 2
    for name, part in (("a", expected[:half]), ("b", expected[half:])):
        write_file(tmp_path / f"{name}.data", form, part)
        pack(tmp_path / f"{name}.data", compression)
    gateway = gateways(s=replay(tmp_path / "*.data", format=form, key="/n"))
    whole = ends(gateway.subscribe("s", "ndjson"))
    assert data(whole) == expected
    assert [json.loads(message.text)["key"] for message in whole] == [row["n"] for row in expected]
    for at in [0, half - 1, half, COUNT - 1, *random.sample(range(COUNT), 8)]:
        token = json.loads(whole[at].text)["id"]
        sub = gateway.subscribe("s", random.choice(TRANSPORTS), **{"from": token})
        assert sub.hello["resumed"] is True
        assert data(ends(sub)) == expected[at + 1:]


@each_transport
def test_progress_is_told_up_to_the_end(gateways, tmp_path, transport):
    write_file(tmp_path / "a", "ndjson", rows(20000))
    gateway = gateways(s=replay(tmp_path / "a"))
    sub = gateway.subscribe("s", transport)
    assert len(ends(sub)) == 20000
    told = [control for control in sub.controls if control["event"] == "progress"]
    size = (tmp_path / "a").stat().st_size
    assert told and told[-1] == {"event": "progress", "done": size, "total": size}
    assert [p["done"] for p in told] == sorted(p["done"] for p in told)


def test_an_array_is_served_as_an_array(gateways, tmp_path):
    expected = rows(100)
    write_file(tmp_path / "a", "csv", expected)
    gateway = gateways(s=replay(tmp_path / "a", format="csv"))
    answer = gateway.get("/streams/s?envelope=data", {"Accept": "application/json", "Connection": "close"})
    assert answer.json() == expected


def test_rate_and_speed_pace_it(gateways, tmp_path):
    lines = [json.dumps({"n": n, "t": 1769860800 + n / 10}) for n in range(21)]
    (tmp_path / "a").write_text("\n".join(lines))
    gateway = gateways(s=replay(tmp_path / "a", time="/t"))

    def seconds(**params):
        start = time.monotonic()
        assert len(ends(gateway.subscribe("s", "ndjson", **params))) == 21
        return time.monotonic() - start

    assert seconds(rate="20/s") >= 0.8
    assert seconds(speed="2") >= 0.95
    late = gateway.subscribe("s", "ndjson", **{"from": "2026-01-31T12:00:01.5Z"})
    assert [row["n"] for row in data(ends(late))] == [15, 16, 17, 18, 19, 20]


def test_a_request_chooses_the_file(gateways, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.log").write_text(f'{{"file":"{name}"}}\n')
    (tmp_path / "link.log").symlink_to("/etc/passwd")
    gateway = gateways({"routes": {"/stream/file/{id}": {"stream": "s"}}}, s=replay(tmp_path / "{id}.log"))
    answer = gateway.get("/stream/file/b?envelope=data", {"Connection": "close"})
    assert answer.status == 200 and answer.json() == {"file": "b"}

    def status(target):
        http = Http(gateway.port).get(target, {"Connection": "close"})
        http.close()
        return http.status

    assert status("/stream/file/zz") == 404
    assert status("/streams/s") == 400
    for value in ("..%2fb", "%2e%2e", "..%2f..%2fetc%2fpasswd", "*", "%3f", "[ab]", "%00", "a%2eb", ".a"):
        assert status(f"/streams/s?id={value}") in (400, 404), value
    sub = gateway.subscribe("s", "ndjson", id="link")
    assert sub.until_end(10)[0] == [] and sub.controls[-1]["event"] == "failed"


def test_what_is_no_record_is_counted_or_ends_it(gateways, tmp_path):
    (tmp_path / "a").write_text('{"n":0}\nnone\n{"n":1}\n')
    gateway = gateways(skip=replay(tmp_path / "a"), fail=replay(tmp_path / "a", on_error="fail"))
    sub = gateway.subscribe("skip", "ndjson")
    assert [row["n"] for row in data(ends(sub))] == [0, 1]
    assert [(gap["reason"], gap["count"]) for gap in sub.gaps] == [("malformed", 1)]
    sub = gateway.subscribe("fail", "sse")
    found, _ = sub.until_end(10)
    assert [row["n"] for row in data(found)] == [0]
    assert sub.controls[-1]["event"] == "failed" and "malformed at byte 13" in sub.controls[-1]["message"]


@pytest.mark.parametrize("form, text", [("json_array", b'[{"n":0},{"n":1}'), ("ndjson", None)])
def test_a_file_that_is_cut_short_fails(gateways, tmp_path, form, text):
    cut = text or gzip.compress(b'{"n":0}\n' * 1000)[:-9]
    (tmp_path / "a").write_bytes(cut)
    gateway = gateways(s=replay(tmp_path / "a", format=form))
    sub = gateway.subscribe("s", "ws")
    sub.until_end(10)
    assert sub.controls[-1]["event"] == "failed"


def test_a_token_of_a_file_that_is_gone_starts_anew_and_says_so(gateways, tmp_path):
    (tmp_path / "a").write_text('{"n":0}\n{"n":1}\n')
    gateway = gateways(s=replay(tmp_path / "*"))
    token = json.loads(gateway.subscribe("s", "ndjson").records(1)[0].text)["id"]
    (tmp_path / "a").unlink()
    (tmp_path / "b").write_text('{"n":5}\n')
    sub = gateway.subscribe("s", "ndjson", **{"from": token})
    assert sub.hello["resumed"] is False and "no file of the token" in sub.hello["reason"]


@pytest.mark.plain_only
def test_a_large_file_is_replayed_in_bounded_memory_at_the_readers_pace(gateways, tmp_path):
    line = json.dumps({"n": 0, "pad": "x" * 180}) + "\n"
    with open(tmp_path / "a", "w", encoding="utf-8") as file:
        for _ in range(20):
            file.write(line * 10000)
    gateway = gateways(s=replay(tmp_path / "a"))
    before = gateway.rss_bytes()
    sub = gateway.subscribe("s", "ndjson", envelope="data")
    time.sleep(0.5)  # it is held back by who does not read
    gateway.wait_rest()
    assert gateway.rss_bytes() - before < 24 << 20
    found, ended = sub.until_end(60)
    assert ended.clean and len(found) == 200000
    assert gateway.rss_bytes() - before < 24 << 20
