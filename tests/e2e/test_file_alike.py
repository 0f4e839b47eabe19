"""The rows of a file are the same over every transport, from the beginning and from any token; and the way of an appended
line is short. 24 tokens; with E2E_SCALE=full 1,000."""

import json
import random
import statistics
import time

import pytest

from harness import SCALE_FULL
from wire import TRANSPORTS, Http

POINTS = 1000 if SCALE_FULL else 24
ROWS = 1000


def is_bad(number):
    return number % 50 == 49


def line(number):
    """What a framer, a scanner or a fast path may stumble over."""
    if is_bad(number):
        return b'{"n":%d' % number  # no JSON: a gap
    value = random.choice([
        {"n": number, "text": random.choice(["", 'q"\\', "é€😀", "\u2028", "a\tb\nc", "\u007f", "x" * random.randrange(300)])},
        {"n": number, "list": [None, True, -1.5e-7, {"": []}] * random.randrange(4)},
        number, f"row {number}", [],
    ])
    text = json.dumps(value, ensure_ascii=random.random() < 0.5, separators=random.choice([(",", ":"), (", ", ": ")]))
    if number % 97 == 0:
        text = json.dumps({"n": number, "pad": "y" * random.randrange(9000)})
    before, after = random.choice([("", "")] * 8 + [(" ", ""), ("", "\r"), ("\n\n", "\t")])
    return (before + text + after).encode()


def read(gateway, kind, token=None):
    """(texts of records, the sum of gaps). kind: a transport, or json: an array."""
    params = {} if token is None else {"from": token}
    if kind in TRANSPORTS:
        sub = gateway.subscribe("s", kind, **params)
        found, ended = sub.until_end(60)
        assert ended.clean and sub.controls[-1]["event"] == "end", sub.controls
        assert sub.hello["resumed"] is (token is not None)
        sub.close()
        return [message.text for message in found], sum(gap["count"] for gap in sub.gaps)
    accept = "application/json" if kind == "json" else "application/x-ndjson"
    query = "&".join([f"{name}={value}" for name, value in params.items()] + (["envelope=data"] if kind == "data" else []))
    http = Http(gateway.port).get(f"/streams/s?{query}", {"Accept": accept, "Connection": "close"})
    body = http.body(60)
    http.close()
    assert http.status == 200
    if kind == "data":
        return body.splitlines(), None
    assert isinstance(json.loads(body), list)
    lines = body.split(b"\n")
    assert lines[0] == b"[" and lines[-2:] == [b"]", b""]
    return [text.removesuffix(b",") for text in lines[1:-2] if text], None


def without_ids(rows):
    """A token has the files whose records are in the ring, so that its text depends on where a read began."""
    return [row[row.index(b',"time":'):] if row.startswith(b'{"id":') else row for row in rows]


def test_the_same_rows_over_every_transport_from_any_token(gateways, tmp_path):
    lines = [line(n) for n in range(ROWS)]
    for name, part in (("a", lines[:ROWS // 3]), ("b", lines[ROWS // 3:])):
        (tmp_path / name).write_bytes(b"\n".join(part) + b"\n")
    gateway = gateways(s={"source": {"file": {"mode": "replay", "path": [str(tmp_path / "a"), str(tmp_path / "b")]}}})
    good = [n for n in range(ROWS) if not is_bad(n)]
    rows, gaps = read(gateway, "ndjson")
    assert (len(rows), gaps) == (len(good), ROWS - len(good))
    tokens = [json.loads(row)["id"] for row in rows]
    data = [lines[n].strip() for n in good]  # as it stands in the file
    assert all(row.endswith(b',"data":' + text + b"}") for row, text in zip(rows, data))
    rows = without_ids(rows)
    wanted = {"data": data, "json": rows, **dict.fromkeys(TRANSPORTS, rows)}
    for kind, texts in wanted.items():
        sent = gateway.metric("records_out_total", stream="s")
        assert without_ids(read(gateway, kind)[0]) == texts, kind
        gateway.wait_metric("records_out_total", sent + len(rows), stream="s")
    kinds = list(wanted)
    for number in range(POINTS):
        at, kind = random.randrange(len(rows)), kinds[number % len(kinds)]
        found, gaps = read(gateway, kind, tokens[at])
        assert without_ids(found) == wanted[kind][at + 1:], (kind, at)
        assert gaps in (None, sum(map(is_bad, range(good[at] + 1, ROWS)))), (kind, at)


@pytest.mark.plain_only
def test_an_appended_line_comes_at_once(gateways, tmp_path):
    """The median is a fraction of a millisecond, see tests/bench; it would be hundreds if the poll had to find it."""
    path = tmp_path / "app.log"
    path.touch()
    gateway = gateways(s={"source": {"file": {"path": str(path), "poll": "1s"}}})
    sub = gateway.subscribe("s", "ndjson", envelope="data")
    for _ in range(3):
        times = []
        with open(path, "ab", buffering=0) as file:
            for number in range(100):
                begun = time.monotonic()
                file.write(b'{"n":%d}\n' % number)
                assert json.loads(sub.records(1)[0].text)["n"] == number
                times.append(time.monotonic() - begun)
        if statistics.median(times) < 0.05:
            return
    pytest.fail(f"medians of 50 ms and more, the last {statistics.median(times):.3f} s")
