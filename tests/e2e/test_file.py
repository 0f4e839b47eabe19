"""Files that grow: rotated by the real logrotate while they are written to, resumed over restarts, and always
whole: what is delivered and what gaps count is what was written."""

import json
import os
import random
import subprocess
import threading
import time

import pytest

from conftest import needs
from harness import wait_for
from wire import TRANSPORTS

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
# A ring that most of what is asked for has left.
SMALL = {"ring": {"records": 64}, "slow": {"policy": "pause", "queue": {"records": 32}}}


class Log:
    """A file that is written to line by line, and rotated by logrotate."""

    def __init__(self, directory, name="app.log"):
        self.path = str(directory / name)
        self.written = 0
        self.lock = threading.Lock()
        self._directory = directory
        self._stop = threading.Event()
        self._thread = None
        self.touch()

    def touch(self):
        open(self.path, "ab").close()

    def write(self, count=1):
        """By path: after a rename the next line goes to the new file."""
        with self.lock, open(self.path, "ab", buffering=0) as file:
            lines = "".join(f'{{"n":{n}}}\n' for n in range(self.written, self.written + count))
            file.write(lines.encode())
            self.written += count

    def write_steadily(self, every_s=0.001):
        def run():
            while not self._stop.wait(every_s):
                self.write(random.randint(1, 5))

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def stop(self):
        if self._thread:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def rotate(self, kind, keep=100):
        """kind: create, nocreate or copytruncate. What is written between logrotate's copy and its truncation
        is in neither file, and what comes between its rename and its creation is moved to a backup that the
        next one replaces: no line is written meanwhile. With nocreate the writer makes the file."""
        config = self._directory / "logrotate.conf"
        config.write_text(f'"{self.path}" {{\n rotate {keep}\n {kind}\n missingok\n}}\n')
        config.chmod(0o600)
        command = ["logrotate", "-f", "-s", str(self._directory / "state"), str(config)]
        with self.lock if kind != "nocreate" else threading.Lock():
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def log(tmp_path):
    needs("logrotate", "logrotate")
    directory = tmp_path / "log"
    directory.mkdir(mode=0o700)
    log = Log(directory)
    yield log
    log.stop()


def source(log, **more):
    return {"source": {"file": {"path": log.path, "start": "earliest", **more}}}


def numbers(messages):
    return [json.loads(message.text)["data"]["n"] for message in messages]


def take(sub, count, timeout_s=60):
    """The numbers of the next records, as many as came where not all do."""
    found = []
    try:
        while len(found) < count:
            found += numbers(sub.records(1, timeout_s=timeout_s if not found else 10))
    except TimeoutError:
        pass
    return found


def assert_whole(found, count, controls=()):
    if found != list(range(count)):
        wrong = next(i for i, n in enumerate([*found, None]) if n != i)
        pytest.fail(f"record {wrong} of {count}: {found[max(0, wrong - 3):wrong + 5]} {controls}")


@each_transport
def test_lines_come_as_they_are_written(gateways, log, transport):
    log.write(3)
    gateway = gateways(s={**source(log, key="/n")})
    sub = gateway.subscribe("s", transport, envelope="full", **{"from": "earliest"})
    assert_whole(numbers(sub.records(3)), 3)
    log.write()
    message = json.loads(sub.records(1)[0].text)
    assert message["key"] == "3" and message["source"] == {"file": log.path, "offset": 31}
    assert not sub.gaps


@pytest.mark.parametrize("kinds", [["create"], ["nocreate"], ["copytruncate"], ["create", "nocreate", "copytruncate"]])
def test_no_rotation_loses_or_repeats_a_line(gateways, log, kinds):
    gateway = gateways(s=source(log))
    sub = gateway.subscribe("s", "ndjson", **{"from": "earliest"})
    log.write_steadily()
    for _ in range(12):
        log.rotate(random.choice(kinds))
        time.sleep(random.uniform(0, 0.1))
    log.stop()
    assert_whole(take(sub, log.written), log.written)
    assert not sub.gaps
    assert gateway.metric("records_in_total", stream="s") == log.written


@pytest.mark.parametrize("kind", ["create", "copytruncate"])
def test_a_slow_reader_finds_what_was_rotated_away_under_it(gateways, log, kind):
    """Held back by a subscriber that must not lose, the source reads old files long after the rotation."""
    gateway = gateways(s={**source(log), **SMALL})
    sub = gateway.subscribe("s", "ndjson", **{"from": "earliest"})
    for _ in range(4):
        log.write(500)
        log.rotate(kind)
        time.sleep(0.05)
    log.write(500)
    found = take(sub, 2500)
    assert_whole(found, 2500, sub.controls)
    assert not sub.gaps


@each_transport
def test_a_token_resumes_exactly_though_its_file_was_renamed(gateways, log, transport):
    gateway = gateways(s={**source(log), **SMALL})
    log.write(600)
    first = gateway.subscribe("s", transport, **{"from": "earliest"})
    messages = first.records(200)
    first.close()
    log.rotate("create")
    log.write(600)
    log.rotate("create")
    log.write(300)
    gateway.wait_metric("records_in_total", 1500, stream="s")
    token = json.loads(messages[-1].text)["id"]
    again = gateway.subscribe("s", transport, **{"from": token})
    assert again.hello["resumed"] is True
    assert_whole(numbers(messages) + numbers(again.records(1300, timeout_s=60)), 1500)
    assert not again.gaps


