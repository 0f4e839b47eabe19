"""Every command of the README, and both clients, on the SQLite file that the script makes and on a PostgreSQL of the test's own."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tests", "sql"))
import postgres  # noqa: E402

with open(os.path.join(HERE, "README.md"), encoding="utf-8") as readme:
    START, READ, RESUME, PROGRESS, CLIENTS, POSTGRES = re.findall(r"```sh\n(.*?)```", readme.read(), re.S)


@pytest.fixture(params=("gateway.yaml", "postgres.yaml"))
def served(request, example, tmp_path):
    """The example on one of its databases: .data, and .run(commands) in a directory of its own."""
    data = tmp_path / "data"
    subprocess.run([os.path.join(HERE, "make-data.py"), str(data)], check=True)
    server = None
    environment = {"DATA": str(data)}
    if request.param == "postgres.yaml":
        if why := postgres.available():
            pytest.skip(why)
        server = postgres.Postgres()
        environment["DATABASE"] = server.dsn
        with open(os.path.join(HERE, "postgres.sql"), encoding="utf-8") as file:
            server.sql(file.read())
    gateway = example(HERE, request.param, **environment)
    gateway.data = data
    gateway.server = server

    def run(commands, fails=0, timeout_s=60):
        """What they write. fails: the exit status that is expected."""
        commands = commands.replace("localhost:8080", f"127.0.0.1:{gateway.port}").replace("/tmp/templates", str(data))
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True,
                              cwd=tmp_path, timeout=timeout_s, check=False)
        assert done.returncode == fails, f"{commands}: {done.stdout[-1000:]}{done.stderr[-2000:]}"
        return done.stdout

    gateway.run = run
    yield gateway
    gateway.terminate()  # the second signal ends the grace of the first
    gateway.terminate()
    if server:
        server.close()


def messages(text):
    return [json.loads(line) for line in text.splitlines() if line]


def test_curl(served, tmp_path):
    report = (served.data / "files" / "report.csv").read_bytes()
    last, every, live, french, fetch, resume, array, answer = READ.strip().splitlines()
    told = messages(served.run(every))
    assert sum("data" in message for message in told) == 5000
    assert (told[0]["event"], told[-1]) == ("hello", {"event": "end"})
    assert {"event": "progress", "done": 5000, "total": 5000} in told
    assert [row["id"] for row in messages(served.run(last))] == list(range(4991, 5001))
    shown = served.run(live.replace("curl", "curl -s --max-time 3"), fails=28)
    assert re.findall(r'"text":"(.*?)"', shown) == ["event 1", "event 2", "event 3"] and "event: hello" in shown
    assert {row["country"] for row in messages(served.run(french))} == {"fr"}
    served.run(fetch)
    assert (tmp_path / "report.csv").read_bytes() == report
    os.truncate(tmp_path / "report.csv", 1000)
    served.run(resume)
    assert (tmp_path / "report.csv").read_bytes() == report
    if shutil.which("jq"):
        assert served.run(array) == "20000\n"
        assert messages(served.run(RESUME))[1]["data"]["id"] == 4
    told = messages(served.run(answer.replace("speed=1", "speed=4")))
    assert "".join(message["data"]["token"] for message in told if "data" in message).startswith("A headgate decides")
    told = messages(served.run(PROGRESS))
    assert told[-2:] == [{"event": "progress", "done": len(report), "total": len(report)}, {"event": "end"}]


def test_a_row_arrives_live(served):
    live = served.subscribe("events", "sse", **{"from": "earliest"})
    assert json.loads(live.records(3)[2].text)["data"]["text"] == "event 3"
    if served.server:
        served.server.sql("insert into events (kind, text) values ('said', 'hello')")
    else:
        with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
            (command,) = re.findall(r"`(\S+make-data.py \S+ --event \S+)`", file.read())
        served.run(command.replace("examples/streaming-templates", HERE))
    assert json.loads(live.records(1)[0].text)["data"]["text"] == "hello"


def test_both_clients_read_the_same(served, node_modules):
    python, node = (line.replace("examples/streaming-templates", HERE) for line in CLIENTS.strip().splitlines())
    found = messages(served.run("/usr/bin/python3 " + python))
    report = (served.data / "files" / "report.csv").read_bytes()
    with open(served.data / "answers" / "headgate.ndjson", encoding="utf-8") as file:
        text = "".join(json.loads(line)["token"] for line in file)
    assert found == [
        {"path": "/stream/data", "rows": 4990, "first": {"id": 11, "sensor": "sensor-4", "celsius": 21.1}},
        {"path": "/stream/events", "texts": ["event 1", "event 2", "event 3"]},
        {"path": "/stream/users", "rows": 334, "first": {"id": 1, "name": "user 1", "country": "fr", "active": True}},
        {"path": "/stream/file/report.csv", "sha256": hashlib.sha256(report).hexdigest()},
        {"path": "/stream/large-array", "rows": 20000, "last": {"id": 20000, "x": 10000, "y": 0}},
        {"path": "/api/generate", "text": text},
    ]
    assert messages(served.run(node)) == found


def test_the_commands_that_start_it_name_what_is_there():
    for word in re.findall(r"examples/streaming-templates/[\w.-]+", START + POSTGRES):
        assert os.path.exists(os.path.join(HERE, os.path.basename(word))), word
    for name in re.findall(r"^(\w+)=", START + POSTGRES, re.M):
        assert name in ("DATA", "DATABASE")
