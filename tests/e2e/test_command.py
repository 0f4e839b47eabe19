"""The command line: check, version, usage."""

import json
import re
import subprocess

import pytest

from harness import HEADGATE
from test_accept import memory_bound


def run(*args, **kwargs):
    return subprocess.run(
        [HEADGATE, *args], capture_output=True, text=True, check=False, timeout=20, **kwargs
    )


GOOD = """\
listen: 127.0.0.1:8080
streams:
  orders:
    source: {kafka: {brokers: "${BROKERS:-localhost:9092}", topics: [orders]}}
"""

BAD = """\
listen: 127.0.0.1:8080
colour: red
streams:
  orders:
    source: {kafka: {brokers: localhost:9092, topics: [orders], brokerz: x}}
    ring: {records: -1, bytes: plenty}
    slow: {policy: never}
routes:
  /x: {stream: none}
"""


def test_check_prints_memory_and_descriptors_of_a_valid_file(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    done = run("check", "-c", str(path))
    assert done.returncode == 0, done.stderr
    assert memory_bound(done.stdout) > 1 << 20
    assert re.search(r"descriptor", done.stdout)


def test_check_prints_every_error_in_one_pass_with_its_place(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    done = run("check", "-c", str(path))
    assert done.returncode == 1 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) >= 6, done.stderr
    for line in lines:
        assert re.match(rf"{re.escape(str(path))}:\d+:\d+: [\w./]+: .", line), line
    text = done.stderr
    assert ":2:1: colour" in text and "brokers" in text and "policy" in text and "none" in text


def test_run_with_an_invalid_file_exits_1(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    assert run("run", "-c", str(path)).returncode == 1


def test_an_unset_variable_without_a_default_is_an_error(tmp_path):
    path = tmp_path / "unset.yaml"
    path.write_text(GOOD.replace("BROKERS:-localhost:9092", "HEADGATE_TEST_UNSET"))
    done = run("check", "-c", str(path))
    assert done.returncode == 1 and "HEADGATE_TEST_UNSET" in done.stderr


@pytest.mark.parametrize("source", [
    "sql: {postgres: '${UNSET}', query: SELECT 1 AS n, key: n}",
    "sql: {sqlite: '${UNSET}', query: SELECT 1 AS n, key: n}",
    "kafka: {brokers: '${UNSET}', topics: [t]}",
    "kafka: {brokers: b, topics: ['${UNSET}']}",
    "file: {path: '${UNSET}'}",
    "llm: {upstreams: [{name: a, base_url: '${UNSET}'}]}",
    "llm: {upstreams: [{name: a, base_url: 'http://h', key: '${UNSET}'}]}",
    "llm: {upstreams: [{name: a, base_url: 'http://h'}], log: {kafka: {brokers: '${UNSET}', topic: t}}}",
])
def test_of_an_unset_variable_nothing_else_is_said(tmp_path, source):
    path = tmp_path / "unset.yaml"
    path.write_text("streams: {s: {source: {" + source + "}}}\n")
    done = run("check", "-c", str(path), env={})
    assert done.returncode == 1
    assert re.fullmatch(r".*: streams\.s\.source\..*: the environment variable UNSET is not set .*\n", done.stderr)


@pytest.mark.parametrize("route", [
    "kind: openai, stream: '${UNSET}'", "stream: '${UNSET}'", "kind: '${UNSET}', directory: /tmp",
    "kind: download, directory: '${UNSET}'", "stream: s, format: '${UNSET}'", "stream: s, envelope: '${UNSET}'",
])
def test_of_an_unset_variable_in_a_route_nothing_else_is_said(tmp_path, route):
    path = tmp_path / "unset.yaml"
    path.write_text("streams: {s: {source: {synthetic: {}}}}\nroutes: {/r: {" + route + "}}\n")
    done = run("check", "-c", str(path), env={})
    assert done.returncode == 1
    assert re.fullmatch(r".*: routes\./r\..*: the environment variable UNSET is not set .*\n", done.stderr)


@pytest.mark.parametrize("args", [[], ["fly"], ["run"], ["check", "--loud"], ["run", "-c"]])
def test_wrong_usage_exits_2(args):
    assert run(*args).returncode == 2


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["check", "--help"], ["config", "--help"],
                                  ["tail", "--help"], ["demo", "--help"], ["version", "--help"]])
def test_help_is_everywhere(args):
    done = run(*args)
    assert done.returncode == 0 and "headgate" in done.stdout.lower()


def test_version_as_json_names_the_libraries():
    done = run("version", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["version"]


def test_the_printed_configuration_is_taken_again(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    printed = run("config", "print", "-c", str(path))
    assert printed.returncode == 0
    again = tmp_path / "again.yaml"
    again.write_text(printed.stdout)
    assert run("config", "print", "-c", str(again)).stdout == printed.stdout


def test_tail_prints_the_records_of_a_stream(kafka, gateways):
    topic = kafka.topic()
    kafka.produce(topic, "1", "2", "3")
    gateway = gateways(s={"source": kafka.source(topic)})
    gateway.wait_metric("records_in_total", 3, stream="s")
    tail = subprocess.Popen(
        [HEADGATE, "tail", f"http://127.0.0.1:{gateway.port}/streams/s", "--from", "earliest"],
        stdout=subprocess.PIPE, text=True,
    )
    try:
        lines = [tail.stdout.readline() for _ in range(3)]
    finally:
        tail.terminate()
        tail.wait(10)
    assert [json.loads(line)["data"] for line in lines] == [1, 2, 3]