@pytest.mark.parametrize("start", ["latest", "earliest"])
def test_a_restart_costs_no_line_whatever_was_rotated_meanwhile(gateways, log, start):
    gateway = gateways(s={**source(log, start=start), **SMALL})
    sub = gateway.subscribe("s", "ndjson", **{"from": "earliest"})
    found, token = [], None

    def take(count):
        nonlocal token
        messages = sub.records(count, timeout_s=60)
        found.extend(numbers(messages))
        token = json.loads(messages[-1].text)["id"]

    log.write(100)
    take(50)
    for round_ in range(4):
        sub.close()
        gateway.terminate()
        gateway.wait_exit()
        log.write(random.randint(0, 200))
        if round_ % 2 == 0:
            log.rotate("create")
            log.write(random.randint(1, 200))
        gateway.start()
        sub = gateway.subscribe("s", "ndjson", **{"from": token})
        assert sub.hello["resumed"] is True
        take(random.randint(1, log.written - len(found)))
    take(log.written - len(found))
    assert_whole(found, log.written)
    assert not sub.gaps


def test_delivered_and_counted_is_what_was_written(gateways, log):
    gateway = gateways(s={**source(log), "max_record": "1KiB"})
    sub = gateway.subscribe("s", "ndjson", **{"from": "earliest"})
    with open(log.path, "ab") as file:
        for n in range(100):
            line = {0: f'{{"n":{n}', 1: f'"{"x" * 2000}"'}.get(n % 5, f'{{"n":{n}}}')
            file.write(line.encode() + b"\n")
    assert numbers(sub.records(60)) == [n for n in range(100) if n % 5 > 1]
    counts = {}
    for gap in sub.gaps:
        counts[gap["reason"]] = counts.get(gap["reason"], 0) + gap["count"]
    assert counts == {"malformed": 20, "too_large": 20}
    assert gateway.metric("records_dropped_total", stream="s") == 40


def test_with_on_error_fail_the_source_is_down(gateways, log):
    gateway = gateways(s=source(log, on_error="fail"))
    sub = gateway.subscribe("s", "ndjson", **{"from": "earliest"})
    with open(log.path, "ab") as file:
        file.write(b'{"n":0}\nno json\n{"n":1}\n')
    assert numbers(sub.records(1)) == [0]
    gateway.wait_metric("source_up", 0, stream="s")
    assert "malformed at byte 16" in gateway.log()


@pytest.mark.parametrize("forgotten", [False, True])
def test_what_is_lost_with_a_deleted_file_is_told(gateways, log, forgotten):
    """The file is gone, and so is what of it a subscriber had not seen: nobody can count it any more."""
    gateway = gateways(s={**source(log), **SMALL})
    log.write(600)
    first = gateway.subscribe("s", "ndjson", **{"from": "earliest"})
    token = json.loads(first.records(200)[-1].text)["id"]
    first.close()
    gateway.wait_metric("records_in_total", 600, stream="s")
    os.unlink(log.path)
    log.write(600)
    gateway.wait_metric("records_in_total", 1200, stream="s")
    if forgotten:
        time.sleep(4)  # it must have been quiet for two seconds
        log.write(200)
    again = gateway.subscribe("s", "ndjson", **{"from": token})
    assert again.hello["resumed"] is True
    assert numbers(again.records(600, timeout_s=60)) == list(range(600, 1200))
    assert [(gap["reason"], gap["count"]) for gap in again.gaps] == [("reset", 0)]


def test_tokens_do_not_grow_with_files_that_are_gone(gateways, log):
    gateway = gateways(s={**source(log), **SMALL})
    sub = gateway.subscribe("s", "ndjson", **{"from": "earliest"})
    lengths = []
    for _ in range(12):
        log.write(100)
        lengths.append(len(json.loads(sub.records(100)[-1].text)["id"]))
        log.rotate("create", keep=1)
        time.sleep(0.3)
    time.sleep(4)  # a file must have been quiet for two seconds
    log.write(200)
    message = json.loads(sub.records(200)[-1].text)
    assert len(message["id"]) <= 2 * lengths[1], lengths
    again = gateway.subscribe("s", "ndjson", **{"from": message["id"]})
    log.write()
    assert numbers(again.records(1)) == [1400] and not again.gaps


def test_csv_and_text_are_followed_by_glob(gateways, tmp_path):
    directory = tmp_path / "log"
    directory.mkdir()
    gateway = gateways(
        c={"source": {"file": {"path": f"{directory}/*.csv", "format": "csv", "key": "/id"}}},
        t={"source": {"file": {"path": [f"{directory}/*.txt"], "format": "text"}}},
    )
    rows = gateway.subscribe("c", "ndjson")
    lines = gateway.subscribe("t", "sse", envelope="data")
    (directory / "a.csv").write_text('id,name\n1,"x, ""y""\nz"\n2,\n')
    (directory / "a.txt").write_text('17\n"q"\n\n')
    messages = [json.loads(message.text) for message in rows.records(2)]
    assert [(m["key"], m["data"]) for m in messages] == [
        ("1", {"id": "1", "name": 'x, "y"\nz'}), ("2", {"id": "2", "name": ""})
    ]
    assert [json.loads(message.text) for message in lines.records(3)] == ["17", '"q"', ""]


def test_the_lag_is_told_and_a_held_source_has_one(gateways, log):
    gateway = gateways(s={**source(log), **SMALL})
    sub = gateway.subscribe("s", "ndjson", **{"from": "earliest"})
    log.write(200000)
    wait_for(lambda: gateway.metric("file_lag_bytes", stream="s") > 0, "a lag")
    gateway.wait_metric("source_paused", 1, stream="s")
    assert_whole(numbers(sub.records(200000, timeout_s=90)), 200000)
    gateway.wait_metric("file_lag_bytes", 0, stream="s")
